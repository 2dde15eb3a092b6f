"""Silences: which alerts stay quiet until when, and which of them one of these keeps quiet.

A silence that nobody and nothing has ended is active, also for the few seconds between its time and the transaction
that ends it: whoever stores an alert and whoever ends the silence agree on which of them came first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, func, select, update

from storage.alerts import AlertRow
from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import record
from storage.schema import alert, delivery, silence

MOST_AT_ONCE = 500
"""Numbers in one statement."""


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """`id` is the number people type. `matchers` are name, operator and value; all of them have to hold."""

    id: int
    matchers: list[list[str]]
    because: str
    person: str
    conversation: str
    language: str
    created_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    ended_by: str | None


def add(tx: Tx, **values: Any) -> SilenceRow:
    """A new silence, active from now on."""
    row = tx.conn.execute(silence.insert().values(**values).returning(silence)).one()
    return record(SilenceRow, row)


def active(tx: Tx) -> list[SilenceRow]:
    """All that are active, oldest first. They stay so until this transaction is over."""
    return [record(SilenceRow, row) for row in _ACTIVE.all(tx)]


_ACTIVE = Prepared(
    lambda: (
        select(silence)
        .where(silence.c.ended_at.is_(None))
        .order_by(silence.c.id)
        # PostgreSQL: else one of them could end, and tell what it hid, while we hide one more.
        .with_for_update(read=True)
    )
)


def by_id(tx: Tx, silence_id: int) -> SilenceRow | None:
    if not 0 < silence_id < 2**63:
        return None
    row = tx.conn.execute(select(silence).where(silence.c.id == silence_id)).first()
    return record(SilenceRow, row) if row else None


def page(tx: Tx, limit: int, offset: int) -> tuple[int, list[tuple[SilenceRow, int]]]:
    """How many are active, and one page of (silence, number of alerts it hides), the one that ends first first."""
    own = silence.c.ended_at.is_(None)
    count = int(tx.conn.execute(select(func.count()).where(own)).scalar_one())
    size = select(func.count()).where(alert.c.silence_id == silence.c.id).scalar_subquery()
    query = select(silence, size.label("size")).where(own).order_by(silence.c.ends_at, silence.c.id)
    rows = tx.conn.execute(query.limit(limit).offset(offset))
    return count, [(record(SilenceRow, row), row.size) for row in rows]


def due(tx: Tx, now: datetime) -> list[int]:
    """Those whose time is over and that nobody has ended yet."""
    query = select(silence.c.id).where(silence.c.ended_at.is_(None), silence.c.ends_at <= now)
    return list(tx.conn.scalars(query.order_by(silence.c.id)))


def end(tx: Tx, silence_id: int, person: str | None, now: datetime) -> SilenceRow | None:
    """Ends it; None when somebody else did, so that only one of several processes tells of it."""
    row = tx.conn.execute(
        update(silence)
        .where(silence.c.id == silence_id, silence.c.ended_at.is_(None))
        .values(ended_at=now, ended_by=person)
        .returning(silence)
    ).first()
    return record(SilenceRow, row) if row else None


def hidden(tx: Tx, silence_id: int) -> list[AlertRow]:
    """The alerts it hides, locked, oldest first."""
    rows = tx.conn.execute(select(alert).where(alert.c.silence_id == silence_id).order_by(alert.c.id).with_for_update())
    return [record(AlertRow, row) for row in rows]


def candidates(tx: Tx) -> list[AlertRow]:
    """Open alerts that no silence hides."""
    query = select(alert).where(alert.c.status == "firing", alert.c.silence_id.is_(None)).order_by(alert.c.id)
    return [record(AlertRow, row) for row in tx.conn.execute(query)]


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """In pieces that a statement has room for."""
    return (numbers[at : at + MOST_AT_ONCE] for at in range(0, len(numbers), MOST_AT_ONCE))


def hide(tx: Tx, silence_id: int | None, numbers: Sequence[int]) -> None:
    """Notes which silence hides these alerts, None: none any more. Their cards in chat are drawn anew."""
    for part in _parts(numbers):
        drawn_anew = case((alert.c.shown.is_not(None), 0))
        tx.conn.execute(update(alert).where(alert.c.id.in_(part)).values(silence_id=silence_id, shown=drawn_anew))


def release(tx: Tx, numbers: Sequence[int], now: datetime) -> None:
    """Nothing hides these alerts any more, and they are told now: as a version of their own."""
    for part in _parts(numbers):
        tx.conn.execute(
            update(alert).where(alert.c.id.in_(part)).values(silence_id=None, version=alert.c.version + 1, sent_at=now)
        )


def cancel_cards(tx: Tx, numbers: Sequence[int], now: datetime) -> None:
    """Cards of these alerts that nobody has begun to send are not sent any more."""
    for part in _parts(numbers):
        tx.conn.execute(
            update(delivery)
            .where(
                delivery.c.alert_id.in_(part),
                delivery.c.kind == "alert",
                delivery.c.state == "ready",
                delivery.c.begun_at.is_(None),
            )
            .values(state="cancelled", done_at=now, reason="silenced")
        )


def told(tx: Tx, numbers: Sequence[int]) -> set[int]:
    """Those of the alerts of which somebody got a card."""
    found: set[int] = set()
    for part in _parts(numbers):
        query = select(delivery.c.alert_id).where(
            delivery.c.alert_id.in_(part), delivery.c.kind == "alert", delivery.c.state == "sent"
        )
        found.update(tx.conn.scalars(query.distinct()))
    return found


def purge(tx: Tx, before: datetime) -> None:
    """Removes those that ended before."""
    tx.conn.execute(delete(silence).where(silence.c.ended_at < before))
