"""SQLite: how transactions end, and when what was committed is on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from storage.database import Database, NotConfirmed, Tx, is_unavailable
from storage.schema import setting
from storage.sqlite import Connections, Wal
from storage.turns import TurnTimeout
from tests.storage import seed

PATIENCE_S = 10.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with seed.opened(f"sqlite:///{tmp_path / 'callboard.db'}") as db:
        yield db


def note(database: Database, name: str, *, lasting: bool = True, seen: Callable[[], None] | None = None) -> None:
    with database.write(lasting=lasting, seen=seen) as tx:
        tx.conn.execute(setting.insert().values(name=name, value="1"))


def driver(tx: Tx) -> Any:
    return tx.conn.connection.driver_connection


def told(tx: Tx, *statements: str) -> None:
    """Tells the driver itself, as prepared statements do."""
    for statement in statements:
        driver(tx).execute(statement)


def names(database: Database) -> set[str]:
    with database.read() as tx:
        return set(tx.conn.scalars(setting.select().with_only_columns(setting.c.name)))


class Disk:
    """Stands for fdatasync: says who was there, fails when told to, and waits at its gate."""

    def __init__(self) -> None:
        self.syncs = 0
        self.broken = False
        self.reached = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def sync(self, _file: int) -> None:
        self.reached.set()
        assert self.gate.wait(PATIENCE_S)
        if self.broken:
            raise OSError("the disk is gone")
        self.syncs += 1


@pytest.fixture
def disk(database: Database, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    database.make_lasting()
    monkeypatch.setattr("storage.sqlite._SYNC", disk.sync)
    return disk


def test_a_lasting_commit_is_on_the_disk_and_another_one_when_it_is_made_lasting(
    database: Database, disk: Disk
) -> None:
    note(database, "a")
    assert disk.syncs == 1
    note(database, "b", lasting=False)
    assert disk.syncs == 1
    database.make_lasting()
    database.make_lasting()
    assert disk.syncs == 2


def test_what_could_not_be_brought_to_the_disk_is_not_confirmed_and_tried_again(database: Database, disk: Disk) -> None:
    disk.broken = True
    with pytest.raises(NotConfirmed) as told:
        note(database, "a")
    assert is_unavailable(told.value)
    with pytest.raises(NotConfirmed):
        database.make_lasting()
    disk.broken = False
    database.make_lasting()
    assert disk.syncs == 1
    assert "a" in names(database)


def test_others_write_while_somebody_waits_for_the_disk_and_one_sync_is_for_all_of_them(
    database: Database, disk: Disk
) -> None:
    disk.gate.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(note, database, "first")
        assert disk.reached.wait(PATIENCE_S)
        note(database, "beside", lasting=False)
        assert {"first", "beside"} <= names(database), "nobody waits for the disk to read or to write"
        written = threading.Barrier(9)

        def seen() -> None:
            written.wait(PATIENCE_S)

        late = [pool.submit(note, database, f"late{number}", seen=seen) for number in range(8)]
        written.wait(PATIENCE_S)  # all of them are committed
        disk.gate.set()
        for one in (first, *late):
            one.result(PATIENCE_S)
    assert disk.syncs == 2


def test_what_is_seen_is_committed_and_not_yet_on_the_disk(database: Database, disk: Disk) -> None:
    found: list[tuple[bool, int]] = []
    note(database, "a", seen=lambda: found.append(("a" in names(database), disk.syncs)))
    assert found == [(True, 0)]
    with pytest.raises(IntegrityError):
        note(database, "a", seen=lambda: found.append((False, -1)))
    assert len(found) == 1


def test_a_file_without_a_disk_has_nothing_to_sync() -> None:
    log = Wal(None)
    log.grown()
    log.sync()


def test_after_a_commit_that_failed_nothing_of_it_is_left(database: Database) -> None:
    with database.write() as tx:
        tx.conn.exec_driver_sql("CREATE TABLE one (id INTEGER PRIMARY KEY)")
        tx.conn.exec_driver_sql("CREATE TABLE two (id INTEGER REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(IntegrityError), database.write() as tx:
        tx.conn.exec_driver_sql("INSERT INTO two VALUES (1)")
    with pytest.raises(IntegrityError), database.write() as tx:
        told(tx, "INSERT INTO two VALUES (1)")
    with database.write() as tx:
        assert tx.conn.exec_driver_sql("SELECT count(*) FROM two").scalar() == 0


def test_a_transaction_that_sqlite_ended_by_itself_is_an_error_and_not_a_commit(database: Database) -> None:
    """As it does when the disk is full (https://www.sqlite.org/lang_transaction.html)."""
    with pytest.raises(OperationalError, match="no transaction"), database.write() as tx:
        told(tx, "INSERT INTO setting (name, value) VALUES ('a', 'b')", "ROLLBACK")
    note(database, "c")
    assert "a" not in names(database)


def test_a_connection_that_is_of_no_use_is_replaced(database: Database) -> None:
    with pytest.raises(Exception, match="closed"), database.write() as tx:
        driver(tx).close()
    note(database, "a")
    assert "a" in names(database)


def test_who_finds_no_free_connection_waits_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.PATIENCE_S", 0.01)
    connections = Connections(f"sqlite:///{tmp_path / 'x.db'}", begin="BEGIN", most=1)
    with connections.transaction(), pytest.raises(TurnTimeout), connections.transaction():
        pass
    with connections.transaction() as conn:
        assert conn.exec_driver_sql("SELECT 1").scalar() == 1
    connections.close()
