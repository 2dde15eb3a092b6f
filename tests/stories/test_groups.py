"""Contact groups, told as conversations."""

from __future__ import annotations

import pytest

from tests.stories.conftest import MEMBER, Town


@pytest.mark.parametrize(
    ("create", "show", "note", "rename", "renamed", "delete", "yes"),
    [
        ("group create dba note night shift members Ann, Bob", "group show dba", "group note dba day shift",
         "group rename dba to database team", "group show database team", "group delete database team", "yes"),
        ("创建组 dba 备注 night shift 成员 Ann、Bob", "查看组 dba", "组备注 dba day shift",
         "组改名 dba 到 数据库组", "查看组 数据库组", "删除组 数据库组", "是"),
    ],
    ids=["en", "zh"],
)  # fmt: skip
def test_a_group_from_its_first_word_to_its_last(
    town: Town, create: str, show: str, note: str, rename: str, renamed: str, delete: str, yes: str
) -> None:
    town.say("contact add Ann")
    town.say("contact add Bob")
    assert "dba" in town.say(create)
    shown = town.say(show)
    for part in ("night shift", "Ann", "Bob"):
        assert part in shown
    assert "day shift" in town.say(note)
    town.say(rename)
    assert "day shift" in town.say(renamed)
    town.say(delete)
    town.say(yes)
    assert "day shift" not in town.say(renamed)
    assert "Ann" in town.say("contact list")


def test_creating_a_group_asks_nothing_and_offers_to_create_who_is_unknown(town: Town) -> None:
    town.say("contact add Ann")
    answer = town.say("group create dba members Ann, Zed")
    assert "is created" in answer
    assert "Zed" in answer
    assert "Ann" in town.say("group show dba")
    town.say("group add dba Zed, Yan")
    town.say("yes")
    shown = town.say("group show dba")
    assert "Zed" in shown
    assert "Yan" in shown


def test_members_come_and_go(town: Town) -> None:
    for name in ("Ann", "Zhang Wei", "Li Lei"):
        town.say(f"contact add {name}")
    town.say("group create night shift")
    assert "2 members" in town.say("group add night shift Zhang Wei, Li Lei")
    assert "already" in town.say("group add night shift Li Lei")
    assert "not in" in town.say("group remove night shift Ann")
    assert "Zhang Wei" in town.say("group remove night shift Zhang Wei")
    shown = town.say("group show night shift")
    assert "Li Lei" in shown
    assert "Zhang Wei" not in shown


def test_deleting_a_group_says_which_alerts_lose_their_target(town: Town) -> None:
    town.say("group create dba")
    town.source("dba", name="prom")
    question = town.say("group delete dba")
    assert "prom" in question
    town.say("yes")
    assert "reach nobody" in town.say("source list")
    town.say("group create ops")
    assert "ops" in town.say("source move prom to ops")
    assert "prom" in town.say("group show ops")


def test_a_group_name_is_taken_once_and_checked(town: Town) -> None:
    town.say("group create dba")
    assert "already" in town.say("group create DBA")
    assert "already" in town.say("group create ＤＢＡ note x")
    assert "65" in town.say(f"group create {'x' * 65}")
    assert "Did you mean “dba”" in town.say("group show dbaa")
    assert "group create" in town.say("group create")


def test_members_may_read_groups_and_not_change_them(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    town.say("group create dba members Ann")
    assert "Ann" in town.say("group show dba", person=MEMBER)
    assert "dba" in town.say("group list", person=MEMBER)
    for forbidden in ("group create x", "group add dba Ann", "group remove dba Ann", "group delete dba",
                      "group rename dba to x", "group note dba x"):  # fmt: skip
        assert "Only an admin" in town.say(forbidden, person=MEMBER), forbidden
