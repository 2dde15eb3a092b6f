"""What each platform's refusals mean: one row per documented answer, failures and successes in one table."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from bot.channels import CHANNELS, dingtalk, lark, sms, wecom
from bot.channels.contract import Outside, Target
from bot.http import HttpReply
from handlers.errors import DeliveryError
from handlers.texts import render
from tests.bot.channels.loopback import Loopback, Says
from tests.bot.channels.messages import NOW, message
from tests.bot.channels.test_every_channel import CASES

TAKEN = None
TEMPORARY = (False, False)
PERMANENT = (True, False)
DEAD = (True, True)
"""(permanent, the method is disabled)."""

X5 = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "u"}
X5_PAGE = '<html><script>var punish="deny",source="x5"</script></html>'
PAGE = "<html><body>403 Forbidden by proxy</body></html>"
DINGTALK_KEYWORD = (
    "错误描述:关键词不匹配;解决方案:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;",
    "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;",
    "keywords not in content, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
)


def err(code: Any, text: str = "x") -> Says:
    return Says({"errcode": code, "errmsg": text})


def lark_says(code: int, text: str = "x", status: int = 200) -> Says:
    return Says({"code": code, "msg": text, "data": {}}, status)


def aliyun(code: str, said: str = "x", status: int = 200) -> Says:
    return Says({"RequestId": "r", "Code": code, "Message": said}, status)


Row = tuple[Says, tuple[bool, bool] | None, str, float | None]


def row(answer: Says, expected: tuple[bool, bool] | None, reason: str = "", pause_s: float | None = None) -> Row:
    """What the platform answers, what that amounts to, and how long its robot or number is left alone."""
    return answer, expected, reason, pause_s


DINGTALK = [
    row(err(0), TAKEN),
    row(err("0"), TAKEN),
    row(err(-1, "系统繁忙"), TEMPORARY, "busy"),
    row(err(130101, "send too fast, exceed 20 times per minute"), TEMPORARY, "rate_limited", 600),
    row(err(410100), TEMPORARY, "rate_limited", 600),
    row(Says({"errcode": 130101}, 200, {"Retry-After": "1"}), TEMPORARY, "rate_limited", 600),
    row(err(90030, "webhook over limit"), PERMANENT, "quota"),
    row(err(90018), TEMPORARY, "busy"),
    row(err(90002), TEMPORARY, "busy"),
    row(err(90020), PERMANENT, "quota"),
    *(row(err(310000, text), DEAD, "keyword") for text in DINGTALK_KEYWORD),
    row(err(310000, "invalid timestamp"), PERMANENT, "clock"),
    row(err(310000, "sign not match, more: [https://ding-doc.dingtalk.com]"), DEAD, "sign"),
    row(err(310000, "ip 203.0.113.9 not in whitelist"), DEAD, "ip"),
    row(err(310000, "错误描述:机器人发送签名不匹配;解决方案:请检查签名;"), DEAD, "sign"),
    row(err(310000, "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳"), DEAD, "sign"),
    row(err(310000, "something new"), DEAD, "security"),
    row(err(300001, "token is not exist"), DEAD, "gone"),
    row(err(300005, "token is not exist"), DEAD, "gone"),
    row(err(400101), DEAD, "gone"),
    row(err(400102), DEAD, "disabled"),
    row(err(400106), DEAD, "gone"),
    row(err(400013), DEAD, "gone"),
    row(err(400105), PERMANENT, "form"),
    row(err(460101, "message too long, exceed 20000 bytes"), PERMANENT, "too_long"),
    row(err(101002), PERMANENT, "too_long"),
    *(row(err(code), PERMANENT, "content") for code in (430101, 430102, 430103, 430104)),
    row(err(40035, "缺少参数 json"), PERMANENT, "form"),
    row(err(43002), PERMANENT, "form"),
    row(err(43004), PERMANENT, "form"),
    row(Says(X5), TEMPORARY, "not_an_answer", 300),
    row(Says(X5_PAGE), TEMPORARY, "not_an_answer", 300),
    row(Says({**X5, "errcode": 130101}), TEMPORARY, "rate_limited", 600),
    row(err(660026), TEMPORARY, "refused"),
    row(Says({}), TEMPORARY, "not_an_answer"),
    row(Says({"errcode": None}), TEMPORARY, "not_an_answer"),
    row(Says({"errcode": False}), TEMPORARY, "not_an_answer"),
    row(Says({"errcode": "ok"}), TEMPORARY, "not_an_answer"),
    row(Says({"errcode": 0}, 500), TAKEN),
]
"""The sheet of DingTalk, 1.7, "Error codes and what to do", in its order; the refusals of the keyword from 1.1, and at
the end what no row has. https://open.dingtalk.com/document/development/custom-robots-send-group-messages"""

