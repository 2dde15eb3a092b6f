"""The audit log: who changed what, where and when. Callers mask what is secret before it comes here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from storage.database import Tx
from storage.rows import record
from storage.schema import audit


@dataclass(frozen=True, slots=True)
class AuditRow:
    id: int
    at: datetime
    person: str
    conversation: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def write(
    tx: Tx,
    now: datetime,
    person: str,
    conversation: str,
    action: str,
    subject: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    tx.conn.execute(
        audit.insert().values(
            at=now,
            person=person,
            conversation=conversation,
            action=action,
            subject=subject[:255],
            before=before,
            after=after,
        )
    )


def page(tx: Tx, limit: int, offset: int) -> tuple[int, list[AuditRow]]:
    """How many entries there are, and one page, newest first."""
    count = int(tx.conn.execute(select(func.count()).select_from(audit)).scalar_one())
    rows = tx.conn.execute(select(audit).order_by(audit.c.id.desc()).limit(limit).offset(offset))
    return count, [record(AuditRow, row) for row in rows]


def newest(tx: Tx) -> int:
    """The number of the last entry, 0 when there is none."""
    return int(tx.conn.scalar(select(func.coalesce(func.max(audit.c.id), 0))) or 0)


def last_of(tx: Tx, persons: Iterable[str], after: int, besides: Iterable[str]) -> tuple[str, str] | None:
    """Action and subject of what these identities did last besides such actions, if its number is above `after`."""
    query = select(audit.c.action, audit.c.subject).where(
        audit.c.person.in_(tuple(persons)), audit.c.id > after, audit.c.action.not_in(tuple(besides))
    )
    row = tx.conn.execute(query.order_by(audit.c.id.desc()).limit(1)).first()
    return (row.action, row.subject) if row else None


def last_to_change(tx: Tx, subject: str, since: datetime) -> str | None:
    """Who changed it last after that moment."""
    query = select(audit.c.person).where(audit.c.subject == subject[:255], audit.c.at > since)
    return tx.conn.scalar(query.order_by(audit.c.id.desc()).limit(1))
