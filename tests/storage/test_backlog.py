"""What waits, and the windows of the lanes, as people are shown them."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from handlers import outbox
from storage import backlog, deliveries, lanes
from storage.database import Database
from storage.schema import lane
from tests.storage import seed
from tests.storage.seed import LEASE, NOW, owe

MINUTE = timedelta(minutes=1)


def test_where_nothing_waits_there_is_no_backlog(database: Database) -> None:
    with database.write() as tx:
        deliveries.settle(tx, owe(tx, "sms:a"), state="sent", done_at=NOW)
        deliveries.settle(tx, owe(tx, "sms:b"), state="dead", done_at=NOW)
        assert backlog.sizes(tx) == (0, 0)
        assert backlog.page(tx, 20, 0) == []


def test_a_shownshows_its_size_its_age_and_the_message_that_is_sent_next(database: Database) -> None:
    say: dict[str, object] = {"message": "It is down.", "values": {}, "plural": None}
    with database.write() as tx:
        owe(tx, "sms:a", created_at=NOW, expires_at=NOW + 9 * MINUTE, masked="late")
        first = owe(tx, "sms:a", created_at=NOW + MINUTE, priority=outbox.TEST, masked="138****8000")
        deliveries.settle(tx, owe(tx, "sms:a", created_at=NOW - MINUTE), state="sent", done_at=NOW)
        deliveries.settle(tx, first, say=say)
        lanes.wake(tx, ["sms:a"], NOW + MINUTE)
        [one] = backlog.page(tx, 20, 0)
    assert (one.lane, one.count, one.since, one.until) == ("sms:a", 2, NOW, NOW + 9 * MINUTE)
    assert (one.channel, one.masked, one.attempts, one.say) == ("sms", "138****8000", 0, say)
    assert (one.next_at, one.busy) == (NOW + MINUTE, False)


def test_the_lane_of_the_oldest_message_comes_first_and_pages_do_not_overlap(database: Database) -> None:
    with database.write() as tx:
        for key, age in (("sms:young", 1), ("sms:old", 3), ("sms:middle", 2)):
            owe(tx, key, created_at=NOW - age * MINUTE)
        owe(tx, "sms:young")
        assert backlog.sizes(tx) == (3, 4)
        pages = [[one.lane for one in backlog.page(tx, 2, offset)] for offset in (0, 2, 4)]
    assert pages == [["sms:old", "sms:middle"], ["sms:young"], []]


def test_what_was_merged_into_a_digest_counts_and_the_digest_does_not(database: Database) -> None:
    with database.write() as tx:
        merged = [owe(tx, "dingtalk:a", created_at=NOW - age * MINUTE) for age in (3, 1)]
        digest = owe(tx, "dingtalk:a", kind="digest", masked="dingtalk …n001")
        for one in merged:
            deliveries.settle(tx, one, state="merged", digest_id=digest)
        owe(tx, "dingtalk:a", kind="test", priority=outbox.NOTICE)
        assert backlog.sizes(tx) == (1, 3)
        [shown] = backlog.page(tx, 20, 0)
    assert (shown.count, shown.since, shown.masked) == (3, NOW - 3 * MINUTE, "dingtalk …n001")


def test_it_is_seen_who_is_worked_on_and_who_was_not_woken_yet(database: Database) -> None:
    with database.write() as tx:
        owe(tx, "sms:held")
        lanes.wake(tx, ["sms:held"], NOW)
        assert lanes.claim(tx, "me", NOW, LEASE) is not None
        owe(tx, "sms:unknown", created_at=NOW + MINUTE)
        held, unknown = backlog.page(tx, 20, 0)
    assert (held.lane, held.busy) == ("sms:held", True)
    assert (unknown.lane, unknown.busy, unknown.next_at) == ("sms:unknown", False, None)


def test_windows_and_the_masked_address_of_a_lane(database: Database) -> None:
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx), address="https://oapi.dingtalk.com/robot/send?access_token=tail")
        key = seed.lane_of(tx, method)
        lanes.wake(tx, [key, "chat:x"], NOW)
        tx.conn.execute(update(lane).where(lane.c.key == key).values(sent=[1, 2]))
        tx.conn.execute(update(lane).where(lane.c.key == "chat:x").values(open_at=NOW + MINUTE))
        assert {one.lane: (one.sent, one.open_at) for one in backlog.windows(tx)} == {
            key: ([1, 2], None),
            "chat:x": ([], NOW + MINUTE),
        }
        channel, _colon, address = key.partition(":")
        assert backlog.masked(tx, channel, address) == "dingtalk …tail"
        assert backlog.masked(tx, "lark", address) == ""
