"""What becomes of SMS and calls after the provider took them: receipts that are pushed, and those that are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from bot.sandbox.world import Event
from tests.stories.conftest import ADMIN, MEMBER, Town, words

PHONE = "+8613800138000"
CRITICAL = {
    "title": "db down",
    "severity": "critical",
    "fingerprint": "f1",
    "labels": {"instance": "rm-bp1.example.com"},
}


def receipts_of(town: Town, channel: str) -> str:
    """The address that admins are shown, as a path."""
    shown = town.say("status")
    found = re.search(rf"https://callboard\.example\.com(/receipts/{channel}/[0-9a-f]{{64}})", shown)
    assert found, shown
    return found[1]


def push(town: Town, path: str, body: Any) -> requests.Response:
    return requests.post(town.url + path, json=body, timeout=20)


def verified(town: Town) -> None:
    """Ann's phone, in a group dba."""
    town.say("contact add Ann 13800138000")
    assert "active" in town.say(town.code_for(PHONE))
    town.say("group create dba members Ann")


def alerted(town: Town, path: str, **changes: Any) -> None:
    assert town.alert(path, CRITICAL | changes).status_code == 200
    town.quiet()


def calls(town: Town) -> list[Event]:
    return [event for event in town.world.events if event.kind == "call"]


def test_a_receipt_is_shown_as_delivered_and_a_dead_number_is_disabled(town: Town) -> None:
    verified(town)
    path = receipts_of(town, "sms")
    source = town.source("dba")
    alerted(town, source)
    body = town.stand_ins.sms.reports(PHONE)
    for _again in range(2):
        answer = push(town, path, body)
        assert (answer.status_code, answer.json()["code"]) == (200, 0)
    assert "delivered" in town.say("alert 1")
    assert "delivered 20" in town.say("deliveries")

    town.stand_ins.sms.undeliverable[PHONE] = "MOBILE_NOT_ON_SERVICE"
    alerted(town, source, fingerprint="f2")
    [failed] = town.stand_ins.sms.reports(PHONE)
    assert push(town, path, [failed]).json()["code"] == 0
    assert "failed: The number is switched off" in town.say("alert 2")
    assert "active" in town.say("contact show Ann")
    town.stand_ins.sms.undeliverable.clear()
    before = len(town.world.sms(PHONE))
    assert "to Ann is sent again" in town.say(f"retry {failed['out_id'].split('-')[1]}")
    town.quiet()
    assert len(town.world.sms(PHONE)) == before + 1

    town.stand_ins.sms.undeliverable[PHONE] = "MOBILE_IN_BLACK"
    alerted(town, source, fingerprint="f3")
    after = town.world.last
    push(town, path, town.stand_ins.sms.reports(PHONE))
    told = town.answer(town.chat(ADMIN), after=after)
    assert "Ann is disabled" in told
    assert "blacklist" in told
    assert "disabled" in town.say("contact show Ann")


def test_who_asked_for_a_code_is_told_that_it_did_not_arrive(town: Town) -> None:
    path = receipts_of(town, "sms")
    town.stand_ins.sms.undeliverable[PHONE] = "MOBILE_SEND_LIMIT"
    town.say("contact add Ann 13800138000")
    town.quiet()
    after = town.world.last
    for _again in range(2):
        push(town, path, town.stand_ins.sms.reports(PHONE))
    told = town.answer(town.chat(ADMIN), after=after)
    assert "did not arrive" in told
    assert "too many SMS" in told
    town.quiet()
    assert len([e for e in town.world.said(town.chat(ADMIN)) if e.seq > after]) == 1


STRANGE = [
    b"",
    b"[",
    b"\xff",
    b"7",
    b"null",
    b"[[]]",
    b"[" * 50_000,
    b'[{"success": true, "out_id": "cb-1-\\u0000"}]',
    b"{}",
]


