"""Several values in one command: each is done, or a sentence says that it is one at a time. None is left out in silence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from handlers import names
from storage import contacts, deliveries, groups, silences, sources
from storage.database import Database
from storage.schema import delivery
from tests.handlers.commands.talk import said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database, sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_database", "sqlite_template"]


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    with sqlite_database.write() as tx:
        for name in ("Ann", "Bob"):
            contacts.add(tx, name, names.key(name), "", NOW)
        for name in ("ops", "dba"):
            group = groups.add(tx, name, names.key(name), "", NOW)
        for name in ("a", "b"):
            sources.add(tx, name, name, "json", f"token-{name}", group, "slack:T/U", NOW)
    return sqlite_database


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("verify Ann, Bob", "One contact at a time"),
        ("contact show Ann, Bob", "One contact at a time"),
        ("test Ann, Bob", "One contact or group at a time"),
        ("test ops, dba", "One contact or group at a time"),
        ("source show a, b", "One alert source at a time"),
        ("source rotate a, b", "One alert source at a time"),
        ("source move a, b to ops", "One alert source at a time"),
        ("source remove a, b", "One alert source at a time"),
        ("group show ops, dba", "One group at a time"),
        ("group edit ops, dba", "One group at a time"),
        ("group rename ops, dba to x", "One group at a time"),
        ("group delete ops, dba", "One group at a time"),
        ('group delete "ops" "dba"', "One group at a time"),
        ("验证 Ann、Bob", "一次只能操作一个联系人"),
        ("删除组 ops、dba", "一次只能操作一个联系组"),
    ],
)
def test_of_several_names_none_is_taken_in_silence(database: Database, text: str, sentence: str) -> None:
    assert sentence in said(database, text)


def silence(database: Database) -> int:
    with database.write() as tx:
        row = silences.add(
            tx,
            matchers=[["severity", "=", "info"]],
            because="",
            person="",
            conversation="dingtalk:group",
            language="en",
            created_at=NOW,
            ends_at=NOW + timedelta(hours=1),
        )
    return row.id


def test_several_silences_end_at_once(database: Database) -> None:
    first, second = silence(database), silence(database)
    answer = said(database, f"silence end {first}, {second}")
    assert answer.startswith("2 silences")
    assert f"Silence {first}" in answer
    assert f"Silence {second}" in answer
    with database.read() as tx:
        assert not silences.active(tx)


def test_of_several_silences_none_ends_when_one_does_not_exist(database: Database) -> None:
    first = silence(database)
    assert "There is no silence 99" in said(database, f"silence end {first} 99")
    with database.read() as tx:
        assert [row.id for row in silences.active(tx)] == [first]


def test_several_dead_letters_are_sent_again(database: Database) -> None:
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx))
        dead = [
            seed.owe(tx, seed.lane_of(tx, method), method_id=method, kind="notice", payload={"x": 1}, contact_name="Li")
            for _n in "12"
        ]
        for one in dead:
            deliveries.settle(tx, one, state="dead", done_at=NOW)
    answer = said(database, f"retry {dead[0]} {dead[1]}")
    assert answer.startswith("2 deliveries")
    assert all(f"Delivery {one} to" in answer for one in dead)
    with database.read() as tx:
        ready = select(func.count()).select_from(delivery).where(delivery.c.state == "ready", delivery.c.id.in_(dead))
        assert tx.conn.scalar(ready) == 2


def test_one_alert_is_shown_at_a_time(database: Database) -> None:
    assert "One alert at a time" in said(database, "alert 1 2")


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "contact edit Ann phone 13800138001 email a@example.com",
            "修改联系人 Ann 手机 13800138001 邮箱 a@example.com",
        ),
        ("contact edit Ann name Anna 13800138001", "修改联系人 Ann 姓名 Anna 手机 13800138001"),
        ("contact edit Ann phone 13800138001 dingtalk:corp/bob", "修改联系人 Ann 手机 13800138001 dingtalk:corp/bob"),
    ],
)
def test_of_several_fields_none_is_changed(database: Database, english: str, chinese: str) -> None:
    before = said(database, "contact show Ann")
    assert "One field at a time" in said(database, english)
    assert "一次只能修改一项" in said(database, chinese, language="zh")
    assert said(database, "contact show Ann") == before


def test_a_robot_and_its_secret_are_one(database: Database) -> None:
    url = "https://oapi.dingtalk.com/robot/send?access_token=" + "a" * 64
    assert "One field" not in said(database, f"contact edit Ann webhook {url} secret SEC123")


def test_of_several_people_none_becomes_admin(database: Database) -> None:
    two = "dingtalk:corp/one dingtalk:corp/two"
    assert "One person at a time" in said(database, f"admin add {two}")
    assert "一次只能指定一个人" in said(database, f"添加管理员 {two}", language="zh")
    assert "one" not in said(database, "admin list")
