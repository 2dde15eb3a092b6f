"""Opening the database, transactions, and migrations.

SQLite: write-ahead log with full durability (an answered alert survives a power cut), one connection for writing so
that threads queue in our pool and not in SQLite's sleep-and-retry, readers beside it. PostgreSQL: one pool for both; the
URL may name several hosts (`?host=a:5432&host=b:5432&target_session_attrs=read-write`), of which the one that can be
written to is used, also after it has changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.driver import is_read_only, translated
from storage.schema import from_ms, setting
from storage.session import TIME, Session, connect_args
from storage.turns import Together, Turns, TurnTimeout
from storage.vault import Vault, WrongKey

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 5000

TURN_TIMEOUT_S = 30.0
"""How long a thread waits for its turn on SQLite."""

LOOK_TIMEOUT_S = 0.03
"""How long a thread waits for its turn to look: others may look at tens of thousands of messages, and it at one."""

MOST_TOGETHER = 100
"""Small writes in one transaction."""

CACHED_STATEMENTS = 512
"""Of each connection to SQLite: compiling one takes longer than carrying it out."""

CANARY = "canary"

WAITS_FOR_STANDBY = "SyncRepWaitForLSN"
"""PostgreSQL's function that gives up waiting for the synchronous standby; its warning has no code of its own, and its
text is in the server's language (src/backend/replication/syncrep.c)."""

UNCONFIRMED = "callboard.unconfirmed"

NOT_LASTING = "SET LOCAL synchronous_commit = off"
AS_HINT = "SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '2s', true)"


class DatabaseBusy(Exception):
    """Another process already uses this SQLite file; SQLite serves one process."""


class NotConfirmed(Exception):
    """The transaction is committed here, and perhaps not on the synchronous standby: a failover may lose it."""


