"""Turning rows into frozen dataclasses, and inserting where a row may already be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache, lru_cache
from typing import Any, TypeVar, cast

from sqlalchemy import Insert, Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.database import Tx
from storage.prepared import Prepared

T = TypeVar("T")


def record(kind: type[T], row: Any, **opened: Any) -> T:
    """The dataclass with the columns of the row that it has fields for; `opened` replaces sealed ones."""
    made: Any = kind
    if not isinstance(row, tuple):  # SQLAlchemy's, and not a prepared statement's
        named = row._mapping
        return cast("T", made(**{name: opened.get(name, named.get(name)) for name in _fields(made)}))
    values = [None if place is None else row[place] for place in _places(made, row.__class__)]
    for name, value in opened.items():
        values[_fields(made).index(name)] = value
    return cast("T", made(*values))


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


@lru_cache(1000)
def _places(kind: Any, row: Any) -> tuple[int | None, ...]:
    """Where the fields of the dataclass stand in such a row of a prepared statement."""
    there = {name: place for place, name in enumerate(row._fields)}
    return tuple(there.get(name) for name in _fields(kind))


def insert_or_ignore(tx: Tx, table: Table, rows: Iterable[dict[str, Any]]) -> int:
    """Inserts the rows, all with the same columns, whose unique keys are not there yet; the number inserted.

    One prepared statement for all of them: `VALUES` with many rows would meet the databases' limit of parameters
    (65,535 on PostgreSQL: a large report to a large group) and is compiled anew for every number of rows.
    """
    values = rows if isinstance(rows, list) else list(rows)
    return _ignoring(table, tx.sqlite, tuple(values[0])).run_each(tx, values) if values else 0


@lru_cache(200)
def _ignoring(table: Table, sqlite: bool, columns: tuple[str, ...]) -> Prepared:
    insert = sqlite_insert if sqlite else postgresql_insert
    return Prepared(lambda: insert(table).on_conflict_do_nothing(), columns)


def upsert(tx: Tx, table: Table, keys: tuple[str, ...], values: Mapping[str, Any]) -> None:
    """Inserts the row, or updates the others of its columns where the keys are there."""
    _updating(table, tx.sqlite, keys, tuple(values)).run(tx, **values)


@lru_cache(200)
def _updating(table: Table, sqlite: bool, keys: tuple[str, ...], columns: tuple[str, ...]) -> Prepared:
    def build() -> Insert:
        insert = sqlite_insert(table) if sqlite else postgresql_insert(table)
        rest = {name: insert.excluded[name] for name in columns if name not in keys}
        return insert.on_conflict_do_update(index_elements=list(keys), set_=rest)

    return Prepared(build, columns)
