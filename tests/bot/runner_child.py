"""A tiny service under the real runner, for tests that send signals to a process of its own.

Arguments: `serve` or `work`, and what goes wrong (`slow-stop`, `broken-stop`, `broken-start`, `stuck`, `lingering`).
Prints what happens, in order, on stdout.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable

from bot import runner
from bot.web.front import Front


def note(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


class Service:
    """Says when it is started and stopped; its one thread is what `/slow` needs to be answered."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.stopped = threading.Event()

    def start(self) -> None:
        if self.fault == "broken-start":
            raise RuntimeError("cannot start")
        if self.fault == "lingering":
            threading.Thread(target=time.sleep, args=(60,), name="lingering").start()
        note("started")

    def stop(self, timeout_s: float) -> None:
        assert 0 < timeout_s <= runner.GRACE_S
        if self.fault == "broken-stop":
            raise RuntimeError("cannot stop")
        if self.fault == "slow-stop":
            time.sleep(60)
        self.stopped.set()
        note("stopped")

    def app(self, environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
        body = b"pong"
        if environ["PATH_INFO"] == "/slow":
            note("request begun")
            # The first signal comes meanwhile; the service must not have been stopped before the answer.
            body = b"dropped" if self.stopped.wait(60 if self.fault == "stuck" else 0.6) else b"answered " * 100_000
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


def main(part: str, fault: str = "") -> int:
    runner.GRACE_S, runner.SERVICE_SHARE_S = 2.4, 0.8  # the same course, in less time
    service = Service(fault)
    if part == "work":
        return runner.work(service)
    return runner.serve(Front(service.app), service, runner.listen("127.0.0.1", 0))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