WECOM = [
    row(err(-1), TEMPORARY, "busy"),
    row(err(0, "ok"), TAKEN),
    row(err(40007), PERMANENT, "form"),
    row(err(40008), PERMANENT, "form"),
    row(err(40035), PERMANENT, "form"),
    row(err(40058, "markdown.content exceed max length 4096. invalid Request Parameter"), PERMANENT, "too_long"),
    row(err(40063), PERMANENT, "form"),
    row(err(41001), PERMANENT, "form"),
    row(err(44001), PERMANENT, "form"),
    row(err(44004, "empty content, hint: [1]"), PERMANENT, "form"),
    row(err(45001), PERMANENT, "too_long"),
    row(err(40009), PERMANENT, "too_long"),
    row(err(45002), PERMANENT, "too_long"),
    row(err(45008), PERMANENT, "too_long"),
    row(err(45009, "api freq out of limit, hint: [1], from ip: 203.0.113.9"), TEMPORARY, "rate_limited", 61),
    row(err(45033), TEMPORARY, "rate_limited"),
    row(err(45034), PERMANENT, "form"),
    row(err(48002), DEAD, "forbidden"),
    row(err(60020), DEAD, "ip"),
    row(err(82004), PERMANENT, "content"),
    row(err(93000, "invalid webhook url, hint: [1]"), DEAD, "gone"),
    row(err(93004), DEAD, "disabled"),
    row(err(93008), DEAD, "gone"),
    row(err(93001), DEAD, "forbidden"),
    row(err(93006), DEAD, "gone"),
    row(err(93005), DEAD, "forbidden"),
    row(err(93017), PERMANENT, "form"),
    row(err(93018), PERMANENT, "too_long"),
    row(err(93019), PERMANENT, "form"),
    row(err(777), TEMPORARY, "refused"),
    row(Says({"errmsg": "ok"}), TEMPORARY, "not_an_answer"),
]
"""The sheet of WeCom, 8, "Error codes", in its order, without what only apps meet.
https://developer.work.weixin.qq.com/document/path/90313"""

