"""Digests: deliveries that name many others, what a lane remembers of its crowds, finer priorities."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery", sa.Column("digest_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")))
    op.create_index(
        "ix_delivery_digest",
        "delivery",
        ["digest_id"],
        sqlite_where=sa.text("digest_id IS NOT NULL"),
        postgresql_where=sa.text("digest_id IS NOT NULL"),
    )
    op.add_column("lane", sa.Column("calm_at", sa.BigInteger()))
    op.add_column("lane", sa.Column("calm_for", sa.SmallInteger()))
    op.add_column("lane", sa.Column("cards", sa.JSON()))
    op.add_column("lane", sa.Column("rules", sa.JSON()))
    # Notices were 4, which is now the priority of recoveries.
    op.execute("UPDATE delivery SET priority = 6 WHERE priority = 4 AND kind <> 'alert'")


def downgrade() -> None:
    op.execute("UPDATE delivery SET state = 'ready' WHERE state = 'merged'")
    op.execute("DELETE FROM delivery WHERE kind = 'digest'")
    op.execute("UPDATE delivery SET priority = 4 WHERE priority = 6")
    op.drop_column("lane", "rules")
    op.drop_column("lane", "cards")
    op.drop_column("lane", "calm_for")
    op.drop_column("lane", "calm_at")
    op.drop_index(
        "ix_delivery_digest",
        "delivery",
        sqlite_where=sa.text("digest_id IS NOT NULL"),
        postgresql_where=sa.text("digest_id IS NOT NULL"),
    )
    op.drop_column("delivery", "digest_id")
