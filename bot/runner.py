"""Serving until a signal says stop, then stopping without dropping what was begun.

uvicorn answers HTTP; what it does at the end is ours, because the service's threads have to outlive its requests. The
first SIGTERM or SIGINT closes the listening socket, lets the requests in flight be answered (they need those threads),
stops the threads, and ends with 0. A second signal ends at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol

import uvicorn
import uvloop

from bot.web.connection import MOST_CONNECTIONS, Connection
from bot.web.front import Front

log = logging.getLogger(__name__)

GRACE_S = 9.0
"""From the signal to the exit; process supervisors commonly kill after 10 s."""

SERVICE_SHARE_S = 4.0
"""The part of the grace kept for stopping the service's own threads, however long the requests take."""

SWITCH_S = 0.0005
"""A thread that computes lets the others go on after so long; the loop that answers requests is one of them."""


class PortTaken(Exception):
    """The address cannot be listened on; the text says why in one sentence."""


class Part(Protocol):
    """What is run: threads that start, and that stop within the time given."""

    def start(self) -> None: ...

    def stop(self, timeout_s: float) -> None: ...


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to from now on; port 0 takes any free one. Raises PortTaken.

    Bound before anything else is started: a second start by mistake ends here and has touched nothing.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise PortTaken(f"Callboard cannot listen on {host}: HOST is not an address of this machine.") from None
    sock = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere the option means that two processes share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(MOST_CONNECTIONS)
    except OSError as error:
        sock.close()
        raise PortTaken(
            f"Callboard cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}; "
            "is it running already? PORT takes another one."
        ) from None
    return sock


def address_of(sock: socket.socket) -> str:
    """`http://127.0.0.1:8000`: where a browser on this machine finds what listens on the socket."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared with, not bound to)
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class _Stop:
    """Set by the first signal; `wake` gets the main loop out of its wait."""

    def __init__(self) -> None:
        self.asked = False
        self.deadline = 0.0
        self.wake: Callable[[], None] = lambda: None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = True
        self.deadline = time.monotonic() + GRACE_S
        self.wake()

    def watch(self) -> None:
        """Whatever hangs from now on (a request, a thread that nobody waits for), the process ends in time.

        A thread of its own, because the main thread may be what waits, also inside the interpreter's own exit.
        """
        watchdog = threading.Timer(self.left_s() + 0.5, _give_up)
        watchdog.daemon = True
        watchdog.start()

    def left_s(self) -> float:
        return max(0.0, self.deadline - time.monotonic())


def _give_up() -> None:
    names = sorted(t.name for t in threading.enumerate() if t is not threading.current_thread())
    log.error("did not stop in time", extra={"threads": names})
    os._exit(1)


@contextmanager
def _signals(stop: _Stop) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class Server(uvicorn.Server):
    """Serves on a bound socket until `stop`, in whatever thread `serve_on` is called in."""

    def __init__(
        self, front: Front, *, stopping: Callable[[], None] = lambda: None, left_s: Callable[[], float] = lambda: 5.0
    ) -> None:
        """`stopping` is called when it begins to stop; `left_s` gives the seconds that are left for answering then."""
        super().__init__(
            uvicorn.Config(
                front,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.CRITICAL,  # it would report what clients do wrong; what we do is logged here
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[("server", "Callboard")],
            )
        )
        self._stopping = stopping
        self._left_s = left_s
        self._told = threading.Event()
        self._wake: Callable[[], object] = lambda: None

    def serve_on(self, sock: socket.socket) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(self._serve([sock]))

    def stop(self) -> None:
        """From any thread, or a signal's handler."""
        self._told.set()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._wake()

    async def main_loop(self) -> None:
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(asked.set)
        seconds = 0
        while not self._told.is_set():
            await self.on_tick(seconds * 10)  # of its tenths of seconds
            seconds += 1
            for connection in self._connections():
                connection.close_if_late(time.monotonic())
            with suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), 1.0)

    def _connections(self) -> list[Connection]:
        return [one for one in self.server_state.connections if isinstance(one, Connection)]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the door, and serves on until every request that was begun is answered."""
        self._stopping()
        await asyncio.sleep(0)  # who has already connected gets in
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        while connections := self._connections():
            if self._left_s() <= 0:
                log.warning("requests were cut off by the stop", extra={"count": len(connections)})
                return
            for connection in connections:
                connection.finish()
            await asyncio.sleep(0.01)


def serve(front: Front, service: Part, sock: socket.socket, *, public_url: str = "") -> int:
    """Runs the service and its web side on the bound socket until a signal; the exit code of the process."""
    stop = _Stop()
    server = Server(front, stopping=stop.watch, left_s=lambda: stop.left_s() - SERVICE_SHARE_S)
    stop.wake = server.stop
    sys.setswitchinterval(SWITCH_S)
    with _signals(stop):
        try:
            service.start()
            gc.freeze()  # what is there now stays; looking through it again and again would cost a tenth of the time
            where = address_of(sock)
            _say(f"Callboard is listening on {where}" + (f" ({public_url})" if public_url else ""))
            server.serve_on(sock)
        finally:
            _stop_service(service, stop)
    _say("Callboard has stopped.")
    return 0


def work(service: Part) -> int:
    """Runs a service without web server until a signal; the exit code of the process."""
    stop = _Stop()
    signalled = threading.Event()
    stop.wake = signalled.set
    with _signals(stop):
        try:
            service.start()
            _say("Callboard is working, without web server.")
            signalled.wait()
            stop.watch()
        finally:
            _stop_service(service, stop)
    _say("Callboard has stopped.")
    return 0


def _stop_service(service: Part, stop: _Stop) -> None:
    timeout_s = max(stop.left_s(), 1.0) if stop.asked else SERVICE_SHARE_S
    try:
        service.stop(timeout_s)
    except Exception:
        log.exception("the service did not stop cleanly")


def _say(words: str) -> None:
    """To stdout, for the person who started us; stderr is the log's. A closed stdout must not end the service."""
    try:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        log.debug("stdout is closed")
