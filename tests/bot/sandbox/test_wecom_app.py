"""WeCom's app and smart robot: what is refused with which code, and what the client seals."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.wecom_app import MEMBER_PER_MINUTE, WRONG_SECRETS, WeComApp, robot_chat
from bot.sandbox.wire import Request
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import Clock

CORP, AGENT, SECRET = "ww01", 1000002, "app-secret"
GET_TOKEN, SEND = "/cgi-bin/gettoken", "/cgi-bin/message/send"


@pytest.fixture
def app(world: World) -> WeComApp:
    world.add_app("wecom", str(AGENT), SECRET, CORP)
    world.add_app("wecom", "1000003", "other-secret", CORP)
    world.add_person("wecom", "ZhangSan", "Zhang San", CORP)
    world.add_person("wecom", "lisi", "Li Si", CORP, reachable=False)
    world.add_person("wecom", "stranger", "Stranger", "ww02")
    return WeComApp(world)


def asked(app: WeComApp, method: str, target: str, body: Any = None) -> dict[str, Any]:

    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = app.answer(Request(method, target, {"content-type": "application/json"}, raw))
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


def token(app: WeComApp, secret: str = SECRET) -> str:
    return str(asked(app, "GET", f"{GET_TOKEN}?corpid={CORP}&corpsecret={secret}")["access_token"])


def message(**changes: Any) -> dict[str, Any]:
    whole = {"touser": "ZhangSan", "msgtype": "markdown", "agentid": AGENT, "markdown": {"content": "x"}, **changes}
    return {name: value for name, value in whole.items() if value is not None}


MESSAGES: list[tuple[str, Any, int]] = [
    ("markdown", message(), 0),
    ("text", message(msgtype="text", text={"content": "x"}), 0),
    ("markdown of 2048 bytes", message(markdown={"content": "值" * 682 + "ab"}), 0),
    ("markdown of 2049 bytes", message(markdown={"content": "值" * 683}), 45002),
    ("empty", message(markdown={"content": ""}), 44004),
    ("content as a number", message(markdown={"content": 7}), 40058),
    ("a type of the webhook", message(msgtype="markdown_v2", markdown_v2={"content": "x"}), 40008),
    ("agent as text", message(agentid=str(AGENT)), 40056),
    ("no agent", message(agentid=None), 40056),
    ("another app", message(agentid=1000003), 301002),
    ("a list of receivers", message(touser=["ZhangSan"]), 40058),
    ("no receiver", message(touser=None), 40058),
    ("somebody unknown", message(touser="nobody"), 81013),
    ("somebody outside the visible range", message(touser="lisi"), 81013),
    ("somebody of another organisation", message(touser="stranger"), 81013),
    ("a flag that is none", message(enable_id_trans="1"), 40058),
    ("not an object", [], 40008),
    ("not JSON", b"{", 40008),
]


@pytest.mark.parametrize(("body", "code"), [case[1:] for case in MESSAGES], ids=[case[0] for case in MESSAGES])
def test_what_an_app_may_send(app: WeComApp, world: World, body: Any, code: int) -> None:
    answer = asked(app, "POST", f"{SEND}?access_token={token(app)}", body)
    assert answer["errcode"] == code, answer
    assert len(world.said("wecom-chat-ZhangSan")) == (0 if code else 1)
    assert [event.note for event in world.refusals("wecom")] == ([str(code)] if code else [])


def test_some_receivers_that_are_not_reached_are_named_in_small_letters(app: WeComApp) -> None:
    answer = asked(app, "POST", f"{SEND}?access_token={token(app)}", message(touser="ZhangSan|NoBody|lisi"))
    assert (answer["errcode"], answer["invaliduser"]) == (0, "nobody|lisi")


def test_a_token_lasts_two_hours_is_the_same_meanwhile_and_can_be_revoked(app: WeComApp, clock: Clock) -> None:
    first = token(app)
    assert token(app) == first
    clock.move(7200)
    assert asked(app, "POST", f"{SEND}?access_token={first}", message())["errcode"] == 42001
    second = token(app)
    assert second != first
    app.expire_tokens()
    assert asked(app, "POST", f"{SEND}?access_token={second}", message())["errcode"] == 40014
    assert asked(app, "POST", SEND, message())["errcode"] == 41001
    assert asked(app, "POST", f"{SEND}?access_token={token(app, 'other-secret')}", message())["errcode"] == 301002


def test_wrong_credentials_shut_out_who_keeps_asking(app: WeComApp, clock: Clock) -> None:
    assert asked(app, "GET", f"{GET_TOKEN}?corpid=ww09&corpsecret={SECRET}")["errcode"] == 40013
    for _try in range(WRONG_SECRETS - 1):
        assert asked(app, "GET", f"{GET_TOKEN}?corpid={CORP}&corpsecret=wrong")["errcode"] == 40001
    right = f"{GET_TOKEN}?corpid={CORP}&corpsecret={SECRET}"
    assert asked(app, "GET", right)["errcode"] == 45009
    clock.move(3600)
    assert asked(app, "GET", right)["errcode"] == 0


def test_what_is_too_much_for_one_member_is_dropped_without_a_word(app: WeComApp, world: World) -> None:
    word = token(app)
    for _number in range(MEMBER_PER_MINUTE + 1):
        assert asked(app, "POST", f"{SEND}?access_token={word}", message())["errcode"] == 0
    assert len(world.said("wecom-chat-ZhangSan")) == MEMBER_PER_MINUTE
    assert [event.note for event in world.refusals("wecom")] == ["dropped"]


ANSWERS: list[tuple[str, Any, int]] = [
    ("markdown", {"msgtype": "markdown", "markdown": {"content": "x" * 20_480}}, 0),
    ("too long", {"msgtype": "markdown", "markdown": {"content": "x" * 20_481}}, 40058),
    ("text", {"msgtype": "text", "text": {"content": "x"}}, 40008),
    ("a card's update", {"response_type": "update_template_card", "template_card": {}}, 40008),
    ("sealed", {"encrypt": "x", "msgtype": "markdown", "markdown": {"content": "x"}}, 40008),
]


@pytest.mark.parametrize(("body", "code"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS])
def test_what_the_robot_may_answer(app: WeComApp, world: World, body: Any, code: int) -> None:
    word, _until = world.open_session("wrG", "ZhangSan", 3600.0)
    answer = asked(app, "POST", f"/cgi-bin/aibot/response?response_code={word}", body)
    assert answer["errcode"] == code
    assert len(world.said("wrG")) == (0 if code else 1)


def test_an_address_for_the_answer_works_once_and_for_an_hour(app: WeComApp, world: World, clock: Clock) -> None:
    good = {"msgtype": "markdown", "markdown": {"content": "x"}}
    word, _until = world.open_session("wrG", "ZhangSan", 3600.0)
    codes = [asked(app, "POST", f"/cgi-bin/aibot/response?response_code={word}", good)["errcode"] for _ in range(2)]
    assert codes == [0, 40058]
    word, _until = world.open_session("wrG", "ZhangSan", 3600.0)
    clock.move(3600)
    assert asked(app, "POST", f"/cgi-bin/aibot/response?response_code={word}", good)["errcode"] == 40058
    assert asked(app, "POST", "/cgi-bin/aibot/response?response_code=made-up", good)["errcode"] == 40058


def test_it_answers_beside_the_webhook_robots_on_one_address(world: World, app: WeComApp) -> None:
    with StandIns(world) as stand_ins:
        answer = requests.get(f"{stand_ins.url}{GET_TOKEN}?corpid={CORP}&corpsecret={SECRET}", timeout=10).json()
        assert answer["errcode"] == 0
        robot = requests.post(
            f"{stand_ins.url}/cgi-bin/webhook/send?key=key1",
            json={"msgtype": "text", "text": {"content": "x"}},
            timeout=10,
        ).json()
        assert robot["errcode"] == 0


def test_the_robots_window_is_not_the_apps(world: World, app: WeComApp) -> None:
    person = world.person("wecom", "lisi")
    assert person is not None
    assert robot_chat(person) != person.chat
