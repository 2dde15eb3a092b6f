"""The delivery worker: order, retries, crashes, and what follows from a send."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.delivery.visit import PATIENT_TRIES, STUMBLE
from bot.delivery.worker import SETTLING
from handlers import outbox, retries
from handlers.alerts import accept
from handlers.model import Alert
from storage import batches, codes, contacts, deliveries, lanes, people
from storage.database import Database, Tx
from storage.schema import delivery
from tests.bot.delivery.shop import (
    ADMIN,
    PLACE,
    Shop,
    address,
    card,
    clock,
    make,
    permanent,
    robot,
    shop,
    temporary,
)
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["clock", "database", "make", "postgres_database", "shared_postgres", "shop", "sqlite_template"]


def test_what_is_ready_is_sent_in_order_once_and_settled(shop: Shop) -> None:
    def write(tx: Tx) -> list[int]:
        one = robot(tx, "a")
        return [card(tx, one, "third", priority=4), card(tx, one, "first", priority=1), card(tx, one, "second")]

    ids = shop.owed(write)
    assert shop.post.titles() == ["first", "second", "third"]
    shop.forward(3600)
    assert len(shop.post.tries) == 3
    for one in ids:
        row = shop.row(one)
        assert (row.state, row.attempts, row.receipt, row.payload, row.done_at) == ("sent", 1, "receipt", None, NOW)
        assert shop.outcomes(one) == ["sent"]
    assert len({one.key for one in shop.post.tries}) == 3


def test_a_temporary_failure_is_tried_again_soon_and_with_the_same_key_until_it_works(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary(), temporary(), temporary()])
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "hello"))
    assert shop.outcomes(one) == ["temporary"]
    for _ in range(60):
        shop.forward(1)
    assert shop.post.seconds(address("a")) == [0, 5, 20, 50]
    assert shop.row(one).state == "sent"
    assert shop.outcomes(one) == ["temporary"] * 3 + ["sent"]
    assert len({try_.key for try_ in shop.post.tries}) == 1
    assert shop.post.tries[1].footer == ""  # its end was known: it is not "may be a repeat"


def test_a_retry_after_closes_that_lane_and_no_other(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary(retry_after=600)])
    shop.owed(lambda tx: (card(tx, robot(tx, "a"), "a1"), card(tx, robot(tx, "b"), "b1")))
    with shop.database.read() as tx:
        a, b = (row.id for row in tx.conn.execute(select(delivery.c.method_id.label("id")).order_by(delivery.c.id)))

    def more(name: str) -> Callable[[Tx], int]:
        return lambda tx: card(tx, {"a": a, "b": b}[name], f"{name}2", priority=0)

    shop.forward(30)
    shop.owed(more("a"))
    shop.owed(more("b"))
    assert shop.post.seconds(address("a")) == [0]
    assert shop.post.seconds(address("b")) == [0, 30]
    shop.forward(569)
    assert shop.post.seconds(address("a")) == [0]
    shop.forward(1)
    assert shop.post.titles(address("a")) == ["a1", "a2", "a1"]


def test_a_back_off_of_ours_holds_up_alerts_and_neither_codes_nor_tests(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary()])

    def alarm(title: str, **more: Any) -> Callable[[Tx], int]:
        return lambda tx: card(tx, one, title, **more)

    with shop.database.write() as tx:
        one = robot(tx, "a")
    shop.owed(alarm("failed"))
    assert shop.post.titles() == ["failed"]
    shop.owed(alarm("critical", priority=outbox.CRITICAL))
    assert shop.post.titles() == ["failed"]
    # Not even one that fails itself lets alerts through before.
    shop.post.failing[address("a")].append(temporary())
    shop.owed(lambda tx: card(tx, one, "code", kind="code", priority=outbox.CODE))
    assert shop.post.titles() == ["failed", "code"]
    shop.owed(lambda tx: card(tx, one, "later", kind="code", priority=outbox.CODE))
    assert shop.post.titles() == ["failed", "code"], "of codes none overtakes another"
    shop.forward(retries.DELAYS_S[0])
    assert shop.post.titles() == ["failed", "code", "code", "later", "critical", "failed"]


def test_a_code_that_arrives_ends_the_back_off_of_others(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary()])
    one = shop.owed(lambda tx: robot(tx, "a"))
    shop.owed(lambda tx: [card(tx, one, "failed"), card(tx, one, "other")])
    shop.owed(lambda tx: card(tx, one, "test", priority=outbox.TEST))
    assert shop.post.titles() == ["failed", "test", "other"]
    shop.forward(retries.DELAYS_S[0])
    assert shop.post.titles() == ["failed", "test", "other", "failed"]


def test_a_form_that_is_refused_is_sent_once_more_in_its_simplest(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([permanent("form")])
    shop.post.failing[address("b")] = deque([permanent("form"), permanent("form")])
    fine, dead = shop.owed(lambda tx: (card(tx, robot(tx, "a"), "x"), card(tx, robot(tx, "b"), "y")))
    for name in "ab":
        assert [try_.plain for try_ in shop.post.tries if try_.lane == address(name)] == [False, True]
    assert shop.row(fine).state == "sent"
    assert (shop.row(dead).state, shop.row(dead).reason) == ("dead", "form")
    shop.forward(86400)
    assert len(shop.post.tries) == 4


def test_a_permanent_failure_is_a_dead_letter_and_the_next_message_goes(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([permanent()])

    def write(tx: Tx) -> tuple[int, int]:
        one = robot(tx, "a")
        return card(tx, one, "dead"), card(tx, one, "next")

    dead, following = shop.owed(write)
    row = shop.row(dead)
    assert (row.state, row.reason, str(row.say)) == ("dead", "gone", "It is gone.")
    assert row.payload is not None  # it can be sent again by `retry`
    assert shop.row(following).state == "sent"
    with shop.database.read() as tx:
        assert contacts.method_by_id(tx, row.method_id or 0).state == "active"  # type: ignore[union-attr]


def test_a_dead_robot_is_disabled_and_owner_and_admins_are_told_once(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([permanent(disables=True)])
    owner = "dingtalk:corp/owner"

    def write(tx: Tx) -> list[int]:
        who = seed.contact(tx, "Zhang Wei")
        people.seen(tx, owner, "Zhang", NOW)
        people.seen(tx, "slack:T/other", "Zhang elsewhere", NOW)  # no private way there
        for person in (owner, "slack:T/other"):
            people.link(tx, person, who)
        one = seed.method(tx, who, address=address("a"))
        return [card(tx, one, "first"), card(tx, one, "second")]

    first, second = shop.owed(write)
    assert shop.post.titles() == ["first"]
    assert [shop.row(one).reason for one in (first, second)] == ["gone", "disabled"]
    assert sorted(place for place, _title in shop.post.said) == [ADMIN, owner]
    assert all("Zhang Wei is disabled" in title for _place, title in shop.post.said)
    with shop.database.read() as tx:
        method = contacts.method_by_id(tx, shop.row(first).method_id or 0)
    assert method is not None
    assert (method.state, method.reason) == ("disabled", '"It is gone."')


def test_a_message_that_is_too_old_is_not_sent_any_more(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary()])
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "x", expires_at=NOW + timedelta(seconds=60)))
    shop.clock.forward(61)
    shop.forward(0)
    row = shop.row(one)
    assert (row.state, row.reason, len(shop.post.tries)) == ("dead", "expired", 1)
    assert "It is down." in str(row.say)


def test_it_is_tried_for_a_day_and_then_given_up(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque(temporary() for _ in range(999))
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "x"))
    while shop.row(one).state == "ready":
        due = shop.row(one).due_at
        assert due > shop.clock()
        shop.forward((due - shop.clock()).total_seconds())
    at = shop.post.seconds(address("a"))
    assert 86400 - retries.DELAYS_S[-1] <= at[-1] < 86400
    assert (shop.row(one).state, shop.row(one).reason) == ("dead", "expired")


def test_what_a_crash_may_have_sent_is_sent_again_marked_and_not_before_the_start_has_settled(
    make: Callable[..., Shop], database: Database
) -> None:
    with database.write() as tx:
        one = card(tx, robot(tx, "a"), "begun")
        other = card(tx, robot(tx, "b"), "not begun")
        lanes.wake(tx, [row.lane for row in (deliveries.by_id(tx, one), deliveries.by_id(tx, other)) if row], NOW)
        for _ in range(2):
            held = lanes.claim(tx, "dead process", NOW, seed.LEASE)
            assert held is not None
            row = deliveries.by_id(tx, one)
            assert row is not None
            if row.lane == held.key:
                assert lanes.starting(tx, one, held.key, held.token, [], NOW, NOW + seed.LEASE)
    shop = make()  # the only process: leases of the dead one end at once
    shop.rest()
    assert shop.post.titles() == ["not begun"]
    shop.forward(SETTLING.total_seconds())
    assert shop.post.titles() == ["not begun", "begun"]
    assert shop.post.tries[1].footer == "may be a repeat"
    assert shop.post.tries[0].footer == ""


def test_a_lease_of_another_process_is_waited_for(make: Callable[..., Shop], database: Database) -> None:
    with database.write() as tx:
        one = card(tx, robot(tx, "a"), "held elsewhere")
        row = deliveries.by_id(tx, one)
        assert row is not None
        lanes.wake(tx, [row.lane], NOW)
        assert lanes.claim(tx, "other process", NOW, seed.LEASE)
    shop = make(alone=False)
    shop.clock.forward(29)
    shop.worker.wake()
    assert shop.post.tries == []
    shop.forward(1)
    assert shop.post.titles() == ["held elsewhere"]


def test_a_bug_in_one_message_ends_as_a_dead_letter_and_stops_nobody(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque(ValueError("a bug") for _ in range(9))
    broken, fine = shop.owed(lambda tx: (card(tx, robot(tx, "a"), "x"), card(tx, robot(tx, "b"), "y")))
    assert shop.row(fine).state == "sent"
    for _ in range(10):
        shop.forward(10)
    assert (shop.row(broken).state, shop.row(broken).reason) == ("dead", "internal")
    assert len(shop.post.seconds(address("a"))) == 3


def test_a_message_that_cannot_be_read_rests_its_lane_and_no_other(shop: Shop) -> None:
    """A payload sealed with a key that is gone."""

    def write(tx: Tx) -> tuple[int, int]:
        broken = card(tx, robot(tx, "a"), "x")
        tx.conn.execute(update(delivery).where(delivery.c.id == broken).values(payload="gAAAAA-not-ours"))
        return broken, card(tx, robot(tx, "b"), "y")

    broken, fine = shop.owed(write)
    assert shop.row(fine).state == "sent"
    with shop.database.read() as tx:
        key = tx.conn.execute(select(delivery.c.lane).where(delivery.c.id == broken)).scalar_one()
    assert shop.due(key) == NOW + STUMBLE


def test_what_follows_from_a_send_may_break_but_the_message_is_not_sent_again(shop: Shop) -> None:
    def write(tx: Tx) -> int:
        batch = batches.start(tx, "test", {"no": "conversation"}, NOW)  # its report cannot be written
        return card(tx, robot(tx, "a"), "x", batch_id=batch)

    one = shop.owed(write)
    shop.forward(60)
    assert shop.row(one).state == "sent"
    assert len(shop.post.tries) == 1


def test_a_recovery_waits_for_an_alarm_that_keeps_failing_and_others_of_the_lane_go(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque(temporary() for _ in range(PATIENT_TRIES))

    def report(status: Any, fingerprint: str) -> Callable[[Tx], Any]:
        return lambda tx: accept(
            tx, source, [Alert(fingerprint, fingerprint, status=status)], shop.clock(), timedelta(hours=4)
        )

    with shop.database.write() as tx:
        who = seed.contact(tx)
        seed.method(tx, who, address=address("a"))
        source = seed.source(tx, seed.group(tx, "ops", who))
    shop.owed(report("firing", "disk"))
    for due in retries.DELAYS_S[: PATIENT_TRIES - 1]:
        shop.forward(due)
    assert len(shop.post.tries) == PATIENT_TRIES
    shop.owed(report("resolved", "disk"))
    shop.owed(report("firing", "other"))
    shop.forward(5)
    titles = [title.split(" ", 1)[0] + title.rpartition(" ")[2] for title in shop.post.titles()]
    assert titles == ["[WARNING]disk"] * PATIENT_TRIES + ["[WARNING]other"]
    shop.forward(retries.DELAYS_S[PATIENT_TRIES - 1])
    titles = [title.split(" ", 1)[0] + title.rpartition(" ")[2] for title in shop.post.titles()]
    assert titles[PATIENT_TRIES:] == ["[WARNING]other", "[WARNING]disk", "[RESOLVED]disk"]


def place(tx: Tx) -> None:
    people.heard(tx, PLACE, "dingtalk", False, "ops", "", None, NOW)


def test_a_test_is_reported_once_when_its_last_channel_has_answered(shop: Shop) -> None:
    shop.post.failing[address("b")] = deque([permanent()])
    body = {"conversation": PLACE, "person": "dingtalk:corp/u", "language": "en", "name": "ops"}

    def write(tx: Tx) -> None:
        place(tx)
        batch = batches.start(tx, "test", body, NOW)
        for name in "abcd":
            card(tx, robot(tx, name), name, batch_id=batch)

    shop.owed(write)
    shop.forward(120)
    assert shop.post.said == [(PLACE, "Test of ops: 3 of 4 arrived.")]


def test_a_test_with_a_channel_that_hangs_is_reported_after_a_while_and_not_again(shop: Shop) -> None:
    shop.post.failing[address("b")] = deque([temporary(retry_after=300)])
    body = {"conversation": PLACE, "person": "dingtalk:corp/u", "language": "en", "name": "ops"}

    def write(tx: Tx) -> None:
        place(tx)
        batch = batches.start(tx, "test", body, NOW)
        for name in "ab":
            card(tx, robot(tx, name), name, batch_id=batch)

    shop.owed(write)
    assert shop.post.said == []
    shop.clock.forward(46)
    shop.close()
    shop.open()  # the first thing a worker does is its sweep
    shop.until(lambda: bool(shop.post.said))
    shop.rest()
    shop.forward(300)
    assert len(shop.post.tries) == 3
    assert shop.post.said == [(PLACE, "Test of ops: 1 of 2 arrived.")]


@pytest.mark.parametrize("unknown", [False, True], ids=["refused", "no answer"])
def test_a_refused_code_frees_the_limit_and_its_person_is_told_but_one_that_may_have_arrived_counts(
    shop: Shop, unknown: bool
) -> None:
    number = "+8613800138000"
    shop.post.failing[number] = deque([temporary(unknown=True) if unknown else permanent("no_balance", disables=True)])

    def write(tx: Tx) -> int:
        place(tx)
        phone = seed.method(tx, seed.contact(tx, "Zhang"), "sms", number, state="pending")
        key = contacts.address_key(tx, "sms", number)
        code = codes.issue(
            tx,
            method_id=phone,
            address_key=key,
            person="dingtalk:corp/u",
            conversation=PLACE,
            digits="123456",
            tries=5,
            now=NOW,
            expires_at=NOW + timedelta(minutes=10),
        )
        card(tx, phone, "code", kind="code", code_id=code, priority=outbox.CODE)
        return code

    code_id = shop.owed(write)
    shop.forward(600)
    with shop.database.read() as tx:
        code = codes.by_id(tx, code_id)
        counted = codes.to_address(tx, contacts.address_key(tx, "sms", number), NOW - timedelta(days=1))
        method = contacts.method_by_id(tx, code.method_id or 0) if code else None
    assert code is not None
    assert method is not None
    assert len(shop.post.tries) == 1
    assert method.state == "pending"
    if unknown:
        assert (code.state, counted, shop.post.said) == ("issued", [NOW], [])
    else:
        assert (code.state, counted) == ("refused", [])
        assert [where for where, _title in shop.post.said] == [PLACE]