def test_who_does_not_know_the_address_says_nothing_and_strange_bodies_are_no_errors(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    path = receipts_of(town, "sms")
    assert "/receipts/" not in town.say("status", group=True)
    assert "/receipts/" not in town.say("status", person=MEMBER)
    for wrong in (path[:-1] + "x", path.replace("sms", "voice"), path.replace("sms", "mail"), "/receipts/sms/é"):
        assert push(town, wrong, []).status_code == 401
    for body in STRANGE:
        answer = requests.post(town.url + path, data=body, timeout=20)
        assert answer.status_code in (200, 400), body
    assert push(town, path, ["x" * 2**20]).status_code == 413
    assert push(town, path, []).json() == {"code": 0, "msg": "ok"}
    assert path.rpartition("/")[2] not in caplog.text


def test_a_test_that_was_reported_as_arrived_is_corrected(town: Town) -> None:
    verified(town)
    path = receipts_of(town, "sms")
    town.stand_ins.sms.undeliverable[PHONE] = "MOBILE_NOT_ON_SERVICE"
    after = town.world.last
    town.say("test Ann")
    town.expect(lambda e: e.kind == "say" and "1 of 1" in words(e.body), after=after)
    after = town.world.last
    push(town, path, town.stand_ins.sms.reports(PHONE))
    assert "did not arrive" in town.answer(town.chat(ADMIN), after=after)


def test_without_pushed_receipts_the_provider_is_asked(town: Town) -> None:
    verified(town)
    town.stand_ins.sms.undecided.add(PHONE)
    alerted(town, town.source("dba"))

    def asked(**span: float) -> str:
        town.forward(**span)
        town.service.asker.round()
        return town.say("alert 1")

    assert "delivered" not in asked(minutes=4)
    assert "delivered" not in asked(minutes=2)
    town.stand_ins.sms.undecided.clear()
    assert "delivered" not in asked(minutes=2)
    assert "delivered" in asked(minutes=10)
    assert town.world.refusals() == []


def test_a_critical_alarm_calls_the_phone_until_somebody_answers(make_town: Callable[..., Town]) -> None:
    town = make_town(voice_template="TTS_ALERT")
    verified(town)
    path = receipts_of(town, "voice")
    source = town.source("dba")
    alerted(town, source, fingerprint="f0", severity="warning")
    town.say("test Ann")
    assert calls(town) == []

    town.stand_ins.voice.away[PHONE] = "200003"
    alerted(town, source)
    [first] = calls(town)
    assert first.place == PHONE
    assert "db down" in first.body["text"]
    assert "rm bp1 example com" in first.body["text"]
    for _again in range(2):
        answer = push(town, path, town.stand_ins.voice.report(first))
        assert (answer.status_code, answer.json()["code"]) == (200, 0)
    assert "waiting after 1 try: Nobody answered." in town.say("alert 2")
    town.stand_ins.voice.away.clear()
    town.forward(minutes=2, seconds=1)
    town.quiet()
    [_first, second] = calls(town)
    push(town, path, town.stand_ins.voice.report(second))
    assert "phone call" in town.say("alert 2")
    assert "delivered" in town.say("alert 2")
    town.forward(minutes=10)
    assert len(calls(town)) == 2


@pytest.mark.parametrize("end", ["ack 1", "resolve 1"])
def test_nobody_is_called_again_about_what_somebody_has(end: str, make_town: Callable[..., Town]) -> None:
    town = make_town(voice_template="TTS_ALERT")
    verified(town)
    path = receipts_of(town, "voice")
    town.stand_ins.voice.away[PHONE] = "200010"
    alerted(town, town.source("dba"))
    push(town, path, town.stand_ins.voice.report(calls(town)[0]))
    town.say(end)
    town.forward(minutes=3)
    town.quiet()
    assert len(calls(town)) == 1
    assert "cancelled: nobody has to be called any more" in town.say("alert 1")


def test_a_storm_of_critical_alarms_is_few_calls(make_town: Callable[..., Town]) -> None:
    town = make_town(voice_template="TTS_ALERT")
    verified(town)
    path = town.source("dba")
    assert town.alert(path, [CRITICAL | {"fingerprint": f"f{n}"} for n in range(12)]).status_code == 200
    town.quiet()
    assert len(calls(town)) == 1
    town.forward(seconds=61)
    town.quiet()
    [_first, second] = calls(town)
    assert "11" in second.body["text"]
    town.service.asker.round()
    town.forward(minutes=2, seconds=1)
    town.service.asker.round()
    assert town.say("deliveries").count("delivered") >= 1
    assert town.world.refusals() == []


def test_alarms_that_somebody_took_while_they_waited_for_a_call_make_none(make_town: Callable[..., Town]) -> None:
    town = make_town(voice_template="TTS_ALERT")
    verified(town)
    path = town.source("dba")
    assert town.alert(path, [CRITICAL | {"fingerprint": f"f{n}"} for n in range(3)]).status_code == 200
    town.quiet()
    town.say("ack 1 2 3")
    town.forward(seconds=61)
    town.quiet()
    assert len(calls(town)) == 1
    assert "cancelled: nobody has to be called any more" in town.say("alert 3")
    # What was not called has used up none of the few calls: the next alarm does not wait.
    assert town.alert(path, [CRITICAL | {"fingerprint": "fresh"}]).status_code == 200
    town.quiet()
    assert len(calls(town)) == 2
