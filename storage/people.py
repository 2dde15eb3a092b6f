"""People (chat identities), the conversations they talk in, and the questions that are open there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import record, upsert
from storage.schema import conversation, person, question, to_ms


@dataclass(frozen=True, slots=True)
class PersonRow:
    id: str
    name: str
    contact_id: int | None
    admin: bool
    language: str | None


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """`reply_url` is where an answer may be posted until `reply_until`, where the platform has such a thing."""

    id: str
    platform: str
    direct: bool
    title: str
    language: str | None
    reply_url: str
    reply_until: datetime | None


NOBODY = "person "
"""How the names of people who were forgotten begin; no id of a person does."""


def pseudonym(tx: Tx, person_id: str, now: datetime) -> str:
    """What a person is called who is forgotten now: another name each time, so that the log does not join two lives."""
    return f"{NOBODY}{tx.vault.digest('forgotten', f'{person_id} {to_ms(now)}')[:8]}"


def stand_in(tx: Tx, person_id: str) -> str:
    """By what the limits of codes know a person who was forgotten: always the same, and it stands nowhere else."""
    return f"{NOBODY}{tx.vault.digest('limits', person_id)[:8]}"


def seen(tx: Tx, person_id: str, name: str, now: datetime) -> PersonRow:
    """Remembers that this person spoke, and gives what is known of them. A name that is not told stays the known one."""
    values: dict[str, Any] = {"id": person_id, "seen_at": now}
    if name:
        values["name"] = name[:255]
    upsert(tx, person, ("id",), values)
    found = by_id(tx, person_id)
    assert found is not None  # noqa: S101 (just written)
    return found


def by_id(tx: Tx, person_id: str) -> PersonRow | None:
    row = _BY_ID.first(tx, id_=person_id)
    return record(PersonRow, row) if row else None


_BY_ID = Prepared(lambda: select(person).where(person.c.id == bindparam("id_")))


def by_ids(tx: Tx, person_ids: Sequence[str]) -> dict[str, PersonRow]:
    rows = tx.conn.execute(select(person).where(person.c.id.in_(person_ids)))
    return {row.id: record(PersonRow, row) for row in rows}


def link(tx: Tx, person_id: str, contact_id: int | None) -> None:
    """Makes the contact this person's own."""
    tx.conn.execute(update(person).where(person.c.id == person_id).values(contact_id=contact_id))


def set_admin(tx: Tx, person_id: str, admin: bool, now: datetime) -> None:
    """Grants or takes the role; the person need not have spoken yet."""
    upsert(tx, person, ("id",), {"id": person_id, "admin": admin, "seen_at": now})


def admins(tx: Tx) -> list[PersonRow]:
    """Those made admins in chat."""
    rows = tx.conn.execute(select(person).where(person.c.admin.is_(True)).order_by(person.c.id))
    return [record(PersonRow, row) for row in rows]


def heard(
    tx: Tx,
    conversation_id: str,
    platform: str,
    direct: bool,
    title: str,
    reply_url: str,
    reply_until: datetime | None,
    now: datetime,
    person: str = "",
) -> ConversationRow:
    """Remembers the conversation and how to answer in it; `person`: with whom, of a one-to-one chat."""
    values: dict[str, Any] = {"id": conversation_id, "platform": platform, "direct": direct, "seen_at": now}
    if title:
        values["title"] = title[:255]
    if person:
        values["person"] = person
    if reply_url:
        values["reply_url"] = tx.vault.seal(reply_url)
        values["reply_until"] = reply_until
    upsert(tx, conversation, ("id",), values)
    found = conversation_by_id(tx, conversation_id)
    assert found is not None  # noqa: S101 (just written)
    return found


def conversation_by_id(tx: Tx, conversation_id: str) -> ConversationRow | None:
    row = _CONVERSATION.first(tx, id_=conversation_id)
    if row is None:
        return None
    return record(ConversationRow, row, reply_url=tx.vault.open(row.reply_url) if row.reply_url else "")


_CONVERSATION = Prepared(lambda: select(conversation).where(conversation.c.id == bindparam("id_")))


def set_language(tx: Tx, conversation_id: str, language: str) -> None:
    tx.conn.execute(update(conversation).where(conversation.c.id == conversation_id).values(language=language))


def speaks(tx: Tx, person_id: str, language: str) -> None:
    """Remembers the language a person last used, for messages we start ourselves."""
    tx.conn.execute(update(person).where(person.c.id == person_id).values(language=language))


def ask(tx: Tx, conversation_id: str, person_id: str, slot: str, body: dict[str, Any], expires_at: datetime) -> None:
    """Opens a question; an older one of the same slot is forgotten."""
    upsert(
        tx,
        question,
        ("conversation", "person", "slot"),
        {
            "conversation": conversation_id,
            "person": person_id,
            "slot": slot,
            "body": tx.vault.seal(json.dumps(body)),
            "expires_at": expires_at,
        },
    )


def open_question(tx: Tx, conversation_id: str, person_id: str, slot: str, now: datetime) -> dict[str, Any] | None:
    row = tx.conn.execute(
        select(question).where(
            question.c.conversation == conversation_id,
            question.c.person == person_id,
            question.c.slot == slot,
            question.c.expires_at > now,
        )
    ).first()
    return json.loads(tx.vault.open(row.body)) if row else None


def close_question(tx: Tx, conversation_id: str, person_id: str, slot: str) -> None:
    tx.conn.execute(
        delete(question).where(
            question.c.conversation == conversation_id, question.c.person == person_id, question.c.slot == slot
        )
    )


def forget_expired(tx: Tx, before: datetime) -> None:
    """Removes questions nobody can answer any more."""
    tx.conn.execute(delete(question).where(question.c.expires_at < before))
