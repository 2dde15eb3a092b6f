"""SQLite: how transactions end, and when what was committed is on the disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
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


def plain(conn: Connection, _driver: Any) -> Connection:
    return conn


def told(tx: Tx, *statements: str) -> None:
    """Tells the driver itself, as prepared statements do."""
    for statement in statements:
        tx.driver.execute(statement)


def insert(tx: Tx, name: str, *, then: str) -> None:
    """Asks SQLAlchemy, and then tells the driver itself."""
    tx.conn.execute(setting.insert().values(name=name, value="1"))
    told(tx, then)


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


def test_what_could_not_be_brought_to_the_disk_is_not_confirmed_and_written_anew(
    database: Database, disk: Disk
) -> None:
    """The next sync alone would succeed and say nothing: the kernel takes the lost pages for written."""
    disk.broken = True
    with pytest.raises(NotConfirmed, match="the disk is gone") as told:
        note(database, "a")
    assert is_unavailable(told.value)
    disk.broken = False
    log = Path(f"{database.url.database}-wal")
    with database.read() as tx:  # holds on to the log, so that it cannot be begun anew
        tx.conn.exec_driver_sql("SELECT 1 FROM setting").all()
        database._writer.told("PRAGMA busy_timeout=10")
        with pytest.raises(NotConfirmed, match="not be written anew yet"):
            note(database, "b")
    assert disk.syncs == 0
    database.make_lasting()
    assert log.stat().st_size == 0, "all of it is in the file"
    assert {"a", "b"} <= names(database)
    note(database, "c")
    assert log.stat().st_size > 0
    assert disk.syncs == 2


def test_when_the_log_cannot_be_written_anew_either_nothing_is_confirmed(
    database: Database, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.broken = True
    with pytest.raises(NotConfirmed):
        note(database, "a")
    disk.broken = False

    def broken(statement: str) -> list[Any]:
        raise OperationalError(statement, None, Exception("disk I/O error"))

    with monkeypatch.context() as patched:
        patched.setattr(database._writer, "told", broken)
        for name in ("b", "c"):
            with pytest.raises(NotConfirmed):
                note(database, name)
    note(database, "d")


def test_who_waits_while_the_log_cannot_be_written_anew_does_not_try_it_too(
    database: Database, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try may take seconds, and would be in the way of everybody who writes."""
    disk.broken = True
    with pytest.raises(NotConfirmed):
        note(database, "a")
    disk.broken = False
    tries = threading.Semaphore(0)
    may_fail = threading.Event()

    def broken(statement: str) -> list[Any]:
        tries.release()
        assert may_fail.wait(PATIENCE_S)
        raise OperationalError(statement, None, Exception("disk I/O error"))

    log = database._wal
    with monkeypatch.context() as patched, ThreadPoolExecutor(5) as pool:
        patched.setattr(database._writer, "told", broken)
        ends = [pool.submit(log.sync)]
        assert tries.acquire(timeout=PATIENCE_S)
        before = threading.Semaphore(0)

        class Lock:
            def __enter__(self) -> None:
                before.release()
                real.acquire()

            def __exit__(self, *_error: object) -> None:
                real.release()

        real = log._syncing
        patched.setattr(log, "_syncing", Lock())
        ends += [pool.submit(log.sync) for _ in range(4)]
        assert all(before.acquire(timeout=PATIENCE_S) for _ in range(4))
        may_fail.set()
        assert all(isinstance(one.exception(PATIENCE_S), OSError) for one in ends)
    assert not tries.acquire(blocking=False)
    note(database, "b")


def test_the_log_stays_open_and_nothing_is_confirmed_when_it_is_taken_away(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Path(f"{database.url.database}-wal")
    own = log.stat().st_ino
    synced: list[int] = []
    monkeypatch.setattr("storage.sqlite._SYNC", lambda file: synced.append(os.fstat(file).st_ino))
    with monkeypatch.context() as patched:
        patched.setattr("storage.sqlite.os.open", None)
        note(database, "a")
        note(database, "b")
    log.rename(tmp_path / "away")
    with pytest.raises(NotConfirmed):
        note(database, "c")
    log.touch()
    with pytest.raises(NotConfirmed, match="taken away"):
        note(database, "d")
    assert set(synced) == {own}


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Database]:
    """As the service opens it."""
    database = Database(f"sqlite:///{tmp_path / 'migrated.db'}", seed.KEY)
    database.upgrade()
    yield database
    database.close()


@pytest.mark.parametrize("other", [False, True])
def test_nothing_is_confirmed_while_the_file_itself_is_taken_away(
    other: bool, migrated: Database, tmp_path: Path
) -> None:
    """SQLite goes on writing into the log, which nobody would find again with the file that comes next."""
    file = Path(str(migrated.url.database))
    note(migrated, "a")
    file.rename(tmp_path / "away")
    if other:
        file.touch()
    for name in ("b", "c"):
        with pytest.raises(NotConfirmed, match="file of the database was taken away"):
            note(migrated, name)
    note(migrated, "d", lasting=False)
    assert migrated.problem() == "file taken away"
    (tmp_path / "away").rename(file)
    assert migrated.problem() == ""
    note(migrated, "e")
    assert {"a", "b", "c", "d", "e"} == names(migrated)


