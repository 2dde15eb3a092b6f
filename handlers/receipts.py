"""Delivery receipts: what became of an SMS or a call after the provider took it, and what follows from it.

They come in two ways, pushed by the provider (`PARSERS`) or asked for (`next_ask`), in any order and
more than once; whatever was known first stays, but that it arrived is believed always.

A message that did not arrive becomes a dead letter. If the address itself is dead the method is disabled; when the phone
was only switched off, nothing else follows, but a call is made again.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from handlers import examples, outbox, outcomes
from handlers.addresses import channel_name
from handlers.context import Rules
from handlers.document import Document, Examples, Paragraph
from handlers.errors import PayloadError
from handlers.outbox import key_of
from handlers.sources.reader import read_json
from handlers.texts import Language, Say, _, to_json
from handlers.verification import known_language
from storage import codes, contacts, deliveries, people, receipts
from storage.database import Tx
from storage.deliveries import DeliveryRow
from storage.vault import Vault

CHINA = timezone(timedelta(hours=8))
"""The provider's times have no zone: they are China's."""

MOST_AT_ONCE = 1000
"""Receipts looked at in one push; the provider has no published number, its requests to us are far smaller."""

ASK_AGAIN_AT = tuple(timedelta(minutes=minutes) for minutes in (15, 60, 360, 1440, 2880))
"""How old a message is when the provider is asked again (first: `outcomes.ASK_AFTER`); carriers try for up to two days."""

PUSHED_BY = timedelta(minutes=20)
"""What the provider pushes it repeats after 1, 5 and 10 minutes; only what has not come by then is asked for."""

CALLS = 3
"""How often a phone that nobody answers is called for one alert."""

CALL_AGAIN = timedelta(minutes=2)


class TooEarly(Exception):
    """A receipt came before the answer to the send it belongs to: it has to come again."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the provider says of one message.

    out_id     the key that we gave it; "" when it does not say
    reference  the provider's own id
    code       why not, in the provider's word
    at         when it arrived, where that is known
    """

    channel: str
    delivered: bool
    out_id: str = ""
    reference: str = ""
    code: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """Why something did not arrive. `disables`: nothing ever will, until a person acts; `again`: worth another call."""

    say: Say
    disables: bool = False
    again: bool = False


_AWAY = Fate(_("The number is switched off, out of reach, suspended, or does not exist."))
_UNWANTED = Fate(_("The number is on a blacklist, or its owner does not want these SMS."), disables=True)
_WORDS = Fate(_("The carrier refused the SMS because of its words."))
_ROUTE = Fate(_("The carrier takes no SMS of this kind at the moment; the operator has to look at it."))

SMS_FATES: Mapping[str, Fate] = {
    "MOBILE_NOT_ON_SERVICE": _AWAY,
    "INVALID_NUMBER": _AWAY,
    "MOBILE_ACCOUNT_ABNORMAL": Fate(_("The number's contract has a problem: unpaid, or moved to another carrier.")),
    "MOBILE_SEND_LIMIT": Fate(_("The number has had too many SMS.")),
    "MOBILE_IN_BLACK": _UNWANTED,
    "USER_REJECT": _UNWANTED,
    "MOBLLE_TERMINAL_ERROR": Fate(_("The phone could not take the SMS: its memory may be full.")),
    "MOBILE_TERMINAL_ERROR": Fate(_("The phone could not take the SMS: its memory may be full.")),
    "CONTENT_KEYWORD": _WORDS,
    "CONTENT_ERROR": _WORDS,
    "SP_NOT_BY_INTER_SMS": Fate(_("The number takes no SMS from abroad."), disables=True),
    "REQUEST_SUCCESS": Fate(_("The carrier never said that the SMS arrived.")),
    "IS_CLOSE": _ROUTE,
    "IS_CLOSED": _ROUTE,
    "NO_ROUTE": _ROUTE,
    "isv.MOBILE_NUMBER_ILLEGAL": Fate(_("The number does not exist."), disables=True),
}
"""https://help.aliyun.com/zh/sms/developer-reference/delivery-receipt-error-codes

One code stands for a phone that is off and for a number that does not exist: nobody is disabled for it. The third-last
letter of MOBLLE is the vendor's.
"""

VOICE_FATES: Mapping[str, Fate] = {
    "200002": Fate(_("The phone was busy."), again=True),
    "200003": Fate(_("Nobody answered."), again=True),
    "200004": Fate(_("The number does not exist."), disables=True),
    "200005": Fate(_("The call was refused or could not be put through."), again=True),
    "200007": Fate(_("The phone was out of reach."), again=True),
    "200010": Fate(_("The phone is switched off."), again=True),
    "200011": Fate(_("The number is suspended.")),
}
"""https://help.aliyun.com/document_detail/55085.htm. Whether somebody answered is told by the duration, not by these."""


