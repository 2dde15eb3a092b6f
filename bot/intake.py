"""Alerts in: request threads hand them over and wait; one thread commits whatever has gathered.

A commit with full durability costs the same for one alert and for a hundred, so this is what makes intake fast. Nobody is
answered before the commit. An alert that cannot be stored fails alone.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice

from prometheus_client import Counter

from bot.metrics import Heartbeats, Metrics
from handlers import alerts
from handlers.model import Alert
from storage import deliveries, sources
from storage.database import Database, NotConfirmed, Tx
from storage.sources import SourceRow

log = logging.getLogger(__name__)

MOST_AT_ONCE = 500
"""Alerts in one commit."""

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
    ids: tuple[int, ...] = ()
    error: Exception | None = None
    done: bool = False

    def settle(self) -> None:
        if not self.done:
            self.done = True
            self.told()


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
        calls: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._repeat = repeat
        self._calls = calls
        self._wake_worker = wake_worker
        self._metrics = metrics
        self._heartbeats = heartbeats
        self._most_waiting = most_waiting
        self._news = threading.Condition()
        self._jobs: deque[Job] = deque()
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

    def hand_over(self, source: SourceRow, token: str, report: Sequence[Alert], told: Callable[[], None]) -> Job:
        """Gives the report to the committer. Raises Overloaded or NotStored, and then it was not taken."""
        job = Job(source, token, report, told)
        with self._news:
            if self._waiting and self._waiting + len(report) > self._most_waiting:
                raise Overloaded
            if self._stopping:
                raise NotStored
            self._jobs.append(job)
            self._waiting += len(report)
            self._news.notify()
        return job

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
        while True:
            self._heartbeats.beat("intake")
            with self._news:
                if not self._jobs and not self._stopping:
                    self._news.wait(1.0)
                gathered = self._gathered()
                if not gathered and self._stopping:
                    return
            if gathered:
                self._commit(gathered)

    def _gathered(self) -> list[Job]:
        gathered: list[Job] = []
        size = 0
        while self._jobs and (not gathered or size + len(self._jobs[0].report) <= MOST_AT_ONCE):
            job = self._jobs.popleft()
            size += len(job.report)
            gathered.append(job)
        self._waiting -= size
        return gathered

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
            job.settle()

    def _store(self, gathered: list[Job]) -> None:
        now = self._clock()
        lanes: set[str] = set()
        with self._database.write() as tx:
            # Sources are locked in one order, so that two processes never wait for each other.
            by_source = sorted(gathered, key=lambda job: job.source.id)
            for _source, jobs in groupby(by_source, key=lambda job: job.source.id):
                lanes |= self._accept(tx, list(jobs), now)
            if tx.sqlite:
                deliveries.wake(tx, lanes, now)
        for job in gathered:
            job.settle()
        if lanes:
            self._wake(lanes, now)

    def _accept(self, tx: Tx, jobs: list[Job], now: datetime) -> frozenset[str]:
        """Accepts the reports of one source as one; the lanes to wake."""
        # First, because it locks the source: two processes that get the same alarm at once must not both find it new.
        source = sources.reporting(tx, jobs[0].source.id, {job.token for job in jobs}, now)
        if source is None:
            raise UnknownSource
        if any(job.source.mapping != source.mapping for job in jobs):
            raise OtherMapping
        report = [alert for job in jobs for alert in job.report]
        accepted = alerts.accept(tx, source, report, now, self._repeat, calls=self._calls)
        numbers = iter(accepted.ids)
        for job in jobs:
            job.ids = tuple(islice(numbers, len(job.report)))
        return accepted.lanes

    def _wake(self, lanes: set[str], now: datetime) -> None:
        """On PostgreSQL a transaction of its own: the accepting one must not wait for a lane that is being worked on.

        What goes wrong here was answered already and is found by the worker's sweep.
        """
        try:
            if not self._database.sqlite:
                with self._database.write(hint=True) as tx:
                    deliveries.wake(tx, lanes, now)
            self._wake_worker()
        except Exception:
            log.exception("the worker could not be woken; it will find the messages itself")