LARK = [
    row(Says({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}), TAKEN),
    row(Says({"Extra": None, "StatusCode": 0, "StatusMessage": "success"}), TAKEN),
    row(lark_says(9499, "Bad Request", 400), PERMANENT, "form"),
    row(lark_says(9499, "too many request", 400), TEMPORARY, "rate_limited", 5),
    row(
        lark_says(11232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[x]"), TEMPORARY, "rate_limited", 5
    ),
    row(lark_says(19001, "param invalid: incoming webhook access token invalid"), DEAD, "gone"),
    row(lark_says(19002, "params error, msg_type need"), PERMANENT, "form"),
    row(lark_says(19007, "Bot Not Enabled"), DEAD, "disabled"),
    # 19021, a wrong secret or a wrong clock, is read by its answer's own clock: below.
    row(lark_says(19022, "Ip Not Allowed"), DEAD, "ip"),
    row(lark_says(19024, "Key Words Not Found"), DEAD, "keyword"),
    row(Says({"StatusCode": 0, "code": 19024, "msg": "Key Words Not Found"}), DEAD, "keyword"),
    # "Treat unknown codes as permanent, HTTP 5xx / 429 / timeouts as retryable": with one try more in a simpler form.
    row(lark_says(230099, "unknown"), PERMANENT, "refused"),
    row(lark_says(230099, "unknown", 500), TEMPORARY, "refused"),
    row(lark_says(230099, "unknown", 429), TEMPORARY, "refused"),
    row(Says({"code": 230099}, 429, {"Retry-After": "17"}), TEMPORARY, "refused", 17),
    row(Says({"msg": "success"}), TEMPORARY, "not_an_answer"),
    row(Says({"code": 0}, 502), TEMPORARY, "not_an_answer"),
]
"""The sheet of Lark, 1.3, "Answers and errors", in its order.
https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot"""

SLACK = [
    row(Says("ok"), TAKEN),
    row(Says("ok\n"), TAKEN),
    *(row(Says(word, 400), PERMANENT, "form") for word in ("invalid_payload", "no_text", "too_many_attachments")),
    row(Says("invalid_blocks", 400), PERMANENT, "form"),
    *(row(Says(word, 404), DEAD, "gone") for word in ("user_not_found", "channel_not_found")),
    *(row(Says(word, 403), DEAD, "forbidden") for word in ("action_prohibited", "posting_to_general_channel_denied")),
    *(row(Says(word, 404), DEAD, "gone") for word in ("no_active_hooks", "no_service", "no_service_id", "no_team")),
    *(row(Says(word, 403), DEAD, "gone") for word in ("team_disabled", "invalid_token")),
    row(Says("channel_is_archived", 410), DEAD, "gone"),
    row(Says("rate_limited", 429, {"Retry-After": "30"}), TEMPORARY, "rate_limited", 30),
    row(Says("", 429), TEMPORARY, "rate_limited"),
    row(Says(PAGE, 429, {"Retry-After": "100000"}), TEMPORARY, "rate_limited", 3600.0),
    row(Says("rollup_error", 500), TEMPORARY, "busy"),
    row(Says("something_new", 500), TEMPORARY, "not_an_answer"),
    row(Says("something_new", 400), PERMANENT, "refused"),
    row(Says({"ok": False, "error": "invalid_blocks"}), PERMANENT, "form"),
    row(Says("okay"), TEMPORARY, "not_an_answer"),
    row(Says("ok", 201), TEMPORARY, "not_an_answer"),
]
"""The sheet of Slack, 3.5, "Incoming webhooks", in its order; the statuses are examples, the page names few.
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""

ARMS = [
    row(Says({}), TAKEN),
    row(Says(""), TAKEN),
    row(Says("success"), TAKEN),
    row(Says({"code": 200, "message": "ok"}, 201), TAKEN),
    row(Says({"labels": {"alertname": "t"}, "startsAt": 1}), TAKEN),
    row(Says({"code": 601, "message": "labels.alertname is required"}), PERMANENT, "mapping"),
    row(Says({"code": "601", "message": "labels.alertname is required"}, 400), PERMANENT, "mapping"),
    row(Says({"code": 500}), TEMPORARY),
    row(Says({"code": 429}, 429, {"Retry-After": "17"}), TEMPORARY, "rate_limited", 17),
    row(Says({"message": "no such integration"}, 404), DEAD, "gone"),
    row(Says({"message": "x"}, 403), DEAD, "gone"),
    row(Says({"message": "x"}, 422), TEMPORARY, "refused"),
    row(Says({"message": "x"}, 503), TEMPORARY),
]
"""The sheet of Alibaba Cloud, 6.1, and the rule of 2xx without a `code` of 400 or more."""

SMS = [
    row(Says({"RequestId": "F655", "Code": "OK", "Message": "OK", "BizId": "9006197469364984^0"}), TAKEN),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1"), TEMPORARY, "rate_limited", 60),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5"), TEMPORARY, "rate_limited", 3600),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10"), PERMANENT, "rate_limited", 86_400),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL"), TEMPORARY, "rate_limited"),
    *(row(aliyun(f"isv.{span}_LIMIT_CONTROL"), PERMANENT, "cap") for span in ("DAY", "MONTH")),
    *(
        row(aliyun(f"isv.{code}"), DEAD, "bad_number")
        for code in ("MOBILE_NUMBER_ILLEGAL", "DOMESTIC_NUMBER_NOT_SUPPORTED")
    ),
    *(
        row(aliyun(f"isv.{code}"), PERMANENT, "content")
        for code in ("BLACK_KEY_CONTROL_LIMIT", "SMS_CONTENT_ILLEGAL", "PARAM_NOT_SUPPORT_URL")
    ),
    *(
        row(aliyun(f"isv.{code}"), PERMANENT, "template")
        for code in [
            "SMS_TEMPLATE_ILLEGAL",
            "SMS_SIGNATURE_ILLEGAL",
            "SMS_SIGN_ILLEGAL",
            "SMS_SIGNATURE_SCENE_ILLEGAL",
            "TEMPLATE_MISSING_PARAMETERS",
            "TEMPLATE_PARAMS_ILLEGAL",
            "INVALID_JSON_PARAM",
            "PARAM_LENGTH_LIMIT",
            "INVALID_PARAMETERS",
            "MOBILE_COUNT_OVER_LIMIT",
            "EXTEND_CODE_ERROR",
        ]
    ),
    *(
        row(aliyun(f"isv.{code}"), PERMANENT, "account")
        for code in [
            "AMOUNT_NOT_ENOUGH",
            "OUT_OF_SERVICE",
            "ACCOUNT_NOT_EXISTS",
            "ACCOUNT_ABNORMAL",
            "PRODUCT_UN_SUBSCRIPT",
            "PRODUCT_UNSUBSCRIBE",
        ]
    ),
    row(aliyun("isp.RAM_PERMISSION_DENY"), PERMANENT, "account"),
    row(aliyun("isv.DENY_IP_RANGE"), PERMANENT, "place"),
    row(aliyun("isp.SYSTEM_ERROR"), TEMPORARY, "busy"),
    row(aliyun("Throttling.User"), TEMPORARY, "busy"),
    row(aliyun("isv.SOMETHING_NEW"), TEMPORARY, "refused"),
    row(aliyun("ok"), TEMPORARY, "refused"),
    row(Says({"Message": "x"}), TEMPORARY, "busy"),
    row(Says({"code": "OK"}), TEMPORARY, "busy"),
]
"""The sheet of Alibaba Cloud, 3.4, "Error codes", in its order.
https://help.aliyun.com/zh/sms/developer-reference/api-error-codes"""

VOICE = [
    row(Says({"Code": "OK", "Message": "OK", "CallId": "116012354148^10281378"}), TAKEN),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL"), TEMPORARY, "rate_limited", 60),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5"), TEMPORARY, "rate_limited", 3600),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:20"), TEMPORARY, "rate_limited", 86_400),
    row(aliyun("isv.MOBILE_NUMBER_ILLEGAL"), DEAD, "bad_number"),
    row(aliyun("isv.COMPLAINT_REJECT"), PERMANENT, "unwanted"),
    row(aliyun("isv.TTS_TEMPLATE_ILLEGAL"), PERMANENT, "template"),
    row(aliyun("isv.DISPLAY_NUMBER_ILLEGAL"), PERMANENT, "shown_number"),
    row(aliyun("isv.PARAM_NOT_SUPPORT_URL"), PERMANENT, "content"),
    row(aliyun("isv.AMOUNT_NOT_ENOUGH"), PERMANENT, "account"),
    row(aliyun("isv.VOICE_CALL_FAIL"), TEMPORARY, "busy"),
    row(aliyun("isp.SYSTEM_ERROR"), TEMPORARY, "busy"),
    row(aliyun("Throttling.User"), TEMPORARY, "busy"),
    row(aliyun("isv.SOMETHING_NEW"), TEMPORARY, "refused"),
    row(Says({"Message": "x"}), TEMPORARY, "busy"),
]
"""The sheet of Alibaba Cloud, 4, which names one code, and codes of the page that it shares with SMS.
https://help.aliyun.com/zh/vms/developer-reference/api-error-code"""

