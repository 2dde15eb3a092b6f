"""Alibaba Cloud's RPC API behind one address: signatures, and SMS (Dysmsapi 2017-05-25).

The signature check is written from the specification and shares no code with the client that it checks.
Pages: https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature,
https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-sendsms.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal
from urllib.parse import parse_qsl, quote

from bot.sandbox.directory import App
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

VERSION = "2017-05-25"
MAX_SKEW_S = 900
MAX_VARIABLE = 35
CHINA = timezone(timedelta(hours=8))
AUTHORIZATION = re.compile(
    r"ACS3-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})\Z"
)
MAINLAND = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})\Z")
ABROAD = re.compile(r"[1-9][0-9]{6,14}\Z")
NOT_IN_VARIABLES = re.compile(r"://|www\.|\b[a-z0-9-]+\.(?:com|cn|net|org|io|example)\b|1[3-9][0-9]{9}", re.IGNORECASE)

LIMITS: tuple[tuple[str, float, int], ...] = (("分钟级", 60.0, 1), ("小时级", 3600.0, 5), ("天级", 86_400.0, 10))
NOTICES_PER_DAY = 50
CODES_PER_DAY = 40

_USUAL_WORDS = {
    "isv.BUSINESS_LIMIT_CONTROL": "触发分钟级流控Permits:1",
    "isv.AMOUNT_NOT_ENOUGH": "账户余额不足",
    "isv.MOBILE_NUMBER_ILLEGAL": "非法手机号",
    "isv.SMS_TEMPLATE_ILLEGAL": "该账号下找不到对应模板",
    "isv.SMS_SIGNATURE_ILLEGAL": "该账号下找不到对应签名",
    "isv.TEMPLATE_MISSING_PARAMETERS": "模板变量中存在未赋值变量",
    "isv.INVALID_JSON_PARAM": "参数格式错误，请传入JSON格式的字符串",
    "isv.PARAM_LENGTH_LIMIT": "参数超出长度限制",
    "isv.PARAM_NOT_SUPPORT_URL": "变量不支持传入URL",
    "isv.MOBILE_COUNT_OVER_LIMIT": "手机号码数量超过限制",
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": "国际/港澳台消息模板不支持发送境内号码",
    "isv.OUT_OF_SERVICE": "业务停机",
    "isp.SYSTEM_ERROR": "系统错误",
}


GATEWAY = {"ServiceUnavailable": 503, "InternalError": 500, "Forbidden.RAM": 403, "NoPermission": 403}
"""Codes of the gateway that come with another status than 400."""

Action = Callable[[dict[str, str]], dict[str, Any]]
"""Decoded parameters -> members of the answer; raises `Refusal`."""


@dataclass(frozen=True, slots=True)
class Template:
    """An approved template. `variables` None: whatever names are sent (codes: one, notices: up to ten)."""

    code: str
    kind: Literal["code", "notice"]
    variables: tuple[str, ...] | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Sent:
    phone: str
    biz_id: str
    out_id: str
    at: float
    template: str
    error: str


class Refusal(Exception):
    """Refused: business code with HTTP 200, or a gateway's error with its own status."""

    def __init__(self, code: str, text: str = "", status: int = 200) -> None:
        self.code = code
        self.text = text or _USUAL_WORDS.get(code, code)
        self.status = status
        super().__init__(code)


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs sorted by name, percent-encoded by RFC 3986."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(pairs))


def acs3_signature(request: Request, signed: list[str], secret: str) -> str:
    """The hex signature that a request with these signed headers must carry."""
    headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed)
    digest = hashlib.sha256(request.body).hexdigest()
    query = canonical_query(request.pairs)
    canonical = "\n".join((request.method, request.path, query, headers, ";".join(signed), digest))
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def e164(number: str) -> str | None:
    """The number as the phone knows it, None when `PhoneNumbers` may not hold it in this form."""
    mainland = MAINLAND.match(number)
    if mainland is not None:
        return f"+86{mainland[1]}"
    if number.startswith("86"):
        return None  # mainland, but not a mobile number
    return f"+{number}" if ABROAD.match(number) else None


