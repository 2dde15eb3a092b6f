"""The audit log in words: each action and key has them in both languages, and what is not known is shown as it is stored."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from handlers import audit_log
from handlers.audit_log import ACTIONS, KEYS, PEOPLE, VALUES, Action, Key, action_words, told
from handlers.texts import LANGUAGES, Language, _, render, to_json
from storage import audit, contacts, forget, people
from storage.audit import AuditRow
from storage.database import Database
from tests.handlers.commands.talk import ADMIN, MEMBER, said
from tests.handlers.commands.test_undo import CHANGES, a_little_world
from tests.storage import seed
from tests.storage.fixtures import sqlite_database as database
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW
from tests.texts import ROOMS, ROOT, translations

__all__ = ["database", "sqlite_template"]


def test_every_action_and_key_has_words_in_both_languages() -> None:
    assert set(ACTIONS) == set(get_args(Action))
    assert set(KEYS) == set(get_args(Key))
    assert set(PEOPLE) | {key for key, _value in VALUES} <= set(KEYS)
    known = translations()
    for words in (*ACTIONS.values(), *KEYS.values(), *VALUES.values()):
        assert known.get(render(words, "en")), f"no Chinese for {words!r}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_actions_have_the_same_words(language: Language) -> None:
    shown = [render(words, language) for words in ACTIONS.values()]
    assert len(set(shown)) == len(shown)


def written() -> Iterator[tuple[str, str | None, set[str]]]:
    """Each call that writes an entry: where, its action (None when it is not written out), and the keys that are."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if not isinstance(node, ast.Call) or called not in ("ctx.log", "audit_log.write", "audit.write"):
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}: {called}"
            action = node.args[0 if called == "ctx.log" else 4]
            keys = {
                str(key.value)
                for argument in node.args
                for inner in ast.walk(argument)
                if isinstance(inner, ast.Dict)
                for key in inner.keys
                if isinstance(key, ast.Constant)
            }
            yield place, str(action.value) if isinstance(action, ast.Constant) else None, keys


def test_the_code_writes_only_actions_and_keys_that_have_words() -> None:
    found = list(written())
    unnamed = {place: action for place, action, _keys in found if action is not None and action not in ACTIONS}
    assert unnamed == {}, "give them words in handlers/audit_log.py"
    assert {place: keys - set(KEYS) for place, _action, keys in found if keys - set(KEYS)} == {}
    assert {action for _place, action, _keys in found if action} == set(ACTIONS), "nobody writes these any more"
    passing_on = [place.partition(":")[0] for place, action, _keys in found if action is None]
    assert passing_on == ["handlers/audit_log.py", "handlers/context.py"]


def test_the_log_of_many_changes_has_no_stored_word_in_chinese(database: Database) -> None:
    with database.write() as tx:
        a_little_world(tx)
        people.seen(tx, ADMIN, "", NOW)
        people.seen(tx, "dingtalk:corp/zhao", "", NOW)
    for commands in CHANGES.values():
        for command in commands:
            said(database, command)
        said(database, "undo")
    with database.read() as tx:
        _count, rows = audit.page(tx, 100, 0)
    assert len({row.action for row in rows}) > 12
    pages = [said(database, "审计", language="zh")]
    while "更多" in pages[-1]:
        pages.append(said(database, "更多", language="zh"))
    log = "\n".join(pages)
    keys = {key for row in rows for values in (row.before, row.after) for key in values or ()}
    assert len(keys) > 10
    assert {row.action for row in rows if f" · {row.action} · " in log} == set()
    assert {key for key in keys if re.search(rf"{key}(?:：|: )", log)} == set()
    for row in rows:
        assert render(action_words(row.action), "zh") in log


SHOWN: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "", ""),
    "taken away": ({"timezone": None, "groups": []}, "time zone: –; groups: –", "时区：–；所属组：–"),
    "a list": ({"members": ["Ann", "Bob"]}, "members: Ann, Bob", "成员：Ann、Bob"),
    "words of ours": (
        {"state": "pending", "mention": "off", "language": "zh"},
        "state: not verified yet; mentions: in no card; language: Chinese",
        "状态：待验证；提醒：不提醒；语言：中文",
    ),
    "yes and no": ({"admin": True}, "is an admin: yes", "是管理员：是"),
    "a duration": ({"for_s": 7200, "because": ""}, "lasts: 2 hours; because: –", "时长：2 小时；原因：–"),
    "a person": ({"acked_by": MEMBER}, f"acknowledged by: <{MEMBER}>", f"认领人：<{MEMBER}>"),
    "people": ({"identities": ["a", "b"]}, "identities: <a>, <b>", "身份：<a>、<b>"),
    "a mapping": (
        {"mapping": {"title": "$.a", "host": "$.b"}},
        "mapping: title=$.a, host=$.b",
        "字段映射：title=$.a、host=$.b",
    ),
    "an import": (
        {"from": "cloudmonitor", "did": ["added", to_json(_("it is there again"))]},
        "from: CloudMonitor; changes: added, it is there again",
        "来源：云监控；变更：新增、{again}",
    ),
    "an older import": ({"did": ["with Ann"]}, "changes: with Ann", "变更：with Ann"),
    "what was taken back": (
        {"taken back": ["contact add Ann Lee", "silence end 3", "frobnicate Ann"]},
        "taken back: contact added “Ann Lee”, silence ended “3”, frobnicate Ann",
        "已撤销：添加联系人 “Ann Lee”、结束静默 “3”、frobnicate Ann",
    ),
    "another version's": (
        {"colour": "red", "state": "purple", "name": {"a": 1}, "person": 7},
        "colour: red; state: purple; called: a=1; person: <7>",
        "colour：red；状态：purple；名称：a=1；人员：<7>",
    ),
}