GATEWAY = [
    row(aliyun("Throttling.User", status=400), TEMPORARY, "busy"),
    row(Says({"Code": "Throttling.User"}, 429, {"x-acs-retry-after": "2500"}), TEMPORARY, "busy", 2.5),
    row(Says({"Code": "Throttling.User"}, 429, {"Retry-After": "17"}), TEMPORARY, "busy", 17),
    row(aliyun("ServiceUnavailable", status=503), TEMPORARY, "busy"),
    row(aliyun("InternalError", status=500), TEMPORARY, "busy"),
    row(aliyun("InvalidAccessKeyId.NotFound", status=404), PERMANENT, "account"),
    row(aliyun("SignatureDoesNotMatch", status=400), PERMANENT, "account"),
    row(aliyun("InvalidTimeStamp.Expired", status=400), PERMANENT, "account"),
    row(aliyun("Forbidden.RAM", status=403), PERMANENT, "account"),
    row(aliyun("NoPermission", status=403), PERMANENT, "account"),
    row(aliyun("MissingPhoneNumbers", status=400), PERMANENT, "account"),
    row(aliyun("isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5", 400), TEMPORARY, "rate_limited", 3600),
    row(aliyun("isv.MOBILE_NUMBER_ILLEGAL", status=400), DEAD, "bad_number"),
    row(aliyun("isp.SYSTEM_ERROR", status=400), TEMPORARY, "busy"),
    row(aliyun("Something.New", status=400), TEMPORARY, "refused"),
    row(Says("", 503), TEMPORARY, "busy"),
    row(Says("", 200), TEMPORARY, "busy"),
]
"""The sheet of Alibaba Cloud, 1.4, for SMS and for calls: refusals before the service saw anything, codes with 4xx."""

NO_ANSWERS = [
    row(Says(PAGE), TEMPORARY),
    row(Says("[]"), TEMPORARY),
    row(Says("7"), TEMPORARY),
    row(Says("null"), TEMPORARY),
    row(Says('{"errcode":0,"code":0,"Code":"OK"'), TEMPORARY),
    row(Says("[" * 100_000), TEMPORARY),
    row(Says(b"\x1f\x8b\x08\x00\xff\xfe garbage", 200, {"Content-Encoding": "gzip"}), TEMPORARY),
    row(Says(b'{"errcode":0,"code":0,"Code":"OK","pad":"' + b"x" * 1_100_000 + b'"}'), TEMPORARY),
    row(Says(b"\xff\xfe\x00"), TEMPORARY),
]
"""Answers that are nobody's: a page, JSON that is no object or torn off, nonsense, more than is ever read."""

