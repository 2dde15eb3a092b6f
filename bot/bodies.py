"""Keeps bodies of sources, for the people who have to find out what is wrong with them.

Its own transaction, after the sender's request was decided: nothing here changes what he is answered. A source that
only sends rubbish costs no more than one write a second: of what comes faster the last one is kept, a moment later.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from handlers.errors import PayloadError
from handlers.sources.reader import clean
from handlers.texts import to_json
from storage import bodies
from storage.database import Database
from storage.sources import SourceRow

log = logging.getLogger(__name__)

MOST_CHARS = 65_536
"""Of a body; the rest is not kept."""

BURST = 5
REFILL = timedelta(seconds=1)
"""So many bodies of a source are written at once, and then one in this time: the last that came in it."""

MOST_SOURCES = 1000
MOST_WAITING = 50
"""Bodies that wait to be written; more are not kept."""


def _later(seconds: float, act: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


@dataclass(frozen=True, slots=True)
class _Body:
    text: str = field(repr=False)
    at: datetime
    error: PayloadError | None


class Bodies:
    """`later` does something after so many seconds, in a thread of its own."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], None] = _later,
    ) -> None:
        self._database = database
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._full_at: dict[int, datetime] = {}
        # Source and whether it was accepted -> the last such body, in the order in which they came.
        self._waiting: dict[tuple[int, bool], _Body] = {}
        self._flushes = False

    def refused(self, source: SourceRow, raw: bytes, error: PayloadError) -> None:
        """Keeps the beginning of a body that could not be read, and why. Never raises."""
        self._take(source.id, raw, error)

    def accepted(self, source: SourceRow, raw: bytes) -> None:
        """Keeps a body of a source with a mapping, so that changes of the mapping can be tried on it. Never raises."""
        if source.mapping:
            self._take(source.id, raw, None)

    def flush(self) -> None:
        """Writes what waits. Never raises."""
        now = self._clock()
        with self._lock:
            self._flushes = False
            waiting = {
                source_id: self._own(source_id)
                for source_id in dict.fromkeys(source for source, _kind in self._waiting)
            }
            for source_id in waiting:
                self._full_at[source_id] = max(self._full_at.get(source_id, now), now) + REFILL
        for source_id, found in waiting.items():
            self._keep(source_id, found)

    def _take(self, source_id: int, raw: bytes, error: PayloadError | None) -> None:
        now = self._clock()
        body = _Body(clean(raw[: MOST_CHARS * 4].decode("utf-8", "replace"))[:MOST_CHARS], now, error)
        with self._lock:
            kind = source_id, error is None
            if not self._may(source_id, now):
                if self._waiting.pop(kind, None) is not None or len(self._waiting) < MOST_WAITING:
                    self._waiting[kind] = body
                if self._flushes:
                    return
                self._flushes = True
                found = []
            else:
                found = [*self._own(source_id), body]
        if found:
            self._keep(source_id, found)
        else:
            self._later(REFILL.total_seconds(), self.flush)

    def _may(self, source_id: int, now: datetime) -> bool:
        """Whether the source has one left; `_full_at` is when it has all of them again."""
        if len(self._full_at) >= MOST_SOURCES:
            self._full_at.clear()
        full_at = max(self._full_at.get(source_id, now), now)
        if full_at - now > (BURST - 1) * REFILL:
            return False
        self._full_at[source_id] = full_at + REFILL
        return True

    def _own(self, source_id: int) -> list[_Body]:
        """Takes what waits of the source, oldest first."""
        kinds = [kind for kind in self._waiting if kind[0] == source_id]
        return [self._waiting.pop(kind) for kind in kinds]

    def _keep(self, source_id: int, found: Iterable[_Body]) -> None:
        try:
            with self._database.write() as tx:
                for body in found:
                    if body.error is None:
                        bodies.keep(tx, source_id, body.text, body.at)
                    else:
                        bodies.keep(
                            tx, source_id, body.text, body.at, path=body.error.path, say=to_json(body.error.say)
                        )
        except Exception as error:
            # Also when the source was removed meanwhile. The sender has his answer, and nothing was lost. What the
            # database says may hold a part of the body.
            log.warning("a body could not be kept (%s)", type(error).__name__)
