"""What the response to a callback had no room for: owed as a message of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.platforms.contract import Incoming
from handlers import outbox
from handlers.document import Document
from handlers.texts import Language
from storage import lanes, people
from storage.database import Database


@dataclass(frozen=True, slots=True)
class Rest:
    """Owes documents where the callback came from; from any thread."""

    database: Database
    clock: Callable[[], datetime]
    wake_worker: Callable[[], None]

    def __call__(self, incoming: Incoming, document: Document, language: Language) -> None:
        now = self.clock()
        with self.database.write() as tx:
            place = people.conversation_by_id(tx, incoming.conversation)
            if place is None:
                return
            owed = outbox.answer(
                document,
                language,
                replace(place, reply_url=incoming.reply_url, reply_until=incoming.reply_until),
                incoming.person,
                private=False,
                dedupe=f"rest:{incoming.platform}:{incoming.message_id}"[:200],
                now=now,
            )
            wake = outbox.owe(tx, [owed])
            if tx.sqlite:
                lanes.wake(tx, wake, now)
        if not self.database.sqlite:
            with self.database.write() as tx:
                lanes.wake(tx, wake, now)
        self.wake_worker()
