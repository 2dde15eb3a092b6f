"""PostgreSQL beside the pool: hints between processes, locks that end with their connection, the server's time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from storage.database import Database
from storage.session import Session

PATIENCE_S = 20.0


@pytest.fixture
def bell() -> Iterator[int]:
    """Something to wait for beside the connection; never rings."""
    reading, writing = os.pipe()
    yield reading
    os.close(reading)
    os.close(writing)


@pytest.fixture
def open_session(postgres_database: Database) -> Iterator[Callable[[], Session]]:
    opened: list[Session] = []

    def make() -> Session:
        opened.append(postgres_database.session())
        return opened[-1]

    yield make
    for session in opened:
        session.close()


def test_what_one_session_tells_the_others_hear_once_and_it_does_not(
    open_session: Callable[[], Session], bell: int
) -> None:
    here, there, deaf = open_session(), open_session(), open_session()
    here.listen()
    there.listen()
    for _ in range(3):
        here.tell()
    there.wait(bell, PATIENCE_S)
    assert (here.heard(), there.heard()) == (False, True)
    assert not there.heard()
    there.tell()
    there.now()  # what arrives during another command is not lost
    here.tell()
    there.now()
    assert (here.heard(), there.heard(), deaf.heard()) == (True, True, False)


def test_a_lock_is_held_by_one_session_until_that_ends(open_session: Callable[[], Session]) -> None:
    first, second = open_session(), open_session()
    assert first.hold("dingtalk stream")
    assert second.hold("slack socket")
    assert not second.hold("dingtalk stream")
    first.close()
    pause = threading.Event()
    for _ in range(2000):  # the server notices by and by
        if second.hold("dingtalk stream"):
            return
        pause.wait(0.005)
    raise AssertionError("the lock is not given up")


def listen_on(session: Session, bell: int) -> None:
    """Listens until that is an error."""
    for _ in range(10):
        session.wait(bell, PATIENCE_S)
        session.heard()


def test_a_connection_that_is_lost_ends_the_wait_and_is_an_error(
    open_session: Callable[[], Session], bell: int, postgres_database: Database
) -> None:
    session = open_session()
    session.listen()
    with postgres_database.write() as tx:
        tx.conn.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN callboard'"
            " AND datname = current_database()"
        )
    with pytest.raises(psycopg.OperationalError):
        listen_on(session, bell)


def test_the_time_is_the_servers(open_session: Callable[[], Session], postgres_database: Database) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    assert before <= open_session().now() <= postgres_database.now() <= datetime.now(UTC)
