"""Resident memory, and the size on disk, with 1,000, 10,000 and 100,000 open alerts; Alertmanager beside it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import alertmanager
from bench.intake import NUMBERS, SENDERS, Target, ours, peers
from bench.load import Load, Receiver, drive
from bench.machine import number, resident_mib, table

STEPS, QUICK_STEPS = (1_000, 10_000, 100_000), (1_000, 5_000)
A_REQUEST = 100
PATIENCE_S = 600.0
SETTLE_S = 2.0


def main(*, quick: bool = False) -> None:
    steps = QUICK_STEPS if quick else STEPS
    rows = []
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver, ours(folder, receiver) as targets:
        rows += grown(targets[0], steps, Path(folder))
    with tempfile.TemporaryDirectory() as folder, Receiver() as receiver, ours(folder, receiver) as targets:
        rows += grown(targets[1], steps, Path(folder))
    for which in range(2):
        with Receiver() as receiver, peers(receiver) as targets:
            if targets:
                rows += grown(targets[which], steps, None)
    table("Open alerts, and what they take", ("", "open alerts", "resident", "most", "on disk"), rows)
    if alertmanager.program() is None:
        print(alertmanager.MISSING)


def grown(target: Target, steps: Sequence[int], folder: Path | None) -> list[tuple[str, ...]]:
    """Lines of the table: the alerts are brought to each number in turn."""
    rows: list[tuple[str, ...]] = []
    there = 0
    for wanted in steps:
        requests = (wanted - there) // A_REQUEST
        load = Load(target.urls, target.alert, A_REQUEST, SENDERS, PATIENCE_S, requests=requests, first=next(NUMBERS))
        there += len(drive(load).times_ms) * A_REQUEST
        time.sleep(SETTLE_S)
        size = sum(file.stat().st_size for file in folder.iterdir()) / 2**20 if folder else float("nan")
        rows.append(
            (
                target.name,
                f"{there:,}",
                f"{number(resident_mib(target.pid))} MiB",
                f"{number(resident_mib(target.pid, most=True))} MiB",
                f"{number(size)} MiB" if folder else "–",
            )
        )
    return rows
