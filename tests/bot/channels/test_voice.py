"""Calls: the variables as they are read aloud, the numbers, and what the provider says of a call afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.aliyun import AliyunError, verify
from bot.channels import voice
from bot.channels.contract import Outside, Question, Target
from bot.http import Http
from tests.bot.channels.loopback import Loopback, Says
from tests.bot.channels.messages import ALERT, NOW, message

TARGET = Target("+8613900000000")


@pytest.mark.parametrize("shown", ["", "05710000000"])
def test_an_alarm_is_read_from_the_template(shown: str, server: Loopback, outside: Outside) -> None:
    server.answer = Says({"Code": "OK", "Message": "OK", "CallId": "116012354148^102813780000"})
    sent = message(key="cb-1234567-19cadc69a80")
    receipt = voice.send(sent, TARGET, replace(outside, voice_shown_number=shown))
    assert receipt.reference == "116012354148^102813780000"
    [seen] = server.seen
    params = dict(seen.params)
    assert json.loads(params.pop("TtsParam")) == {
        "name": "disk 93% full",
        "level": "CRITICAL",
        "instance": "db 7",
        "time": "22:13",
        "group": "DBA",
        "id": "42",
    }
    assert params.pop("CalledShowNumber", "") == shown
    assert params == {
        "CalledNumber": "13900000000",
        "TtsCode": "TTS_1",
        "PlayTimes": "2",
        "OutId": "1234567-19cadc6",
    }
    assert (seen.headers["x-acs-action"], seen.headers["x-acs-version"]) == ("SingleCallByTts", "2017-05-25")
    assert verify(seen.method, seen.path, seen.query, seen.headers, seen.body, "secret-of-the-key")


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("", "-"),
        ("…", "-"),
        ("disk\nfull!!", "disk full"),
        ("rm-bp1_x/10.0.0.1:3306", "rm bp1 x 10 0 0 1 3306"),
        ("see https://x.example/a?b=1 now", "see now"),
        ("call 13800138000", "call 8000"),
        ("CPU 97.39% > 90.", "CPU 97.39% 90"),
        ("【磁盘】已满，85℃", "磁盘 已满 85℃"),
        ("x" * 70, "x" * 59),
    ],
)
def test_values_are_what_can_be_read_aloud(text: str, heard: str) -> None:
    assert voice.spoken(text, 60) == heard


def test_all_variables_together_fit_the_call() -> None:
    longest = replace(ALERT, title="磁盘" * 99, labels={"instance": "rm-bp1" * 99})
    asked = voice.parameters(message(alert=longest, group="组" * 99, number=10**30), TARGET, Outside(Http()))
    assert len(asked["TtsParam"]) < 250


ENDS = {
    "answered": (
        {"state": "200000", "duration": 10, "startDate": "2023-11-15 06:13:20", "endDate": "x"},
        (True, "200000"),
    ),
    "not answered": ({"state": "200003", "duration": "0", "endDate": "2023-11-15 06:13:50"}, (False, "200003")),
    "not over": ({"state": "200103", "duration": 3, "endDate": ""}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("detail", "said"), ENDS.values(), ids=ENDS)
def test_what_became_of_a_call_is_asked_for(
    detail: dict[str, object], said: tuple[bool, str] | None, server: Loopback, outside: Outside
) -> None:
    server.answer = Says({"Code": "OK", "Data": json.dumps(detail)})
    report = voice.look_up(Question("cb-1-2", "c^1", "+8613900000000", NOW, NOW + timedelta(minutes=2)), outside)
    assert (report and (report.delivered, report.code)) == said
    [seen] = server.seen
    assert seen.params == {"CallId": "c^1", "ProdId": "11010000138001", "QueryDate": "1700000000000"}


@pytest.mark.parametrize("data", ["", "[", "[]", "7", None, "{" * 100_000])
def test_a_strange_answer_says_nothing(data: object, server: Loopback, outside: Outside) -> None:
    server.answer = Says({"Code": "OK", "Data": data})
    assert voice.look_up(Question("cb-1-2", "c^1", "+8613900000000", NOW, NOW), outside) is None


def test_a_refused_question_is_told(server: Loopback, outside: Outside) -> None:
    server.answer = Says({"Code": "Throttling.User"}, 400)
    with pytest.raises(AliyunError):
        voice.look_up(Question("cb-1-2", "c^1", "+8613900000000", NOW, NOW), outside)
