"""WeCom's own ways: the app, the robot, who gets which answer where, forgeries, repeats, restarts, deadlines."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from itertools import product
from typing import Any, Literal

import pytest
import requests

from bot.sandbox.wecom_client import Keys, Posted
from bot.sandbox.world import Drop, Refused, Slow
from tests.stories.conftest import words
from tests.stories.wecom_town import (
    ADMIN,
    APP_KEYS,
    BOT_KEYS,
    CORP,
    GROUP,
    MEMBER,
    WITHOUT_APP,
    WeComTown,
    Where,
    make,
    town,
)

__all__ = ["make", "town"]  # fixtures

PHONE, MAIL = "+8613800138000", "zhang.wei@example.com"
DEADLINE_S = 5.0
"""https://developer.work.weixin.qq.com/document/path/90238"""

WAYS: tuple[Literal["app", "bot"], ...] = ("app", "bot")


# With the app it is told in test_everywhere.
@pytest.mark.parametrize(
    ("where", "add", "show", "active", "group", "test", "remove", "yes", "gone"),
    [
        ("group", "contact add Zhang Wei 13800138000 zhang.wei@example.com", "contact show zhang wei", "active",
         "group create dba members Zhang Wei", "test dba", "contact remove Zhang Wei", "yes", "is removed"),
        ("single", "添加联系人 张伟 13800138000 zhang.wei@example.com", "查看联系人 张伟", "已生效",
         "创建组 dba 成员 张伟", "测试 dba", "删除联系人 张伟", "是", "已删除"),
    ],
    ids=["group-en", "single-zh"],
)  # fmt: skip
def test_the_same_conversation_as_everywhere(
    town: WeComTown,
    where: Where,
    add: str,
    show: str,
    active: str,
    group: str,
    test: str,
    remove: str,
    yes: str,
    gone: str,
) -> None:
    town.said(add, where)
    for code in (town.code_for(PHONE), town.code_for(MAIL)):
        town.said(code, where)
    shown = town.said(show, where)
    assert shown.count(active) == 2, shown
    assert (PHONE in shown) == (MAIL in shown) == (where != "group"), shown
    assert "dba" in town.said(group, where)
    after = town.world.last
    town.said(test, where)
    for place in (PHONE, MAIL):
        town.expect(lambda e, place=place: e.kind in ("sms", "mail") and e.place == place, after=after)  # type: ignore[misc]
    town.quiet()
    asked = town.said(remove, where)
    assert "?" in asked or "？" in asked, asked
    assert gone in town.said(yes, where)
    assert active not in town.said(show, where)
    assert not town.world.refusals("wecom")


def test_the_address_is_verified_with_exactly_what_the_question_holds(town: WeComTown) -> None:
    for way, echo in product(WAYS, ("1616140317555161061", "a+/= b", "你好", "")):
        answer = town.wecom.ask(way, echo)
        assert (answer.status, answer.answer) == (200, echo.encode()), (way, echo)


def test_a_false_question_is_not_answered(town: WeComTown) -> None:
    for way in WAYS:
        assert town.wecom.ask(way, "1", signature="0" * 40).status == 401
        assert town.wecom.ask(way, "1", skew_s=-601).status == 401
        assert requests.get(f"{town.url}/wecom/{way}", timeout=20).status_code == 401
        right = town.wecom.ask(way, "1")
        twice = f"{town.url}/wecom/{way}?" + "&".join(f"{name}={value}" for name, value in right.query.items())
        assert requests.get(twice + "&nonce=1", timeout=20).status_code == 401


def test_a_message_sent_as_a_question_is_not_told(town: WeComTown) -> None:
    posted = town.types("contact add Ann")
    encrypted = posted.sent.decode().partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    answer = requests.get(f"{town.url}/wecom/app", params={**posted.query, "echostr": encrypted}, timeout=20)
    assert answer.status_code == 401
    assert "Ann" not in answer.text


FORGERIES: dict[str, dict[str, Any]] = {
    "no signature": {"signature": ""},
    "not ascii": {"signature": "é"},
    "a wrong signature": {"signature": "0" * 40},
    "another token": {"keys": Keys("another", APP_KEYS.aes_key, CORP)},
    "another key": {"keys": Keys(APP_KEYS.token, "0" * 43, CORP)},
    "another organisation": {"keys": Keys(APP_KEYS.token, APP_KEYS.aes_key, "ww02other")},
    "a robot's id": {"keys": Keys(BOT_KEYS.token, BOT_KEYS.aes_key, "AIBOT1")},
    "changed on the way": {"tamper": True},
    "stale": {"skew_s": -601.0},
    "from the future": {"skew_s": 601.0},
}


