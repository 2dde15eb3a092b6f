"""Phone calls through Alibaba Cloud Voice, SingleCallByTts of 2017-05-25: https://help.aliyun.com/zh/vms/developer-reference/

A call reads an approved template (VOICE_TEMPLATE) aloud, which may use any of the variables that an alert's SMS has:

    name      title of the alert            level     CRITICAL
    instance  what it is about              time      since when, `07:35`, local
    group     contact group it went to      id        the number people type in the chat, `42`

all together shorter than 250 characters and without addresses. Only critical alarms are told so: no codes, no tests.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, tzinfo
from typing import Any

from bot.aliyun import AccessKey, AliyunError, call
from bot.channels.contract import Channel, Message, Outside, Question, Receipt, Target
from bot.channels.gateway import OPERATORS, TEMPORARY, window_s
from bot.channels.variables import variables
from bot.http import Unreachable
from bot.markup.plain import cut, one_line
from bot.refusals import Refusal, dead, temporary, unknown_code, unreachable
from handlers.budgets import Throttle
from handlers.errors import DeliveryError
from handlers.receipts import Report, call_id, voice_detail
from handlers.texts import _

NAME = "Voice"
VERSION = "2017-05-25"
PRODUCT = "11010000138001"
"""Calls that read a template aloud, as QueryCallDetailByCallId calls them."""

LIMITS = {"name": 60, "level": 12, "instance": 30, "time": 5, "group": 20, "id": 12}
"""Characters of each variable: with their names they stay below the 250 of all."""

BUDGETS = (Throttle(1, 61.0), Throttle(5, 3610.0), Throttle(20, 86_410.0))
"""Of one number, 1 a minute, 5 an hour and 20 in 24 hours, with a margin; calls that nobody answers count.
https://help.aliyun.com/document_detail/2680293.html"""

TEMPLATE = Refusal("template", _("The voice template of this service is not accepted; the operator has to fix it."))
ACCOUNT = Refusal("account", _("The voice account of this service does not work; the operator has to look at it."))
NUMBER = dead("bad_number", _("This phone number does not exist or cannot be called; set another one."))
SHOWN = Refusal(
    "shown_number", _("The number that calls is not accepted; the operator has to check VOICE_SHOWN_NUMBER.")
)
WORDS = Refusal("content", _("The call was refused because of its words."))
TOO_MANY = temporary("rate_limited", _("The number has had too many calls; try again later."), 60.0)
BUSY = temporary("busy", _("The voice service is busy at the moment."))

REFUSALS: dict[str, Refusal] = {
    "isv.BUSINESS_LIMIT_CONTROL": TOO_MANY,
    "isv.MOBILE_NUMBER_ILLEGAL": NUMBER,
    "isv.COMPLAINT_REJECT": Refusal("unwanted", _("The number takes no such calls: its owner or carrier blocks them.")),
    "isv.TTS_TEMPLATE_ILLEGAL": TEMPLATE,
    "isv.TEMPLATE_ILLEGAL": TEMPLATE,
    "isv.TEMPLATE_MISSING_PARAMETERS": TEMPLATE,
    "isv.INVALID_PARAMETERS": TEMPLATE,
    "isv.PARAM_LENGTH_LIMIT": TEMPLATE,
    "isv.TEMPLATE_PARAMS_ILLEGAL": WORDS,
    "isv.PARAM_NOT_SUPPORT_URL": WORDS,
    "isv.BLACK_KEY_CONTROL_LIMIT": WORDS,
    "isv.DISPLAY_NUMBER_ILLEGAL": SHOWN,
    "isv.BILLID_NOT_EXIST": SHOWN,
    "isv.AMOUNT_NOT_ENOUGH": ACCOUNT,
    "isv.OUT_OF_SERVICE": ACCOUNT,
    "isv.ACCOUNT_NOT_EXISTS": ACCOUNT,
    "isv.ACCOUNT_ABNORMAL": ACCOUNT,
    "isv.PRODUCT_UN_SUBSCRIPT": ACCOUNT,
    "isv.PRODUCT_UNSUBSCRIBE": ACCOUNT,
    "isp.RAM_PERMISSION_DENY": ACCOUNT,
    "isv.VOICE_CALL_FAIL": BUSY,
    "isp.SYSTEM_ERROR": BUSY,
}
"""https://help.aliyun.com/zh/vms/developer-reference/api-error-code"""

