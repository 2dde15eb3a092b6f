"""What the database's driver says when it is asked directly, as SQLAlchemy would tell it."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

READ_ONLY = "25006"
"""SQLSTATE: the server is a standby, also one that was the primary when we connected."""


IN_A_WORD: dict[object, str] = {
    5: "busy",
    8: "read-only",
    10: "disk error",
    11: "damaged",
    13: "disk full",
    14: "cannot be opened",
    26: "not a database",
    READ_ONLY: "read-only",
    "53100": "disk full",
    "53300": "too many connections",
    "57P03": "starting or stopping",
    "58030": "disk error",
}
"""By SQLite's primary result code (https://www.sqlite.org/rescode.html) or PostgreSQL's SQLSTATE."""

DAMAGED = frozenset({11, 26})


def code_of(error: BaseException | None) -> object:
    """SQLite's primary result code, or PostgreSQL's SQLSTATE; None where there is neither."""
    extended = getattr(error, "sqlite_errorcode", None)
    return extended & 0xFF if isinstance(extended, int) else getattr(error, "sqlstate", None)


def is_read_only(error: BaseException | None) -> bool:
    """Whether the driver says that the server is a standby: a new connection looks for the primary."""
    return getattr(error, "sqlstate", None) == READ_ONLY


def translated(conn: Connection, sql: str, error: Exception) -> Exception:
    """The driver's error as SQLAlchemy tells it, without the values; a connection of no use any more is given up."""
    dialect = conn.dialect
    dbapi: Any = dialect.dbapi
    if not isinstance(error, dbapi.Error):
        return error
    driver: Any = conn.connection.driver_connection
    gone = is_read_only(error) or dialect.is_disconnect(error, driver, None)
    told: Any = DBAPIError.instance(
        sql, None, error, dbapi.Error, hide_parameters=True, connection_invalidated=gone, dialect=dialect
    )
    if gone:
        # As SQLAlchemy does it: the others in the pool are as old, and each would fail once.
        conn.engine.pool._invalidate(conn.connection, error)
        conn.invalidate(error)
    return cast("Exception", told)
