"""Alerts in, over HTTP with full durability, at 1 and at 100 alerts a request; and from there to the card at 10 a second."""

from __future__ import annotations

import re
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

from bench.service import KEY, running
from bot.sandbox.world import World
from handlers import names
from storage import contacts, groups, sources
from storage.database import Database

SECONDS = 5.0
SENDERS = 16


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        world = World()
        world.add_robot("arms", "key1", "key1")
        database = Database(url, KEY)
        database.upgrade()
        now = datetime.now(UTC)
        with database.write() as tx:
            contact = contacts.add(tx, "arms", names.key("arms"), "", now)
            address = "https://alerts.aliyuncs.com/api/v1/integrations/custom/key1"
            contacts.change_method(tx, contacts.add_method(tx, contact, "arms", address, "", "", now), state="active")
            for name in ("empty", "full"):
                group = groups.add(tx, name, names.key(name), "", now)
                if name == "full":
                    groups.add_members(tx, group, [contact])
                sources.add(tx, name, names.key(name), "json", f"token-{name}", group, "", now)
        database.close()
        with running(world, url) as base:
            print(f"{SENDERS} senders, SQLite with full durability, waitress, senders in the same machine")
            for size in (1, 100):
                rate, p99 = ingest(base, size)
                print(f"{size:>4} a request: {rate:>8.0f} alerts/s, p99 of a request {p99:>7.1f} ms")
            latency(base, world)


def ingest(base: str, size: int) -> tuple[float, float]:
    """Alerts a second, and the 99th percentile of a request in milliseconds."""
    stop = time.monotonic() + SECONDS
    times: list[float] = []
    lock = threading.Lock()

    def send(sender: int) -> None:
        own, number = [], 0
        with requests.Session() as session:
            session.trust_env = False
            while time.monotonic() < stop:
                body = [{"title": f"alert {size} {sender} {number} {part}"} for part in range(size)]
                number += 1
                started = time.perf_counter()
                session.post(f"{base}/alerts/json/token-empty", json=body, timeout=30).raise_for_status()
                own.append((time.perf_counter() - started) * 1000)
        with lock:
            times.extend(own)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) * size / SECONDS, statistics.quantiles(times, n=100)[98]


def latency(base: str, world: World) -> None:
    """At 10 alerts a second: from the request to the card."""
    sent: dict[str, float] = {}
    with requests.Session() as session:
        session.trust_env = False
        for number in range(100):
            title = f"timed {number:03d} alert"
            sent[title] = time.time()
            session.post(f"{base}/alerts/json/token-full", json={"title": title}, timeout=30).raise_for_status()
            time.sleep(0.1)
    world.wait_for(lambda _event: len([e for e in world.events if e.kind == "alert"]) >= len(sent), timeout_s=20)
    spans = []
    for event in world.events:
        found = re.search(r"timed \d{3} alert", str(event.body)) if event.kind == "alert" else None
        if found:
            spans.append((event.at - sent[found[0]]) * 1000)
    cuts = statistics.quantiles(spans, n=100)
    print(
        f"alert in to card out at 10/s: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, {len(spans)} of {len(sent)} arrived"
    )
