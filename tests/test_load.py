"""The load generator behind the benchmarks: a figure is only worth something if every request really was one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.load import Load, Receiver, Result, request_of, send

ALERT = '{"title":"alert-NNNNNNNN-PP"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_every_alert_arrives_once_and_under_its_own_number(receiver: Receiver) -> None:
    result = send(
        Load((f"{receiver.url}/a", f"{receiver.url}/b"), ALERT, 3, connections=4, requests=50, first=7, step=2)
    )
    wanted = {request * 100 + part for request in range(7, 107, 2) for part in range(3)}
    seen = receiver.report()
    assert seen.keys() == wanted
    assert {times for _at, times in seen.values()} == {1}
    assert result.sent.keys() == {number // 100 for number in wanted}
    assert len(result.times_ms) == 50
    assert not result.refused


def test_an_even_rate_is_kept(receiver: Receiver) -> None:
    result = send(Load((receiver.url,), ALERT, connections=2, seconds=0.2, rate=100.0))
    assert 1 < len(result.sent) <= 20  # fewer on a machine that is busy; never more


def test_what_is_not_answered_2xx_does_not_count() -> None:
    """A server that refuses one request, and closes the connection on the next."""
    answers = [
        b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]

    def serve(listener: socket.socket) -> None:
        client, _address = listener.accept()
        for answer in answers:
            client.recv(65_536)
            if answer:
                client.sendall(answer)
            else:
                client.close()
                client, _address = listener.accept()
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        load = Load((f"http://127.0.0.1:{listener.getsockname()[1]}/x",), ALERT, connections=1, requests=3)
        result: Result = send(load)
        server.join()
    assert result.refused == {"503": 1, "broken": 1}
    assert list(result.sent) == [2]


def test_a_request_is_as_long_as_it_says() -> None:
    head, _, body = request_of(Load((), ALERT, size=2), "http://127.0.0.1:1/alerts/json/token").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /alerts/json/token HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body == b'[{"title":"alert-NNNNNNNN-00"},{"title":"alert-NNNNNNNN-01"}]'
