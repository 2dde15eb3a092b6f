"""Templates that stand in for parts of the standard card of a source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update

from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import record, upsert
from storage.schema import template

FAILURE_MAX_CHARS = 255
"""Of the column; PostgreSQL does not cut by itself."""


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """`failed_at` and `failure` are of the last time it could not be filled in, since it was set."""

    source_id: int
    part: str
    body: str
    set_by: str
    set_at: datetime
    failed_at: datetime | None
    failure: str | None


def of_source(tx: Tx, source_id: int) -> list[TemplateRow]:
    """The templates of the source, by part."""
    return [record(TemplateRow, row) for row in _OF_SOURCE.all(tx, source=source_id)]


_OF_SOURCE = Prepared(
    lambda: select(template).where(template.c.source_id == bindparam("source")).order_by(template.c.part)
)


def put(tx: Tx, source_id: int, part: str, body: str, person: str, now: datetime) -> None:
    """Sets the template; what is known of the failures of the one before is forgotten."""
    values = {"body": body, "set_by": person, "set_at": now, "failed_at": None, "failure": None}
    upsert(tx, template, ("source_id", "part"), {"source_id": source_id, "part": part, **values})


def failed(tx: Tx, row: TemplateRow, failure: str, now: datetime) -> None:
    """Notes the failure, unless somebody has set another template meanwhile."""
    tx.conn.execute(
        update(template)
        .where(
            template.c.source_id == row.source_id,
            template.c.part == row.part,
            template.c.set_at == row.set_at,
        )
        .values(failed_at=now, failure=failure[:FAILURE_MAX_CHARS])
    )


def clear(tx: Tx, source_id: int, part: str) -> None:
    tx.conn.execute(delete(template).where(template.c.source_id == source_id, template.c.part == part))
