"""What the DAS way of contacts needs: silences, receipts, imports, mappings, templates."""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
