"""The service as its web server sees it: alerts taken in without a thread for each, all else through Flask.

A report that can be taken in at once (of a source that is kept in mind, and not large) is read in the server's own
loop and answered when it is on disk. That is what makes intake fast: a thread for each request costs more than the
request. Whatever is unusual about a report, and every other request, goes to the Flask application in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from io import BytesIO
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote_to_bytes

log = logging.getLogger(__name__)

THREADS = 32
"""Requests that Flask answers at once."""

MOST_BYTES = 2 * 1024 * 1024
"""Of a body. Above the routes' own limit, so that it is they who answer 413 in their own form."""

QUICK_BYTES = 64 * 1024
"""Of the body of a request that is answered in the loop; uvicorn stops reading beyond as many."""

MOST_HELD_BYTES = 256 * 1024 * 1024
"""Of all bodies that are arriving at the same time."""

MOST_OPEN = 1000
"""Requests at the same time."""

RETRY_AFTER_S = 2

Given = TypeVar("Given")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


Tell = Callable[[Answer | None], None]


class Quick(Protocol):
    """What may answer a request in the server's loop; it never waits there for anything but the loop."""

    def take(self, method: str, path: str, content_type: str, body: bytes, tell: Tell) -> bool:
        """Whether it does: then it calls `tell` in the loop, once and later, with the answer.

        Or with None: somebody else is to answer it after all.
        """
        ...


class Front:
    """An ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html) around a WSGI one."""

    def __init__(self, app: Wsgi, *quick: Quick, threads: int = THREADS) -> None:
        self._app = app
        self._quick = quick
        self._threads = Threads(threads)
        self._open = 0
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send, self._quick)

    async def thoroughly(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same for a request that `take` did not take, or gave back."""
        await self._serve(scope, receive, send, ())

    def admits(self, length: int) -> bool:
        """Counts a request with so long a body in, if it is one for `take` and there is room."""
        if length > QUICK_BYTES or self._open >= MOST_OPEN or self._held + length > MOST_HELD_BYTES:
            return False
        self._open += 1
        self._held += length
        return True

    def arrived(self, length: int) -> None:
        """The body is here, or will not come."""
        self._held -= length

    def left(self) -> None:
        """The request is answered, or not a matter of `take` any more."""
        self._open -= 1

    def take(self, method: str, path: str, content_type: str, body: bytes, tell: Tell) -> bool:
        """As `Quick.take`."""
        return any(quick.take(method, path, content_type, body, tell) for quick in self._quick)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, by: Iterable[Quick]) -> None:
        self._open += 1
        try:
            answer = await self._answer(scope, receive, by)
        finally:
            self._open -= 1
        if answer is not None:
            await said(answer)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, by: Iterable[Quick]) -> Answer | None:
        """None: the client went away."""
        if self._open > MOST_OPEN:
            return _plain(503, "Too many requests at once; try again in a moment.")
        try:
            body = await self._body(scope, receive)
        except _Refused as refused:
            return _plain(refused.status, refused.sentence)
        if body is None:
            return None
        for quick in by:
            told: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
            content_type = _header(scope, b"content-type")
            if quick.take(scope["method"], scope["path"], content_type, body, partial(_settle, told)):
                answer = await told
                if answer is not None:
                    return answer
        try:
            return await self._threads.run(lambda: _called(self._app, scope, body))
        except Exception:
            log.exception("a request could not be answered")
            return _plain(500, "Something went wrong on our side; the log says more.")

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None when the client went away. Raises _Refused."""
        declared = _header(scope, b"content-length")
        if len(declared) > 12 or int(declared or 0) > MOST_BYTES:
            raise _Refused(413, "The body is too large.")
        parts: list[bytes] = []
        size, more = 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > MOST_BYTES:
                    raise _Refused(413, "The body is too large.")
                if self._held > MOST_HELD_BYTES:
                    raise _Refused(503, "Too much arrives at once; try again in a moment.")
                more = message.get("more_body", False)
        finally:
            self._held -= size
        return parts[0] if len(parts) == 1 else b"".join(parts)


def said(answer: Answer) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application that gives this answer."""

    async def say(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    return say


class _Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for known, value in scope["headers"] if known == name), "")


def _plain(status: int, sentence: str) -> Answer:
    """For what Flask cannot answer; then the connection ends."""
    body = sentence.encode() + b"\n"
    headers = [(b"connection", b"close"), (b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    return Answer(status, headers, body)


def _called(app: Wsgi, scope: Scope, body: bytes) -> Answer:
    """Calls the WSGI application (PEP 3333) and gathers its answer."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        started[:] = [int(status[:3]), [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]]
        return written.append

    written: list[bytes] = []
    chunks = app(_environ(scope, body), start_response)
    try:
        written.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, headers = started
    return Answer(status, headers, b"".join(written))


def _environ(scope: Scope, body: bytes) -> dict[str, Any]:
    server, port = scope.get("server") or ("localhost", 80)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server),
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("", 0))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw, value in scope["headers"]:
        if b"_" in raw:
            continue  # X_Y and X-Y would be the same name here, so that one could pass for the other
        name = raw.decode("latin-1").upper().replace("-", "_")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


class Threads:
    """Runs what may take a while. Daemon threads: at the end of the process nobody waits for one that hangs."""

    def __init__(self, count: int) -> None:
        self._jobs: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Answer], Callable[[], Answer]]] = (
            SimpleQueue()
        )
        self._left = count
        self._idle = threading.Semaphore(0)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """What `work` gives, or raises, in a thread. Only from one loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._jobs.put((loop, future, work))
        if not self._idle.acquire(blocking=False) and self._left > 0:
            self._left -= 1
            threading.Thread(target=self._serve, name="web", daemon=True).start()
        return await future

    def _serve(self) -> None:
        while True:
            loop, future, work = self._jobs.get()
            try:
                result: Answer | Exception = work()
            except Exception as error:
                result = error
            try:
                loop.call_soon_threadsafe(_settle, future, result)
            except RuntimeError:  # the server has stopped meanwhile
                return
            self._idle.release()


def _settle(future: asyncio.Future[Given], result: Given | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
