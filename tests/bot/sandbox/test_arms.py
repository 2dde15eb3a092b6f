"""The ARMS integration: which events are mapped."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import GOOD, PATHS

HOOK = PATHS["arms"]
NESTED = {"labels": {"alertname": "t", "severity": "error"}, "annotations": {"message": "m"}}

EVENTS: list[tuple[str, Any, int]] = [
    ("flat", GOOD["arms"], 200),
    ("nested", NESTED, 200),
    ("without a name", {"severity": "critical"}, 601),
    ("without a severity", {"labels": {"alertname": "t"}}, 601),
    ("name as a number", {**GOOD["arms"], "alertname": 7}, 601),
    ("unknown severity", {**GOOD["arms"], "severity": "P1"}, 602),
    ("long message", {**GOOD["arms"], "message": "x" * 15_001}, 603),
    ("a list", [GOOD["arms"]], 400),
]


@pytest.mark.parametrize(("name", "event", "code"), EVENTS, ids=[row[0] for row in EVENTS])
def test_events(name: str, event: Any, code: int, stand_ins: StandIns, world: World, http: requests.Session) -> None:
    answer = http.post(stand_ins.url + HOOK, json=event)
    assert answer.json()["code"] == code
    assert [taken.body for taken in world.cards("arms")] == ([event] if code == 200 else [])


@pytest.mark.parametrize("path", ["/api/v1/events/arms1", "/api/v1/cm/callback/arms1"])
def test_the_older_addresses_work_too(path: str, stand_ins: StandIns, http: requests.Session) -> None:
    assert http.post(stand_ins.url + path, json=NESTED).json()["code"] == 200


@pytest.mark.parametrize(
    ("method", "path", "kind", "code"),
    [
        ("GET", HOOK, "application/json", 405),
        ("POST", HOOK, "text/plain", 400),
        ("POST", "/api/v1/integrations/custom/nobody", "application/json", 404),
    ],
)
def test_requests_that_reach_no_integration(
    method: str, path: str, kind: str, code: int, stand_ins: StandIns, http: requests.Session
) -> None:
    body = '{"alertname":"t","severity":"critical"}'
    answer = http.request(method, stand_ins.url + path, data=body, headers={"Content-Type": kind})
    assert answer.json()["code"] == code
