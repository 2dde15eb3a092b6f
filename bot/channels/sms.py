"""Short messages through Alibaba Cloud SMS, SendSms of 2017-05-25: https://help.aliyun.com/zh/sms/developer-reference/

A message is a template that Alibaba has approved, with a few variables. The template for codes (SMS_TEMPLATE_CODE) has
the one variable `code`. The template for alerts (SMS_TEMPLATE_ALERT) may use any of

    name      title of the alert            level     CRITICAL, WARNING ... or RESOLVED
    instance  what it is about              time      since when, `11-23 07:35`, local
    group     contact group it went to      id        the number people type in the chat, `42`

each of at most 35 characters and without addresses: Alibaba refuses whole messages for a URL or a phone number in one.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, tzinfo
from typing import Any

from bot.aliyun import AccessKey, AliyunError, call
from bot.channels.contract import Channel, Message, Outside, Question, Receipt, Target
from bot.channels.gateway import DAY_S, HOUR_S, MINUTE_S, OPERATORS, TEMPORARY, window_s
from bot.channels.variables import variables
from bot.http import Unreachable
from bot.markup.plain import cut, one_line
from bot.refusals import Refusal, dead, temporary, unknown_code, unreachable
from handlers.budgets import Throttle
from handlers.errors import DeliveryError
from handlers.receipts import CHINA, Report, sms_detail
from handlers.texts import _

NAME = "SMS"
VERSION = "2017-05-25"
VALUE_CHARS = 35

OUR_TEMPLATE = Refusal(
    "template", _("The SMS template or signature of this service is not accepted; the operator has to fix it.")
)
ACCOUNT = Refusal("account", _("The SMS account of this service does not work; the operator has to look at it."))
CONTENT = Refusal("content", _("The SMS was refused because of its words."))
NUMBER = dead("bad_number", _("This phone number does not exist or cannot get SMS; set another one."))
OUR_CAP = Refusal("cap", _("The SMS of this service are used up for today or this month; use another way."))
TOO_MANY = temporary("rate_limited", _("The number has had too many SMS; try again later."))
BUSY = temporary("busy", _("The SMS service is busy at the moment."))

REFUSALS: dict[str, Refusal] = {
    "isv.BUSINESS_LIMIT_CONTROL": TOO_MANY,
    "isv.DAY_LIMIT_CONTROL": OUR_CAP,
    "isv.MONTH_LIMIT_CONTROL": OUR_CAP,
    "isv.MOBILE_NUMBER_ILLEGAL": NUMBER,
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": NUMBER,
    "isv.BLACK_KEY_CONTROL_LIMIT": CONTENT,
    "isv.SMS_CONTENT_ILLEGAL": CONTENT,
    "isv.PARAM_NOT_SUPPORT_URL": CONTENT,
    "isv.SMS_TEMPLATE_ILLEGAL": OUR_TEMPLATE,
    "isv.SMS_SIGNATURE_ILLEGAL": OUR_TEMPLATE,
    "isv.SMS_SIGN_ILLEGAL": OUR_TEMPLATE,
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": OUR_TEMPLATE,
    "isv.TEMPLATE_MISSING_PARAMETERS": OUR_TEMPLATE,
    "isv.TEMPLATE_PARAMS_ILLEGAL": OUR_TEMPLATE,
    "isv.INVALID_JSON_PARAM": OUR_TEMPLATE,
    "isv.PARAM_LENGTH_LIMIT": OUR_TEMPLATE,
    "isv.INVALID_PARAMETERS": OUR_TEMPLATE,
    "isv.MOBILE_COUNT_OVER_LIMIT": OUR_TEMPLATE,
    "isv.EXTEND_CODE_ERROR": OUR_TEMPLATE,
    "isv.AMOUNT_NOT_ENOUGH": ACCOUNT,
    "isv.OUT_OF_SERVICE": ACCOUNT,
    "isv.ACCOUNT_NOT_EXISTS": ACCOUNT,
    "isv.ACCOUNT_ABNORMAL": ACCOUNT,
    "isv.PRODUCT_UN_SUBSCRIPT": ACCOUNT,
    "isv.PRODUCT_UNSUBSCRIBE": ACCOUNT,
    "isp.RAM_PERMISSION_DENY": ACCOUNT,
    "isv.DENY_IP_RANGE": Refusal(
        "place", _("Alibaba Cloud refuses SMS from where this service runs; the operator has to move it.")
    ),
    "isp.SYSTEM_ERROR": BUSY,
}
"""https://help.aliyun.com/zh/sms/developer-reference/api-error-codes"""

CODES_OVER = {
    MINUTE_S: _("The number has had a code within this minute; try again in one minute."),
    HOUR_S: _("The number has had too many codes this hour; try again in one hour."),
    DAY_S: _("The number has had too many codes today; try again tomorrow."),
}
"""What people read who asked for a code, by the window of the limit."""

_URL = re.compile(r"\b(?:[a-z][a-z0-9+.\-]*://|www\.)\S+", re.IGNORECASE)
_ADDRESS = re.compile(
    r"\d{1,3}(?:\.\d{1,3}){3}|[A-Za-z][\w\-]*(?:\.[\w\-]+)+|[\w\-]+(?:\.[\w\-]+)*\.[A-Za-z][\w\-]*", re.ASCII
)
_LONG_NUMBER = re.compile(r"\d{7,}")


