"""The web server in front of Flask: what reaches the application, and what becomes of odd and endless requests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bot import runner
from bot.web import front
from bot.web.front import Answer, Front

Environ = dict[str, Any]


def echo(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Says what it was asked."""
    names = (
        "REQUEST_METHOD",
        "PATH_INFO",
        "QUERY_STRING",
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "HTTP_X_NAME",
        "REMOTE_ADDR",
    )
    said = "\n".join(f"{name}={environ.get(name)!r}" for name in names)
    body = said.encode() + b"\n" + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def served(app: Any) -> Iterator[int]:
    """The port on which it is served."""
    sock = runner.listen("127.0.0.1", 0)
    port = int(sock.getsockname()[1])
    server = runner.Server(app)
    thread = threading.Thread(target=server.serve_on, args=(sock,))
    thread.start()
    try:
        yield port
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def asked(port: int, request: bytes) -> tuple[str, str]:
    """The head and the body of the answer to one request, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).decode().partition("\r\n\r\n")
        return head, body


CLOSE = b"Host: x\r\nConnection: close\r\n"


def test_the_application_gets_what_was_sent() -> None:
    with served(Front(echo)) as port:
        body = "größe".encode()
        length = str(len(body)).encode()
        head, said = asked(
            port,
            b"PUT /a%20b%C3%A4?q=%C3%A4&x HTTP/1.1\r\n" + CLOSE + b"Content-Type: a/b\r\nX-Name: one\r\nx-name: two\r\n"
            b"X_Name: another\r\nX-Forwarded-For: 203.0.113.9\r\nContent-Length: " + length + b"\r\n\r\n" + body,
        )
    assert head.startswith("HTTP/1.1 200 OK")
    assert "server: Callboard" in head
    assert said.splitlines() == [
        "REQUEST_METHOD='PUT'",
        "PATH_INFO='/a bÃ¤'",
        "QUERY_STRING='q=%C3%A4&x'",
        "CONTENT_TYPE='a/b'",
        "CONTENT_LENGTH='8'" if len(body) == 8 else f"CONTENT_LENGTH='{len(body)}'",
        "HTTP_X_NAME='one,two'",
        "REMOTE_ADDR='127.0.0.1'",
        "größe",
    ]


def test_a_body_in_pieces_arrives_whole() -> None:
    with served(Front(echo)) as port:
        _head, said = asked(
            port,
            b"POST / HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
        )
    assert said.splitlines()[-1] == "abcdefg"


@pytest.mark.parametrize(
    "request_line", [b"GET /\xff HTTP/1.1", b"GET / HTTP/9.9", b"\x00\x01\x02", b"GET http://[ HTTP/1.1"]
)
def test_what_is_no_http_is_refused(request_line: bytes) -> None:
    with served(Front(echo)) as port:
        head, _body = asked(port, request_line + b"\r\n" + CLOSE + b"\r\n")
    assert head.startswith("HTTP/1.1 400")


def test_a_body_that_does_not_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MOST_BYTES", 1000)
    with served(Front(echo)) as port:
        head, _body = asked(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
    assert head.startswith("HTTP/1.1 413")


def test_an_application_that_fails_is_a_500_without_a_word_of_why(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_environ: Environ, _start: Callable[..., Any]) -> Iterable[bytes]:
        raise RuntimeError("secret")

    with served(Front(broken)) as port:
        head, body = asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert head.startswith("HTTP/1.1 500")
    assert "secret" not in body
    assert "a request could not be answered" in caplog.text


class Half:
    """Answers what goes to /quick."""

    async def answer(self, method: str, path: str, content_type: str, body: bytes) -> Answer | None:
        quick = (method, path) == ("POST", "/quick")
        return Answer(200, [(b"content-length", b"5")], b"quick") if quick else None


@pytest.mark.parametrize(
    ("line", "quick"), [(b"POST /quick", True), (b"GET /quick", False), (b"POST /other", False)], ids=str
)
def test_what_can_be_answered_at_once_never_reaches_the_application(line: bytes, quick: bool) -> None:
    with served(Front(echo, Half())) as port:
        _head, body = asked(port, line + b" HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert (body == "quick") is quick


def test_requests_that_take_long_do_not_keep_others_waiting() -> None:
    release = threading.Event()

    def slow(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            release.wait(10)
        return echo(environ, start_response)

    with served(Front(slow, threads=4)) as port:
        waiting = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
        for connection in waiting:
            connection.sendall(b"GET /slow HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")[0].startswith("HTTP/1.1 200")
        release.set()
        for connection in waiting:
            with connection:
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_who_goes_away_in_the_middle_of_a_request_is_forgotten() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def never(_message: Any) -> None:
        raise AssertionError("nobody is there to be answered")

    asyncio.run(Front(echo)({"type": "http", "method": "POST", "headers": []}, gone, never))


def test_a_connection_on_which_nothing_comes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SILENT_S", 0.05)
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        silent.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert silent.recv(1) == b""


def test_a_client_that_sends_byte_after_byte_for_ever_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "REQUEST_S", 0.05)
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as dripping:
        dripping.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert dripping.recv(1) == b""


def test_a_head_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_HEAD_BYTES", 1000)
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        received = b""
        while not received:
            connection.sendall(b"X-Long: " + b"x" * 500 + b"\r\n")
            connection.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                received = connection.recv(100)
    assert received.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_request_that_would_rather_speak_another_protocol_is_answered_as_it_is(
    protocol: bytes, in_pieces: bool
) -> None:
    """As curl --http2 and Java's HttpClient ask (RFC 9110, section 7.8: a server may ignore it)."""
    head = (
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\n"
        b"HTTP2-Settings: AAMAAABk\r\nContent-Length: 4\r\n\r\n"
    )
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        if in_pieces:
            connection.sendall(head)
            assert b"200" in asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")[0].encode()  # it has been read by now
            connection.sendall(b"body")
        else:
            connection.sendall(head + b"body")
        received = b""
        while not received.endswith(b"body"):
            more = connection.recv(65536)
            assert more
            received += more
    assert received.startswith(b"HTTP/1.1 200")


def test_when_there_are_too_many_connections_a_silent_one_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MOST_CONNECTIONS", 3)
    with served(Front(echo)) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
        for one in silent:
            one.sendall(b"GET / HT")
        assert asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")[0].startswith("HTTP/1.1 200")
        for one in silent:
            one.close()


@pytest.mark.parametrize(("limit", "status"), [("MOST_OPEN", 503), ("MOST_HELD_BYTES", 503), ("MOST_BYTES", 413)])
def test_too_much_at_once_is_refused_and_when_to_come_again_is_said(
    limit: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, limit, 0)
    with served(Front(echo)) as port:
        head, _body = asked(port, b"POST / HTTP/1.1\r\n" + CLOSE + b"Content-Length: 1\r\n\r\nx")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert ("retry-after: 2" in head) is (status == 503)
