"""What a sender does with a lane that it holds: one message after the other, within the lane's budgets.

Each is sent between two short transactions: the first reserves the send in the lane's window, the second writes what
became of it (`bot.delivery.record`). A crash in between means one message may be sent again, never that one is lost.
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
from bot.delivery.record import Recorder
from handlers import merging, meters, outbox, retries
from handlers.budgets import Throttle, kept, next_slot, past
from handlers.context import Rules
from handlers.errors import DeliveryError
from handlers.merging import Merge, Send, Traffic, Wait
from handlers.texts import _, from_json, to_json
from handlers.times import local
from storage import crowds, deliveries, lanes
from storage.crowds import Waiting
from storage.database import Database, Tx
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
        lane: LaneRow,
        database: Database,
        rules: Rules,
        sender: Sender,
        recorder: Recorder,
        clock: Callable[[], datetime],
        *,
        settled_at: datetime,
    ) -> None:
        """`settled_at`: what may have been sent before a crash waits until then."""
        self._lane = lane
        self._database = database
        self._rules = rules
        self._sender = sender
        self._recorder = recorder
        self._clock = clock
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
        self.waits_since: float | None = None
        """Since when (`time.monotonic`) a platform is being waited for."""

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
        self._recorder.given_up(row, why, reason)
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
        share = merging.share_of(self._budgets)
        # Of a small limit more sends are remembered than it needs, so that they can be divided.
        self._budgets = (*self._budgets, share.throttle)
        traffic = Traffic(self._window, self._cards, self._budgets, share, to_ms(now))
        brief = self._sender.brief(head)
        if alone and not brief and traffic.is_calm():  # mostly so, and quicker than looking at what else there may be
            self._chosen = crowds.card(tx, head.id), False
            return _Start(head, now)
        room = traffic.room()
        late: list[Waiting] = []
        waiting = crowds.around(tx, head, now, merging.MOST if brief else room + 1)
        if not brief and len(waiting) > room:
            waiting = crowds.around(tx, head, now, merging.MOST)
            if len(waiting) == merging.MOST:
                late = crowds.around(tx, head, now, LATEST, newest=True)
        if not waiting:
            return _Start(head, now)
        # An alarm that comes while the others wait is looked at if it may go before them.
        self._calm_for = outbox.OTHER if traffic.may_go_ahead() else outbox.CRITICAL
        if brief:
            decision = merging.summed_up(waiting, to_ms(now))
        elif len(waiting) <= room:
            decision = merging.calm(waiting, traffic)
        else:
            decision = merging.crowded(waiting, late, traffic, self._told)
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
            size, fresh = crowds.size(tx, head.lane, now - timedelta(seconds=merging.INFLOW_S))
        # What the first digest of a visit took away came as fast as what it left.
        self._inflow = max(self._inflow, fresh)
        more = max(0, size - len(waiting))
        least = traffic.least_named(waiting, size, self._inflow)
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
        self._told = merging.remembered(self._told, named, to_ms(now))
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
        started = self.waits_since = time.monotonic()
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
        self.waits_since = None
        took_ms = round((time.monotonic() - started) * 1000)
        # A send counts from when the answer came: the platform's clock cannot have seen it later.
        self._window = kept([*self._window, to_ms(self._clock())], self._budgets)
        self.sent_now += 1
        if self._chosen is not None:
            chosen, ahead = self._chosen
            self._chosen = None
            self._told = merging.remembered(self._told, [chosen], to_ms(now))
            if ahead:
                self._cards = [*self._cards, self._window[-1]][-len(self._window) :]
        if error is not None:
            return self._failed(row, error, took_ms)
        self._fails = 0
        self._released = self._recorder.sent(row, receipt, took_ms, partial(self._give_back, only_idle=True))
        return not self._released

    def _failed(self, row: DeliveryRow, error: DeliveryError, took_ms: int) -> bool:
        now = self._clock()
        self._fails += 1
        later = self._recorder.failed(row, error, took_ms, now)
        if later is None:
            return True
        at = later.at
        if not later.pause and row.attempts + 1 >= PATIENT_TRIES:
            at = now + timedelta(seconds=retries.DELAYS_S[0])
        if later.pause or (row.priority < lanes.AHEAD and row.kind != "digest"):
            self._open_at = at
        else:  # nobody asked for it: a person who waits for a code or an answer need not wait for an alert
            self._calm_at, self._calm_for = at, lanes.AHEAD
        return False

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
