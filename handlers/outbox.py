"""Writing what is owed: answers, codes, test cards, notices. Alerts are owed by `handlers.alerts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from handlers.document import Document, localize, to_json
from handlers.texts import Language
from storage import deliveries
from storage.contacts import MethodRow
from storage.crowds import Waiting
from storage.database import Tx
from storage.deliveries import DeliveryRow
from storage.people import ConversationRow
from storage.schema import to_ms

CODE, ANSWER, TEST, CRITICAL, OTHER, RECOVERY, REMINDER, NOTICE = 0, 0, 1, 2, 3, 4, 5, 6
"""Priorities within one lane: smaller goes first, equal ones in the order in which they were written.

Those before CRITICAL also go when alerts have to wait for the sake of the budget (`lanes.AHEAD`).
"""

ANSWER_LIFE = timedelta(hours=1)
TEST_LIFE = timedelta(minutes=10)
LIFE = timedelta(hours=24)

CHAT = "chat"
"""The `channel` of deliveries that a platform says in a conversation."""

VOICE = "voice"
"""The `channel` of calls: phones that get SMS are called as well for what is critical."""

CALL_LIFE = timedelta(hours=1)
"""After so long nobody is called any more."""

CHAT_LANES = ("chat", "person")
"""How the lanes of such deliveries begin; what follows is the id of the conversation or person."""


class Addressed(Protocol):
    """A method, or as much of it as names its lane."""

    @property
    def channel(self) -> str: ...

    @property
    def address_key(self) -> str: ...


def lane_of(method: Addressed) -> str:
    """The lane of a method: one per robot, number or mailbox, whoever's contact it belongs to."""
    return f"{method.channel}:{method.address_key}"


def lane_for(method: Addressed, kind: str) -> str:
    """The lane of a message of this kind: codes by phone and mail have one of their own, so that nothing delays them.

    They have their own limits too (see `handlers.verification`); a robot's limit counts every message, codes as well.
    """
    return f"{lane_of(method)}:code" if kind == "code" and method.channel in ("sms", "email") else lane_of(method)


def call_lane(method: Addressed) -> str:
    """The lane of the calls to a phone: they have limits of their own."""
    return f"{VOICE}:{method.address_key}"


def key_of(row: DeliveryRow) -> str:
    """The same for every try of a delivery, and never that of another one, also after the database was made anew."""
    return f"cb-{row.id}-{to_ms(row.created_at):x}"


def row(**values: Any) -> dict[str, Any]:
    """A delivery with every column set, so that many can be written with one statement."""
    empty: dict[str, Any] = {
        "state": "ready",
        "alert_id": None,
        "alert_status": None,
        "alert_severity": None,
        "method_id": None,
        "contact_name": "",
        "group_name": "",
        "masked": "",
        "batch_id": None,
        "code_id": None,
        "payload": None,
        "attempts": 0,
        "begun_at": None,
        "plain": False,
        "reason": "",
        "say": None,
        "receipt": "",
        "done_at": None,
    }
    return empty | values


def to_method(
    method: MethodRow,
    contact_name: str,
    kind: str,
    document: Document,
    language: Language,
    *,
    dedupe: str,
    priority: int,
    now: datetime,
    life: timedelta,
    **more: Any,
) -> dict[str, Any]:
    """A delivery of a document (not an alert) to a contact method."""
    payload = {"document": to_json(localize(document, language)), "language": language, **more.pop("payload", {})}
    return row(
        lane=lane_for(method, kind),
        kind=kind,
        channel=method.channel,
        priority=priority,
        dedupe=dedupe,
        method_id=method.id,
        contact_name=contact_name,
        masked=method.masked,
        payload=payload,
        due_at=now,
        expires_at=now + life,
        created_at=now,
        **more,
    )


def way(place: ConversationRow) -> dict[str, Any]:
    """The address to answer at, to be written down with what is answered later.

    The conversation's is that of its newest message, which may be somebody else's by then, and on some platforms it is
    good for one answer or shown to one person.
    """
    until = place.reply_until
    return {"reply_url": place.reply_url, "reply_until": until.isoformat() if until else None}


def by_way(place: ConversationRow, kept: Mapping[str, Any]) -> ConversationRow:
    """The conversation with the address that was written down (see `way`), where one was."""
    if "reply_url" not in kept:
        return place
    until = kept["reply_until"]
    return replace(place, reply_url=kept["reply_url"], reply_until=datetime.fromisoformat(until) if until else None)


def answer(
    document: Document,
    language: Language,
    place: ConversationRow,
    person_id: str,
    *,
    private: bool,
    dedupe: str,
    now: datetime,
    replaces: str = "",
    trigger: str = "",
    alert_id: int | None = None,
    batch_id: int | None = None,
    priority: int = ANSWER,
) -> dict[str, Any]:
    """A delivery of an answer: in the conversation, or with `private` to the person alone.

    document  as `buttons.drawn` made it, if it has buttons or a form
    replaces  handle of the message whose place it takes
    trigger   what lets the platform open a form for a moment
    alert_id  the alert whose card it is
    batch_id  by which it is found again

    """
    alone = private and not place.direct
    return row(
        lane=f"person:{person_id}" if alone else f"chat:{place.id}",
        kind="answer",
        channel=CHAT,
        priority=priority,
        dedupe=dedupe,
        alert_id=alert_id,
        batch_id=batch_id,
        payload={
            "document": to_json(localize(document, language)),
            "language": language,
            "replaces": replaces,
            "trigger": trigger,
            "conversation": "" if alone else place.id,
            "person": person_id,
            "fallback": place.id if alone else "",
            **way(place),
        },
        due_at=now,
        expires_at=now + ANSWER_LIFE,
        created_at=now,
    )


def to_person(document: Document, language: Language, person_id: str, *, dedupe: str, now: datetime) -> dict[str, Any]:
    """A delivery to a person one-to-one that nobody asked for: something they have to know."""
    return row(
        lane=f"person:{person_id}",
        kind="answer",
        channel=CHAT,
        priority=NOTICE,
        dedupe=dedupe,
        payload={
            "document": to_json(localize(document, language)),
            "language": language,
            "conversation": "",
            "person": person_id,
        },
        due_at=now,
        expires_at=now + LIFE,
        created_at=now,
    )


def digest(like: DeliveryRow, waiting: Sequence[Waiting], *, key: str, now: datetime) -> dict[str, Any]:
    """A delivery that names these alerts to the address of `like`; `key` tells it from every other one.

    It goes before what comes after it, and counts as a critical alarm when it names one.
    """
    critical = any(one.status == "firing" and one.severity == "critical" for one in waiting)
    return row(
        lane=like.lane,
        kind="digest",
        channel=like.channel,
        priority=TEST,
        dedupe=f"digest:{waiting[0].id}:{key}",
        alert_status="firing" if critical else None,
        alert_severity="critical" if critical else None,
        method_id=like.method_id,
        contact_name=like.contact_name,
        masked=like.masked,
        plain=like.plain,
        due_at=now,
        expires_at=max(one.expires_at for one in waiting),
        created_at=now,
    )


def owe(tx: Tx, rows: Iterable[dict[str, Any]]) -> set[str]:
    """Writes the deliveries; the lanes to wake after the commit."""
    rows = list(rows)
    deliveries.owe(tx, rows)
    return {str(one["lane"]) for one in rows}
