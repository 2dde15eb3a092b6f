"""Why WeCom did not take what the app or the smart robot said, and how to go on.

The codes are those of https://developer.work.weixin.qq.com/document/path/90313. WeCom answers HTTP 200 to everything;
robots behind webhooks have their own table in `bot/channels`.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.http import HttpReply
from bot.refusals import Refusal, code_of, page, temporary, unknown_code
from handlers.errors import DeliveryError
from handlers.texts import _

NAME = "WeCom"

WORN_TOKENS = frozenset({40014, 42001})
"""The access token is void or has expired, maybe before its time: another one is asked for, once."""

_RATE_S = 60.0
"""The shortest of WeCom's windows is a minute."""

_TOO_FAST = temporary("rate_limited", _("WeCom takes no more messages from the app at the moment."), _RATE_S)
_FORM = Refusal("form", _("WeCom did not accept the form of the message."))
_TOO_LONG = Refusal("too_long", _("The message was too long for WeCom."))
_CREDENTIALS = Refusal(
    "credentials",
    _(
        "WeCom refuses the app's credentials; check WECOM_CORP_ID and WECOM_SECRET,"
        " for example by “python -m bot check”."
    ),
)
_AGENT = Refusal("agent", _("WECOM_AGENT_ID does not belong to the app of WECOM_SECRET; check both."))
_FORBIDDEN = Refusal("forbidden", _("The WeCom app may not do this; check its permissions in the admin console."))
NOBODY = Refusal(
    "gone",
    _("The WeCom app does not reach this person; add them to the app's visible range in the admin console."),
)
UNLICENSED = Refusal("unlicensed", _("This person has no WeCom interface licence, so the app may not write to them."))
NO_TOKEN = temporary("no_token", _("WeCom does not accept the app's access token."))
NOT_REPEATED = Refusal("answered", _("In this WeCom conversation the bot can answer each message once only."))
NOT_CONFIGURED = Refusal("not_configured", _("The WeCom app is not configured, so nobody can be written to alone."))

REFUSALS: Mapping[int, Refusal] = {
    -1: temporary("busy", _("WeCom is busy at the moment.")),
    40001: _CREDENTIALS,
    40013: _CREDENTIALS,
    **dict.fromkeys(WORN_TOKENS, NO_TOKEN),
    40007: _FORM,
    40008: _FORM,
    40009: _TOO_LONG,
    40035: _FORM,
    40058: _FORM,
    40063: _FORM,
    41001: NO_TOKEN,
    42017: _FORM,
    44001: _FORM,
    44004: _FORM,
    45001: _TOO_LONG,
    45034: _FORM,
    45002: _TOO_LONG,
    45008: _TOO_LONG,
    40056: _AGENT,
    301002: _AGENT,
    45009: _TOO_FAST,
    45033: temporary("rate_limited", _("WeCom takes no more messages from the app at the moment."), 5.0),
    48002: _FORBIDDEN,
    60011: NOBODY,
    60111: NOBODY,
    60020: Refusal("ip", _("WeCom does not accept this server's address; add it to the app's trusted addresses.")),
    81012: NOBODY,
    81013: NOBODY,
    82004: Refusal("content", _("WeCom refused the content of the message.")),
}


def code_in(reply: HttpReply) -> int | None:
    """`errcode` of an answer, None when it is not one of WeCom's."""
    body = reply.json()
    return code_of(body.get("errcode")) if isinstance(body, dict) else None


def refusal(reply: HttpReply) -> DeliveryError | None:
    """What the body says went wrong, None when all went well.

    A code that the table does not know is permanent here: whatever is said so has another way, which is taken then.
    """
    code = code_in(reply)
    if code is None:
        return page(NAME, reply)
    if code == 0:
        return None
    return REFUSALS[code].error(reply.retry_after) if code in REFUSALS else unknown_code(NAME, code, permanent=True)
