"""What is counted, and which loops are alive. Numbers only: no address, name or token becomes a label."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

DELIVERY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
"""From "nobody notices" over the minute or two of a storm to an hour of back-off."""


class Heartbeats:
    """When each loop was last seen. Loops call `beat`; whoever judges calls `stale`. Safe from any thread.

    Times are those of `clock`, seconds of a clock that is never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def beat(self, name: str) -> None:
        """The loop of that name is alive. The first beat, before the loop starts, is what makes its death noticed."""
        with self._lock:
            self._seen[name] = self.clock()

    def forget(self, name: str) -> None:
        """The loop of that name has ended as it should."""
        with self._lock:
            self._seen.pop(name, None)

    def ages(self) -> dict[str, float]:
        """Seconds since each loop's last beat."""
        now = self.clock()
        with self._lock:
            return {name: max(0.0, now - seen) for name, seen in sorted(self._seen.items())}

    def stale(self, now: float, limit_s: float) -> list[str]:
        """The loops that have not been seen for more than `limit_s` seconds at `now` (a time of `clock`)."""
        with self._lock:
            return sorted(name for name, seen in self._seen.items() if now - seen > limit_s)


class _HeartbeatAges(Collector):
    def __init__(self, heartbeats: Heartbeats) -> None:
        self.heartbeats = heartbeats

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "callboard_thread_heartbeat_age_seconds", "Seconds since a loop was last alive", labels=["thread"]
        )
        for name, age in self.heartbeats.ages().items():
            family.add_metric([name], age)
        yield family


class Metrics:
    """The counters of one service; `queue_ready` says how many deliveries are due now."""

    def __init__(self, heartbeats: Heartbeats, queue_ready: Callable[[], float] | None = None) -> None:
        self.registry = CollectorRegistry()
        self.alerts_accepted = Counter(
            "callboard_alerts_accepted_total",
            "Alerts stored and acknowledged",
            ["source_kind", "status"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "callboard_deliveries_total",
            "Tries to send a card, by how they ended",
            ["channel", "outcome"],
            registry=self.registry,
        )
        self.delivery_seconds = Histogram(
            "callboard_delivery_seconds",
            "From an alert's acceptance to its card being taken by the platform",
            buckets=DELIVERY_BUCKETS_S,
            registry=self.registry,
        )
        self.inbound_messages = Counter(
            "callboard_inbound_messages_total",
            "Chat messages received",
            ["platform", "outcome"],
            registry=self.registry,
        )
        self.queue_ready = Gauge("callboard_queue_ready", "Deliveries that are not sent yet", registry=self.registry)
        self.http_requests = Counter(
            "callboard_http_requests_total", "HTTP requests answered", ["route", "status"], registry=self.registry
        )
        if queue_ready is not None:
            self.watch_queue(queue_ready)
        self.registry.register(_HeartbeatAges(heartbeats))
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def watch_queue(self, queue_ready: Callable[[], float]) -> None:
        """From now on the gauge asks this function, at each scrape; an error in it must not cost the other numbers."""

        def ready() -> float:
            try:
                return float(queue_ready())
            except Exception:  # the database is down: exactly then the rest is wanted
                return float("nan")

        self.queue_ready.set_function(ready)

    def render(self) -> bytes:
        """The page for Prometheus, of type CONTENT_TYPE."""
        return generate_latest(self.registry)
