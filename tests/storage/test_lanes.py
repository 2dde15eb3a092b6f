"""Lanes: who may send where, and that nothing that is ready is forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from handlers import outbox
from storage import crowds, deliveries, lanes, upkeep
from storage.database import Database, Tx
from storage.lanes import ANY, LaneRow, Pick
from storage.schema import lane
from tests.storage import seed
from tests.storage.seed import LEASE, NOW, owe

SOON = timedelta(seconds=5)


def wake(database: Database, *keys: str, now: datetime = NOW) -> None:
    with database.write() as tx:
        lanes.wake(tx, keys, now)


def claim(database: Database, now: datetime = NOW, owner: str = "me", held: tuple[str, ...] = ()) -> LaneRow | None:
    with database.write() as tx:
        return lanes.claim(tx, owner, now, LEASE, held)


def release(database: Database, row: LaneRow, now: datetime = NOW, open_at: datetime | None = None) -> None:
    with database.write() as tx:
        lanes.release(tx, row.key, row.token, now, open_at=open_at, fails=0, sent=[])


def sweep(tx: Tx, now: datetime) -> int:
    """How many lanes were forgotten; they are woken."""
    keys = upkeep.forgotten(tx, now)
    lanes.wake(tx, keys, now)
    return len(keys)


def next_at(database: Database, key: str) -> datetime | None:
    with database.read() as tx:
        found: datetime | None = tx.conn.execute(select(lane.c.next_at).where(lane.c.key == key)).scalar_one()
        return found


def ready(database: Database, key: str, now: datetime = NOW) -> list[int]:
    with database.read() as tx:
        return [row.id for row in deliveries.ready(tx, key, now, 99)]


def test_claimers_never_hold_one_lane_together(database: Database) -> None:
    keys = [f"dingtalk:{n}" for n in range(40)]
    with database.write() as tx:
        for key in keys:
            owe(tx, key)
        lanes.wake(tx, keys, NOW)
    start = threading.Barrier(4)

    def claim_until_none(owner: str) -> list[tuple[str, int]]:
        start.wait()
        mine: list[tuple[str, int]] = []
        misses = 0
        while misses < 3:  # on PostgreSQL a lane that another one is claiming right now is passed over
            row = claim(database, owner=owner)
            if row is None:
                misses += 1
            else:
                mine.append((row.key, row.token))
        return mine

    with ThreadPoolExecutor(4) as pool:
        claimed = [one for part in pool.map(claim_until_none, "abcd") for one in part]
    assert sorted(claimed) == sorted((key, 1) for key in keys)


def test_a_lane_is_claimed_once_per_lease_and_again_when_the_lease_has_run_out(database: Database) -> None:
    wake(database, "sms:a")
    first = claim(database)
    assert first is not None
    assert claim(database, NOW + LEASE - timedelta(seconds=1)) is None
    second = claim(database, NOW + LEASE, owner="other")
    assert second is not None
    assert second.token == first.token + 1


def test_a_process_does_not_claim_what_it_holds_even_when_the_clock_says_its_lease_is_over(database: Database) -> None:
    wake(database, "sms:a")
    wake(database, "sms:b", now=NOW + SOON)
    held = claim(database)
    assert held is not None
    later = NOW + timedelta(hours=1)
    with database.read() as tx:
        assert seed.next_due(tx) == NOW + SOON
        assert seed.next_due(tx, [held.key, "sms:b"]) is None
    other = claim(database, later, held=(held.key,))
    assert other is not None
    assert other.key == "sms:b"
    assert claim(database, later, held=(held.key, "sms:b")) is None


def test_the_lane_that_waits_longest_is_claimed_first(database: Database) -> None:
    for seconds, key in ((3, "sms:c"), (1, "sms:a"), (2, "sms:b")):
        wake(database, key, now=NOW + timedelta(seconds=seconds))
    claimed = [claim(database, NOW + SOON) for _ in range(3)]
    assert [row.key for row in claimed if row] == ["sms:a", "sms:b", "sms:c"]


def test_a_lost_lane_can_neither_send_nor_be_given_back_but_its_facts_count(database: Database) -> None:
    with database.write() as tx:
        message = owe(tx, "sms:a")
        lanes.wake(tx, ["sms:a"], NOW)
    stale = claim(database)
    fresh = claim(database, NOW + LEASE, owner="other")
    assert stale is not None
    assert fresh is not None
    with database.write() as tx:
        assert not lanes.starting(tx, message, stale.key, stale.token, [1], NOW, NOW + 3 * LEASE)
        assert lanes.starting(tx, message, fresh.key, fresh.token, [2], NOW, NOW + 2 * LEASE)
        deliveries.settle(tx, message, state="sent", done_at=NOW, receipt="stale-but-true")
    release(database, stale, NOW + LEASE)
    with database.read() as tx:
        row = deliveries.by_id(tx, message)
        assert row is not None
        assert (row.state, row.receipt, row.attempts) == ("sent", "stale-but-true", 1)
        held = tx.conn.execute(select(lane)).one()
        assert (held.owner, held.token, held.sent, held.next_at) == ("other", fresh.token, [2], NOW + 2 * LEASE)


@pytest.mark.parametrize("late", [{"state": "dead", "reason": "gone"}, {"due_at": NOW + SOON, "reason": "down"}])
def test_what_was_sent_stays_sent_whatever_a_late_holder_says(database: Database, late: dict[str, Any]) -> None:
    with database.write() as tx:
        message = owe(tx, "sms:a")
        deliveries.settle(tx, message, state="sent", done_at=NOW, receipt="r1")
        deliveries.settle(tx, message, **late)
        row = deliveries.by_id(tx, message)
        assert row is not None
        assert (row.state, row.receipt, row.reason) == ("sent", "r1", "")


def test_a_release_sees_what_was_owed_during_the_visit_although_its_wake_up_came_to_a_held_lane(
    database: Database,
) -> None:
    wake(database, "sms:a")
    held = claim(database)
    assert held is not None
    with database.write() as tx:
        owe(tx, "sms:a", due_at=NOW)
    wake(database, "sms:a", now=NOW + SOON)
    assert next_at(database, "sms:a") == NOW + LEASE  # the holder keeps it
    release(database, held, NOW + SOON)
    assert next_at(database, "sms:a") == NOW + SOON
    again = claim(database, NOW + SOON)
    assert again is not None
    release(database, again, NOW + SOON)


def test_a_wake_up_during_the_release_itself_is_not_lost(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release has looked and found nothing; then a message is owed and its lane woken; then the lane becomes idle."""
    database, key = postgres_database, "sms:released"
    wake(database, key)
    held = claim(database)
    assert held is not None
    waker = threading.Thread(target=wake, args=(database, key))
    watcher = Database(seed.url_of(database), seed.KEY)

    with database.write() as releasing:
        driver: Any = releasing.driver
        execute = driver.execute

        def just_before_it_becomes_idle(statement: str, values: Any) -> Any:
            if statement.startswith("UPDATE lane"):
                with watcher.write() as tx:
                    owe(tx, key)
                waker.start()
                wait_until_blocked_or_done(watcher, waker)
            return execute(statement, values)

        monkeypatch.setattr(driver, "execute", just_before_it_becomes_idle)
        lanes.release(releasing, held.key, held.token, NOW, open_at=None, fails=0, sent=[])
    waker.join(10)
    watcher.close()
    assert next_at(database, key) == NOW


