"""What is said to digits that are not for whoever says them, and where nothing is."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot.markup.plain import outline
from bot.platforms.contract import Incoming
from handlers import desk
from handlers.context import Rules
from handlers.document import from_json
from storage.database import Database
from storage.schema import delivery, method
from tests.handlers.commands.talk import ADMIN
from tests.handlers.test_outcomes import get
from tests.storage import seed
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_template"]

CODE, WRONG = "271828", "314159"
ROBOT = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=11111111-2222-3333-4444-555555555555"
LIN, CHEN = "wecom:ww01/lin", "wecom:ww01/chen"
RULES = Rules(language="en", admins=frozenset({ADMIN, LIN}), new_code=lambda: CODE)
HINT = "A code counts from whoever asked for it"
numbers = itertools.count(1)


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}", seed.KEY)
    yield opened
    opened.close()


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