@pytest.mark.parametrize("where", ["app", "single", "group"])
def test_a_forged_stale_or_tampered_callback_is_refused_and_changes_nothing(town: WeComTown, where: Where) -> None:
    for name, forgery in FORGERIES.items():
        posted = town.types("contact add Mallory", where, **forgery)
        assert posted.status == 401, name
        assert "Mallory" not in posted.answer.decode()
    town.quiet()
    assert "no contacts" in town.said("contact list", where)


def test_callbacks_of_one_address_are_not_taken_at_the_other(town: WeComTown) -> None:
    inner = town.wecom.app_text(ADMIN, "contact add Mallory", "7001")
    assert town.wecom.post("bot", inner, keys=APP_KEYS).status == 401
    assert town.wecom.post("bot", inner).status == 400
    assert "no contacts" in town.said("contact list")


@pytest.mark.parametrize("where", ["app", "group"])
def test_the_same_message_again_is_handled_once_also_across_a_restart(town: WeComTown, where: Where) -> None:
    posted = town.types("contact add Ann", where)
    town.quiet()
    for _life in range(2):
        for afresh in (True, False):  # delivered again, replayed
            assert town.wecom.again(posted, afresh=afresh).status == 200
        town.quiet()
        assert len(town.world.said(town.place(where))) == 1
        town.close()
        town.open()
    assert "1 contact" in town.said("contact list")


def test_a_replay_after_ten_minutes_is_refused(town: WeComTown) -> None:
    posted = town.types("contact add Ann")
    town.forward(minutes=11)
    assert town.wecom.again(posted, afresh=False).status == 401


def test_what_was_taken_in_before_a_stop_is_answered_after_the_start(town: WeComTown) -> None:
    town.service.inbox.stop(5.0)
    assert town.types("contact add Ann").status == 200
    assert not town.world.said(town.place("app"))
    town.close()
    town.open()
    assert "Ann" in town.answer(town.place("app"))


@pytest.mark.parametrize("where", ["app", "single", "group"])
def test_the_callback_is_acknowledged_in_time_while_everything_behind_it_is_stalled(
    town: WeComTown, where: Where
) -> None:
    go_on = threading.Event()
    town.world.fault("wecom", Slow(go_on), forever=True)
    try:
        town.types("help", where)  # its answer occupies the worker
        town.service.inbox.stop(5.0)
        started = time.monotonic()
        posted = [town.types("contact list", where) for _ in range(5)]
        assert time.monotonic() - started < DEADLINE_S
        assert [one.status for one in posted] == [200] * 5
    finally:
        go_on.set()


def test_a_private_answer_comes_from_the_app_and_not_in_the_group(town: WeComTown) -> None:
    town.said("group create dba", "group")
    after = town.world.last
    town.types("source add src json to dba", "group")
    private = town.answer(town.place("app"), after=after)
    assert "/alerts/json/" in private
    town.quiet()
    assert not any("/alerts/json/" in words(event.body) for event in town.world.said(GROUP))


def test_without_the_app_what_is_private_is_asked_for_one_to_one(make: Callable[..., WeComTown]) -> None:
    town = make(**WITHOUT_APP)
    town.said("group create dba", "group")
    assert "/alerts/json/" not in town.said("source add src json to dba", "group")
    assert "/alerts/json/" in town.said("source add src json to dba", "single")
    assert town.types("help").status == 404


@pytest.mark.parametrize("settings", [{}, WITHOUT_APP], ids=["with the app", "robot only"])
def test_the_report_of_a_test_comes_where_it_was_asked_for(
    make: Callable[..., WeComTown], settings: dict[str, str]
) -> None:
    """The robot's address takes one answer: it is kept for the report, and the response says that this follows."""
    town = make(**settings)
    town.said("contact add Ann 13800138000", "group")
    town.said(town.code_for(PHONE), "group")
    after = town.world.last
    assert "Testing “Ann”" in town.said("test Ann", "group")
    town.said("contact list", "group", MEMBER)
    town.quiet()
    told = [event for event in town.world.after(after) if event.kind == "say"]
    assert {event.place for event in told} == {GROUP}
    assert ["Test of Ann: 1 of 1 arrived" in words(event.body) for event in told].count(True) == 1
    assert not town.world.refusals("wecom")