def wait_until_blocked_or_done(watcher: Database, thread: threading.Thread) -> None:
    """Returns when some session of the database waits for a lock of another, or the thread has ended without that."""
    pause = threading.Event()
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(2000):
        with watcher.read() as tx:
            if tx.conn.execute(text(blocked)).scalar_one() or not thread.is_alive():
                return
        pause.wait(0.005)
    raise AssertionError("neither waits nor ends")


def test_wake_ups_of_the_same_lanes_in_any_order_do_not_stop_each_other(database: Database) -> None:
    keys = [f"sms:{n}" for n in range(30)]
    start = threading.Barrier(4)

    def wake_often(turn: int) -> None:
        start.wait()
        for n in range(10):
            wake(database, *(keys if (n + turn) % 2 else reversed(keys)), now=NOW - timedelta(seconds=n))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(wake_often, range(4)))
    assert {next_at(database, key) for key in keys} == {NOW - timedelta(seconds=9)}


def test_an_idle_lane_is_woken_and_a_closed_gate_stays_closed(database: Database) -> None:
    wake(database, "sms:a", "sms:b")
    for _ in range(2):
        row = claim(database)
        assert row is not None
        with database.write() as tx:
            owe(tx, row.key)
        release(database, row, open_at=NOW + timedelta(minutes=10) if row.key == "sms:a" else None)
    assert next_at(database, "sms:a") == NOW + timedelta(minutes=10)
    assert next_at(database, "sms:b") == NOW  # one lane's penalty is nobody else's
    wake(database, "sms:a", "sms:b", now=NOW + SOON)
    assert next_at(database, "sms:a") == NOW + timedelta(minutes=10)
    assert next_at(database, "sms:b") == NOW