def token(vault: Vault, channel: str) -> str:
    """The secret part of the address that the provider pushes receipts of this channel to."""
    return vault.digest("receipts", channel)


def is_token(vault: Vault, channel: str, said: str) -> bool:
    """Whether it is that; also one from before the key was rotated."""
    right = vault.digests("receipts", channel)
    return any(hmac.compare_digest(one.encode(), said.encode("utf-8", "replace")) for one in right)


def url(tx: Tx, channel: str, rules: Rules) -> str:
    """The whole address, for the provider's console."""
    return f"{rules.public_url.rstrip('/')}/receipts/{channel}/{token(tx.vault, channel)}"


# -- what the provider says


def sms_reports(body: bytes) -> list[Report]:
    """A push of SmsReport: https://help.aliyun.com/zh/sms/developer-reference/smsreport. Raises PayloadError."""
    return [_sms_report(row) for row in _rows(body) if isinstance(row.get("success"), bool)]


def _sms_report(row: Mapping[str, Any]) -> Report:
    delivered = row["success"] is True
    return Report(
        "sms",
        delivered,
        _word(row.get("out_id")),
        _word(row.get("biz_id")),
        "" if delivered else _word(row.get("err_code")),
        _moment(row.get("report_time")) if delivered else None,
    )


def sms_detail(row: Mapping[str, Any]) -> Report | None:
    """One row of QuerySendDetails; None while the carrier has not said anything."""
    status = _word(row.get("SendStatus"))
    if status not in ("2", "3"):
        return None
    delivered = status == "3"
    return Report(
        "sms",
        delivered,
        _word(row.get("OutId")),
        code="" if delivered else _word(row.get("ErrCode")),
        at=_moment(row.get("ReceiveDate")) if delivered else None,
    )


def voice_reports(body: bytes) -> list[Report]:
    """A push of VoiceReport: https://help.aliyun.com/zh/vms/developer-reference/voicereport. Raises PayloadError."""
    return [
        Report(
            "voice",
            _seconds(row.get("duration")) > 0,
            _word(row.get("out_id")),
            _word(row.get("call_id")),
            _word(row.get("status_code")),
            _moment(row.get("b_start_time")),
        )
        for row in _rows(body)
        if row.get("duration") is not None or row.get("status_code") is not None
    ]


def voice_detail(data: object, reference: str) -> Report | None:
    """`Data` of QueryCallDetailByCallId, an object as JSON text; None while the call is not over."""
    try:
        found = json.loads(data) if isinstance(data, str) else data
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not _word(found.get("endDate")):
        return None
    delivered = _seconds(found.get("duration")) > 0
    at = _moment(found.get("startDate")) if delivered else None
    return Report("voice", delivered, reference=reference, code=_word(found.get("state")), at=at)


PARSERS = {"sms": sms_reports, "voice": voice_reports}


def _rows(body: bytes) -> list[Mapping[str, Any]]:
    """The objects of the array; one object alone is taken as an array of one. What else is in it is passed over."""
    found = read_json(body).raw
    rows = [found] if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise PayloadError("$", _("expected a list of receipts"))
    return [row for row in rows[:MOST_AT_ONCE] if isinstance(row, dict)]


