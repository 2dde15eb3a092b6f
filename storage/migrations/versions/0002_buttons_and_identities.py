"""Buttons that were pressed, and several chat identities of one human."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "press",
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("says", sa.String(length=255), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_press")),
    )
    op.create_index(op.f("ix_press_at"), "press", ["at"])
    op.create_table(
        "link_code",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_link_code")),
    )
    op.create_index(op.f("ix_link_code_person"), "link_code", ["person"])
    op.add_column("person", sa.Column("human", sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_person_human"), "person", ["human"])


def downgrade() -> None:
    op.drop_index(op.f("ix_person_human"), "person")
    op.drop_column("person", "human")
    op.drop_table("link_code")
    op.drop_table("press")
