"""What the database's driver says when it is asked directly, as SQLAlchemy would tell it."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

READ_ONLY = "25006"
"""SQLSTATE: the server is a standby, also one that was the primary when we connected."""


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