def parameters(message: Message, target: Target, outside: Outside) -> dict[str, str]:
    """The parameters of SendSms for this message."""
    code = message.kind == "code"
    return {
        "PhoneNumbers": number(target.address),
        "SignName": outside.sms_sign_name,
        "TemplateCode": outside.sms_template_code if code else outside.sms_template_alert,
        "TemplateParam": json.dumps(
            {"code": message.code} if code else card(message, outside.zone), ensure_ascii=False
        ),
        "OutId": message.key,
    }


def card(message: Message, zone: tzinfo = UTC) -> dict[str, str]:
    """The variables of the alert template, every one a string that is not empty."""
    values = variables(message, zone, "%m-%d %H:%M")
    return {name: short(value) for name, value in values.items()}


def short(text: str) -> str:
    """A value as a template takes it: one line, no addresses, no phone numbers, at most VALUE_CHARS."""
    text = _URL.sub("…", one_line(text))
    text = _ADDRESS.sub(lambda found: found[0].replace(".", "-"), text)
    text = _LONG_NUMBER.sub(lambda found: "…" + found[0][-4:], text)
    return cut(text.replace("【", "[").replace("】", "]"), VALUE_CHARS) or "-"


def number(e164: str) -> str:
    """An E.164 number as SendSms wants it: without +86 in mainland China, without + elsewhere."""
    digits = e164.removeprefix("+")
    return digits.removeprefix("86") if digits.startswith("86") and len(digits) == 13 else digits


def refusal(code: str, said: str, message: Message) -> DeliveryError:
    """The error for the `Code` of an answer; `said` is its `Message`.

    A code is never sent late: it would have expired. Then the limits are permanent, and say when to ask again.
    """
    if code == "isv.BUSINESS_LIMIT_CONTROL":
        window = window_s(said)
        if message.kind == "code":
            say = TOO_MANY.say if window is None else CODES_OVER[window]
            return Refusal("rate_limited", say, retry_after=window).error()
        return Refusal("rate_limited", TOO_MANY.say, permanent=window == DAY_S, retry_after=window).error()
    if code in REFUSALS:
        return REFUSALS[code].error()
    if code.startswith(TEMPORARY):
        return BUSY.error()
    if code.startswith(OPERATORS):
        return ACCOUNT.error()
    return unknown_code(NAME, code)


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    asked = parameters(message, target, outside)
    if not asked["TemplateCode"]:
        say = _("This service has no SMS template for alerts; the operator has to set SMS_TEMPLATE_ALERT.")
        raise DeliveryError("not_configured", say, permanent=True)
    if message.again and (taken := _taken(asked, message, outside)):
        return taken
    try:
        answer = _call("SendSms", asked, message.now, outside)
    except Unreachable as error:
        if error.sent and (receipt := _taken(asked, message, outside)):
            return receipt
        raise unreachable(NAME, error) from None
    except AliyunError as error:
        raise _gateway(error, message) from None
    if answer.get("Code") == "OK":
        return Receipt(str(answer.get("BizId", "")))
    if not isinstance(answer.get("Code"), str):
        raise BUSY.error()
    raise refusal(str(answer["Code"]), str(answer.get("Message", "")), message)


def _gateway(error: AliyunError, message: Message) -> DeliveryError:
    """Refused before the SMS service saw it, or by the service with a status of 4xx."""
    if error.code in REFUSALS or not error.temporary:
        return refusal(error.code, error.said, message)
    return BUSY.error(error.retry_after)


def _taken(asked: dict[str, str], message: Message, outside: Outside) -> Receipt | None:
    """Whether an SMS whose answer was lost was sent after all: SendSms is not idempotent, so it is looked up once."""
    try:
        rows = _details(asked["PhoneNumbers"], "", message.now, message.now, outside)
    except (Unreachable, AliyunError):
        return None
    return Receipt() if any(row.get("OutId") == message.key for row in rows) else None


def look_up(question: Question, outside: Outside) -> Report | None:
    """What became of an SMS; None when that is not known. Raises Unreachable, AliyunError."""
    rows = _details(number(question.address), question.reference, question.sent_at, question.now, outside)
    row = next((row for row in rows if row.get("OutId") == question.key), None)
    return sms_detail(row) if row is not None else None


def _details(phone: str, biz_id: str, sent_at: datetime, now: datetime, outside: Outside) -> list[dict[str, Any]]:
    """What the service knows of the SMS to a number on that day, the newest first; of one alone with its BizId."""
    query = {
        "PhoneNumber": phone,
        "SendDate": sent_at.astimezone(CHINA).strftime("%Y%m%d"),
        "PageSize": "50",
        "CurrentPage": "1",
    }
    answer = _call("QuerySendDetails", query | ({"BizId": biz_id} if biz_id else {}), now, outside)
    details = answer.get("SmsSendDetailDTOs")
    rows = details.get("SmsSendDetailDTO") if isinstance(details, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _call(action: str, params: dict[str, str], now: datetime, outside: Outside) -> dict[str, Any]:
    key = AccessKey(outside.access_key_id, outside.access_key_secret)
    return call(outside.http, outside.sms_url, action, VERSION, params, key, now)


def missing(outside: Outside) -> tuple[str, ...]:
    settings = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": outside.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": outside.access_key_secret,
        "SMS_SIGN_NAME": outside.sms_sign_name,
        "SMS_TEMPLATE_CODE": outside.sms_template_code,
    }
    return tuple(name for name, value in settings.items() if not value)


CHANNEL = Channel(
    "sms",
    send,
    budgets=(Throttle(5, 900.0),),
    missing=missing,
    fill=lambda _message, _outside: 0.0,
    brief=True,
    look_up=look_up,
)
