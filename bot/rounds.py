"""A thread that does the same again and again: when it is woken, and after a pause at the latest."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bot.metrics import Heartbeats

log = logging.getLogger(__name__)


class Rounds:
    def __init__(
        self, name: str, step: Callable[[], object], heartbeats: Heartbeats, *, pause_s: float, trouble: str
    ) -> None:
        """`name`: of the thread and its heartbeat; `trouble`: what the log says when a step breaks, which ends nothing."""
        self._name = name
        self._step = step
        self._heartbeats = heartbeats
        self._pause_s = pause_s
        self._trouble = trouble
        self._news = threading.Condition()
        self._woken = False
        self._thread: threading.Thread | None = None
        self.stopping = False

    def start(self) -> None:
        self.beat()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends it after the step that it is in, which can look at `stopping`."""
        with self._news:
            self.stopping = True
            self._news.notify()
        if self._thread:
            self._thread.join(timeout_s)
        self._heartbeats.forget(self._name)

    def wake(self) -> None:
        """The next step comes at once; from any thread."""
        with self._news:
            self._woken = True
            self._news.notify()

    def beat(self) -> None:
        """For a step that takes long: it is alive."""
        self._heartbeats.beat(self._name)

    def _run(self) -> None:
        while not self.stopping:
            self.beat()
            try:
                self._step()
            except Exception:
                log.exception(self._trouble)
            with self._news:
                if not self._woken and not self.stopping:
                    self._news.wait(self._pause_s)
                self._woken = False