class Aliyun:
    """`dysmsapi.aliyuncs.com`. Access keys are apps of the platform "sms".

    signatures, templates  what this account has approved
    undeliverable          E.164 number -> error code: accepted, but never arrives
    undecided              E.164 numbers whose carrier does not say yet what became of messages
    """

    name = "sms"

    def __init__(self, world: World, signatures: Iterable[str] = (), templates: Iterable[Template] = ()) -> None:
        self.world = world
        self.signatures = set(signatures)
        self.templates = {template.code: template for template in templates}
        self.undeliverable: dict[str, str] = {}
        self.undecided: set[str] = set()
        self._actions: dict[str, tuple[str, Action]] = {
            "SendSms": (VERSION, self._send_sms),
            "QuerySendDetails": (VERSION, self._query_details),
        }

    def offer(self, name: str, version: str, action: Action) -> None:
        """Serve another product's action under the same address and keys."""
        self._actions[name] = (version, action)

    def owns(self, request: Request) -> bool:
        return request.path == "/" and ("x-acs-action" in request.headers or "authorization" in request.headers)

    def keys(self, request: Request) -> tuple[str, ...]:
        parameters = self._parameters(request)
        phone, callee = (e164(parameters.get(name, "")) for name in ("PhoneNumbers", "CalledNumber"))
        known = ((f"sms:{phone}",) if phone else ()) + ((f"voice:{callee}",) if callee else ())
        action = f"sms:{request.headers.get('x-acs-action', '')}"
        number = parameters.get("PageNumber") or parameters.get("pageNumber") or parameters.get("PageOffset")
        return (*known, *((f"{action}:{number}",) if number else ()), action, "sms")

    def refusal(self, code: str | int, text: str) -> Answer:
        """Business codes (`isv.`, `isp.`) come with HTTP 200, `Throttling` and others with 4xx as the gateway's."""
        word = str(code)
        status = 200 if word.startswith(("isv.", "isp.")) else GATEWAY.get(word, 400)
        return self._failure(Refusal(word, text, status))

    def answer(self, request: Request) -> Answer:
        parameters = self._parameters(request)
        try:
            self.check_signature(request)
            if request.headers["x-acs-action"] not in self._actions:
                raise Refusal("InvalidAction.NotFound", "Specified api is not found.", 404)
            version, action = self._actions[request.headers["x-acs-action"]]
            if request.headers["x-acs-version"] != version:
                raise Refusal("InvalidVersion", "Specified parameter Version is not valid.", 400)
            result = action(parameters)
        except Refusal as bad:
            self.world.happen(
                "refused",
                "sms",
                e164(parameters.get("PhoneNumbers") or parameters.get("CalledNumber", "")) or "",
                parameters,
                note=bad.code,
            )
            return self._failure(bad)
        return json_answer({"RequestId": self._request_id(), "Code": "OK", "Message": "OK", **result})

    def reports(self, phone: str) -> list[dict[str, Any]]:
        """The body of the receipts for the newest message to that E.164 number, as pushed to our receipt address."""
        sent = next(one for one in reversed(self.world.recall("sms:sent") or []) if one.phone == phone)
        at = datetime.fromtimestamp(sent.at, CHINA)
        return [
            {
                "phone_number": phone.removeprefix("+86").removeprefix("+"),
                "send_time": f"{at:%Y-%m-%d %H:%M:%S}",
                "report_time": f"{at + timedelta(seconds=3):%Y-%m-%d %H:%M:%S}",
                "success": not sent.error,
                "err_code": sent.error or "DELIVERED",
                "err_msg": "用户接收失败" if sent.error else "用户接收成功",
                "sms_size": "1",
                "biz_id": sent.biz_id,
                "out_id": sent.out_id,
            }
        ]

    @staticmethod
    def _request_id() -> str:
        return secrets.token_hex(16).upper()

    def _failure(self, bad: Refusal) -> Answer:
        body = {"RequestId": self._request_id(), "Code": bad.code, "Message": bad.text}
        if bad.status != 200:
            body |= {
                "HostId": "dysmsapi.aliyuncs.com",
                "Recommend": f"https://api.aliyun.com/troubleshoot?q={bad.code}",
            }
        return json_answer(body, bad.status)

    @staticmethod
    def _parameters(request: Request) -> dict[str, str]:
        pairs = list(request.pairs)
        if request.content_type == "application/x-www-form-urlencoded":
            pairs += parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return dict(reversed(pairs))

    # -- signature

    def check_signature(self, request: Request, method: str = "POST") -> None:
        """Raises Refusal unless one of the account's keys signed the request."""
        headers = request.headers
        if request.method != method:
            raise Refusal("UnsupportedHTTPMethod", "This http method is not supported.", 405)
        for name in ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"):
            if not headers.get(name):
                raise Refusal(f"Missing{name}", f"{name} is mandatory for this action.", 400)
        match = AUTHORIZATION.match(headers.get("authorization", ""))
        if match is None:
            raise Refusal("IncompleteSignature", "The request signature does not conform to Aliyun standards.", 400)
        app: App | None = self.world.app("sms", match[1])
        if app is None:
            raise Refusal("InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404)
        signed = match[2].split(";")
        needed = {"host", *(name for name in headers if name.startswith("x-acs-"))}
        if "content-type" in headers:
            needed.add("content-type")
        if signed != sorted(set(signed)) or not needed <= set(signed) or not set(signed) <= set(headers):
            raise Refusal("IncompleteSignature", "SignedHeaders is not complete or not sorted.", 400)
        if headers["x-acs-content-sha256"] != hashlib.sha256(request.body).hexdigest():
            raise Refusal("InvalidContentSha256", "x-acs-content-sha256 does not match the body.", 400)
        try:
            at = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError as error:
            raise Refusal("InvalidTimeStamp.Format", "Specified time stamp is not well formatted.", 400) from error
        if abs(self.world.now() - at) > MAX_SKEW_S:
            raise Refusal("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.", 400)
        if not hmac.compare_digest(acs3_signature(request, signed, app.client_secret), match[3]):
            raise Refusal("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.", 400)
        nonce = f"sms:nonce:{headers['x-acs-signature-nonce']}"
        if self.world.recall(nonce):
            raise Refusal("SignatureNonceUsed", "Specified signature nonce was used already.", 400)
        self.world.remember(nonce, True)

    # -- actions

    def _send_sms(self, parameters: dict[str, str]) -> dict[str, Any]:
        for name in ("PhoneNumbers", "SignName", "TemplateCode"):
            if not parameters.get(name):
                raise Refusal(f"Missing{name}", f"{name} is mandatory for this action.", 400)
        if parameters["SignName"] not in self.signatures:
            raise Refusal("isv.SMS_SIGNATURE_ILLEGAL")
        template = self.templates.get(parameters["TemplateCode"])
        if template is None:
            raise Refusal("isv.SMS_TEMPLATE_ILLEGAL")
        numbers = parameters["PhoneNumbers"].split(",")
        if len(numbers) > (1 if template.kind == "code" else 1000):
            raise Refusal("isv.MOBILE_COUNT_OVER_LIMIT")
        phones = [e164(number) for number in numbers]
        if not all(phones):
            raise Refusal("isv.MOBILE_NUMBER_ILLEGAL")
        values = self._values(template, parameters.get("TemplateParam", "{}"))
        if len(parameters.get("OutId", "")) > 255:
            raise Refusal("isv.PARAM_LENGTH_LIMIT")
        sign = parameters["SignName"]
        for phone in phones:
            self._check_frequency(template, sign, str(phone))
        biz_id = f"{secrets.randbelow(10**18):018d}^0"
        for phone in phones:
            self._deliver(template, sign, str(phone), values, biz_id, parameters.get("OutId", ""))
        return {"BizId": biz_id}

    def _values(self, template: Template, param: str) -> dict[str, str]:
        try:
            values = json.loads(param)
        except (ValueError, RecursionError) as error:
            raise Refusal("isv.INVALID_JSON_PARAM") from error
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise Refusal("isv.INVALID_JSON_PARAM")
        if template.variables is not None and not set(template.variables) <= set(values):
            raise Refusal("isv.TEMPLATE_MISSING_PARAMETERS")
        if template.kind == "code":
            if len(values) != 1:
                raise Refusal("isv.TEMPLATE_PARAMS_ILLEGAL", "验证码模板只支持一个变量")
            if not re.fullmatch(r"[0-9A-Za-z]{4,6}", next(iter(values.values()))):
                raise Refusal("isv.TEMPLATE_PARAMS_ILLEGAL", "验证码长度为4-6位")
            return values
        if not 1 <= len(values) <= 10:
            raise Refusal("isv.TEMPLATE_MISSING_PARAMETERS")
        for value in values.values():
            if not 1 <= len(value) <= MAX_VARIABLE:
                raise Refusal("isv.PARAM_LENGTH_LIMIT")
            if NOT_IN_VARIABLES.search(value):
                raise Refusal("isv.PARAM_NOT_SUPPORT_URL")
        return values

    def _check_frequency(self, template: Template, sign: str, phone: str) -> None:
        if template.kind == "notice":
            if self.world.hits(f"sms:notice:{sign}:{template.code}:{phone}", 86_400.0) >= NOTICES_PER_DAY:
                raise Refusal("isv.BUSINESS_LIMIT_CONTROL", f"触发天级流控Permits:{NOTICES_PER_DAY}")
            return
        for words, per_s, permits in LIMITS:
            if self.world.hits(f"sms:code:{sign}:{phone}", per_s) >= permits:
                raise Refusal("isv.BUSINESS_LIMIT_CONTROL", f"触发{words}流控Permits:{permits}")
        if self.world.hits(f"sms:codes:{phone}", 86_400.0) >= CODES_PER_DAY:
            raise Refusal("isv.BUSINESS_LIMIT_CONTROL", f"触发号码天级流控Permits:{CODES_PER_DAY}")

    def _deliver(
        self, template: Template, sign: str, phone: str, values: dict[str, str], biz_id: str, out_id: str
    ) -> None:
        if template.kind == "code":
            self.world.hit(f"sms:code:{sign}:{phone}")
            self.world.hit(f"sms:codes:{phone}")
        else:
            self.world.hit(f"sms:notice:{sign}:{template.code}:{phone}")
        error = self.undeliverable.get(phone, "")
        sent = _Sent(phone, biz_id, out_id, self.world.now(), template.code, error)
        self.world.remember("sms:sent", [*(self.world.recall("sms:sent") or []), sent][-500:])
        if error:
            return
        text = template.text or ("验证码：" if template.kind == "code" else "告警：") + "，".join(values.values())
        for name, value in values.items():
            text = text.replace(f"${{{name}}}", value)
        body = {
            "text": f"【{sign}】{text}",
            "sign": sign,
            "template": template.code,
            "params": values,
            "out_id": out_id,
        }
        self.world.happen("sms", "sms", phone, body, note=biz_id)

    def _query_details(self, parameters: dict[str, str]) -> dict[str, Any]:
        phone = e164(parameters.get("PhoneNumber", ""))
        day, size, page = (parameters.get(name, "") for name in ("SendDate", "PageSize", "CurrentPage"))
        if phone is None:
            raise Refusal("isv.MOBILE_NUMBER_ILLEGAL")
        if not (re.fullmatch(r"[0-9]{8}", day) and re.fullmatch(r"[0-9]{1,2}", size) and re.fullmatch(r"[0-9]+", page)):
            raise Refusal("isv.INVALID_PARAMETERS", "参数异常")
        if not 1 <= int(size) <= 50 or int(page) < 1:
            raise Refusal("isv.INVALID_PARAMETERS", "参数异常")
        found = [
            self._detail(sent)
            for sent in reversed(self.world.recall("sms:sent") or [])
            if sent.phone == phone
            and f"{datetime.fromtimestamp(sent.at, CHINA):%Y%m%d}" == day
            and parameters.get("BizId", sent.biz_id) == sent.biz_id
        ]
        start = (int(page) - 1) * int(size)
        shown = found[start : start + int(size)]
        return {"TotalCount": str(len(found)), "SmsSendDetailDTOs": {"SmsSendDetailDTO": shown}}

    def _detail(self, sent: _Sent) -> dict[str, Any]:
        at = datetime.fromtimestamp(sent.at, CHINA)
        waiting = sent.phone in self.undecided
        return {
            "PhoneNum": sent.phone.removeprefix("+86").removeprefix("+"),
            "SendStatus": 1 if waiting else 2 if sent.error else 3,
            "ErrCode": "" if waiting else sent.error or "DELIVERED",
            "TemplateCode": sent.template,
            "SendDate": f"{at:%Y-%m-%d %H:%M:%S}",
            "ReceiveDate": "" if waiting else f"{at + timedelta(seconds=3):%Y-%m-%d %H:%M:%S}",
            "OutId": sent.out_id,
            "Content": "",
        }