def test_a_lane_without_messages_is_idle_after_its_release(database: Database) -> None:
    wake(database, "sms:a")
    row = claim(database)
    assert row is not None
    release(database, row)
    assert next_at(database, "sms:a") is None
    assert claim(database, NOW + timedelta(days=1)) is None
    with database.read() as tx:
        assert seed.next_due(tx) is None
        assert upkeep.leased(tx) == 0


@pytest.mark.parametrize("prepared", ["no lane", "idle lane", "lane due much later"])
def test_the_sweep_finds_a_message_whose_wake_up_was_lost(database: Database, prepared: str) -> None:
    if prepared != "no lane":
        wake(database, "sms:a")
        row = claim(database)
        assert row is not None
        if prepared == "lane due much later":
            with database.write() as tx:
                owe(tx, "sms:a", due_at=NOW + timedelta(minutes=30))
        release(database, row)
    with database.write() as tx:
        owe(tx, "sms:a")
    with database.write() as tx:
        assert sweep(tx, NOW + SOON) == 1
    assert next_at(database, "sms:a") == NOW + SOON
    with database.write() as tx:
        assert sweep(tx, NOW + SOON) == 0


def test_the_sweep_leaves_alone_what_is_in_order(database: Database) -> None:
    """Held lanes, lanes whose gate is closed, retries that are not due yet, sent messages."""
    gate = NOW + timedelta(minutes=10)
    wake(database, "sms:gate", "sms:held", "sms:later")
    rows = {row.key: row for row in (claim(database) for _ in range(3)) if row}
    with database.write() as tx:
        for key in ("sms:gate", "sms:held"):
            owe(tx, key)
        owe(tx, "sms:later", due_at=gate)
        deliveries.settle(tx, owe(tx, "sms:done"), state="sent", done_at=NOW)
    release(database, rows["sms:gate"], open_at=gate)
    release(database, rows["sms:later"])
    with database.write() as tx:
        assert sweep(tx, NOW + SOON) == 0
    assert next_at(database, "sms:gate") == next_at(database, "sms:later") == gate


def test_a_start_after_a_crash_frees_every_lane_but_opens_no_gate(database: Database) -> None:
    wake(database, "sms:a", "sms:b")
    for _ in range(2):
        row = claim(database)
        assert row is not None
    with database.write() as tx:
        tx.conn.execute(lane.update().where(lane.c.key == "sms:b").values(open_at=NOW + timedelta(minutes=10)))
        upkeep.free_all(tx, NOW + SOON)
    assert next_at(database, "sms:a") == NOW + SOON
    assert next_at(database, "sms:b") == NOW + timedelta(minutes=10)


def test_within_a_lane_the_most_urgent_goes_first_then_the_oldest(database: Database) -> None:
    with database.write() as tx:
        ids = {
            name: owe(tx, "sms:a", priority=priority)
            for name, priority in (("w1", 3), ("notice", 4), ("c1", 2), ("w2", 3), ("code", 0), ("c2", 2))
        }
        owe(tx, "sms:other", priority=0)
        owe(tx, "sms:a", priority=0, due_at=NOW + SOON)
    assert ready(database, "sms:a") == [ids[name] for name in ("code", "c1", "c2", "w1", "w2", "notice")]


