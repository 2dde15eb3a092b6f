"""`kill -9` at random moments under load, and the loss of a primary database: what was answered 200 and never sent."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bench import service
from bench.load import NUMBER as MARK
from bench.load import PART, Receiver
from bench.machine import family, number, table
from tests import postgres

ROUNDS, QUICK_ROUNDS = 50, 2
SENDERS = 4
INTEGRATIONS = 12
A_ROUND_S = (0.1, 0.8)
PAUSE_S = 0.02
"""Between two alerts of a sender: about 100 a second in all, less than can be sent on, so that little waits at the end."""

FAILOVER_S, QUICK_FAILOVER_S = 10.0, 3.0
"""Of load before the primary is lost, and after the standby was promoted."""

DOWN_S = 1.0
PATIENCE_S = 120.0
HEADS = (
    "",
    "kills",
    "answered 200",
    "lost",
    "sent twice",
    "more often",
    "refused",
    "no answer",
    "first 200",
    "all sent",
)


class Senders:
    """Threads that report alerts to any of the addresses in `alive`, one alert each time; none is reported again.

    accepted  alert -> when it was answered 200 (epoch seconds)
    """

    def __init__(self, alive: list[service.Service]) -> None:
        self.alive = alive
        self.accepted: dict[int, float] = {}
        self.refused = self.unanswered = 0
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(SENDERS)]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._stop.wait(PAUSE_S):
            with self._lock:
                open_ones = [one for one in self.alive if one.url]
                alert = next(self._numbers)
            if open_ones:
                self._report(rng.choice(open_ones), alert)

    def _report(self, to: service.Service, alert: int) -> None:
        url = urlsplit(to.intake(f"told{alert % INTEGRATIONS}"))
        body = service.ALERT.replace(MARK, f"{alert:08d}").replace(PART, "00")
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)
        try:
            connection.request("POST", url.path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = 0
        finally:
            connection.close()
        with self._lock:
            if status == 200:
                self.accepted[alert] = time.time()
            elif status:
                self.refused += 1
            else:
                self.unanswered += 1


def killed(one: service.Service) -> None:
    """SIGKILL to the service and all that it started."""
    for pid in family(one.pid):
        os.kill(pid, signal.SIGKILL)
    one.process.wait()


def stopped(replicas: list[service.Service]) -> None:
    """SIGTERM to all of them."""
    for one in replicas:
        service.stop(one)


def rounds(url: str, receiver: Receiver, parts: Sequence[tuple[str, ...]], times: int, name: str) -> tuple[str, ...]:
    """Replicas with these parts; each time one of them is killed under load, and started again."""
    rng = random.Random(9)
    settings = prepared(url, receiver)
    with ExitStack() as stack:
        replicas = {words: service.start(settings, *words) for words in parts}
        alive = list(replicas.values())
        stack.callback(stopped, alive)
        senders = stack.enter_context(Senders(alive))
        back = []
        for _round in range(times):
            time.sleep(rng.uniform(*A_ROUND_S))
            words = rng.choice(list(replicas))
            alive.remove(replicas[words])
            killed(replicas[words])
            at = time.time()
            replicas[words] = service.start(settings, *words)
            alive.append(replicas[words])
            back.append(_first_after(senders, at))
        senders.stop()
        return outcome(name, times, senders, receiver, max(back))


def failover(pair: postgres.Pair, receiver: Receiver, seconds: float, name: str) -> tuple[str, ...]:
    """Two replicas; the primary is lost under load, and the standby promoted after DOWN_S."""
    settings = prepared(pair.fresh(), receiver)
    with ExitStack() as stack:
        alive: list[service.Service] = []
        stack.callback(stopped, alive)
        alive += [service.start(settings), service.start(settings)]
        senders = stack.enter_context(Senders(alive))
        time.sleep(seconds)
        pair.lose_primary()
        at = time.time()
        time.sleep(DOWN_S)
        pair.promote()
        back = _first_after(senders, at)
        time.sleep(seconds)
        senders.stop()
        return outcome(name, 1, senders, receiver, back)


def prepared(url: str, receiver: Receiver) -> dict[str, str]:
    """A filled database; the settings for it."""
    arms = "https://alerts.aliyuncs.com/api/v1/integrations/custom/key"
    service.fill(url, {f"told{n}": (service.Robot("arms", f"{arms}{n}"),) for n in range(INTEGRATIONS)})
    return service.environment(url, {"ARMS_URL": receiver.url})


def _first_after(senders: Senders, at: float) -> float:
    """Seconds from then to the next alert that was answered 200; NaN when none is."""
    end = time.time() + PATIENCE_S
    while time.time() < end:
        later = [one for one in list(senders.accepted.values()) if one > at]
        if later:
            return min(later) - at
        time.sleep(0.02)
    return float("nan")


def outcome(name: str, kills: int, senders: Senders, receiver: Receiver, back_s: float) -> tuple[str, ...]:
    """Waits until all that was answered 200 has arrived; a line of the table."""
    wanted = {alert * 100 for alert in senders.accepted}
    began = time.monotonic()
    seen = receiver.report()
    while not wanted <= seen.keys() and time.monotonic() < began + PATIENCE_S:
        time.sleep(0.25)
        seen = receiver.report()
    often = [times for _at, times in seen.values()]
    return (
        name,
        str(kills),
        f"{len(wanted):,}",
        f"{len(wanted - seen.keys()):,}",
        str(sum(times == 2 for times in often)),
        str(sum(times > 2 for times in often)),
        str(senders.refused),
        str(senders.unanswered),
        f"{number(back_s, 1)} s",
        f"{number(time.monotonic() - began, 1)} s",
    )


def main(*, quick: bool = False) -> None:
    times = QUICK_ROUNDS if quick else int(os.environ.get("ROUNDS", ROUNDS))
    rows = []
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver:
        rows.append(rounds(f"sqlite:///{Path(folder) / 'bench.db'}", receiver, ((),), times, "SQLite, one process"))
    notes = [
        told(rows, lambda: _replicas(times)),
        told(rows, lambda: _failover(QUICK_FAILOVER_S if quick else FAILOVER_S)),
    ]
    table("kill -9 under load: of the alerts that were answered 200", HEADS, rows)
    print("first 200: after a kill, the longest wait; all sent: after the load has ended")
    for note in filter(None, notes):
        print(note)


def told(rows: list[tuple[str, ...]], measure: Callable[[], tuple[str, ...]]) -> str:
    """Adds the line; or says why there is none."""
    try:
        rows.append(measure())
    except postgres.NoPostgres as error:
        return str(error)
    return ""


def _replicas(times: int) -> tuple[str, ...]:
    server = postgres.start(options=())
    try:
        with Receiver() as receiver:
            parts = ((), ("web",), ("worker",))
            return rounds(server.fresh(), receiver, parts, times, "PostgreSQL, one of three replicas")
    finally:
        server.stop()


def _failover(seconds: float) -> tuple[str, ...]:
    pair = postgres.start_pair()
    try:
        with Receiver() as receiver:
            return failover(pair, receiver, seconds, "PostgreSQL, the primary; its synchronous standby takes over")
    finally:
        pair.stop()
