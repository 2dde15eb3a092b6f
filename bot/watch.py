"""What is read from Alibaba Cloud without being asked: contacts every so often, and the events of DAS instances.

When something is due stands in a row, and whoever claims it does it: of several processes one, and after a restart no
sooner than before. Events are written together with how far they were read, so that a crash neither loses nor doubles any.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot import das
from bot.aliyun_reading import Account
from bot.imports import Cloud
from bot.metrics import Heartbeats, Metrics
from bot.rounds import Rounds
from handlers import import_orders, polling
from handlers.context import Rules
from handlers.errors import DeliveryError, PayloadError
from handlers.import_wishes import system_name
from handlers.model import Alert
from handlers.sources import SOURCES
from handlers.sources.contract import Body
from storage import imports, lanes
from storage.database import Database

log = logging.getLogger(__name__)

TICK_S = 5.0
EVERY = timedelta(seconds=60)
OVERLAP = timedelta(seconds=120)
"""Events of a time that was read already are asked for again: DAS may tell of one a little later than it happened."""

FURTHEST = timedelta(days=7)
LONGEST = timedelta(minutes=30)
"""Between two tries when DAS keeps refusing."""

STEP = timedelta(hours=6)
"""The most that is read at once, after a long time in which nothing was."""

SHORTEST = OVERLAP + timedelta(seconds=60)
"""Of what is read at once, however many events it has: it has to get past what is read twice."""

PATIENT_TRIES = 5
"""After so many tries, about an hour, the admins are told also of what may pass by itself."""


class Watch:
    """One thread; does nothing where neither `sync_every` nor `instances` is set.

    sync_every  None: contacts are imported when somebody asks only
    level       the least level of the events that are fetched, in DAS's words
    """

    def __init__(
        self,
        database: Database,
        rules: Rules,
        cloud: Cloud,
        *,
        sync_every: timedelta | None,
        instances: Sequence[str],
        level: str,
        clock: Callable[[], datetime],
        wake_worker: Callable[[], None],
        metrics: Metrics,
        heartbeats: Heartbeats,
    ) -> None:
        self._database = database
        self._rules = rules
        self._cloud = cloud
        self._sync_every = sync_every
        self._instances = tuple(instances)
        self._level = level
        self._clock = clock
        self._wake_worker = wake_worker
        self._metrics = metrics
        self._rounds = Rounds(
            "watch",
            self.tick,
            heartbeats,
            pause_s=TICK_S,
            trouble="what is read from Alibaba Cloud by itself could not be read",
        )

    def start(self) -> None:
        if self._sync_every is not None or self._instances:
            self._rounds.start()

    def stop(self, timeout_s: float) -> None:
        self._rounds.stop(timeout_s)

    def tick(self) -> None:
        """Does what is due; a step that breaks must not end the loop."""
        steps: list[Callable[[], None]] = [self._sync, *(lambda one=one: self._poll(one) for one in self._instances)]
        for step in steps:
            self._rounds.beat()
            try:
                step()
            except Exception:
                log.exception("what is read from Alibaba Cloud by itself could not be read")

    def _sync(self) -> None:
        if self._sync_every is None:
            return
        with self._database.write() as tx:
            now = self._clock()  # here, as it may take a while to get this far
            if imports.claim(tx, "cloudmonitor", now, self._sync_every) is None:
                return
            lanes.wake(tx, import_orders.begin_unasked(tx, "cloudmonitor", now), now)
        self._wake_worker()

    def _poll(self, instance: str) -> None:
        """Takes in the events of an instance since the last time."""
        key = f"events:{instance}"
        with self._database.write() as tx:
            now = self._clock()
            if not polling.sources_for(tx, instance, self._instances):
                return
            reading = imports.claim(tx, key, now, EVERY, LONGEST)
            imports.begin(tx, key, now)
        if reading is None:
            return
        start = max(reading.read_to or now, now - FURTHEST) - OVERLAP
        end = min(now, start + OVERLAP + STEP)
        try:
            report, end = self._events(instance, start, end, now)
        except DeliveryError as error:
            self._refused(instance, key, error, reading.fails, now)
            return
        with self._database.write() as tx:
            imports.hold(tx, key)
            took = polling.accept(tx, instance, self._instances, report, self._rules, now)
            imports.read(tx, key, end, now if end < now else now + EVERY)
            lanes.wake(tx, took.lanes, now)
        for alert in took.alerts:
            self._metrics.alerts_accepted.labels(polling.KIND, alert.status).inc()
        if took.lanes:
            self._wake_worker()

    def _events(self, instance: str, start: datetime, end: datetime, now: datetime) -> tuple[list[Alert], datetime]:
        """The alerts of that time, or of as much of its beginning as can be read at once, and where that ends."""
        account = self._cloud.account(system_name(f"das:{instance}"), das.RIGHTS_TO_EVENTS, now)
        while True:
            found: list[Alert] = []
            try:
                for event in das.events(account, instance, start, end, self._level):
                    self._rounds.beat()
                    found += self._alerts(account, instance, event, now)
            except das.TooMany:
                if end - start > SHORTEST:
                    end = start + max(SHORTEST, (end - start) / 2)
                    continue
                log.warning("more events of DAS than can be read", extra={"instance": instance})
            return found, end

    def _alerts(self, account: Account, instance: str, event: str | dict[str, Any], now: datetime) -> list[Alert]:
        """The alerts of one event; one that cannot be read is passed over: it must not hold up the others."""
        bare = _parsed(das.body_of(event, ""), now)
        with self._database.read() as tx:
            if bare and polling.all_known(tx, instance, self._instances, bare):
                return []
        detailed = _parsed(das.body_of(event, das.content(account, instance, event)), now)
        return [polling.about(alert, instance) for alert in detailed or bare]

    def _refused(self, instance: str, key: str, error: DeliveryError, fails: int, now: datetime) -> None:
        wait = min(LONGEST, EVERY * 2 ** min(fails, 5))
        if error.retry_after is not None:
            wait = min(LONGEST, max(wait, timedelta(seconds=error.retry_after)))
        log.warning("events of DAS could not be read", extra={"instance": instance, "reason": error.reason})
        with self._database.write() as tx:
            imports.failed(tx, key, now + wait)
            if error.permanent or fails >= PATIENT_TRIES:
                lanes.wake(tx, polling.refused(tx, instance, error, self._rules, now), now)
        self._wake_worker()


def _parsed(body: bytes, now: datetime) -> list[Alert]:
    try:
        return SOURCES[polling.KIND].parse(Body(body, "application/json"), now)
    except PayloadError as error:
        log.warning("an event of DAS cannot be read (%s)", error.path)
        return []
