"""How SQLite is used: connections that stay open, and a write-ahead log that we bring to the disk ourselves."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from storage.driver import translated
from storage.turns import TurnTimeout

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5000

PATIENCE_S = 30.0
"""How long a thread waits for a connection."""

CACHED_STATEMENTS = 512
"""Of each connection: compiling one takes longer than carrying it out."""

_SYNC = getattr(os, "fdatasync", os.fsync)
"""Not every system has the one that leaves out the times of the file."""


class FileTakenAway(OSError):
    """What is committed is found by nobody who opens the database from now on."""


class Connections(Generic[T]):
    """Connections to one file, each for one transaction at a time. The one used last, with the most in memory, is next.

    Its driver is told to begin and to commit; SQLAlchemy hears of a transaction only when it is asked something itself.
    To check a connection out, begin and check it in again takes SQLAlchemy longer than most transactions here take.
    """

    def __init__(
        self, url: str, made: Callable[[Connection, Any], T], *, begin: str, most: int, settings: Sequence[str] = ()
    ) -> None:
        """
        made      what a transaction is to those who use it, from SQLAlchemy's and the driver's connection
        begin     the statement that begins one
        settings  further pragmas
        """
        self.made = made
        self._engine = _engine(url, settings)
        self._begin = begin
        # A token for each: a semaphore costs ten times as much.
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _each in range(most):
            self._free.put(None)
        self._idle: list[Connection] = []
        event.listen(self._engine, "connect", self._connected)
        self.log = ""
        """The write-ahead log, as soon as somebody was connected; "" where SQLite keeps none."""
        self.connected = 0
        """How often somebody was."""
        self._file: tuple[Path, os.stat_result] | None = None

    def transaction(self) -> AbstractContextManager[T]:
        """Commits when its block ends well. Raises TurnTimeout when no connection gets free."""
        return _Transaction(self)

    def told(self, statement: str) -> list[Any]:
        """The rows that it answers, outside of a transaction."""
        conn, driver = self._checked_out()
        try:
            return list(_told(conn, driver, statement))
        finally:
            self._checked_in(conn)

    def begun(self) -> tuple[Connection, Any]:
        """A connection and its driver's, for as long as it is not ended."""
        conn, driver = self._checked_out()
        try:
            _told(conn, driver, self._begin)
        except BaseException:
            self.rolled_back(conn, driver)
            raise
        return conn, driver

    def committed(self, conn: Connection, driver: Any) -> None:
        """Ends a transaction well, or not at all."""
        try:
            if conn.in_transaction() and driver.in_transaction:
                conn.commit()
            else:  # an error where SQLite has ended the transaction by itself, as when the disk is full
                _told(conn, driver, "COMMIT")
        except BaseException:
            self.rolled_back(conn, driver)
            raise
        self._checked_in(conn)

    def rolled_back(self, conn: Connection, driver: Any) -> None:
        """Also after a commit that failed. A connection that cannot even do that is given up."""
        try:
            conn.rollback()
            if driver.in_transaction:
                driver.execute("ROLLBACK")
            self._idle.append(conn)
        except Exception:
            log.exception("a connection to the database is given up")
            with suppress(Exception):
                conn.invalidate()
                conn.close()
        finally:
            self._free.put(None)

    def _checked_out(self) -> tuple[Connection, Any]:
        try:
            self._free.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise TurnTimeout from None
        try:
            try:
                conn = self._idle.pop()
            except IndexError:
                conn = self._engine.connect()
            return conn, conn.connection.driver_connection
        except BaseException:
            self._free.put(None)
            raise

    def _checked_in(self, conn: Connection) -> None:
        self._idle.append(conn)
        self._free.put(None)

    def _connected(self, connection: Any, _record: object) -> None:
        """What is under the URL may be a link: the log is beside the file itself."""
        [mode] = connection.execute("PRAGMA journal_mode").fetchone()
        file = next(name for _number, part, name in connection.execute("PRAGMA database_list") if part == "main")
        self.log = f"{file}-wal" if file and mode == "wal" else ""
        self.connected += 1
        if file and self._file is None:  # the first one: if it is lost, SQLite makes another for the next connection
            self._file = Path(file), Path(file).stat()

    def check_file(self) -> None:
        """Raises FileTakenAway when the file under its path is not the one that was opened first.

        SQLite looks after that only where it keeps no log. By `stat`, as closing any descriptor of the file would drop
        the locks that SQLite has on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
        """
        if self._file is None:
            return
        path, opened = self._file
        try:
            same = os.path.samestat(path.stat(), opened)
        except FileNotFoundError:
            same = False
        if not same:
            raise FileTakenAway(errno.ESTALE, "the file of the database was taken away")

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()


