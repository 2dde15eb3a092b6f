"""What each platform's refusals of an app mean: one row per documented answer, in the order of the page they are from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.http import HttpReply, Unreachable
from bot.platforms import dingtalk_refusals as dingtalk
from bot.platforms import lark_refusals as lark
from bot.platforms import slack_refusals as slack
from bot.platforms import wecom_refusals as wecom
from bot.refusals import unreachable
from handlers.errors import DeliveryError

Row = tuple[Any, str, bool, float | None]
"""The code or the answer, the reason, whether it is permanent, and the seconds it asks to stay away."""

SESSION: list[Row] = [
    (-1, "busy", False, None),
    (130101, "rate_limited", False, 600),
    (410100, "rate_limited", False, 600),
    (90030, "quota", True, None),
    (90018, "rate_limited", False, None),
    (90002, "rate_limited", False, None),
    (90020, "quota", True, None),
    (310000, "not_allowed", True, None),
    (300001, "session_over", True, None),
    (300005, "session_over", True, None),
    (400101, "session_over", True, None),
    (400102, "robot_stopped", True, None),
    (400106, "robot_stopped", True, None),
    (400013, "gone", True, None),
    (400105, "bad_form", True, None),
    (460101, "too_long", True, None),
    (101002, "too_long", True, None),
    (430101, "content", True, None),
    (430102, "content", True, None),
    (430103, "content", True, None),
    (430104, "content", True, None),
    (40035, "bad_form", True, None),
    (43002, "bad_form", True, None),
    (43004, "bad_form", True, None),
    (660026, "refused", False, None),
]
"""The sheet of DingTalk, 1.7, as the address of a session answers (2.3: answers in the style of the robots)."""

API: list[Row] = [
    ("param.templateNotExist", "template", True, None),
    ("param.templateUnpublished", "template", True, None),
    ("param.openSpaceIdInvalid", "gone", True, None),
    ("param.contentUnsafe", "content", True, None),
    ("param.userIdNotExist", "gone", True, None),
    ("param.cardAlreadyExist", "bad_form", True, None),
    ("param.cardNotExist", "gone", True, None),
    ("param.cardDataAndPrivateDataBothEmpty", "bad_form", True, None),
    ("system.busy", "busy", False, None),
    ("InvalidAuthentication", "no_token", False, None),
    ("invalidParameter.msgParam.tooLong", "too_long", True, None),
    ("invalidParameter.robotCode.auth", "robot_code", True, None),
    ("invalid.openConversationId", "gone", True, None),
    ("group.disbanded", "gone", True, None),
    ("bot.stopped", "robot_stopped", True, None),
    ("chatbotId.notAllow.sendOTO", "not_allowed", True, None),
    ("robot.oto.notExist", "robot_stopped", True, None),
    ("staffId.notExisted", "gone", True, None),
    ("send.too.fast", "rate_limited", False, None),
    ("too.many.people", "bad_form", True, None),
    ("contain.notAllowed.text", "content", True, None),
    ("system.error", "busy", False, None),
    ("Forbidden.AccessDenied.ApiCountLimitForOrg", "quota", True, None),
    ("Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "rate_limited", False, None),
    ("Forbidden.AccessDenied.QpsLimitForApi", "rate_limited", False, None),
    ("brand.new", "refused", True, None),
]
"""The sheet of DingTalk, 4.1, 4.3 and 5, in its order."""

WECOM: list[Row] = [
    (-1, "busy", False, None),
    (40001, "credentials", True, None),
    (40013, "credentials", True, None),
    (40007, "form", True, None),
    (40008, "form", True, None),
    (40014, "no_token", False, None),
    (42001, "no_token", False, None),
    (40035, "form", True, None),
    (40058, "form", True, None),
    (40063, "form", True, None),
    (40056, "agent", True, None),
    (301002, "agent", True, None),
    (41001, "no_token", False, None),
    (42017, "form", True, None),
    (44001, "form", True, None),
    (44004, "form", True, None),
    (45001, "too_long", True, None),
    (40009, "too_long", True, None),
    (45002, "too_long", True, None),
    (45008, "too_long", True, None),
    (45009, "rate_limited", False, 60),
    (45033, "rate_limited", False, 5),
    (45034, "form", True, None),
    (48002, "forbidden", True, None),
    (60011, "gone", True, None),
    (60111, "gone", True, None),
    (60020, "ip", True, None),
    (81012, "gone", True, None),
    (81013, "gone", True, None),
    (82004, "content", True, None),
    (999999, "refused", True, None),
]
"""The sheet of WeCom, 8, in its order, without what only robots and conversations of the app's own meet."""

