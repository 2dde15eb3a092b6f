"""`forget me`: afterwards nothing in any table tells who it was, and what was done is still in the log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Text, func, select

from storage.database import Tx
from storage.schema import audit, metadata
from storage.vault import WrongKey
from tests.stories.conftest import ADMIN, CORP, GROUP, MEMBER, OTHER, ROBOT_SECRET, ROBOT_URL, Town

PHONE, MAIL = "+8613900139000", "wang@example.com"


def opened(tx: Tx, value: Any) -> str:
    """What a column says, sealed or not."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    try:
        return tx.vault.open(text)
    except (WrongKey, UnicodeEncodeError):
        return text


def found(town: Town, *words: str) -> list[str]:
    """Every place in the database where one of the words stands."""
    town.quiet()
    with town.service.database.read() as tx:
        return [
            f"{table.name}.{column.name}: {word}"
            for table in metadata.sorted_tables
            for column in table.columns
            for value in tx.conn.scalars(select(column))
            if value is not None
            for word in words
            if word in opened(tx, value)
        ]


@pytest.mark.parametrize("name", ["Wang Li", "王莉"])
def test_nothing_of_a_person_is_left_and_what_they_did_is(town: Town, name: str) -> None:
    me = f"dingtalk:{CORP}/{MEMBER}"
    town.say(f"admin add {me}")
    town.say(f"me name Wanda {PHONE} {MAIL}", person=MEMBER)
    town.say(town.code_for(PHONE), person=MEMBER)
    town.say("000000", person=MEMBER)
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}", person=MEMBER)
    town.say(town.code_for(GROUP), person=MEMBER, group=True)
    town.say(f"contact edit Wanda name {name}")
    town.say(f"group create dba note first {name}, then Lin members {name}", person=MEMBER)
    path = town.source("dba")
    for title in ("disk full", "too slow"):
        assert town.alert(path, {"title": title}).status_code == 200
    town.quiet()
    for command in ("ack 1", f"note 1 {name} looks at it", "resolve 2", "silence #1 for 2h because lunch", "link"):
        town.say(command, person=MEMBER)
    town.say(f"contact remove {name}")  # a question of somebody else that names the person
    words = (name, "Wanda", MEMBER, PHONE, "139****9000", MAIL, town.chat(MEMBER))
    assert len({place.partition(":")[0] for place in found(town, *words)}) > 15, "we do look at the right places"

    asked = town.say("forget me", person=MEMBER)
    for part in ("Delete everything", "Group dba would have nobody reachable", "no admin any more", "cannot be undone"):
        assert part in asked
    told = town.say("yes", person=MEMBER)
    alias = told[told.index("“person ") + 1 :].partition("”")[0]
    town.forward(days=1, seconds=1)
    town.service.inbox.tidy(town.clock())
    town.service.worker._tidy()
    assert found(town, *words) == []

    with town.service.database.read() as tx:
        by_them = tx.conn.scalar(select(func.count()).where(audit.c.person == alias))
        kept = [str(one) for one in tx.conn.scalars(select(func.cast(audit.c.after, Text)))]
    assert by_them
    assert by_them > 5
    assert kept
    assert f"first {alias}, then Lin" in town.say("group show dba")
    assert alias in town.say("audit")
    assert alias in town.say("alert 1")


def test_an_admin_by_setting_stays_one_and_no_answers_no(town: Town) -> None:
    asked = town.say("忘记我")
    assert "ADMINS" in asked
    town.say("否")
    assert "cannot be undone" in town.say("forget me")
    assert "stay one" in town.say("yes")
    assert "is created" in town.say("group create ops")


def test_it_is_asked_for_one_to_one_and_others_keep_their_names(town: Town) -> None:
    assert "one-to-one" in town.say("forget me", person=MEMBER, group=True)
    town.say("contact add Ann")
    town.say("contact add Ann Lee")
    town.say("group create dba members Ann, Ann Lee")
    town.say(f"contact edit Ann dingtalk:{CORP}/{OTHER}")
    town.say("contact edit Ann language zh")
    town.say("forget me", person=OTHER)
    assert "is deleted" in town.say("yes", person=OTHER)
    assert "nothing to undo" not in town.say("undo")
    log = town.say("audit")
    assert "Ann Lee" in log
    assert "There is no contact “Ann”" in town.say("contact show Ann")


def forget(town: Town, person: str) -> str:
    """What the person is called in the log from now on."""
    town.say("forget me", person=person)
    told = town.say("yes", person=person)
    return told[told.index("“person ") + 1 :].partition("”")[0]


def test_a_contact_that_was_removed_before_is_forgotten_as_well_and_each_life_has_its_own_name(town: Town) -> None:
    town.say(f"me {PHONE}", person=MEMBER)
    town.say(f"contact edit Wang email {MAIL}")
    town.say("me name Wanda", person=MEMBER)
    town.say("contact remove Wanda", person=MEMBER)
    town.say("yes", person=MEMBER)
    words = ("Wang", "Wanda", MEMBER, PHONE, "139****9000", MAIL, "w***@example.com")
    assert len({place.partition(":")[0] for place in found(town, *words)}) > 5, "we do look at the right places"
    first = forget(town, MEMBER)
    town.forward(seconds=61)
    town.say(f"me name Wanda {PHONE}", person=MEMBER)
    assert "Taken back" in town.say("undo", person=MEMBER)
    second = forget(town, MEMBER)
    town.forward(days=1, seconds=1)
    town.service.inbox.tidy(town.clock())
    town.service.worker._tidy()
    assert found(town, *words) == []
    assert first != second
    log = town.say("audit")
    assert first in log
    assert second in log


def test_an_admin_takes_no_other_contact_along(town: Town) -> None:
    town.say("contact add Bob 13800138000")
    town.say("contact remove Bob")
    town.say("yes")
    town.say("contact add Linda")
    town.say("contact remove Linda")
    town.say("yes")
    town.say(f"me name Linda {PHONE}")
    town.say("me name Lindy")
    town.say("contact remove Lindy")
    town.say("yes")
    town.say("contact add Linda 13700137000")
    town.say("contact edit Linda name Laura")
    forget(town, ADMIN)
    assert not found(town, "Lindy", "139****9000")
    log = town.say("audit")
    for kept in ("Bob", "138****8000", "Laura", "137****7000"):
        assert kept in log


def test_the_limit_of_wrong_codes_outlasts_being_forgotten(town: Town) -> None:
    for _guess in range(20):
        town.say("000000", person=MEMBER)
    town.say("forget me", person=MEMBER)
    town.say("yes", person=MEMBER)
    assert "Too many wrong codes" in town.say("000000", person=MEMBER)