_URL = re.compile(r"\b(?:[a-z][a-z0-9+.\-]*://|www\.)\S+", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d{7,}")
_ADDRESS = re.compile(r"\d+(?:\.\d+){2,}", re.ASCII)
_SILENT = re.compile(r"(?<!\d)\.|\.(?!\d)|[^\w%℃. ]+")
"""What is not read aloud, or as something nobody wants to hear: slashes, brackets, dots that are not decimal."""


def parameters(message: Message, target: Target, outside: Outside) -> dict[str, str]:
    """The parameters of SingleCallByTts for this message."""
    asked = {
        "CalledNumber": number(target.address),
        "TtsCode": outside.voice_template,
        "TtsParam": json.dumps(card(message, outside.zone), ensure_ascii=False, separators=(",", ":")),
        "PlayTimes": "2",
        "OutId": call_id(message.key),
    }
    return asked | ({"CalledShowNumber": outside.voice_shown_number} if outside.voice_shown_number else {})


def card(message: Message, zone: tzinfo = UTC) -> dict[str, str]:
    """The variables of the template, every one a string that is not empty."""
    values = variables(message, zone, "%H:%M")
    return {name: value if name == "time" else spoken(value, LIMITS[name]) for name, value in values.items()}


def spoken(text: str, most: int) -> str:
    """A value as it is read aloud: one line, letters and digits, no address, no long number, at most so many characters."""
    text = _LONG_NUMBER.sub(lambda found: found[0][-4:], _URL.sub(" ", one_line(text)))
    text = _ADDRESS.sub(lambda found: found[0].replace(".", " "), text)
    return cut(" ".join(_SILENT.sub(" ", text).replace("_", " ").split()), most).rstrip("…") or "-"


def number(e164: str) -> str:
    """An E.164 number as the service wants it: without +86 in mainland China, without + elsewhere."""
    digits = e164.removeprefix("+")
    return digits.removeprefix("86") if digits.startswith("86") else digits


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    try:
        answer = _call("SingleCallByTts", parameters(message, target, outside), message.now, outside)
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    except AliyunError as error:
        raise _gateway(error) from None
    if answer.get("Code") == "OK":
        return Receipt(str(answer.get("CallId", "")))
    if not isinstance(answer.get("Code"), str):
        raise BUSY.error()
    raise refusal(str(answer["Code"]), str(answer.get("Message", "")))


def refusal(code: str, said: str) -> DeliveryError:
    """The error for the `Code` of an answer; `said` is its `Message`."""
    if code == "isv.BUSINESS_LIMIT_CONTROL":
        return TOO_MANY.error(window_s(said))
    if code in REFUSALS:
        return REFUSALS[code].error()
    if code.startswith(TEMPORARY):
        return BUSY.error()
    if code.startswith(OPERATORS):
        return ACCOUNT.error()
    return unknown_code(NAME, code)


def _gateway(error: AliyunError) -> DeliveryError:
    """Refused before the voice service saw it, or by the service with a status of 4xx."""
    if error.code in REFUSALS or not error.temporary:
        return refusal(error.code, error.said)
    return BUSY.error(error.retry_after)


def look_up(question: Question, outside: Outside) -> Report | None:
    """What became of a call, by QueryCallDetailByCallId; None when that is not known. Raises Unreachable, AliyunError."""
    if not question.reference:
        return None
    query = {
        "CallId": question.reference,
        "ProdId": PRODUCT,
        "QueryDate": str(int(question.sent_at.timestamp() * 1000)),
    }
    answer = _call("QueryCallDetailByCallId", query, question.now, outside)
    return voice_detail(answer.get("Data"), question.reference)


def _call(action: str, params: dict[str, str], now: datetime, outside: Outside) -> dict[str, Any]:
    key = AccessKey(outside.access_key_id, outside.access_key_secret)
    return call(outside.http, outside.voice_url, action, VERSION, params, key, now)


def missing(outside: Outside) -> tuple[str, ...]:
    settings = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": outside.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": outside.access_key_secret,
        "VOICE_TEMPLATE": outside.voice_template,
    }
    return tuple(name for name, value in settings.items() if not value)


CHANNEL = Channel(
    "voice",
    send,
    budgets=BUDGETS,
    missing=missing,
    fill=lambda _message, _outside: 0.0,
    brief=True,
    look_up=look_up,
)
