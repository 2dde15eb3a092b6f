"""What is said in a group without a mention: only a code, yes and no count; everything else is talk among people."""

from __future__ import annotations

import itertools

import pytest

from bot.markup.plain import outline
from bot.platforms.contract import Incoming
from handlers import desk, names
from handlers.context import Rules
from handlers.document import from_json
from handlers.texts import Language
from storage import contacts
from storage.database import Database
from storage.schema import delivery
from tests.handlers.test_outcomes import get
from tests.storage.fixtures import sqlite_database, sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_database", "sqlite_template"]

LIN, WANG = "lark:t/lin", "lark:t/wang"
GROUP, CHAT = "lark:group", "lark:chat"
LUNCH = "anyone for lunch?"
numbers = itertools.count(1)


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    with sqlite_database.write() as tx:
        for number in range(25):
            contacts.add(tx, f"P{number:02}", names.key(f"P{number:02}"), "", NOW)
    return sqlite_database


def heard(database: Database, text: str, *, place: str = GROUP, addressed: bool = True, person: str = LIN) -> str:
    """The answers to what somebody says."""
    language: Language = "en"
    rules = Rules(language=language, admins=frozenset({LIN}))
    number = f"talk-{next(numbers)}"
    with database.write() as tx:
        message = Incoming("lark", number, person, "", place, place == CHAT, text, addressed=addressed)
        desk.handle(tx, message, number, rules, NOW)
        rows = delivery.select().where(delivery.c.kind == "answer", delivery.c.dedupe.like(f"answer:{number}:%"))
        documents = [from_json((get(tx, row.id).payload or {})["document"]) for row in tx.conn.execute(rows)]
    return "\n".join(f"{document.heading()}\n{outline(document)}" for document in documents)


@pytest.mark.parametrize("talk", [LUNCH, "skip", "more", "ok", "contact list", "123456", "13800138000"])
def test_a_form_is_not_answered_by_what_was_said_to_others(database: Database, talk: str) -> None:
    assert "What is the full name?" in heard(database, "contact add")
    assert heard(database, talk, addressed=False) == ""
    assert "Which phone number?" in heard(database, "Zhou Min")


def test_in_a_group_a_form_says_that_answers_need_a_mention(database: Database) -> None:
    assert "Mention me in your answer." in heard(database, "contact add")
    assert "Mention me" not in heard(database, "contact add", place=CHAT)


def test_a_form_one_to_one_needs_no_mention(database: Database) -> None:
    heard(database, "contact add", place=CHAT)
    assert "Which phone number?" in heard(database, LUNCH, place=CHAT)


def test_a_form_is_left_without_a_mention(database: Database) -> None:
    heard(database, "contact add")
    assert "nothing is changed" in heard(database, "cancel", addressed=False)
    assert "do not know" in heard(database, "contcat ad")


def test_the_form_for_a_code_takes_digits_without_a_mention(database: Database) -> None:
    assert "six digits" in heard(database, "code")
    assert heard(database, LUNCH, addressed=False) == ""
    assert "No code is expected" in heard(database, "123456", addressed=False)
    assert "P00" in heard(database, "contact list")


def test_the_question_for_the_own_name_is_not_answered_by_what_was_said_to_others(database: Database) -> None:
    assert "full name" in heard(database, "me wang@example.com", person=WANG)
    assert heard(database, LUNCH, addressed=False, person=WANG) == ""
    assert "Wang Fang" in heard(database, "Wang Fang", person=WANG)


def test_a_list_goes_on_for_who_says_so_to_the_bot(database: Database) -> None:
    assert "5 more follow" in heard(database, "contact list")
    assert heard(database, "more", addressed=False) == ""
    assert "P24" in heard(database, "more")


def test_yes_and_no_need_no_mention(database: Database) -> None:
    for said, answer in (("no", "nothing is changed"), ("yes", "is removed")):
        heard(database, "contact remove P03")
        assert answer in heard(database, said, addressed=False)
