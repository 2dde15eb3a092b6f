"""Alert in to card out: at 10 a second, and at half of what can be taken in; Alertmanager beside it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import alertmanager, service
from bench.intake import Measured, Target, measured, ours, peers
from bench.load import Receiver, percentile
from bench.machine import number, table

CALM_RATE = 10.0
SECONDS, QUICK_S = 60.0, 4.0
FULL_S, QUICK_FULL_S = 8.0, 1.0
ROBOTS = 20
"""Of each of two platforms, so that none comes near its budget at CALM_RATE."""

PATIENCE_S = 20.0
HEADS = ("", "alerts/s", "request p50", "p99", "card p50", "ratio", "p99", "ratio", "worst", "arrived", "cores")


@contextmanager
def robots(folder: str, receiver: Receiver) -> Iterator[Target]:
    """The service on SQLite with Lark and Slack robots, a source for each."""
    url = f"sqlite:///{Path(folder) / 'bench.db'}"
    lark = (("lark", f"https://open.feishu.cn/open-apis/bot/v2/hook/hook{n}") for n in range(ROBOTS))
    slack = (("slack", f"https://hooks.slack.com/services/T1/B1/hook{n}") for n in range(ROBOTS))
    told = {f"told{n}": (service.Robot(*robot),) for n, robot in enumerate((*lark, *slack))}
    service.fill(url, told)
    with service.running(url, {"LARK_API_URL": receiver.url, "SLACK_HOOKS_URL": receiver.url}) as running:
        yield Target("Callboard, cards", [running.intake(name) for name in told], service.ALERT, running.pid)


def settled(one: Measured, receiver: Receiver) -> list[float]:
    """Milliseconds from sending each alert to its first arrival, when all have come, or no more do."""
    end = time.monotonic() + PATIENCE_S
    while receiver.count() < len(one.result.sent) and time.monotonic() < end:
        time.sleep(0.1)
    seen = receiver.report()
    sent = one.result.sent
    return sorted((seen[request * 100][0] - at) * 1000 for request, at in sent.items() if request * 100 in seen)


def row(one: Measured, spans: list[float], beside: list[float]) -> tuple[str, ...]:
    """A line of the table; `beside` are the spans it is compared with."""
    result = one.result
    half, almost = percentile(spans, 50), percentile(spans, 99)
    return (
        one.target.name,
        number(result.rate),
        f"{number(result.percentile(50), 1)} ms",
        f"{number(result.percentile(99), 1)} ms",
        f"{number(half, 1)} ms",
        number(half / percentile(beside, 50), 2),
        f"{number(almost, 1)} ms",
        number(almost / percentile(beside, 99), 2),
        f"{number(max(spans, default=float('nan')), 1)} ms",
        f"{len(spans):,} of {len(result.sent):,}",
        number(one.cpu_s / result.wall_s, 2),
    )


def main(*, quick: bool = False) -> None:
    seconds, full_s = (QUICK_S, QUICK_FULL_S) if quick else (SECONDS, FULL_S)
    rows = []
    theirs: list[float] = []
    with Receiver() as receiver, peers(receiver) as targets:
        for target in targets[1:]:
            one = measured(target, 1, seconds, CALM_RATE)
            theirs = settled(one, receiver)
            rows.append(row(one, theirs, []))
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver, robots(folder, receiver) as target:
        one = measured(target, 1, seconds, CALM_RATE)
        rows.append(row(one, settled(one, receiver), theirs))
    table(f"Alert in to card out at {CALM_RATE:.0f} a second for {seconds:.0f} s", HEADS, rows)

    rows, theirs = [], []
    with Receiver() as receiver, peers(receiver) as targets:
        full = [measured(target, 1, full_s).result.rate for target in targets[1:]]
    # Servers made anew: nothing is left over from finding out how much they can take.
    with Receiver() as receiver, peers(receiver) as targets:
        for target, rate in zip(targets[1:], full, strict=True):
            one = measured(target, 1, full_s, rate / 2)
            theirs = settled(one, receiver)
            rows.append(row(one, theirs, []))
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver, ours(folder, receiver) as (_, told):
        rate = measured(told, 1, full_s).result.rate
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver, ours(folder, receiver) as (_, told):
        one = measured(told, 1, full_s, rate / 2)
        rows.append(row(one, settled(one, receiver), theirs))
    table(f"The same at half of what each can take in, for {full_s:.0f} s", HEADS, rows)
    if alertmanager.program() is None:
        print(alertmanager.MISSING)
