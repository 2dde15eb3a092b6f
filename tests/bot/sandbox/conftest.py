"""A pretend world whose clock is moved by hand, with one robot per platform, and its servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.world import World

NOW = 1_700_000_000.0

TOKENS = {"dingtalk": "tok1", "wecom": "key1", "lark": "hook1", "slack": "T1/B1/x1", "arms": "arms1"}
PATHS = {
    "dingtalk": "/robot/send?access_token=tok1",
    "wecom": "/cgi-bin/webhook/send?key=key1",
    "lark": "/open-apis/bot/v2/hook/hook1",
    "slack": "/services/T1/B1/x1",
    "arms": "/api/v1/integrations/custom/arms1",
}
GOOD: dict[str, dict[str, Any]] = {
    "dingtalk": {"msgtype": "text", "text": {"content": "DAS Alarm disk full"}},
    "wecom": {"msgtype": "text", "text": {"content": "disk full"}},
    "lark": {"msg_type": "text", "content": {"text": "disk full"}},
    "slack": {"text": "disk full"},
    "arms": {"alertname": "disk full", "severity": "critical", "message": "93 %"},
}


class Clock:
    """Epoch seconds that change only when told."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    world = World(clock)
    for platform, token in TOKENS.items():
        world.add_group(platform, f"{platform}-group", "oncall")
        keywords = ("DAS Alarm",) if platform == "dingtalk" else ()
        world.add_robot(platform, f"{platform}-group", token, keywords=keywords)
    world.add_app("dingtalk", "dingapp01", "app secret", "dingcorp01")
    world.add_person("dingtalk", "0147", "Ann", "dingcorp01", chat="cidAnn==")
    world.add_person("dingtalk", "0148", "Bob", "dingcorp01", chat="cidBob==", reachable=False)
    world.add_app("sms", "LTAIkey", "key secret")
    return world


@pytest.fixture
def stand_ins(world: World) -> Iterator[StandIns]:
    with StandIns(world) as running:
        yield running


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session
