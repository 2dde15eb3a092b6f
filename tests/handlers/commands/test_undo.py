"""`undo`, told as conversations, and what is compared row by row."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from handlers.context import Rules
from handlers.undo import LASTS
from storage import contacts, deliveries, people, undo
from storage.database import Database, Tx
from storage.schema import metadata, undo_step
from tests.handlers.commands.talk import ADMIN, MEMBER, said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database, sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_database", "sqlite_template"]

OTHER_ADMIN = "dingtalk:corp/lin"
WATCHED = ("contact", "method", "contact_group", "member", "source", "template", "imported")


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    with sqlite_database.write() as tx:
        people.seen(tx, OTHER_ADMIN, "Lin", NOW)
        people.set_admin(tx, OTHER_ADMIN, True, NOW)
    return sqlite_database


def rows(database: Database) -> dict[str, Any]:
    """Everything that undo promises to bring back, as it is stored."""
    with database.read() as tx:
        found: dict[str, Any] = {
            name: sorted(map(repr, tx.conn.execute(select(metadata.tables[name])).all())) for name in WATCHED
        }
        person = metadata.tables["person"]
        found["person"] = sorted(tx.conn.execute(select(person.c.id, person.c.contact_id, person.c.admin)).all())
        return found


def a_little_world(tx: Tx) -> int:
    ann = seed.contact(tx, "Ann")
    seed.method(tx, ann, "email", "ann@example.com")
    seed.method(tx, ann, "sms", "+8613800138000", state="pending")
    group = seed.group(tx, "dba", ann, seed.contact(tx, "Bob"))
    seed.source(tx, group)
    people.seen(tx, MEMBER, "Wang", NOW)
    people.link(tx, MEMBER, ann)
    return ann


CHANGES = {
    "rename": ("contact edit Ann name Anna",),
    "a new address": ("contact edit Ann phone 13900139000",),
    "an address gone": ("contact edit Ann email none",),
    "a wish": ("contact edit Ann language zh",),
    "a contact gone": ("contact remove Ann", "yes"),
    "a contact more": ("contact add Zed zed@example.com 13900139000",),
    "in a group that is made for it": ("contact add Zed to night", "yes"),
    "a person linked": ("contact edit Bob dingtalk:corp/zhao",),
    "a group more": ("group create ops members Ann, Bob",),
    "members more, one of them unknown": ("group create ops", "group add ops Ann, Yan", "yes"),
    "a member less": ("group remove dba Bob",),
    "a group renamed": ("group rename dba to ops",),
    "a note": ("group note dba night shift",),
    "a group gone": ("group delete dba", "yes"),
    "a source gone": ("source remove src", "yes"),
    "a source moved": ("group create ops", "source move src to ops"),
    "a template more, and less": ("template set src title {{ title }}!", "template clear src title"),
    "an admin more": (f"admin add {MEMBER}",),
    "my own contact": ("me admin@example.com name Zoe",),
}


@pytest.mark.parametrize("commands", CHANGES.values(), ids=CHANGES)
def test_undo_brings_every_row_back_as_it_was(database: Database, commands: tuple[str, ...]) -> None:
    with database.write() as tx:
        a_little_world(tx)
        people.seen(tx, ADMIN, "", NOW)
        people.seen(tx, "dingtalk:corp/zhao", "", NOW)
    states = [rows(database)]
    for command in commands:
        said(database, command)
        if rows(database) != states[-1]:
            states.append(rows(database))
    assert len(states) > 1, "nothing was changed"
    for before in reversed(states[:-1]):
        assert "Taken back" in said(database, "undo")
        assert rows(database) == before
    assert "nothing to undo" in said(database, "undo")


def test_more_than_the_last_change_at_once_is_refused_in_a_sentence(database: Database) -> None:
    said(database, "contact add Ann")
    assert "“everything” is not possible here" in said(database, "undo everything")
    assert "“全部”" in said(database, "撤销 全部")
    assert "“Ann”" in said(database, "撤销吧")


def test_ten_minutes_are_the_limit_and_the_undone_is_no_change_to_undo(database: Database) -> None:
    said(database, "contact add Ann")
    said(database, "group create dba")
    assert "nothing to undo" in said(database, "undo", person=OTHER_ADMIN), "only one's own"
    assert "group create “dba”" in said(database, "undo")
    assert "contact add Ann" not in said(database, "undo", now=NOW + LASTS)
    assert "nothing to undo" in said(database, "undo", now=NOW + LASTS)
    with database.write() as tx:
        undo.forget(tx, NOW)
        assert not undo.every(tx)
    assert "undo" in said(database, "audit")


@pytest.mark.parametrize(
    ("mine", "theirs", "named"),
    [
        (("contact edit Ann name Anna",), ("contact edit Anna name Annabel",), "“Annabel”"),
        (("group note dba day",), ("group note dba night",), "“dba”"),
        (("contact remove Ann", "yes"), ("contact add Ann",), "“Ann”"),
        (("contact add Zed",), ("group add dba Zed",), "“Zed”"),
        (("group create ops",), ("source move src to ops",), "“ops”"),
        (("group rename dba to ops",), ("group create dba",), "“"),
        (("contact edit Ann email none",), ("contact remove Ann", "yes"), "was changed"),
    ],
)
def test_what_somebody_else_changed_since_is_not_lost(
    database: Database, mine: tuple[str, ...], theirs: tuple[str, ...], named: str
) -> None:
    with database.write() as tx:
        a_little_world(tx)
    for command in mine:
        said(database, command)
    for command in theirs:
        said(database, command, person=OTHER_ADMIN, now=NOW + timedelta(seconds=1))
    there = rows(database)
    answer = said(database, "undo", now=NOW + timedelta(seconds=2))
    assert "undo would lose that" in answer
    assert named in answer
    assert rows(database) == there, "nothing is done by halves"


def test_who_changed_it_is_named(database: Database) -> None:
    said(database, "group create ops note day")
    said(database, "group note ops night")
    said(database, "group note ops noon", person=OTHER_ADMIN, now=NOW + timedelta(seconds=1))
    answer = said(database, "undo", now=NOW + timedelta(seconds=2))
    assert "“ops” was changed by Lin since; undo would lose that." in answer


def test_other_changes_meanwhile_stay(database: Database) -> None:
    with database.write() as tx:
        ann = a_little_world(tx)
    said(database, "contact edit Ann language zh")
    said(database, "contact edit Ann timezone Asia/Shanghai", person=OTHER_ADMIN)
    said(database, "group add dba Ann", person=OTHER_ADMIN)
    assert "Taken back" in said(database, "undo")
    with database.read() as tx:
        row = contacts.by_id(tx, ann)
    assert row is not None
    assert (row.language, row.timezone) == (None, "Asia/Shanghai")


def test_a_code_that_was_on_its_way_still_counts_after_undo(database: Database) -> None:
    rules = Rules(new_code=lambda: "271828")
    said(database, "contact add Ann ann@example.com", rules=rules)
    said(database, "contact remove Ann")
    said(database, "yes")
    said(database, "undo")
    assert "is active" in said(database, "271828")
    assert "(active)" in said(database, "contact show Ann")


def test_what_waits_for_a_contact_waits_on_after_undo_and_receipts_are_asked_for(database: Database) -> None:
    """Meanwhile some was given up, as there was no address, and the provider was not asked any more."""
    with database.write() as tx:
        ann = a_little_world(tx)
        mail, phone = (one.id for one in contacts.methods(tx, [ann]))
        key = seed.lane_of(tx, phone)
        usual = {"kind": "alert", "method_id": phone, "alert_id": seed.alert(tx, "f")}
        waits, given_up, merged, asked = (seed.owe(tx, key, **usual) for _ in range(4))
        digest = seed.owe(tx, key, kind="digest", method_id=phone)
        test = seed.owe(tx, seed.lane_of(tx, mail), method_id=mail)
        refused = seed.owe(tx, key, **usual)
        deliveries.settle(tx, merged, state="merged", digest_id=digest)
        deliveries.settle(tx, asked, state="sent", done_at=NOW, receipt="r", ask_at=NOW)
        deliveries.settle(tx, refused, state="dead", done_at=NOW, reason="gone")
    said(database, "contact remove Ann")
    said(database, "yes")
    with database.write() as tx:
        assert {deliveries_of(tx)[one][0] for one in (waits, merged, asked, digest, test)} == {None}
        for one in (given_up, merged, digest, test):
            deliveries.settle(tx, one, state="dead", done_at=NOW, reason="gone", say={"message": "x", "values": {}})
        deliveries.settle(tx, asked, ask_at=None)
    said(database, "undo")
    with database.read() as tx:
        assert deliveries_of(tx) == {
            waits: (phone, "ready", "", None),
            given_up: (phone, "ready", "", None),
            merged: (phone, "ready", "", None),
            asked: (phone, "sent", "", NOW),
            digest: (phone, "dead", "gone", None),  # what it named waits by itself
            test: (mail, "dead", "gone", None),  # reported as failed
            refused: (None, "dead", "gone", None),  # before the contact was removed
        }


def deliveries_of(tx: Tx) -> dict[int, tuple[int | None, str, str, datetime | None]]:
    """Method, state, reason and when the provider is asked, of each that is no answer."""
    delivery = metadata.tables["delivery"]
    query = select(delivery).where(delivery.c.kind != "answer").order_by(delivery.c.id)
    return {row.id: (row.method_id, row.state, row.reason, row.ask_at) for row in tx.conn.execute(query)}


def test_an_added_address_goes_again_also_when_it_was_confirmed(database: Database) -> None:
    said(database, "contact add Ann ann@example.com", rules=Rules(new_code=lambda: "271828"))
    said(database, "271828")
    said(database, "undo")
    assert "There is no contact “Ann”" in said(database, "contact show Ann")


def test_who_is_no_admin_any_more_takes_nothing_of_an_admin_back(database: Database) -> None:
    said(database, "group create ops", person=OTHER_ADMIN)
    said(database, f"admin remove {OTHER_ADMIN}")
    assert "Only an admin" in said(database, "undo", person=OTHER_ADMIN)
    said(database, "undo")
    assert "Taken back" in said(database, "undo", person=OTHER_ADMIN)


def test_what_cannot_be_taken_back_does_not_take_something_older_with_it(database: Database) -> None:
    with database.write() as tx:
        a_little_world(tx)
    said(database, "source add demo json to dba")
    said(database, "silence source=demo for 2h")
    question = said(database, "undo")
    assert "What you did last (silence" in question
    assert "Take back source add “demo” instead?" in question
    assert "demo" in said(database, "source list")
    said(database, "no")
    assert "demo" in said(database, "source list")
    said(database, "undo")
    assert "Taken back" in said(database, "yes")
    assert "demo" not in said(database, "source list")


def test_in_chinese_what_is_taken_back_is_called_by_its_chinese_command(database: Database) -> None:
    with database.write() as tx:
        a_little_world(tx)
    said(database, "修改联系人 Ann 语言 中文", language="zh")
    said(database, "静默 source=src 2小时", language="zh")
    question = said(database, "撤销", language="zh")
    assert "静默 “" in question
    assert "修改联系人 “Ann”" in question
    answer = said(database, "是", language="zh")
    assert "修改联系人 “Ann”" in answer
    assert "contact edit" not in question + answer


def test_what_is_remembered_is_sealed(database: Database) -> None:
    with database.write() as tx:
        a_little_world(tx)
    said(database, "contact remove Ann")
    said(database, "yes")
    with database.read() as tx:
        (stored,) = tx.conn.scalars(select(undo_step.c.body))
        opened = json.dumps(undo.every(tx)[0].body)
    assert '"Ann"' not in stored, "with quotes, which ciphertext never has"
    assert "ann@example.com" not in opened, "addresses stay sealed also inside"


def test_removals_say_that_they_can_be_taken_back(database: Database) -> None:
    with database.write() as tx:
        a_little_world(tx)
    hint = "“undo” within 10 minutes"
    assert hint in said(database, "contact edit Ann email none")
    assert hint in said(database, "group remove dba Bob")
    for command in ("contact remove Ann", "source remove src", "group delete dba"):
        said(database, command)
        assert hint in said(database, "yes"), command
