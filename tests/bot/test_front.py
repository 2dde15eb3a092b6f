"""The web server in front of Flask: what reaches the application, and what becomes of odd and endless requests."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest

from bot import runner
from bot.web import connection as web_connection
from bot.web import front
from bot.web.front import Answer, Front, Tell

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

    def take(self, method: str, path: str, content_type: str, body: bytes, tell: Tell) -> bool:
        if (method, path) != ("POST", "/quick"):
            return False
        asyncio.get_running_loop().call_soon(tell, Answer(200, [(b"content-length", b"5")], b"quick"))
        return True


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
    monkeypatch.setattr(web_connection, "SILENT_S", 0.05)
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        silent.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
        assert silent.recv(1) == b""


def test_a_client_that_sends_byte_after_byte_for_ever_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connection, "REQUEST_S", 0.05)
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as dripping:
        dripping.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert dripping.recv(1) == b""


def test_a_head_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connection, "MOST_HEAD_BYTES", 1000)
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        received = b""
        while not received:
            connection.sendall(b"X-Long: " + b"x" * 500 + b"\r\n")
            connection.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                received = connection.recv(100)
    assert received.startswith(b"HTTP/1.1 431 ")


def test_many_requests_at_once_are_not_taken_for_a_head_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connection, "MOST_HEAD_BYTES", 200)
    said = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" * 20
    with served(Front(echo)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for start in range(0, len(said), 270):  # each piece ends within a head
            connection.sendall(said[start : start + 270])
            asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")  # it has been read by now
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 ") == 20
    assert b"HTTP/1.1 431 " not in received


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
    monkeypatch.setattr(web_connection, "MOST_CONNECTIONS", 3)
    with served(Front(echo)) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(3)]
        for one in silent:
            one.sendall(b"GET / HT")
        assert asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")[0].startswith("HTTP/1.1 200")
        for one in silent:
            one.close()


@pytest.mark.parametrize(
    ("path", "limit", "status"),
    [
        (b"/", "MOST_OPEN", 503),
        (b"/", "MOST_HELD_BYTES", 503),
        (b"/", "MOST_BYTES", 413),
        (b"/quick", "MOST_OPEN", 503),
        (b"/quick", "MOST_HELD_BYTES", 503),
    ],
)
def test_too_much_at_once_is_refused_and_when_to_come_again_is_said(
    path: bytes, limit: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, limit, 0)
    with served(Front(echo, Half())) as port:
        head, _body = asked(port, b"POST " + path + b" HTTP/1.1\r\n" + CLOSE + b"Content-Length: 1\r\n\r\nx")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert ("retry-after: 2" in head) is (status == 503)


class Later:
    """Takes what goes to /quick, and answers with its body when the test says so; gives back what goes to /back."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.at_once = at_once
        self.taken: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def take(self, method: str, path: str, content_type: str, body: bytes, tell: Tell) -> bool:
        if path not in ("/quick", "/back"):
            return False
        text = b"%s %s %s" % (method.encode(), content_type.encode(), body)
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
        answer = Answer(201, headers, text) if path == "/quick" else None
        loop = asyncio.get_running_loop()
        if self.at_once:
            loop.call_soon(tell, answer)
        self.taken.put(lambda: loop.call_soon_threadsafe(tell, answer))
        return True


def without_date(answers: bytes) -> bytes:
    return re.sub(rb"date: [^\r]*\r\n", b"", answers)


