"""Contacts, and their groups, told as conversations: what is refused, and that nothing of it is half done."""

from __future__ import annotations

import json

import pytest

from bot.markup import dingtalk, lark, slack, wecom_parts
from bot.platforms.wecom import APP_MAX_BYTES, APP_MAX_PARTS
from handlers import names
from handlers.contacts import MOST_METHODS
from storage import contacts, groups, people
from storage.database import Database
from tests.handlers.commands.talk import ADMIN, MEMBER, answers, said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database, sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_database", "sqlite_template"]


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    with sqlite_database.write() as tx:
        ann = seed.contact(tx, "Ann")
        seed.group(tx, "dba", ann)
        people.seen(tx, MEMBER, "Wang", NOW)
        people.link(tx, MEMBER, ann)
    return sqlite_database


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("contact add Carl 13800138009 to", "“to”"),
        ("contact add Carl 13800138009 phone", "phone"),
        ("contact add Carl 13800138009 secret", "secret"),
        ("contact add Carl email", "email"),
        ("contact add Carl phone 13800138009 phone", "phone"),
        ("contact add Carl to dba to", "“to”"),
        ("contact add name:", "name"),
        ("contact edit Ann phone", "phone"),
        ("contact edit Ann 13800138009 email", "email"),
        ("contact edit Ann phone 13800138009 secret", "secret"),
        ("contact edit Ann dingtalk:corp/otto phone", "phone"),
        ("me phone", "phone"),
        ("me 13800138009 email", "email"),
        ("me timezone", "time zone"),
        ("group create ops note", "note"),
        ("group create ops members", "members"),
    ],
)
def test_a_key_without_a_value_is_named_and_nothing_is_done(database: Database, command: str, key: str) -> None:
    answer = said(database, command, person=MEMBER if command.startswith("me") else ADMIN)
    assert f"A value for {key} is missing. Example: " in answer
    if key == "secret":
        assert " secret SEC" in answer
    with database.read() as tx:
        assert [row.name for row in contacts.search(tx, "", (), 9, 0)[1]] == ["Ann"]
        assert contacts.methods(tx, [row.id for row in contacts.search(tx, "", (), 9, 0)[1]]) == []
        assert groups.names(tx) == ["dba"]
        assert people.by_id(tx, "dingtalk:corp/otto") is None


@pytest.mark.parametrize(
    ("command", "key"),
    [("添加联系人 李四 加入", "“加入”"), ("添加联系人 李四 电话", "电话"), ("创建组 夜班 备注", "备注")],
)
def test_a_chinese_key_without_a_value_is_named(database: Database, command: str, key: str) -> None:
    assert f"{key}后面缺少内容。示例：" in said(database, command, language="zh")


@pytest.mark.parametrize("command", ["contact add Carl phone, 13800138009", "添加联系人 Carl 电话，13800138009"])
def test_a_comma_between_key_and_value_does_no_harm(database: Database, command: str) -> None:
    said(database, command)
    assert "138" in said(database, "contact show Carl")


def note_of(database: Database, name: str = "dba") -> str:
    with database.read() as tx:
        group = groups.by_key(tx, name)
        assert group is not None
        return group.note


def test_a_group_s_note_goes_by_a_word_and_not_by_saying_nothing(database: Database) -> None:
    said(database, "group note dba night shift")
    answer = said(database, "group note dba")
    assert "A value for note is missing" in answer
    assert "group note dba none" in answer
    assert "组备注 dba 无" in said(database, "组备注 dba", language="zh")
    assert note_of(database) == "night shift"
    assert "has no note any more" in said(database, "group note dba none")
    assert note_of(database) == ""
    said(database, "group note dba night shift")
    assert "备注已清空" in said(database, "组备注 dba 无", language="zh")
    assert note_of(database) == ""


@pytest.mark.parametrize("sign", [":", "：", ": ", "： ", " "])
@pytest.mark.parametrize("name", ["dba", "night crew", "a:b", "数据库", "数据库：一线", '"night crew"'])
def test_a_colon_may_stand_between_a_group_and_its_note(database: Database, name: str, sign: str) -> None:
    with database.write() as tx:
        for one in ("night crew", "a:b", "数据库", "数据库：一线"):
            seed.group(tx, one)
    assert "夜班 一线" in said(database, f"组备注 {name}{sign}夜班 一线", language="zh")
    assert note_of(database, names.key(name.strip('"'))) == "夜班 一线"
    assert "There is no group" in said(database, "group note nobody: nights")