@pytest.mark.parametrize("waits_s", [0, 1800], ids=["alarm due", "alarm waits for its retry"])
@pytest.mark.parametrize("priority", [outbox.CRITICAL, outbox.OTHER], ids=["recovery is urgent", "recovery is not"])
def test_a_recovery_never_overtakes_its_alarm(database: Database, waits_s: int, priority: int) -> None:
    due = NOW + timedelta(seconds=waits_s)
    with database.write() as tx:
        number, other = seed.alert(tx, "f1"), seed.alert(tx, "f2")
        alarm = owe(tx, "sms:a", alert_id=number, priority=outbox.OTHER, due_at=due)
        recovery = owe(tx, "sms:a", alert_id=number, priority=priority)
        stranger = owe(tx, "sms:a", alert_id=other, priority=outbox.NOTICE)
        elsewhere = owe(tx, "sms:b", alert_id=number)
        lanes.wake(tx, ["sms:a"], NOW)
    assert ready(database, "sms:a") == ([stranger] if waits_s else [alarm, stranger])
    assert ready(database, "sms:b") == [elsewhere]
    row = claim(database)
    assert row is not None
    with database.write() as tx:
        for one in (stranger, elsewhere):
            deliveries.settle(tx, one, state="sent", done_at=NOW)
    release(database, row)
    # Not at once and for ever: what waits behind the alarm is not due before it.
    assert next_at(database, "sms:a") == due
    with database.write() as tx:
        assert sweep(tx, NOW + timedelta(seconds=1)) == 0
        deliveries.settle(tx, alarm, state="sent", done_at=NOW)
    assert ready(database, "sms:a", due) == [recovery]


def test_what_holds_up_a_more_urgent_card_of_its_alert_is_hurried(database: Database) -> None:
    with database.write() as tx:
        number = seed.alert(tx, "f1")
        before = owe(tx, "sms:a", priority=outbox.OTHER)
        first = owe(
            tx, "sms:a", kind="alert", alert_id=number, priority=outbox.OTHER, due_at=NOW + timedelta(minutes=30)
        )
        done = owe(tx, "sms:a", kind="alert", alert_id=number, priority=outbox.OTHER)
        deliveries.settle(tx, done, state="dead", done_at=NOW)
        deliveries.hurry(tx, number, outbox.CRITICAL, NOW)
        states = {row.id: (row.priority, row.state) for row in deliveries.of_alert(tx, number)}
    assert ready(database, "sms:a") == [first, before]
    assert states == {first: (outbox.CRITICAL, "ready"), done: (outbox.OTHER, "dead")}


def test_after_the_clock_was_set_back_nothing_waits_longer_than_a_first_retry(database: Database) -> None:
    ahead = NOW + timedelta(hours=1)
    wake(database, "sms:a", now=ahead)
    row = claim(database, ahead)
    assert row is not None
    with database.write() as tx:
        message = owe(tx, "sms:a", due_at=ahead)
    release(database, row, ahead, open_at=ahead + SOON)
    with database.write() as tx:
        upkeep.clock_went_back(tx, NOW, SOON)
    assert next_at(database, "sms:a") == NOW
    assert ready(database, "sms:a", NOW + SOON) == [message]


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)], ids=["forward", "back"])
def test_when_the_clock_is_set_windows_and_gates_keep_their_distance_from_now(
    database: Database, jump: timedelta
) -> None:
    now, jump_ms = NOW + jump, round(jump.total_seconds() * 1000)
    wake(database, "sms:a", "sms:held")
    row, held = claim(database), claim(database)
    assert row is not None
    assert held is not None
    with database.write() as tx:
        for key in ("sms:a", "sms:held"):
            owe(tx, key, due_at=NOW + SOON)
        lanes.release(
            tx, row.key, row.token, NOW, open_at=NOW + 2 * SOON, fails=0, sent=[5, 6], cards=[7], rules={"r": 8}
        )
        upkeep.clock_was_set(tx, now, jump, SOON)
        lanes.release(tx, held.key, held.token, now, open_at=None, fails=0, sent=[1])
        found = {one.key: one for one in tx.conn.execute(select(lane))}
    moved = found[row.key]
    assert (moved.sent, moved.cards, moved.rules) == ([5 + jump_ms, 6 + jump_ms], [7 + jump_ms], {"r": 8 + jump_ms})
    assert moved.open_at == moved.next_at == now + 2 * SOON
    taken = found[held.key]
    assert (taken.owner, taken.sent) == (None, []), "its sender has lost it"
    assert claim(database, now) == replace(held, token=held.token + 2)
    assert len(ready(database, "sms:a", now + SOON)) == 1


