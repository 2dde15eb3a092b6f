"""Which messages providers are asked about, and that one process asks."""

from __future__ import annotations

from datetime import timedelta

from storage import deliveries, receipts
from storage.database import Database
from tests.storage import seed
from tests.storage.seed import NOW

SOON, LATE = NOW + timedelta(minutes=5), NOW + timedelta(minutes=15)


def test_a_question_is_due_in_its_time_and_taken_once(database: Database) -> None:
    with database.write() as tx:
        assert receipts.next_ask(tx) is None
        first, second = seed.owe(tx, "sms:a"), seed.owe(tx, "sms:b")
        deliveries.settle(tx, second, state="sent", ask_at=NOW)
        deliveries.settle(tx, first, state="sent", ask_at=SOON)
        assert receipts.next_ask(tx) == NOW
        assert [row.id for row, _at in receipts.to_ask(tx, NOW, 9)] == [second]
        assert [row.id for row, _at in receipts.to_ask(tx, SOON, 9)] == [second, first]
        assert [row.id for row, _at in receipts.to_ask(tx, SOON, 1)] == [second]
        assert receipts.put_off(tx, second, NOW, LATE)
        assert not receipts.put_off(tx, second, NOW, LATE)
        assert receipts.put_off(tx, first, SOON, None)
        assert receipts.next_ask(tx) == LATE


def test_that_receipts_are_pushed_is_remembered_for_each_channel(database: Database) -> None:
    with database.write() as tx:
        for _again in range(2):
            receipts.pushed(tx, "sms")
        assert receipts.are_pushed(tx, "sms")
        assert not receipts.are_pushed(tx, "voice")
