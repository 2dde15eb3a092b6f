"""What is said to digits that are not for whoever says them, and where nothing is."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select, update

from bot.markup.plain import outline
from bot.platforms.contract import Incoming
from handlers import desk
from handlers.context import Rules
from handlers.document import from_json
from handlers.verification import PER_PERSON, WRONG_A_DAY
from storage import codes, forget, identities, people
from storage.database import Database
from storage.schema import delivery, method
from tests.handlers.commands.talk import ADMIN
from tests.handlers.test_outcomes import get
from tests.storage.fixtures import sqlite_database as database
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "sqlite_template"]

CODE, WRONG = "271828", "314159"
ROBOT = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=11111111-2222-3333-4444-555555555555"
LIN, CHEN = "wecom:ww01/lin", "wecom:ww01/chen"
RULES = Rules(language="en", admins=frozenset({ADMIN, LIN}), new_code=lambda: CODE)
HINT = "A code counts from whoever asked for it"
numbers = itertools.count(1)


def heard(database: Database, person: str, place: str, text: str, *, addressed: bool = True) -> str:
    """The answers to what somebody says in a group, or in a place called "…:chat" one-to-one."""
    number = f"verify-{next(numbers)}"
    platform = place.partition(":")[0]
    with database.write() as tx:
        before = tx.conn.scalar(select(delivery.c.id).order_by(delivery.c.id.desc()).limit(1)) or 0
        direct = place.endswith(":chat")
        desk.handle(
            tx, Incoming(platform, number, person, "", place, direct, text, addressed=addressed), number, RULES, NOW
        )
        fresh = delivery.c.id > before, delivery.c.kind == "answer"
        documents = [
            from_json((get(tx, one).payload or {})["document"])
            for one in tx.conn.scalars(select(delivery.c.id).where(*fresh))
        ]
    return "\n".join(f"{document.heading()}\n{outline(document)}" for document in documents)


def test_digits_that_do_not_count_in_another_platforms_group_are_answered_with_whose_do(database: Database) -> None:
    heard(database, ADMIN, "dingtalk:chat", f"contact add Team {ROBOT}")
    answers = {heard(database, person, "wecom:ops", digits) for person in (LIN, CHEN) for digits in (CODE, WRONG)}
    assert len(answers) == 1, "the same whether the digits are right or not"
    (answer,) = answers
    assert HINT in answer
    assert "link" in answer
    assert HINT in heard(database, CHEN, "wecom:chat", CODE)
    assert "is active" in heard(database, ADMIN, "dingtalk:chat", CODE)
    assert heard(database, CHEN, "wecom:ops", CODE) == "", "no code is waited for any more"


@pytest.mark.parametrize(
    ("asked_in", "linked_to", "said_in", "answered"),
    [
        ("wecom:ops", None, "wecom:ops", True),
        ("wecom:chat", "wecom:ops", "wecom:ops", True),
        ("wecom:ops", "wecom:other", "wecom:ops", False),
        ("wecom:chat", None, "wecom:ops", False),
        ("wecom:ops", None, "wecom:other", False),
        ("dingtalk:ops", None, "dingtalk:ops", False),
    ],
)
def test_digits_said_to_nobody_are_answered_only_where_a_card_asks_for_them(
    database: Database, asked_in: str, linked_to: str | None, said_in: str, answered: bool
) -> None:
    asker = ADMIN if asked_in.startswith("dingtalk") else LIN
    heard(database, asker, asked_in, f"contact add Team {ROBOT}")
    with database.write() as tx:
        tx.conn.execute(update(method).values(conversation=linked_to))
    assert (HINT in heard(database, CHEN, said_in, CODE, addressed=False)) == answered
    assert "is active" in heard(database, asker, asked_in, CODE)
    assert heard(database, CHEN, said_in, CODE, addressed=False) == "", "it is over"


def joined(database: Database) -> None:
    """Lin of WeCom and the admin of DingTalk are one human."""
    with database.write() as tx:
        for person in (ADMIN, LIN):
            people.seen(tx, person, "", NOW)
        identities.join(tx, ADMIN, LIN)


def test_codes_sent_to_all_identities_count_as_those_of_one_person(database: Database) -> None:
    joined(database)
    half = PER_PERSON[0].count // 2
    for person in (ADMIN, LIN):
        chat = f"{person.partition(':')[0]}:chat"
        for number in range(half):
            who = f"{person[-3:]}{number}"
            assert "on its way" in heard(database, person, chat, f"contact add {who} {who}@example.com")
    for person, chat in ((ADMIN, "dingtalk:chat"), (LIN, "wecom:chat")):
        assert "the most for one person" in heard(
            database, person, chat, f"contact add Z{chat[0]} {chat[0]}@example.com"
        )


@pytest.mark.parametrize("asks", [ADMIN, LIN])
def test_wrong_digits_of_all_identities_count_as_those_of_one_person(database: Database, asks: str) -> None:
    joined(database)
    chat = f"{asks.partition(':')[0]}:chat"
    heard(database, asks, chat, "contact add Ann ann@example.com")
    with database.write() as tx:
        for number in range(WRONG_A_DAY):
            codes.guessed_wrong(tx, (ADMIN, LIN)[number % 2], NOW)
    assert "Too many wrong codes" in heard(database, asks, chat, CODE)
    assert "Too many wrong codes" in heard(database, asks, chat, "link abcdefghij")
    with database.write() as tx:
        forget.forget(tx, [ADMIN, LIN], None, NOW)
        assert codes.wrong_guesses(tx, [ADMIN, LIN], NOW.replace(year=2000)) == WRONG_A_DAY
        assert len(codes.by_people(tx, [ADMIN, LIN], NOW.replace(year=2000))) == 1


def test_numbers_that_people_say_to_each_other_are_no_guesses(database: Database) -> None:
    for number in range(WRONG_A_DAY + 5):
        assert heard(database, LIN, "wecom:ops", f"{number:06}", addressed=False) == ""
    with database.read() as tx:
        assert codes.wrong_guesses(tx, [LIN], NOW.replace(year=2000)) == 0
    for number in range(WRONG_A_DAY):
        heard(database, LIN, "wecom:ops", f"{number:06}")
    assert "Too many wrong codes" in heard(database, LIN, "wecom:ops", CODE)
    assert heard(database, LIN, "wecom:ops", CODE, addressed=False) == ""