SHEETS = {
    "dingtalk": DINGTALK,
    "wecom": WECOM,
    "lark": LARK,
    "slack": SLACK,
    "arms": ARMS,
    "sms": SMS + GATEWAY,
    "voice": VOICE + GATEWAY,
}
ROWS = [
    *((channel, entry) for channel, sheet in SHEETS.items() for entry in sheet),
    # ARMS has taken whatever it answers with 2xx, but a page.
    *((channel, entry) for channel in SHEETS if channel != "arms" for entry in NO_ANSWERS),
    ("arms", NO_ANSWERS[0]),
    *((channel, row(Says(""), TEMPORARY)) for channel in ("dingtalk", "wecom", "lark", "slack")),
]


@pytest.mark.parametrize(
    ("channel", "entry"), ROWS, ids=[f"{channel}-{entry[0].status}-{entry[0].body!s:.50}" for channel, entry in ROWS]
)
def test_each_row_of_the_sheets_of_the_platforms(channel: str, entry: Row, server: Loopback, outside: Outside) -> None:
    answer, expected, reason, pause_s = entry
    server.answer = answer
    target = Target(CASES[channel].address)
    if expected is TAKEN:
        CHANNELS[channel].send(message(), target, outside)
        return
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[channel].send(message(), target, outside)
    error = caught.value
    assert ((error.permanent, error.disables), error.unknown) == (expected, False)
    assert reason in ("", error.reason)
    assert error.retry_after == pause_s
    assert render(error.say, "en").endswith(".")
    assert "{" not in render(error.say, "en")


def test_every_line_of_the_tables_is_tried() -> None:
    tables = {"dingtalk": dingtalk, "wecom": wecom, "lark": lark, "sms": sms}
    for name, module in tables.items():
        assert {str(code) for code in module.REFUSALS} <= {code_in(entry[0]) for entry in SHEETS[name]}


def code_in(answer: Any) -> str:
    body = answer.body if isinstance(answer.body, dict) else {}
    return str(body.get("errcode", body.get("code", body.get("Code", answer.body))))


@pytest.mark.parametrize(
    ("channel", "answer"),
    [("dingtalk", err(310000, DINGTALK_KEYWORD[0])), ("lark", lark_says(19024, "Key Words Not Found"))],
)
def test_a_missing_keyword_is_told_with_the_keyword_to_add(
    channel: str, answer: Says, server: Loopback, outside: Outside
) -> None:
    server.answer = answer
    with pytest.raises(DeliveryError, match=r"add the keyword “DAS Alarm” in the (robot|bot)'s security settings"):
        CHANNELS[channel].send(message(), Target(CASES[channel].address), outside)


@pytest.mark.parametrize(("away_s", "reason"), [(0, "sign"), (3000, "sign"), (3700, "clock"), (-7200, "clock")])
def test_larks_own_clock_tells_a_wrong_clock_from_a_wrong_secret(away_s: int, reason: str) -> None:
    date = format_datetime(NOW + timedelta(seconds=away_s))
    error = lark.refusal(HttpReply(200, {"Date": date}, b'{"code":19021}'), "DAS Alarm", NOW)
    assert error is not None
    assert error.reason == reason
    assert error.disables == (reason == "sign")


LIMITS = [
    ("触发分钟级流控Permits:1", True, 60.0, "in one minute"),
    ("触发小时级流控Permits:5", True, 3600.0, "in one hour"),
    ("触发天级流控Permits:10", True, 86_400.0, "tomorrow"),
    ("触发天级流控Permits:10", False, 86_400.0, "later"),
    ("触发小时级流控Permits:5", False, 3600.0, "later"),
    ("anything else", True, None, "later"),
]


@pytest.mark.parametrize(("said", "code", "retry_after", "told"), LIMITS)
def test_a_limit_of_the_carrier_tells_when_to_ask_again(
    said: str, code: bool, retry_after: float | None, told: str
) -> None:
    error = sms.refusal("isv.BUSINESS_LIMIT_CONTROL", said, message(kind="code" if code else "alert", code="135790"))
    assert error.retry_after == retry_after
    assert error.permanent == (code or retry_after == 86_400.0)
    assert told in render(error.say, "en")