def crowd_of(database: Database, count: int, **values: Any) -> tuple[int, list[int]]:
    """The method, and the cards of so many alerts that wait for it, ready, in its lane `sms:a`."""
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx), "sms", "+8613800138000")
        ids = [
            owe(
                tx,
                "sms:a",
                kind="alert",
                method_id=method,
                alert_id=seed.alert(tx, f"f{n}", title=f"title {n}", rule="r"),
                alert_status="firing",
                alert_severity="warning",
                **values,
            )
            for n in range(count)
        ]
        lanes.wake(tx, ["sms:a"], NOW)
    return method, ids


def line_of(database: Database, now: datetime = NOW, **how: Any) -> list[int]:
    with database.read() as tx:
        head = deliveries.ready(tx, "sms:a", now, 1)[0]
        return [one.id for one in crowds.around(tx, head, now, 99, **how)]


def test_a_crowd_is_what_could_go_to_the_same_address_in_the_same_form(database: Database) -> None:
    method, ids = crowd_of(database, 3)
    with database.write() as tx:
        number = seed.alert(tx, "g")
        usual = {"kind": "alert", "method_id": method, "alert_id": number, "alert_status": "firing"}
        owe(tx, "sms:a", **(usual | {"due_at": NOW + SOON}))
        owe(tx, "sms:a", **usual)  # behind the one above
        for other in ({"plain": True}, {"method_id": None}, {"expires_at": NOW}, {"kind": "test"}, {"begun_at": NOW}):
            owe(tx, "sms:a", **(usual | {"alert_id": seed.alert(tx, str(other)), "priority": 9} | other))
        owe(tx, "sms:b", **(usual | {"alert_id": seed.alert(tx, "h")}))
        urgent = owe(tx, "sms:a", **(usual | {"alert_id": seed.alert(tx, "i"), "priority": outbox.CRITICAL}))
    assert line_of(database) == [urgent, *ids]
    with database.read() as tx:
        assert crowds.size(tx, "sms:a", NOW) == (10, 0)
        assert crowds.size(tx, "sms:b", NOW - SOON) == (1, 1)


def test_of_an_alert_all_cards_wait_together_but_the_newest_are_the_first_of_each(database: Database) -> None:
    method, ids = crowd_of(database, 3)
    with database.write() as tx:
        first = deliveries.by_id(tx, ids[0])
        assert first is not None
        again = owe(
            tx, "sms:a", kind="alert", method_id=method, alert_id=first.alert_id, alert_status="resolved", priority=4
        )
    assert line_of(database) == [*ids, again]
    assert line_of(database, newest=True) == list(reversed(ids))


def test_in_a_crowd_no_card_overtakes_an_earlier_one_of_its_alert_however_urgent_it_is(database: Database) -> None:
    method, [other] = crowd_of(database, 1)
    with database.write() as tx:
        strange = seed.method(tx, seed.contact(tx), "sms", "+8613900139000")

        def line(name: str, *cards: tuple[int, int]) -> list[int]:
            usual = {"kind": "alert", "alert_id": seed.alert(tx, name), "alert_status": "firing"}
            return [owe(tx, "sms:a", method_id=to, priority=priority, **usual) for to, priority in cards]

        over = line("over", (method, outbox.REMINDER), (method, outbox.RECOVERY))
        worse = line("worse", (method, outbox.REMINDER), (method, outbox.CRITICAL), (method, outbox.RECOVERY))
        line("moved", (strange, outbox.REMINDER), (method, outbox.CRITICAL))
    assert line_of(database) == [*worse[:2], other, *over, worse[2]]
    with database.read() as tx:
        head = next(row for row in deliveries.ready(tx, "sms:a", NOW, 9) if row.method_id == method)
        first = crowds.around(tx, head, NOW, 1)
        newest = crowds.around(tx, head, NOW, 9, newest=True)
    assert [(one.id, one.priority) for one in first] == [(worse[0], outbox.CRITICAL)]
    assert [one.id for one in newest] == [worse[0], over[0], other]


