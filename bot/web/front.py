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
from io import BytesIO
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

log = logging.getLogger(__name__)

THREADS = 32
"""Requests that Flask answers at once."""

MOST_BYTES = 16 * 1024 * 1024
"""Of a body. Above the routes' own limit, so that it is they who answer 413 in their own form."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Answer(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Quick(Protocol):
    """What may answer a request in the server's loop; it never waits there for anything but the loop."""

    async def answer(self, path: str, content_type: str, body: bytes) -> Answer | None:
        """The answer to a POST, or None: Flask is to answer it."""
        ...


class Front:
    """An ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html) around a WSGI one."""

    def __init__(self, app: Wsgi, quick: Quick | None = None, *, threads: int = THREADS) -> None:
        self._app = app
        self._quick = quick
        self._threads = Threads(threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return
        answer: Answer | None = None
        if len(body) > MOST_BYTES:
            answer = _plain(413, "The body is too large.")
        elif self._quick is not None and scope["method"] == "POST":
            answer = await self._quick.answer(scope["path"], _header(scope, b"content-type"), body)
        if answer is None:
            try:
                answer = await self._threads.run(lambda: _called(self._app, scope, body))
            except Exception:
                log.exception("a request could not be answered")
                answer = _plain(500, "Something went wrong on our side; the log says more.")
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})


async def _body(receive: Receive) -> bytes | None:
    """The body, or a little more than the most of it; None when the sender went away."""
    first = await receive()
    if first["type"] == "http.disconnect":
        return None
    body: bytes = first.get("body", b"")
    if not first.get("more_body"):
        return body
    parts, size, more = [body], len(body), True
    while more and size <= MOST_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for known, value in scope["headers"] if known == name), "")


def _plain(status: int, sentence: str) -> Answer:
    """For what Flask cannot answer; then the connection ends."""
    body = sentence.encode() + b"\n"
    length = str(len(body)).encode()
    return Answer(
        status, [(b"connection", b"close"), (b"content-type", b"text/plain"), (b"content-length", length)], body
    )


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


def _settle(future: asyncio.Future[Answer], result: Answer | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