@pytest.mark.parametrize(
    ("command", "field"),
    [
        ("contact edit Ann colour red", "colour"),
        ("contact edit Ann colour=red", "colour"),
        ("contact edit ann colour: red", "colour"),
        ("contact edit Ann Lee 颜色 红", "颜色"),
        ("contact edit Ann colour", "colour"),
    ],
)
def test_a_field_that_no_contact_has_is_named_with_those_that_there_are(
    database: Database, command: str, field: str
) -> None:
    with database.write() as tx:
        seed.contact(tx, "Ann Lee")
    answer = said(database, command)
    assert f"A contact has no field “{field}”" in answer
    assert "name, phone, email, webhook, secret, language, timezone and mention" in answer
    assert "contact edit Ann" in answer


@pytest.mark.parametrize(
    "command",
    ["contact edit Bob colour red", "contact edit Anna", "contact edit Ann B 13800138009", "contact edit Ann Leee"],
)
def test_a_name_that_no_contact_has_is_named_as_one(database: Database, command: str) -> None:
    with database.write() as tx:
        seed.contact(tx, "Ann Lee")
    assert "There is no contact" in said(database, command)


def test_who_may_not_change_a_contact_is_not_told_how(database: Database) -> None:
    with database.write() as tx:
        seed.contact(tx, "Bob")
    assert "Only an admin" in said(database, "contact edit Bob colour red", person=MEMBER)


def test_a_hundred_addresses_are_the_most_and_are_shown_in_pages(database: Database) -> None:
    with database.write() as tx:
        [ann] = contacts.search(tx, "", (), 9, 0)[1]
        for number in range(MOST_METHODS - 1):
            contacts.add_method(tx, ann.id, "email", f"a{number}@x.de", f"a{number:02}*@x.de", "", NOW)
    assert "on its way" in said(database, "me last@example.com", person=MEMBER)
    assert "has 100 addresses already" in said(database, "me over@example.com", person=MEMBER)
    shown = [said(database, "contact show Ann")]
    for left in (80, 60, 40, 20):
        assert f"{left} more follow: say more." in shown[-1]
        assert "dba" in shown[-1]
        shown.append(said(database, "more"))
    assert "follow" not in shown[-1]
    whole = "\n".join(shown)
    assert [whole.count(f"a{number}@x.de") for number in range(MOST_METHODS - 1)] == [1] * (MOST_METHODS - 1)
    assert whole.count("last@example.com") == 1
    for page in ("me", "home"):
        assert "and 80 more addresses: contact show Ann" in said(database, page, person=MEMBER)
    assert "and 80 more addresses" in said(database, "verify Ann")


@pytest.mark.parametrize("command", ["contact show Ann", "me", "home", "verify Ann", "contact remove Ann", "forget me"])
def test_what_is_said_of_a_hundred_addresses_fits_each_chat(database: Database, command: str) -> None:
    place, title = "dingtalk:cid", "数据库值班群" * 4
    with database.write() as tx:
        [ann] = contacts.search(tx, "", (), 9, 0)[1]
        people.heard(tx, place, "dingtalk", False, title, "", None, NOW)
        for number in range(MOST_METHODS):
            url = f"https://oapi.dingtalk.com/robot/send?access_token={number:064}"
            method = contacts.add_method(tx, ann.id, "dingtalk", url, f"oapi.dingtalk.com…{number:04}", "", NOW)
            if command != "verify Ann":
                contacts.change_method(tx, method, state="active", conversation=place, verified_by=MEMBER)
    for document in answers(database, command, person=MEMBER):
        assert len(slack.blocks(document)) <= 50
        assert len(json.dumps(lark.card(document), ensure_ascii=False).encode()) <= 19_000
        assert len(dingtalk.markdown(document)[1].encode()) <= 14_000
        assert len(wecom_parts.messages(document, APP_MAX_BYTES, 99)) <= APP_MAX_PARTS