def _word(value: object) -> str:
    """A short text or whole number as text; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value) if isinstance(value, str) or abs(value) < 10**18 else ""
    return text.strip()[:255] if text.isprintable() else ""


def _seconds(value: object) -> int:
    text = _word(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _moment(value: object) -> datetime | None:
    """`2026-03-28 09:00:03` in China, as UTC; None for what is no time."""
    try:
        return datetime.strptime(_word(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# -- what follows from it


def received(tx: Tx, report: Report, rules: Rules, now: datetime) -> set[str]:
    """Writes what became of the message and tells those concerned; the lanes to wake. Raises TooEarly.

    A report of a message that is not ours, or of which everything is known, changes nothing.
    """
    row = _message(tx, report)
    return _follow(tx, row, report, rules, now) if row is not None else set()


def found(tx: Tx, delivery_id: int, report: Report, rules: Rules, now: datetime) -> set[str]:
    """The same for the answer to a question about this message."""
    row = deliveries.by_id(tx, delivery_id)
    return _follow(tx, row, report, rules, now) if row is not None else set()


def _follow(tx: Tx, row: DeliveryRow, report: Report, rules: Rules, now: datetime) -> set[str]:
    if row.arrived_at is not None:
        return set()
    if report.delivered:
        return _arrived(tx, row, report, rules, now)
    if row.state == "ready" and row.begun_at is not None:
        raise TooEarly
    return _failed(tx, row, report, rules, now) if row.state == "sent" else set()


_OUT_ID = re.compile(r"(?:cb-)?([1-9][0-9]{0,17})-[0-9a-f]+", re.ASCII)


def call_id(key: str) -> str:
    """The key of a delivery as a call carries it: the provider takes 15 characters of it."""
    return key.removeprefix("cb-")[:15]


def _message(tx: Tx, report: Report) -> DeliveryRow | None:
    named = _OUT_ID.fullmatch(report.out_id)
    if named is not None:
        row = deliveries.by_id(tx, int(named[1]))
        if row is not None and row.channel == report.channel:
            key = key_of(row)
            if report.out_id == (call_id(key) if report.channel == "voice" else key):
                return row
    return receipts.by_reference(tx, report.channel, report.reference) if report.reference else None


def _arrived(tx: Tx, row: DeliveryRow, report: Report, rules: Rules, now: datetime) -> set[str]:
    if row.state not in ("ready", "sent", "dead") or not row.attempts:
        return set()
    wake: set[str] = set()
    if row.state == "ready":  # the answer to the send was lost: this is the proof that it was taken
        wake = outcomes.sent(tx, row, report.reference, rules, now)
    receipts.arrived(tx, row.id, min(report.at or now, now))
    return wake


def _failed(tx: Tx, row: DeliveryRow, report: Report, rules: Rules, now: datetime) -> set[str]:
    fates = VOICE_FATES if row.channel == "voice" else SMS_FATES
    unknown = _("The carrier did not put it through ({code}).", code=report.code[:40] or "?")
    fate = fates.get(report.code, Fate(unknown))
    reason = f"receipt {report.code}".strip()
    wake: set[str] = set()
    if fate.again and receipts.again(tx, row.id, reason, to_json(fate.say), now + CALL_AGAIN, CALLS):
        wake.add(row.lane)
    if not receipts.failed(tx, row.id, reason, to_json(fate.say)):
        return wake
    if row.kind == "code":
        wake |= _code_lost(tx, row, fate.say, rules, now)
    elif fate.disables and _is_still_it(tx, row):
        wake |= outcomes.disable(tx, row.method_id or 0, fate.say, rules, now)
    if row.batch_id is not None:
        wake |= _test_failed(tx, row, row.batch_id, fate.say, now)
    return wake


def _is_still_it(tx: Tx, row: DeliveryRow) -> bool:
    """Whether the method still is what the message went to: not another number, and not verified since."""
    method = contacts.method_by_id(tx, row.method_id or 0)
    if method is None or method.masked != row.masked:
        return False
    return method.verified_at is None or row.done_at is None or method.verified_at <= row.done_at


def _code_lost(tx: Tx, row: DeliveryRow, why: Say, rules: Rules, now: datetime) -> set[str]:
    """Tells who asked for the code, while it still is of use. The code itself stays good: it may come late."""
    code = codes.by_id(tx, row.code_id or 0)
    if code is None or code.state != "issued" or code.expires_at <= now:
        return set()
    place = people.conversation_by_id(tx, code.conversation)
    if place is None:
        return set()
    document = Document(
        _("The code to {address} did not arrive.", address=row.masked),
        (
            Paragraph(why),
            Paragraph(_("When that is fixed, ask for a new code:")),
            Examples((examples.verify(row.contact_name),)),
        ),
        tone="warning",
    )
    language = known_language(people.by_id(tx, code.person), rules.language)
    owed = outbox.answer(
        document, language, place, code.person, private=False, dedupe=f"receipt:{row.id}:{row.attempts}", now=now
    )
    return outbox.owe(tx, [owed])


def _test_failed(tx: Tx, row: DeliveryRow, batch_id: int, why: Say, now: datetime) -> set[str]:
    """Takes back what the report of a test said, if it was made already."""
    body = receipts.reported_batch(tx, batch_id)
    place = people.conversation_by_id(tx, body["conversation"]) if body else None
    if body is None or place is None:
        return set()
    language: Language = "en" if body["language"] == "en" else "zh"
    document = Document(
        _(
            "Test of {name}: what was sent to {channel} {address} did not arrive.",
            name=body["name"],
            channel=channel_name(row.channel),
            address=row.masked,
        ),
        (Paragraph(why),),
        tone="warning",
    )
    owed = outbox.answer(
        document, language, place, body["person"], private=False, dedupe=f"receipt:{row.id}:{row.attempts}", now=now
    )
    return outbox.owe(tx, [owed])


# -- asking


def next_ask(row: DeliveryRow, now: datetime, *, pushed: bool) -> tuple[bool, datetime | None]:
    """Whether to ask about the message now, and when next. `pushed`: the provider sends its receipts by itself."""
    sent_at = row.done_at or row.created_at
    if pushed and now < sent_at + PUSHED_BY:
        return False, sent_at + PUSHED_BY
    later = (sent_at + age for age in ASK_AGAIN_AT)
    return True, next((at for at in later if at > now), None)
