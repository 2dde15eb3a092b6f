"""Calls at the stand-in: only what the provider's pages allow, within its limits, with the receipts of its pages."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import Clock
from tests.bot.sandbox.test_aliyun import signed

PHONE = "+8613900000000"
VALUES = {"level": "严重", "name": "db down", "instance": "db 7", "time": "22:13", "group": "DBA", "id": "42"}

Call = Callable[..., requests.Response]


@pytest.fixture
def call(stand_ins: StandIns, clock: Clock) -> Call:
    def one(**changes: str) -> requests.Response:
        query = {"CalledNumber": "13900000000", "TtsCode": "TTS_ALERT", "TtsParam": json.dumps(VALUES), "OutId": "1-2"}
        return signed(stand_ins.url, query | changes, clock, action="SingleCallByTts")

    return one


def test_a_call_is_heard_and_reported_in_the_documented_form(
    call: Call, stand_ins: StandIns, world: World, clock: Clock
) -> None:
    assert call().json()["Code"] == "OK"
    (event,) = world.events
    assert (event.kind, event.place) == ("call", PHONE)
    assert event.body["text"] == "严重告警，db down，db 7，22:13起，组DBA，编号42。"
    (receipt,) = stand_ins.voice.report(event)
    assert (receipt["status_code"], receipt["duration"], receipt["out_id"]) == ("200000", "10", "1-2")
    query = {"CallId": event.note, "ProdId": "11010000138001", "QueryDate": str(round(clock() * 1000))}
    data = json.loads(signed(stand_ins.url, query, clock, action="QueryCallDetailByCallId").json()["Data"])
    assert (data["state"], data["duration"]) == ("200000", 10)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"CalledNumber": "12345"}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"TtsCode": "TTS_OTHER"}, "isv.TTS_TEMPLATE_ILLEGAL"),
        ({"CalledShowNumber": "05710000000"}, "isv.DISPLAY_NUMBER_ILLEGAL"),
        ({"TtsParam": "[]"}, "isv.INVALID_PARAMETERS"),
        ({"TtsParam": json.dumps({**VALUES, "id": 42})}, "isv.INVALID_PARAMETERS"),
        ({"TtsParam": json.dumps({"name": "x"})}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"TtsParam": json.dumps({**VALUES, "name": "x" * 200})}, "isv.PARAM_LENGTH_LIMIT"),
        ({"TtsParam": json.dumps({**VALUES, "name": "https://x.example"})}, "isv.PARAM_NOT_SUPPORT_URL"),
        ({"PlayTimes": "4"}, "isv.INVALID_PARAMETERS"),
        ({"OutId": "cb-7-19cadc69a80"}, "isv.INVALID_PARAMETERS"),
    ],
)
def test_what_the_provider_refuses(changes: dict[str, str], code: str, call: Call, world: World) -> None:
    assert call(**changes).json()["Code"] == code
    assert [event.kind for event in world.events] == ["refused"]


def test_a_number_is_called_once_a_minute_and_five_times_an_hour(call: Call, clock: Clock) -> None:
    said = []
    for _turn in range(6):
        said += [call().json()["Code"], call().json()["Code"]]
        clock.move(61)
    limit = "isv.BUSINESS_LIMIT_CONTROL"
    assert said == ["OK", limit] * 5 + [limit, limit]
