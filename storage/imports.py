"""What other systems said of their contacts when they were read last, the reports of that, and when the next is due."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, or_, select, update

from storage.database import Tx
from storage.rows import insert_or_ignore, record, upsert
from storage.schema import contact, contact_group, import_report, imported, member, method, reading

Kind = Literal["contact", "group"]


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One contact or group of a source. `contact_id` and `group_id` are None once ours was removed."""

    source: str
    kind: Kind
    name_key: str
    name: str
    contact_id: int | None
    group_id: int | None
    body: dict[str, Any]
    gone_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownMethod:
    """A method of ours, its address as a digest only."""

    id: int
    channel: str
    address_key: str
    masked: str
    state: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Something that is read from outside again and again."""

    key: str
    due_at: datetime | None
    read_to: datetime | None
    fails: int
    run: int | None


def of_source(tx: Tx, source: str, kind: Kind) -> dict[str, ImportedRow]:
    """By the key of the name."""
    rows = tx.conn.execute(select(imported).where(imported.c.source == source, imported.c.kind == kind))
    return {row.name_key: record(ImportedRow, row) for row in rows}


def of_contact(tx: Tx, contact_id: int) -> list[ImportedRow]:
    """What each source says of a contact of ours."""
    rows = tx.conn.execute(select(imported).where(imported.c.contact_id == contact_id).order_by(imported.c.source))
    return [record(ImportedRow, row) for row in rows]


def keep(tx: Tx, row: ImportedRow) -> None:
    """Writes the row in place of the one that was kept before."""
    values = {
        "source": row.source,
        "kind": row.kind,
        "name_key": row.name_key,
        "name": row.name,
        "contact_id": row.contact_id,
        "group_id": row.group_id,
        "body": row.body,
        "gone_at": row.gone_at,
    }
    upsert(tx, imported, ("source", "kind", "name_key"), values)


def contact_ids(tx: Tx) -> dict[str, int]:
    """All our contacts by the key of their name."""
    return {row.name_key: row.id for row in tx.conn.execute(select(contact.c.name_key, contact.c.id))}


def group_notes(tx: Tx) -> dict[str, tuple[int, str]]:
    """All our groups, id and note, by the key of their name."""
    query = select(contact_group.c.name_key, contact_group.c.id, contact_group.c.note)
    return {row.name_key: (row.id, row.note) for row in tx.conn.execute(query)}


def methods(tx: Tx) -> dict[int, list[KnownMethod]]:
    """All methods by contact, oldest first; nothing is opened."""
    found: dict[int, list[KnownMethod]] = {}
    for row in tx.conn.execute(select(method).order_by(method.c.id)):
        found.setdefault(row.contact_id, []).append(record(KnownMethod, row))
    return found


def members(tx: Tx) -> dict[int, dict[int, str]]:
    """Group -> id and name of each of its contacts."""
    found: dict[int, dict[int, str]] = {}
    query = select(member.c.group_id, contact.c.id, contact.c.name).join(contact, contact.c.id == member.c.contact_id)
    for row in tx.conn.execute(query):
        found.setdefault(row.group_id, {})[row.id] = row.name
    return found


def save_report(tx: Tx, delivery_id: int, body: Mapping[str, Any], now: datetime, keep_for: timedelta) -> None:
    """Keeps what an import came to, so that a long answer can be continued; forgets old ones."""
    tx.conn.execute(delete(import_report).where(import_report.c.at < now - keep_for))
    values = {"delivery_id": delivery_id, "body": tx.vault.seal(json.dumps(body)), "at": now}
    upsert(tx, import_report, ("delivery_id",), values)


def report(tx: Tx, delivery_id: int) -> dict[str, Any] | None:
    sealed = tx.conn.scalar(select(import_report.c.body).where(import_report.c.delivery_id == delivery_id))
    return json.loads(tx.vault.open(sealed)) if sealed else None


def hold(tx: Tx, key: str) -> Reading:
    """The reading, locked until this transaction ends; made when it is new."""
    insert_or_ignore(tx, reading, [{"key": key, "fails": 0}])
    row = tx.conn.execute(select(reading).where(reading.c.key == key).with_for_update()).one()
    return record(Reading, row)


def applied(tx: Tx, key: str, delivery_id: int) -> None:
    """Notes that what this delivery read is written."""
    tx.conn.execute(update(reading).where(reading.c.key == key).values(run=delivery_id))


def claim(tx: Tx, key: str, now: datetime, every: timedelta, latest: timedelta | None = None) -> Reading | None:
    """The reading as it was before, when it is due; then it is due next after `every`, so that of several processes one
    does it. None: not now.

    What was never read is due, and so is what was read less often once: what is due later than in twice `latest`, as
    the clock of whoever claimed it last may be ahead of ours.
    """
    insert_or_ignore(tx, reading, [{"key": key, "fails": 0}])
    due = or_(reading.c.due_at.is_(None), reading.c.due_at <= now, reading.c.due_at > now + 2 * (latest or every))
    claimed = tx.conn.execute(update(reading).where(reading.c.key == key, due).values(due_at=now + every)).rowcount
    return hold(tx, key) if claimed else None


def begin(tx: Tx, key: str, read_to: datetime) -> None:
    """Notes from when on events are wanted, unless that is known: what happens while they cannot be read is not lost."""
    tx.conn.execute(update(reading).where(reading.c.key == key, reading.c.read_to.is_(None)).values(read_to=read_to))


def read(tx: Tx, key: str, read_to: datetime, due_at: datetime) -> None:
    """Notes that everything up to `read_to` was taken in."""
    tx.conn.execute(update(reading).where(reading.c.key == key).values(read_to=read_to, due_at=due_at, fails=0))


def failed(tx: Tx, key: str, due_at: datetime) -> None:
    """Notes that it did not work, and when it is tried again."""
    tx.conn.execute(update(reading).where(reading.c.key == key).values(due_at=due_at, fails=reading.c.fails + 1))
