"""Buttons and forms in Lark's cards: who pressed what, and what the answer to the callback shows.

https://open.feishu.cn/document/feishu-cards/card-callback-communication. The callback is asked once and has to be
answered within 3 s; what is in the answer the client shows at once: a toast to whoever pressed, a new card to everybody.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from bot.http import encoded
from bot.markup import lark_v2 as markup
from bot.markup.plain import cut, one_line
from bot.platforms.contract import Incoming, Press
from bot.platforms.lark_cards import card
from bot.platforms.lark_read import REPLY_FOR, id_of, moment, needed, object_of, person_of, reply_url, words
from handlers.exchange import Outcome

log = logging.getLogger(__name__)

TRIGGER = "card.action.trigger"

VALUE_MAX_CHARS = 4_000
TOAST_MAX_CHARS = 200
"""Of our own choosing: what a client shows of a longer one is not documented."""

_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


def is_press(body: Mapping[str, Any]) -> bool:
    """Whether the opened callback comes from a card. (Those of the old kind, `…_v1`, have other proofs and are refused.)"""
    return object_of(body.get("header")).get("event_type") == TRIGGER


def decode(body: Mapping[str, Any]) -> Incoming | None:
    """The press; None when what was pressed carries no token.

    PayloadError names the field without which nothing can be done. Whether the chat is one-to-one is not said, so that
    of the button counts, which is known; a card that was forwarded elsewhere cannot be pressed there.
    """
    header, event = object_of(body.get("header")), object_of(body.get("event"))
    operator, action, context = (object_of(event.get(name)) for name in ("operator", "action", "context"))
    value = _value(action.get("value"))
    token = value.get(markup.KEY)
    if not isinstance(token, str) or not token:
        log.info("a press on a Lark card that carries no token was ignored")
        return None
    tenant = id_of(header.get("tenant_key")) or needed(operator, "tenant_key", "$.header.tenant_key")
    message_id = needed(context, "open_message_id", "$.event.context.open_message_id")
    pressed_at = moment(header.get("create_time"))
    return Incoming(
        platform="lark",
        message_id=needed(header, "event_id", "$.header.event_id"),
        person=person_of(
            id_of(operator.get("tenant_key")) or tenant, needed(operator, "open_id", "$.event.operator.open_id")
        ),
        name="",
        conversation="",
        direct=False,
        text="",
        reply_url=reply_url(message_id),
        reply_until=pressed_at + REPLY_FOR if pressed_at else None,
        press=Press(token, _values(action.get("form_value"), value.get(markup.FIELDS)), message_id),
        inline="always",
    )


def _value(value: object) -> Mapping[str, Any]:
    """What the button carries: an object, or the text of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return object_of(value)


def _values(filled_in: object, fields: object) -> dict[str, str]:
    """Every field of the form with what stands in it; empty for a button that stands in none."""
    names = fields if isinstance(fields, list) else []
    values = {name: "" for name in names if isinstance(name, str) and _NAME.fullmatch(name)}
    for name, value in object_of(filled_in).items():
        if _NAME.fullmatch(name):
            chosen = value if isinstance(value, list) else [value]
            values[name] = ",".join(words(one, VALUE_MAX_CHARS) for one in chosen)
    return values


def response(outcome: Outcome | None) -> dict[str, Any]:
    """The answer to the callback: `{}` changes nothing."""
    if outcome is None:
        return {}
    if outcome.errors:
        # A card has no place for what is wrong with one field. That the card stays as it is, is documented; that what was
        # typed into it stays too, is not.
        return {"toast": _toast("error", " ".join(dict.fromkeys(outcome.errors.values())))}
    if outcome.told is None:
        return {}
    if not (outcome.inline and outcome.replaces):
        return {"toast": _toast("info", outcome.told.heading())}
    drawn = card(outcome.told, outcome.language, lambda part: len(encoded(part)))
    return {"toast": _toast("success", outcome.told.heading()), "card": {"type": "raw", "data": drawn}}


def _toast(kind: str, text: str) -> dict[str, str]:
    return {"type": kind, "content": cut(one_line(text), TOAST_MAX_CHARS)}
