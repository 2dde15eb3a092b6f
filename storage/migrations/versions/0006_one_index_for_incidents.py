"""One index of alerts by fingerprint instead of two."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FIRING = sa.text("status = 'firing'")


def upgrade() -> None:
    op.create_index(
        "uq_alert_incident",
        "alert",
        ["source_id", "fingerprint", sa.text("(CASE WHEN status = 'firing' THEN 0 ELSE id END)")],
        unique=True,
    )
    op.drop_index("ix_alert_fingerprint", table_name="alert")
    op.drop_index("uq_alert_open", table_name="alert", sqlite_where=FIRING, postgresql_where=FIRING)


def downgrade() -> None:
    op.create_index(
        "uq_alert_open",
        "alert",
        ["source_id", "fingerprint"],
        unique=True,
        sqlite_where=FIRING,
        postgresql_where=FIRING,
    )
    op.create_index("ix_alert_fingerprint", "alert", ["source_id", "fingerprint"], unique=False)
    op.drop_index("uq_alert_incident", table_name="alert")