def test_a_file_that_may_not_grow_is_a_problem_as_soon_as_an_alert_would_not_fit(migrated: Database) -> None:
    with migrated.write() as tx:
        pages = tx.conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
    note(migrated, "small")
    assert migrated.problem() == "disk full"
    with migrated.write() as tx:
        tx.conn.exec_driver_sql(f"PRAGMA max_page_count={pages * 2}")
    assert migrated.problem() == ""
    assert names(migrated) == {"small"}


def test_a_file_that_is_no_database_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("a diary, and not a short one. " * 100)
    database = Database(f"sqlite:///{tmp_path / 'x.db'}", seed.KEY)
    assert database.problem() == "not a database"
    database.close()


def test_a_file_that_comes_after_a_lost_one_is_not_taken_for_it(database: Database) -> None:
    Path(str(database.url.database)).unlink()
    with pytest.raises(Exception, match="closed"), database.write() as tx:
        tx.driver.close()  # SQLite makes a new file for the next connection
    with pytest.raises(OperationalError, match="no such table"):
        note(database, "a")
    database._wal.grown()
    with pytest.raises(NotConfirmed, match="taken away"):
        database.make_lasting()


def test_after_a_new_connection_the_log_is_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("storage.sqlite._SYNC", lambda file: synced.append(os.fstat(file).st_ino))
    path = tmp_path / "x.db"
    writer = Connections(f"sqlite:///{path}", plain, begin="BEGIN IMMEDIATE", most=1)
    log = Wal(writer, nullcontext)
    for number in range(2):
        with writer.transaction() as conn:
            conn.exec_driver_sql(f"CREATE TABLE t{number} (id INTEGER)")
        log.grown()
        log.sync()
        assert synced[-1] == Path(f"{path}-wal").stat().st_ino
        writer.close()  # the last one: SQLite removes the log
    log.close()
    assert len(synced) == 2


def test_the_log_that_is_synced_is_beside_the_file_that_a_link_points_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "callboard.db")
    (tmp_path / "link.db-wal").touch()
    synced: set[int] = set()
    monkeypatch.setattr("storage.sqlite._SYNC", lambda file: synced.add(os.fstat(file).st_ino))
    with seed.opened(f"sqlite:///{tmp_path / 'link.db'}") as linked:
        note(linked, "a")
        assert synced == {(tmp_path / "real" / "callboard.db-wal").stat().st_ino}


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


def test_where_there_can_be_no_log_sqlite_syncs_by_itself() -> None:
    connections = Connections("sqlite://", plain, begin="BEGIN", most=1)
    with connections.transaction() as conn:
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    log = Wal(connections, nullcontext)
    log.grown()
    log.sync()
    connections.close()


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
    with pytest.raises(OperationalError, match="no transaction"), database.write() as tx:
        insert(tx, "b", then="ROLLBACK")
    note(database, "c")
    assert names(database).isdisjoint({"a", "b"})


def test_a_connection_that_is_of_no_use_is_replaced(database: Database) -> None:
    with pytest.raises(Exception, match="closed"), database.write() as tx:
        tx.driver.close()
    note(database, "a")
    assert "a" in names(database)


def test_who_finds_no_free_connection_waits_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.PATIENCE_S", 0.01)
    connections = Connections(f"sqlite:///{tmp_path / 'x.db'}", plain, begin="BEGIN", most=1)
    with connections.transaction(), pytest.raises(TurnTimeout), connections.transaction():
        pass
    with connections.transaction() as conn:
        assert conn.exec_driver_sql("SELECT 1").scalar() == 1
    connections.close()


def test_a_connection_that_can_not_even_be_given_up_leaves_its_place_to_another(tmp_path: Path) -> None:
    connections = Connections(f"sqlite:///{tmp_path / 'x.db'}", plain, begin="BEGIN", most=1)

    def broken(conn: Connection) -> None:
        conn.close()  # of SQLAlchemy's connection nothing is left that could be rolled back
        raise KeyError

    with pytest.raises(KeyError), connections.transaction() as conn:
        broken(conn)
    with connections.transaction() as conn:
        assert conn.exec_driver_sql("SELECT 1").scalar() == 1
    connections.close()


def test_an_interrupt_while_a_transaction_is_rolled_back_costs_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections(f"sqlite:///{tmp_path / 'x.db'}", plain, begin="BEGIN", most=1)

    def interrupted(*_args: Any) -> None:
        raise KeyboardInterrupt

    def broken(patched: pytest.MonkeyPatch) -> None:
        patched.setattr(Connection, "rollback", interrupted)
        raise KeyError

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt), connections.transaction():
        broken(patched)
    with connections.transaction() as conn:
        assert conn.exec_driver_sql("SELECT 1").scalar() == 1
    connections.close()
