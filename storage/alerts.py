"""Alerts: one row per condition and time it was open; at most one open row per source and fingerprint."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, column, delete, func, select, table, update

from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import record
from storage.schema import alert, contact_group, note


@dataclass(frozen=True, slots=True)
class AlertRow:
    """`id` is the number people type. `links` are pairs of label and URL."""

    id: int
    source_id: int | None
    source_name: str
    group_id: int | None
    fingerprint: str
    status: str
    severity: str
    title: str
    description: str
    rule: str
    labels: dict[str, str]
    annotations: dict[str, str]
    links: list[list[str]]
    starts_at: datetime | None
    ends_at: datetime | None
    first_at: datetime
    last_at: datetime
    sent_at: datetime
    repeats: int
    version: int
    acked_by: str | None
    acked_at: datetime | None
    resolved_by: str | None
    post: dict[str, Any] | None = None
    silence_id: int | None = None


@dataclass(frozen=True, slots=True)
class NoteRow:
    at: datetime
    person: str
    text: str


_SEQUENCE = table("sqlite_sequence", column("name"), column("seq"))
_SEVERAL = alert.insert().returning(alert.c.id, sort_by_parameter_order=True)


@lru_cache(100)
def _one(columns: tuple[str, ...]) -> Prepared:
    return Prepared(lambda: alert.insert().returning(alert.c.id), columns)


@lru_cache(100)
def _numbered(columns: tuple[str, ...]) -> Prepared:
    return Prepared(alert.insert, ("id", *columns))


_LAST_NUMBER = Prepared(lambda: select(_SEQUENCE.c.seq).where(_SEQUENCE.c.name == "alert"))
"""What AUTOINCREMENT remembers: the largest number that was ever given (https://www.sqlite.org/autoinc.html)."""

_NEWEST = Prepared(
    lambda: (
        select(alert)
        .where(
            alert.c.id.in_(
                select(func.max(alert.c.id))
                .where(
                    alert.c.source_id == bindparam("source"), alert.c.fingerprint.in_(bindparam("some", expanding=True))
                )
                .group_by(alert.c.fingerprint)
            )
        )
        .with_for_update()
    )
)


def newest(tx: Tx, source_id: int, fingerprints: Sequence[str]) -> dict[str, AlertRow]:
    """Fingerprint -> its newest alert, locked. Where one is firing it is the newest: the next is made after its end."""
    rows = _NEWEST.all(tx, source=source_id, some=list(fingerprints))
    return {row.fingerprint: record(AlertRow, row) for row in rows}


def add(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The numbers of the new alerts, in the order of the rows; all with the same columns."""
    if not rows:
        return []
    columns = tuple(rows[0])
    if len(rows) == 1:
        return [int(_one(columns).scalar(tx, **rows[0]))]
    if not tx.sqlite:  # one trip to the server for many of them
        return [int(number) for number in tx.conn.execute(_SEVERAL, list(rows)).scalars()]
    # Nobody else can write: the next numbers are known before.
    first = (_LAST_NUMBER.scalar(tx) or 0) + 1
    numbers = list(range(first, first + len(rows)))
    _numbered(columns).run_each(tx, [{"id": number, **row} for number, row in zip(numbers, rows, strict=True)])
    return numbers


def repeated(tx: Tx, alert_ids: Collection[int], now: datetime) -> None:
    """Counts one more report of each."""
    if alert_ids:
        own = alert.c.id.in_(alert_ids)
        tx.conn.execute(update(alert).where(own).values(repeats=alert.c.repeats + 1, last_at=now))


def change(tx: Tx, alert_id: int, **values: Any) -> None:
    to = {f"to_{name}": value for name, value in values.items()}
    _changing(tuple(values)).run(tx, id_=alert_id, **to)


@lru_cache(100)
def _changing(columns: tuple[str, ...]) -> Prepared:
    to: Any = {name: bindparam(f"to_{name}") for name in columns}
    return Prepared(lambda: update(alert).where(alert.c.id == bindparam("id_")).values(to))


def by_id(tx: Tx, alert_id: int, *, lock: bool = False) -> AlertRow | None:
    """The alert of that number; `lock` keeps reports of it waiting until this transaction ends."""
    if not 0 < alert_id < 2**63:
        return None
    row = (_LOCKED if lock else _BY_ID).first(tx, id_=alert_id)
    return record(AlertRow, row) if row else None


_BY_ID = Prepared(lambda: select(alert).where(alert.c.id == bindparam("id_")))
_LOCKED = Prepared(lambda: select(alert).where(alert.c.id == bindparam("id_")).with_for_update())


def by_ids(tx: Tx, alert_ids: Sequence[int]) -> dict[int, AlertRow]:
    rows = tx.conn.execute(select(alert).where(alert.c.id.in_(alert_ids)))
    return {row.id: record(AlertRow, row) for row in rows}


def latest(tx: Tx, source_id: int) -> AlertRow | None:
    """The newest alert of the source."""
    row = tx.conn.execute(
        select(alert).where(alert.c.source_id == source_id).order_by(alert.c.id.desc()).limit(1)
    ).first()
    return record(AlertRow, row) if row else None


def page(
    tx: Tx, *, group_id: int | None, only_open: bool, limit: int, offset: int
) -> tuple[int, list[tuple[AlertRow, str | None]]]:
    """How many alerts match, and one page of (alert, group name), newest first."""
    where = []
    if group_id is not None:
        where.append(alert.c.group_id == group_id)
    if only_open:
        where.append(alert.c.status == "firing")
    count = int(tx.conn.execute(select(func.count()).select_from(alert).where(*where)).scalar_one())
    query = (
        select(alert, contact_group.c.name.label("group_name"))
        .outerjoin(contact_group, contact_group.c.id == alert.c.group_id)
        .where(*where)
        .order_by(alert.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    return count, [(record(AlertRow, row), row.group_name) for row in tx.conn.execute(query)]


def open_count(tx: Tx) -> int:
    return int(tx.conn.execute(select(func.count()).where(alert.c.status == "firing")).scalar_one())


def add_note(tx: Tx, alert_id: int, person: str, text: str, now: datetime) -> None:
    tx.conn.execute(note.insert().values(alert_id=alert_id, at=now, person=person, text=text))


def notes(tx: Tx, alert_id: int) -> list[NoteRow]:
    """Notes on the alert, oldest first."""
    rows = tx.conn.execute(select(note).where(note.c.alert_id == alert_id).order_by(note.c.id))
    return [record(NoteRow, row) for row in rows]


def purge(tx: Tx, before: datetime) -> int:
    """Removes alerts that were over before, with their deliveries and notes; how many."""
    return tx.conn.execute(delete(alert).where(alert.c.status == "resolved", alert.c.last_at < before)).rowcount
