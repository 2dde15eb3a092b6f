"""Forgetting a person: what is theirs alone is deleted, and in what has to stay they get a pseudonym.

`sweep` is for what can only go later: the chats with people who were forgotten, and the lanes of chats, once nothing was
said in them for a day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, String, Table, cast, delete, exists, or_, select, update

from storage import undo
from storage.database import Tx
from storage.people import NOBODY, pseudonym, stand_in
from storage.schema import (
    alert,
    audit,
    batch,
    code,
    contact,
    contact_group,
    conversation,
    delivery,
    import_report,
    imported,
    lane,
    link_code,
    method,
    note,
    person,
    press,
    question,
    silence,
    source,
    template,
    undo_step,
    view,
    wrong_code,
)

SAID_BY: tuple[Column[Any], ...] = (
    alert.c.acked_by,
    alert.c.resolved_by,
    note.c.person,
    view.c.person,
    silence.c.person,
    silence.c.ended_by,
    source.c.created_by,
    contact.c.created_by,
    method.c.verified_by,
    template.c.set_by,
    audit.c.person,
)
"""Who did something that stays."""

HEARD_IN: tuple[Column[Any], ...] = (audit.c.conversation, silence.c.conversation, method.c.conversation)
"""Where it was said, which may be a one-to-one chat."""

OWN: tuple[Column[Any], ...] = (question.c.person, press.c.person, link_code.c.person, undo_step.c.person)
"""Rows that are about nothing else."""

TOLD: tuple[Column[Any], ...] = (
    audit.c.subject,
    audit.c.before,
    audit.c.after,
    delivery.c.contact_name,
    delivery.c.say,
    delivery.c.dedupe,
    note.c.text,
    silence.c.because,
    contact_group.c.note,
    press.c.says,
)
"""Texts, and JSON with texts in it, in which a name may stand."""

ABOUT = ("contact add", "contact edit", "contact import", "contact remove", "verify", "disable", "undo")
"""Actions of the log that tell what became of a contact."""

ADDRESSES = ("addresses", "added", "removed", "secret of", "method")
"""Under what their entries have masked addresses."""

SEALED: tuple[tuple[Table, Column[Any]], ...] = (
    (question, question.c.body),
    (batch, batch.c.body),
    (import_report, import_report.c.body),
)
"""What lasts for a day at most, and goes as a whole when it names the person."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`alias` is what the person is called from now on."""

    alias: str
    addresses: int


def former_names(tx: Tx, name: str) -> list[str]:
    """What the contact was called before, as far as the log knows."""
    names, at = [name], 0
    while at < len(names):
        renamed = select(audit.c.before, audit.c.after).where(
            _says(audit.c.after, [names[at]]), audit.c.before.is_not(None)
        )
        for row in tx.conn.execute(renamed):
            before, after = (row.before or {}).get("name"), (row.after or {}).get("name")
            if after == names[at] and isinstance(before, str) and before not in names:
                names.append(before)
        at += 1
    return names[1:]


def _earlier(tx: Tx, ids: Collection[str], called: Collection[str]) -> tuple[list[str], list[str]]:
    """Names and masked addresses of the contacts these people had, which may be gone; `called`: what people call them.

    A contact is followed through the log from where it became theirs to where it was removed: before and after, its name
    may have been somebody else's.
    """
    names: dict[str, None] = {}
    masked: dict[str, None] = {}
    alive: set[str] = set()
    removed: set[str] = set()
    for row in tx.conn.execute(select(audit).where(audit.c.action.in_(ABOUT)).order_by(audit.c.id)):
        before, after = row.before or {}, row.after or {}
        back = after.get("taken back", ())
        theirs = after.get("person", ())
        if any(one in ids for one in ([theirs] if isinstance(theirs, str) else theirs)) or (
            # What older versions wrote does not tell whose it is.
            row.action == "contact add" and row.person in ids and row.subject in called and "person" not in after
        ):
            alive |= {row.subject}
        elif row.action == "contact add":
            alive.discard(row.subject)
        elif any(f"contact remove {one}" in back for one in removed):
            alive, removed = removed, set()
        if before.get("name") in alive and isinstance(after.get("name"), str):
            alive.add(after["name"])
        names |= dict.fromkeys(sorted(alive))
        if row.subject not in alive:
            continue
        for values in (before, after):
            for one in (values.get(key) or () for key in ADDRESSES):
                listed = [one] if isinstance(one, str) else one
                masked |= dict.fromkeys(text for text in listed if " " not in text)  # an import lists groups as well
        if row.action == "contact remove" or f"contact add {row.subject}" in back:
            alive, removed = set(), alive
    return list(names), list(masked)


