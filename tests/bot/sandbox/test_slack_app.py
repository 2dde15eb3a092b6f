"""Slack's app endpoints: what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.slack_app import Workspace
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import Clock

SPACE = Workspace()
TOKEN = f"Bearer {SPACE.bot_token}"
POST, WHISPER = "/api/chat.postMessage", "/api/chat.postEphemeral"


@pytest.fixture(autouse=True)
def _workspace(stand_ins: StandIns, world: World) -> None:
    stand_ins.slack_app.install(SPACE)
    world.add_person("slack", "U1", "Lin", SPACE.team, chat="D1")
    world.add_person("slack", "U2", "Wang", SPACE.team, chat="D2", reachable=False)
    world.add_group("slack", "C1", "oncall", ["U1"])
    world.add_group("slack", "C2", "elsewhere", ["U1"], bot=False)


@pytest.mark.parametrize(
    ("path", "body", "error", "place"),
    [
        (POST, {"channel": "C1", "text": "x"}, None, "C1"),
        (POST, {"channel": "D1", "text": "x"}, None, "D1"),
        (POST, {"channel": "U1", "text": "x"}, None, "D1"),
        (POST, {"channel": "C1"}, "no_text", ""),
        (POST, {"channel": "C1", "text": "x", "blocks": [{"type": "hr"}]}, "invalid_blocks", ""),
        (POST, {"channel": "C1", "text": "x", "thread_ts": 1700000000.0001}, "invalid_thread_ts", ""),
        (POST, {"channel": "C1", "text": "x", "thread_ts": "1700000000.000001"}, "thread_not_found", ""),
        (POST, {"channel": "C1", "text": "x", "link_names": True}, "invalid_arguments", ""),
        (POST, {"channel": "C2", "text": "x"}, "not_in_channel", ""),
        (POST, {"channel": "C9", "text": "x"}, "channel_not_found", ""),
        (POST, {"text": "x"}, "channel_not_found", ""),
        (POST, {"channel": "U2", "text": "x"}, "messages_tab_disabled", ""),
        (POST, [], "json_not_object", ""),
        (WHISPER, {"channel": "C1", "user": "U1", "text": "x"}, None, "C1"),
        (WHISPER, {"channel": "C1", "user": "U2", "text": "x"}, "user_not_in_channel", ""),
        (WHISPER, {"channel": "C2", "user": "U1", "text": "x"}, "not_in_channel", ""),
        (WHISPER, {"channel": "D1", "user": "U1", "text": "x"}, "channel_not_found", ""),
        ("/api/chat.shout", {"channel": "C1", "text": "x"}, "unknown_method", ""),
    ],
)
def test_messages(
    path: str, body: Any, error: str | None, place: str, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    answer = http.post(stand_ins.url + path, json=body, headers={"Authorization": TOKEN}).json()
    assert (answer["ok"], answer.get("error")) == (error is None, error)
    assert [event.place for event in world.events if event.kind == "say"] == ([place] if place else [])


@pytest.mark.parametrize(
    ("path", "token", "error"),
    [
        (POST, "", "not_authed"),
        (POST, "Bearer xoxb-other", "invalid_auth"),
        (POST, f"Bearer {SPACE.app_token}", "not_allowed_token_type"),
        ("/api/apps.connections.open", TOKEN, "not_allowed_token_type"),
        ("/api/auth.test", TOKEN, None),
    ],
)
def test_tokens(path: str, token: str, error: str | None, stand_ins: StandIns, http: requests.Session) -> None:
    answer = http.post(stand_ins.url + path, json={"channel": "C1", "text": "x"}, headers={"Authorization": token})
    assert answer.json().get("error") == error


def test_one_a_second_to_a_channel(stand_ins: StandIns, clock: Clock, http: requests.Session) -> None:
    def send() -> requests.Response:
        return http.post(stand_ins.url + POST, json={"channel": "C1", "text": "x"}, headers={"Authorization": TOKEN})

    assert send().json()["ok"]
    clock.move(0.999)
    late = send()
    assert (late.status_code, late.headers["Retry-After"], late.json()["error"]) == (429, "1", "ratelimited")
    clock.move(0.001)
    assert send().json()["ok"]


def test_a_response_url_is_good_for_five_uses_within_half_an_hour(
    stand_ins: StandIns, clock: Clock, world: World, http: requests.Session
) -> None:
    def send(url: str, body: Any = None) -> str:
        answer = http.post(url.replace("https://hooks.slack.com", stand_ins.url), json=body or {"text": "x"})
        return answer.text if answer.status_code == 200 else str(answer.json()["error"])

    url = stand_ins.slack_app.new_response("T0001", "C1", "U1")
    assert send(url, {"blocks": [{"type": "hr"}]}) == "invalid_blocks"
    assert [send(url) for _use in range(6)] == ["ok"] * 5 + ["used_url"]
    assert {(event.note, event.person) for event in world.said("C1")} == {("ephemeral", "U1")}
    late = stand_ins.slack_app.new_response("T0001", "C1", "U1")
    clock.move(1800)
    assert send(late) == "expired_url"
    assert send(url + "x") == "invalid_url"
