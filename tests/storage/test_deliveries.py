"""The outbox and the log people see."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from handlers import outbox
from storage import batches, deliveries, lanes
from storage.database import Database
from storage.deliveries import DeliveryRow
from storage.schema import attempt, delivery, lane
from tests.storage import seed
from tests.storage.seed import NOW, owe

DAY = timedelta(days=1)


def log(database: Database, **wanted: object) -> tuple[int, list[int]]:
    chosen = {"only_failed": False, "contact_name": None, "group_name": None, "limit": 99, "offset": 0} | wanted
    with database.read() as tx:
        count, page = deliveries.page(tx, **chosen)  # type: ignore[arg-type]  # a table of keywords
    return count, [row.id for row in page]


def get(database: Database, delivery_id: int) -> DeliveryRow:
    with database.read() as tx:
        row = deliveries.by_id(tx, delivery_id)
    assert row is not None
    return row


def test_what_is_owed_twice_under_one_key_is_written_once(database: Database) -> None:
    row = outbox.row(
        lane="sms:a",
        kind="test",
        channel="sms",
        priority=3,
        dedupe="alert:1:v1:sms:a",
        due_at=NOW,
        expires_at=NOW,
        created_at=NOW,
    )
    with database.write() as tx:
        assert deliveries.owe(tx, [row, row | {"dedupe": "other"}, row]) == 2
    with database.write() as tx:
        assert deliveries.owe(tx, [row, row | {"dedupe": "third"}]) == 1
        assert deliveries.owe(tx, []) == 0
        assert deliveries.waiting(tx) == 3


def test_a_storm_of_thousands_of_messages_and_lanes_is_written_in_one_go(database: Database) -> None:
    """More values than the databases take in one statement (65,535 on PostgreSQL)."""
    rows = [
        outbox.row(
            lane=f"sms:{n}",
            kind="test",
            channel="sms",
            priority=3,
            dedupe=f"d{n}",
            due_at=NOW,
            expires_at=NOW,
            created_at=NOW,
        )
        for n in range(3_000)
    ]
    with database.write() as tx:
        assert deliveries.owe(tx, rows) == 3_000
        lanes.wake(tx, [str(row["lane"]) for row in rows], NOW)
        assert tx.conn.execute(select(func.count()).select_from(lane)).scalar_one() == 3_000


def test_a_failed_try_keeps_its_words_and_a_dead_letter_can_be_made_ready_again(database: Database) -> None:
    say = {"message": "It did not work: {why}", "values": {"why": "坏了 \u0000"}, "plural": None}
    with database.write() as tx:
        one = owe(tx, "sms:a", payload={"code": "1"})
        deliveries.settle(tx, one, due_at=NOW + DAY, plain=True, reason="form", say=say)
    row = get(database, one)
    assert (row.state, row.due_at, row.plain, row.reason, row.say) == ("ready", NOW + DAY, True, "form", say)
    with database.write() as tx:
        deliveries.settle(tx, one, state="dead", done_at=NOW)
        assert deliveries.dead(tx) == 1
        deliveries.revive(tx, one, NOW, NOW + DAY)
        assert deliveries.dead(tx) == 0
    row = get(database, one)
    assert (row.state, row.attempts, row.plain, row.reason, row.say, row.done_at) == ("ready", 0, False, "", None, None)


def test_the_log_shows_dead_letters_first_and_no_answers_in_chat(database: Database) -> None:
    with database.write() as tx:
        first = owe(tx, "sms:a", contact_name="Zhang", group_name="ops")
        dead = owe(tx, "sms:a", contact_name="Zhang")
        last = owe(tx, "sms:b", contact_name="Li")
        answer = owe(tx, "chat:c", kind="answer")
        for one in (dead, answer):
            deliveries.settle(tx, one, state="dead", done_at=NOW)
        assert deliveries.dead(tx) == 1
    assert log(database) == (3, [dead, last, first])
    assert log(database, limit=1, offset=1) == (3, [last])
    assert log(database, only_failed=True) == (1, [dead])
    assert log(database, contact_name="Zhang") == (2, [dead, first])
    assert log(database, group_name="ops") == (1, [first])


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30])
def test_a_number_that_cannot_be_is_not_there(database: Database, number: int) -> None:
    with database.read() as tx:
        assert deliveries.by_id(tx, number) is None


def test_only_the_codes_that_wait_for_a_method_are_cancelled(database: Database) -> None:
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx))
        other = seed.method(tx, seed.contact(tx))
        waiting = owe(tx, "sms:a", kind="code", method_id=method, payload={"code": "1"})
        sent = owe(tx, "sms:a", kind="code", method_id=method)
        deliveries.settle(tx, sent, state="sent", done_at=NOW)
        test = owe(tx, "sms:a", kind="test", method_id=method)
        others = owe(tx, "sms:a", kind="code", method_id=other)
        deliveries.cancel_for_method(tx, method, "code", NOW)
    states = [get(database, one).state for one in (waiting, sent, test, others)]
    assert states == ["cancelled", "sent", "ready", "ready"]
    assert get(database, waiting).payload is None


def test_a_batch_is_closed_once_and_found_when_it_is_overdue(database: Database) -> None:
    with database.write() as tx:
        one = batches.start(tx, "test", {"name": "ops"}, NOW)
        other = batches.start(tx, "test", {}, NOW + DAY)
        mine = [owe(tx, "sms:a", batch_id=one), owe(tx, "sms:b", batch_id=one)]
        owe(tx, "sms:b", batch_id=other)
        assert [row.id for row in batches.deliveries_of(tx, one)] == mine
        assert batches.overdue(tx, NOW + timedelta(seconds=1)) == [one]
        assert batches.close(tx, one, NOW) == {"name": "ops"}
        assert batches.close(tx, one, NOW) is None
        assert batches.overdue(tx, NOW + timedelta(seconds=1)) == []


def test_of_several_that_close_a_batch_at_once_one_does(database: Database) -> None:
    with database.write() as tx:
        one = batches.start(tx, "test", {"name": "ops"}, NOW)
    start = threading.Barrier(4)

    def close(_turn: int) -> dict[str, object] | None:
        start.wait()
        with database.write() as tx:
            return batches.close(tx, one, NOW)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(close, range(4)), key=str) == [None, None, None, {"name": "ops"}]


def test_the_purge_takes_what_is_old_and_settled_with_its_attempts_and_nothing_else(database: Database) -> None:
    old, recent = NOW - 91 * DAY, NOW - 2 * DAY
    with database.write() as tx:
        ready = owe(tx, "sms:a", created_at=old)
        gone = owe(tx, "sms:a")
        kept = owe(tx, "sms:a")
        dead = owe(tx, "sms:a")
        answer = owe(tx, "chat:a", kind="answer")
        for one, state, done in (
            (gone, "sent", old),
            (kept, "sent", recent),
            (dead, "dead", recent),
            (answer, "sent", recent),
        ):
            deliveries.settle(tx, one, state=state, done_at=done)
            deliveries.tried(tx, one, done, "sent", "", 5)
        assert deliveries.purge(tx, NOW - DAY, NOW - 90 * DAY) == 2
        left = set(tx.conn.scalars(select(delivery.c.id)))
        tries = set(tx.conn.scalars(select(attempt.c.delivery_id)))
    assert left == {ready, kept, dead}
    assert tries == {kept, dead}
