"""Why Lark did not take a message of the app: one line per documented code, and whether trying again makes sense.

https://open.feishu.cn/document/server-docs/im-v1/message/create and …/message-card/patch. Only what the app's API
answers; group bots behind webhooks have their own table in `bot/channels`.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.http import HttpReply
from bot.refusals import Refusal, code_of, page, temporary, unknown_code
from handlers.errors import DeliveryError
from handlers.texts import _

NAME = "Lark"

TOKEN_REFUSED = frozenset({99991661, 99991663, 99991664})
"""The access token is missing, invalid or over: worth one new token."""

_PERSON = Refusal(
    "gone", _("Lark cannot reach this person: they left, blocked the bot, or may not use the app (its availability).")
)
_NOT_IN_GROUP = Refusal(
    "not_in_group", _("The Lark app is not in this group any more; add it again in the settings of the group.")
)
_WITHDRAWN = Refusal("withdrawn", _("The message that this answers was withdrawn."))
_TOO_FAST = temporary("rate_limited", _("Lark takes no more messages for a while."))
_CREDENTIALS = Refusal(
    "credentials",
    _(
        "Lark refuses the app's credentials; check LARK_APP_ID and LARK_APP_SECRET, for example by"
        " “python -m bot check”."
    ),
)

REFUSALS: dict[int, Refusal] = {
    230001: Refusal("bad_form", _("Lark does not understand this message.")),
    230002: _NOT_IN_GROUP,
    230006: Refusal(
        "bot_off", _("The Lark app has no bot any more; add the bot ability in the developer console and publish it.")
    ),
    232009: Refusal("gone", _("This Lark group does not exist any more.")),
    230013: _PERSON,
    230053: _PERSON,
    230029: _PERSON,
    230034: _PERSON,
    230035: _PERSON,
    230020: _TOO_FAST,
    99991400: _TOO_FAST,
    230022: Refusal("content", _("Lark refuses the content of this message.")),
    230028: Refusal(
        "audit", _("Lark's audit refuses this message; whole phone numbers and mail addresses can be the cause.")
    ),
    230025: Refusal("too_long", _("The message is too long for Lark.")),
    230099: Refusal("card", _("Lark does not accept this card.")),
    230011: _WITHDRAWN,
    230110: _WITHDRAWN,
    230031: Refusal("too_old", _("Lark does not change messages that are older than 14 days.")),
    99991672: Refusal(
        "not_allowed",
        _(
            "The Lark app may not do this; give it the permission “im:message:send_as_bot” in the developer console"
            " and publish a new version."
        ),
    ),
    **dict.fromkeys(TOKEN_REFUSED, temporary("no_token", _("Lark does not accept the app's access token."))),
}
"""`code` of the API -> what it amounts to."""

TOKEN_REFUSALS: dict[int, Refusal] = {
    **dict.fromkeys((10003, 10014, 99991543), _CREDENTIALS),
    99991400: _TOO_FAST,
}
"""`code` of the endpoint that gives out access tokens -> what it amounts to."""


def code(reply: HttpReply) -> int | None:
    """The code of an answer, 0 for success; None where it is not one of Lark's."""
    body = reply.json()
    return code_of(body.get("code")) if isinstance(body, Mapping) else None


def refusal(reply: HttpReply) -> DeliveryError | None:
    """What the answer of the API says went wrong, None when Lark did it."""
    number = code(reply)
    if number is None:
        return page(NAME, reply)
    if number == 0:
        return None if 200 <= reply.status < 300 else page(NAME, reply)
    wait_s = _wait_s(reply)
    if number in REFUSALS:
        return REFUSALS[number].error(wait_s)
    if reply.status == 429:
        return _TOO_FAST.error(wait_s)
    return unknown_code(NAME, number, permanent=reply.status not in (408,) and reply.status < 500, retry_after=wait_s)


def token_refusal(reply: HttpReply) -> DeliveryError:
    """Why there is no access token in this answer. What is not known to be final may be gone at the next try."""
    number = code(reply)
    if number is None:
        return page(NAME, reply)
    if number in TOKEN_REFUSALS:
        return TOKEN_REFUSALS[number].error(_wait_s(reply))
    return temporary("no_token", _("Lark gave out no access token.")).error(_wait_s(reply))


def _wait_s(reply: HttpReply) -> float | None:
    """Seconds to stay away, where the answer says so."""
    reset = (reply.headers.get("x-ogw-ratelimit-reset") or "").strip()
    if reset.isascii() and reset.isdigit() and len(reset) < 6:
        return float(reset)
    return reply.retry_after