def forget(tx: Tx, person_ids: Collection[str], contact_id: int | None, now: datetime) -> Forgotten:
    """Deletes and renames everything about these identities of one human, and their contact with all that is its."""
    ids = sorted(person_ids)
    alias = pseudonym(tx, ids[0], now)
    places = _chats(tx, ids)
    terms = [*ids, *places]
    own = tx.conn.execute(select(method).where(method.c.contact_id == contact_id)).all() if contact_id else []
    terms += [one for row in own for one in (tx.vault.open(row.address), row.masked)]
    name = tx.conn.scalar(select(contact.c.name).where(contact.c.id == contact_id)) if contact_id else None
    called = list(tx.conn.scalars(select(person.c.name).where(person.c.id.in_(ids), person.c.name != "")))
    earlier, masked = _earlier(tx, ids, called)
    terms += masked
    names = list(dict.fromkeys([*([name, *former_names(tx, name)] if name else ()), *earlier]))
    lanes = [f"person:{one}" for one in ids] + [f"chat:{one}" for one in places]
    _forget_messages(tx, [row.id for row in own], lanes, now)
    sent = delivery.c.contact_name.in_(names), delivery.c.masked.in_(masked)
    tx.conn.execute(update(delivery).where(*sent, delivery.c.method_id.is_(None)).values(masked=""))
    for column in OWN:
        tx.conn.execute(delete(column.table).where(column.in_(ids)))
    _forget_steps(tx, ids, contact_id)
    for one in ids:  # the limits of codes outlast this, under a name that only these two tables know
        tx.conn.execute(update(code).where(code.c.person == one).values(person=stand_in(tx, one)))
        tx.conn.execute(update(wrong_code).where(wrong_code.c.person == one).values(person=stand_in(tx, one)))
    tx.conn.execute(update(code).where(code.c.conversation.in_(places)).values(conversation=""))
    tx.conn.execute(delete(view).where(view.c.conversation.in_(places)))
    if contact_id is not None:
        tx.conn.execute(delete(imported).where(imported.c.contact_id == contact_id))
        tx.conn.execute(delete(contact).where(contact.c.id == contact_id))
    tx.conn.execute(delete(person).where(person.c.id.in_(ids)))
    # The last answer is still to be said there; `sweep` does the rest.
    stripped = {"person": alias, "title": "", "language": None}
    tx.conn.execute(update(conversation).where(conversation.c.id.in_(places)).values(stripped))
    for column in SAID_BY:
        tx.conn.execute(update(column.table).where(column.in_(ids)).values({column.key: alias}))
    for column in HEARD_IN:
        tx.conn.execute(update(column.table).where(column.in_(places)).values({column.key: ""}))
    others = frozenset(tx.conn.scalars(select(contact.c.name)))
    taken = others.union(*(tx.conn.scalars(select(table.c.name)) for table in (contact_group, source)))
    names += [one for one in called if one not in names and one not in taken and (len(one) > 1 or one.isascii())]
    words = Words(terms, names, alias, others)
    for column in TOLD:
        _rename(tx, column, words)
    for table, column in SEALED:
        for row in tx.conn.execute(select(*table.primary_key.columns, column)).all():
            if words.told(tx.vault.open(row[-1])):
                tx.conn.execute(delete(table).where(*_same(table, row)))
    return Forgotten(alias, len(own))


