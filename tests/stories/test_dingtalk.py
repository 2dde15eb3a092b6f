"""DingTalk's own ways: signatures, deliveries of the same message again, restarts, Stream mode, strangers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import requests

from bot.sandbox.dingtalk_robots import robot_sign
from bot.sandbox.server import StandIns
from tests.stories.conftest import ADMIN, GROUP, MEMBER, Town, words


def test_a_message_delivered_twice_is_handled_once(town: Town) -> None:
    posted = town.post("contact add Ann")
    again = town.client.again(posted)
    assert again.status == 200
    town.quiet()
    assert len(town.world.said(town.chat(ADMIN))) == 1
    assert "1 contact" in town.say("contact list")


def test_a_message_delivered_again_after_a_restart_is_handled_once(town: Town) -> None:
    posted = town.post("contact add Ann")
    town.quiet()
    town.close()
    town.open()
    town.client.again(posted)
    town.quiet()
    assert len(town.world.said(town.chat(ADMIN))) == 1


def test_what_was_taken_in_before_a_stop_is_answered_after_the_start(town: Town) -> None:
    town.service.inbox.stop(5.0)
    posted = town.client.type(ADMIN, "contact add Ann")
    assert posted.status == 200
    assert not town.world.said(town.chat(ADMIN))
    town.close()
    town.open()
    assert "Ann" in town.answer(town.chat(ADMIN))


FORGERIES: dict[str, dict[str, Any]] = {
    "nonsense": {"sign": "AAAA"},
    "empty": {"sign": ""},
    "other secret": {"secret": "another"},
    "stale": {"skew_ms": -3_600_001},
    "from the future": {"skew_ms": 3_600_001},
}


def test_a_forged_or_stale_callback_is_refused_and_changes_nothing(town: Town) -> None:
    for name, forgery in FORGERIES.items():
        assert town.client.type(ADMIN, "contact add Mallory", **forgery).status == 401, name
    answer = requests.post(
        f"{town.url}/dingtalk/messages",
        data=b"{}",
        headers={"timestamp": str(round(town.clock().timestamp() * 1000)), "sign": "é".encode("latin-1")},
        timeout=20,
    )
    assert answer.status_code == 401
    town.quiet()
    assert "no contacts" in town.say("contact list")


def test_signed_bodies_that_are_not_messages_are_refused_or_ignored(town: Town) -> None:
    for body in ({}, {"msgtype": "text"}, {"conversationId": 5}):
        assert town.client.post(body).status in (200, 400)
    assert town.client.type(ADMIN, "x", shape="errorCode").status == 200
    assert town.client.type(ADMIN, "x", shape="picture").status == 200
    assert "Ann" in town.say("contact add Ann")


def test_a_stranger_is_told_why_nothing_happens(town: Town) -> None:
    after = town.world.last
    town.client.type(ADMIN, "contact add Ann", group=GROUP, staff_id=False)
    assert "do not know who you are" in town.answer(GROUP, after=after)
    assert "no contacts" in town.say("contact list")


def test_other_shapes_of_the_same_message_are_understood(town: Town) -> None:
    shapes: dict[str, dict[str, Any]] = {
        "Ann": {"shape": "richText"},
        "Bob": {"shape": "content"},
        "Cid": {"number_type": True},
        "Dan": {"header_case": "upper"},
    }
    for name, options in shapes.items():
        after = town.world.last
        town.client.type(ADMIN, f"contact add {name}", group=GROUP, **options)
        assert f"“{name}” is added" in town.answer(GROUP, after=after)


def test_without_a_session_the_app_answers(town: Town) -> None:
    after = town.world.last
    town.client.type(ADMIN, "help", session=False)
    assert "contact add" in town.answer(town.chat(ADMIN), after=after)
    after = town.world.last
    town.client.type(ADMIN, "help", group=GROUP, session=False)
    assert "contact add" in town.answer(GROUP, after=after)


def test_stream_mode_does_what_http_mode_does(make_town: Callable[..., Town]) -> None:
    town = make_town(dingtalk_stream=True)
    town.client = StandIns.dingtalk_client(town.stand_ins, town.url, town.app, stream=True)
    assert town.stand_ins.stream.wait_opened(1, 10.0)
    after = town.world.last
    posted = town.client.type(MEMBER, "me 13900139000")
    assert posted.delivered
    assert "Wang" in town.answer(town.chat(MEMBER), after=after)
    town.client.again(posted)
    town.quiet()
    assert len([e for e in town.world.said(town.chat(MEMBER)) if e.seq > after]) == 1
    assert len(town.world.sms("+8613900139000")) == 1
    http = town.stand_ins.dingtalk_client(town.url, town.app)
    after = town.world.last
    http.type(MEMBER, "me")
    assert "Wang" in town.answer(town.chat(MEMBER), after=after), "the HTTP route is served too"
    http.close()


def test_the_language_is_that_of_the_command_or_of_the_conversation(town: Town) -> None:
    assert "什么" in town.say("帮助") or "说" in town.say("帮助")
    assert "What you can say" in town.say("help")
    town.say("语言 中文", group=True)
    assert "6" in town.say("验证码 12", group=True) or "六" in town.say("验证码 12", group=True)
    town.say("language en", group=True)
    answer = town.say("blah blah", group=True)
    assert "help" in answer


def test_a_thousand_random_bodies_on_each_route_give_no_5xx(town: Town) -> None:
    rng = random.Random(20260302)
    town.say("group create dba")
    alerts = [town.source("dba", kind, f"s-{kind}") for kind in ("json", "alertmanager", "cloudmonitor")]
    seeds = [b"{}", b"[]", b'{"alerts":[{}]}', b"null", b'{"title":"a"}', b"alertState=ALERT&ruleId=1", b'{"alert":{}}']
    types = [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data; boundary=x",
        "",
    ]
    client = town.service.app.test_client()
    for path in (*alerts, "/alerts/json/wrong", "/dingtalk/messages"):
        for _number in range(1000):
            base = bytearray(rng.choice(seeds) + rng.randbytes(rng.choice((0, 0, 3, 40))))
            for _flip in range(rng.randrange(4)):
                if base:
                    base[rng.randrange(len(base))] = rng.randrange(256)
            headers = {"Content-Type": rng.choice(types)}
            if path == "/dingtalk/messages":
                stamp = str(round(town.clock().timestamp() * 1000))
                headers |= {"timestamp": stamp, "sign": robot_sign(town.app.client_secret, stamp)}
            answer = client.post(path, data=bytes(base), headers=headers)
            assert answer.status_code < 500, (path, bytes(base), answer.text)


def test_health_and_metrics(town: Town) -> None:
    assert requests.get(f"{town.url}/healthz", timeout=20).json() == {"status": "ok", "hanging": []}
    assert requests.get(f"{town.url}/readyz", timeout=20).json() == {"status": "ready", "problems": []}
    town.say("help")
    page = requests.get(f"{town.url}/metrics", timeout=20).text
    assert 'callboard_inbound_messages_total{outcome="new",platform="dingtalk"} 1.0' in page
    assert "callboard_thread_heartbeat_age_seconds" in page
    missing = requests.get(f"{town.url}/nowhere", timeout=20)
    assert missing.status_code == 404
    assert "error" in missing.json()


def test_an_answer_is_json_that_names_no_internals(town: Town) -> None:
    answer = town.client.post({"conversationId": "x", "msgtype": "text", "text": {"content": "hi"}})
    assert "Traceback" not in json.dumps(answer.answer.decode())
    assert words(answer.body)