def is_unavailable(error: Exception) -> bool:
    """Whether the error means that the database cannot work right now: gone, busy, full, or of no use after a failover."""
    if isinstance(error, DBAPIError) and is_read_only(error.orig):
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | TurnTimeout | NotConfirmed)


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction: every query takes it. `vault` seals what must not be readable in the file."""

    conn: Connection
    vault: Vault

    @property
    def sqlite(self) -> bool:
        return self.conn.dialect.name == "sqlite"


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


WRITER = ("cache_size=-32000", "wal_autocheckpoint=8000")
"""Of the one connection that writes. In a storm nearly every alert writes pages somewhere in an index: those pages stay in
memory (32 MB), and are moved from the log into the file more seldom (every 32 MB), so that most are moved once."""


def _as_json(value: Any) -> str:
    """Most of what is stored as JSON is empty, and an encoder takes its time for that too."""
    if not value and isinstance(value, dict | list):
        return "[]" if isinstance(value, list) else "{}"
    return json.dumps(value)


def _sqlite_engine(url: str, *, begin: str, size: int, settings: Sequence[str] = ()) -> Engine:
    """`settings`: further pragmas of its connections."""
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=30,
        pool_use_lifo=True,  # each connection has its own pages and statements in memory: the one used last has them all
        hide_parameters=True,  # an error is logged, and values may be people's
        json_serializer=_as_json,
        connect_args={"check_same_thread": False, "cached_statements": CACHED_STATEMENTS},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        with _one_process(engine.url.database):
            for pragma in (
                f"busy_timeout={BUSY_TIMEOUT_MS}",
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                *settings,
            ):
                connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        try:
            driver.execute(begin)
        except Exception as error:
            raise translated(connection, begin, error) from error

    return engine


@cache
def _newest() -> tuple[str, ...]:
    """The last migration. Loading all of them takes longer than the rest of a start."""
    return tuple(ScriptDirectory(str(MIGRATIONS)).get_heads())


def _postgresql_engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=24,
        max_overflow=8,
        pool_timeout=30,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=connect_args(url),
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        def notice(diagnostic: Any) -> None:
            if diagnostic.source_function == WAITS_FOR_STANDBY:
                record.info[UNCONFIRMED] = True

        connection.add_notice_handler(notice)

    @event.listens_for(engine, "handle_error")
    def _failed(context: ExceptionContext) -> None:
        if is_read_only(context.original_exception):
            context.is_disconnect = True

    return engine


class Database:
    """The open database. `write()` and `read()` give a transaction that commits when its block ends well.

    Never open a `write()` inside another one of the same thread: on SQLite there is exactly one writer.
    """

    def __init__(self, url: str, secret_key: str) -> None:
        self.url = make_url(url)
        self.vault = Vault(secret_key)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self._locks: list[Any] = []
        self._guard = threading.local()
        self._hasty = False
        self._turns = Turns(TURN_TIMEOUT_S)
        self._looks = Turns(LOOK_TIMEOUT_S)
        self._together = Together(lambda: self.write(lasting=False), MOST_TOGETHER)
        if self.sqlite:
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            self._writer = _sqlite_engine(url, begin="BEGIN IMMEDIATE", size=1, settings=WRITER)
            self._reader = _sqlite_engine(url, begin="BEGIN", size=16)
        else:
            self._writer = self._reader = _postgresql_engine(self.url)

    @contextmanager
    def write(self, *, lasting: bool = True, hint: bool = False) -> Iterator[Tx]:
        """Raises NotConfirmed after a commit that PostgreSQL did not bring to its synchronous standby.

        lasting  False: nobody waits for the disk or the standby. It outlives a crash of ours, but perhaps not one of the
                 machine or of PostgreSQL; the next lasting commit makes it last
        hint     it only makes things faster: not lasting, and on PostgreSQL it gives up (with an error that
                 `is_unavailable`) where others hold a lock
        """
        self._no_other()
        self._guard.writing = True
        try:
            with self._turns.turn() if self.sqlite else nullcontext(), self._writer.connect() as conn:
                conn.info.pop(UNCONFIRMED, None)  # of a commit that was not made here
                with self._in_haste(conn) if self.sqlite and not lasting else nullcontext(), conn.begin():
                    if not self.sqlite and (hint or not lasting):
                        conn.exec_driver_sql(AS_HINT if hint else NOT_LASTING)
                    yield Tx(conn, self.vault)
                if conn.info.pop(UNCONFIRMED, False):
                    raise NotConfirmed
        finally:
            self._guard.writing = False

    def write_together(self, write: Callable[[Tx], T], *, lasting: bool = True) -> T:
        """What `write` returns, committed: for small writes of many threads that say what became of something.

        SQLite: in one transaction with what other threads write meanwhile, and not `lasting`: a crash of ours loses
        nothing; when the machine fails, what was written since `make_lasting` or the last lasting commit may be unknown.
        `write` is called again, in a transaction of its own, when the one with others failed. PostgreSQL: by itself, and
        lasting if it is to be; there the server brings several commits to its disk together.
        """
        if self.sqlite:
            self._no_other()
            return self._together.run(write)
        with self.write(lasting=lasting) as tx:
            return write(tx)

    def make_lasting(self) -> None:
        """On SQLite: brings to the disk what was committed and not lasting. Nobody who writes waits for it."""
        if self._hasty and self.url.database:
            self._hasty = False  # before: what is committed meanwhile may be behind it
            try:
                # Only the log: what is moved from it into the database file is brought to the disk before it is moved.
                with Path(f"{self.url.database}-wal").open("rb") as log:
                    os.fdatasync(log.fileno())
            except OSError:
                self._hasty = True
                raise

    def _no_other(self) -> None:
        if getattr(self._guard, "writing", False):
            raise RuntimeError("a write transaction is already open in this thread")

    @contextmanager
    def _in_haste(self, conn: Connection) -> Iterator[None]:
        """On SQLite: what is committed here is not brought to the disk, only to the operating system."""
        connection: Any = conn.connection.driver_connection
        connection.execute("PRAGMA synchronous=NORMAL")
        self._hasty = True
        try:
            yield
        finally:
            # A commit that failed may leave it open, and the setting cannot be changed inside of it.
            if connection.in_transaction:
                connection.rollback()
            connection.execute("PRAGMA synchronous=FULL")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with self._reader.begin() as conn:
            yield Tx(conn, self.vault)

    @contextmanager
    def look(self) -> Iterator[Tx]:
        """As `read`, for what many threads read and work out at the same time.

        SQLite: one after the other, as far as none takes long. All of it happens in this process, and threads that
        compute at the same time only take the interpreter from each other, at every statement: one and the same thing
        takes ten times as long then.
        """
        with self._looks.turn(needed=False) if self.sqlite else nullcontext(), self.read() as tx:
            yield tx

    def now(self) -> datetime:
        """What time it is for a PostgreSQL server: the same for all who use it, whatever their own clocks say."""
        with self.read() as tx:
            return from_ms(tx.conn.exec_driver_sql(TIME).scalar_one())

    def session(self) -> Session:
        """A new connection to PostgreSQL of its own."""
        return Session(self.url)

    def lock(self, part: str) -> None:
        """On SQLite: be the only process that runs this part ("web", "worker"). Raises DatabaseBusy.

        The kernel frees the lock when the process dies, however it dies.
        """
        if not self.sqlite or not self.url.database:
            return
        file = Path(f"{self.url.database}.{part}.lock").open("a")  # noqa: SIM115 (held as long as the process lives)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise DatabaseBusy from error
        self._locks.append(file)

    def check_key(self) -> None:
        """Raises WrongKey when the database was written with a SECRET_KEY that is not among ours."""
        with self.write() as tx:
            sealed = tx.conn.scalar(select(setting.c.value).where(setting.c.name == CANARY))
            if sealed is None:
                tx.conn.execute(setting.insert().values(name=CANARY, value=tx.vault.seal(CANARY)))
            elif tx.vault.open(sealed) != CANARY:  # pragma: no cover (an authenticated text cannot differ)
                raise WrongKey

    def problem(self) -> str:
        """Why the database cannot be used right now, in a word or two; "" when all is well."""
        try:
            with self.write() as tx:
                tx.conn.execute(text("SELECT 1"))
                current = MigrationContext.configure(tx.conn).get_current_heads()
        except Exception as error:
            if not is_unavailable(error):
                raise
            return "unreachable"
        return "" if current == _newest() else "migrations missing"

    def upgrade(self) -> None:
        """Brings the tables up to date; several processes may do it at once."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self._writer.begin() as conn:
            if not self.sqlite:
                conn.execute(text("SELECT pg_advisory_xact_lock(727074)"))
            if MigrationContext.configure(conn).get_current_heads() != _newest():
                config.attributes["connection"] = conn
                command.upgrade(config, "head")

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()
        for file in self._locks:
            file.close()
        self._locks.clear()


def upgrade(url: str) -> None:
    """Migrates the database at `url`, for `python -m bot db upgrade`."""
    database = Database(url, "not used for migrations")
    try:
        database.upgrade()
    finally:
        database.close()
