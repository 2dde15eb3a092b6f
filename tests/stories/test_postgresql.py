"""The same service on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from tests.stories.conftest import GROUP, ROBOT_SECRET, ROBOT_URL, Town, words


def test_from_a_command_to_a_card_on_postgresql(make_town: Callable[..., Town], postgres_url: str) -> None:
    town = make_town(database_url=postgres_url)
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    assert "active" in town.say(town.code_for(GROUP), group=True)
    assert "Only one" not in town.say("contact add Team")
    town.say("group create dba members Team, Zed")
    town.say("yes")
    path = town.source("dba")
    after = town.world.last
    assert (
        town.alert(path, [{"title": "a\u0000b"}, {"title": "disk full", "severity": "critical"}]).json()["accepted"]
        == 2
    )
    assert town.alert(path, {"title": "disk full", "status": "resolved"}).json() == {"accepted": 1, "alerts": [2]}
    town.quiet()
    told = "".join(words(event.body) for event in town.world.cards("dingtalk") if event.seq > after)
    assert "CRITICAL" in told
    assert "RESOLVED" in told
    assert "sent" in town.say("alert 2")
    assert "3 deliveries" in town.say("deliveries dba")
    town.close()
    town.open()
    assert "group create" in town.say("audit")