def test_each_message_is_answered_at_its_own_address(town: WeComTown) -> None:
    town.service.worker.stop(5.0)
    for person, text in ((ADMIN, "contact list"), (MEMBER, "group list"), (ADMIN, "alerts")):
        town.types(text, "group", person)
    assert not town.world.said(GROUP)
    town.close()
    town.open()
    town.expect(lambda e: e.kind == "say" and len(town.world.said(GROUP)) == 3)
    assert [event.person for event in town.world.said(GROUP)] == [ADMIN, MEMBER, ADMIN]
    assert not town.world.refusals("wecom")


def test_without_an_address_for_the_answer_the_app_writes_to_the_person(town: WeComTown) -> None:
    after = town.world.last
    town.types("help", "group", response_url=False)
    assert "contact add" in town.answer(town.place("app"), after=after)


def test_an_address_that_leads_elsewhere_is_not_used(town: WeComTown) -> None:
    body = town.wecom.robot_text(ADMIN, "help", "CAIQevil", GROUP, GROUP, True)
    body["response_url"] = body["response_url"].replace("qyapi.weixin.qq.com", "qyapi.weixin.qq.com.evil.example")
    after = town.world.last
    assert town.wecom.post("bot", body).status == 200
    assert "contact add" in town.answer(town.place("app"), after=after)


def test_a_worn_token_is_renewed(town: WeComTown) -> None:
    town.said("help")
    town.stand_ins.wecom_app.expire_tokens()
    assert "contact add" in town.said("help")
    assert [event.note for event in town.world.refusals("wecom")] == ["40014"]


@pytest.mark.parametrize("fault", [Refused(-1), Drop(), Drop(after=True)])
def test_an_answer_that_did_not_get_through_is_said_later(town: WeComTown, fault: Any) -> None:
    town.said("help")
    town.world.fault("wecom:/cgi-bin/message/send", fault)
    after = town.world.last
    town.types("contact list")
    for _try in range(3):
        town.forward(seconds=20)
    assert "no contacts" in town.answer(town.place("app"), after=after)


def test_a_long_answer_comes_whole_in_several_messages(town: WeComTown) -> None:
    names = [f"值班{number:02}" * 12 for number in range(20)]
    for name in names:
        town.said(f"添加联系人 {name}")
        town.forward(seconds=5)
    town.forward(minutes=2)
    after = town.world.last
    town.types("联系人列表")
    town.quiet()
    parts = [words(event.body) for event in town.world.said(town.place("app")) if event.seq > after]
    assert len(parts) > 1
    assert [name for name in names if name not in "\n".join(parts)] == []
    [whole] = [town.said("联系人列表", "group")]
    assert [name for name in names if name not in whole] == []


def test_the_robots_name_may_stand_anywhere_and_hold_blanks(town: WeComTown) -> None:
    mentions = ("@On Call Bot {}", "@wang @值班机器人  {}", "{} @值班机器人", "@值班机器人\u2005{}")
    for number, mention in enumerate(mentions, 1):
        assert f"Ann {number}" in town.said("", "group", mention=mention.format(f"contact add Ann {number}"))
    assert "4 contacts" in town.said("contact list")


def test_a_quoted_command_is_not_carried_out(town: WeComTown) -> None:
    body = town.wecom.robot_text(ADMIN, "@值班机器人 contact list", "CAIQ1", GROUP, GROUP, True)
    body["quote"] = {"msgtype": "text", "text": {"content": "contact add Mallory"}}
    after = town.world.last
    town.wecom.post("bot", body)
    assert "no contacts" in town.answer(GROUP, after=after)


