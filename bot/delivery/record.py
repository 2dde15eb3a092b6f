"""What became of a send, written down: the message's own end, what follows from it, and the try in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.metrics import Metrics
from handlers import outcomes, retries
from handlers.context import Rules
from handlers.errors import DeliveryError
from handlers.retries import DeadLetter, RetryLater, Simplify
from handlers.texts import to_json
from storage import crowds, deliveries, lanes
from storage.database import Database, Tx, is_unavailable
from storage.deliveries import DeliveryRow

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorder:
    """One for all lanes of this process.

    chance    in [0, 1): spreads the times of further tries
    pause     waits a little; False when there is no time left to wait
    patience  how long a write is tried again: as long as the lane is ours
    """

    database: Database
    rules: Rules
    metrics: Metrics
    clock: Callable[[], datetime]
    chance: Callable[[], float]
    pause: Callable[[], bool]
    patience: timedelta

    def sent(self, row: DeliveryRow, receipt: str, took_ms: int, give_back: Callable[[Tx], bool]) -> bool:
        """The platform took the message; whether the lane was given back in the same transaction.

        give_back  does that if nothing else waits in it, and says whether it did
        """
        now = self.clock()
        since = [row.created_at] if row.kind == "alert" else []
        released = False

        def write(tx: Tx) -> None:
            nonlocal since, released
            released = False  # whatever was written before this was taken back
            if row.kind == "digest":
                since = [one.created_at for one in crowds.merged(tx, row.id)]
            woken = outcomes.sent(tx, row, receipt, self.rules, now)
            deliveries.tried(tx, row.id, now, "sent", "", took_ms)
            lanes.wake(tx, woken, now)
            # Most lanes have one message. Not together with other lanes' locks: two visits could wait for each other.
            if not woken:
                released = give_back(tx)

        def write_least(tx: Tx) -> None:
            deliveries.settle(tx, row.id, state="sent", done_at=now, receipt=receipt[:255], reason="", say=None)
            crowds.settle_merged(tx, row.id, state="sent", done_at=now, reason="", say=None)

        try:
            self._write(row, write)
        except Exception:
            # Whatever was to follow from it: the platform took the message, and must not get it again and again.
            log.exception("what follows from a sent message could not be written", extra={"delivery": row.id})
            released = False
            self._write(row, write_least)
        self.metrics.deliveries.labels(row.channel, "sent").inc()
        for moment in since:
            self.metrics.delivery_seconds.observe(max(0.0, (now - moment).total_seconds()))
        return released

    def failed(self, row: DeliveryRow, error: DeliveryError, took_ms: int, now: datetime) -> RetryLater | None:
        """The try did not work; when the message is tried again. None: it is over, or it goes once more at once."""
        outcome = "unknown" if error.unknown else "permanent" if error.permanent else "temporary"
        self.metrics.deliveries.labels(row.channel, outcome).inc()
        log.info(
            "a send did not work",
            extra={"delivery": row.id, "channel": row.channel, "outcome": outcome, "reason": error.reason},
        )

        def tried(tx: Tx) -> None:
            deliveries.tried(tx, row.id, now, outcome, error.reason, took_ms)

        if row.kind == "code" and row.channel == "sms" and error.unknown:
            # It may have arrived, and a second one within the minute would be refused: the person can ask again.
            with self.database.write() as tx:
                tried(tx)
                lanes.wake(tx, outcomes.sent(tx, row, "", self.rules, now), now)
            return None
        decision = retries.decide(
            error,
            attempts=row.attempts + 1,
            plain=row.plain,
            expires_at=row.expires_at,
            now=now,
            chance=self.chance(),
        )
        match decision:
            case Simplify():
                if row.kind == "digest":
                    with self.database.write() as tx:
                        tried(tx)
                        outcomes.dissolved(tx, row, error.reason[:64], now)
                else:
                    self._again(row, error, tried, due_at=now, plain=True)
                return None
            case RetryLater(at):
                self._again(row, error, tried, due_at=at, plain=row.plain)
                return decision
            case DeadLetter(reason):
                self.given_up(row, error, reason, tried)
                return None

    def given_up(
        self, row: DeliveryRow, error: DeliveryError, reason: str, tried: Callable[[Tx], None] | None = None
    ) -> None:
        """The message is not sent any more. `tried` writes the try that was the last one, if there was one just now."""
        now = self.clock()

        def write(tx: Tx) -> None:
            if tried is not None:
                tried(tx)
            woken = outcomes.given_up(tx, row, error, reason, self.rules, now)
            lanes.wake(tx, woken, now)

        self._write(row, write)
        if reason == outcomes.OVER:
            self.metrics.deliveries.labels(row.channel, "cancelled").inc()
            return
        self.metrics.deliveries.labels(row.channel, "dead").inc()
        log.warning("a message was given up", extra={"delivery": row.id, "channel": row.channel, "reason": reason})

    def _again(
        self, row: DeliveryRow, error: DeliveryError, tried: Callable[[Tx], None], *, due_at: datetime, plain: bool
    ) -> None:
        def write(tx: Tx) -> None:
            tried(tx)
            deliveries.settle(tx, row.id, due_at=due_at, plain=plain, reason=error.reason[:64], say=to_json(error.say))

        self._write(row, write)

    def _write(self, row: DeliveryRow, write: Callable[[Tx], None]) -> None:
        """Writes what became of a message, again and again where the database cannot take it just now.

        A message whose end was never written is sent once more. Meanwhile the lane sends nothing, and when its lease has
        run out somebody else will have taken it.
        """

        def once_more(tx: Tx) -> None:
            # The commit that seemed to fail may have been one.
            known = deliveries.by_id(tx, row.id)
            if known is not None and known.state == "ready":
                write(tx)

        end = time.monotonic() + self.patience.total_seconds()
        again = False
        while True:
            try:
                self.database.write_together(once_more if again else write)
                return
            except Exception as error:
                if not is_unavailable(error) or time.monotonic() >= end or not self.pause():
                    raise
                log.warning("the end of a send could not be written yet", extra={"delivery": row.id})
                again = True
