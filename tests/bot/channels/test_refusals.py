"""What each platform's refusals mean: one row per documented answer, failures and successes in one table."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from bot.channels import CHANNELS, dingtalk, lark, slack, sms, wecom
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

X5 = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "u"}
DINGTALK_KEYWORD = (
    "错误描述:关键词不匹配;解决方案:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;",
    "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;",
    "keywords not in content, more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]",
)


def err(code: Any, text: str = "x") -> Says:
    return Says({"errcode": code, "errmsg": text})


def lark_says(code: int, text: str = "x", status: int = 200) -> Says:
    return Says({"code": code, "msg": text, "data": {}}, status)


def row(channel: str, answer: Says, expected: tuple[bool, bool] | None, reason: str = "") -> Any:
    return pytest.param(channel, answer, expected, reason, id=f"{channel}-{answer.status}-{answer.body!s:.60}")


ROWS = [
    row("dingtalk", err(0), TAKEN),
    row("dingtalk", err("0"), TAKEN),
    row("dingtalk", Says({"errcode": 0}, 500), TAKEN),
    row("dingtalk", Says({}), TEMPORARY, "not_an_answer"),
    row("dingtalk", Says([]), TEMPORARY, "not_an_answer"),
    row("dingtalk", Says({"errcode": None}), TEMPORARY, "not_an_answer"),
    row("dingtalk", Says({"errcode": False}), TEMPORARY, "not_an_answer"),
    row("dingtalk", Says({"errcode": "ok"}), TEMPORARY, "not_an_answer"),
    row("dingtalk", Says(X5), TEMPORARY, "not_an_answer"),
    row("dingtalk", Says({**X5, "errcode": 130101}), TEMPORARY, "rate_limited"),
    *(row("dingtalk", err(code), TEMPORARY) for code in (-1, 130101, 410100, 90018, 90002)),
    *(row("dingtalk", err(code), DEAD) for code in (300001, 300005, 400101, 400102, 400106, 400013)),
    *(row("dingtalk", err(code), PERMANENT, "quota") for code in (90030, 90020)),
    *(row("dingtalk", err(code), PERMANENT) for code in (400105, 460101, 40035, 43002, 43004, 999999)),
    *(row("dingtalk", err(code), PERMANENT, "content") for code in (430101, 430102, 430103, 430104)),
    *(row("dingtalk", err(310000, text), DEAD, "keyword") for text in DINGTALK_KEYWORD),
    row("dingtalk", err(310000, "sign not match, more: [https://ding-doc.dingtalk.com]"), DEAD, "sign"),
    row(
        "dingtalk", err(310000, "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳"), DEAD, "sign"
    ),
    row("dingtalk", err(310000, "错误描述:机器人发送签名不匹配;解决方案:请检查签名;"), DEAD, "sign"),
    row("dingtalk", err(310000, "invalid timestamp"), PERMANENT, "clock"),
    row("dingtalk", err(310000, "ip 203.0.113.9 not in whitelist"), DEAD, "ip"),
    row("dingtalk", err(310000, "something new"), DEAD, "security"),
    row("wecom", err(0, "ok"), TAKEN),
    row("wecom", Says({"errmsg": "ok"}), TEMPORARY, "not_an_answer"),
    *(row("wecom", err(code), TEMPORARY) for code in (-1, 45009, 45033)),
    *(row("wecom", err(code), DEAD) for code in (93000, 93001, 93004, 93006, 93008, 48002, 60020)),
    *(row("wecom", err(code), PERMANENT) for code in (40008, 40035, 40058, 40063, 44004, 45002, 45034, 82004, 777)),
    row("lark", Says({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}), TAKEN),
    row("lark", Says({"Extra": None, "StatusCode": 0, "StatusMessage": "success"}), TAKEN),
    row("lark", Says({"StatusCode": 0, "code": 19024, "msg": "Key Words Not Found"}), DEAD, "keyword"),
    row("lark", Says({"msg": "success"}), TEMPORARY, "not_an_answer"),
    row("lark", Says({"code": 0}, 502), TEMPORARY, "not_an_answer"),
    row("lark", lark_says(9499, "too many request", 400), TEMPORARY, "rate_limited"),
    row("lark", lark_says(9499, "Bad Request", 400), PERMANENT, "form"),
    row("lark", lark_says(11232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[x]"), TEMPORARY),
    row("lark", lark_says(19001, "param invalid: incoming webhook access token invalid"), DEAD, "gone"),
    row("lark", lark_says(19002, "params error, msg_type need"), PERMANENT, "form"),
    row("lark", lark_says(19007, "Bot Not Enabled"), DEAD, "disabled"),
    row("lark", lark_says(19022, "Ip Not Allowed"), DEAD, "ip"),
    row("lark", lark_says(19024, "Key Words Not Found"), DEAD, "keyword"),
    row("lark", lark_says(230099, "unknown"), PERMANENT, "refused"),
    row("lark", lark_says(230099, "unknown", 500), TEMPORARY, "refused"),
    row("lark", lark_says(230099, "unknown", 429), TEMPORARY, "refused"),
    row("slack", Says("ok"), TAKEN),
    row("slack", Says("ok\n"), TAKEN),
    row("slack", Says("okay"), TEMPORARY, "not_an_answer"),
    row("slack", Says("ok", 201), TEMPORARY, "not_an_answer"),
    *(
        row("slack", Says(word, 400), PERMANENT, "form")
        for word in ("invalid_payload", "no_text", "too_many_attachments", "invalid_blocks")
    ),
    *(row("slack", Says(word, 404), DEAD) for word in ("user_not_found", "channel_not_found", "no_service", "no_team")),
    row("slack", Says("channel_is_archived", 410), DEAD, "gone"),
    *(row("slack", Says(word, 403), DEAD) for word in ("action_prohibited", "posting_to_general_channel_denied")),
    *(row("slack", Says(word, 403), DEAD) for word in ("no_active_hooks", "no_service_id", "team_disabled")),
    row("slack", Says("invalid_token", 403), DEAD, "gone"),
    row("slack", Says("something_new", 400), PERMANENT, "refused"),
    row("slack", Says("rate_limited", 429), TEMPORARY, "rate_limited"),
    row("slack", Says("", 429), TEMPORARY, "rate_limited"),
    row("slack", Says("rollup_error", 500), TEMPORARY),
    row("slack", Says("something_new", 500), TEMPORARY),
    row("slack", Says({"ok": False, "error": "invalid_blocks"}), PERMANENT, "form"),
    row("arms", Says({}), TAKEN),
    row("arms", Says(""), TAKEN),
    row("arms", Says("success"), TAKEN),
    row("arms", Says({"code": 200, "message": "ok"}, 201), TAKEN),
    row("arms", Says({"labels": {"alertname": "t"}, "startsAt": 1}), TAKEN),
    row("arms", Says({"code": 601, "message": "labels.alertname is required"}), PERMANENT, "mapping"),
    row("arms", Says({"code": "601", "message": "labels.alertname is required"}, 400), PERMANENT, "mapping"),
    row("arms", Says({"code": 500}), TEMPORARY),
    row("arms", Says({"code": 429}), TEMPORARY, "rate_limited"),
    row("arms", Says({"message": "no such integration"}, 404), DEAD, "gone"),
    row("arms", Says({"message": "x"}, 403), DEAD, "gone"),
    row("arms", Says({"message": "x"}, 503), TEMPORARY),
    row("sms", Says({"Code": "OK", "BizId": "b"}), TAKEN),
    row("sms", Says({"Code": "ok"}), PERMANENT, "refused"),
    row("sms", Says({"Message": "x"}), TEMPORARY, "busy"),
    *(
        row("sms", Says({"Code": code, "Message": "x"}, status), expected)
        for status in (200, 400)
        for code, expected in {
            "isv.BUSINESS_LIMIT_CONTROL": TEMPORARY,
            "isv.DAY_LIMIT_CONTROL": PERMANENT,
            "isv.MONTH_LIMIT_CONTROL": PERMANENT,
            "isv.MOBILE_NUMBER_ILLEGAL": DEAD,
            "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": DEAD,
            "isv.BLACK_KEY_CONTROL_LIMIT": PERMANENT,
            "isv.PARAM_NOT_SUPPORT_URL": PERMANENT,
            "isv.SMS_TEMPLATE_ILLEGAL": PERMANENT,
            "isv.AMOUNT_NOT_ENOUGH": PERMANENT,
            "isp.RAM_PERMISSION_DENY": PERMANENT,
            "isv.DENY_IP_RANGE": PERMANENT,
            "isp.SYSTEM_ERROR": TEMPORARY,
            "Throttling.User": TEMPORARY,
        }.items()
    ),
    row("sms", Says({"Code": "InvalidAccessKeyId.NotFound"}, 404), PERMANENT, "account"),
    row("sms", Says({"Code": "SignatureDoesNotMatch"}, 400), PERMANENT, "account"),
    row("sms", Says({"Code": "ServiceUnavailable"}, 503), TEMPORARY, "busy"),
]


@pytest.mark.parametrize(("channel", "answer", "expected", "reason"), ROWS)
def test_the_body_decides(
    channel: str,
    answer: Says,
    expected: tuple[bool, bool] | None,
    reason: str,
    server: Loopback,
    outside: Outside,
) -> None:
    server.answer = answer
    target = Target(CASES[channel].address)
    if expected is TAKEN:
        CHANNELS[channel].send(message(), target, outside)
        return
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[channel].send(message(), target, outside)
    assert (caught.value.permanent, caught.value.disables) == expected
    assert not caught.value.unknown
    if reason:
        assert caught.value.reason == reason
    assert render(caught.value.say, "en").endswith(".")
    assert "{" not in render(caught.value.say, "en")


PAUSES = [
    ("dingtalk", err(130101), 600),
    ("dingtalk", err(410100), 600),
    ("wecom", err(45009), 61),
    ("lark", lark_says(11232, "frequency limited"), 5),
    ("lark", lark_says(9499, "too many request", 400), 5),
    ("slack", Says("rate_limited", 429, {"Retry-After": "30"}), 30),
]


@pytest.mark.parametrize(("channel", "answer", "pause_s"), PAUSES)
def test_who_is_too_fast_is_silent_for_as_long_as_the_platform_wants(
    channel: str, answer: Says, pause_s: float, server: Loopback, outside: Outside
) -> None:
    server.answer = answer
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[channel].send(message(), Target(CASES[channel].address), outside)
    assert (caught.value.reason, caught.value.retry_after, caught.value.permanent) == ("rate_limited", pause_s, False)


def test_every_line_of_the_tables_is_tried() -> None:
    tried = {(entry.values[0], code_in(entry.values[1])) for entry in ROWS}
    for name, table in (("dingtalk", dingtalk.REFUSALS), ("wecom", wecom.REFUSALS), ("lark", lark.REFUSALS)):
        known = {(name, str(code)) for code in table if code != 101002}
        assert known <= tried


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


@pytest.mark.parametrize("channel", ["slack", "lark", "arms"])
def test_the_platform_says_how_long_to_stay_away(channel: str, server: Loopback, outside: Outside) -> None:
    server.answer = Says({"code": 429}, 429, {"Retry-After": "17"})
    with pytest.raises(DeliveryError) as caught:
        CHANNELS[channel].send(message(), Target(CASES[channel].address), outside)
    assert caught.value.retry_after == 17
    assert not caught.value.permanent


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


def test_slack_knows_every_word_of_the_page() -> None:
    page = "invalid_payload no_text too_many_attachments user_not_found channel_not_found channel_is_archived "
    page += "action_prohibited posting_to_general_channel_denied no_active_hooks no_service no_service_id no_team "
    page += "team_disabled invalid_token"
    assert set(page.split()) <= slack.REFUSALS.keys()
