"""A load generator and a receiver that are cheap enough not to be what is measured; both are processes of their own.

One loop over keep-alive connections, requests built before the clock starts, nothing parsed but status and length:
about 25,000 requests a second and core, an order of magnitude above what `requests` reaches. `python -m bench.load`
is the process behind `drive` and `Receiver`; it loads nothing of the service.

Every alert is named `alert-<request>-<part>` (8 and 2 digits), and is known by the number that these make together.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import select
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
NUMBER = "NNNNNNNN"
PART = "PP"
NAME = re.compile(rb"alert-(\d{8})-(\d\d)")
PATIENCE_S = 30.0
"""How long the last answers may take after the load has ended."""

TAKEN = b'{"code":0,"errcode":0,"errmsg":"ok","msg":"success"}'
"""Means "taken" to DingTalk, WeCom, Lark and ARMS; Slack says it in a word."""


@dataclass(frozen=True)
class Load:
    """What one generator does.

    urls         one host's; the requests go to them in turn
    alert        one alert as JSON, with NUMBER and PART in its name
    size         alerts a request
    connections  held open; closed loop: each sends as soon as it has been answered
    rate         requests a second at even intervals instead (0: closed loop)
    requests     ends after so many, if the time is not over before (0: as many as the time allows)
    first, step  of the numbers of the requests
    """

    urls: Sequence[str]
    alert: str
    size: int = 1
    connections: int = 32
    seconds: float = 5.0
    rate: float = 0.0
    requests: int = 0
    first: int = 0
    step: int = 1


@dataclass
class Result:
    """What came of it.

    times_ms  of the requests that were answered 2xx
    sent      request -> when it was sent (epoch seconds), of those answered 2xx
    refused   status -> how many; "broken" are connections that ended without an answer
    cpu_s     what the generator itself took
    """

    times_ms: list[float] = field(default_factory=list)
    sent: dict[int, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.times_ms) / self.wall_s if self.wall_s else 0.0

    def percentile(self, percent: int) -> float:
        """Of the times, in milliseconds."""
        return percentile(self.times_ms, percent)


def percentile(values: list[float], percent: int) -> float:
    """NaN of fewer than two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else float("nan")


