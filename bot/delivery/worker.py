"""The delivery worker: claims lanes, keeps budgets, sends, settles.

One thread claims lanes that are due and hands each to a sender thread; that one sends the lane's messages in order (see
`bot.delivery.visit`). When it is calm, who puts something into an idle lane claims it in the same transaction (`Early`).
"""

from __future__ import annotations

import logging
import os
import queue
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from bot.delivery.clock import EvenClock
from bot.delivery.compose import Sender
from bot.delivery.record import Recorder
from bot.delivery.shares import Choice, Held, choices, counted
from bot.delivery.visit import LEASE, Visit
from bot.metrics import Heartbeats, Metrics
from handlers import due, outcomes, retries
from handlers.context import Rules
from storage import alerts, batches, bodies, codes, deliveries, forget, lanes, silences, upkeep
from storage.database import Database, Tx, is_unavailable
from storage.lanes import LaneRow, Pick

log = logging.getLogger(__name__)

SENDERS = 24
"""Lanes worked on at once, besides those whose platform is slow."""

SLOW_S = 2.0
"""Who is waited for so long takes no sender from others any more: one more thread takes its place."""

RENEW_S = 5.0
"""How often the leases of what is being sent are renewed."""

AGAIN_S = 0.25
"""How soon the end of a send is written again, when the database could not take it."""

MOST_A_VISIT = 20
"""Messages sent before a lane goes back to the end of the line."""

MOST_CLAIMED = 8
"""Lanes claimed in one transaction."""

POLL_S = 1.0
SWEEP_S = 3.0

LASTING_S = 0.5
"""How often what became of the sends is brought to the disk: it could be sent again after a power cut."""

TIDY_S = 3600.0

KEPT = timedelta(days=90)
"""How long the delivery log and alerts that are over are kept."""

CLOCK_JUMP = timedelta(seconds=5)
FIRST_RETRY = timedelta(seconds=retries.DELAYS_S[0])

SETTLING = timedelta(seconds=6)
"""What may have been sent before a crash waits until the process has run so long: a crash loop repeats nothing."""

SPIN_S = 0.01
"""The shortest pause: what is due may be what another process is claiming this very moment."""


