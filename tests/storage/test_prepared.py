"""Prepared statements do what SQLAlchemy's own execution does, on both databases."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError, ProgrammingError

from storage.database import Database, is_unavailable
from storage.prepared import Prepared
from storage.rows import insert_or_ignore
from storage.schema import contact, lane
from tests.storage import seed

NOW = datetime(2026, 11, 23, 4, 5, 6, 789000, tzinfo=UTC)

ADD = Prepared(lambda: insert(lane), ("key", "next_at", "sent"))
SOME = Prepared(lambda: select(lane).where(lane.c.key.in_(bindparam("keys", expanding=True))).order_by(lane.c.key))
OTHERS = Prepared(lambda: select(lane.c.key).where(lane.c.key.not_in(bindparam("keys", expanding=True))))
NEXT = Prepared(lambda: select(func.min(lane.c.next_at, type_=lane.c.next_at.type)))
MOVE = Prepared(
    lambda: (
        update(lane)
        .where(lane.c.key == bindparam("key_"), lane.c.owner.in_(("me", "you")))
        .values(next_at=bindparam("to"), token=lane.c.token + 1)
        .returning(lane.c.token, lane.c.next_at)
    )
)
FORGET = Prepared(lambda: delete(lane).where(lane.c.next_at <= bindparam("now")))


def filled(database: Database, *keys: str) -> None:
    with database.write() as tx:
        ADD.run_each(tx, [{"key": key, "next_at": NOW, "sent": [1, 2]} for key in keys])


def test_rows_have_the_columns_names_and_types_that_sqlalchemy_gives_them(database: Database) -> None:
    filled(database, "a")
    with database.read() as tx:
        (row,) = SOME.all(tx, keys=["a"])
        same = tx.conn.execute(select(lane)).one()
    assert row._asdict() == dict(same._mapping)
    assert (row.next_at, row.sent, row.urgent, row.fails, row.cards) == (NOW, [1, 2], False, 0, None)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 40])
def test_a_list_may_have_any_length(database: Database, count: int) -> None:
    keys = [f"lane-{number:02}" for number in range(count)]
    if keys:
        filled(database, *keys)
    filled(database, "another")
    with database.read() as tx:
        assert [row.key for row in SOME.all(tx, keys=keys)] == keys
        assert [row.key for row in OTHERS.all(tx, keys=keys)] == ["another"]


def test_what_an_insert_leaves_out_has_its_default(database: Database) -> None:
    with database.write() as tx:
        assert insert_or_ignore(tx, lane, [{"key": "a", "sent": []}, {"key": "b", "sent": []}]) == 2
        assert insert_or_ignore(tx, lane, [{"key": "b", "sent": []}, {"key": "c", "sent": []}]) == 1
        rows = SOME.all(tx, keys=["a", "b", "c"])
    assert [(row.key, row.token, row.fails, row.urgent) for row in rows] == [(key, 0, 0, False) for key in "abc"]


def test_an_update_says_how_many_rows_it_wrote_or_gives_them_back(database: Database) -> None:
    filled(database, "a", "b")
    later = NOW + timedelta(minutes=1)
    with database.write() as tx:
        assert MOVE.first(tx, key_="a", to=later) is None
        tx.conn.execute(update(lane).where(lane.c.key == "a").values(owner="me"))
        row = MOVE.first(tx, key_="a", to=later)
        assert row is not None
        assert tuple(row) == (1, later)
        assert NEXT.scalar(tx) == NOW
        assert FORGET.run(tx, now=NOW) == 1
        assert NEXT.scalar(tx) == later
        assert FORGET.run(tx, now=later) == 1
        assert NEXT.scalar(tx) is None


def test_what_was_written_is_taken_back_with_its_transaction(database: Database) -> None:
    with suppress(LookupError), database.write() as tx:
        ADD.run(tx, key="a", next_at=NOW, sent=[])
        raise LookupError
    with database.read() as tx:
        assert SOME.all(tx, keys=["a"]) == []


def test_errors_are_sqlalchemys_and_say_no_value(database: Database) -> None:
    filled(database, "secret")
    with pytest.raises(IntegrityError) as refused, database.write() as tx:
        ADD.run(tx, key="secret", next_at=NOW, sent=[])
    assert "INSERT INTO lane" in str(refused.value)
    with pytest.raises(IntegrityError), database.write() as tx:
        ADD.run_each(tx, [{"key": key, "next_at": NOW, "sent": []} for key in ("new", "secret")])
    with database.read() as tx:
        assert [row.key for row in SOME.all(tx, keys=["new", "secret"])] == ["secret"]
    assert not is_unavailable(refused.value)


def test_a_wrong_statement_is_told_apart_from_a_database_that_cannot_work(postgres_database: Database) -> None:
    nonsense = Prepared(lambda: select(func.nonsense(contact.c.id)))
    with pytest.raises(ProgrammingError), postgres_database.read() as tx:
        nonsense.all(tx)


def test_after_a_connection_was_lost_the_next_transaction_has_a_new_one(postgres_database: Database) -> None:
    own = Prepared(lambda: select(func.pg_backend_pid()))
    end = Prepared(lambda: select(func.pg_terminate_backend(bindparam("pid"))))

    def cut_off() -> None:
        with postgres_database.write() as tx:
            pids.append(own.scalar(tx))
            with postgres_database.read() as other:
                end.run(other, pid=pids[0])
            own.scalar(tx)

    pids: list[int] = []
    with pytest.raises(OperationalError) as lost:
        cut_off()
    assert lost.value.connection_invalidated
    assert is_unavailable(lost.value)
    with postgres_database.write() as tx:
        assert own.scalar(tx) not in pids


def test_rows_that_share_some_values_are_each_written_with_their_own(database: Database) -> None:
    later = NOW + timedelta(seconds=1)
    moments = [NOW, NOW, later, later, NOW, None, None, NOW]
    sent = [[], [1], [1], [], [2, 3], [], [4], []]
    rows = [
        {"key": f"lane-{n}", "next_at": at, "sent": list_}
        for n, (at, list_) in enumerate(zip(moments, sent, strict=True))
    ]
    with database.write() as tx:
        assert ADD.run_each(tx, rows) == len(rows)
        found = SOME.all(tx, keys=[row["key"] for row in rows])
    assert [(row.next_at, row.sent) for row in found] == list(zip(moments, sent, strict=True))


def test_after_a_failover_not_every_connection_of_the_pool_fails_once(postgres_database: Database) -> None:
    database = Database(seed.url_of(postgres_database), seed.KEY)
    old = [database._server.connect() for _ in range(5)]
    for connection in old:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()
    for connection in old:
        connection.close()
    errors: list[Exception] = []
    for _try in range(6):
        try:
            with database.write() as tx:
                FORGET.run(tx, now=NOW)
        except InternalError as error:
            errors.append(error)
    database.close()
    assert [is_unavailable(error) for error in errors] == [True]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_error_while_rows_are_read_is_sqlalchemys_too(database: Database) -> None:
    filled(database, *[f"lane-{number}" for number in range(500)])
    calls = iter(range(5))
    with database.read() as tx:
        driver: Any = tx.driver
        driver.set_progress_handler(lambda: next(calls, None) is None, 100)
        with pytest.raises(OperationalError):
            OTHERS.all(tx, keys=[])
        driver.set_progress_handler(None, 100)


def test_a_very_long_list_is_no_longer_than_it_is(postgres_database: Database) -> None:
    with postgres_database.read() as tx:
        assert SOME.all(tx, keys=[f"lane-{number}" for number in range(40_000)]) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_more_forms_are_kept_than_there_are_powers_of_two(database: Database) -> None:
    some = Prepared(lambda: select(lane.c.key).where(lane.c.key.in_(bindparam("keys", expanding=True))))
    with database.read() as tx:
        for count in (*range(1, 40), *range(1000, 1060)):
            some.all(tx, keys=["a"] * count)
        assert sorted(some._of(tx)._forms) == [(1,), (2,), (4,), (8,), (16,), (32,), (64,), (1024,)]