@pytest.mark.parametrize(("values", "english", "chinese"), SHOWN.values(), ids=SHOWN)
def test_what_was_changed_in_words(values: dict[str, Any], english: str, chinese: str) -> None:
    shown = told(values, lambda person: f"<{person}>")
    assert render(shown, "en") == english
    assert render(shown, "zh") == chinese.format(again=render(_("it is there again"), "zh"))


def test_an_action_that_is_not_known_is_shown_as_it_is_stored(database: Database) -> None:
    with database.write() as tx:
        audit.write(tx, NOW, MEMBER, "", "contact frobnicate", "Ann", {"colour": "red"}, None)
        audit_log.write(tx, NOW, "", "", "sync", "Bob", None, {"from": "das:rm-1", "did": ["gone"]})
    log = said(database, "audit")
    for part in ("contact frobnicate", "Ann", "colour: red", "by itself", "from: DAS rm-1; changes: gone"):
        assert part in log, part
    chinese = said(database, "审计", language="zh")
    for part in ("contact frobnicate", "colour：red", "自动", "同步导入", "来源：DAS 实例 rm-1；变更：已不存在"):
        assert part in chinese, part


HOOK = "https://oapi.dingtalk.com/robot/send?access_token=" + "b" * 64
OTTO = "dingtalk:corp/otto"


def newest(database: Database) -> AuditRow:
    with database.read() as tx:
        return audit.page(tx, 1, 0)[1][0]


def test_a_new_secret_of_a_robot_is_in_the_log_with_what_became_of_the_robot(database: Database) -> None:
    with database.write() as tx:
        rob = seed.contact(tx, "Rob")
        method = contacts.add_method(tx, rob, "dingtalk", HOOK, "oapi…bbbb", "SEC1", NOW)
        people.seen(tx, MEMBER, "Rob", NOW)
        people.link(tx, MEMBER, rob)
    for command, person in (
        (f"contact edit Rob webhook {HOOK} secret SECnew", ADMIN),
        (f"me {HOOK} secret SECother", MEMBER),
        ("contact edit Rob secret SECthird", ADMIN),
    ):
        with database.write() as tx:
            contacts.change_method(tx, method, state="active")
        said(database, command, person=person)
        row = newest(database)
        assert (row.person, row.action, row.subject) == (person, "contact edit", "Rob"), command
        assert (row.before, row.after) == ({"state": "active"}, {"secret of": "oapi…bbbb", "state": "pending"})


def test_whose_contact_a_new_one_is_stands_in_its_entry(database: Database) -> None:
    said(database, f"contact add Bob {OTTO}")
    assert (newest(database).after or {})["person"] == OTTO
    said(database, f"contact add Ann dingtalk:corp/ann {MEMBER}")
    assert (newest(database).after or {})["person"] == ["dingtalk:corp/ann", MEMBER]
    with database.write() as tx:
        gone = forget.forget(tx, [MEMBER], None, NOW)
    assert (newest(database).after or {})["person"] == ["dingtalk:corp/ann", gone.alias]


def test_a_member_that_appeared_before_the_yes_is_in_the_log_and_keeps_its_addresses_in_words(
    database: Database,
) -> None:
    said(database, "group create h")
    said(database, "group add h Neu, Zed")
    with database.write() as tx:
        seed.method(tx, seed.contact(tx, "Neu"), "email", "neu@example.com")
    answer = said(database, "yes")
    assert "2 members added" in answer
    assert "Zed has no address yet" in answer
    assert "contact edit Zed" in answer
    row = newest(database)
    assert (row.action, row.subject, row.after) == ("group add", "h", {"members": ["Neu"]})
    said(database, "undo")
    assert newest(database).after == {"taken back": ["contact add Zed", "group add h"]}


def test_of_members_that_all_have_addresses_none_is_said_to_lack_one(database: Database) -> None:
    said(database, "group create h")
    said(database, "group add h Neu")
    with database.write() as tx:
        seed.method(tx, seed.contact(tx, "Neu"), "email", "neu@example.com")
    answer = said(database, "yes")
    assert "1 member added" in answer
    assert "address" not in answer
