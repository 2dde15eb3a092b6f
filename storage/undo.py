"""What changes did to the rows of contacts, groups and sources, for ten minutes: so that they can be taken back exactly.

A change is remembered as its rows before and after it, with the sealed columns as they are, and sealed as a whole. Some
parts are whole rows that come and go; of others only the columns that point to the subject are watched, since their rows
have lives of their own (`LINKS`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Table, and_, delete, insert, or_, select, update

from storage.database import Tx
from storage.schema import (
    Moment,
    alert,
    code,
    contact,
    contact_group,
    delivery,
    from_ms,
    imported,
    member,
    method,
    person,
    source,
    template,
    to_ms,
    undo_step,
)

Scope = Literal["contact", "group", "source", "person"]

Values = dict[str, Any]
Rows = dict[tuple[str, str], Values]
"""Part and key of a row, the latter as JSON -> its columns as JSON has them."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are watched. `watched`: of rows with a life of their own, the columns; () for whole rows.

    passing  columns that change by themselves: they do not make a row that was added another one
    """

    table: Table
    key: tuple[str, ...]
    watched: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()


PARTS: dict[str, Part] = {
    "contact_group": Part(contact_group, ("id",)),
    "contact": Part(contact, ("id",)),
    "source": Part(source, ("id",), passing=("seen_at",)),
    "template": Part(template, ("source_id", "part"), passing=("failed_at", "failure")),
    # An address that was added goes again whatever became of it.
    "method": Part(method, ("id",), passing=("state", "reason", "conversation", "verified_at", "verified_by")),
    "member": Part(member, ("group_id", "contact_id")),
    "target": Part(source, ("id",), ("group_id",)),
    "person": Part(person, ("id",), ("contact_id",)),
    "role": Part(person, ("id",), ("admin",)),
    "imported": Part(imported, ("source", "kind", "name_key"), ("contact_id", "group_id")),
    "code": Part(code, ("id",), ("method_id",)),
    "alert": Part(alert, ("id",), ("source_id", "group_id")),
}
"""In the order in which rows may be written, so that what they point to is there."""

LINKS = frozenset(name for name, part in PARTS.items() if part.watched)

LIVELY = frozenset({"code", "alert"})
"""Links that come by themselves: a new one is nothing that somebody did to the subject."""

PARENTS: dict[str, str] = {
    "contact_id": "contact",
    "group_id": "contact_group",
    "source_id": "source",
    "method_id": "method",
}
"""Column -> the part it points to."""

GONE = "gone"
"""The reason of a dead letter whose address, or what it leads to, is not there any more."""

MOST_AT_ONCE = 500
"""Messages that are written with one statement."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that can be taken back; `body` is opened."""

    id: int
    person: str
    at: datetime
    body: dict[str, Any]


def image(tx: Tx, scope: Scope, subject: int | str) -> Rows:
    """The rows of a contact, group or source, or the role of a person, as they are now."""
    clauses: dict[str, ColumnElement[bool]]
    if scope == "contact":
        own = select(method.c.id).where(method.c.contact_id == subject)
        clauses = {
            "contact": contact.c.id == subject,
            "method": method.c.contact_id == subject,
            "member": member.c.contact_id == subject,
            "person": person.c.contact_id == subject,
            "imported": imported.c.contact_id == subject,
            "code": and_(code.c.method_id.in_(own), code.c.state == "issued"),
        }
    elif scope == "group":
        clauses = {
            "contact_group": contact_group.c.id == subject,
            "member": member.c.group_id == subject,
            "target": source.c.group_id == subject,
            "imported": imported.c.group_id == subject,
            "alert": and_(alert.c.group_id == subject, alert.c.status == "firing"),
        }
    elif scope == "source":
        clauses = {
            "source": source.c.id == subject,
            "template": template.c.source_id == subject,
            "alert": and_(alert.c.source_id == subject, alert.c.status == "firing"),
        }
    else:
        clauses = {"role": person.c.id == subject}
    found: Rows = {}
    for name, clause in clauses.items():
        found |= _read(tx, name, clause)
    return found


def current(tx: Tx, rows: Iterable[tuple[str, str]]) -> Rows:
    """Those of these rows that are there now, locked until the transaction ends."""
    found: Rows = {}
    for name, key in rows:
        found |= _read(tx, name, _is(name, key), lock=True)
    return found


def named_so(tx: Tx, name: str, row: Mapping[str, Any]) -> int | None:
    """The contact, group or source that has the name of this row now."""
    if "name_key" not in row or name in LINKS:
        return None
    table = PARTS[name].table
    found = tx.conn.scalar(select(table.c.id).where(table.c.name_key == row["name_key"]))
    return None if found is None else int(found)


def present(tx: Tx, name: str, row_id: int) -> bool:
    """Whether there is a contact, group, source or method of that id."""
    table = PARTS[name].table
    return tx.conn.scalar(select(table.c.id).where(table.c.id == row_id)) is not None