LARK: list[Row] = [
    (230001, "bad_form", True, None),
    (230002, "not_in_group", True, None),
    (230006, "bot_off", True, None),
    (232009, "gone", True, None),
    (230013, "gone", True, None),
    (230053, "gone", True, None),
    (230029, "gone", True, None),
    (230034, "gone", True, None),
    (230035, "gone", True, None),
    (230020, "rate_limited", False, None),
    (230022, "content", True, None),
    (230028, "audit", True, None),
    (230025, "too_long", True, None),
    (230099, "card", True, None),
    (230011, "withdrawn", True, None),
    (230110, "withdrawn", True, None),
    (230031, "too_old", True, None),
    (99991661, "no_token", False, None),
    (99991663, "no_token", False, None),
    (99991664, "no_token", False, None),
    (99991400, "rate_limited", False, None),
    (99991672, "not_allowed", True, None),
    (123456, "refused", True, None),
]
"""The sheet of Lark, 5, in its order."""

SLACK: list[Row] = [
    ("channel_not_found", "gone", True, None),
    ("is_archived", "gone", True, None),
    ("not_in_channel", "not_there", True, None),
    ("restricted_action", "forbidden", True, None),
    ("restricted_action_of_another_kind", "forbidden", True, None),
    ("messages_tab_disabled", "messages_tab", True, None),
    ("cannot_reply_to_message", "no_thread", True, None),
    ("invalid_auth", "credentials", True, None),
    ("not_authed", "credentials", True, None),
    ("token_revoked", "credentials", True, None),
    ("token_expired", "credentials", True, None),
    ("account_inactive", "credentials", True, None),
    ("missing_scope", "not_allowed", True, None),
    ("no_permission", "not_allowed", True, None),
    ("team_added_to_org", "credentials", True, None),
    ("ekm_access_denied", "not_allowed", True, None),
    ("invalid_blocks", "form", True, None),
    ("invalid_blocks_format", "form", True, None),
    ("msg_blocks_too_long", "form", True, None),
    ("msg_too_long", "form", True, None),
    ("no_text", "form", True, None),
    ("too_many_attachments", "form", True, None),
    ("invalid_arguments", "form", True, None),
    ("rate_limited", "rate_limited", False, None),
    ("ratelimited", "rate_limited", False, None),
    ("message_limit_exceeded", "rate_limited", False, None),
    ("internal_error", "busy", False, None),
    ("fatal_error", "busy", False, None),
    ("service_unavailable", "busy", False, None),
    ("request_timeout", "busy", False, None),
    ("message_not_found", "unchangeable", True, None),
    ("cant_update_message", "unchangeable", True, None),
    ("edit_window_closed", "unchangeable", True, None),
    ("is_inactive", "unchangeable", True, None),
    ("block_mismatch", "unchangeable", True, None),
    ("expired_trigger_id", "late", True, None),
    ("exchanged_trigger_id", "late", True, None),
    ("invalid_trigger_id", "late", True, None),
    ("view_too_large", "form", True, None),
    ("something_new", "refused", True, None),
]
"""The sheet of Slack, 3.4, in its order, then its errors of `chat.update` and those of forms (2.5)."""


def answer(body: Any, status: int = 200, **headers: str) -> HttpReply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status, names, body if isinstance(body, bytes) else json.dumps(body).encode())


def outcome(error: DeliveryError | None) -> tuple[str, bool, float | None]:
    assert error is not None
    assert not error.unknown
    assert not error.disables
    return error.reason, error.permanent, error.retry_after


