"""Cards as people like them, through the whole service: who is called, in which language and zone, in whose words."""

from __future__ import annotations

from tests.stories.conftest import GROUP, MEMBER, ROBOT_SECRET, ROBOT_URL, Town, words


def test_a_member_makes_the_cards_of_an_own_robot_their_own(town: Town) -> None:
    after = town.world.last
    town.say(f"me {ROBOT_URL} secret {ROBOT_SECRET}", person=MEMBER)
    town.say(town.code_for(GROUP, after=after), person=MEMBER)
    town.say("me timezone Europe/Berlin", person=MEMBER)
    assert "**: English" in town.say("me language en", person=MEMBER)
    town.say("group create dba members Wang")
    path = town.source("dba", name="prom")
    assert "made up" in town.say("template set prom title {{ labels.host }} needs you <@all> @all")
    after = town.world.last
    report = {
        "title": "disk full",
        "severity": "critical",
        "labels": {"host": "db-7"},
        "starts_at": "2026-03-02T08:55:00Z",
    }
    assert town.alert(path, report).status_code == 200
    card = town.expect(lambda e: e.kind == "card" and e.place == GROUP, after=after).body
    shown = words(card)
    assert "db-7 needs you" in shown
    assert "2026-03-02 09:55 (UTC+1)" in shown
    assert card["at"] == {"atUserIds": [MEMBER], "isAtAll": False}
    assert card["actionCard"]["text"].endswith(f"@{MEMBER}")
    assert "@all" not in shown.replace("@\u200ball", ""), "what a template says is plain text"
    assert "DAS Alarm" in card["actionCard"]["title"]
    town.say("me mention off", person=MEMBER)
    town.say("ack 1", person=MEMBER)
    town.forward(minutes=10)
    after = town.world.last
    town.alert(path, report | {"status": "resolved", "ends_at": "2026-03-02T09:10:00Z"})
    over = town.expect(lambda e: e.kind == "card" and e.place == GROUP, after=after).body
    assert "at" not in over
    for said in ("RESOLVED", "15 minutes", "Wang, 2026-03-02 10:00 (UTC+1)"):
        assert said in words(over), words(over)
