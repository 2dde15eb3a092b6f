"""Keeps bodies of sources, for the people who have to find out what is wrong with them.

Its own transaction, after the sender's request was decided: nothing here changes what he is answered. A source that
only sends rubbish costs no more than one row every few seconds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
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
REFILL = timedelta(seconds=5)
"""So many bodies of a source are kept at once, and then one in this time."""

MOST_SOURCES = 1000


class Bodies:
    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._full_at: dict[int, datetime] = {}

    def refused(self, source: SourceRow, raw: bytes, error: PayloadError) -> None:
        """Keeps the beginning of a body that could not be read, and why. Never raises."""
        now = self._clock()
        if self._may(source.id, now):
            self._keep(source, raw, now, error)

    def accepted(self, source: SourceRow, raw: bytes) -> None:
        """Keeps a body of a source with a mapping, so that changes of the mapping can be tried on it. Never raises."""
        now = self._clock()
        if source.mapping and self._may(source.id, now):
            self._keep(source, raw, now, None)

    def _may(self, source_id: int, now: datetime) -> bool:
        """Whether the source has one left; `_full_at` is when it has all of them again."""
        with self._lock:
            if len(self._full_at) >= MOST_SOURCES:
                self._full_at.clear()
            full_at = max(self._full_at.get(source_id, now), now)
            if full_at - now > (BURST - 1) * REFILL:
                return False
            self._full_at[source_id] = full_at + REFILL
            return True

    def _keep(self, source: SourceRow, raw: bytes, now: datetime, error: PayloadError | None) -> None:
        text = clean(raw[: MOST_CHARS * 4].decode("utf-8", "replace"))[:MOST_CHARS]
        try:
            with self._database.write() as tx:
                if error is None:
                    bodies.keep(tx, source.id, text, now)
                else:
                    bodies.keep(tx, source.id, text, now, path=error.path, say=to_json(error.say))
        except Exception as error:
            # Also when the source was removed meanwhile. The sender has his answer, and nothing was lost. What the
            # database says may hold a part of the body.
            log.warning("a body could not be kept (%s)", type(error).__name__)
