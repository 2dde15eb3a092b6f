"""Bodies that sources sent, sealed and for a day: those that could not be read, and one that could, to try a mapping on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select

from storage.database import Tx
from storage.rows import record
from storage.schema import received_body

KEPT = timedelta(hours=24)

MOST_REFUSED = 5
"""Of one source; the oldest makes room."""


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """`path` and `say` tell what was wrong with it; None when it was accepted."""

    id: int
    at: datetime
    raw: str
    path: str | None
    say: Any


def keep(tx: Tx, source_id: int, raw: str, now: datetime, *, path: str | None = None, say: Any = None) -> None:
    """Adds a body: refused with what was wrong there, or accepted, in place of the one that was before."""
    own = received_body.c.source_id == source_id
    accepted = received_body.c.path.is_(None)
    if path is None:
        tx.conn.execute(delete(received_body).where(own, accepted))
    else:
        older = select(received_body.c.id).where(own, ~accepted).order_by(received_body.c.id.desc())
        stale = list(tx.conn.scalars(older.offset(MOST_REFUSED - 1).limit(100)))
        tx.conn.execute(delete(received_body).where(received_body.c.id.in_(stale)))
    tx.conn.execute(
        received_body.insert().values(source_id=source_id, at=now, raw=tx.vault.seal(raw), path=path, say=say)
    )


def refused(tx: Tx, source_id: int, now: datetime) -> list[ReceivedBody]:
    """The bodies that could not be read, newest first."""
    return _of(tx, source_id, now, only_refused=True)


def latest(tx: Tx, source_id: int, now: datetime) -> ReceivedBody | None:
    """The newest body of the source, whatever became of it."""
    return next(iter(_of(tx, source_id, now, only_refused=False)), None)


def _of(tx: Tx, source_id: int, now: datetime, *, only_refused: bool) -> list[ReceivedBody]:
    query = select(received_body).where(received_body.c.source_id == source_id, received_body.c.at >= now - KEPT)
    if only_refused:
        query = query.where(received_body.c.path.is_not(None))
    rows = tx.conn.execute(query.order_by(received_body.c.id.desc()))
    return [record(ReceivedBody, row, raw=tx.vault.open(row.raw)) for row in rows]


def purge(tx: Tx, before: datetime) -> int:
    """Removes what is older; how many."""
    return tx.conn.execute(delete(received_body).where(received_body.c.at < before)).rowcount
