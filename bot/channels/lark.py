"""Lark and Feishu group bots: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime
from typing import Any

from bot.channels import posted
from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.channels.fit import cleaned, drawn
from bot.http import HttpReply, Unreachable, encoded
from bot.markup import lark as markup
from bot.markup.plain import outline
from bot.refusals import Refusal, code_of, dead, page, temporary, unknown_code, unreachable
from handlers.budgets import Throttle
from handlers.document import Document
from handlers.errors import DeliveryError
from handlers.texts import _

NAME = "Lark"
BODY_MAX_BYTES = 19_000
"""Lark refuses more than 20 KB, signature included."""

PLAIN_MAX_BYTES = 6_000
SIGN_AGE_S = 3600

GONE = dead("gone", _("The Lark bot does not exist any more; add it to the group again and set the new webhook."))
FORM = Refusal("form", _("Lark did not accept the form of the message."))
MENTION = Refusal("mention", _("Lark refused the card, perhaps for the person it mentions."))
TOO_FAST = temporary("rate_limited", _("Lark takes no more messages for this bot at the moment."), 5.0)
SIGN = dead("sign", _("Lark refused the signature: copy the bot's secret again and set it."))
CLOCK = Refusal("clock", _("Lark refused the time of the message: the clock of this server is wrong."))
KEYWORD = dead("keyword", _("Lark refused the message: add the keyword “{keyword}” in the bot's security settings."))

REFUSALS: dict[int, Refusal] = {
    11232: TOO_FAST,
    19001: GONE,
    19002: FORM,
    19007: dead("disabled", _("The Lark bot is switched off; switch it on in the group's settings.")),
    19022: dead("ip", _("Lark does not accept this server's address: add it in the bot's security settings.")),
    19024: KEYWORD,
}
"""Codes of the page above. 9499 and 19021 each mean two things and are read by `refusal`."""


def sign(secret: str, timestamp_s: int) -> str:
    """The signature: the text is the HMAC's key and the message is empty, the opposite of DingTalk."""
    key = f"{timestamp_s}\n{secret}".encode()
    return base64.b64encode(hmac.digest(key, b"", "sha256")).decode("ascii")


def signature(secret: str, now: datetime) -> dict[str, str]:
    """The two top-level members of a signed body; none without a secret."""
    if not secret:
        return {}
    timestamp_s = int(now.timestamp())
    return {"timestamp": str(timestamp_s), "sign": sign(secret, timestamp_s)}


def card(message: Message, keyword: str, secret: str = "") -> dict[str, Any]:
    """The whole body, signed: an interactive card, or plain text; at most BODY_MAX_BYTES.

    The keyword is in it although Lark's bots need none: many are given the one of the DingTalk robot beside them.
    """
    signed = signature(secret, message.now)

    own = posted.lark(message, keyword, signed, BODY_MAX_BYTES)
    if own is not None:
        return own
    limit = PLAIN_MAX_BYTES if message.plain else BODY_MAX_BYTES
    return drawn(
        message.document,
        message.language,
        limit,
        lambda document: _drawn(document, message, keyword, signed),
        lambda body: len(encoded(body)),
    )


def _drawn(document: Document, message: Message, keyword: str, signed: dict[str, str]) -> dict[str, Any]:
    if message.plain:
        text = f"{document.heading()}\n{outline(document)}".strip()
        return {**signed, "msg_type": "text", "content": {"text": f"{keyword} {markup.escape(text)}".strip()}}
    calls = message.mention.user if message.mention else ""
    return {**signed, "msg_type": "interactive", "card": markup.card(document, note=keyword, calls=calls)}


def fill(message: Message, outside: Outside) -> float:
    """The part of its limit that the message takes when nothing of it is cut, signed or not."""
    body = _drawn(cleaned(message.document), message, outside.keyword, signature("any", message.now))
    return len(encoded(body)) / (PLAIN_MAX_BYTES if message.plain else BODY_MAX_BYTES)


def refusal(reply: HttpReply, keyword: str, now: datetime) -> DeliveryError | None:
    """What the body says went wrong, None when Lark took the message."""
    body = reply.json()
    if not isinstance(body, dict):
        return page(NAME, reply)
    code = code_of(body.get("code", body.get("StatusCode")))
    if code is None:
        return page(NAME, reply)
    if code == 0:
        return None if 200 <= reply.status < 300 else page(NAME, reply)
    if code == 9499:
        too_fast = "too many" in str(body.get("msg", "")).lower()
        return (TOO_FAST if too_fast else FORM).error(reply.retry_after)
    if code == 19021:
        return (CLOCK if _clock_is_off(reply, now) else SIGN).error()
    if code in REFUSALS:
        return REFUSALS[code].error(reply.retry_after, keyword=keyword)
    permanent = not (reply.status == 429 or reply.status >= 500)
    return unknown_code(NAME, code, permanent=permanent, retry_after=reply.retry_after)


def _clock_is_off(reply: HttpReply, now: datetime) -> bool:
    """Whether Lark's own clock, in the header `Date`, is an hour away from ours."""
    return reply.date is not None and abs((reply.date - now).total_seconds()) >= SIGN_AGE_S - 60


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    try:
        reply = outside.http.post(target.address, json=card(message, outside.keyword, target.secret))
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = refusal(reply, outside.keyword, message.now)
    if failure is not None and message.mention and failure.reason == "refused" and failure.permanent:
        # An id that Lark does not know makes it refuse the whole card; which code a robot then gets is not documented.
        raise MENTION.error()
    if failure is not None:
        raise failure
    return Receipt()


CHANNEL = Channel("lark", send, budgets=(Throttle(4, 1.1), Throttle(90, 61.0)), fill=fill)