class _Transaction(AbstractContextManager[T]):
    """A class: as a generator it would cost as much as a statement."""

    __slots__ = ("_conn", "_connections", "_driver")

    def __init__(self, connections: Connections[T]) -> None:
        self._connections = connections

    def __enter__(self) -> T:
        self._conn, self._driver = self._connections.begun()
        return self._connections.made(self._conn, self._driver)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._connections.committed(self._conn, self._driver)
        else:
            self._connections.rolled_back(self._conn, self._driver)


def _told(conn: Connection, driver: Any, statement: str) -> Any:
    try:
        return driver.execute(statement)
    except Exception as error:
        raise translated(conn, statement, error) from error


def _engine(url: str, settings: Sequence[str]) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,  # an error is logged, and values may be people's
        json_serializer=_as_json,
        json_deserializer=_from_json,
        connect_args={"check_same_thread": False, "cached_statements": CACHED_STATEMENTS},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        with _one_process(engine.url.database):
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            [mode] = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            # With a log each commit is ours to sync. Some file systems allow none (https://www.sqlite.org/wal.html).
            for pragma in (f"synchronous={'NORMAL' if mode == 'wal' else 'FULL'}", "foreign_keys=ON", *settings):
                connection.execute(f"PRAGMA {pragma}")

    return engine


def _as_json(value: Any) -> str:
    """Most of what is stored as JSON is empty, and an encoder takes its time for that too."""
    if not value and isinstance(value, dict | list):
        return "[]" if isinstance(value, list) else "{}"
    return json.dumps(value)


def _from_json(text: str) -> Any:
    """And a decoder as well."""
    return [] if text == "[]" else {} if text == "{}" else json.loads(text)


@contextmanager
def _one_process(file: str | None) -> Iterator[None]:
    """Waits until no other process is opening this SQLite file.

    Turning a new file into one with a write-ahead log is the one step for which SQLite does not wait: of two
    processes that do it at once, one is refused whatever its busy timeout (https://www.sqlite.org/wal.html).
    """
    if not file:
        yield
        return
    with Path(f"{file}.open.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Wal:
    """Syncs the log for all threads that wait for it at the same time at once, while others go on writing.

    SQLite itself would sync in the middle of a commit (`synchronous=FULL`), and everybody who writes would wait for the
    disk. What the log's sync does not cover is safe already: SQLite syncs the log before it moves anything from it into
    the file, and the file before it begins the log anew (https://www.sqlite.org/wal.html).
    """

    def __init__(self, writer: Connections[Any], turn: Callable[[], AbstractContextManager[None]]) -> None:
        """`turn`: around what needs the writer."""
        self._writer = writer
        self._turn = turn
        self._commits = 0
        self._on_disk = 0
        self._syncing = threading.Lock()
        self._log: int | None = None
        self._of = 0
        self._broken = False
        self._failures = 0  # to mend it

    def grown(self) -> None:
        """A transaction was committed; called by whoever still has the writer."""
        self._commits += 1

    def sync(self) -> None:
        """Returns when everything is on the disk that was committed before. Raises OSError."""
        wanted, failures = self._commits, self._failures
        with self._syncing:
            if self._on_disk >= wanted or not self._writer.log:
                return
            self._writer.check_file()
            if self._broken or self._reconnected():
                if self._failures != failures:  # else each who waits would try, one after the other
                    raise OSError(errno.EIO, "the log could not be written anew while this one waited")
                try:
                    self._mend()
                except BaseException:
                    self._failures += 1
                    raise
            reached = self._commits  # what is committed from now on may come after the sync
            try:
                _SYNC(self._opened(self._writer.log))
            except OSError:
                self._broken = True
                raise
            self._on_disk = reached

    def _opened(self, path: str) -> int:
        """The log stays open: the kernel tells of a write that failed only those who had the file open then."""
        if self._reconnected():
            self._shut()  # with the last connection SQLite removes it, and the next one makes another
        if self._log is None:
            self._of = self._writer.connected
            self._log = os.open(path, os.O_RDONLY)
        if not os.path.samestat(Path(path).stat(), os.fstat(self._log)):
            raise OSError(errno.ESTALE, "the log was taken away")
        return self._log

    def _reconnected(self) -> bool:
        """Whether the log that is open here may be another one than the writer's."""
        return self._log is not None and self._of != self._writer.connected

    def _mend(self) -> None:
        """After a sync that failed the next one says nothing of what was lost: the kernel calls it written.

        All that is in the log, as SQLite still sees it, is written into the file instead, and synced there. So it is when
        the log has to be opened anew, and nobody would hear of what has failed before.
        """
        self._broken = True
        with self._turn():
            try:
                [(busy, *_pages)] = self._writer.told("PRAGMA wal_checkpoint(TRUNCATE)")
            except DBAPIError as error:
                raise OSError(errno.EIO, "the log could not be written anew") from error
        if busy:
            raise OSError(errno.EBUSY, "the log could not be written anew yet")
        self._broken = False

    def close(self) -> None:
        with self._syncing:  # else somebody might sync what has the descriptor's number next
            self._shut()

    def _shut(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None
