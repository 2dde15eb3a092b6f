"""A connection to PostgreSQL beside the pool, for what ends with its connection: hints between processes, and locks.

LISTEN and these locks belong to one server process: through a PgBouncer that shares connections between transactions they
do not work.
"""

from __future__ import annotations

import select
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import URL

from storage.schema import from_ms

OPTIONS = {
    # A process that hangs inside a transaction, or whose machine is gone, must not hold its locks for ever.
    "idle_in_transaction_session_timeout": 5000,
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What the server does about us."""

CLIENT: dict[str, Any] = {
    "connect_timeout": 5,  # for each host: one that is gone does not answer at all
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""What we do about the server. The same names in the URL come first."""

TIME = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

LOCKS = 727074
"""Tells our locks from those that others hold in the same database."""


def connect_args(url: URL) -> dict[str, Any]:
    """How to connect to PostgreSQL, besides what the URL says."""
    said = url.query.get("options", ())
    options = [f"-c {name}={value}" for name, value in OPTIONS.items()]
    options += [said] if isinstance(said, str) else said
    return {name: value for name, value in CLIENT.items() if name not in url.query} | {"options": " ".join(options)}


class Session:
    """An open connection; every method raises psycopg's OperationalError when it is lost. For one thread."""

    def __init__(self, url: URL) -> None:
        _, named = url.get_dialect()().create_connect_args(url)
        self._connection = psycopg.connect(**{**named, **connect_args(url)}, autocommit=True)

    def close(self) -> None:
        """Also ends its locks."""
        self._connection.close()

    def now(self) -> datetime:
        """What time it is for the server."""
        row = self._connection.execute(TIME).fetchone()
        return from_ms(row[0] if row else 0)

    def listen(self) -> None:
        """From now on `heard` says when another session tells something."""
        self._connection.execute("LISTEN callboard")

    def tell(self) -> None:
        """Tells every session that listens, in a transaction of its own: one with NOTIFY in it locks the whole database
        while it commits."""
        self._connection.execute("NOTIFY callboard")

    def heard(self) -> bool:
        """Whether another session told something since it was asked last."""
        own = self._connection.info.backend_pid
        told = list(self._connection.notifies(timeout=0))
        return any(one.pid != own for one in told)

    def wait(self, bell: int, timeout_s: float) -> None:
        """Returns when there may be something to hear, when there is something to read from `bell`, or after a while."""
        poll = select.poll()
        for descriptor in (self._connection.fileno(), bell):
            poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, timeout_s) * 1000)

    def hold(self, name: str) -> bool:
        """Takes the lock of that name until the session ends; False when another session has it."""
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LOCKS, name)).fetchone()
        return row is not None and bool(row[0])
