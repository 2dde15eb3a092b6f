"""Signals to a real process: what was begun is answered, the parts are stopped, and the end comes in time."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot import runner

ROOT = Path(__file__).parent.parent.parent
IN_TIME_S = 10.0


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bot.runner_child", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def listening_port(process: subprocess.Popen[str]) -> int:
    assert line(process) == "started"
    match = re.fullmatch(r"Callboard is listening on http://127\.0\.0\.1:(\d+)", line(process))
    assert match
    return int(match[1])


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Exit code, the rest of stdout, stderr."""
    out, err = process.communicate(timeout=IN_TIME_S)
    return process.returncode, out.splitlines(), err


def ask(port: int, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=IN_TIME_S)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return connection


def pong_from(connection: socket.socket) -> None:
    received = b""
    while not received.endswith(b"pong"):
        more = connection.recv(65536)
        assert more, "closed before the answer"
        received += more


def everything_from(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_before_the_service_stops(number: signal.Signals) -> None:
    with child("serve") as process:
        port = listening_port(process)
        slow = ask(port, "/slow")
        assert line(process) == "request begun"
        process.send_signal(number)
        answer = everything_from(slow)
        code, out, err = ended(process)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"answered " * 100_000)
    assert (code, out, err) == (0, ["stopped", "Callboard has stopped."], "")


def test_after_the_signal_nobody_new_gets_in_and_idle_connections_end() -> None:
    with child("serve") as process:
        port = listening_port(process)
        idle = ask(port, "/")
        pong_from(idle)
        slow = ask(port, "/slow")
        assert line(process) == "request begun"
        process.send_signal(signal.SIGTERM)
        assert everything_from(idle) == b""  # closed while the slow one is still being answered
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        assert b"answered" in everything_from(slow)
        assert ended(process)[0] == 0


def test_a_request_that_is_still_arriving_is_waited_for() -> None:
    with child("serve") as process:
        port = listening_port(process)
        with socket.create_connection(("127.0.0.1", port), timeout=IN_TIME_S) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ")
            with ask(port, "/") as other:
                pong_from(other)  # by now the half has been read too
            process.send_signal(signal.SIGTERM)
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(IN_TIME_S)
            connection.sendall(b"whole")
            pong_from(connection)
        assert ended(process)[0] == 0


def test_a_request_that_never_ends_is_cut_off_in_time() -> None:
    with child("serve", "stuck") as process:
        port = listening_port(process)
        with ask(port, "/slow"):
            assert line(process) == "request begun"
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code, out, err = ended(process)
    assert code == 0
    assert time.monotonic() - begun < 4
    assert "stopped" in out
    assert "requests were cut off" in err


@pytest.mark.parametrize(("part", "fault"), [("serve", "slow-stop"), ("work", "lingering")])
def test_what_hangs_at_the_end_does_not_keep_the_process(part: str, fault: str) -> None:
    with child(part, fault) as process:
        assert line(process) == "started"
        assert line(process).startswith("Callboard is ")
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)
    assert code == 1
    assert time.monotonic() - begun < 6
    assert "did not stop in time" in err


def test_a_second_signal_ends_at_once() -> None:
    with child("serve", "stuck") as process:
        port = listening_port(process)
        with ask(port, "/slow"):
            assert line(process) == "request begun"
            process.send_signal(signal.SIGTERM)
            while True:  # the first one has been taken when the door is closed
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                except ConnectionError:
                    break
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code, out, _ = ended(process)
    assert code == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 1
    assert "stopped" not in out


def test_the_worker_alone_stops_on_a_signal() -> None:
    with child("work") as process:
        assert [line(process), line(process)] == ["started", "Callboard is working, without web server."]
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (0, ["stopped", "Callboard has stopped."], "")


def test_a_service_that_fails_to_stop_is_reported_and_the_process_ends() -> None:
    with child("serve", "broken-stop") as process:
        assert line(process) == "started"
        assert line(process).startswith("Callboard is ")
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)
    assert code == 0
    assert "did not stop cleanly" in err


def test_a_service_that_fails_to_start_ends_the_process() -> None:
    with child("serve", "broken-start") as process:
        code, out, err = ended(process)
    assert code == 1
    assert "RuntimeError: cannot start" in err
    assert out == ["stopped"]


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(runner.PortTaken, match=rf"^Callboard cannot listen on 127\.0\.0\.1:{port}: .*PORT.*\.$"):
            runner.listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(runner.PortTaken, match=r"cannot listen on 192\.0\.2\.1"):
        runner.listen("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_the_address_for_a_browser_has_the_real_port(host: str) -> None:
    with runner.listen(host or "127.0.0.1", 0) as sock:
        assert runner.address_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"
