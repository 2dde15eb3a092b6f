"""Feishu / Lark group bots: what is refused with which code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from bot.sandbox.lark import hook_sign
from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import GOOD, NOW, PATHS, Clock

VECTORS = json.loads((Path(__file__).parents[2] / "fixtures/vectors/lark.json").read_text("utf-8"))["webhook_sign"]
HOOK = PATHS["lark"]
URL = "https://oncall.example/i/42"


def plain(content: Any) -> dict[str, Any]:
    return {"tag": "plain_text", "content": content}


def card(*elements: Any, **changes: Any) -> dict[str, Any]:
    header = {"template": "red", "title": plain("[FIRING] disk")}
    return {"msg_type": "interactive", "card": {"header": header, "elements": list(elements), **changes}}


def post(*nodes: Any) -> dict[str, Any]:
    return {"msg_type": "post", "content": {"post": {"zh_cn": {"title": "告警", "content": [list(nodes)]}}}}


DIV = {"tag": "div", "text": plain("x")}
BUTTON = {"tag": "button", "type": "primary", "url": URL, "text": plain("Open")}
WHOLE = card(
    {"tag": "div", "fields": [{"is_short": True, "text": plain("a")}, {"is_short": False, "text": plain("b")}]},
    {"tag": "markdown", "content": "On call: <at id=ou_0a1b></at>"},
    {"tag": "hr"},
    {"tag": "action", "actions": [BUTTON]},
    {"tag": "note", "elements": [plain("INC-42")]},
    {"tag": "column_set", "columns": [{"tag": "column", "elements": [DIV]}]},
    config={"wide_screen_mode": True},
)

MESSAGES: list[tuple[str, Any, int]] = [
    ("text", GOOD["lark"], 0),
    ("text outside content", {"msg_type": "text", "text": "x"}, 9499),
    ("content as a JSON string", {"msg_type": "text", "content": '{"text":"x"}'}, 9499),
    ("empty text", {"msg_type": "text", "content": {"text": ""}}, 9499),
    ("no msg_type", {"content": {"text": "x"}}, 19002),
    ("DingTalk's msgtype", {"msgtype": "text", "text": {"content": "x"}}, 19002),
    ("unknown msg_type", {"msg_type": "markdown", "content": {"text": "x"}}, 9499),
    ("post", post({"tag": "text", "text": "x"}, {"tag": "a", "text": "r", "href": URL}), 0),
    ("post with a bad href", post({"tag": "a", "text": "r", "href": "runbook"}), 9499),
    ("post with markdown", post({"tag": "md", "text": "x"}), 9499),
    ("post without its outer key", {"msg_type": "post", "content": {"zh_cn": {"content": [[]]}}}, 9499),
    ("image", {"msg_type": "image", "content": {"image_key": "img_1"}}, 0),
    ("card", WHOLE, 0),
    ("card inside content", {"msg_type": "interactive", "content": WHOLE["card"]}, 9499),
    ("card as a string", {"msg_type": "interactive", "card": json.dumps(WHOLE["card"])}, 9499),
    ("card without elements", card(), 9499),
    ("card with an unknown tag", card({"tag": "table"}), 9499),
    ("card with an unknown member", card(DIV, body={}), 9499),
    ("card with a button outside an action", card(BUTTON), 9499),
    ("card with an unknown colour", card(DIV, header={"template": "pink", "title": plain("x")}), 9499),
    ("card with a markdown title", card(DIV, header={"title": {"tag": "lark_md", "content": "x"}}), 9499),
    ("card with a script", card({"tag": "action", "actions": [{**BUTTON, "url": "javascript:1"}]}), 9499),
    ("card with a text without tag", card({"tag": "div", "text": {"content": "x"}}), 9499),
    ("card with a number as text", card({"tag": "div", "text": plain(7)}), 9499),
    ("card with an empty note", card({"tag": "note", "elements": []}), 9499),
    ("card that mentions everybody", card({"tag": "markdown", "content": '<at id="all"></at>'}), 9499),
    ("card with such words as plain text", card({"tag": "div", "text": plain("<at id=all></at>")}), 0),
    ("card 2.0", {"msg_type": "interactive", "card": {"schema": "2.0", "body": {"elements": [DIV]}}}, 0),
    ("card 2.0 with a note", {"msg_type": "interactive", "card": {"schema": "2.0", "body": {"elements": [
        {"tag": "note"}]}}}, 9499),
    ("card 2.0 with root elements", {"msg_type": "interactive", "card": {"schema": "2.0", "elements": [DIV]}}, 9499),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message", "code"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_messages(
    name: str, message: Any, code: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    answer = http.post(stand_ins.url + HOOK, json=message)
    assert answer.json()["code"] == code
    assert answer.status_code == (400 if code == 9499 else 200)
    assert len(world.cards("lark")) == (0 if code else 1)


def test_a_success_has_the_old_members_too(stand_ins: StandIns, http: requests.Session) -> None:
    answer = http.post(stand_ins.url + HOOK, json=GOOD["lark"]).json()
    assert answer == {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}


def test_where_the_group_allows_it_everybody_may_be_mentioned(stand_ins: StandIns, http: requests.Session) -> None:
    stand_ins.lark.at_all = True
    answer = http.post(stand_ins.url + HOOK, json=card({"tag": "markdown", "content": "<at id=all></at>"}))
    assert answer.json()["code"] == 0


@pytest.mark.parametrize(
    ("method", "path", "kind", "code"),
    [
        ("GET", HOOK, "application/json", 19002),
        ("POST", HOOK, "text/plain", 9499),
        ("POST", "/open-apis/bot/v2/hook/nobody", "application/json", 19001),
        ("POST", "/open-apis/bot/hook/hook1", "application/json", 404),
    ],
)
def test_requests_that_reach_no_bot(
    method: str, path: str, kind: str, code: int, stand_ins: StandIns, http: requests.Session
) -> None:
    answer = http.request(method, stand_ins.url + path, data=json.dumps(GOOD["lark"]), headers={"Content-Type": kind})
    assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"enabled": False}, 19007),
        ({"addresses": ("10.0.0.0/8",)}, 19022),
        ({"addresses": ("127.0.0.0/8",)}, 0),
        ({"keywords": ("DAS Alarm",)}, 19024),
        ({"keywords": ("other", "full")}, 0),
    ],
)
def test_security_settings(
    changes: dict[str, Any], code: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.change_robot("lark", "hook1", **changes)
    assert http.post(stand_ins.url + HOOK, json=GOOD["lark"]).json()["code"] == code


def test_a_keyword_in_an_address_does_not_count(stand_ins: StandIns, world: World, http: requests.Session) -> None:
    world.change_robot("lark", "hook1", keywords=("DAS",))
    hidden = post({"tag": "a", "text": "x", "href": "https://a.example/DAS"})
    assert http.post(stand_ins.url + HOOK, json=hidden).json()["code"] == 19024
    shown = card({"tag": "div", "text": plain("a DAS alarm")})
    assert http.post(stand_ins.url + HOOK, json=shown).json()["code"] == 0


def test_bodies_end_at_twenty_kilobytes(stand_ins: StandIns, http: requests.Session) -> None:
    empty = len(json.dumps({"msg_type": "text", "content": {"text": ""}}).encode())
    for size, code in ((20 * 1024, 0), (20 * 1024 + 1, 9499)):
        message = {"msg_type": "text", "content": {"text": "x" * (size - empty)}}
        assert http.post(stand_ins.url + HOOK, json=message).json()["code"] == code


@pytest.mark.parametrize("vector", VECTORS["positive"], ids=lambda vector: vector["name"])
def test_a_right_signature_is_accepted(
    vector: dict[str, Any], stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    clock.now = float(vector["timestamp"])
    world.change_robot("lark", "hook1", secret=vector["secret"])
    signed = {**GOOD["lark"], "timestamp": vector["timestamp"], "sign": vector["sign"]}
    assert http.post(stand_ins.url + HOOK, json=signed).json()["code"] == 0
    assert world.cards("lark")[0].body == GOOD["lark"]


@pytest.mark.parametrize("vector", VECTORS["negative"], ids=lambda vector: vector["name"])
def test_a_wrong_signature_is_refused(
    vector: dict[str, Any], stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    clock.now = float(vector["timestamp"])
    world.change_robot("lark", "hook1", secret=vector["secret"])
    signed = {**GOOD["lark"], "timestamp": vector["timestamp"], "sign": vector["wrong_sign"]}
    assert http.post(stand_ins.url + HOOK, json=signed).json()["code"] == 19021


@pytest.mark.parametrize("case", VECTORS["freshness"], ids=lambda case: case["expect"][:20] + case["timestamp"])
def test_freshness(
    case: dict[str, Any], stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    clock.now = float(case["now"])
    world.change_robot("lark", "hook1", secret="s")
    signed = {**GOOD["lark"], "timestamp": case["timestamp"], "sign": hook_sign("s", case["timestamp"])}
    accepted = case["expect"].startswith("accepted")
    assert http.post(stand_ins.url + HOOK, json=signed).json()["code"] == (0 if accepted else 19021)


@pytest.mark.parametrize("timestamp", [None, int(NOW), "", "abc", "1700000000.0"])
def test_a_timestamp_that_is_no_text_of_digits_is_refused(
    timestamp: Any, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.change_robot("lark", "hook1", secret="s")
    signed = {**GOOD["lark"], "timestamp": timestamp, "sign": hook_sign("s", str(timestamp))}
    assert http.post(stand_ins.url + HOOK, json=signed).json()["code"] == 19021


def test_five_a_second_and_a_hundred_a_minute(stand_ins: StandIns, clock: Clock, http: requests.Session) -> None:
    def send() -> int:
        return int(http.post(stand_ins.url + HOOK, json=GOOD["lark"]).json()["code"])

    assert [send() for _ in range(6)] == [0] * 5 + [11232]
    for _ in range(19):
        clock.move(1.0)
        assert [send() for _ in range(5)] == [0] * 5
    clock.move(1.0)
    assert send() == 11232
    clock.move(40.0)
    assert send() == 0