def test_what_is_merged_waits_for_its_digest_and_shares_its_end(database: Database) -> None:
    method, ids = crowd_of(database, 3)
    with database.write() as tx:
        rows = [row for row in (deliveries.by_id(tx, one) for one in ids) if row]
        line = crowds.around(tx, rows[0], NOW, 2)
        digest = crowds.merge(tx, outbox.digest(rows[0], line, key="k", now=NOW), ids[:2])
        recovery = owe(tx, "sms:a", kind="alert", method_id=method, alert_id=rows[0].alert_id, alert_status="resolved")
        deliveries.settle(tx, ids[2], state="sent", done_at=NOW)
        assert [one.id for one in crowds.merged(tx, digest)] == ids[:2]
        assert deliveries.waiting(tx) == 3
        deliveries.settle(tx, digest, due_at=NOW + SOON)
    assert ready(database, "sms:a") == []
    held = claim(database)
    assert held is not None
    release(database, held)
    assert next_at(database, "sms:a") == NOW + SOON  # of the digest: what waits behind it is not due before
    with database.write() as tx:
        assert sweep(tx, NOW + timedelta(seconds=1)) == 0
        assert deliveries.purge(tx, NOW + timedelta(days=1), NOW + timedelta(days=1)) == 1
        crowds.settle_merged(tx, digest, state="sent", done_at=NOW)
        deliveries.settle(tx, digest, state="sent", done_at=NOW)
        found = [deliveries.by_id(tx, one) for one in ids[:2]]
        assert [(row.state, row.digest_id) for row in found if row] == [("sent", digest)] * 2
    assert ready(database, "sms:a") == [recovery]


def test_what_is_not_ready_any_more_is_not_merged(database: Database) -> None:
    _method, ids = crowd_of(database, 2)
    with database.write() as tx:
        head = deliveries.by_id(tx, ids[0])
        assert head is not None
        line = crowds.around(tx, head, NOW, 9)
        deliveries.settle(tx, ids[1], state="sent", done_at=NOW)  # a holder before us: a fact is a fact
        digest = crowds.merge(tx, outbox.digest(head, line, key="k", now=NOW), ids)
        assert [one.id for one in crowds.merged(tx, digest)] == ids[:1]


def test_a_lane_that_is_calm_opens_for_codes_and_for_what_is_more_urgent_than_what_waits(database: Database) -> None:
    method, _ids = crowd_of(database, 2)
    calm = NOW + timedelta(seconds=20)

    def rest(calm_for: int) -> None:
        row = claim(database)
        assert row is not None
        with database.write() as tx:
            lanes.release(tx, row.key, row.token, NOW, open_at=None, fails=0, sent=[], calm_at=calm, calm_for=calm_for)

    rest(outbox.OTHER)
    assert next_at(database, "sms:a") == calm
    wake(database, "sms:a")
    assert next_at(database, "sms:a") == calm
    with database.write() as tx:
        assert sweep(tx, NOW + SOON) == 0
        owe(
            tx,
            "sms:a",
            kind="alert",
            method_id=method,
            alert_id=seed.alert(tx, "c"),
            alert_status="firing",
            priority=outbox.CRITICAL,
        )
    wake(database, "sms:a")
    assert next_at(database, "sms:a") == NOW
    rest(outbox.CRITICAL)
    assert next_at(database, "sms:a") == calm
    with database.write() as tx:
        owe(tx, "sms:a", kind="code", priority=outbox.CODE)
    with database.write() as tx:
        assert sweep(tx, NOW) == 1  # also when its wake-up was lost
    assert next_at(database, "sms:a") == NOW
    row = claim(database)
    assert row is not None
    with database.write() as tx:
        lanes.release(tx, row.key, row.token, NOW, open_at=NOW + SOON, fails=0, sent=[], calm_at=calm)
    assert next_at(database, "sms:a") == NOW + SOON  # the code: the gate is for all


def test_what_a_lane_remembers_of_its_crowds_is_given_to_the_next_holder(database: Database) -> None:
    wake(database, "sms:a")
    first = claim(database)
    assert first is not None
    assert (first.cards, first.rules) == (None, None)
    with database.write() as tx:
        owe(tx, "sms:a")
        lanes.release(tx, first.key, first.token, NOW, open_at=None, fails=0, sent=[1, 2], cards=[2], rules={"ab": 1})
    second = claim(database)
    assert second is not None
    assert (second.sent, second.cards, second.rules) == ([1, 2], [2], {"ab": 1})


