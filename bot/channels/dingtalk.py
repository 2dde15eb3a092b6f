"""DingTalk custom group robots: https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages

A robot that was set up for DAS refuses every message without its keyword, so the keyword stands byte for byte in title
and text of whatever is sent here.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any

from bot.channels import posted
from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.channels.fit import cleaned, drawn
from bot.http import HttpReply, Unreachable, encoded
from bot.markup.dingtalk import escape, markdown
from bot.markup.plain import cut, one_line, outline, unmentioned
from bot.refusals import Refusal, banned_s, code_of, dead, page, temporary, unknown_code, unreachable
from handlers.budgets import Throttle
from handlers.document import Document, Link
from handlers.errors import DeliveryError
from handlers.mentions import Mention
from handlers.texts import _
from handlers.urls import safe_url

NAME = "DingTalk"
BODY_MAX_BYTES = 18_000
"""DingTalk refuses 20,000; whether it counts before or after decoding is not documented."""

PLAIN_MAX_BYTES = 6_000
TITLE_CHARS = 100
"""Of the preview in the list of conversations."""

BUTTONS = 3
BUTTON_CHARS = 20

GONE = dead("gone", _("The DingTalk robot does not exist any more; add it again and set the new webhook."))
KEYWORD = dead(
    "keyword", _("DingTalk refused the message: add the keyword “{keyword}” in the robot's security settings.")
)
SIGN = dead("sign", _("DingTalk refused the signature: copy the robot's secret (SEC…) again and set it."))
ADDRESS = dead("ip", _("DingTalk does not accept this server's address: add it in the robot's security settings."))
SECURITY = dead("security", _("The robot's security settings in DingTalk refuse the message; please check them."))
CLOCK = Refusal("clock", _("DingTalk refused the time of the message: the clock of this server is wrong."))
TOO_FAST = temporary("rate_limited", _("DingTalk takes no more messages for this robot at the moment."), 600.0)
"""The robot is punished with ten minutes of silence. Trying sooner, as after other temporary refusals, can prolong it."""

TOO_LONG = Refusal("too_long", _("The message was too long for DingTalk."))
FORM = Refusal("form", _("DingTalk did not accept the form of the message."))
CONTENT = Refusal("content", _("DingTalk considers the content of the message unsafe."))
QUOTA = Refusal("quota", _("The organisation's DingTalk messages of this month are used up."))
BUSY = temporary("busy", _("DingTalk is busy at the moment."))

REFUSALS: dict[int, Refusal] = {
    -1: BUSY,
    130101: TOO_FAST,
    410100: TOO_FAST,
    90018: BUSY,
    90002: BUSY,
    90030: QUOTA,
    90020: QUOTA,
    300001: GONE,
    300005: GONE,
    400101: GONE,
    400102: dead("disabled", _("The DingTalk robot is switched off; switch it on in the group's settings.")),
    400106: GONE,
    400013: dead("gone", _("The DingTalk group does not exist any more.")),
    400105: FORM,
    460101: TOO_LONG,
    101002: TOO_LONG,
    430101: CONTENT,
    430102: CONTENT,
    430103: CONTENT,
    430104: CONTENT,
    40035: FORM,
    43002: FORM,
    43004: FORM,
}
"""Error codes of the page above, and those that live systems were seen to answer. 310000 is read by `_security`."""


def sign(secret: str, timestamp_ms: int) -> str:
    """The signature in plain base64; it is encoded once, when it becomes a query parameter."""
    text = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha256")).decode("ascii")


def card(message: Message, keyword: str) -> dict[str, Any]:
    """The message as markdown, as a card with buttons when it has links, or as plain text; at most BODY_MAX_BYTES."""

    own = posted.dingtalk(message, keyword, BODY_MAX_BYTES)
    if own is not None:
        return own
    limit, form = (PLAIN_MAX_BYTES, _plain) if message.plain else (BODY_MAX_BYTES, _rich)
    return drawn(
        message.document,
        message.language,
        limit,
        lambda document: form(document, message, keyword),
        lambda body: len(encoded(body)),
    )


def fill(message: Message, outside: Outside) -> float:
    """The part of its limit that the message takes when nothing of it is cut."""
    document = cleaned(message.document)
    if message.plain:
        return len(encoded(_plain(document, message, outside.keyword))) / PLAIN_MAX_BYTES
    return len(encoded(_rich(document, message, outside.keyword))) / BODY_MAX_BYTES


def _rich(document: Document, message: Message, keyword: str) -> dict[str, Any]:
    links = [link for link in document.links if safe_url(link.url)]
    # In a card with buttons a number would be shown to everybody: there only ids are documented to call somebody.
    by_number = message.mention is not None and not message.mention.user
    buttons = links[:BUTTONS] if message.kind in ("alert", "test") and not by_number else []
    below = Document(
        title=document.title,
        blocks=document.blocks,
        tone=document.tone,
        badge=document.badge,
        number=document.number,
        links=tuple(links[len(buttons) :]),
        footer=document.footer,
    )
    _title, text = markdown(below, keyword=keyword, limit_bytes=10 * BODY_MAX_BYTES)
    called, at = _called(message.mention)
    text += f"\n\n{called}" if called else ""
    title = f"{keyword} {escape(cut(one_line(document.heading()), TITLE_CHARS), bold=True)}".strip()
    if not buttons:
        return {"msgtype": "markdown", "markdown": {"title": title, "text": text}, "msgUuid": message.key, **at}
    body: dict[str, Any] = {"title": title, "text": text, "btnOrientation": "0"}
    if len(buttons) == 1:
        body |= {"singleTitle": _label(buttons[0]), "singleURL": buttons[0].url}
    else:
        body["btns"] = [{"title": _label(link), "actionURL": link.url} for link in buttons]
    return {"msgtype": "actionCard", "actionCard": body, "msgUuid": message.key, **at}


def _called(mention: Mention | None) -> tuple[str, dict[str, Any]]:
    """The words that call somebody, and the member of the body that makes them do so: neither works alone."""
    if mention is None:
        return "", {}
    people = {"atUserIds": [mention.user]} if mention.user else {"atMobiles": [mention.phone]}
    return f"@{mention.user or mention.phone}", {"at": {**people, "isAtAll": False}}


def _label(link: Link) -> str:
    return escape(cut(str(link.label), BUTTON_CHARS), bold=True)


def _plain(document: Document, message: Message, keyword: str) -> dict[str, Any]:
    """A text message has no markup, and mentions nobody who is not in its `at`."""
    called, at = _called(message.mention)
    text = "\n".join(filter(None, (unmentioned(f"{document.heading()}\n{outline(document)}".strip()), called)))
    return {"msgtype": "text", "text": {"content": f"{keyword} {text}".strip()}, "msgUuid": message.key, **at}


def refusal(reply: HttpReply, keyword: str) -> DeliveryError | None:
    """What the body says went wrong, None when DingTalk took the message. Refusals come with HTTP 200 as well."""
    body = reply.json()
    code = code_of(body.get("errcode")) if isinstance(body, dict) else None
    if code is None:
        return page(NAME, reply, banned_s(reply))
    if code == 0:
        return None
    if code == 310000:
        return _security(str(body.get("errmsg", "")).lower(), keyword)
    return (
        REFUSALS[code].error(reply.retry_after)
        if code in REFUSALS
        else unknown_code(NAME, code, retry_after=reply.retry_after)
    )


def _security(said: str, keyword: str) -> DeliveryError:
    """One code for all security settings: only the text, which changed twice over the years, tells them apart."""
    if "签名不匹配" in said or "sign not match" in said:  # its long form goes on to speak of timestamps
        return SIGN.error()
    if "timestamp" in said or "时间戳" in said:
        return CLOCK.error()
    if "关键词" in said or "keyword" in said:
        return KEYWORD.error(keyword=keyword)
    if "whitelist" in said or "白名单" in said:
        return ADDRESS.error()
    if "签名" in said or "sign" in said:
        return SIGN.error()
    return SECURITY.error()


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    params = {}
    if target.secret:
        timestamp_ms = int(message.now.timestamp() * 1000)
        params = {"timestamp": str(timestamp_ms), "sign": sign(target.secret, timestamp_ms)}
    try:
        reply = outside.http.post(target.address, json=card(message, outside.keyword), params=params)
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = refusal(reply, outside.keyword)
    if failure is not None:
        raise failure
    return Receipt()


CHANNEL = Channel("dingtalk", send, budgets=(Throttle(18, 61.0),), fill=fill)
