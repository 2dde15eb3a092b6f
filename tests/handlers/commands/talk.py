"""For tests of commands that need no chat platform: somebody says something, and this is what is answered."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from bot.markup.plain import outline
from bot.platforms.contract import Incoming
from handlers import desk
from handlers.context import Rules
from handlers.document import Document, from_json
from handlers.texts import Language
from storage.database import Database
from storage.schema import delivery
from tests.handlers.test_outcomes import get
from tests.storage.seed import NOW

ADMIN, MEMBER = "dingtalk:corp/admin", "dingtalk:corp/member"
numbers = itertools.count(1)


def said(
    database: Database,
    text: str,
    *,
    person: str = ADMIN,
    language: Language = "en",
    now: datetime = NOW,
    rules: Rules | None = None,
) -> str:
    """All answers as plain text, headings first; they do not stay in the queue."""
    documents = answers(database, text, person=person, language=language, now=now, rules=rules)
    return "\n\n".join(f"{document.heading()}\n{outline(document)}" for document in documents)


def answers(
    database: Database,
    text: str,
    *,
    person: str = ADMIN,
    language: Language = "en",
    now: datetime = NOW,
    rules: Rules | None = None,
) -> list[Document]:
    """All answers, which do not stay in the queue."""
    rules = replace(rules or Rules(), language=language, admins=frozenset({ADMIN}))
    number = f"talk-{next(numbers)}"
    with database.write() as tx:
        before = tx.conn.scalar(select(delivery.c.id).order_by(delivery.c.id.desc()).limit(1)) or 0
        message = Incoming("dingtalk", number, person, "", f"dingtalk:chat-{person[-5:]}", True, text)
        desk.handle(tx, message, number, rules, now)
        fresh = delivery.c.id > before, delivery.c.kind == "answer"
        documents = [
            from_json((get(tx, one).payload or {})["document"])
            for one in tx.conn.scalars(select(delivery.c.id).where(*fresh).order_by(delivery.c.id))
        ]
        tx.conn.execute(delivery.delete().where(*fresh))
    return documents
