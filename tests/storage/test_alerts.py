"""Numbers of alerts: in the order of the report, and each given once."""

from __future__ import annotations

from sqlalchemy import delete

from storage import alerts
from storage.database import Database, Tx
from storage.schema import alert
from tests.storage import seed


def added(tx: Tx, *fingerprints: str) -> list[int]:
    return alerts.add(tx, [seed.alert_values(one) | {"title": one, "labels": {"of": one}} for one in fingerprints])


def test_numbers_are_in_the_order_of_the_rows(database: Database) -> None:
    with database.write() as tx:
        numbers = [*added(tx, "a"), *added(tx, "b", "c", "d"), *added(tx, "e"), *added(tx), *added(tx, "f", "g")]
        assert numbers == list(range(numbers[0], numbers[0] + 7))
        rows = alerts.by_ids(tx, numbers)
    assert [(rows[one].title, rows[one].labels) for one in numbers] == [(one, {"of": one}) for one in "abcdefg"]


def test_the_number_of_an_alert_that_was_removed_is_not_given_again(database: Database) -> None:
    with database.write() as tx:
        before = added(tx, "a", "b", "c")
        tx.conn.execute(delete(alert))
        after = added(tx, "d", "e")
        tx.conn.execute(delete(alert))
        last = added(tx, "f")
    assert after == [before[-1] + 1, before[-1] + 2]
    assert last == [before[-1] + 3]


def test_what_was_taken_back_is_no_alert(database: Database) -> None:
    with database.write() as tx:
        number = seed.alert(tx, "a")
        inner = tx.conn.begin_nested()
        added(tx, "b", "c")
        inner.rollback()
        added(tx, "d", "e")
        assert set(alerts.by_ids(tx, range(number, number + 9))) >= {number}
        assert {row.title for row in alerts.by_ids(tx, range(number, number + 9)).values()} == {"t", "d", "e"}
