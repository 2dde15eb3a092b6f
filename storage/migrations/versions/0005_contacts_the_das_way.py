"""What the DAS way of contacts needs: silences, receipts, imports, mappings, templates."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source", sa.Column("mapping", sa.JSON(), nullable=True))
    op.add_column("alert", sa.Column("post", sa.JSON(), nullable=True))
    op.create_table(
        "received_body",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("say", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name=op.f("fk_received_body_source_id_source"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_received_body")),
    )
    op.create_index(op.f("ix_received_body_source_id"), "received_body", ["source_id"], unique=False)
    op.add_column("contact", sa.Column("language", sa.String(length=8), nullable=True))
    op.add_column("contact", sa.Column("timezone", sa.String(length=64), nullable=True))
    op.add_column("contact", sa.Column("mention", sa.String(length=8), nullable=True))
    op.create_table(
        "template",
        sa.Column("source_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("set_by", sa.String(length=255), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name=op.f("fk_template_source_id_source"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source_id", "part", name=op.f("pk_template")),
    )
    op.add_column("lane", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_lane_urgent",
        "lane",
        ["next_at"],
        sqlite_where=sa.text("urgent = 1 AND next_at IS NOT NULL"),
        postgresql_where=sa.text("urgent AND next_at IS NOT NULL"),
    )
    op.add_column("inbound", sa.Column("sender", sa.String(length=64), nullable=True))
    op.create_index(
        "ix_inbound_sender",
        "inbound",
        ["sender", "id"],
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    )
    op.add_column("delivery", sa.Column("arrived_at", sa.BigInteger(), nullable=True))
    op.add_column("delivery", sa.Column("ask_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_delivery_ask",
        "delivery",
        ["ask_at"],
        sqlite_where=sa.text("ask_at IS NOT NULL"),
        postgresql_where=sa.text("ask_at IS NOT NULL"),
    )
    op.create_table(
        "imported",
        sa.Column("source", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name_key", sa.String(length=256), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("contact_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("group_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contact.id"], name=op.f("fk_imported_contact_id_contact"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["contact_group.id"], name=op.f("fk_imported_group_id_contact_group"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("source", "kind", "name_key", name=op.f("pk_imported")),
    )
    op.create_index(op.f("ix_imported_contact_id"), "imported", ["contact_id"], unique=False)
    op.create_table(
        "import_report",
        sa.Column(
            "delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_import_report")),
    )
    op.create_table(
        "reading",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("read_to", sa.BigInteger(), nullable=True),
        sa.Column("fails", sa.Integer(), server_default="0", nullable=False),
        sa.Column("run", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_reading")),
    )
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "silence",
        sa.Column("id", key, nullable=False),
        sa.Column("matchers", sa.JSON(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("conversation", sa.String(length=255), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_silence")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_silence_active",
        "silence",
        ["ends_at"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "view",
        sa.Column("alert_id", key, nullable=False),
        sa.Column("conversation", sa.String(length=255), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_view_alert_id_alert"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alert_id", "conversation", name=op.f("pk_view")),
    )
    op.add_column("alert", sa.Column("silence_id", key, nullable=True))
    op.add_column("alert", sa.Column("shown", sa.Integer(), nullable=True))
    op.create_index(
        "ix_alert_silence",
        "alert",
        ["silence_id"],
        sqlite_where=sa.text("silence_id IS NOT NULL"),
        postgresql_where=sa.text("silence_id IS NOT NULL"),
    )
    op.create_index(
        "ix_alert_stale",
        "alert",
        ["id"],
        sqlite_where=sa.text("shown < version"),
        postgresql_where=sa.text("shown < version"),
    )
    op.add_column("conversation", sa.Column("person", sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_conversation_person"), "conversation", ["person"], unique=False)
    op.create_table(
        "undo_step",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person", sa.String(length=255), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_undo_step")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_undo_step_person"), "undo_step", ["person"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_undo_step_person"), table_name="undo_step")
    op.drop_table("undo_step")
    op.drop_index(op.f("ix_conversation_person"), table_name="conversation")
    op.drop_column("conversation", "person")
    op.drop_index("ix_alert_stale", table_name="alert")
    op.drop_index("ix_alert_silence", table_name="alert")
    op.drop_column("alert", "shown")
    op.drop_column("alert", "silence_id")
    op.drop_table("view")
    op.drop_index("ix_silence_active", table_name="silence")
    op.drop_table("silence")
    op.drop_table("reading")
    op.drop_table("import_report")
    op.drop_index(op.f("ix_imported_contact_id"), table_name="imported")
    op.drop_table("imported")
    op.drop_index(
        "ix_delivery_ask",
        "delivery",
        sqlite_where=sa.text("ask_at IS NOT NULL"),
        postgresql_where=sa.text("ask_at IS NOT NULL"),
    )
    op.drop_column("delivery", "ask_at")
    op.drop_column("delivery", "arrived_at")
    op.drop_index("ix_inbound_sender", "inbound")
    op.drop_column("inbound", "sender")
    op.drop_index("ix_lane_urgent", "lane")
    op.drop_column("lane", "urgent")
    op.drop_table("template")
    op.drop_column("contact", "mention")
    op.drop_column("contact", "timezone")
    op.drop_column("contact", "language")
    op.drop_index(op.f("ix_received_body_source_id"), table_name="received_body")
    op.drop_table("received_body")
    op.drop_column("alert", "post")
    op.drop_column("source", "mapping")
