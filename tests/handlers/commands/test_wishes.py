"""What a contact wishes its cards to be like: language, time zone, mentions."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from storage import contacts, deliveries, people
from storage.database import Database
from storage.schema import delivery
from tests.handlers.commands.talk import MEMBER, said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database as database
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "sqlite_template"]


@pytest.fixture
def contact(database: Database) -> int:
    """Zhang Wei, who is the member."""
    with database.write() as tx:
        contact_id = seed.contact(tx, "Zhang Wei")
        people.seen(tx, MEMBER, "", NOW)
        people.link(tx, MEMBER, contact_id)
        return contact_id


def wishes(database: Database, contact: int) -> tuple[str | None, str | None, str | None]:
    with database.read() as tx:
        row = contacts.by_id(tx, contact)
    assert row is not None
    return row.language, row.timezone, row.mention


def test_wishes_are_set_shown_and_taken_back(database: Database, contact: int) -> None:
    assert "Language: English" in said(database, "contact edit Zhang Wei language en")
    assert "Time zone: Asia/Shanghai" in said(database, "contact edit Zhang Wei timezone asia/shanghai")
    assert "Mentioned: in no card" in said(database, "contact edit Zhang Wei mention off")
    assert wishes(database, contact) == ("en", "Asia/Shanghai", "off")
    shown = said(database, "contact show Zhang Wei")
    assert "Language: English\nTime zone: Asia/Shanghai\nMentioned: in no card" in shown
    for field in ("language", "timezone", "mention"):
        said(database, f"contact edit Zhang Wei {field} none")
    assert wishes(database, contact) == (None, None, None)
    assert "Mentioned: in the cards of critical alerts" in said(database, "contact show Zhang Wei")
    assert "America/New_York" not in said(database, "audit")


def test_people_set_their_own_with_me_in_both_languages(database: Database, contact: int) -> None:
    said(database, "me language en", person=MEMBER)
    said(database, "me timezone Europe/Berlin", person=MEMBER)
    said(database, "me mention on", person=MEMBER)
    assert wishes(database, contact) == ("en", "Europe/Berlin", "on")
    assert "Time zone: America/New_York" in said(database, "me timezone new york", person=MEMBER)
    assert "Time zone: Asia/Ho_Chi_Minh" in said(database, "contact edit Zhang Wei timezone ho  chi minh")
    said(database, "我 语言 中文", person=MEMBER)
    said(database, "我 时区 北京", person=MEMBER)
    said(database, "我 提醒 关", person=MEMBER)
    assert wishes(database, contact) == ("zh", "Asia/Shanghai", "off")
    said(database, "修改联系人 Zhang Wei 时区 UTC+8")
    assert wishes(database, contact) == ("zh", "Etc/GMT-8", "off")


def test_what_is_wrong_is_named_and_nothing_changes(database: Database, contact: int) -> None:
    for text, named in (
        ("contact edit Zhang Wei language klingon", "“klingon” is not possible"),
        ("contact edit Zhang Wei timezone Asia/Shangai", "Did you mean “Asia/Shanghai”?"),
        ("contact edit Zhang Wei mention maybe", "“maybe” is not possible"),
        ("contact edit Zhang Wei timezone", "A value for time zone is missing"),
        ("contact edit Nobody language en", "Nobody"),
    ):
        assert named in said(database, text), text
    assert "A value for language is missing. Example: me language en" in said(database, "me language", person=MEMBER)
    assert "Example: me language en" in said(database, "me language fr", person=MEMBER)
    assert "“new yorkk”" in said(database, "contact edit Zhang Wei timezone new yorkk")
    assert "Only an admin" in said(database, "contact edit Zhang Wei language en", person="dingtalk:corp/other")
    assert wishes(database, contact) == (None, None, None)


def test_who_has_no_contact_is_asked_for_one_first(database: Database, contact: int) -> None:
    assert "no contact yet" in said(database, "me language en", person="dingtalk:corp/other")
    assert wishes(database, contact) == (None, None, None)


def test_codes_and_test_cards_are_in_the_contact_s_language_too(database: Database, contact: int) -> None:
    with database.write() as tx:
        contacts.prefers(tx, contact, language="zh")
        seed.method(tx, contact, "dingtalk")
        seed.method(tx, contact, "email", "wang@example.com", state="pending")
    said(database, "test Zhang Wei")
    said(database, "verify Zhang Wei")
    with database.read() as tx:
        owed = [deliveries.by_id(tx, one) for one in tx.conn.scalars(select(delivery.c.id).order_by(delivery.c.id))]
    languages = {one.kind: (one.payload or {})["language"] for one in owed if one}
    assert languages == {"test": "zh", "code": "zh"}