def waiting(tx: Tx, contact_id: int) -> dict[int, list[int]]:
    """Method of the contact -> the messages that wait for it, or of which the provider is still asked."""
    open_ = or_(delivery.c.state.in_(("ready", "merged")), delivery.c.ask_at.is_not(None))
    query = select(delivery.c.method_id, delivery.c.id).join(method, method.c.id == delivery.c.method_id)
    found: dict[int, list[int]] = {}
    for method_id, delivery_id in tx.conn.execute(query.where(method.c.contact_id == contact_id, open_)):
        found.setdefault(method_id, []).append(delivery_id)
    return found


def attach(tx: Tx, method_id: int, delivery_ids: Sequence[int], now: datetime, *, asked: Collection[str]) -> set[str]:
    """Gives the messages to the method again, now that it is back; the lanes to wake.

    Those that were given up meanwhile because there was no address wait again, except those whose end was told to
    somebody (codes, tests). What became of those that were sent the provider is asked again, on the channels in `asked`.
    """
    lanes: set[str] = set()
    for start in range(0, len(delivery_ids), MOST_AT_ONCE):
        own = delivery.c.id.in_(delivery_ids[start : start + MOST_AT_ONCE])
        lost = and_(own, delivery.c.method_id.is_(None))
        tx.conn.execute(update(delivery).where(lost).values(method_id=method_id))
        given_up = and_(
            own, delivery.c.state == "dead", delivery.c.reason == GONE, delivery.c.kind.in_(("alert", "notice"))
        )
        again = {"state": "ready", "due_at": now, "done_at": None, "digest_id": None, "reason": "", "say": None}
        tx.conn.execute(update(delivery).where(given_up).values(**again))
        unknown = and_(own, delivery.c.state == "sent", delivery.c.arrived_at.is_(None), delivery.c.ask_at.is_(None))
        tx.conn.execute(update(delivery).where(unknown, delivery.c.channel.in_(asked)).values(ask_at=now))
        lanes.update(tx.conn.scalars(select(delivery.c.lane).where(own, delivery.c.state == "ready").distinct()))
    return lanes


def write(tx: Tx, name: str, key: str, values: Mapping[str, Any], *, new: bool) -> None:
    """Writes the row anew with all its columns, or changes these of it."""
    table = PARTS[name].table
    columns = {column: _stored(table, column, value) for column, value in values.items()}
    tx.conn.execute(insert(table).values(**columns) if new else update(table).where(_is(name, key)).values(**columns))


def remove(tx: Tx, name: str, key: str) -> None:
    tx.conn.execute(delete(PARTS[name].table).where(_is(name, key)))


def keep(tx: Tx, person_id: str, body: Mapping[str, Any], now: datetime) -> None:
    """Remembers a change of this person."""
    tx.conn.execute(undo_step.insert().values(person=person_id, at=now, body=tx.vault.seal(json.dumps(body))))


def latest(tx: Tx, person_ids: Iterable[str], since: datetime) -> Step | None:
    """The last change of this human that is still remembered."""
    mine = undo_step.c.person.in_(tuple(person_ids)), undo_step.c.at > since
    row = tx.conn.execute(select(undo_step).where(*mine).order_by(undo_step.c.id.desc()).limit(1)).first()
    return Step(row.id, row.person, row.at, json.loads(tx.vault.open(row.body))) if row else None


def every(tx: Tx) -> list[Step]:
    return [
        Step(row.id, row.person, row.at, json.loads(tx.vault.open(row.body)))
        for row in tx.conn.execute(select(undo_step).order_by(undo_step.c.id))
    ]


def mark(tx: Tx, step: Step, **more: Any) -> None:
    """Changes what is remembered beside the change itself."""
    body = tx.vault.seal(json.dumps(step.body | more))
    tx.conn.execute(update(undo_step).where(undo_step.c.id == step.id).values(body=body))


def drop(tx: Tx, step_id: int) -> None:
    tx.conn.execute(delete(undo_step).where(undo_step.c.id == step_id))


def forget(tx: Tx, before: datetime) -> None:
    """Removes what can no longer be taken back."""
    tx.conn.execute(delete(undo_step).where(undo_step.c.at <= before))


def _read(tx: Tx, name: str, clause: ColumnElement[bool], *, lock: bool = False) -> Rows:
    part = PARTS[name]
    columns = [part.table.c[column] for column in (*part.key, *part.watched)] if part.watched else [*part.table.c]
    query = select(*columns).where(clause)
    found: Rows = {}
    for row in tx.conn.execute(query.with_for_update() if lock else query):
        values = {column: _plain(value) for column, value in row._mapping.items()}
        key = json.dumps([values[column] for column in part.key])
        found[name, key] = {column: values[column] for column in part.watched} if part.watched else values
    return found


def _is(name: str, key: str) -> ColumnElement[bool]:
    part = PARTS[name]
    return and_(*(part.table.c[column] == value for column, value in zip(part.key, json.loads(key), strict=True)))


def _plain(value: Any) -> Any:
    return to_ms(value) if isinstance(value, datetime) else value


def _stored(table: Table, column: str, value: Any) -> Any:
    return from_ms(value) if value is not None and isinstance(table.c[column].type, Moment) else value
