"""What a process costs, and how the tables are printed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and all that it started, as far as they live."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process and its children have used; NaN where there is no /proc."""
    total = 0.0
    for one in family(pid):
        try:
            words = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        total += (int(words[11]) + int(words[12])) / TICKS
    return total


def resident_mib(pid: int, *, most: bool = False) -> float:
    """Memory of a process and its children in RAM, or the most that ever was; NaN where there is no /proc."""
    word = "VmHWM:" if most else "VmRSS:"
    total = 0.0
    for one in family(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            return float("nan")
        total += sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(word))
    return total


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One clear table: the first column to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in (heads, *rows)) for column in range(len(heads))]
    print(f"\n{title}")
    for line in (heads, *rows):
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells), flush=True)


def number(value: float, digits: int = 0) -> str:
    """`12,345`; a dash for what was not measured."""
    return "–" if value != value else f"{value:,.{digits}f}"
