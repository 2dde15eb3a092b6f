"""Alerts in: request threads hand them over and wait; one thread commits whatever has gathered.

A commit with full durability costs the same for one alert and for a hundred, so this is what makes intake fast. Nobody is
answered before the commit. An alert that cannot be stored fails alone.

A large report is committed in parts, in turn with the reports of others, and answered when all of it is on disk. When it
fails on the way, what was committed stays: its sender comes again, and those alerts count as repeats.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Protocol

from prometheus_client import Counter

from bot.metrics import Heartbeats, Metrics
from handlers import alerts
from handlers.model import Alert
from storage import lanes, sources
from storage.database import Database, NotConfirmed, Tx
from storage.sources import SourceRow

log = logging.getLogger(__name__)

MOST_AT_ONCE = 500
"""Alerts in one commit."""

MOST_OWED = 5000
"""Deliveries in one commit, as far as can be told before: others wait half a second for it."""

REPEATS = 4
"""After a part of a large report for which nothing was owed, as when it is sent again, the next may be so much larger."""

BREATH_S, BREATH_EVERY_S = 0.005, 1.0
"""A pause between the parts of large reports, every so often: the worker writes too, and waits until nobody does."""

TARGETS = 20
"""How many deliveries an alert is expected to make when nothing is known of its source yet."""

MOST_WAITING = 20_000
"""Alerts that may wait for the committer; more is an overload, and the sender is asked to come again."""

MOST_KNOWN = 1000
"""Sources that are kept in mind."""

PATIENCE_S = 15.0
"""How long a request waits for the commit; longer than SQLite waits for a lock, shorter than senders wait for us."""


class Overloaded(Exception):
    """Too much waits to be stored already; nothing of this report was stored."""


class NotStored(Exception):
    """The report could not be stored (or nobody knows whether it was): the sender has to send it again."""


class UnknownSource(Exception):
    """The token is no source's, or no longer."""


class OtherMapping(UnknownSource):
    """The source reads its reports in another way than when it was looked up; nothing of this one was stored."""


@dataclass(slots=True, eq=False)
class Job:
    """A report that was handed over. `told` is called once, from any thread, when it is known what became of it."""

    source: SourceRow
    token: str = field(repr=False)
    report: Sequence[Alert]
    told: Callable[[], None]
    until: float  # after this tick its sender is not there any more
    begun: int = 0  # so many of its alerts are, or are being, stored
    stored: int = 0
    repeats: bool = False  # nothing was owed for what was stored last
    ids: tuple[int, ...] = ()
    error: Exception | None = None
    done: bool = False

    def settle(self) -> None:
        if not self.done:
            self.done = True
            self.told()


class Early(Protocol):
    """Who begins to send what is owed already in the transaction that owes it."""

    def claim(self, tx: Tx, keys: Collection[str]) -> frozenset[str]:
        """Those of the lanes that are taken care of; the others have to be woken."""

    def send(self) -> None:
        """What was claimed is committed."""


