"""What the clock brings: silences that are over, and cards in chat that are not true any more. The worker asks every few
seconds, in every process; each thing is claimed by its row, so that one of them does it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from handlers import alert_cards, alerts, outbox, places
from handlers import silences as rules_of_silences
from handlers.context import Rules
from handlers.routing import Target, targets
from handlers.silences import Ended
from handlers.texts import Language
from storage import contacts, groups, people, silences
from storage.database import Tx


def run(tx: Tx, rules: Rules, now: datetime) -> set[str]:
    """Does what is due; the lanes to wake."""
    wake: set[str] = set()
    for silence_id in silences.due(tx, now):
        over = rules_of_silences.ended(tx, silence_id, None, now)
        if over is not None:  # else another process ended it
            wake |= told_again(tx, over, rules, now) | report(tx, over, now)
    return wake | alert_cards.redraw_stale(tx, rules, now)


def told_again(tx: Tx, over: Ended, rules: Rules, now: datetime) -> set[str]:
    """Owes the cards of what is still firing; the lanes to wake."""
    firing = over.still_firing
    known = silences.told(tx, [row.id for row in firing])
    to: dict[int | None, tuple[list[Target], str]] = {}
    owed: list[dict[str, Any]] = []
    for row in firing:
        if row.group_id not in to:
            group = groups.by_id(tx, row.group_id) if row.group_id is not None else None
            to[row.group_id] = targets(tx, row.group_id), group.name if group else ""
        methods, group_name = to[row.group_id]
        urgency = outbox.REMINDER if row.id in known else alerts.priority("firing", row.severity)
        version = row.version + 1
        owed += alerts.cards(row.id, version, "firing", row.severity, methods, group_name, now, urgency)
        if urgency == outbox.CRITICAL and "voice" not in rules.missing:
            owed += alerts.calls_to(row.id, version, methods, group_name, now)
    return alerts.owe(tx, owed, now)


def report(tx: Tx, over: Ended, now: datetime) -> set[str]:
    """Owes the message about what it hid to the conversation where it was made; the lanes to wake."""
    row = over.silence
    document = rules_of_silences.document(over)
    language = rules_of_silences.language_of(row)
    dedupe = f"silence:{row.id}:over"
    method_id = places.method_of(row.conversation)
    if method_id is not None:
        return _to_card(tx, method_id, over, language, dedupe, now)
    place = people.conversation_by_id(tx, row.conversation)
    if place is None:
        return set()
    owed = outbox.answer(document, language, place, row.person, private=False, dedupe=dedupe, now=now)
    return outbox.owe(tx, [owed])


def _to_card(tx: Tx, method_id: int, over: Ended, language: Language, dedupe: str, now: datetime) -> set[str]:
    """The same to the robot or mailbox whose card the silence was made on: it is no conversation."""
    method = contacts.method_by_id(tx, method_id)
    if method is None or method.state != "active":
        return set()
    contact = contacts.by_id(tx, method.contact_id)
    owed = outbox.to_method(
        method,
        contact.name if contact else "",
        "notice",
        rules_of_silences.document(over),
        language,
        dedupe=dedupe,
        priority=outbox.NOTICE,
        now=now,
        life=outbox.LIFE,
    )
    return outbox.owe(tx, [owed])
