"""Storms, told through the whole service and the strict stand-in of DingTalk: twenty a minute, or ten minutes of silence."""

from __future__ import annotations

from tests.handlers.test_digests import numbers
from tests.stories.conftest import GROUP, ROBOT, ROBOT_SECRET, ROBOT_URL, Town
from tests.stories.test_alerts import cards, with_robot


def storm(town: Town, path: str, seconds: int, per_second: int) -> set[int]:
    """The numbers of the alerts, reported second by second."""
    ids: set[int] = set()
    for second in range(seconds):
        report = [
            {"title": f"disk full on host-{second}-{n}", "labels": {"alertname": "disk"}} for n in range(per_second)
        ]
        ids |= set(town.alert(path, report).json()["alerts"])
        town.forward(seconds=1)
    return ids


def test_a_storm_is_all_seen_within_two_minutes_and_the_platform_never_refuses(town: Town) -> None:
    path = with_robot(town)
    after = town.world.last
    ids = storm(town, path, 10, 150)
    before = town.world.last
    worst = town.alert(path, {"title": "database down", "severity": "critical"}).json()["alerts"][0]
    town.quiet()
    at_once = [card for card in cards(town, before) if "database down" in card]
    assert len(at_once) == 1
    assert "alerts in a digest" not in at_once[0]
    for _ in range(60):
        town.forward(seconds=1)
    town.quiet()
    told = cards(town, after)
    assert numbers("\n".join(told)) >= ids | {worst}
    assert all("DAS Alarm" in one for one in told)
    assert not [event for event in town.world.events if event.kind == "refused"]
    assert len(told) <= 18
    log = town.say("deliveries")
    assert "sent in a digest" in log
    assert "1,501 " in log or "1501 " in log
    assert "sent in a digest" in town.say(f"alert {max(ids)}")


def test_a_robot_that_others_use_too_is_left_in_peace_for_ten_minutes_and_then_tells_all(town: Town) -> None:
    path = with_robot(town)
    for _ in range(20):
        town.world.hit(f"dingtalk:robot:{ROBOT}")  # somebody's script posts to it as well
    after = town.world.last
    first = town.alert(path, {"title": "one"}).json()["alerts"]
    town.quiet()
    for _ in range(9):
        town.forward(minutes=1)
        town.alert(path, [{"title": f"more {n} {town.clock().minute}"} for n in range(20)])
    town.quiet()
    assert cards(town, after) == []
    assert len([event for event in town.world.events if event.kind == "refused" and event.seq > after]) == 1
    town.forward(minutes=1)
    for _ in range(15):
        town.forward(seconds=1)
    town.quiet()
    assert numbers("\n".join(cards(town, after))) >= {*first, *range(first[0], first[0] + 181)}
    assert len([event for event in town.world.events if event.kind == "refused" and event.seq > after]) == 1


def test_a_code_to_a_robot_in_a_storm_does_not_wait(town: Town) -> None:
    path = with_robot(town)
    town.forward(minutes=2)
    storm(town, path, 8, 200)
    now, after = town.clock(), town.world.last
    town.say(f"contact add Crew {ROBOT_URL} secret {ROBOT_SECRET}")
    assert "of Crew is active" in town.say(town.code_for(GROUP, after=after))
    assert town.clock() == now