class Intake:
    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime],
        repeat: timedelta,
        wake_worker: Callable[[], None],
        metrics: Metrics,
        heartbeats: Heartbeats,
        most_waiting: int = MOST_WAITING,
        most_owed: int = MOST_OWED,
        ticks: Callable[[], float] = time.monotonic,
        calls: bool = False,
        early: Callable[[], AbstractContextManager[Early]] | None = None,
    ) -> None:
        """`early`: around each transaction, where the worker is in this process; only on SQLite."""
        self._early: Callable[[], AbstractContextManager[Early | None]] = early or nullcontext
        self._database = database
        self._clock = clock
        self._repeat = repeat
        self._calls = calls
        self._wake_worker = wake_worker
        self._metrics = metrics
        self._heartbeats = heartbeats
        self._most_waiting = most_waiting
        self._most_owed = most_owed
        self._ticks = ticks
        self._news = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._large: deque[Job] = deque()
        self._large_is_next = False
        self._targets: dict[int, int] = {}
        self._known: dict[str, SourceRow] = {}
        self._counters: dict[tuple[str, str], Counter] = {}
        self._waiting = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def source_of(self, token: str) -> SourceRow | None:
        """The token's source, as it was when it was looked up last: `accept` finds out whether it still is.

        Reading it from the database for every report costs more than everything else a request thread does.
        """
        return self._known.get(token) or self.looked_up(token)

    def looked_up(self, token: str) -> SourceRow | None:
        """The token's source as it is now."""
        with self._database.read() as tx:
            found = sources.by_token(tx, token)
        if found is not None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[token] = found
        return found

    def in_mind(self, token: str) -> SourceRow | None:
        """The token's source, if it was looked up before; never waits."""
        return self._known.get(token)

    def accept(self, source: SourceRow, token: str, report: Sequence[Alert]) -> tuple[int, ...]:
        """The numbers of the alerts, once they are on disk. Raises Overloaded, NotStored, UnknownSource."""
        settled = threading.Event()
        job = self.hand_over(source, token, report, settled.set)
        if not settled.wait(PATIENCE_S):
            raise NotStored
        return self.taken(job)

    def hand_over(
        self,
        source: SourceRow,
        token: str,
        report: Sequence[Alert],
        told: Callable[[], None],
        *,
        more_to_come: bool = False,
    ) -> Job:
        """Gives the report to the committer. Raises Overloaded or NotStored, and then it was not taken.

        more_to_come  the committer is not woken for it: `wake` follows
        """
        job = Job(source, token, report, told, self._ticks() + PATIENCE_S)
        with self._news:
            if self._waiting and self._waiting + len(report) > self._most_waiting:
                raise Overloaded
            if self._stopping:
                raise NotStored
            self._jobs.append(job)
            self._waiting += len(report)
            if not more_to_come:
                self._news.notify()
        return job

    def wake(self) -> None:
        """Something was handed over."""
        with self._news:
            self._news.notify()

    def taken(self, job: Job) -> tuple[int, ...]:
        """The numbers of a settled job's alerts. Raises NotStored, UnknownSource."""
        if job.error is not None:
            self._known.pop(job.token, None)
            raise job.error
        statuses = [alert.status for alert in job.report]
        for status in set(statuses):
            key = (job.source.kind, status)
            counter = self._counters.get(key)
            if counter is None:
                counter = self._counters[key] = self._metrics.alerts_accepted.labels(*key)
            counter.inc(statuses.count(status))
        return job.ids

    def start(self) -> None:
        self._heartbeats.beat("intake")
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Commits what waits, then ends."""
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread:
            self._thread.join(timeout_s)
        self._heartbeats.forget("intake")

    def _run(self) -> None:
        breath_at = 0.0
        while True:
            self._heartbeats.beat("intake")
            with self._news:
                if not self._jobs and not self._large and not self._stopping:
                    self._news.wait(1.0)
                gathered = self._gathered()
                if not gathered and self._stopping:
                    return
            if gathered:
                self._commit(gathered)
                if self._large and self._ticks() >= breath_at:
                    time.sleep(BREATH_S)
                    breath_at = self._ticks() + BREATH_EVERY_S

    def _gathered(self) -> list[Job]:
        """What is committed next: the reports that came, as many as fit, and a part of a large one, in turn."""
        if not (self._large and self._large_is_next):
            gathered = self._small()
            if gathered or not self._large:
                self._large_is_next = True
                return gathered
        self._large_is_next = False
        job = self._large.popleft()
        self._begin(job, min(len(job.report), job.begun + self._most_of(job.source, repeats=job.repeats)))
        return [job]

    def _small(self) -> list[Job]:
        """The next reports that fit into one commit. One that does not alone is put among the large ones.

        What comes after it from the same source waits for its end: a recovery must not overtake its alarm.
        """
        gathered: list[Job] = []
        room = 1.0
        behind: list[Job] = []
        busy = {job.source.id for job in self._large}
        while self._jobs:
            job = self._jobs[0]
            share = len(job.report) / self._most_of(job.source)
            if job.source.id in busy:
                behind.append(job)
            elif share > 1.0:
                self._large.append(job)
                busy.add(job.source.id)
            elif share > room and gathered:
                break
            else:
                room -= share
                self._begin(job, len(job.report))
                gathered.append(job)
            self._jobs.popleft()
        self._jobs.extendleft(reversed(behind))
        return gathered

    def _most_of(self, source: SourceRow, *, repeats: bool = False) -> int:
        """How many alerts of the source fit into one commit."""
        most = self._most_owed * (REPEATS if repeats else 1)
        return max(1, min(MOST_AT_ONCE, most // self._targets.get(source.id, TARGETS)))

    def _begin(self, job: Job, end: int) -> None:
        self._waiting -= end - job.begun
        job.begun = end

    def _commit(self, gathered: list[Job]) -> None:
        """Commits the jobs together; when that fails, one by one, so that a bad one fails alone. Never raises.

        Not when the standby is missing: each would wait for it again.
        """
        try:
            self._store(gathered)
        except Exception as error:
            if len(gathered) == 1 or isinstance(error, NotConfirmed):
                log.exception("reports could not be stored")
                for job in gathered:
                    job.error = error if isinstance(error, UnknownSource) else NotStored()
            else:
                for job in gathered:
                    self._commit([job])
        for job in gathered:
            self._end(job)

    def _end(self, job: Job) -> None:
        """Settles what is stored, or cannot be; a large report whose sender still waits goes on.

        Also one of which nothing new is stored yet: it would never get further, however often it is sent.
        """
        left = len(job.report) - job.begun
        if left:
            with self._news:
                waited_for = self._ticks() < job.until or job.repeats
                if job.error is None and waited_for and not self._stopping:
                    self._large.append(job)
                    return
                self._waiting -= left
            job.error = job.error or NotStored()
        job.settle()

    def _store(self, gathered: list[Job]) -> None:
        now = self._clock()
        owed: set[str] = set()
        with self._early() as early, self._database.write(seen=early.send if early else None) as tx:
            # Sources are locked in one order, so that two processes never wait for each other.
            by_source = sorted(gathered, key=lambda job: job.source.id)
            for _source, jobs in groupby(by_source, key=lambda job: job.source.id):
                owed |= self._accept(tx, list(jobs), now)
            if early is not None:
                owed -= early.claim(tx, owed)
            if tx.sqlite:
                lanes.wake(tx, owed, now)
        for job in gathered:
            job.stored = job.begun
            if job.stored == len(job.report):
                job.settle()
        if owed:
            self._wake(owed, now)

    def _accept(self, tx: Tx, jobs: list[Job], now: datetime) -> frozenset[str]:
        """Accepts the reports of one source as one; the lanes to wake."""
        # First, because it locks the source: two processes that get the same alarm at once must not both find it new.
        source = sources.reporting(tx, jobs[0].source.id, {job.token for job in jobs}, now)
        if source is None:
            raise UnknownSource
        if any(job.source.mapping != source.mapping for job in jobs):
            raise OtherMapping
        report = [alert for job in jobs for alert in job.report[job.stored : job.begun]]
        accepted = alerts.accept(tx, source, report, now, self._repeat, calls=self._calls)
        numbers = iter(accepted.ids)
        for job in jobs:
            job.repeats = not accepted.lanes
            job.ids = (*job.ids[: job.stored], *islice(numbers, job.begun - job.stored))
        if accepted.lanes:
            if len(self._targets) >= MOST_KNOWN:
                self._targets.clear()
            self._targets[source.id] = len(accepted.lanes)
        return accepted.lanes

    def _wake(self, owed: set[str], now: datetime) -> None:
        """On PostgreSQL a transaction of its own: the accepting one must not wait for a lane that is being worked on.

        What goes wrong here was answered already and is found by the worker's sweep.
        """
        try:
            if not self._database.sqlite:
                with self._database.write(hint=True) as tx:
                    lanes.wake(tx, owed, now)
            self._wake_worker()
        except Exception:
            log.exception("the worker could not be woken; it will find the messages itself")
