"""What follows from a delivery that was sent or given up: codes, disabled methods, notices, reports of tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Any

from handlers import audit_log, examples, import_orders, meters, notices, outbox, reach, verification
from handlers.addresses import channel_name
from handlers.context import Rules
from handlers.document import Document, Examples, Items, Paragraph, Table
from handlers.errors import DeliveryError
from handlers.texts import Language, Say, _, from_json, n_, to_json
from handlers.times import local
from storage import batches, codes, contacts, crowds, deliveries, people
from storage.database import Tx
from storage.deliveries import DeliveryRow

REPORT_AFTER = timedelta(seconds=45)
"""How long the report of a test waits for the slowest channel."""


ASK_AFTER = {"sms": timedelta(minutes=5), "voice": timedelta(minutes=2)}
"""Channels whose provider knows later what became of a message, and when it is asked first (see `handlers.receipts`)."""

OPERATORS = frozenset(
    {
        "account",
        "cap",
        "clock",
        "login",
        "mapping",
        "not_configured",
        "place",
        "quota",
        "sender",
        "shown_number",
        "template",
    }
)
"""Reasons for which a whole channel takes nothing until an admin or the operator acts; no address is to blame for them."""

OVER = "over"
"""Reason for which a message is not sent that nobody misses."""


def sent(tx: Tx, delivery: DeliveryRow, receipt: str, rules: Rules, now: datetime) -> set[str]:
    """Writes that the platform took it, and counts it; the lanes to wake."""
    more = {"ask_at": now + ASK_AFTER[delivery.channel]} if delivery.channel in ASK_AFTER else {}
    deliveries.settle(tx, delivery.id, state="sent", done_at=now, receipt=receipt[:255], reason="", say=None, **more)
    if delivery.kind == "digest":
        crowds.settle_merged(tx, delivery.id, state="sent", done_at=now, reason="", say=None)
    return _report(tx, delivery, now) | meters.sent(tx, delivery, rules, now)


def given_up(tx: Tx, delivery: DeliveryRow, error: DeliveryError, reason: str, rules: Rules, now: datetime) -> set[str]:
    """Writes the dead letter and tells those concerned; the lanes to wake."""
    if reason == OVER:
        over: dict[str, Any] = {"state": "cancelled", "done_at": now, "reason": reason, "say": to_json(error.say)}
        deliveries.settle(tx, delivery.id, **over)
        crowds.settle_merged(tx, delivery.id, **over)
        return set()
    keep = delivery.payload if delivery.kind in ("test", "notice") else None
    changes: dict[str, Any] = {"state": "dead", "done_at": now, "reason": reason, "say": to_json(error.say)}
    if keep is None:
        changes["payload"] = None
    deliveries.settle(tx, delivery.id, **changes)
    if delivery.kind == "digest":
        crowds.settle_merged(tx, delivery.id, **changes)
    wake: set[str] = set()
    if delivery.kind == "code" and delivery.code_id is not None:
        wake |= _code_refused(tx, delivery, error, now)
    elif delivery.method_id is not None and error.permanent and error.disables:
        wake |= disable(tx, delivery.method_id, error.say, rules, now)
    if delivery.method_id is not None and error.permanent and reason in OPERATORS:
        wake |= _out_of_order(tx, delivery.channel, error, rules, now)
    if delivery.kind == "answer":
        wake |= _answer_failed(tx, delivery, now)
    if delivery.kind == "import":
        wake |= import_orders.failed(tx, delivery, error, rules, now)
    return wake | _report(tx, delivery, now)


def dissolved(tx: Tx, delivery: DeliveryRow, reason: str, now: datetime) -> None:
    """Writes that a digest was refused for its form: what it names goes into another, in the simplest form."""
    deliveries.settle(tx, delivery.id, state="cancelled", done_at=now, reason=reason)
    crowds.settle_merged(tx, delivery.id, state="ready", digest_id=None, plain=True, reason=reason)


def _code_refused(tx: Tx, delivery: DeliveryRow, error: DeliveryError, now: datetime) -> set[str]:
    code = codes.by_id(tx, delivery.code_id or 0)
    if code is None or code.state != "issued":
        return set()
    codes.set_state(tx, code.id, "refused")
    place = people.conversation_by_id(tx, code.conversation)
    if place is None:
        return set()
    language: Language = "en" if (delivery.payload or {}).get("language") == "en" else "zh"
    document = verification.refused(delivery.masked, delivery.contact_name, error.say)
    return outbox.owe(
        tx,
        [
            outbox.answer(
                document, language, place, code.person, private=False, dedupe=f"refused:{delivery.id}", now=now
            )
        ],
    )


def disable(tx: Tx, method_id: int, why: Say, rules: Rules, now: datetime) -> set[str]:
    """Takes a dead method out of use and tells its owner and the admins, at most once an hour each."""
    method = contacts.method_by_id(tx, method_id)
    if method is None or method.state == "disabled":
        return set()
    contact = contacts.by_id(tx, method.contact_id)
    name = contact.name if contact else ""
    before = reach.of_contact(tx, method.contact_id)
    if not contacts.disable_method(tx, method_id, _stored(why)):
        return set()
    audit_log.write(
        tx,
        now,
        "",
        "",
        "disable",
        name,
        {"method": method.masked, "state": method.state},
        {"state": "disabled", "because": to_json(why)},
    )
    document = Document(
        _(
            "{channel} {address} of {name} is disabled.",
            channel=channel_name(method.channel),
            address=method.masked,
            name=name,
        ),
        (
            Paragraph(why),
            *map(Paragraph, before.lost(tx)),
            Paragraph(_("No alert goes there until it is verified again:")),
            Examples((examples.verify(name),)),
        ),
    )
    told = notices.admins(tx, rules) | set(contacts.owner(tx, method.contact_id))
    hour = int(now.timestamp()) // 3600
    return notices.tell(tx, told, document, rules, dedupe=f"disabled:{method_id}:{hour}", now=now)


def _out_of_order(tx: Tx, channel: str, error: DeliveryError, rules: Rules, now: datetime) -> set[str]:
    """Tells the admins, once a day for each reason, that a channel takes nothing."""
    document = Document(
        _("{channel}: messages of this service are refused.", channel=channel_name(channel)),
        (
            Paragraph(error.say),
            Paragraph(_("What is due there becomes a dead letter until this is put right. See which ones:")),
            Examples((examples.DELIVERIES,)),
        ),
        tone="warning",
    )
    day = int(now.timestamp()) // 86_400
    dedupe = f"refused:{channel}:{error.reason}:{day}"
    return notices.tell(tx, notices.admins(tx, rules), document, rules, dedupe=dedupe, now=now)


def _stored(say: Say) -> str:
    return json.dumps(to_json(say), ensure_ascii=False)


def _answer_failed(tx: Tx, delivery: DeliveryRow, now: datetime) -> set[str]:
    """A private answer that could not be said: the conversation it belongs to is asked to come one-to-one."""
    payload = delivery.payload or {}
    place = people.conversation_by_id(tx, payload.get("fallback", ""))
    if place is None:
        return set()
    language: Language = "en" if payload.get("language") == "en" else "zh"
    document = Document(_("I could not write to you alone. Please send me that command again in a one-to-one chat."))
    return outbox.owe(
        tx,
        [
            outbox.answer(
                document, language, place, payload["person"], private=False, dedupe=f"fallback:{delivery.id}", now=now
            )
        ],
    )


def _report(tx: Tx, delivery: DeliveryRow, now: datetime) -> set[str]:
    if delivery.batch_id is None:
        return set()
    batches.hold(tx, delivery.batch_id)
    rows = batches.deliveries_of(tx, delivery.batch_id)
    if any(row.state == "ready" for row in rows):
        return set()
    return report(tx, delivery.batch_id, rows, now)


def report_overdue(tx: Tx, now: datetime) -> set[str]:
    """Reports tests whose slowest channel takes too long."""
    wake: set[str] = set()
    for batch_id in batches.overdue(tx, now - REPORT_AFTER):
        wake |= report(tx, batch_id, batches.deliveries_of(tx, batch_id), now)
    return wake


def report(tx: Tx, batch_id: int, rows: Iterable[DeliveryRow], now: datetime) -> set[str]:
    """Says once how a test went, channel by channel."""
    body = batches.close(tx, batch_id, now)
    if body is None:
        return set()
    place = people.conversation_by_id(tx, body["conversation"])
    if place is None:
        return set()
    rows = list(rows)
    language: Language = "en" if body["language"] == "en" else "zh"
    fine = sum(row.state == "sent" for row in rows)
    asleep = [from_json(one) for one in body.get("asleep", ())]
    document = Document(
        _("Test of {name}: {fine} of {all} arrived.", name=body["name"], fine=fine, all=len(rows)),
        (
            Table(
                (_("Contact"), _("Channel"), _("Result")),
                tuple(
                    (
                        row.contact_name,
                        _("{channel} {address}", channel=channel_name(row.channel), address=row.masked),
                        result(row),
                    )
                    for row in rows
                ),
            ),
            *([Items(tuple(asleep))] if asleep else ()),
        ),
        tone="resolved" if fine == len(rows) else "warning",
    )
    return outbox.owe(
        tx,
        [
            outbox.answer(
                document,
                language,
                outbox.by_way(place, body),
                body["person"],
                private=False,
                dedupe=f"report:{batch_id}",
                now=now,
            )
        ],
    )


def result(row: DeliveryRow, zone: tzinfo | None = None) -> Say:
    """The state of a delivery in words; with a zone also when it was delivered, if the carrier said so."""
    if row.state == "merged":
        return _("waiting in a digest")
    if row.state == "sent" and row.arrived_at is not None:
        return _("delivered {time}", time=local(row.arrived_at, zone)) if zone else _("delivered")
    if row.state == "sent":
        return _("sent in a digest") if row.digest_id is not None else _("sent")
    if row.state == "dead":
        return _("failed: {why}", why=from_json(row.say)) if row.say else _("failed")
    if row.state == "cancelled":
        return _("cancelled: {why}", why=from_json(row.say)) if row.say else _("cancelled")
    if row.say and not row.attempts:
        return _("waiting: {why}", why=from_json(row.say))
    if row.attempts and row.say:
        return _("waiting after {tries}: {why}", tries=n_("{n} try", "{n} tries", row.attempts), why=from_json(row.say))
    return _("waiting")