def test_events_and_what_nobody_said_change_nothing(town: WeComTown) -> None:
    head = f"<ToUserName>{CORP}</ToUserName><CreateTime>1700000000</CreateTime>"
    for inner in (
        f"<xml>{head}<FromUserName>{ADMIN}</FromUserName><MsgType>event</MsgType><Event>enter_agent</Event></xml>",
        f"<xml>{head}<FromUserName>sys</FromUserName><MsgType>event</MsgType><Event>change_contact</Event></xml>",
        f"<xml>{head}<FromUserName>sys</FromUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>",
        f"<xml>{head}<FromUserName>@all</FromUserName><MsgType>text</MsgType><MsgId>2</MsgId></xml>",
        f"<xml>{head}<FromUserName>a|b</FromUserName><MsgType>text</MsgType><MsgId>3</MsgId></xml>",
    ):
        assert town.wecom.post("app", inner).status == 200, inner
    for body in (
        {"msgtype": "event", "msgid": "e1", "from": {"userid": ADMIN}, "event": {"eventtype": "feedback_event"}},
        {"msgtype": "event", "msgid": "e2", "from": {"userid": ADMIN}, "event": {"eventtype": "of_next_year"}},
        {"msgtype": "event", "msgid": "e3", "from": {"userid": ADMIN}, "event": "enter_chat"},
        {"msgtype": "text", "msgid": "t1", "from": {}, "text": {"content": "help"}},
        {"msgtype": "text", "msgid": "t2", "chattype": "group", "from": {"userid": ADMIN}},
    ):
        posted = town.wecom.post("bot", body)
        assert (posted.status, posted.answer) == (200, b""), body
    town.quiet()
    assert not [event for event in town.world.events if event.kind in ("say", "refused")]


def test_a_menu_item_says_its_key_once(town: WeComTown) -> None:
    click = (
        f"<xml><ToUserName>{CORP}</ToUserName><FromUserName>{ADMIN}</FromUserName><CreateTime>1700000000</CreateTime>"
        "<MsgType>event</MsgType><Event>click</Event><EventKey>contact list</EventKey><AgentID>1000002</AgentID></xml>"
    )
    assert [town.wecom.post("app", click).status for _ in range(2)] == [200, 200]
    town.quiet()
    assert len(town.world.said(town.place("app"))) == 1


def test_a_thousand_random_bodies_on_each_route_give_no_5xx(town: WeComTown) -> None:
    rng = random.Random(20260302)
    client = town.service.app.test_client()
    app = town.wecom.app_text(ADMIN, "help", "1").encode()
    seeds = {"app": (b"<xml/>", b"", app, b"<xml><Encrypt>x</Encrypt></xml>", b"<?xml version='1.0' encoding='x'?>"),
             "bot": (b"{}", b"[]", b'{"encrypt":"x"}', b'{"encrypt":5}', b"null", b"1e999")}  # fmt: skip
    bodies = {"app": (app,), "bot": (b'{"msgtype":"text","msgid":"m","from":{"userid":"a"},"text":{"content":"x"}}',)}

    def flipped(seed: bytes) -> bytes:
        changed = bytearray(seed + rng.randbytes(rng.choice((0, 0, 3, 40))))
        for _flip in range(rng.randrange(4)):
            if changed:
                changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)

    for way in ("app", "bot"):
        for number in range(1000):
            if number % 2:
                data, query = (
                    flipped(rng.choice(seeds[way])),
                    {"timestamp": "x", "nonce": "é", "msg_signature": "\ud800"},
                )
                query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
            else:  # sealed and signed as it should be, and nonsense inside
                keys = town.wecom.keys["app" if way == "app" else "bot"]
                inner = flipped(rng.choice(bodies[way])).decode("utf-8", "replace")
                encrypted, stamp = keys.encrypted(inner), str(int(town.clock().timestamp()))
                query = {"timestamp": stamp, "nonce": "1", "msg_signature": keys.signature(stamp, "1", encrypted)}
                outer = f"<xml><Encrypt>{encrypted}</Encrypt></xml>" if way == "app" else f'{{"encrypt":"{encrypted}"}}'
                data = outer.encode()
            answer = client.post(f"/wecom/{way}", data=data, query_string=query)
            assert answer.status_code < 500, (way, data, answer.text)


def test_no_answer_and_no_refusal_tells_a_secret(town: WeComTown, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    town.world.fault("wecom:/cgi-bin/message/send", Refused(60020), Refused(40001))
    town.types("help")
    town.types("contact list")
    town.types("help", "group")
    forged: Posted = town.types("help", signature="0" * 40)
    town.quiet()
    shown = "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records) + forged.answer.decode()
    for secret in ("secret-of-the-wecom-app", APP_KEYS.aes_key, APP_KEYS.token, BOT_KEYS.token, "response_code="):
        assert secret not in shown
    assert APP_KEYS.token not in repr(town.service.settings)