def read(sheet: str, said: Any) -> DeliveryError | None:
    if sheet == "session":
        return dingtalk.session_refusal(said)
    if sheet == "api":
        return dingtalk.api_refusal(said, 400)
    if sheet == "wecom":
        return wecom.refusal(answer({"errcode": said, "errmsg": "x"}))
    if sheet == "lark":
        return lark.refusal(answer({"code": said, "msg": "x"}, 400))
    return slack.api_refusal(answer({"ok": False, "error": said}))


SHEETS = {"session": SESSION, "api": API, "wecom": WECOM, "lark": LARK, "slack": SLACK}


@pytest.mark.parametrize(
    ("sheet", "row"), [pytest.param(name, row, id=f"{name}-{row[0]}") for name, rows in SHEETS.items() for row in rows]
)
def test_each_row_of_the_sheets_of_the_platforms(sheet: str, row: Row) -> None:
    said, *expected = row
    assert outcome(read(sheet, said)) == tuple(expected)


def test_every_line_of_the_tables_is_a_row() -> None:
    tables: dict[str, Any] = {
        "session": dingtalk.SESSION_REFUSALS,
        "wecom": wecom.REFUSALS,
        "lark": lark.REFUSALS,
    }
    for sheet, table in tables.items():
        assert set(table) <= {row[0] for row in SHEETS[sheet]}


ANSWERS: list[Row] = [
    (lark.refusal(answer({"code": 99991400}, 429, x_ogw_ratelimit_reset="11")), "rate_limited", False, 11),
    (lark.refusal(answer({"code": 1}, 429, Retry_After="100000")), "rate_limited", False, 3600.0),
    (lark.refusal(answer({"code": 123456}, 500)), "refused", False, None),
    (lark.refusal(answer(b"<html>", 429, Retry_After="9")), "not_an_answer", False, 9),
    (wecom.refusal(answer({"errcode": 45009}, 200, Retry_After="1")), "rate_limited", False, 60),
    (slack.api_refusal(answer({"ok": False, "error": "x"}, 429, Retry_After="30")), "rate_limited", False, 30),
    (slack.api_refusal(answer({"ok": False, "error": "x"}, 503)), "busy", False, None),
    (slack.respond_refusal(answer(b"expired_url", 404)), "used_up", True, None),
    (slack.respond_refusal(answer(b"", 404)), "used_up", True, None),
    (slack.respond_refusal(answer(b"slow", 429, Retry_After="3")), "rate_limited", False, 3),
    (dingtalk.no_answer(answer({"status": 1111, "wait": 5, "punish": "deny"})), "no_answer", False, 300),
    (dingtalk.no_answer(answer(b'<html>punish="deny"</html>')), "no_answer", False, 300),
    (dingtalk.no_answer(answer(b"<html>sign in</html>")), "no_answer", False, None),
    (dingtalk.api_refusal("brand.new", 503), "refused", False, None),
    (dingtalk.api_refusal("brand.new", 429), "refused", False, None),
]
"""What the status and the headers add."""


@pytest.mark.parametrize("row", ANSWERS, ids=range(len(ANSWERS)))
def test_status_and_headers_of_an_answer(row: Row) -> None:
    error, *expected = row
    assert outcome(error) == tuple(expected)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b"null", b"\xff", b"{", b"[" * 100_000, b'{"a":1}'])
def test_what_is_no_answer_of_the_platform_is_temporary(body: bytes) -> None:
    for read_as in (lark.refusal, wecom.refusal, slack.api_refusal, dingtalk.no_answer):
        assert outcome(read_as(answer(body)))[1] is False


def test_an_unknown_outcome_is_told_apart_from_a_message_that_never_left() -> None:
    unclear = dingtalk.api_refusal("unknown.send.result", 500)
    assert (unclear.permanent, unclear.unknown) == (False, True)
    for reason, sent in (("no answer in time", True), ("connection broken off", True), ("no connection", False)):
        for error in (unreachable("WeCom", Unreachable(sent, reason)), dingtalk.unreachable(Unreachable(sent, reason))):
            assert (error.permanent, error.unknown, error.disables) == (False, sent, False)
