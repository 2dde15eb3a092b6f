"""WeCom's group robots: what is refused with which code."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import PATHS, Clock

SEND = PATHS["wecom"]
URL = "https://oncall.example.com/i/42"
PIXEL = b"\x89PNG picture"


def markdown(content: Any, kind: str = "markdown") -> dict[str, Any]:
    return {"msgtype": kind, kind: {"content": content}}


def card(**changes: Any) -> dict[str, Any]:
    parts = {
        "card_type": "text_notice",
        "main_title": {"title": "P1 db-01"},
        "horizontal_content_list": [{"keyname": "集群", "value": "prod"}, {"keyname": "a", "type": 1, "url": URL}],
        "jump_list": [{"type": 1, "title": "查看", "url": URL}],
        "card_action": {"type": 1, "url": URL},
        **changes,
    }
    return {"msgtype": "template_card", "template_card": {k: v for k, v in parts.items() if v is not None}}


def image(**changes: Any) -> dict[str, Any]:
    md5 = hashlib.md5(PIXEL).hexdigest()
    return {"msgtype": "image", "image": {"base64": base64.b64encode(PIXEL).decode(), "md5": md5, **changes}}


FACT = {"keyname": "a", "value": "b"}
MESSAGES: list[tuple[str, Any, int]] = [
    ("text", {"msgtype": "text", "text": {"content": "x", "mentioned_list": ["@all"]}}, 0),
    ("text of 2048 bytes", {"msgtype": "text", "text": {"content": "值" * 682 + "ab"}}, 0),
    ("text of 2049 bytes", {"msgtype": "text", "text": {"content": "值" * 683}}, 40058),
    ("empty text", {"msgtype": "text", "text": {"content": ""}}, 44004),
    ("text that is a string", {"msgtype": "text", "text": "x"}, 40058),
    ("mentions as one string", {"msgtype": "text", "text": {"content": "x", "mentioned_list": "@all"}}, 40058),
    ("markdown of 4096 bytes", markdown("🔔" * 1024), 0),
    ("markdown of 4097 bytes", markdown("🔔" * 1024 + "a"), 40058),
    ("markdown_v2 of 4096 bytes", markdown("a" * 4096, "markdown_v2"), 0),
    ("markdown_v2 of 4097 bytes", markdown("a" * 4097, "markdown_v2"), 40058),
    ("markdown under the wrong key", {"msgtype": "markdown", "text": {"content": "x"}}, 40058),
    ("markdown as a number", markdown(7), 40058),
    ("no msgtype", {"text": {"content": "x"}}, 40008),
    ("unknown msgtype", {"msgtype": "actionCard", "actionCard": {}}, 40008),
    ("msgtype as a list", {"msgtype": ["text"]}, 40008),
    ("image", image(), 0),
    ("image with a wrong md5", image(md5="0"), 40058),
    ("image that is no base64", image(base64="?"), 40058),
    ("news", {"msgtype": "news", "news": {"articles": [{"title": "P1", "url": URL}]}}, 0),
    ("news of nine", {"msgtype": "news", "news": {"articles": [{"title": "P1", "url": URL}] * 9}}, 45008),
    ("news without a url", {"msgtype": "news", "news": {"articles": [{"title": "P1"}]}}, 40058),
    ("file that was never uploaded", {"msgtype": "file", "file": {"media_id": "M"}}, 40007),
    ("card", card(), 0),
    ("card with a member nobody knows", card(button_list=[]), 0),
    ("card of buttons", card(card_type="button_interaction"), 40058),
    ("card without an action", card(card_action=None), 40058),
    ("card with a url without scheme", card(card_action={"type": 1, "url": "oncall.example.com"}), 45034),
    ("card with a script", card(jump_list=[{"type": 1, "title": "x", "url": "javascript:alert(1)"}]), 45034),
    ("card without any title", card(main_title=None), 40058),
    ("card with a subtitle only", card(main_title=None, sub_title_text="x"), 0),
    ("card with six facts", card(horizontal_content_list=[FACT] * 6), 0),
    ("card with seven facts", card(horizontal_content_list=[FACT] * 7), 40058),
    ("card with a fact without name", card(horizontal_content_list=[{"value": "b"}]), 40058),
    ("card with four jumps", card(jump_list=[{"title": "x"}] * 4), 40058),
    ("news card", card(card_type="news_notice", card_image={"url": URL, "aspect_ratio": 2.25}), 0),
    ("news card without an image", card(card_type="news_notice"), 40058),
    ("news card with a wide image", card(card_type="news_notice", card_image={"url": URL, "aspect_ratio": 3}), 40058),
]


@pytest.mark.parametrize(("name", "message", "code"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_messages(
    name: str, message: Any, code: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    answer = http.post(stand_ins.url + SEND, json=message)
    assert answer.status_code == 200
    assert answer.json()["errcode"] == code
    assert len(world.cards("wecom")) == (0 if code else 1)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", SEND, 40058),
        ("POST", "/cgi-bin/webhook/send", 93000),
        ("POST", "/cgi-bin/webhook/send?key=nobody", 93000),
        ("POST", "/cgi-bin/webhook/send?access_token=key1", 93000),
    ],
)
def test_requests_that_reach_no_robot(
    method: str, path: str, code: int, stand_ins: StandIns, http: requests.Session
) -> None:
    answer = http.request(method, stand_ins.url + path, json=markdown("x")).json()
    assert answer["errcode"] == code
    assert f"devtool/query?e={code}" in answer["errmsg"]


def test_what_is_not_json_is_called_so(stand_ins: StandIns, http: requests.Session) -> None:
    json_type = {"Content-Type": "application/json"}
    for body, headers in ((b"{", json_type), (b'{"msgtype":"text"}', {"Content-Type": "text/plain"})):
        answer = http.post(stand_ins.url + SEND, data=body, headers=headers).json()
        assert answer["errcode"] == 40008
        assert "wrong json format" in answer["errmsg"]


@pytest.mark.parametrize(("changes", "code"), [({"enabled": False}, 93004), ({"group": "gone"}, 93008)])
def test_a_dead_robot_says_why(
    changes: dict[str, Any], code: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.change_robot("wecom", "key1", **changes)
    assert http.post(stand_ins.url + SEND, json=markdown("x")).json()["errcode"] == code


def test_twenty_in_any_minute(stand_ins: StandIns, clock: Clock, http: requests.Session) -> None:
    def send() -> int:
        return int(http.post(stand_ins.url + SEND, json=markdown("x")).json()["errcode"])

    assert send() == 0
    clock.move(30)
    assert [send() for _ in range(20)] == [0] * 19 + [45009]
    clock.move(29.9)
    assert send() == 45009
    clock.move(0.1)
    assert [send(), send()] == [0, 45009]
