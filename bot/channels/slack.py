"""Slack incoming webhooks: https://api.slack.com/messaging/webhooks"""

from __future__ import annotations

import re
from typing import Any

from bot.channels import posted
from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.channels.fit import cleaned, drawn, fitted
from bot.http import HttpReply, Unreachable
from bot.markup.plain import outline, unmentioned
from bot.markup.slack import BLOCKS, COLOURS, blocks, escape, heading
from bot.refusals import Refusal, dead, page, temporary, unknown_code, unreachable
from handlers.budgets import Throttle
from handlers.document import Document
from handlers.errors import DeliveryError
from handlers.texts import _

NAME = "Slack"
MESSAGE_MAX_CHARS = 12_000
"""Of all blocks together; beyond about 13,000 Slack answers `msg_blocks_too_long`."""

PLAIN_MAX_CHARS = 3_500
"""Slack advises at most 4,000 characters of text."""

FORM = Refusal("form", _("Slack did not accept the form of the message."))
GONE = dead("gone", _("The Slack webhook does not exist any more; make a new one and set it."))
CHANNEL_GONE = dead("gone", _("The Slack channel of this webhook is gone or archived; make a new webhook and set it."))
FORBIDDEN = dead("forbidden", _("Slack does not let this webhook post; ask an administrator of the workspace."))
TOO_FAST = temporary("rate_limited", _("Slack takes no more messages for this webhook at the moment."))
BUSY = temporary("busy", _("Slack is busy at the moment."))

REFUSALS: dict[str, Refusal] = {
    "invalid_payload": FORM,
    "no_text": FORM,
    "too_many_attachments": FORM,
    "invalid_blocks": FORM,
    "invalid_blocks_format": FORM,
    "invalid_attachments": FORM,
    "invalid_arguments": FORM,
    "msg_blocks_too_long": FORM,
    "msg_too_long": FORM,
    "user_not_found": CHANNEL_GONE,
    "channel_not_found": CHANNEL_GONE,
    "channel_is_archived": CHANNEL_GONE,
    "is_archived": CHANNEL_GONE,
    "action_prohibited": FORBIDDEN,
    "posting_to_general_channel_denied": FORBIDDEN,
    "no_active_hooks": GONE,
    "no_service": GONE,
    "no_service_id": GONE,
    "no_team": GONE,
    "team_disabled": GONE,
    "invalid_token": GONE,
    "rate_limited": TOO_FAST,
    "ratelimited": TOO_FAST,
    "message_limit_exceeded": TOO_FAST,
    "internal_error": BUSY,
    "fatal_error": BUSY,
    "service_unavailable": BUSY,
    "request_timeout": BUSY,
    "rollup_error": BUSY,
}
"""Bodies of the page above, and codes of https://api.slack.com/methods/chat.postMessage."""

_WORD = re.compile(r"[a-z][a-z_]{1,60}")


def card(message: Message) -> dict[str, Any]:
    """The message as blocks beside a bar in the colour of its severity; or as text.

    The heading is the message's own text, which Slack shows above its attachments and in notifications.
    """
    own = posted.slack(message)
    if own is not None:
        return own
    if message.plain:
        document = fitted(message.document, message.language, PLAIN_MAX_CHARS, lambda d: len(_text(d)))
        return {"text": _text(document), **QUIET}
    document, (header, *rest) = drawn(
        message.document, message.language, MESSAGE_MAX_CHARS, lambda d: (d, blocks(d)), lambda made: _chars(made[1])
    )
    if message.mention:
        # A mention needs mrkdwn; above the bar, since not every client is told of mentions in attachments.
        called = {"type": "mrkdwn", "text": f"<@{message.mention.user}>", "verbatim": True}
        return {
            "text": escape(unmentioned(heading(document))),
            **QUIET,
            "blocks": [header, {"type": "section", "text": called}],
            "attachments": [{"color": COLOURS[document.tone], "blocks": rest or [header]}],
        }
    return {
        "text": escape(unmentioned(heading(document))),
        **QUIET,
        "attachments": [
            {"color": COLOURS[document.tone], "fallback": heading(document), "blocks": rest or [header]},
        ],
    }


def fill(message: Message, _outside: Outside) -> float:
    """The part of its limit that the message takes when nothing of it is cut."""
    document = cleaned(message.document)
    return len(_text(document)) / PLAIN_MAX_CHARS if message.plain else _chars(blocks(document)) / MESSAGE_MAX_CHARS


QUIET = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
"""Top-level text is shown as it is, and Slack fetches no page that an alert mentions."""


def _text(document: Document) -> str:
    return escape(unmentioned(f"{document.heading()}\n{outline(document)}".strip()))


def _chars(made: list[dict[str, Any]]) -> int:
    """Characters of all blocks; more than any limit when there are too many blocks."""
    if len(made) > BLOCKS:
        return MESSAGE_MAX_CHARS * len(made)
    return sum(_text_chars(block) for block in made)


def _text_chars(block: dict[str, Any]) -> int:
    texts = [block["text"]] if "text" in block else block.get("fields") or block["elements"]
    return sum(len(text["text"]) for text in texts)


def refusal(reply: HttpReply) -> DeliveryError | None:
    """What the body says went wrong, None when Slack took the message: status 200 and the one word `ok`."""
    word = reply.text.strip()
    if reply.status == 200 and word == "ok":
        return None
    if reply.status == 429:
        return TOO_FAST.error(reply.retry_after)
    body = reply.json()
    if isinstance(body, dict):
        word = str(body.get("error", ""))
    if word in REFUSALS:
        return REFUSALS[word].error(reply.retry_after)
    if reply.status >= 500 or reply.status < 400 or not _WORD.fullmatch(word):
        return page(NAME, reply)
    return unknown_code(NAME, word, permanent=True)


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    try:
        reply = outside.http.post(target.address, json=card(message))
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = refusal(reply)
    if failure is not None:
        raise failure
    return Receipt()


CHANNEL = Channel("slack", send, budgets=(Throttle(1, 1.1),), fill=fill)
