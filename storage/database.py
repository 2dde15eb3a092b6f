"""Opening the database, transactions, and migrations.

SQLite: write-ahead log with full durability (an answered alert survives a power cut), one connection for writing so
that threads queue in our pool and not in SQLite's sleep-and-retry, readers beside it. PostgreSQL: one pool for both.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.schema import setting
from storage.vault import Vault, WrongKey

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 5000
CANARY = "canary"

POSTGRESQL_SESSION = {
    # A process that hangs inside a transaction, or whose machine is gone, must not hold its locks for ever.
    "options": "-c idle_in_transaction_session_timeout=10000",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class DatabaseBusy(Exception):
    """Another process already uses this SQLite file; SQLite serves one process."""


def is_unavailable(error: Exception) -> bool:
    """Whether the error means that the database cannot work right now: gone, busy, full."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)


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


def _sqlite_engine(url: str, *, begin: str, size: int) -> Engine:
    engine = create_engine(
        url, pool_size=size, max_overflow=0, pool_timeout=30, connect_args={"check_same_thread": False}
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
            ):
                connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

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
        if self.sqlite:
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            self._writer = _sqlite_engine(url, begin="BEGIN IMMEDIATE", size=1)
            self._reader = _sqlite_engine(url, begin="BEGIN", size=16)
        else:
            self._writer = self._reader = create_engine(
                url, pool_size=24, max_overflow=8, pool_timeout=30, pool_pre_ping=True, connect_args=POSTGRESQL_SESSION
            )

    @contextmanager
    def write(self) -> Iterator[Tx]:
        if getattr(self._guard, "writing", False):
            raise RuntimeError("a write transaction is already open in this thread")
        self._guard.writing = True
        try:
            with self._writer.begin() as conn:
                yield Tx(conn, self.vault)
        finally:
            self._guard.writing = False

    @contextmanager
    def read(self) -> Iterator[Tx]:
        with self._reader.begin() as conn:
            yield Tx(conn, self.vault)

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
        heads = ScriptDirectory(str(MIGRATIONS)).get_heads()
        return "" if set(current) == set(heads) else "migrations missing"

    def upgrade(self) -> None:
        """Brings the tables up to date; several processes may do it at once."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self._writer.begin() as conn:
            if not self.sqlite:
                conn.execute(text("SELECT pg_advisory_xact_lock(727074)"))
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
