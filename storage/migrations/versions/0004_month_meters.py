"""What was sent on each platform in each calendar month."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meter",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("warned", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "month", name=op.f("pk_meter")),
    )


def downgrade() -> None:
    op.drop_table("meter")
