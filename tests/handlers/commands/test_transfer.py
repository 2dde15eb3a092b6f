"""Address books in chat: pasted, previewed, confirmed; and out again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from bot.markup import dingtalk, lark, wecom, wecom_v2
from bot.markup.plain import clean
from bot.platforms.contract import Incoming
from handlers import desk
from handlers.context import Rules
from handlers.document import Document, Paragraph
from storage import contacts, people
from storage.database import Database
from storage.schema import code, contact, method
from tests.handlers.commands.talk import ADMIN, MEMBER, said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database, sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_database", "sqlite_template"]

TABLE = """contact import name,phone,email,groups,language
Ann,13800138000,<mailto:ann@example.com|ann@example.com>,dba,en
Bob,12,bob@example.com,nowhere,klingon
Bob,13900139000,,,
,13900139000,,,"""


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    with sqlite_database.write() as tx:
        seed.group(tx, "dba")
    return sqlite_database


def test_a_table_is_previewed_then_imported_and_the_second_time_changes_nothing(database: Database) -> None:
    preview = said(database, TABLE)
    assert "Import this? 2 added, 0 changed, 0 unchanged, 5 skipped" in preview
    told = ("138****8000", "group dba", "it is too short", "there is no group “nowhere”", "“klingon” is not possible")
    for part in (*told, "the name is there twice", "No code is sent"):
        assert part in preview, part
    with database.read() as tx:
        assert not contacts.names(tx), "a preview changes nothing"
    assert "Imported: 2 added" in said(database, "yes")
    with database.read() as tx:
        assert contacts.names(tx) == ["Ann", "Bob"]
        assert set(tx.conn.scalars(select(method.c.state))) == {"pending"}
        assert tx.conn.scalar(select(func.count()).select_from(code)) == 0
    shown = said(database, "contact show Ann")
    for part in ("+8613800138000 (not verified yet)", "ann@example.com", "dba", "English"):
        assert part in shown
    again = said(database, TABLE)
    assert "There is nothing to import" in again
    assert "unchanged" in again
    said(database, "undo")
    assert "no contacts yet" in said(database, "contact list")


@pytest.mark.parametrize("form", ["csv", "vcard"])
def test_what_is_exported_can_be_imported_again_and_changes_nothing(database: Database, form: str) -> None:
    said(database, TABLE)
    said(database, "yes")
    with database.write() as tx:
        ann = contacts.by_key(tx, "ann")
        assert ann
        seed.method(tx, ann.id, "dingtalk")
        contacts.prefers(tx, ann.id, timezone="Asia/Shanghai", mention="off")
    exported = said(database, f"contact export {form}")
    assert "access_token" not in exported
    assert "+8613800138000" in exported
    _title, _blank, text = exported.partition("\n")
    assert "There is nothing to import" in said(database, f"contact import {text}")
    with database.write() as tx:
        assert ann
        contacts.remove(tx, ann.id)
    assert "Import this? 1 added, 0 changed, 1 unchanged" in said(database, f"contact import {text}")


def test_a_long_list_comes_in_pages_that_can_each_be_imported(database: Database) -> None:
    with database.write() as tx:
        for number in range(45):
            seed.method(tx, seed.contact(tx, f"Person {number:02}"), "email", f"person.{number:02}@example.com")
    pages = [said(database, "contact export")]
    while "follow" in pages[-1]:
        pages.append(said(database, "more"))
    assert len(pages) > 2
    assert all(page.count("name,phone,email") == 1 and len(page.encode()) < 1800 for page in pages)
    assert all(sum(f"Person {number:02}," in page for page in pages) == 1 for number in range(45))
    assert "45 contacts" in pages[0]
    assert "1 contact," in said(database, "contact export csv Person 07")


def test_members_have_and_change_their_own_contact_only(database: Database) -> None:
    with database.write() as tx:
        ann = seed.contact(tx, "Ann")
        seed.contact(tx, "Bob")
        people.seen(tx, MEMBER, "", NOW)
        people.link(tx, MEMBER, ann)
    mine = said(database, "contact export", person=MEMBER)
    assert "Ann" in mine
    assert "Bob" not in mine
    text = "contact import name,email,groups\nAnn,ann@example.com,dba\nBob,bob@example.com,\nZed,zed@example.com,"
    preview = said(database, text, person=MEMBER)
    assert "0 added, 1 changed, 0 unchanged, 3 skipped" in preview
    said(database, "yes", person=MEMBER)
    with database.read() as tx:
        assert contacts.names(tx) == ["Ann", "Bob"]
        assert tx.conn.scalar(select(func.count()).select_from(method)) == 1
        assert tx.conn.scalar(select(func.count()).select_from(contact)) == 2


def test_in_a_group_nothing_is_shown_and_what_is_no_address_book_is_explained(database: Database) -> None:
    with database.write() as tx:
        rules = Rules(language="en", admins=frozenset({ADMIN}))
        for text in ("contact export", "contact import name\nAnn"):
            message = Incoming("dingtalk", text, ADMIN, "", "dingtalk:group", False, text)
            told = desk.handle(tx, message, text, rules, NOW).told
            assert told is not None
            assert "one-to-one" in str(told.title)
    for text in ("contact import", "contact import hello", "导入联系人"):
        assert "13800138000" in said(database, text), text
    assert "no such contact" in said(database, "contact export")


def shown_in_dingtalk(text: str) -> str:
    """As it is copied from the chat: marks of no width stay, and lines that follow another are indented."""
    return dingtalk.escape(text)


def shown_in_wecom_robot(text: str) -> str:
    return wecom_v2.markdown(Document("x", (Paragraph(text),))).partition("\n\n")[2]


CHATS: dict[str, Callable[[str], str]] = {
    "dingtalk": shown_in_dingtalk,
    "wecom app": wecom.escape,
    "wecom robot": shown_in_wecom_robot,
    "lark text": lark.escape,
    "lark and slack cards": str,
}

ODD_NAMES = (
    'Lin, "Wei"; ops\\x',
    "*a* _b_ `c` ~~d~~",
    "[x](y) <z> & &amp; #1",
    "#ops",
    "1. Li",
    "A|B $C$ **D**",
    "=1+2",
    "张三（运维）",
    "__init__ \\* \\_",
)


@pytest.mark.parametrize("form", ["csv", "vcard"])
@pytest.mark.parametrize("chat", CHATS)
def test_what_is_copied_from_a_chat_is_read_back_as_it_was(database: Database, chat: str, form: str) -> None:
    with database.write() as tx:
        for number, name in enumerate(ODD_NAMES):
            seed.method(tx, seed.contact(tx, name), "email", f"_{number}_a_@example.com")
    exported = said(database, f"contact export {form}").partition("\n")[2]
    copied = clean(CHATS[chat](exported))
    assert "There is nothing to import" in said(database, f"contact import {copied}")
    with database.write() as tx:
        tx.conn.execute(method.delete())
        tx.conn.execute(contact.delete())
    assert f"{len(ODD_NAMES)} added, 0 changed, 0 unchanged, 0 skipped" in said(database, f"contact import {copied}")
    assert "Imported" in said(database, "yes")
    with database.read() as tx:
        assert sorted(contacts.names(tx)) == sorted(ODD_NAMES)
    assert sorted(said(database, f"contact export {form}").partition("\n")[2].split("\n")) == sorted(
        exported.split("\n")
    )


def test_other_formats_are_refused_and_the_example_keeps_its_line_end(database: Database) -> None:
    assert "only csv and vcard" in said(database, "contact export json")
    assert "only csv and vcard" in said(database, "contact export XLSX", person=MEMBER)
    example = "contact import name,phone,email\nZhang Wei,13800138000,zhang.wei@example.com"
    assert example in said(database, "contact import hello")
    assert "Import this? 1 added" in said(database, example)
