"""Why DingTalk did not take a message: one line per documented code, and whether trying again makes sense.

Only what the app robot's session address and API answer; robots behind webhooks have their own table in `bot/channels`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bot.http import HttpReply, Unreachable
from bot.refusals import banned_s
from handlers.errors import DeliveryError
from handlers.texts import Say, _

TEMPORARY, PERMANENT = False, True


class Refusal(NamedTuple):
    """What one error code amounts to; the fields are those of DeliveryError."""

    reason: str
    permanent: bool
    say: Say


_TOO_FAST = Refusal("rate_limited", TEMPORARY, _("DingTalk takes no more messages for a while."))
_QUOTA = Refusal(
    "quota",
    PERMANENT,
    _("The organisation's DingTalk quota for this month is used up; its administrator can buy more."),
)
_BUSY = Refusal("busy", TEMPORARY, _("DingTalk is busy."))
_SESSION_OVER = Refusal(
    "session_over",
    PERMANENT,
    _("The time to answer in this conversation is over."),
)
_CONTENT = Refusal("content", PERMANENT, _("DingTalk refuses the content of this message."))
_TOO_LONG = Refusal("too_long", PERMANENT, _("The message is too long for DingTalk."))
_BAD_FORM = Refusal("bad_form", PERMANENT, _("DingTalk does not understand this message."))
_GROUP_GONE = Refusal("gone", PERMANENT, _("This DingTalk group does not exist any more."))
_PERSON_GONE = Refusal("gone", PERMANENT, _("DingTalk does not know this person any more."))
_ROBOT_GONE = Refusal(
    "robot_stopped",
    PERMANENT,
    _("The robot is stopped or has left this conversation; add it again in the settings of the group."),
)
_ROBOT_CODE = Refusal(
    "robot_code",
    PERMANENT,
    _("The robot does not belong to the configured app; check DINGTALK_CLIENT_ID."),
)
_NOT_ALLOWED = Refusal(
    "not_allowed",
    PERMANENT,
    _("The DingTalk app may not do this; give it the permission “qyapi_robot_sendmsg” in the developer console."),
)

_TEMPLATE = Refusal(
    "template",
    PERMANENT,
    _("DingTalk does not know the template of the cards; publish it, and check DINGTALK_CARD_TEMPLATE."),
)

SESSION_REFUSALS: dict[int, Refusal] = {
    -1: _BUSY,
    130101: _TOO_FAST,
    410100: _TOO_FAST,
    90018: _TOO_FAST,
    90002: _TOO_FAST,
    90030: _QUOTA,
    90020: _QUOTA,
    300001: _SESSION_OVER,
    300005: _SESSION_OVER,
    400101: _SESSION_OVER,
    400102: _ROBOT_GONE,
    400106: _ROBOT_GONE,
    400013: _GROUP_GONE,
    400105: _BAD_FORM,
    40035: _BAD_FORM,
    43002: _BAD_FORM,
    43004: _BAD_FORM,
    310000: _NOT_ALLOWED,
    460101: _TOO_LONG,
    101002: _TOO_LONG,
    430101: _CONTENT,
    430102: _CONTENT,
    430103: _CONTENT,
    430104: _CONTENT,
}
"""`errcode` of the session address -> what it amounts to
(https://open.dingtalk.com/document/development/custom-robots-send-group-messages)."""

API_REFUSALS: dict[str, Refusal] = {
    "InvalidAuthentication": Refusal("no_token", TEMPORARY, _("DingTalk does not accept the app's access token.")),
    "invalidParameter.msgParam.tooLong": _TOO_LONG,
    "invalidParameter.robotCode.auth": _ROBOT_CODE,
    "invalid.openConversationId": _GROUP_GONE,
    "group.disbanded": _GROUP_GONE,
    "bot.stopped": _ROBOT_GONE,
    "chatbotId.notAllow.sendOTO": _NOT_ALLOWED,
    "robot.oto.notExist": _ROBOT_GONE,
    "staffId.notExisted": _PERSON_GONE,
    "send.too.fast": _TOO_FAST,
    "too.many.people": _BAD_FORM,
    "contain.notAllowed.text": _CONTENT,
    "system.error": _BUSY,
    "system.busy": _BUSY,
    "Forbidden.AccessDenied.ApiCountLimitForOrg": _QUOTA,
    "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi": _TOO_FAST,
    "Forbidden.AccessDenied.QpsLimitForApi": _TOO_FAST,
    "Forbidden.AccessDenied.AccessTokenPermissionDenied": _NOT_ALLOWED,
    **dict.fromkeys(("param.templateNotExist", "param.templateUnpublished"), _TEMPLATE),
    "param.openSpaceIdInvalid": _GROUP_GONE,
    "param.userIdNotExist": _PERSON_GONE,
    "param.contentUnsafe": _CONTENT,
    "param.cardAlreadyExist": _BAD_FORM,
    "param.cardNotExist": Refusal("gone", PERMANENT, _("This DingTalk card does not exist any more.")),
    "param.cardDataAndPrivateDataBothEmpty": _BAD_FORM,
}
"""`code` of the API -> what it amounts to (error tables of the two pages above)."""


def unreachable(error: Unreachable) -> DeliveryError:
    return DeliveryError("unreachable", _("DingTalk could not be reached."), permanent=False, unknown=error.sent)


def no_answer(reply: HttpReply) -> DeliveryError:
    """Not DingTalk's JSON: a proxy's page, or the guard of the platform, which bans for five minutes."""
    return DeliveryError(
        "no_answer",
        _("Something that is not DingTalk's answer came back."),
        permanent=False,
        retry_after=banned_s(reply),
    )


def session_refusal(errcode: int) -> DeliveryError:
    other = Refusal("refused", TEMPORARY, _("DingTalk refused the message with the error {code}.", code=errcode))
    reason, permanent, words = SESSION_REFUSALS.get(errcode, other)
    # The page names ten minutes as the punishment for sending too fast.
    return DeliveryError(reason, words, permanent=permanent, retry_after=600.0 if errcode in (130101, 410100) else None)


def api_refusal(code: str, status: int) -> DeliveryError:
    if code == "unknown.send.result":
        return DeliveryError("unknown", _("DingTalk does not say whether it sent this."), permanent=False, unknown=True)
    shown = re.sub(r"[^A-Za-z0-9._-]", "?", code)[:80]
    client_fault = 400 <= status < 500 and status not in (408, 429)
    other = Refusal("refused", client_fault, _("DingTalk refused the message with the error {code}.", code=shown))
    reason, permanent, words = API_REFUSALS.get(code, other)
    return DeliveryError(reason, words, permanent=permanent)