def sweep(tx: Tx) -> None:
    """Removes lanes of chats, and chats with people who were forgotten, to which no message is kept any more."""
    idle = lane.c.owner.is_(None), lane.c.next_at.is_(None)
    talk = or_(lane.c.key.like("chat:%"), lane.c.key.like("person:%"))
    tx.conn.execute(delete(lane).where(*idle, talk, ~exists().where(delivery.c.lane == lane.c.key)))
    nobody = conversation.c.person.like(f"{NOBODY}%"), ~exists().where(delivery.c.lane == "chat:" + conversation.c.id)
    tx.conn.execute(delete(conversation).where(*nobody))


class Words:
    """The words by which somebody is known, and what stands in their place."""

    def __init__(self, terms: Iterable[str], names: Iterable[str], alias: str, others: frozenset[str]) -> None:
        self.known = tuple(dict.fromkeys(sorted((*filter(None, terms), *names), key=len, reverse=True)))
        self._alias = alias
        self._others = others
        exact = set(terms)
        # A name of Latin letters is a word of its own; in Chinese nothing tells where one ends.
        parts = [
            re.escape(one) if one in exact or not one.isascii() else rf"(?<!\w){re.escape(one)}(?!\w)"
            for one in self.known
        ]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def renamed(self, value: Any) -> Any:
        """The text, or JSON, with the pseudonym in their place; what is the name of another contact stays."""
        if isinstance(value, str):
            return value if self._pattern is None or value in self._others else self._pattern.sub(self._alias, value)
        if isinstance(value, Mapping):
            return {key: self.renamed(one) for key, one in value.items()}
        return [self.renamed(one) for one in value] if isinstance(value, list) else value

    def told(self, body: str) -> bool:
        """Whether a JSON text names the person."""
        value = json.loads(body)
        return bool(self.renamed(value) != value)


def _chats(tx: Tx, ids: Collection[str]) -> list[str]:
    """Ids of the one-to-one chats with these people."""
    own = conversation.c.direct.is_(True), conversation.c.person.in_(ids)
    return list(tx.conn.scalars(select(conversation.c.id).where(*own)))


def _forget_messages(tx: Tx, method_ids: Collection[int], lanes: Collection[str], now: datetime) -> None:
    """What waits for the person does not go out, and what was said to them is deleted; of sent alerts the log stays."""
    theirs = or_(delivery.c.method_id.in_(method_ids), delivery.c.lane.in_(lanes))
    waiting = delivery.c.state.in_(("ready", "merged"))
    over = {"state": "cancelled", "done_at": now}  # not deleted: one of them may just be on its way
    tx.conn.execute(update(delivery).where(theirs, waiting).values(over))
    tx.conn.execute(update(delivery).where(theirs).values(masked="", payload=None))
    settled = delivery.c.done_at < now
    tx.conn.execute(delete(delivery).where(delivery.c.lane.in_(lanes), settled))


def _forget_steps(tx: Tx, ids: Collection[str], contact_id: int | None) -> None:
    """Nobody brings the contact back by `undo`."""
    for step in undo.every(tx):
        changes = step.body["changes"]
        if any(
            (part == "contact" and json.loads(key) == [contact_id])
            or (part in ("person", "role") and json.loads(key)[0] in ids)
            or (contact_id and contact_id in ((before or {}).get("contact_id"), (after or {}).get("contact_id")))
            for part, key, before, after in changes
        ):
            undo.drop(tx, step.id)


def _says(column: Column[Any], words: Iterable[str]) -> Any:
    """Whether a text, or JSON as it is stored, has one of these in it."""
    text = cast(column, String)
    ways = {way for word in words for way in (word, json.dumps(word)[1:-1])}
    return or_(*(text.contains(way, autoescape=True) for way in sorted(ways)))


def _rename(tx: Tx, column: Column[Any], words: Words) -> None:
    table = column.table
    if not words.known:
        return
    for row in tx.conn.execute(select(*table.primary_key.columns, column).where(_says(column, words.known))).all():
        new = words.renamed(row[-1])
        if new != row[-1]:
            length = getattr(column.type, "length", None)
            stored = new[:length] if isinstance(new, str) and length else new
            tx.conn.execute(update(table).where(*_same(table, row)).values({column.key: stored}))


def _same(table: Table, row: Any) -> list[Any]:
    return [key == value for key, value in zip(table.primary_key.columns, row, strict=False)]
