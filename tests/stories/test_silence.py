"""A silence from the button on a card to its end, on every platform; and over a restart, with robots and mailboxes told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.sandbox.world import Event
from handlers import due
from storage import lanes
from tests.conftest import Clock
from tests.stories import lark_town, slack_town
from tests.stories.conftest import GROUP, Town, words
from tests.stories.lark_town import LarkTown
from tests.stories.slack_town import SlackTown
from tests.stories.test_dingtalk_buttons import LINK, card_town, page, press, token, with_robot
from tests.stories.test_dingtalk_buttons import asked as dingtalk_asked
from tests.stories.test_wecom_buttons import asked as wecom_asked
from tests.stories.test_wecom_buttons import pressed as wecom_pressed
from tests.stories.wecom_town import WeComTown

ALERT = {"title": "disk full", "severity": "critical", "fingerprint": "f1", "labels": {"host": "db-1"}}


@dataclass(frozen=True, slots=True)
class Hands:
    """Somebody who types and presses.

    says     types, and gives the words of the answer
    shows    says what is to be shown, and gives the message with its buttons
    presses  presses the button of that label
    place    what the world calls the conversation
    """

    town: Town
    says: Callable[[str], str]
    shows: Callable[[str], Event]
    presses: Callable[[Event, str], object]
    place: str


def on_dingtalk(folder: Path, clock: Clock) -> Hands:
    town = card_town(lambda **settings: Town(folder, clock, **settings), stream=False)

    def presses(card: Event, label: str) -> object:
        return town.client.press("admin01", card, token(card, label))

    return Hands(town, town.say, lambda text: dingtalk_asked(town, text), presses, GROUP)


def on_wecom(folder: Path, clock: Clock) -> Hands:
    town = WeComTown(folder, clock)
    return Hands(
        town,
        town.said,
        lambda text: wecom_asked(town, "app", text),
        lambda card, label: wecom_pressed(town, card, label),
        town.place("app"),
    )


def on_lark(folder: Path, clock: Clock) -> Hands:
    town = LarkTown(folder, clock)
    return Hands(town, town.tell, town.card, town.press, town.chat(lark_town.ADMIN))


def on_slack(folder: Path, clock: Clock) -> Hands:
    town = SlackTown(folder, clock)

    def presses(card: Event, label: str) -> object:
        town.settle()
        return town.presses(card, label)

    return Hands(town, town.asks, town.card, presses, town.place(slack_town.LIN, "direct"))


PLATFORMS: dict[str, Callable[[Path, Clock], Hands]] = {
    "dingtalk": on_dingtalk,
    "wecom": on_wecom,
    "lark": on_lark,
    "slack": on_slack,
}


@pytest.fixture(params=PLATFORMS)
def hands(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Hands]:
    made = PLATFORMS[request.param](tmp_path, clock)
    yield made
    made.town.end()


def swept(town: Town, **span: float) -> None:
    """Time passes, and another process looks at what is due before this one does."""
    now = town.forward(**span)
    with town.service.database.write() as tx:
        lanes.wake(tx, due.run(tx, town.service.rules, now), now)
    town.service.worker.wake()


def test_an_alert_is_silenced_by_a_button_and_everything_about_it_is_told_once(hands: Hands) -> None:
    town = hands.town
    hands.says("group create dba")
    found = re.search(r"(/alerts/json/\w+)", hands.says("source add src json to dba"))
    assert found is not None
    assert town.alert(found[1], ALERT).status_code == 200
    card = hands.shows("alert 1")
    after = town.world.last
    hands.presses(card, "Silence 2 h")
    quiet = town.expect(lambda e: e.kind in ("say", "update") and "Silence 1" in words(e.body), after=after)
    assert "End silence" in words(quiet.body)
    assert "1" in hands.says("silence list")
    after = town.world.last
    town.alert(found[1], {**ALERT, "status": "resolved"})
    swept(town, seconds=5)
    changed = town.expect(lambda e: e.place == hands.place and "RESOLVED" in words(e.body).upper(), after=after)
    assert "Silence 1 of" in words(changed.body), "the card follows what the source reports"
    after = town.world.last
    swept(town, hours=2)
    end = town.expect(lambda e: e.kind == "say" and "Silence 1 is over" in words(e.body), after=after)
    assert "1 disk full: over" in words(end.body)


def test_a_silence_made_by_the_link_on_a_card_is_told_of_where_the_card_was(tmp_path: Path, clock: Clock) -> None:
    town = Town(tmp_path, clock)
    with_robot(town)
    after = town.world.last
    town.alert(town.source("dba"), ALERT)
    card = town.expect(lambda e: e.kind == "card" and "disk" in words(e.body), after=after)
    link = LINK.findall(card.body["actionCard"]["btns"][2]["actionURL"])[0]
    assert ">silence #1 for 2h<" in page(town, link)
    assert "Silence 1: #1 is quiet until" in press(town, link).text
    assert "Ops" in town.say("silence list")
    after = town.world.last
    swept(town, hours=2)
    told = town.expect(lambda e: e.kind == "card" and "Silence 1 is over" in words(e.body), after=after)
    assert (told.place, "still firing, sent now" in words(told.body)) == (GROUP, True)
    town.end()


def test_over_a_restart_a_robots_group_hears_nothing_until_the_end(tmp_path: Path, clock: Clock) -> None:
    town = Town(tmp_path, clock)
    with_robot(town)
    path = town.source("dba")
    after = town.world.last
    town.alert(path, ALERT)
    card = town.expect(lambda e: e.kind == "card" and "disk" in words(e.body), after=after)
    assert "Silence 2 h" in words(card.body)
    assert "quiet until" in town.say("silence host=db-1 for 1h").replace("\u200b", "")
    town.forward(hours=0.5)
    after = town.world.last
    town.alert(path, {**ALERT, "severity": "warning"})
    town.alert(path, {**ALERT, "fingerprint": "f2", "title": "load high"})
    town.quiet()
    assert not [e for e in town.world.after(after) if e.kind == "card"]
    town.close()
    clock.forward(hours=1)
    town.open()
    town.expect(lambda e: e.kind == "say" and "load high" in words(e.body), after=after)
    told = [town.expect(lambda e: e.kind == "card" and "disk full" in words(e.body), after=after)]
    told.append(town.expect(lambda e: e.kind == "card" and "load high" in words(e.body), after=after))
    assert len({event.seq for event in told}) == 2
    town.quiet()
    assert len([e for e in town.world.after(after) if e.kind == "say" and "load high" in words(e.body)]) == 1
    town.end()
