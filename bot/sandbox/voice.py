"""Alibaba Cloud's calls (Dyvmsapi 2017-05-25) behind the same address and keys as SMS.

Pages: https://help.aliyun.com/zh/vms/developer-reference/api-dyvmsapi-2017-05-25-singlecallbytts,
https://help.aliyun.com/zh/vms/developer-reference/voicereport.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.sandbox.aliyun import CHINA, NOT_IN_VARIABLES, VERSION, Aliyun, Refusal, e164
from bot.sandbox.world import Event, World

MOST_PARAM_CHARS = 249
LIMITS = ((60.0, 1), (3600.0, 5), (86_400.0, 20))
PRODUCTS = frozenset({"11010000138001", "11000000300006", "11000000300005"})

ANSWERED = "200000"
STATES = {
    ANSWERED: "用户听完语音",
    "200002": "用户占线",
    "200003": "用户收到呼叫但未接听",
    "200004": "用户号码不合法",
    "200005": "被叫用户无法接通",
    "200007": "用户无法接通（不在服务区）",
    "200010": "关机",
    "200011": "停机",
}
"""https://help.aliyun.com/document_detail/55085.htm"""


@dataclass(frozen=True, slots=True)
class _Call:
    phone: str
    call_id: str
    out_id: str
    at: float
    state: str


class Voice:
    """`dyvmsapi.aliyuncs.com`.

    templates  approved ones: code -> text with `${name}` of its variables
    numbers    that this account calls from; empty: the shared mode, where none may be named
    away       E.164 number -> status code of calls to it; other phones are answered
    """

    def __init__(self, world: World, templates: Mapping[str, str]) -> None:
        self.world = world
        self.templates = dict(templates)
        self.numbers: frozenset[str] = frozenset()
        self.away: dict[str, str] = {}

    def join(self, gateway: Aliyun) -> None:
        """Serves the product's actions there."""
        gateway.offer("SingleCallByTts", VERSION, self._call)
        gateway.offer("QueryCallDetailByCallId", VERSION, self._query)

    def report(self, event: Event) -> list[dict[str, Any]]:
        """The body of the receipt of a call of the log, as pushed to our receipt address."""
        call = next(one for one in self._calls() if one.call_id == event.note)
        at = datetime.fromtimestamp(call.at, CHINA)
        answered = call.state == ANSWERED
        return [
            {
                "status_code": call.state,
                "callee": call.phone.removeprefix("+86").removeprefix("+"),
                "ring_time": _text(at + timedelta(seconds=4)),
                "duration": "10" if answered else "0",
                "voice_type": "voice",
                "originate_time": _text(at),
                "b_start_time": _text(at + timedelta(seconds=9)) if answered else "",
                "end_time": _text(at + timedelta(seconds=19)),
                "call_id": call.call_id,
                "caller": "057100000000",
                "status_msg": STATES[call.state],
                "out_id": call.out_id,
                "dtmf": "",
                "toll_type": "LOCAL",
            }
        ]

    def _calls(self) -> list[_Call]:
        return list(self.world.recall("voice:calls") or [])

    def _call(self, parameters: dict[str, str]) -> dict[str, Any]:
        for name in ("CalledNumber", "TtsCode"):
            if not parameters.get(name):
                raise Refusal(f"Missing{name}", f"{name} is mandatory for this action.", 400)
        phone = e164(parameters["CalledNumber"])
        if phone is None:
            raise Refusal("isv.MOBILE_NUMBER_ILLEGAL", "号码格式非法")
        template = self.templates.get(parameters["TtsCode"])
        if template is None:
            raise Refusal("isv.TTS_TEMPLATE_ILLEGAL", "TTS模板不合法")
        if parameters.get("CalledShowNumber", "") not in (self.numbers or {""}):
            raise Refusal("isv.DISPLAY_NUMBER_ILLEGAL", "号显不合法")
        values = _values(template, parameters.get("TtsParam", ""))
        if not re.fullmatch(r"[1-3]", parameters.get("PlayTimes", "3")):
            raise Refusal("isv.INVALID_PARAMETERS", "参数异常")
        if not 1 <= len(parameters.get("OutId", "-").encode()) <= 15:
            raise Refusal("isv.INVALID_PARAMETERS", "参数异常")
        if any(self.world.hits(f"voice:{phone}", per_s) >= most for per_s, most in LIMITS):
            raise Refusal("isv.BUSINESS_LIMIT_CONTROL", "触发流控")
        self.world.hit(f"voice:{phone}")
        call = _Call(
            phone,
            f"{secrets.randbelow(10**12):012d}^{secrets.randbelow(10**12):012d}",
            parameters.get("OutId", ""),
            self.world.now(),
            self.away.get(phone, ANSWERED),
        )
        self.world.remember("voice:calls", [*self._calls(), call][-500:])
        text = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], template)
        body = {"text": text, "params": values, "answered": call.state == ANSWERED, "out_id": call.out_id}
        self.world.happen("call", "sms", phone, body, note=call.call_id)
        return {"CallId": call.call_id}

    def _query(self, parameters: dict[str, str]) -> dict[str, Any]:
        if parameters.get("ProdId") not in PRODUCTS or not re.fullmatch(r"[0-9]{13}", parameters.get("QueryDate", "")):
            raise Refusal("isv.INVALID_PARAMETERS", "参数异常")
        since = int(parameters["QueryDate"]) / 1000
        call = next(
            (
                one
                for one in self._calls()
                if one.call_id == parameters.get("CallId") and since - 1 <= one.at < since + 86_400
            ),
            None,
        )
        if call is None:
            return {"Data": "{}"}
        at = datetime.fromtimestamp(call.at, CHINA)
        detail = {
            "callee": call.phone.removeprefix("+86").removeprefix("+"),
            "state": call.state,
            "stateDesc": STATES[call.state],
            "duration": 10 if call.state == ANSWERED else 0,
            "startDate": _text(at),
            "endDate": _text(at + timedelta(seconds=19)),
        }
        return {"Data": json.dumps(detail, ensure_ascii=False)}


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _values(template: str, param: str) -> dict[str, str]:
    if len(param) > MOST_PARAM_CHARS:
        raise Refusal("isv.PARAM_LENGTH_LIMIT", "参数长度受限")
    try:
        values = json.loads(param or "{}")
    except (ValueError, RecursionError) as error:
        raise Refusal("isv.INVALID_PARAMETERS", "参数异常") from error
    if not isinstance(values, dict) or not all(isinstance(value, str) and value for value in values.values()):
        raise Refusal("isv.INVALID_PARAMETERS", "参数异常")
    if not set(re.findall(r"\$\{(\w+)\}", template)) <= set(values):
        raise Refusal("isv.TEMPLATE_MISSING_PARAMETERS", "文本转语音模板参数缺失")
    if any(NOT_IN_VARIABLES.search(value) for value in values.values()):
        raise Refusal("isv.PARAM_NOT_SUPPORT_URL", "变量不支持URL参数")
    return values
