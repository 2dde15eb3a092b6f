"""Alertmanager alone, in three set-ups, and the load generator against a target that does nothing."""

from __future__ import annotations

from bench import alertmanager, service
from bench.intake import HEADS, QUICK_S, SECONDS, SENDERS, Target, measured, peers, row
from bench.load import Receiver
from bench.machine import table


def main(*, quick: bool = False) -> None:
    seconds = QUICK_S if quick else SECONDS
    rows = []
    for size in (1, 100):
        with Receiver() as receiver:
            rows.append(row(measured(Target("nothing", (receiver.url,), service.ALERT, receiver.pid), size, seconds)))
    for size in (1, 100):
        with Receiver() as receiver, peers(receiver, grouped=True) as targets:
            rows += [row(measured(target, size, seconds)) for target in targets]
    table(f"Alertmanager alone: {SENDERS} connections for {seconds:.0f} s, in memory", HEADS, rows)
    if alertmanager.program() is None:
        print(alertmanager.MISSING)
