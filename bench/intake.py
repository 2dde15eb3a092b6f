"""Alerts in over HTTP, at 1 and at 100 a request: the service with full durability, Alertmanager in memory beside it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import alertmanager, service
from bench.load import Load, Receiver, Result, drive
from bench.machine import cpu_s, number, table

SENDERS = 32
SECONDS, QUICK_S = 8.0, 1.0
ARMS = "https://alerts.aliyuncs.com/api/v1/integrations/custom"
INTEGRATIONS = 40
NUMBERS = itertools.count(0, 500_000)
"""Each load has its own numbers, so that every alert is a new one."""


@dataclass(frozen=True)
class Target:
    """What alerts are sent to."""

    name: str
    urls: Sequence[str]
    alert: str
    pid: int


@dataclass(frozen=True)
class Measured:
    """A load, what came of it, and what it cost the server."""

    target: Target
    size: int
    result: Result
    cpu_s: float

    @property
    def alerts_a_second(self) -> float:
        return self.result.rate * self.size


def measured(target: Target, size: int, seconds: float, rate: float = 0.0) -> Measured:
    """As many as it takes (or `rate` requests a second) for so long."""
    before = cpu_s(target.pid)
    result = drive(Load(target.urls, target.alert, size, SENDERS, seconds, rate, first=next(NUMBERS)))
    return Measured(target, size, result, cpu_s(target.pid) - before)


@contextmanager
def ours(folder: str, receiver: Receiver) -> Iterator[tuple[Target, Target]]:
    """The service on SQLite: a source of which nobody is told, and several of each of which an ARMS integration is.

    Several, because one address is told one thing after the other; ARMS, because its budget is not ours to keep.
    """
    url = f"sqlite:///{Path(folder) / 'bench.db'}"
    told = {f"told{n}": (service.Robot("arms", f"{ARMS}/key{n}"),) for n in range(INTEGRATIONS)}
    service.fill(url, {"empty": (), **told})
    with service.running(url, {"ARMS_URL": receiver.url}) as running:
        yield (
            Target("Callboard", (running.intake("empty"),), service.ALERT, running.pid),
            Target("Callboard, each told", [running.intake(name) for name in told], service.ALERT, running.pid),
        )


@contextmanager
def peers(receiver: Receiver, *, grouped: bool = False) -> Iterator[tuple[Target, ...]]:
    """Alertmanagers that tell nobody, tell each alert at once, and (`grouped`) tell groups; none where there is none."""
    if alertmanager.program() is None:
        yield ()
        return
    wanted = [("Alertmanager", "", alertmanager.EACH), ("Alertmanager, each told", receiver.url, alertmanager.EACH)]
    if grouped:
        wanted.append(("Alertmanager, grouped", receiver.url, alertmanager.GROUPED))
    with ExitStack() as stack:
        found = []
        for name, webhook, route in wanted:
            one = stack.enter_context(alertmanager.running(webhook, route))
            found.append(Target(name, (one.intake,), alertmanager.ALERT, one.pid))
        yield tuple(found)


def row(one: Measured, ratio: float = float("nan")) -> tuple[str, ...]:
    """A line of the table."""
    wall = one.result.wall_s
    return (
        one.target.name,
        str(one.size),
        number(one.alerts_a_second),
        number(ratio, 2),
        f"{number(one.result.percentile(50), 1)} ms",
        f"{number(one.result.percentile(99), 1)} ms",
        f"{number(one.cpu_s / wall, 2)}",
        f"{number(one.result.cpu_s / wall, 2)}",
        str(sum(one.result.refused.values())),
    )


HEADS = ("", "a request", "alerts/s", "ratio", "p50", "p99", "cores", "load's", "refused")


def main(*, quick: bool = False) -> None:
    seconds = QUICK_S if quick else SECONDS
    rows = []
    for size in (1, 100):
        # One server at a time, each new, so that none carries what another was told.
        with Receiver() as receiver, peers(receiver) as targets:
            theirs = [measured(target, size, seconds) for target in targets]
        with tempfile.TemporaryDirectory() as folder, Receiver() as receiver, ours(folder, receiver) as targets:
            mine = [measured(target, size, seconds) for target in targets]
        rates = [one.alerts_a_second for one in theirs] or [float("nan")] * 2
        for one, beside in zip(mine, rates, strict=True):
            rows.append(row(one, one.alerts_a_second / beside))
        rows += [row(one) for one in theirs]
    title = f"Alerts in: {SENDERS} connections for {seconds:.0f} s; SQLite with full durability, Alertmanager in memory"
    table(title, HEADS, rows)
    if not theirs:
        print(alertmanager.MISSING)
