"""Turning rows into frozen dataclasses, and inserting where a row may already be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Row, Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.database import Tx

T = TypeVar("T")


def record(kind: type[T], row: Row[Any], **opened: Any) -> T:
    """The dataclass with the columns of the row that it has fields for; `opened` replaces sealed ones."""
    values = row._mapping
    return kind(**{f.name: opened.get(f.name, values.get(f.name)) for f in fields(kind)})  # type: ignore[arg-type]


def insert_or_ignore(tx: Tx, table: Table, rows: Iterable[dict[str, Any]]) -> int:
    """Inserts the rows, all with the same columns, whose unique keys are not there yet; the number inserted.

    One prepared statement for all of them: `VALUES` with many rows would meet the databases' limit of parameters
    (65,535 on PostgreSQL: a large report to a large group) and is compiled anew for every number of rows.
    """
    values = rows if isinstance(rows, list) else list(rows)
    if not values:
        return 0
    insert = (sqlite_insert(table) if tx.sqlite else postgresql_insert(table)).on_conflict_do_nothing()
    return tx.conn.execute(insert, values, execution_options={"preserve_rowcount": True}).rowcount


def upsert(tx: Tx, table: Table, keys: tuple[str, ...], values: Mapping[str, Any]) -> None:
    """Inserts the row, or updates the others of its columns where the keys are there."""
    insert = (sqlite_insert(table) if tx.sqlite else postgresql_insert(table)).values(**values)
    rest = {name: insert.excluded[name] for name in values if name not in keys}
    tx.conn.execute(insert.on_conflict_do_update(index_elements=list(keys), set_=rest))