class Worker:
    def __init__(
        self,
        database: Database,
        rules: Rules,
        sender: Sender,
        *,
        clock: Callable[[], datetime],
        metrics: Metrics,
        heartbeats: Heartbeats,
        chance: Callable[[], float] = random.random,
        senders: int = SENDERS,
        slow_s: float = SLOW_S,
        alone: bool = False,
        poll_s: float = POLL_S,
        even: EvenClock | None = None,
    ) -> None:
        """
        alone  no other process works on this database, so leases left by a crash can be ended at once
        even   the clock, where it has to be compared with the machine's
        """
        self._even = even
        self._database = database
        self._rules = rules
        self._sender = sender
        self._clock = clock
        self._heartbeats = heartbeats
        self._senders = senders
        self._poll_s = poll_s
        self._slow_s = slow_s
        self._held: dict[str, Held] = {}
        self._visited: dict[str, Visit] = {}
        self._holding = threading.Lock()
        self._claimed: queue.SimpleQueue[Visit | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._alone = alone
        # Not the same after a restart: what this name holds, this worker works on.
        self._me = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._news = threading.Condition()
        self._woken = False
        self._surely_due = False
        self._open = False
        self._stopping = False
        self._stopped = threading.Event()
        self._pause_s = 0.0
        self._thread: threading.Thread | None = None
        self._last = self._started_at = clock()
        self._recorder = Recorder(
            database,
            rules,
            metrics,
            clock=clock,
            chance=chance,
            pause=lambda: not self._stopped.wait(AGAIN_S),
            patience=LEASE,
        )

    def wake(self) -> None:
        """Something is due; from any thread."""
        self._surely_due = True
        self._look_again()

    def _look_again(self) -> None:
        with self._news:
            self._woken = True
            self._news.notify()

    def start(self) -> None:
        self._heartbeats.beat("worker")
        self._started_at = self._clock()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()
        with self._holding:
            self._make_threads(self._senders)

    def _make_threads(self, wanted: int) -> None:
        """As many as are wanted in all. They stay: what was slow once will be again."""
        while len(self._threads) < wanted:
            # Daemons: what still hangs when the process has to end is cut off, and sent again after the next start.
            one = threading.Thread(target=self._visits, name=f"sender-{len(self._threads)}", daemon=True)
            try:
                one.start()
            except RuntimeError:  # the system gives no more; those there are do the work, one after the other
                log.exception("a further sender could not be started")
                return
            self._threads.append(one)

    def stop(self, timeout_s: float) -> None:
        """Claims nothing more, lets the sends in flight end and settle, as far as there is time."""
        end = time.monotonic() + timeout_s
        with self._news:
            self._stopping = True
            self._news.notify()
        self._stopped.set()
        if self._thread:
            self._thread.join(timeout_s)
            for _each in self._threads:
                self._claimed.put(None)
            for thread in self._threads:
                thread.join(max(0.0, end - time.monotonic()))
            if held := self._lanes_held():
                log.warning("sends were cut off by the stop; they may be repeated", extra={"count": len(held)})
        self._heartbeats.forget("worker")

    def _run(self) -> None:
        sweep_at = tidy_at = renew_at = lasting_at = 0.0
        if self._alone:
            self._guarded(self._free_all)
        self._open = True  # not before: it would free what was claimed meanwhile
        while not self._stopping:
            self._heartbeats.beat("worker")
            ticks = time.monotonic()
            if ticks >= sweep_at:
                self._guarded(self._sweep)
                sweep_at = ticks + SWEEP_S
            if ticks >= lasting_at:
                self._guarded(self._database.make_lasting)
                lasting_at = ticks + LASTING_S
            if ticks >= renew_at:
                self._guarded(self.renew)
                renew_at = ticks + RENEW_S
            if ticks >= tidy_at:
                self._guarded(self._tidy)
                tidy_at = ticks + TIDY_S
            self._pause_s = self._poll_s  # what fails is still due: without a pause it would fail again at once
            self._guarded(self._claim)
            with self._news:
                if self._pause_s and not self._woken and not self._stopping:
                    self._news.wait(self._pause_s)
                self._woken = False

    def _guarded(self, step: Callable[[], object]) -> None:
        """One broken step must not end the loop."""
        try:
            step()
        except Exception:
            log.exception("the delivery worker stumbled")

    def renew(self) -> None:
        """Keeps what is being sent ours, however long it takes. Alone nobody else could take it."""
        held = self._lanes_held()
        if held and not self._alone:
            with self._database.write(lasting=False) as tx:
                lanes.renew(tx, held, self._me, self._clock() + LEASE)

    def _free_all(self) -> None:
        with self._database.write() as tx:
            upkeep.free_all(tx, self._clock())

    def _sweep(self) -> None:
        now = self._clock()
        with self._database.read() as tx:  # a look at all that waits: nobody else should wait for it
            forgotten = upkeep.forgotten(tx, now)
        self._notice_jump()
        now = self._clock()
        with self._database.write() as tx:
            if now < self._last - CLOCK_JUMP:
                log.warning("the clock was set back")
                upkeep.clock_went_back(tx, now, FIRST_RETRY)
            woken = outcomes.report_overdue(tx, now)
            lanes.wake(tx, {*forgotten, *woken}, now)
        self._last = now
        with self._database.write() as tx:  # by itself: whatever it meets, what is owed is looked after
            lanes.wake(tx, due.run(tx, self._rules, now), now)

    def _notice_jump(self) -> None:
        """Moves with the machine's clock what is counted in time that passes."""
        if self._even is None or not (jump := self._even.behind()):
            return
        moved = False
        try:
            with self._database.write(lasting=False) as tx:
                upkeep.clock_was_set(tx, self._clock() + jump, jump, FIRST_RETRY)
                self._even.set(jump)  # here, so that nobody who has the writer sees the one without the other
                moved = True
        except BaseException:
            if moved:
                self._even.set(-jump)
            raise
        self._last += jump
        self._started_at += jump
        log.warning("the clock was set", extra={"seconds": round(jump.total_seconds())})

    def _tidy(self) -> None:
        now = self._clock()
        with self._database.write() as tx:
            deliveries.purge(tx, now - timedelta(days=1), now - KEPT)
            batches.purge(tx, now - timedelta(days=1))
            forget.sweep(tx)
            alerts.purge(tx, now - KEPT)
            silences.purge(tx, now - KEPT)
            bodies.purge(tx, now - bodies.KEPT)
            codes.forget(tx, now - timedelta(days=2))

    def _lanes_held(self) -> frozenset[str]:
        with self._holding:
            return frozenset(self._held)

    def _choices(self) -> tuple[Choice, ...]:
        """What the next sender may work on."""
        with self._holding:
            return choices(self._counted(), self._senders)

    def _crowded(self) -> bool:
        """Whether more lanes are worked on than there are senders: platforms that were waited for have answered."""
        if len(self._held) <= self._senders:
            return False
        with self._holding:
            return len(self._counted()) > self._senders

    def _counted(self) -> list[Held]:
        before = time.monotonic() - self._slow_s
        return counted(self._held, {key: visit.waits_since for key, visit in self._visited.items()}, before)

    def _claim(self) -> None:
        """Claims what is due, as far as there are senders for it, and hands it to them; else says how long to pause."""
        mine = {one.pick: one.full for one in self._choices()}
        if not mine:
            return None
        held = self._lanes_held()
        now = self._clock()
        if not self._surely_due:
            # A look first: it waits for nobody who writes, and mostly nothing is due.
            with self._database.read() as tx:
                moments = lanes.next_of_each(tx, held, mine)
            if not any(moment <= now for moment in moments.values()):
                return self._pause_until(min(moments.values(), default=None))
        self._surely_due = False  # before the claim: what comes meanwhile is claimed after it
        if not self._hand_out(self._claimed_of(mine, held, now)):
            self._pause_s = SPIN_S  # it was nothing, or another process has it: the next look says how long to pause
        return None

    def _pause_until(self, moment: datetime | None) -> None:
        if moment is not None:
            self._pause_s = min(self._poll_s, max(SPIN_S, (moment - self._clock()).total_seconds()))

    def _hand_out(self, claimed: Sequence[LaneRow]) -> bool:
        """Gives the lanes to the senders; False when there are none."""
        for lane in claimed:
            self._claimed.put(self._visit_of(lane))
        if claimed:
            self._pause_s = 0.0
        return bool(claimed)

    def _claimed_of(self, wanted: Mapping[Pick, str], held: frozenset[str], now: datetime) -> list[LaneRow]:
        """Lanes of these kinds that are due, claimed for the senders that are free."""
        mine: dict[Held, LaneRow] = {}

        def claim(tx: Tx) -> None:
            self._let_go(mine)  # of a try that was taken back
            mine.clear()
            due = {pick for pick, moment in lanes.next_of_each(tx, held, wanted).items() if moment <= now}
            while due and len(mine) < MOST_CLAIMED:
                one = next((one for one in self._choices() if one.pick in due), None)
                if one is None:
                    break
                row = lanes.claim(tx, self._me, now, LEASE, self._lanes_held(), one.pick, full=one.full)
                if row is None:
                    due.discard(one.pick)
                else:
                    lane = Held(row.key, row.urgent, row.fails == 0, row.asked)
                    mine[lane] = row
                    self._hold([lane])

        try:
            self._database.write_together(claim, lasting=False)
        except BaseException:
            self._let_go(mine)
            raise
        return list(mine.values())

    def _hold(self, mine: Iterable[Held]) -> None:
        """While one has the writer: what is held is known to whoever writes next."""
        with self._holding:
            self._held.update((lane.key, lane) for lane in mine)
            self._make_threads(len(self._held))

    def _let_go(self, mine: Iterable[Held | LaneRow]) -> None:
        with self._holding:
            for lane in mine:
                self._held.pop(lane.key, None)
                self._visited.pop(lane.key, None)

    @contextmanager
    def early(self) -> Iterator[Early]:
        """Around a transaction that puts something into lanes."""
        early = Early(self)
        try:
            yield early
        finally:
            early.drop()

    def hold_early(self, tx: Tx, keys: Collection[str]) -> list[Visit]:
        """Claims some of the lanes that are idle, as long as half of the senders are left for the worker's choices."""
        with self._holding:
            held = frozenset(self._held)
            room = min(MOST_CLAIMED, self._senders // 2 - len(self._counted()))
        # One that is given back in the database and still held here is on its way to be let go.
        wanted = sorted(key for key in keys if key not in held)[: max(0, room)]
        if not wanted or not self._open or self._stopping:
            return []
        claimed = lanes.claim_idle(tx, wanted, self._me, self._clock(), LEASE)
        self._hold(Held(lane.key, lane.urgent, well=True, asked=lane.asked) for lane in claimed)
        return [self._visit_of(lane) for lane in claimed]

    def send(self, visits: Iterable[Visit]) -> None:
        """Gives them to the senders."""
        for visit in visits:
            self._claimed.put(visit)

    def let_go(self, visits: Iterable[Visit]) -> None:
        """They are over, or nothing was claimed after all."""
        self._let_go(visit.lane for visit in visits)

    def _visit_of(self, lane: LaneRow) -> Visit:
        return Visit(
            lane,
            self._database,
            self._rules,
            self._sender,
            self._recorder,
            self._clock,
            settled_at=self._started_at + SETTLING,
        )

    def _visits(self) -> None:
        while (visit := self._claimed.get()) is not None:
            self._carry_out(visit)

    def _carry_out(self, visit: Visit) -> None:
        with self._holding:
            self._visited[visit.lane.key] = visit
        try:
            more = True
            while more and (
                visit.begun or (visit.sent_now < MOST_A_VISIT and not self._stopping and not self._crowded())
            ):
                more = visit.step()
        except Exception:
            log.exception("a lane could not be worked on")
            visit.rest()
        finally:
            self._guarded(visit.release)
            self.let_go([visit])
            self._look_again()


class Early:
    """Lanes that are claimed, and their first messages begun, in the transaction that puts something into them.

    It saves the way over the worker's thread and two transactions. What was claimed is sent once others can see it.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._visits: list[Visit] = []

    def claim(self, tx: Tx, keys: Collection[str]) -> frozenset[str]:
        """Those of the lanes that are taken care of; the others have to be woken."""
        self._visits = self._worker.hold_early(tx, keys)
        for place, visit in enumerate(self._visits):
            try:
                visit.begin(tx, compose=not place)  # the others are no later for being composed by their senders
            except Exception as error:
                if is_unavailable(error):
                    raise
                # The sender meets it again, and knows what to do: what came in must not fail with it.
                log.exception("a message could not be begun")
        return frozenset(visit.lane.key for visit in self._visits)

    def send(self) -> None:
        """What was claimed is committed."""
        visits, self._visits = self._visits, []
        self._worker.send(visits)

    def drop(self) -> None:
        """What was not sent was not committed."""
        self._worker.let_go(self._visits)
        self._visits = []
