"""What makes several processes on one PostgreSQL one service.

One thread with a connection of its own tells the other processes that there is something to do, hears when they do,
compares the clock, and holds the connections to platforms that only one process may have: who has the lock is who is
connected, and the lock ends with the connection to the database. All of this is for speed and order: who hears nothing
looks for itself once a second, and what is claimed is claimed by leases.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Protocol

from bot.delivery.clock import SharedClock
from bot.metrics import Heartbeats
from storage.database import Database
from storage.session import Session

log = logging.getLogger(__name__)

NAME = "replicas"

GAP_S = 0.02
"""Between two hints of one process: each costs a commit, and one wakes for everything that was written before it."""

TEND_S = 3.0
"""How often the clock is compared, and a connection asked for that another process has."""

LONGEST_PAUSE_S = 5.0
"""Before the database is tried again."""

LINE_STOP_S = 2.0


class Line(Protocol):
    """A connection held open to a platform."""

    def start(self) -> None: ...

    def stop(self, timeout_s: float, /) -> object: ...


class Replicas:
    def __init__(
        self,
        database: Database,
        *,
        hear: Sequence[Callable[[], None]],
        lines: Mapping[str, Callable[[], Line]],
        heartbeats: Heartbeats,
        clock: SharedClock | None,
        tend_s: float = TEND_S,
    ) -> None:
        """
        hear   called when another process says that there is something to do; none: this one does not want to know
        lines  makes the connections to platforms, each under the name of its heartbeat
        clock  what is to be compared with the database's
        """
        self._database = database
        self._hear = hear
        self._lines = lines
        self._heartbeats = heartbeats
        self._clock = clock
        self._tend_s = tend_s
        self._held: dict[str, Line] = {}
        self._untold = False
        self._stopping = False
        self._rope, self._bell = socket.socketpair()
        for end in (self._rope, self._bell):
            end.setblocking(False)
        self._thread: threading.Thread | None = None

    def tell(self) -> None:
        """Something is due, the other processes should know; from any thread. Neither waits nor fails."""
        if not self._untold:
            self._untold = True
            self._ring()

    def holds(self) -> frozenset[str]:
        """The connections that this process has."""
        return frozenset(self._held)

    def start(self) -> None:
        self._heartbeats.beat(NAME)
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Tells what is untold, and leaves the connections to others."""
        self._stopping = True
        self._ring()
        if self._thread:
            self._thread.join(timeout_s)
        if self._thread is None or not self._thread.is_alive():
            self._rope.close()
            self._bell.close()
        self._heartbeats.forget(NAME)

    def _ring(self) -> None:
        with suppress(OSError):  # full: it rings already; closed: nobody is there any more
            self._rope.send(b"!")

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._heartbeats.beat(NAME)
            began = time.monotonic()
            try:
                with closing(self._database.session()) as session:
                    self._serve(session)
            except Exception as error:
                # Only its kind: the text may name the server and who logs in.
                log.warning("the connection between replicas failed (%s)", type(error).__name__)
            finally:
                self._let_go()
            failures = 1 if time.monotonic() - began > LONGEST_PAUSE_S else failures + 1
            self._rest(min(LONGEST_PAUSE_S, GAP_S * 2**failures))

    def _serve(self, session: Session) -> None:
        """As long as the connection lasts. Raises whatever says that it is lost."""
        if self._hear:
            session.listen()
            self._heard()  # what was told while we did not listen
        tend_at = told_at = 0.0
        while True:
            self._heartbeats.beat(NAME)
            ticks = time.monotonic()
            if self._untold and (self._stopping or ticks >= told_at + GAP_S):
                self._untold = False  # before it is told: what comes meanwhile is told again
                try:
                    session.tell()
                except BaseException:
                    self._untold = True
                    raise
                told_at = ticks
            if self._stopping:
                self._let_go()  # before the lock, which ends with the session
                return
            if ticks >= tend_at:
                self._tend(session)
                tend_at = ticks + self._tend_s
            if session.heard():
                self._heard()
            until = min(tend_at, told_at + GAP_S) if self._untold else tend_at
            session.wait(self._bell.fileno(), until - time.monotonic())
            self._silence()

    def _silence(self) -> None:
        with suppress(BlockingIOError):
            while self._bell.recv(1024):
                pass

    def _tend(self, session: Session) -> None:
        if self._clock is not None:
            self._clock.compare(session.now)
        for name, make in self._lines.items():
            if name not in self._held and session.hold(name):
                log.info("%s: this process connects", name)
                line = make()
                line.start()
                self._held[name] = line

    def _let_go(self) -> None:
        for name, line in list(self._held.items()):
            line.stop(LINE_STOP_S)
            del self._held[name]
            self._heartbeats.forget(name)

    def _heard(self) -> None:
        for wake in self._hear:
            wake()

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        pause = threading.Event()
        while not self._stopping and (left := end - time.monotonic()) > 0:
            pause.wait(min(left, 0.1))
