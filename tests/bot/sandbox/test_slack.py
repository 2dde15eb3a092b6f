"""Slack's incoming webhooks: the words they answer with."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import PATHS, Clock

HOOK = PATHS["slack"]
URL = "https://oncall.example/i/42"


def plain(text: Any, **more: Any) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, **more}


def section(**parts: Any) -> dict[str, Any]:
    return {"type": "section", **parts}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain("Ack"), "action_id": "ack", **changes}


def blocks(*items: Any) -> dict[str, Any]:
    return {"text": "x", "blocks": list(items)}


DIVIDER = {"type": "divider"}
BAD = "invalid_blocks"
MESSAGES: list[tuple[str, Any, str]] = [
    ("text", {"text": "x"}, "ok"),
    ("no text", {"text": ""}, "no_text"),
    ("nothing", {}, "no_text"),
    ("text as a number", {"text": 7}, "invalid_payload"),
    ("blocks alone", {"blocks": [DIVIDER]}, "ok"),
    ("fifty blocks", blocks(*[DIVIDER] * 50), "ok"),
    ("fifty-one blocks", blocks(*[DIVIDER] * 51), BAD),
    ("blocks as an object", {"text": "x", "blocks": DIVIDER}, BAD),
    ("header of 150", blocks({"type": "header", "text": plain("x" * 150)}), "ok"),
    ("header of 151", blocks({"type": "header", "text": plain("x" * 151)}), BAD),
    ("header in mrkdwn", blocks({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}), BAD),
    ("section of 3000", blocks(section(text={"type": "mrkdwn", "text": "x" * 3000, "verbatim": True})), "ok"),
    ("section of 3001", blocks(section(text=plain("x" * 3001))), BAD),
    ("section with an empty text", blocks(section(text=plain(""))), BAD),
    ("section with nothing", blocks(section()), BAD),
    ("ten fields", blocks(section(fields=[plain("x" * 2000)] * 10)), "ok"),
    ("eleven fields", blocks(section(fields=[plain("x")] * 11)), BAD),
    ("a field of 2001", blocks(section(fields=[plain("x" * 2001)])), BAD),
    ("emoji on mrkdwn", blocks(section(text={"type": "mrkdwn", "text": "x", "emoji": False})), BAD),
    ("verbatim on plain text", blocks(section(text=plain("x", verbatim=True))), BAD),
    ("ten in a context", blocks({"type": "context", "elements": [plain("x")] * 10}), "ok"),
    ("eleven in a context", blocks({"type": "context", "elements": [plain("x")] * 11}), BAD),
    ("buttons", blocks({"type": "actions", "elements": [button(), button(action_id="b", url=URL)]}), "ok"),
    ("the same action twice", blocks({"type": "actions", "elements": [button(), button()]}), BAD),
    ("twenty-six buttons", blocks({"type": "actions", "elements": [button(action_id=str(n)) for n in range(26)]}), BAD),
    ("a button of 76", blocks({"type": "actions", "elements": [button(text=plain("x" * 76))]}), BAD),
    ("a button with a script", blocks({"type": "actions", "elements": [button(url="javascript:1")]}), BAD),
    ("a button in yellow", blocks({"type": "actions", "elements": [button(style="warning")]}), BAD),
    ("a value of 2001", blocks({"type": "actions", "elements": [button(value="x" * 2001)]}), BAD),
    ("block_id twice", blocks({**DIVIDER, "block_id": "a"}, {**DIVIDER, "block_id": "a"}), BAD),
    ("block_id of 256", blocks({**DIVIDER, "block_id": "x" * 256}), BAD),
    ("markdown of 12000", blocks({"type": "markdown", "text": "x" * 12_000}), "ok"),
    ("markdown of 12001", blocks({"type": "markdown", "text": "x" * 12_001}), BAD),
    ("unknown block", blocks({"type": "hr"}), BAD),
    ("attachment with blocks", {"text": "x", "attachments": [{"color": "#D00000", "blocks": [DIVIDER]}]}, "ok"),
    ("attachment with bad blocks", {"text": "x", "attachments": [{"blocks": [{"type": "hr"}]}]}, BAD),
    ("101 attachments", {"text": "x", "attachments": [{"text": "x"}] * 101}, "too_many_attachments"),
]


@pytest.mark.parametrize(("name", "message", "word"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_messages(
    name: str, message: Any, word: str, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    answer = http.post(stand_ins.url + HOOK, json=message)
    assert (answer.text, answer.status_code) == (word, 200 if word == "ok" else 400)
    assert len(world.cards("slack")) == (1 if word == "ok" else 0)


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (b"payload=" + json.dumps({"text": "x"}).encode(), "application/x-www-form-urlencoded", "ok"),
        (b"text=x", "application/x-www-form-urlencoded", "invalid_payload"),
        (b'{"text":"x"}', "text/plain", "invalid_payload"),
        (b"{", "application/json", "invalid_payload"),
    ],
)
def test_bodies(body: bytes, kind: str, word: str, stand_ins: StandIns, http: requests.Session) -> None:
    assert http.post(stand_ins.url + HOOK, data=body, headers={"Content-Type": kind}).text == word


@pytest.mark.parametrize("path", ["/services/T1/B1/other", "/services/T1/B2/x1", "/services/T2/B1/x1"])
def test_all_three_parts_of_the_address_count(path: str, stand_ins: StandIns, http: requests.Session) -> None:
    answer = http.post(stand_ins.url + path, json={"text": "x"})
    assert (answer.status_code, answer.text) == (404, "no_service")


@pytest.mark.parametrize(
    ("changes", "word"), [({"enabled": False}, "no_active_hooks"), ({"group": "gone"}, "channel_not_found")]
)
def test_a_dead_hook_says_why(
    changes: dict[str, Any], word: str, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.change_robot("slack", "T1/B1/x1", **changes)
    assert http.post(stand_ins.url + HOOK, json={"text": "x"}).text == word


def test_one_a_second(stand_ins: StandIns, clock: Clock, http: requests.Session) -> None:
    def send() -> requests.Response:
        return http.post(stand_ins.url + HOOK, json={"text": "x"})

    assert send().status_code == 200
    clock.move(0.999)
    late = send()
    assert (late.status_code, late.headers["Retry-After"]) == (429, "1")
    clock.move(0.001)
    assert send().status_code == 200