TYPE = b"Host: x\r\nContent-Type: a/b\r\n"
QUICK = b"POST /quick HTTP/1.1\r\n" + TYPE
CONVERSATIONS: dict[str, tuple[bytes, ...]] = {
    "taken": (QUICK + b"Content-Length: 4\r\n\r\nbody",),
    "taken, several on one connection": (QUICK + b"Content-Length: 4\r\n\r\nbody",) * 3,
    "taken, no body": (QUICK + b"Content-Length: 0\r\n\r\n",),
    "taken, no length": (QUICK + b"\r\n",),
    "taken, in pieces": (QUICK[:9], QUICK[9:] + b"Content-Length: 4\r\n", b"\r\nbo", b"dy"),
    "taken, chunked": (QUICK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",),
    "taken, length and chunked": (QUICK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    "taken, two lengths": (QUICK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody",),
    "taken, no number as length": (QUICK + b"Content-Length: four\r\n\r\nbody",),
    "taken, two types": (QUICK + b"Content-Type: c/d\r\nContent-Length: 4\r\n\r\nbody",),
    "taken, the path encoded": (b"POST /qu%69ck?x=1 HTTP/1.1\r\n" + TYPE + b"Content-Length: 4\r\n\r\nbody",),
    "taken, expecting a word first": (QUICK + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"body"),
    "taken, the last one": (QUICK + b"Connection: close\r\nContent-Length: 4\r\n\r\nbody", QUICK + b"\r\n"),
    "taken, HTTP/1.0": (b"POST /quick HTTP/1.0\r\n" + TYPE + b"Content-Length: 4\r\n\r\nbody",),
    "taken, another protocol": (QUICK + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody",),
    "taken, two at once": (QUICK + b"Content-Length: 1\r\n\r\n1" + QUICK + b"Content-Length: 1\r\n\r\n2",),
    "taken, two at once, the second in pieces": (
        QUICK + b"Content-Length: 1\r\n\r\n1" + QUICK + b"Content-Length: 4\r\n\r\nbo",
        b"dy",
    ),
    "taken, more than two at once": (
        (QUICK + b"Content-Length: 1\r\n\r\n1POST / HTTP/1.1\r\n" + TYPE + b"Content-Length: 1\r\n\r\n2") * 50,
    ),
    "taken, then nonsense": (QUICK + b"Content-Length: 1\r\n\r\n1", b"\x00\x01\r\n\r\n"),
    "taken, one time the body too much": (b"POST /quick HTTP/1.1\r\n" + TYPE + b"Content-Length: 99999999\r\n\r\n",),
    "given back": (b"POST /back HTTP/1.1\r\n" + TYPE + b"Content-Length: 4\r\n\r\nbody",) * 2,
    "given back, in pieces": (b"POST /back HTTP/1.1\r\n" + TYPE + b"Content-Length: 4\r\n\r\nbo", b"dy"),
    "not taken": (b"POST / HTTP/1.1\r\n" + TYPE + b"Content-Length: 4\r\n\r\nbody",) * 2,
    "not taken, another method": (b"PUT /other HTTP/1.1\r\n" + TYPE + b"Content-Length: 4\r\n\r\nbody",),
    "not taken, only its head": (b"HEAD / HTTP/1.1\r\n" + TYPE + b"\r\n", QUICK + b"Content-Length: 0\r\n\r\n"),
}


def held_conversation(said: tuple[bytes, ...], *, most: int, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """All that the server says to this, with bodies of at most so many bytes answered without a task."""
    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(front, "QUICK_BYTES", most)
        port = stack.enter_context(served(Front(echo, Later())))
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # it may have been closed after what it was told
            for piece in said:
                connection.sendall(piece)
                # Whoever is asked after the piece has been read answers after it.
                asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
            connection.sendall(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        received = bytearray()
        with contextlib.suppress(OSError):
            while more := connection.recv(65536):
                received += more
        return without_date(bytes(received))


@pytest.mark.parametrize("said", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_with_and_without_a_task_of_its_own_a_request_gets_the_same_answer(
    said: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = held_conversation(said, most=front.QUICK_BYTES, monkeypatch=monkeypatch)
    assert short.startswith(b"HTTP/1.1 ")
    assert short == held_conversation(said, most=-1, monkeypatch=monkeypatch)


def test_answers_come_in_the_order_of_the_requests_whoever_is_told_first() -> None:
    later = Later(at_once=False)
    with served(Front(echo, later)) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"".join(QUICK + b"Content-Length: 1\r\n\r\n%d" % n for n in range(3)))
        later.taken.get(timeout=10)()
        later.taken.get(timeout=10)()
        later.taken.get(timeout=10)()
        received = b""
        while received.count(b"POST a/b ") < 3:
            received += connection.recv(65536)
    assert re.findall(rb"POST a/b (\d)", received) == [b"0", b"1", b"2"]


def test_who_does_not_read_the_answers_gets_all_of_them_later_in_order() -> None:
    body = b"x" * 60_000
    with served(Front(echo, Later())) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:

        def send() -> None:
            for n in range(200):
                connection.sendall(QUICK + b"Content-Length: %d\r\n\r\n<%03d>" % (len(body) + 5, n) + body)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        received = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        sender.join(10)
    assert re.findall(rb"<(\d+)>", received) == [b"%03d" % n for n in range(200)]


@pytest.mark.parametrize("piece", [b"", b"half"])
def test_a_short_request_whose_client_goes_away_leaves_its_room_to_others(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "MOST_OPEN", 1)
    monkeypatch.setattr(front, "MOST_HELD_BYTES", 10)
    with served(Front(echo, Later())) as port:
        for _time in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(QUICK + b"Content-Length: 8\r\n\r\n" + piece)
        head = ""
        while not head.startswith("HTTP/1.1 201 "):  # as soon as the server has seen that they are gone
            head, _body = asked(port, QUICK + CLOSE + b"Content-Length: 8\r\n\r\n12345678")


def test_a_client_that_leaves_while_it_is_waited_for_the_answer_disturbs_nobody() -> None:
    later = Later(at_once=False)
    with served(Front(echo, later)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it is cut off
            connection.sendall(QUICK + b"Content-Length: 1\r\n\r\n1")
            tell = later.taken.get(timeout=10)
        asked(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        tell()
        later.at_once = True
        head, _body = asked(port, QUICK + CLOSE + b"Content-Length: 1\r\n\r\n2")
    assert head.startswith("HTTP/1.1 201 ")


def test_a_short_request_that_waits_is_answered_before_the_server_ends() -> None:
    later = Later(at_once=False)
    with contextlib.ExitStack() as end:
        with served(Front(echo, later)) as port:
            connection = end.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(QUICK + b"Content-Length: 1\r\n\r\n1")
            tell = later.taken.get(timeout=10)
            threading.Timer(0.1, tell).start()
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.endswith(b"connection: close\r\n\r\nPOST a/b 1")


@pytest.mark.parametrize("path", [b"/", b"/quick"])
def test_after_an_answer_a_connection_is_kept_for_a_while_only(path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connection, "KEEP_ALIVE_S", 0.05)
    with served(Front(echo, Later())) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 20")
    assert b"connection: close" not in received
