"""WeCom group robots: https://developer.work.weixin.qq.com/document/path/91770"""

from __future__ import annotations

from typing import Any

from bot.channels import posted
from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.channels.fit import cleaned, drawn
from bot.http import HttpReply, Unreachable
from bot.markup.plain import outline
from bot.markup.wecom import escape, markdown
from bot.refusals import Refusal, code_of, dead, page, temporary, unknown_code, unreachable
from handlers.budgets import Throttle
from handlers.document import Document
from handlers.errors import DeliveryError
from handlers.texts import _

NAME = "WeCom"
MARKDOWN_MAX_BYTES = 4096
TEXT_MAX_BYTES = 2048

GONE = dead("gone", _("The WeCom robot is not in its group any more; add it again and set the new webhook."))
FORBIDDEN = dead("forbidden", _("WeCom does not let this robot write to its group; check the robot's settings there."))
TOO_LONG = Refusal("too_long", _("The message was too long for WeCom."))
FORM = Refusal("form", _("WeCom did not accept the form of the message."))

REFUSALS: dict[int, Refusal] = {
    -1: temporary("busy", _("WeCom is busy at the moment.")),
    45009: temporary("rate_limited", _("WeCom takes no more messages for this robot at the moment."), 61.0),
    45033: temporary("rate_limited", _("WeCom takes no more messages for this robot at the moment.")),
    40007: FORM,
    40008: FORM,
    40009: TOO_LONG,
    40035: FORM,
    40058: TOO_LONG,
    40063: FORM,
    41001: FORM,
    44001: FORM,
    44004: FORM,
    45001: TOO_LONG,
    45002: TOO_LONG,
    45008: TOO_LONG,
    45034: FORM,
    82004: Refusal("content", _("WeCom refused the content of the message.")),
    48002: FORBIDDEN,
    60020: dead("ip", _("WeCom does not accept this server's address; add it to the trusted addresses there.")),
    93000: GONE,
    93001: FORBIDDEN,
    93004: dead("disabled", _("The WeCom robot is switched off; switch it on in the group's settings.")),
    93005: FORBIDDEN,
    93006: GONE,
    93008: GONE,
    93017: FORM,
    93018: TOO_LONG,
    93019: FORM,
}
"""Section "global error codes", https://developer.work.weixin.qq.com/document/path/90313."""


def card(message: Message) -> dict[str, Any]:
    """The message as WeCom markdown of at most MARKDOWN_MAX_BYTES, or as plain text of at most TEXT_MAX_BYTES."""
    own = posted.wecom(message)
    if own is not None:
        return own
    mention = message.mention
    if message.plain:
        text = drawn(message.document, message.language, TEXT_MAX_BYTES, _text, _bytes)
        called = {"mentioned_list": [mention.user]} if mention and mention.user else {}
        called |= {"mentioned_mobile_list": [mention.phone]} if mention and mention.phone else {}
        return {"msgtype": "text", "text": {"content": text, **called}}
    # Markdown has no lists of people beside it, and so no way to call a number.
    tail = f"\n<@{mention.user}>" if mention and mention.user else ""
    limit = MARKDOWN_MAX_BYTES - len(tail.encode())
    text = drawn(message.document, message.language, limit, markdown, _bytes)
    return {"msgtype": "markdown", "markdown": {"content": text + tail}}


def _bytes(text: str) -> int:
    return len(text.encode())


def fill(message: Message, _outside: Outside) -> float:
    """The part of its limit that the message takes when nothing of it is cut."""
    document = cleaned(message.document)
    if message.plain:
        return len(_text(document).encode()) / TEXT_MAX_BYTES
    return len(markdown(document).encode()) / MARKDOWN_MAX_BYTES


def _text(document: Document) -> str:
    return escape(f"{document.heading()}\n{outline(document)}".strip()).replace("［", "[").replace("］", "]")


def refusal(reply: HttpReply) -> DeliveryError | None:
    """What the body says went wrong, None when WeCom took the message. The HTTP status says nothing."""
    body = reply.json()
    code = code_of(body.get("errcode")) if isinstance(body, dict) else None
    if code is None:
        return page(NAME, reply)
    if code == 0:
        return None
    return (
        REFUSALS[code].error(reply.retry_after)
        if code in REFUSALS
        else unknown_code(NAME, code, retry_after=reply.retry_after)
    )


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    try:
        reply = outside.http.post(target.address, json=card(message))
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = refusal(reply)
    if failure is not None:
        raise failure
    return Receipt()


CHANNEL = Channel("wecom", send, budgets=(Throttle(18, 61.0),), fill=fill)
