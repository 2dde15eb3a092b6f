"""Chat messages in: taken in durably before the platform gets its answer, then handled one after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from bot.metrics import Heartbeats, Metrics
from bot.platforms.contract import Incoming, Press
from bot.rounds import Rounds
from handlers import buttons, desk, exchange, outbox, places
from handlers.context import Rules
from handlers.document import Document
from handlers.texts import _
from handlers.undo import LASTS
from storage import identities, inbound, lanes, people, presses, undo
from storage.database import Database, Tx, is_unavailable

log = logging.getLogger(__name__)

TRIES = 3
"""A message that makes a rule fail this often is put aside, with an apology; it must not block those behind it."""

TIDY_S = 3600.0
POLL_S = 1.0
"""How long a wake-up that was lost (another process took the message in) can delay a message."""


def to_json(incoming: Incoming) -> dict[str, Any]:
    values = asdict(incoming)
    until = incoming.reply_until
    return values | {"reply_until": until.isoformat() if until else None}


def from_json(stored: Mapping[str, Any]) -> Incoming:
    until = stored["reply_until"]
    mentions = tuple((person, name) for person, name in stored["mentions"])
    press = stored.get("press")
    return Incoming(
        **{
            **stored,
            "mentions": mentions,
            "press": Press(**press) if press else None,
            "reply_until": datetime.fromisoformat(until) if until else None,
        }
    )


def _late(message: Incoming) -> Incoming:
    """The message without what only worked in the response to its callback."""
    return replace(message, inline="")


class Inbox:
    """Takes messages in from any thread; one thread of its own carries them out in order."""

    def __init__(
        self,
        database: Database,
        rules: Rules,
        *,
        clock: Callable[[], datetime],
        wake_worker: Callable[[], None],
        metrics: Metrics,
        heartbeats: Heartbeats,
        tell: Callable[[], None] = lambda: None,
        poll_s: float = POLL_S,
    ) -> None:
        """`tell`: lets other processes know that a message waits; must neither wait nor fail."""
        self._tell = tell
        self._database = database
        self._rules = rules
        self._clock = clock
        self._wake_worker = wake_worker
        self._metrics = metrics
        self._tidy_at = 0.0
        self._rounds = Rounds(
            "inbox", self._round, heartbeats, pause_s=poll_s, trouble="a chat message could not be handled"
        )

    def take_in(self, incoming: Incoming) -> bool:
        """Stores the message; False when it was delivered before. Returns only once it is on disk."""
        with self._database.write() as tx:
            fresh = self._stored(tx, incoming, self._clock())
        self._metrics.inbound_messages.labels(incoming.platform, "new" if fresh is not None else "repeated").inc()
        if fresh is not None:
            self.wake()
            self._tell()
        return fresh is not None

    def wake(self) -> None:
        """A message waits; from any thread."""
        self._rounds.wake()

    def _stored(self, tx: Tx, incoming: Incoming, now: datetime) -> int | None:
        return inbound.take_in(
            tx,
            incoming.platform,
            incoming.message_id,
            to_json(incoming),
            now,
            event_id=incoming.event_id,
            # A person's messages in order, wherever they are written; of whom the platform does not name, by place.
            sender=incoming.person or incoming.conversation,
        )

    def carry_out(self, incoming: Incoming) -> exchange.Outcome | None:
        """Takes the message in and carries it out, in one transaction and in the caller's thread, for callbacks whose
        answer has to tell what became of them. None when it was delivered before, or has to wait like any other.

        Raises ForgedButton for a press of what is no button of ours; then nothing is stored.
        """
        if incoming.press is not None:
            buttons.opened(self._database.vault, incoming.press.token, link=incoming.platform == places.LINK)
        now = self._clock()
        try:
            with self._database.write() as tx:
                fresh = self._stored(tx, incoming, now)
                outcome = None
                if fresh is not None:
                    outcome = desk.handle(tx, incoming, str(fresh), self._rules, now)
                    inbound.handled(tx, fresh)
                    if tx.sqlite:
                        lanes.wake(tx, outcome.wake, now)
        except Exception as error:
            if is_unavailable(error):
                raise
            log.exception("a callback could not be carried out at once")
            self.take_in(incoming)  # to be tried again, and then put aside, like any other
            return None
        self._metrics.inbound_messages.labels(incoming.platform, "new" if outcome else "repeated").inc()
        if outcome is not None:
            self._woken(outcome.wake, now)
        return outcome

    def start(self) -> None:
        self._rounds.start()

    def stop(self, timeout_s: float) -> None:
        self._rounds.stop(timeout_s)

    def _round(self) -> None:
        if time.monotonic() >= self._tidy_at:
            self._tidy_at = time.monotonic() + TIDY_S
            self.tidy(self._clock())
        while not self._rounds.stopping and self.handle_next():
            self._rounds.beat()

    def handle_next(self) -> bool:
        """Carries out the oldest message; False when none waits. Effects, answers and "handled" are one transaction."""
        now = self._clock()
        failed: int | None = None
        wake: set[str] = set()
        try:
            with self._database.write() as tx:
                waiting = inbound.next_waiting(tx)
                if waiting is None:
                    return False
                failed = waiting.id
                message = from_json(waiting.body)
                if waiting.tries >= TRIES:
                    wake = self._put_aside(tx, waiting, message, now)
                else:
                    wake = desk.handle(tx, _late(message), str(waiting.id), self._rules, now).wake
                inbound.handled(tx, waiting.id)
                if tx.sqlite:
                    lanes.wake(tx, wake, now)
        except Exception:
            if failed is not None:
                with self._database.write() as tx:
                    inbound.tried(tx, failed)
            raise
        self._woken(wake, now)
        return True

    def _put_aside(self, tx: Any, waiting: inbound.Waiting, message: Incoming, now: datetime) -> set[str]:
        log.error("a chat message was put aside after %s tries", waiting.tries)
        place = people.conversation_by_id(tx, message.conversation)
        if place is None or not message.person:
            return set()
        sorry = Document(
            _("Sorry, something went wrong on my side; nothing was changed. The operator's log says more.")
        )
        return outbox.owe(
            tx,
            [
                outbox.answer(
                    sorry,
                    self._rules.language,
                    place,
                    message.person,
                    private=False,
                    dedupe=f"sorry:{waiting.id}",
                    now=now,
                )
            ],
        )

    def _woken(self, wake: set[str], now: datetime) -> None:
        if not wake:
            return
        if not self._database.sqlite:
            with self._database.write(hint=True) as tx:
                lanes.wake(tx, wake, now)
        self._wake_worker()

    def tidy(self, now: datetime) -> None:
        """Forgets what nobody asks for any more."""
        with self._database.write() as tx:
            inbound.forget(tx, now - timedelta(days=7))
            people.forget_expired(tx, now - timedelta(days=1))
            presses.forget(tx, now - buttons.LONG_LIFE - timedelta(days=1))
            identities.forget(tx, now)
            undo.forget(tx, now - LASTS)
