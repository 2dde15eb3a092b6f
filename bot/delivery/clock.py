"""The database's time, for replicas on several machines.

Leases, gates and the windows of budgets are moments that one process writes and another one compares with its own time.
So that no machine's clock matters, all of them go by the database's: it is asked now and then, and told in between by a
counter that nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

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
