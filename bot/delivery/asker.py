"""Asks providers what became of the SMS and calls they took, when no receipt came by itself.

One thread, apart from the worker's: a slow provider delays no message. A message is claimed by setting when it is asked
about next, so that of several processes one asks; when it dies over it, that one question is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from bot.aliyun import AliyunError
from bot.channels.contract import Channel, Outside, Question
from bot.http import Unreachable
from bot.metrics import Heartbeats
from bot.rounds import Rounds
from handlers import receipts
from handlers.context import Rules
from handlers.outbox import key_of
from storage import contacts, lanes
from storage import receipts as kept
from storage.database import Database
from storage.deliveries import DeliveryRow

log = logging.getLogger(__name__)

MOST_AT_ONCE = 10
"""Questions in a row; with the pause after them far below what any of these providers allows."""

PAUSE_S = 10.0

REST = timedelta(minutes=5)
"""No questions for so long after the provider did not answer, or refused to: it would do so again."""


class Asker:
    def __init__(
        self,
        database: Database,
        rules: Rules,
        outside: Outside,
        channels: Mapping[str, Channel],
        *,
        clock: Callable[[], datetime],
        heartbeats: Heartbeats,
        wake_worker: Callable[[], None],
    ) -> None:
        self._database = database
        self._rules = rules
        self._outside = outside
        self._channels = channels
        self._clock = clock
        self._wake_worker = wake_worker
        self._rests_until: datetime | None = None
        self._rounds = Rounds(
            "asker", self.round, heartbeats, pause_s=PAUSE_S, trouble="receipts could not be asked for"
        )

    def start(self) -> None:
        self._rounds.start()

    def stop(self, timeout_s: float) -> None:
        self._rounds.stop(timeout_s)

    def wake(self) -> None:
        """Looks at once what there is to ask; from any thread."""
        self._rounds.wake()

    def round(self) -> None:
        """Asks about a few of the messages that are due, the oldest question first."""
        now = self._clock()
        if self._rests_until is not None and self._rests_until - REST <= now < self._rests_until:
            return
        with self._database.read() as tx:
            soonest = kept.next_ask(tx)
            due = kept.to_ask(tx, now, MOST_AT_ONCE) if soonest is not None and soonest <= now else []
        for row, ask_at in due:
            if self._rounds.stopping:
                return
            self._rounds.beat()
            try:
                self._ask(row, ask_at, now)
            except (Unreachable, AliyunError) as error:
                log.warning("the provider does not say what became of messages (%s)", error)
                self._rests_until = now + REST
                return

    def _ask(self, row: DeliveryRow, ask_at: datetime, now: datetime) -> None:
        look_up = self._channels[row.channel].look_up if row.channel in self._channels else None
        with self._database.write() as tx:
            asking, later = receipts.next_ask(row, now, pushed=kept.are_pushed(tx, row.channel))
            method = contacts.method_by_id(tx, row.method_id) if row.method_id is not None else None
            if look_up is None or method is None:
                asking, later = False, None
            if not kept.put_off(tx, row.id, ask_at, later):
                return
        if not asking or look_up is None or method is None:
            return
        question = Question(key_of(row), row.receipt, method.address, row.done_at or row.created_at, now)
        report = look_up(question, self._outside)
        if report is None:
            return
        with self._database.write() as tx:
            woken = receipts.found(tx, row.id, report, self._rules, self._clock())
            if tx.sqlite:
                lanes.wake(tx, woken, now)
        if woken:
            if not self._database.sqlite:
                with self._database.write() as tx:
                    lanes.wake(tx, woken, now)
            self._wake_worker()
