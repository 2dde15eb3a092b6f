"""The month of an organisation runs out: admins are told in time, and what is left is for critical alerts."""

from __future__ import annotations

import re
from collections.abc import Callable

from storage import meters
from tests.stories.conftest import ADMIN, GROUP, ROBOT_SECRET, ROBOT_URL, Town, words


def used_up(town: Town, count: int) -> None:
    """Other messages were sent this month."""
    town.quiet()
    with town.service.database.write() as tx:
        for _message in range(count):
            meters.count(tx, "dingtalk", "2026-03")


def with_robot_and_phone(town: Town) -> str:
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    town.say("contact add Ann 13800138000")
    town.say(town.code_for("+8613800138000"))
    town.say("group create dba members Team, Ann")
    return town.source("dba")


def test_what_is_left_of_the_month_is_kept_for_critical_alerts(make_town: Callable[..., Town]) -> None:
    town = make_town(dingtalk_month=200)
    path = with_robot_and_phone(town)
    used_up(town, 179)
    before = town.world.last
    town.say("status")
    told = town.expect(lambda e: e.kind == "say" and "80 %" in words(e.body), after=before)
    assert told.place == town.chat(ADMIN)
    assert "DINGTALK_MONTH" in words(told.body)
    used_up(town, 9)
    before = town.world.last
    town.alert(path, {"title": "queue long", "severity": "warning"})
    town.alert(path, {"title": "disk full", "severity": "critical"})
    town.quiet()
    cards = [words(event.body) for event in town.world.cards("dingtalk") if event.seq > before]
    assert [("queue long" in card, "disk full" in card) for card in cards] == [(False, True)]
    phones = [event for event in town.world.after(before) if event.kind == "sms"]
    assert len(phones) == 2, "the group's other channels get both"
    failed = town.say("deliveries failed")
    assert "1 dead letter" in failed
    assert "the rest is kept for critical alerts" in failed
    assert "2026-04-01 00:00:00 +08:00" in failed
    quota = town.say("quota")
    assert "of 200" in quota
    assert "2026-04-01 00:00:00 +08:00" in quota


def test_what_is_held_back_takes_no_slot_of_the_robot_from_a_critical_alert(make_town: Callable[..., Town]) -> None:
    town = make_town(dingtalk_month=200)
    path = with_robot_and_phone(town)
    used_up(town, 200)
    before = town.world.last
    town.alert(path, {"alerts": [{"title": f"queue {number} long"} for number in range(30)]})
    town.quiet()
    town.alert(path, {"title": "disk full", "severity": "critical"})
    town.quiet()
    [card] = [words(event.body) for event in town.world.cards("dingtalk") if event.seq > before]
    assert "disk full" in card


def test_with_the_new_month_everything_is_sent_again(make_town: Callable[..., Town]) -> None:
    town = make_town(dingtalk_month=200)
    path = with_robot_and_phone(town)
    used_up(town, 200)
    before = town.world.last
    town.alert(path, {"title": "queue long"})
    town.quiet()
    assert [event for event in town.world.cards("dingtalk") if event.seq > before] == []
    found = re.search(r"\*\*(\d+)\*\*", town.say("deliveries failed"))
    assert found
    town.forward(days=31)
    assert "0 of 200" in town.say("quota")
    town.say(f"retry {found[1]}")
    town.quiet()
    [card] = [words(event.body) for event in town.world.cards("dingtalk") if event.seq > before]
    assert "queue long" in card
