"""How Alembic runs here: always online, on the connection that `Database.upgrade` hands over."""

from typing import Any, Literal

from alembic import context

from storage.schema import Moment, metadata


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Migrations are history: they name the column type as it is in the database, not our class of today."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Moment) else False


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_item=render_item)
with context.begin_transaction():
    context.run_migrations()