def drive(load: Load, processes: int = 1) -> Result:
    """The load from that many processes, each with its share of connections and rate."""
    started = []
    for number in range(processes):
        share = asdict(load) | {
            "connections": max(1, load.connections // processes),
            "rate": load.rate / processes,
            "requests": load.requests // processes,
            "first": load.first + number,
            "step": processes,
        }
        child = _child("send")
        assert child.stdin is not None
        child.stdin.write(json.dumps(share) + "\n")
        child.stdin.flush()
        started.append(child)
    whole = Result()
    for child in started:
        assert child.stdin is not None
        assert child.stdout is not None
        said = json.loads(child.stdout.readline() or "{}")
        _end(child)
        if not said:
            raise RuntimeError("a load generator ended without a result")
        whole.times_ms += said["times_ms"]
        whole.sent |= {int(key): at for key, at in said["sent"].items()}
        whole.refused.update(said["refused"])
        whole.cpu_s += said["cpu_s"]
        whole.wall_s = max(whole.wall_s, said["wall_s"])
    return whole


class Receiver:
    """An HTTP server that answers everything with "taken", and remembers when it first saw each alert.

    `with Receiver() as receiver: … receiver.url`; `report()` may be asked again and again.
    """

    def __enter__(self) -> Receiver:
        self._process = _child("receive")
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def report(self) -> dict[int, tuple[float, int]]:
        """Alert -> when it was first seen (epoch seconds), and how often; its number is request * 100 + part."""
        return {int(key): (at, often) for key, (at, often) in self._ask("report").items()}

    def count(self) -> int:
        """How many alerts it has seen."""
        return int(self._ask("count"))

    def _ask(self, what: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _child(word: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.load", word],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _end(child: subprocess.Popen[str]) -> None:
    """The end of its stdin is what ends it."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    child.wait(10)


# -- the generator's process


class _Connection:
    """One keep-alive connection; `number` is the request that it waits for, if any."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.number = -1
        self.began = self.at = 0.0
        self.left = b""
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(self.address, 5.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def send(self, request: bytes, number: int, waited_s: float) -> None:
        """`waited_s`: for how long it has been due."""
        self.number = number
        self.began, self.at = time.perf_counter() - waited_s, time.time() - waited_s
        self.socket.sendall(request)

    def status(self) -> int:
        """Of the answer, 0 while it is incomplete. Raises ConnectionError."""
        got = self.socket.recv(65_536)
        if not got:
            raise ConnectionResetError
        self.left += got
        end = self.left.find(b"\r\n\r\n")
        if end < 0:
            return 0
        head = self.left[:end].lower()
        found = head.find(b"content-length:")
        length = int(head[found + 15 :].split(b"\r\n", 1)[0]) if found >= 0 else 0
        if len(self.left) < end + 4 + length:
            return 0
        status = int(self.left[9:12])
        if b"connection: close" in head:
            self.socket.close()
            self.open()
        self.left = b""
        return status


def request_of(load: Load, url: str) -> bytes:
    """The request to that address, whose NUMBER is still to be replaced; all numbers are of one length."""
    alerts = ",".join(load.alert.replace(PART, f"{part:02d}") for part in range(load.size))
    body = f"[{alerts}]".encode()
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def send(load: Load) -> Result:
    """Carries out the load in this process."""
    parts = urlsplit(load.urls[0])
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    templates = itertools.cycle([request_of(load, url) for url in load.urls])
    result = Result()
    poll = select.epoll()
    open_ones: dict[int, _Connection] = {}
    free: deque[_Connection] = deque()
    for _number in range(load.connections):
        one = _Connection(address)
        open_ones[one.socket.fileno()] = one
        poll.register(one.socket, select.EPOLLIN)
        free.append(one)
    number = load.first
    last = load.first + load.requests * load.step if load.requests else -1
    cpu_s = time.process_time()
    began = time.perf_counter()
    end = began + load.seconds
    due, starved = began, False
    while True:
        now = time.perf_counter()
        while free and due <= now < end:
            one = free.popleft()
            # What waited for a free connection counts from when it was due; the loop's own millisecond does not count.
            request = next(templates).replace(NUMBER.encode(), b"%08d" % number)
            one.send(request, number, now - due if starved else 0.0)
            number += load.step
            if number == last:
                end = now
            if load.rate:
                due += 1 / load.rate
            now = time.perf_counter()
        starved = bool(load.rate) and not free
        if now >= end and (len(free) == len(open_ones) or now > end + PATIENCE_S):
            break
        wait = 0.1 if not load.rate or not free else max(0.0, min(due, end) - now)
        for fileno, _event in poll.poll(min(wait, 0.1)):
            one = open_ones[fileno]
            try:
                status = one.status()
            except ConnectionError:
                result.refused["broken"] += 1
                one.socket.close()
                one.open()
                status = -1
            if one.socket.fileno() not in open_ones or status == -1:
                open_ones.pop(fileno, None)
                open_ones[one.socket.fileno()] = one
                poll.register(one.socket, select.EPOLLIN)
            if status == 0:
                continue
            if 200 <= status < 300:
                result.times_ms.append((time.perf_counter() - one.began) * 1000)
                result.sent[one.number] = one.at
            elif status > 0:
                result.refused[str(status)] += 1
            free.append(one)
    result.wall_s = time.perf_counter() - began
    result.cpu_s = time.process_time() - cpu_s
    for one in open_ones.values():
        one.socket.close()
    poll.close()
    return result


# -- the receiver's process


def receive(answer: Callable[[str], None]) -> None:
    """Serves until stdin ends; says its port first, then an answer to each line of stdin."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    answer(str(listener.getsockname()[1]))
    seen: dict[int, list[float]] = {}
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    clients: dict[int, tuple[socket.socket, bytearray]] = {}
    while True:
        for fileno, _event in poll.poll():
            if fileno == 0:
                word = os.read(0, 100)
                if not word:
                    return
                answer(json.dumps(seen if word == b"report\n" else len(seen)))
            elif fileno == listener.fileno():
                client, _address = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = (client, bytearray())
                poll.register(client, select.EPOLLIN)
            else:
                client, gathered = clients[fileno]
                try:
                    got = client.recv(262_144)
                    gathered += got
                    if got:
                        _take(client, gathered, seen)
                except ConnectionError:
                    got = b""
                if not got:
                    poll.unregister(fileno)
                    client.close()
                    del clients[fileno]


def _take(client: socket.socket, gathered: bytearray, seen: dict[int, list[float]]) -> None:
    """Answers the whole requests among what one client has sent so far."""
    while (end := gathered.find(b"\r\n\r\n")) >= 0:
        head = bytes(gathered[:end]).lower()
        found = head.find(b"content-length:")
        length = int(head[found + 15 :].split(b"\r\n", 1)[0]) if found >= 0 else 0
        if len(gathered) < end + 4 + length:
            if b"expect: 100-continue" in head:
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        now = time.time()
        for request, part in set(NAME.findall(gathered, end, end + 4 + length)):
            seen.setdefault(int(request) * 100 + int(part), [now, 0])[1] += 1
        body = b"ok" if head.startswith(b"post /services/") else TAKEN
        del gathered[: end + 4 + length]
        client.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )


def main() -> None:
    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    if sys.argv[1:] == ["receive"]:
        receive(say)
    else:
        say(json.dumps(asdict(send(Load(**json.loads(sys.stdin.readline()))))))


if __name__ == "__main__":
    main()
