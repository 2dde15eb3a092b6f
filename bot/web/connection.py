"""One connection of a client: what it may cost, and how its requests reach the front.

uvicorn speaks HTTP and gives every request a task of its own. A short report needs none: it is given away as soon as it
is here, and answered in one write when somebody says what. All else about it is uvicorn's, so that whatever turns out
to be unusual goes on as if it had been so from the beginning.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from bot.web.front import Answer, Front, said

MOST_CONNECTIONS = 2000

MOST_HEAD_BYTES = 64 * 1024
"""Of the head of a request, behind its first piece."""

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

UPGRADE = re.compile(rb"(\n)upgrade(?=[ \t]*:)", re.IGNORECASE)

REQUEST_S = 60.0
"""From the first byte of a request to its last, at most."""

SILENT_S = 120.0
"""A connection on which nothing came for so long, and nothing is being answered, is closed."""

KEEP_ALIVE_S = 75.0
"""A connection is kept for so long after an answer."""

FRESH_S = 0.25
"""At the end: how long a request is waited for on a connection that was opened just now."""


class Short(NamedTuple):
    """A request that is answered without a task, if the front has nothing against it; its body is still to come."""

    cycle: RequestResponseCycle
    length: int
    content_type: str


class Connection(HttpToolsProtocol):
    """One connection of a client, and when something came on it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.opened_at = self.heard_at = self.began_at = time.monotonic()
        self.answered_at: float | None = None
        self.head_bytes = 0
        self.front = cast("Front", self.app)
        self.short: Short | None = None
        if len(self.connections) >= MOST_CONNECTIONS:
            make_room(self.connections)
        super().connection_made(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self.heard_at = time.monotonic()
        arriving, head = self.arriving, self.scope
        if not self.in_flight:
            if not arriving:
                self.began_at, self.head_bytes = self.heard_at, 0
            if b"pgrade" in data or b"PGRADE" in data:
                first, end, rest = data.partition(b"\r\n\r\n")
                # httptools would take what follows for another protocol, and drop it.
                data = UPGRADE.sub(rb"\1X-Upgrade", first) + end + rest
        super().data_received(data)
        if self.scope is not head:  # another one has begun
            self.head_bytes = 0
        elif arriving and self.arriving:
            self.head_bytes += len(data)
            if self.head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.short = self._short(cycle)
        if self.short is None:
            self._in_task(cycle, app)

    def _in_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, app)

    def _short(self, cycle: RequestResponseCycle) -> Short | None:
        """The request as a short one; None when it is none.

        What waited behind another and is already here is none: its answer could come while that of the other one is
        being ended, and so on, ever deeper.
        """
        if cycle.scope["method"] != "POST" or not cycle.more_body or cycle.waiting_for_100_continue:
            return None
        length, content_type = b"", None
        for name, value in cycle.scope["headers"]:
            if name == b"content-length":
                length = value
            elif name == b"content-type" and content_type is None:
                content_type = value
        if not length or len(length) > 12 or not self.front.admits(int(length)):
            return None
        return Short(cycle, int(length), (content_type or b"").decode("latin-1"))

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.short is None:
            return
        (cycle, length, content_type), self.short = self.short, None
        self.front.arrived(length)
        path, body = cycle.scope["path"], bytes(cycle.body)
        if not self.front.take("POST", path, content_type, body, partial(self._answered, cycle)):
            self._answered(cycle, None)

    def _answered(self, cycle: RequestResponseCycle, answer: Answer | None) -> None:
        """The answer to a short request, in one write; None: it is a request as any other, whatever it looked like."""
        self.front.left()
        if cycle.disconnected or self.transport.is_closing():
            return
        if answer is None:
            self._in_task(cycle, self.front.thoroughly)
            return
        if self.flow.write_paused:  # the client does not read what it has got already
            self._in_task(cycle, said(answer))
            return
        head = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            head += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            head.append(b"connection: close\r\n")
        self.transport.write(b"".join((*head, b"\r\n", answer.body)))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """As uvicorn does it, but without a timer for each answer: `close_if_late` looks."""
        self.server_state.total_requests += 1
        self.answered_at = time.monotonic()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.short is not None:
            self.front.arrived(self.short.length)
            self.front.left()
            self.short = None

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio looks at what it returns
        """A client that has said all it has to say still wants its answer."""
        if self.in_flight and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return True
        return False

    @property
    def arriving(self) -> bool:
        """The head of a request has begun, and not ended."""
        return self.scope is not None and "method" not in self.scope

    @property
    def in_flight(self) -> bool:
        """The head of a request is here, and its answer is not complete."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def waiting(self) -> bool:
        """It is the client who is waited for."""
        return not self.in_flight or self.cycle.more_body

    def close_if_late(self, now: float) -> None:
        """Closes it when its client takes too long."""
        begun = self.arriving or self.in_flight
        if not self.waiting:
            return
        silent_s = now - self.heard_at
        kept = not begun and self.answered_at is not None and min(silent_s, now - self.answered_at) > KEEP_ALIVE_S
        if kept or silent_s > SILENT_S or (begun and now - self.began_at > REQUEST_S):
            self.transport.close()

    def finish(self) -> None:
        """Closes it as soon as what was begun is answered; more than once."""
        fresh = self.cycle is None and time.monotonic() - self.opened_at < FRESH_S
        if self.in_flight or not (self.arriving or fresh):
            self.shutdown()


def make_room(connections: Iterable[Any]) -> None:
    """Closes the connection whose client has been silent longest: whoever holds many and says nothing blocks nobody."""
    silent = [one for one in connections if isinstance(one, Connection) and one.waiting]
    if silent:
        min(silent, key=lambda one: one.heard_at).transport.close()
