"""Serving until a signal says stop, then stopping without dropping what was begun.

waitress answers HTTP; the loop around it is ours, because its own drops open requests on SIGTERM. The first SIGTERM or
SIGINT closes the listening socket, lets the requests in flight be answered (they need the service's threads), stops
those threads, and ends with 0. A second signal ends at once.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from waitress import create_server, wasyncore

log = logging.getLogger(__name__)

THREADS = 32
"""Requests answered at once; intake waits for group commits, so that many waiting ones are normal."""

GRACE_S = 9.0
"""From the signal to the exit; process supervisors commonly kill after 10 s."""

SERVICE_SHARE_S = 4.0
"""The part of the grace kept for stopping the service's own threads, however long the requests take."""

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Above the routes' own limit, so that it is they who answer 413 in their own form."""


class PortTaken(Exception):
    """The address cannot be listened on; the text says why in one sentence."""


class Part(Protocol):
    """What is run: threads that start, and that stop within the time given."""

    def start(self) -> None: ...

    def stop(self, timeout_s: float) -> None: ...


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes any free one. Raises PortTaken.

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


def serve(app: Any, service: Part, sock: socket.socket, *, public_url: str = "") -> int:
    """Runs the service and its web application on the bound socket until a signal; the exit code of the process."""
    stop = _Stop()
    server = create_server(
        app,
        sockets=[sock],
        threads=THREADS,
        ident="Callboard",
        connection_limit=2000,
        asyncore_use_poll=True,  # select() ends at 1024 descriptors
        max_request_body_size=MAX_BODY_BYTES,
    )
    stop.wake = server.pull_trigger
    with _signals(stop):
        try:
            service.start()
            where = address_of(sock)
            _say(f"Callboard is listening on {where}" + (f" ({public_url})" if public_url else ""))
            while not stop.asked:
                wasyncore.loop(timeout=1.0, use_poll=True, map=server._map, count=1)
            stop.watch()
            _drain(server, stop)
        finally:
            _stop_service(service, stop)
            server.task_dispatcher.shutdown(timeout=0.5)
            server.close()
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


def _drain(server: Any, stop: _Stop) -> None:
    """Takes in what has already connected, closes the door, and serves on until every request begun is answered."""
    for _ in range(1024):
        if not select.select([server.socket], [], [], 0)[0]:
            break
        server.handle_accept()
    server.accepting = False
    server.del_channel()
    server.socket.close()
    while server.active_channels:
        left_s = stop.left_s() - SERVICE_SHARE_S
        if left_s <= 0:
            log.warning("requests were cut off by the stop", extra={"count": len(server.active_channels)})
            break
        wasyncore.loop(timeout=min(left_s, 0.1), use_poll=True, map=server._map, count=1)
        for channel in list(server.active_channels.values()):
            # After the loop's turn: what a client had sent by now has been read into `request` or `requests`.
            fresh = channel.last_activity == channel.creation_time and time.time() - channel.creation_time < 0.25
            if not (fresh or channel.requests or channel.request or channel.total_outbufs_len):
                channel.handle_close()


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