URGENT, OTHERS, ASKED = Pick(urgent=True), Pick(urgent=False), Pick(urgent=True, asked=True)


def claimed(database: Database, now: datetime, pick: Pick = ANY, *, full: str = "") -> str | None:
    with database.write() as tx:
        row = lanes.claim(tx, "me", now, LEASE, (), pick, full=full)
    return row.key if row else None


def test_a_lane_with_something_urgent_is_claimed_before_a_hundred_that_are_due_longer(database: Database) -> None:
    crowd = [f"sms:{n}" for n in range(100)]
    with database.write() as tx:
        for key in crowd:
            owe(tx, key, priority=outbox.OTHER)
        owe(tx, "sms:critical", priority=outbox.CRITICAL, due_at=NOW + SOON)
        lanes.wake(tx, crowd, NOW)
        lanes.wake(tx, ["sms:critical"], NOW + SOON)
        assert seed.next_due(tx, (), URGENT) == NOW + SOON
        assert seed.next_due(tx, ["sms:critical"], URGENT) is None
    assert claimed(database, NOW, URGENT) is None
    assert claimed(database, NOW + SOON, URGENT) == "sms:critical"
    assert claimed(database, NOW + SOON, URGENT) is None
    assert claimed(database, NOW + SOON) in crowd
    assert claimed(database, NOW + SOON, OTHERS) in crowd


def test_a_lane_that_waits_for_a_sender_becomes_urgent_with_what_comes(database: Database) -> None:
    with database.write() as tx:
        for key in ("sms:a", "sms:b"):
            owe(tx, key)
        lanes.wake(tx, ["sms:a", "sms:b"], NOW)
        owe(tx, "sms:b", priority=outbox.CODE, due_at=NOW + SOON)
        lanes.wake(tx, ["sms:a", "sms:b"], NOW + SOON)
    assert next_at(database, "sms:b") == NOW, "it keeps its place among the others"
    assert claimed(database, NOW + SOON, URGENT) == "sms:b"
    assert claimed(database, NOW + SOON, URGENT) is None


@pytest.mark.parametrize(
    ("priority", "due", "urgent"),
    [
        (outbox.CRITICAL, NOW + SOON, True),
        (outbox.CRITICAL, NOW + 2 * SOON, False),
        (outbox.OTHER, NOW + SOON, False),
    ],
    ids=["by when it is due", "later than another", "nothing of the kind"],
)
def test_a_lane_is_given_back_urgent_when_an_urgent_message_is_next(
    database: Database, priority: int, due: datetime, urgent: bool
) -> None:
    with database.write() as tx:
        owe(tx, "sms:a", due_at=NOW + SOON)
        owe(tx, "sms:a", priority=priority, due_at=due)
        lanes.wake(tx, ["sms:a"], NOW)
    held = claim(database)
    assert held is not None
    release(database, held, NOW)
    assert (claimed(database, NOW + SOON, URGENT) is not None) == urgent


@pytest.mark.parametrize(
    ("priority", "asked"), [(outbox.CODE, True), (outbox.TEST, True), (outbox.CRITICAL, False), (outbox.OTHER, False)]
)
def test_what_a_person_asked_for_is_told_from_what_is_critical(database: Database, priority: int, asked: bool) -> None:
    with database.write() as tx:
        for key in ("sms:woken", "sms:urgent already", "sms:given back"):
            owe(tx, key, priority=outbox.CRITICAL)
            lanes.wake(tx, [key], NOW)
        owe(tx, "sms:given back", priority=priority, due_at=NOW)
    with database.write() as tx:
        held = lanes.claim(tx, "me", NOW, LEASE, ("sms:woken", "sms:urgent already"))
    assert held is not None
    release(database, held, NOW)
    with database.write() as tx:
        owe(tx, "sms:idle", priority=outbox.CRITICAL)
        lanes.wake(tx, ["sms:idle"], NOW)
        tx.conn.execute(update(lane).where(lane.c.key == "sms:idle").values(next_at=None, urgent=False))
        owe(tx, "sms:idle", priority=priority)
        assert [one.asked for one in lanes.claim_idle(tx, ["sms:idle"], "me", NOW, LEASE)] == [asked]
        owe(tx, "sms:urgent already", priority=priority)
        lanes.wake(tx, ["sms:urgent already"], NOW)
    found = {claimed(database, NOW, ASKED), claimed(database, NOW, ASKED), claimed(database, NOW, ASKED)}
    assert found == ({"sms:given back", "sms:urgent already", None} if asked else {None})


