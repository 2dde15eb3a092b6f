"""What a sender does with a lane that it holds: one message after the other, within the lane's budgets.

Each is sent between two short transactions: the first reserves the send in the lane's window, the second writes what
became of it. A crash in between means one message may be sent again, never that one is lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bot.delivery.compose import Composed, Sender
from bot.metrics import Metrics
from handlers import digests, meters, outbox, outcomes, retries
from handlers.budgets import Throttle, kept, next_slot, past
from handlers.context import Rules
from handlers.digests import Merge, Send, Traffic, Wait
from handlers.errors import DeliveryError
from handlers.retries import DeadLetter, RetryLater, Simplify
from handlers.texts import _, from_json, to_json
from handlers.times import local
from storage import crowds, deliveries, lanes
from storage.crowds import Waiting
from storage.database import Database, Tx, is_unavailable
from storage.deliveries import DeliveryRow
from storage.lanes import LaneRow
from storage.schema import from_ms, to_ms

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=20)
"""How soon others take over what a process that died was working on. Renewed before each message, and while it is sent."""

LATEST = 300
"""Alerts at the end of a long line that are looked at for what must not drown."""

PATIENT_TRIES = 6
"""After so many tries a message that keeps failing no longer holds up the others of its lane."""

WORTH_SAYING = timedelta(seconds=10)

STUMBLE = timedelta(seconds=5)
"""How long a lane rests after something went wrong that no rule foresees."""


@dataclass(frozen=True, slots=True)
class _Start:
    """The message is to be sent now, once its slot is reserved."""

    row: DeliveryRow
    at: datetime


class Visit:
    """One lane while this process holds it."""

    def __init__(
        self,
        database: Database,
        rules: Rules,
        sender: Sender,
        lane: LaneRow,
        clock: Callable[[], datetime],
        metrics: Metrics,
        chance: Callable[[], float],
        *,
        settled_at: datetime,
        pause: Callable[[], bool],
    ) -> None:
        """`pause`: waits a little; False when there is no time left to wait."""
        self._pause = pause
        self._database = database
        self._rules = rules
        self._sender = sender
        self._lane = lane
        self._clock = clock
        self._metrics = metrics
        self._chance = chance
        self._settled_at = settled_at
        self._window = list(lane.sent)
        self._cards = list(lane.cards or ())
        self._told = dict(lane.rules or {})
        self._open_at: datetime | None = None
        self._calm_at: datetime | None = None
        self._calm_for = lanes.AHEAD
        self._inflow = 0
        self._fails = lane.fails
        self._budgets: tuple[Throttle, ...] = ()
        self._chosen: tuple[Waiting, bool] | None = None
        self._released = False
        self._begun: tuple[DeliveryRow, datetime, Composed | None] | None = None
        self.sent_now = 0

    @property
    def lane(self) -> LaneRow:
        return self._lane

    @property
    def begun(self) -> bool:
        """Whether a message is reserved and still to be sent."""
        return self._begun is not None

    def begin(self, tx: Tx, *, compose: bool = False) -> None:
        """Reserves the first message already in the transaction in which the lane is claimed, where it can go at once.

        compose  and composes it too, if that is quickly done
        """
        now = self._clock()  # nobody else has the writer, so that no send is noted after it was read
        act = self._planned(tx, now)
        if isinstance(act, _Start) and self._reserve(tx, act):
            self._begun = act.row, now, None
            if compose and self._sender.goes_to_an_address(act.row):
                with suppress(Exception):  # its sender meets it again, and sees to it
                    self._begun = act.row, now, self._sender.composed(tx, act.row, now, quickly=True)

    def step(self) -> bool:
        """Sends the lane's next message; False when it has to wait or there is none."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return self._send(*begun)
        now = self._clock()
        with self._database.look() as tx:
            act = self._planned(tx, now)
        if isinstance(act, _Start):
            start = act
            held = self._database.write_together(lambda tx: self._reserve(tx, start), lasting=False)
            return held and self._send(start.row, now)
        return act()

    def _planned(self, tx: Tx, now: datetime) -> _Start | Callable[[], bool]:
        """What is to be done next, once the transaction is over."""
        ready = deliveries.ready(tx, self._lane.key, now, 2)
        if not ready:
            return _wait
        row = ready[0]
        if row.expires_at <= now:
            return partial(self._drop, row, _too_late(row), "expired")
        held_back = meters.held_back(tx, row, self._rules, now) or self._sender.needless(tx, row)
        if held_back is not None:
            return partial(self._drop, row, held_back, held_back.reason)
        if row.begun_at is not None and now < self._settled_at:
            return partial(self._settle_down, row)
        self._budgets = self._sender.budgets(row)
        self._window = past(self._window, to_ms(now))
        self._cards = past(self._cards, to_ms(now))
        slot = next_slot(self._window, self._budgets, to_ms(now))
        if slot > to_ms(now):
            return partial(self._close, row, from_ms(slot))
        if row.begun_at is None and self._budgets and self._sender.merges(row):
            return self._alert(tx, row, now, alone=len(ready) == 1)
        return _Start(row, now)

    def _drop(self, row: DeliveryRow, why: DeliveryError, reason: str) -> bool:
        self._give_up(row, why, reason)
        return True

    def _settle_down(self, row: DeliveryRow) -> bool:
        self._database.write_together(
            lambda tx: deliveries.settle(tx, row.id, due_at=self._settled_at, begun_at=row.begun_at),
            lasting=False,
        )
        return True

    def _close(self, row: DeliveryRow, until: datetime) -> bool:
        """Closes the lane until then."""
        self._open_at = until
        self._say_why(row, until)
        return False

    def _reserve(self, tx: Tx, start: _Start) -> bool:
        """Takes a slot for the message; False when the lane was lost."""
        reserved = self._reserved(start.at)
        until = start.at + LEASE
        return lanes.starting(tx, start.row.id, self._lane.key, self._lane.token, reserved, start.at, until)

    def _reserved(self, now: datetime) -> list[int]:
        return kept([*self._window, to_ms(now)], self._budgets)

    def _alert(self, tx: Tx, head: DeliveryRow, now: datetime, *, alone: bool) -> _Start | Callable[[], bool]:
        """What comes next of the alerts that wait, `head` the most urgent: a card, a digest, or nothing yet."""
        share = digests.share_of(self._budgets)
        # Of a small limit more sends are remembered than it needs, so that they can be divided.
        self._budgets = (*self._budgets, share.throttle)
        traffic = Traffic(self._window, self._cards, self._budgets, share, to_ms(now))
        brief = self._sender.brief(head)
        if alone and not brief and traffic.is_calm():  # mostly so, and quicker than looking at what else there may be
            self._chosen = crowds.card(tx, head.id), False
            return _Start(head, now)
        room = traffic.room()
        late: list[Waiting] = []
        waiting = crowds.around(tx, head, now, digests.MOST if brief else room + 1)
        if not brief and len(waiting) > room:
            waiting = crowds.around(tx, head, now, digests.MOST)
            if len(waiting) == digests.MOST:
                late = crowds.around(tx, head, now, LATEST, newest=True)
        if not waiting:
            return _Start(head, now)
        # An alarm that comes while the others wait is looked at if it may go before them.
        self._calm_for = outbox.OTHER if traffic.may_go_ahead() else outbox.CRITICAL
        if brief:
            decision = digests.summed_up(waiting, to_ms(now))
        elif len(waiting) <= room:
            decision = digests.calm(waiting, traffic)
        else:
            decision = digests.crowded(waiting, late, traffic, self._told)
        match decision:
            case Wait(until):
                return partial(self._calm, head, from_ms(until))
            case Send(one, ahead):
                row = head if one.id == head.id else deliveries.by_id(tx, one.id)
                if row is None:
                    return _go_on
                self._chosen = (one, ahead)
                return _Start(row, now)
            case Merge(full_before):
                return partial(self._merge, head, waiting, from_ms(full_before), traffic, now)

    def _calm(self, head: DeliveryRow, until: datetime) -> bool:
        """Closes the lane to alerts until then, and to nothing else."""
        self._calm_at = until
        self._say_why(head, until)
        return False

    def _merge(
        self, head: DeliveryRow, waiting: list[Waiting], full_before: datetime, traffic: Traffic, now: datetime
    ) -> bool:
        """Makes a digest of as many as fit and sends it. A crash in between leaves it ready, and merged what it names."""
        with self._database.read() as tx:
            size, fresh = crowds.size(tx, head.lane, now - timedelta(seconds=digests.INFLOW_S))
        # What the first digest of a visit took away came as fast as what it left.
        self._inflow = max(self._inflow, fresh)
        coming = self._inflow * digests.STORM_S / digests.INFLOW_S
        more = max(0, size - len(waiting))
        oldest = min(to_ms(one.created_at) for one in waiting)
        least = round((size + coming) / traffic.digests_soon(oldest))
        named = self._sender.gathered(waiting, head, more, least, now)
        if len(named) == len(waiting) and not more and now < full_before:
            return self._calm(head, min(full_before, now + timedelta(milliseconds=traffic.share.pace_ms)))
        owed = outbox.digest(head, named, key=f"{self._lane.token}:{to_ms(now)}", now=now)
        reserved = self._reserved(now)
        with self._database.write(lasting=False) as tx:
            if not lanes.reserve(tx, self._lane.key, self._lane.token, reserved, now + LEASE):
                return False
            digest_id = crowds.merge(tx, owed, [one.id for one in named])
            digest = deliveries.by_id(tx, digest_id)
            deliveries.begin(tx, digest_id, now)
        if digest is None:
            return False
        self._told = digests.remembered(self._told, named, to_ms(now))
        return self._send(digest, now)

    def _say_why(self, row: DeliveryRow, until: datetime) -> None:
        """Notes on the next message, once, that it waits for the limit of its address."""
        if row.say is None and until - self._clock() > WORTH_SAYING:
            time = local(until, self._rules.zone)
            why = _("the limit of this address is reached; it goes on at {time}", time=time)
            self._database.write_together(
                lambda tx: deliveries.settle(tx, row.id, say=to_json(why), begun_at=row.begun_at), lasting=False
            )

    def _send(self, row: DeliveryRow, now: datetime, composed: Composed | None = None) -> bool:
        started = time.monotonic()
        error: DeliveryError | None = None
        receipt = ""
        try:
            receipt = self._sender.send(row, now, composed)
        except DeliveryError as failure:
            error = failure
        except Exception:
            # A bug of ours in one message: it must neither end the loop nor be tried for ever as it is.
            log.exception("a message could not be composed or sent", extra={"delivery": row.id, "kind": row.kind})
            error = DeliveryError(
                "internal",
                _("Callboard itself failed to send this; the operator's log says why."),
                permanent=row.attempts >= 2,
            )
        took_ms = round((time.monotonic() - started) * 1000)
        # A send counts from when the answer came: the platform's clock cannot have seen it later.
        self._window = kept([*self._window, to_ms(self._clock())], self._budgets)
        self.sent_now += 1
        if self._chosen is not None:
            chosen, ahead = self._chosen
            self._chosen = None
            self._told = digests.remembered(self._told, [chosen], to_ms(now))
            if ahead:
                self._cards = [*self._cards, self._window[-1]][-len(self._window) :]
        if error is None:
            self._took(row, receipt, took_ms)
            return not self._released
        return self._failed(row, error, took_ms)

    def _took(self, row: DeliveryRow, receipt: str, took_ms: int) -> None:
        now = self._clock()
        self._fails = 0
        since = [row.created_at] if row.kind == "alert" else []

        released = False

        def write(tx: Tx) -> None:
            nonlocal since, released
            released = False  # whatever was written before this was taken back
            if row.kind == "digest":
                since = [one.created_at for one in crowds.merged(tx, row.id)]
            woken = outcomes.sent(tx, row, receipt, self._rules, now)
            deliveries.tried(tx, row.id, now, "sent", "", took_ms)
            lanes.wake(tx, woken, now)
            # Most lanes have one message. Not together with other lanes' locks: two visits could wait for each other.
            if not woken:
                released = self._give_back(tx, only_idle=True)

        def write_least(tx: Tx) -> None:
            deliveries.settle(tx, row.id, state="sent", done_at=now, receipt=receipt[:255], reason="", say=None)
            crowds.settle_merged(tx, row.id, state="sent", done_at=now, reason="", say=None)

        try:
            self._settle(row, write)
            self._released = released
        except Exception:
            # Whatever was to follow from it: the platform took the message, and must not get it again and again.
            log.exception("what follows from a sent message could not be written", extra={"delivery": row.id})
            self._settle(row, write_least)
        self._metrics.deliveries.labels(row.channel, "sent").inc()
        for moment in since:
            self._metrics.delivery_seconds.observe(max(0.0, (now - moment).total_seconds()))

    def _settle(self, row: DeliveryRow, write: Callable[[Tx], None]) -> None:
        """Writes what became of a message, again and again where the database cannot take it just now.

        A message whose end was never written is sent once more. Meanwhile the lane sends nothing, and when its lease has
        run out somebody else will have taken it.
        """

        def once_more(tx: Tx) -> None:
            # The commit that seemed to fail may have been one.
            known = deliveries.by_id(tx, row.id)
            if known is not None and known.state == "ready":
                write(tx)

        end = time.monotonic() + LEASE.total_seconds()
        again = False
        while True:
            try:
                self._database.write_together(once_more if again else write)
                return
            except Exception as error:
                if not is_unavailable(error) or time.monotonic() >= end or not self._pause():
                    raise
                log.warning("the end of a send could not be written yet", extra={"delivery": row.id})
                again = True

    def _failed(self, row: DeliveryRow, error: DeliveryError, took_ms: int) -> bool:
        now = self._clock()
        outcome = "unknown" if error.unknown else "permanent" if error.permanent else "temporary"
        self._metrics.deliveries.labels(row.channel, outcome).inc()
        self._fails += 1
        log.info(
            "a send did not work",
            extra={"delivery": row.id, "channel": row.channel, "outcome": outcome, "reason": error.reason},
        )
        if row.kind == "code" and row.channel == "sms" and error.unknown:
            # It may have arrived, and a second one within the minute would be refused: the person can ask again.
            with self._database.write() as tx:
                deliveries.tried(tx, row.id, now, outcome, error.reason, took_ms)
                lanes.wake(tx, outcomes.sent(tx, row, "", self._rules, now), now)
            return True
        decision = retries.decide(
            error,
            attempts=row.attempts + 1,
            plain=row.plain,
            expires_at=row.expires_at,
            now=now,
            chance=self._chance(),
        )
        match decision:
            case Simplify():
                if row.kind == "digest":
                    self._dissolve(row, error, outcome, took_ms)
                else:
                    self._again(row, error, outcome, took_ms, due_at=now, plain=True)
                return True
            case RetryLater(at, pause):
                self._again(row, error, outcome, took_ms, due_at=at, plain=row.plain)
                if not pause and row.attempts + 1 >= PATIENT_TRIES:
                    at = now + timedelta(seconds=retries.DELAYS_S[0])
                if pause or (row.priority < lanes.AHEAD and row.kind != "digest"):
                    self._open_at = at
                else:  # nobody asked for it: a person who waits for a code or an answer need not wait for an alert
                    self._calm_at, self._calm_for = at, lanes.AHEAD
                return False
            case DeadLetter(reason):
                self._give_up(row, error, reason, outcome=outcome, took_ms=took_ms)
                return True

    def _again(
        self, row: DeliveryRow, error: DeliveryError, outcome: str, took_ms: int, *, due_at: datetime, plain: bool
    ) -> None:
        now = self._clock()

        def write(tx: Tx) -> None:
            deliveries.tried(tx, row.id, now, outcome, error.reason, took_ms)
            deliveries.settle(tx, row.id, due_at=due_at, plain=plain, reason=error.reason[:64], say=to_json(error.say))

        self._settle(row, write)

    def _dissolve(self, row: DeliveryRow, error: DeliveryError, outcome: str, took_ms: int) -> None:
        now = self._clock()
        with self._database.write() as tx:
            deliveries.tried(tx, row.id, now, outcome, error.reason, took_ms)
            outcomes.dissolved(tx, row, error.reason[:64], now)

    def _give_up(
        self, row: DeliveryRow, error: DeliveryError, reason: str, *, outcome: str = "", took_ms: int = 0
    ) -> None:
        now = self._clock()

        def write(tx: Tx) -> None:
            if outcome:
                deliveries.tried(tx, row.id, now, outcome, error.reason, took_ms)
            woken = outcomes.given_up(tx, row, error, reason, self._rules, now)
            lanes.wake(tx, woken, now)

        self._settle(row, write)
        if reason == outcomes.OVER:
            self._metrics.deliveries.labels(row.channel, "cancelled").inc()
            return
        self._metrics.deliveries.labels(row.channel, "dead").inc()
        log.warning("a message was given up", extra={"delivery": row.id, "channel": row.channel, "reason": reason})

    def rest(self) -> None:
        """The lane stays closed for a while: what broke a rule of ours just now would break it again at once."""
        self._open_at = self._clock() + STUMBLE

    def release(self) -> None:
        if not self._released:
            self._database.write_together(self._give_back, lasting=False)

    def _give_back(self, tx: Tx, *, only_idle: bool = False) -> bool:
        return lanes.release(
            tx,
            self._lane.key,
            self._lane.token,
            self._clock(),
            open_at=self._open_at,
            fails=self._fails,
            sent=self._window,
            calm_at=self._calm_at,
            calm_for=self._calm_for,
            cards=self._cards,
            rules=self._told,
            only_idle=only_idle,
        )


def _wait() -> bool:
    return False


def _go_on() -> bool:
    return True


def _too_late(row: DeliveryRow) -> DeliveryError:
    if row.say:
        why = from_json(row.say)
        say = _("It could not be sent in time; the last try: {why}", why=why)
    else:
        say = _("It could not be sent in time.")
    return DeliveryError("expired", say, permanent=True)
