"""Opening the database, transactions, and migrations.

SQLite: write-ahead log, brought to the disk by us (an answered alert survives a power cut), one connection for writing so
that threads queue in our pool and not in SQLite's sleep-and-retry, readers beside it. PostgreSQL: one pool for both; the
URL may name several hosts (`?host=a:5432&host=b:5432&target_session_attrs=read-write`), of which the one that can be
written to is used, also after it has changed.
"""

from __future__ import annotations

import fcntl
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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

from storage.driver import DAMAGED, IN_A_WORD, code_of, is_read_only
from storage.schema import from_ms, setting
from storage.session import TIME, Session, connect_args
from storage.sqlite import Connections, FileTakenAway, Wal
from storage.turns import Together, Turns, TurnTimeout
from storage.vault import Vault, WrongKey

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
TURN_TIMEOUT_S = 30.0
"""How long a thread waits for its turn on SQLite."""

LOOK_TIMEOUT_S = 0.03
"""How long a thread waits for its turn to look: others may look at tens of thousands of messages, and it at one."""

MOST_TOGETHER = 100
"""Small writes in one transaction."""

READERS = 16
"""Connections that read SQLite at the same time."""

PROBE_CHARS = 50_000
"""About what a post with many alerts makes: a smaller probe would find room in what one that failed had already got."""

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
    """The transaction is committed, and may be lost: perhaps it is not on the synchronous standby, or not on the disk."""


def is_unavailable(error: Exception) -> bool:
    """Whether the error means that the database cannot work right now: gone, busy, full, damaged, or of no use after a
    failover."""
    if isinstance(error, DBAPIError) and (is_read_only(error.orig) or code_of(error.orig) in DAMAGED):
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | TurnTimeout | NotConfirmed)


def _in_a_word(error: Exception) -> str:
    """What an error is that `is_unavailable`, in a word or two."""
    match error:
        case DBAPIError():
            return IN_A_WORD.get(code_of(error.orig), "unreachable")
        case NotConfirmed():
            return "file taken away" if isinstance(error.__cause__, FileTakenAway) else "commits are not confirmed"
    return "busy"


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction: every query takes it. `vault` seals what must not be readable in the file."""

    conn: Connection
    driver: Any  # the driver's own connection
    vault: Vault
    sqlite: bool


WRITER = ("cache_size=-32000", "wal_autocheckpoint=8000")
"""Of the one connection that writes. In a storm nearly every alert writes pages somewhere in an index: those pages stay in
memory (32 MB), and are moved from the log into the file more seldom (every 32 MB), so that most are moved once."""


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
        self._turns = Turns(TURN_TIMEOUT_S)
        self._looks = Turns(LOOK_TIMEOUT_S)
        self._together = Together(lambda: self.write(lasting=False), MOST_TOGETHER)
        if self.sqlite:
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            self._writer = Connections(url, self._tx, begin="BEGIN IMMEDIATE", most=1, settings=WRITER)
            self._reader = Connections(url, self._tx, begin="BEGIN", most=READERS)
            self._wal = Wal(self._writer, self._turns.turn)
        else:
            self._server = _postgresql_engine(self.url)

    def _tx(self, conn: Connection, driver: Any) -> Tx:
        return Tx(conn, driver, self.vault, self.sqlite)

    @contextmanager
    def write(
        self, *, lasting: bool = True, hint: bool = False, seen: Callable[[], None] | None = None
    ) -> Iterator[Tx]:
        """Raises NotConfirmed after a commit that the disk, or PostgreSQL's synchronous standby, perhaps does not have.

        lasting  False: nobody waits for the disk or the standby. It outlives a crash of ours, but perhaps not one of the
                 machine or of PostgreSQL; the next lasting commit makes it last
        hint     it only makes things faster: not lasting, and on PostgreSQL it gives up (with an error that
                 `is_unavailable`) where others hold a lock
        seen     called as soon as others can see what was written; on SQLite that is before it is on the disk
        """
        self._no_other()
        self._guard.writing = True
        try:
            if self.sqlite:
                with self._turns.turn():
                    with self._writer.transaction() as tx:
                        yield tx
                    self._wal.grown()
            else:
                with self._on_server(AS_HINT if hint else "" if lasting else NOT_LASTING) as tx:
                    yield tx
        finally:
            self._guard.writing = False
        if seen is not None:
            seen()
        if self.sqlite and lasting and not hint:
            self.make_lasting()

    @contextmanager
    def _on_server(self, first: str) -> Iterator[Tx]:
        """A transaction on PostgreSQL that begins with this statement."""
        with self._server.connect() as conn:
            conn.info.pop(UNCONFIRMED, None)  # of a commit that was not made here
            with conn.begin():
                if first:
                    conn.exec_driver_sql(first)
                yield self._tx(conn, conn.connection.driver_connection)
            if conn.info.pop(UNCONFIRMED, False):
                raise NotConfirmed("the synchronous standby did not confirm it")

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
        """On SQLite: brings to the disk what was committed. Nobody who writes waits for it. Raises NotConfirmed."""
        if self.sqlite:
            try:
                self._wal.sync()
            except (OSError, TurnTimeout) as error:
                raise NotConfirmed(f"the disk did not confirm it ({error})") from error

    def _no_other(self) -> None:
        if getattr(self._guard, "writing", False):
            raise RuntimeError("a write transaction is already open in this thread")

    def read(self) -> AbstractContextManager[Tx]:
        return self._reader.transaction() if self.sqlite else self._read_on_server()

    @contextmanager
    def _read_on_server(self) -> Iterator[Tx]:
        with self._server.begin() as conn:
            yield self._tx(conn, conn.connection.driver_connection)

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
        """Why the database cannot be used right now, in a word or two; "" when all is well.

        Something is really written: to begin a transaction works also where there is no room, or no right, to commit
        one. It is a row of its own, as several processes that ask at once would wait for each other at a common one.
        """
        name = f"probe {secrets.token_hex(8)}"
        try:
            with self.write(lasting=self.sqlite) as tx:
                if MigrationContext.configure(tx.conn).get_current_heads() != _newest():
                    return "migrations missing"
                tx.conn.execute(setting.insert().values(name=name, value="x" * PROBE_CHARS))
                tx.conn.execute(setting.delete().where(setting.c.name == name))
        except Exception as error:
            if not is_unavailable(error):
                raise
            return _in_a_word(error)
        return ""

    def upgrade(self) -> None:
        """Brings the tables up to date; several processes may do it at once."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.write() as tx:
            conn = tx.conn
            if not self.sqlite:
                conn.execute(text("SELECT pg_advisory_xact_lock(727074)"))
            if MigrationContext.configure(conn).get_current_heads() != _newest():
                config.attributes["connection"] = conn
                command.upgrade(config, "head")

    def close(self) -> None:
        if self.sqlite:
            self._wal.close()
            self._writer.close()
            self._reader.close()
        else:
            self._server.dispose()
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