def test_lanes_that_are_well_are_told_from_those_whose_last_message_failed(database: Database) -> None:
    with database.write() as tx:
        owe(tx, "sms:a", priority=outbox.CRITICAL)
        lanes.wake(tx, ["sms:a"], NOW)
    held = claim(database)
    assert held is not None
    assert held.urgent
    well, ill = Pick(urgent=True, well=True), Pick(urgent=True, well=False)
    with database.write() as tx:
        lanes.release(tx, held.key, held.token, NOW, open_at=None, fails=1, sent=[])
        assert seed.next_due(tx, (), ill) == NOW
        assert seed.next_due(tx, (), well) is None
    assert claimed(database, NOW, well) is None
    assert claimed(database, NOW, Pick(urgent=False, well=False)) is None
    assert claimed(database, NOW, ill) == "sms:a"


def test_a_channel_that_has_its_share_is_left_out(database: Database) -> None:
    keys = ("dingtalk:a", "chat:dingtalk:cid", "person:dingtalk:corp/u", "chat:slack:T/C", "sms:b")
    with database.write() as tx:
        for n, key in enumerate(keys):
            owe(tx, key)
            lanes.wake(tx, [key], NOW + timedelta(seconds=n))
    channels = [lanes.channel_of(key) for key in keys]
    assert channels == ["dingtalk", "chat:dingtalk", "person:dingtalk", "chat:slack", "sms"]
    with database.read() as tx:
        assert seed.next_due(tx, full="dingtalk") == NOW + timedelta(seconds=1)
        assert seed.next_due(tx, full="chat:dingtalk") == NOW
    assert claimed(database, NOW + SOON, full="dingtalk") == keys[1]
    assert claimed(database, NOW + SOON, full="chat:dingtalk") == keys[0]
    assert claimed(database, NOW + SOON, full="person:dingtalk") == keys[3]


def test_leases_are_renewed_by_who_has_them_only(database: Database) -> None:
    wake(database, "sms:a", "sms:b", "sms:c")
    for owner in ("me", "me", "other"):
        claim(database, owner=owner)
    with database.write() as tx:
        release_me = tx.conn.execute(select(lane.c.key, lane.c.token).where(lane.c.owner == "me")).first()
        assert release_me is not None
        lanes.release(tx, release_me.key, release_me.token, NOW, open_at=None, fails=0, sent=[])
        lanes.renew(tx, ["sms:a", "sms:b", "sms:c"], "me", NOW + 2 * LEASE)
        ends = {row.owner: row.next_at for row in tx.conn.execute(select(lane.c.owner, lane.c.next_at))}
    assert ends == {None: None, "me": NOW + 2 * LEASE, "other": NOW + LEASE}


def steps_of_a_visit(database: Database, held: LaneRow) -> int:
    """How many thousand steps of SQLite's machine it takes to look at what waits in the lane, and to give it back."""
    steps: list[int] = []
    with database.write() as tx:
        driver: Any = tx.driver
        driver.set_progress_handler(lambda: steps.append(1), 1000)
        (row,) = deliveries.ready(tx, held.key, NOW, 1)
        crowds.around(tx, row, NOW, 10)
        lanes.release(tx, held.key, held.token, NOW, open_at=None, fails=0, sent=[])
        driver.set_progress_handler(None, 1000)
    return len(steps)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_waits_elsewhere_makes_no_visit_longer(database: Database) -> None:
    with database.write() as tx:
        for number in range(500):
            owe(tx, f"sms:{number % 50}", kind="alert")
        owe(tx, "sms:mine")
        lanes.wake(tx, ["sms:mine"], NOW)
    held = claim(database)
    assert held is not None
    assert steps_of_a_visit(database, held) <= 1
