"""Any text of any person gives an answer and never an error; every line of the table of commands keeps its promises."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.platforms.contract import Incoming
from handlers import desk, names
from handlers.commands import COMMANDS, FORMS
from handlers.commands.help import TOPICS
from handlers.commands.parser import parse
from handlers.context import Rules
from storage import contacts, groups
from storage.database import Database
from storage.schema import delivery

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ADMIN, MEMBER = "dingtalk:corp/admin", "dingtalk:corp/member"
README = Path(__file__).parents[2] / "README.md"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path_factory.mktemp('desk') / 'desk.db'}", "key")
    opened.upgrade()
    with opened.write() as tx:
        for name in ("Ann", "Zhang Wei", "张伟"):
            contacts.add(tx, name, names.key(name), "", NOW)
        groups.add(tx, "dba", names.key("dba"), "", NOW)
    yield opened
    opened.close()


def answers(database: Database, text: str, *, person: str = ADMIN, direct: bool = True) -> list[str]:
    """What is owed in answer to a text; everything is rolled back, so that examples do not depend on each other.

    An import is one as well: what it has found is said later, by the worker.
    """

    class Undo(Exception):
        pass

    said: list[str] = []
    message = Incoming(
        "dingtalk", str(next(numbers)), person, "Lin", f"dingtalk:{'chat' if direct else 'group'}", direct, text
    )
    try:
        with database.write() as tx:
            desk.handle(tx, message, message.message_id, Rules(admins=frozenset({ADMIN})), NOW)
            for row in tx.conn.execute(delivery.select().where(delivery.c.kind.in_(("answer", "import")))):
                said.append(tx.vault.open(row.payload))
            raise Undo
    except Undo:
        return said


WORDS = st.sampled_from(
    [
        *(word for form in FORMS for word in (*form.name.split(), *form.zh)),
        *(
            "Ann",
            "张伟",
            "dba",
            "#42",
            "42",
            "123456",
            "to",
            "加入",
            "note",
            "备注",
            "members",
            "成员",
            "secret",
            "SECx",
        ),
        *(
            "13800138000",
            "1380013800",
            "a@b.example",
            "https://oapi.dingtalk.com/robot/send?access_token=x",
            "http://x",
        ),
        *(
            '"',
            "“",
            "”",
            "「",
            ",",
            "，",
            "、",
            ":",
            "=",
            "@",
            "@all",
            "<",
            ">",
            "\u200b",
            "\u202e",
            "\ud800",
            "\0",
            "none",
        ),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=12).map(" ".join)), admin=st.booleans())
def test_any_text_gives_an_answer(database: Database, text: str, admin: bool) -> None:
    person = ADMIN if admin else MEMBER
    said = answers(database, text, person=person)
    assert said, f"no answer to {text!r}"
    answers(database, text, person=person, direct=False)


@pytest.mark.parametrize("length", [10_000, 200_000])
def test_texts_of_any_length_are_answered(database: Database, length: int) -> None:
    for text in (
        "x" * length,
        "1" * length,
        '"' * length,
        "contact add " + "a," * (length // 2),
        "联系人" * (length // 3),
    ):
        (answer,) = answers(database, text)
        assert len(answer) < 20_000


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained_answers_nothing_but_its_name_and_is_documented(
    database: Database, name: str
) -> None:
    command = COMMANDS[name]
    assert command.topic in TOPICS
    for usage, words in ((command.usage[0], name), (command.usage[1], command.form.zh[0])):
        assert words in usage
        assert parse(words, FORMS).form == name
        assert answers(database, words)
    assert f"`{name}" in README.read_text("utf-8") or f"· `{name}" in README.read_text("utf-8")
    (explained,) = answers(database, f"help {command.topic}")
    assert name in explained


def test_what_fails_leaves_nothing_behind(database: Database) -> None:
    (answer,) = answers(database, "contact add Bob 13800138000 https://evil.example.com/x")
    assert "evil.example.com" in answer
    with database.read() as tx:
        assert contacts.by_key(tx, "bob") is None
