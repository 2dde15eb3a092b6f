"""Statements of the hot paths: built and compiled once by SQLAlchemy, then given to the driver as they are.

What SQLAlchemy does at each execution (a context, a cache key, a result object) takes ten to thirty times as long as
SQLite takes for one of these statements, and more when the processor's caches are cold: for everything that happens once
for each alert or each message, that is most of the time. Everything else goes through `tx.conn.execute`.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from sqlalchemy import Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from storage.database import Tx
from storage.driver import translated

PADDED = 1024
"""Lists of up to so many values are padded, and their forms are kept."""

_NOTHING = object()

Processor = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class _Value:
    """One parameter of the SQL: where its value comes from, and what makes the driver's value of it."""

    name: str  # as it is in the SQL
    given: str  # as it is given
    place: int | None  # in a list of values
    processor: Processor


class _Form:
    """The statement for lists of certain lengths, as one kind of database takes it."""

    def __init__(self, sql: str, values: Sequence[_Value], fixed: Mapping[str, Any], *, positional: bool) -> None:
        """`fixed`: those that are the same each time."""
        self.sql = sql
        self._values = [(one.given, one.place, one.processor) for one in values]
        self._names = None if positional else [one.name for one in values]
        self._fixed = fixed
        self._has_lists = any(one.place is not None for one in values)

    def all_filled(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The parameters of each row. What is the very same object as in the row before is not converted again."""
        if self._has_lists or self._names is not None:
            return [self.filled(row) for row in rows]
        columns = [self._column(name, processor, rows) for name, _place, processor in self._values]
        return list(zip(*columns, strict=True))

    def _column(self, name: str, processor: Processor, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        if name in self._fixed:
            return [self._fixed[name]] * len(rows)
        if processor is None:
            return [row[name] for row in rows]
        column, last, made = [], _NOTHING, None
        for row in rows:
            value = row[name]
            if value is not last:
                last, made = value, processor(value)
            column.append(made)
        return column

    def filled(self, given: Mapping[str, Any]) -> Any:
        """The parameters for the driver."""
        if self._fixed:
            given = {**given, **self._fixed}
        if self._has_lists:
            flat = [(given[name] if place is None else given[name][place], make) for name, place, make in self._values]
            filled = [make(value) if make else value for value, make in flat]
        else:
            filled = [make(given[name]) if make else given[name] for name, _place, make in self._values]
        return filled if self._names is None else dict(zip(self._names, filled, strict=True))


def _row_class(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names, rename=True)


class _Compiled:
    """The statement for one kind of database."""

    def __init__(self, statement: Executable, dialect: Dialect, columns: Sequence[str] | None) -> None:
        keys = list(columns) if columns else None
        compiled = cast("SQLCompiler", statement.compile(dialect=dialect, column_keys=keys))  # type: ignore[attr-defined]
        self._compiled = compiled
        self._names = {name: bind for bind, name in compiled.bind_names.items()}
        self._lists = [name for name, bind in self._names.items() if bind.expanding and bind.required]
        self._forms: dict[tuple[int, ...], _Form] = {}
        self._defaults: dict[str, Any] = {}
        for column in compiled.insert_prefetch:
            default: Any = column.default
            self._defaults[str(column.key)] = default.arg
        result = compiled._result_columns
        self._named = partial(tuple.__new__, _row_class(tuple(entry.keyname for entry in result)))
        found = [entry.type._cached_result_processor(dialect, None) for entry in result]
        self._processors = [(place, one) for place, one in enumerate(found) if one is not None]

    def form(self, given: dict[str, Any]) -> _Form:
        """For these values, whose lists are padded."""
        for name in self._lists:
            given[name] = _padded(given[name])
        key = tuple([len(given[name]) for name in self._lists])
        form = self._forms.get(key)
        if form is None:
            form = self._made(given)
            if all(length <= PADDED for length in key):  # else there could be as many as there are lengths
                self._forms[key] = form
        return form

    def _made(self, given: Mapping[str, Any]) -> _Form:
        compiled = self._compiled
        known = {**self._defaults, **given}
        state = compiled.construct_expanded_state(known)
        processors: dict[str, Any] = {**compiled._bind_processors, **state.processors}
        whole = {
            part: (name, place) for name, parts in state.parameter_expansion.items() for place, part in enumerate(parts)
        }
        values: list[_Value] = []
        fixed: dict[str, Any] = {}
        for name in state.positiontup if state.positiontup is not None else state.parameters:
            origin, place = whole.get(name, (name, None))
            processor = processors.get(name)
            if origin in self._names and self._names[origin].required and origin not in self._defaults:
                values.append(_Value(name, origin, place, processor))
            else:
                value = state.parameters[name]
                fixed[name] = processor(value) if processor else value
                values.append(_Value(name, name, None, None))
        return _Form(state.statement, values, fixed, positional=state.positiontup is not None)

    def rows(self, raw: Sequence[Sequence[Any]]) -> list[Any]:
        """Rows with names."""
        if not self._processors:
            return list(map(self._named, raw))
        rows = []
        for one in raw:
            values = list(one)
            for place, processor in self._processors:
                values[place] = processor(values[place])
            rows.append(self._named(values))
        return rows


def _padded(values: Sequence[Any]) -> Sequence[Any]:
    """As long as the next power of two, so that a statement has few forms; in an IN what comes twice changes nothing.

    Long ones come seldom, and databases have a limit.
    """
    size = len(values)
    if size < 2 or size > PADDED:
        return values
    return [*values, *[values[-1]] * ((1 << (size - 1).bit_length()) - size)]


class Prepared:
    """A statement whose values are bound by name; a list is for IN.

    Errors are SQLAlchemy's, as those of `tx.conn.execute`.
    """

    def __init__(self, build: Callable[[], Executable], columns: Sequence[str] | None = None) -> None:
        """`columns`: of an INSERT without values, those that each row has. `build` is called when it is needed first."""
        self._build = build
        self._columns = columns
        self._compiled: dict[bool, _Compiled] = {}

    def all(self, tx: Tx, **values: Any) -> list[Any]:
        """The rows, each a named tuple."""
        compiled = self._of(tx)
        form = compiled.form(values)
        try:
            raw = tx.driver.execute(form.sql, form.filled(values)).fetchall()
        except Exception as error:
            raise translated(tx.conn, form.sql, error) from error
        return compiled.rows(raw) if raw else []

    def first(self, tx: Tx, **values: Any) -> Any | None:
        """The first row; None when there is none."""
        rows = self.all(tx, **values)
        return rows[0] if rows else None

    def scalar(self, tx: Tx, **values: Any) -> Any:
        """The first column of the first row; None when there is none."""
        row = self.first(tx, **values)
        return None if row is None else row[0]

    def run(self, tx: Tx, **values: Any) -> int:
        """How many rows were written."""
        form = self._of(tx).form(values)
        try:
            return int(tx.driver.execute(form.sql, form.filled(values)).rowcount)
        except Exception as error:
            raise translated(tx.conn, form.sql, error) from error

    def run_each(self, tx: Tx, rows: Sequence[Mapping[str, Any]]) -> int:
        """The statement once for each of these; how many rows were written."""
        if len(rows) == 1:
            return self.run(tx, **rows[0])
        form = self._of(tx).form(dict(rows[0]))
        try:
            cursor = tx.driver.cursor()
            cursor.executemany(form.sql, form.all_filled(rows))
        except Exception as error:
            raise translated(tx.conn, form.sql, error) from error
        return int(cursor.rowcount)

    def _of(self, tx: Tx) -> _Compiled:
        compiled = self._compiled.get(tx.sqlite)
        if compiled is None:
            compiled = self._compiled[tx.sqlite] = _Compiled(self._build(), tx.conn.dialect, self._columns)
        return compiled
