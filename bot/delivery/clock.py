"""What time it is, for leases, gates and the windows of budgets.

They are moments that are written once and compared later, by replicas also on other machines. So that no machine's clock
matters, replicas go by the database's: it is asked now and then, and told in between by a counter that nobody sets. One
process alone goes by its machine's, in the same way: when that one is set, it is told by how much.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

LEAP = timedelta(seconds=1)
"""A clock that differs by less was not set."""

VAGUE_S = 0.5
"""An answer that took so long says too little about now."""


class SharedClock:
    """`clock()` is the database's time. Off by half of what the question took, and by what the counter loses between two
    of them; a lease is longer by far.

    ask    what time it is for the database
    ticks  seconds, counted evenly, from any beginning
    """

    def __init__(self, ask: Callable[[], datetime], ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._known = self._asked(ask)[:2]

    def __call__(self) -> datetime:
        at, moment = self._known
        return moment + timedelta(seconds=self._ticks() - at)

    def compare(self, ask: Callable[[], datetime]) -> None:
        """Asks again: the machine may have slept, or another server be the primary."""
        at, moment, took_s = self._asked(ask)
        if took_s < VAGUE_S:
            self._known = at, moment

    def _asked(self, ask: Callable[[], datetime]) -> tuple[float, datetime, float]:
        before = self._ticks()
        moment = ask()
        took_s = self._ticks() - before
        return before + took_s / 2, moment, took_s


class EvenClock:
    """`clock()` is the machine's time as it was at the start, counted evenly since, and set when it is told so.

    wall   what time it is for the machine
    ticks  seconds, counted evenly, from any beginning
    """

    def __init__(self, wall: Callable[[], datetime], ticks: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._ticks = ticks
        self._known = ticks(), wall()

    def __call__(self) -> datetime:
        at, moment = self._known
        return moment + timedelta(seconds=self._ticks() - at)

    def behind(self) -> timedelta:
        """By how much the machine's clock was set since; zero for what clocks always differ."""
        jump = self._wall() - self()
        return jump if abs(jump) >= LEAP else timedelta(0)

    def set(self, jump: timedelta) -> None:
        """Goes on so much later; whoever keeps moments that are compared with it moves them too."""
        at, moment = self._known
        self._known = at, moment + jump
