"""Bodies that are kept for a day: sealed, few, and never at the cost of the sender."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from bot.bodies import BURST, MOST_CHARS, Bodies
from handlers.errors import PayloadError
from storage import bodies, sources
from storage.database import Database
from storage.schema import received_body
from storage.sources import SourceRow
from tests.conftest import Clock
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

ERROR = PayloadError("$.a", "expected a text, got nothing")


@pytest.fixture
def source(database: Database) -> SourceRow:
    with database.write() as tx:
        row = seed.source(tx, seed.group(tx, "dba"))
        sources.set_mapping(tx, row.id, {"title": "$.a"})
    with database.read() as tx:
        found = sources.by_id(tx, row.id)
    assert found is not None
    assert found.mapping == {"title": "$.a"}
    return found


def refused(database: Database, source: SourceRow, clock: Clock) -> list[str]:
    with database.read() as tx:
        return [body.raw for body in bodies.refused(tx, source.id, clock())]


def test_the_newest_refused_bodies_are_kept_sealed_for_a_day(
    database: Database, source: SourceRow, clock: Clock
) -> None:
    keeper = Bodies(database, clock)
    for number in range(8):
        keeper.refused(source, b'{"n": %d, "x": "\xff\x00"}' % number, ERROR)
        clock.forward(60)
    assert refused(database, source, clock) == [f'{{"n": {n}, "x": "\ufffd\ufffd"}}' for n in (7, 6, 5, 4, 3)]
    with database.read() as tx:
        assert all('"n"' not in raw for raw in tx.conn.scalars(select(received_body.c.raw)))
        newest = bodies.refused(tx, source.id, clock())[0]
    assert (newest.path, newest.say) == ("$.a", "expected a text, got nothing")

    keeper.accepted(source, b'{"a": 1}')
    keeper.accepted(source, b'{"a": 2}')
    with database.read() as tx:
        latest = bodies.latest(tx, source.id, clock())
    assert latest is not None
    assert (latest.raw, latest.path) == ('{"a": 2}', None)
    assert len(refused(database, source, clock)) == 5, "what is accepted takes no place of what is not"

    clock.forward(hours=24, seconds=1)
    assert refused(database, source, clock) == []
    with database.write() as tx:
        assert bodies.purge(tx, clock() - bodies.KEPT) == 6


def test_of_a_burst_the_last_body_is_kept_at_the_cost_of_a_write_a_second(
    database: Database, source: SourceRow, clock: Clock
) -> None:
    due: list[Callable[[], None]] = []
    keeper = Bodies(database, clock, later=lambda _seconds, act: due.append(act))
    for number in range(50):
        keeper.refused(source, b"%d" % number, ERROR)
    assert refused(database, source, clock) == [str(n) for n in reversed(range(BURST))]
    assert len(due) == 1, "what waits is written once for all"
    clock.forward(1)
    due.pop()()
    assert refused(database, source, clock) == ["49", "4", "3", "2", "1"]

    keeper.refused(source, b"too soon", ERROR)
    keeper.accepted(source, b"the last good one")
    clock.forward(10)
    keeper.refused(source, b"later", ERROR)
    assert refused(database, source, clock)[:3] == ["later", "too soon", "49"]
    for number in range(BURST):
        keeper.accepted(source, b"%d" % number)
    keeper.flush()
    with database.read() as tx:
        latest = bodies.latest(tx, source.id, clock())
    assert latest is not None
    assert latest.raw == str(BURST - 1), "the last received, also of a burst"


def test_a_long_body_is_cut(database: Database, source: SourceRow, clock: Clock) -> None:
    Bodies(database, clock).refused(source, "磁".encode() * (MOST_CHARS + 10), ERROR)
    assert refused(database, source, clock) == ["磁" * MOST_CHARS]


def test_bodies_go_with_their_source_and_keeping_one_of_a_removed_source_harms_nobody(
    database: Database, source: SourceRow, clock: Clock
) -> None:
    keeper = Bodies(database, clock)
    keeper.refused(source, b"{", ERROR)
    with database.write() as tx:
        sources.remove(tx, source.id)
    keeper.refused(source, b"{", ERROR)
    assert refused(database, source, clock) == []
