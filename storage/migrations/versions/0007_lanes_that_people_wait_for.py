"""Lanes in which a code, an answer or a test waits are known from those with critical alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lane", sa.Column("asked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_lane_asked",
        "lane",
        ["next_at"],
        sqlite_where=sa.text("asked = 1 AND next_at IS NOT NULL"),
        postgresql_where=sa.text("asked AND next_at IS NOT NULL"),
    )
    # Of what waits already nothing is asked until the lane is woken or given back: it goes as it went before.


def downgrade() -> None:
    op.drop_index("ix_lane_asked", "lane")
    op.drop_column("lane", "asked")
