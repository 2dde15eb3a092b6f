"""Lanes claimed in the transaction that puts something into them: only when it is calm, and nothing is lost or sent twice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from bot.delivery.compose import Composed, Sender
from bot.delivery.visit import Visit
from bot.delivery.worker import MOST_CLAIMED
from handlers import outbox
from handlers.budgets import Throttle
from storage import contacts, deliveries, lanes
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import delivery, lane
from tests.bot.delivery.shop import PATIENCE_S, Shop, address, card, clock, make, robot, temporary
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template

__all__ = ["clock", "database", "make", "postgres_database", "shared_postgres", "sqlite_template"]


def idle(shop: Shop, *names: str) -> list[int]:
    """Robots that were sent something before."""
    with shop.database.write() as tx:
        robots = [robot(tx, name) for name in names]
    shop.owed(lambda tx: [card(tx, one, "first") for one in robots])
    assert len(shop.post.tries) >= len(names)
    shop.until(lambda: not shop.worker._held)  # a sender gives its lane back, and lets go of it then
    shop.post.tries.clear()
    return robots


def early(shop: Shop, write: Callable[[Tx], Any]) -> frozenset[str]:
    """Writes something and claims its lanes with it, as those do who take alerts in; the worker is not woken."""
    with shop.worker.early() as early, shop.database.write(seen=early.send) as tx:
        before = set(tx.conn.scalars(select(delivery.c.id)))
        write(tx)
        keys = set(tx.conn.scalars(select(delivery.c.lane).where(delivery.c.id.not_in(before))))
        taken = early.claim(tx, keys)
        lanes.wake(tx, keys - taken, shop.clock())
    return taken


def test_what_comes_into_idle_lanes_is_sent_at_once_in_its_order_and_nobody_is_woken(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(5, 60), poll_s=2 * PATIENCE_S)
    one, other = idle(shop, "a", "b")
    taken = early(shop, lambda tx: [card(tx, one, "a1"), card(tx, other, "b1"), card(tx, one, "a2")])
    assert len(taken) == 2
    shop.until(lambda: len(shop.post.tries) == 3)
    shop.rest()
    assert shop.post.titles(address("a")) == ["a1", "a2"]
    assert shop.post.titles(address("b")) == ["b1"]
    with shop.database.read() as tx:
        rows = tx.conn.execute(select(delivery.c.state, delivery.c.attempts)).all()
        assert {tuple(row) for row in rows} == {("sent", 1)}
        windows = tx.conn.scalars(select(lane.c.sent)).all()
    assert sorted(len(window) for window in windows) == [2, 3]


def test_the_slot_is_in_the_window_when_the_message_is_on_its_way(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(5, 60))
    [one] = idle(shop, "a")
    while shop.post.arrived.acquire(blocking=False):
        pass
    shop.post.gate.clear()
    early(shop, lambda tx: card(tx, one, "x"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    with shop.database.read() as tx:
        held = tx.conn.execute(select(lane)).one()
    assert len(held.sent) == 2
    assert held.owner is not None


def test_a_lane_that_fails_or_is_new_goes_the_ordinary_way(make: Callable[..., Shop]) -> None:
    shop = make()
    shop.post.failing[address("ill")] = deque([temporary()])
    [ill] = idle(shop, "ill")
    with shop.database.write() as tx:
        new = robot(tx, "new")
    assert not early(shop, lambda tx: [card(tx, ill, "x"), card(tx, new, "x")])
    shop.worker.wake()
    shop.rest()
    assert shop.post.titles() == ["x"], "and the one that fails has to wait"
    shop.forward(60)
    assert sorted(shop.post.titles(address("ill"))) == ["first", "x"]


def test_a_full_window_is_waited_for(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(1, 60))
    [one] = idle(shop, "a")
    early(shop, lambda tx: card(tx, one, "x"))
    shop.rest()
    shop.forward(59)
    assert shop.post.titles() == []
    shop.forward(1)
    assert shop.post.titles() == ["x"]


def test_of_a_crowd_of_lanes_some_are_begun_with_and_the_others_go_the_ordinary_way(make: Callable[..., Shop]) -> None:
    shop = make(senders=4 * MOST_CLAIMED)
    robots = idle(shop, *(f"r{n}" for n in range(MOST_CLAIMED + 3)))
    assert len(early(shop, lambda tx: [card(tx, one, "x") for one in robots])) == MOST_CLAIMED
    shop.worker.wake()
    shop.rest()
    assert len(shop.post.tries) == MOST_CLAIMED + 3


def test_half_of_the_senders_are_left_for_what_the_worker_claims(make: Callable[..., Shop]) -> None:
    shop = make(senders=4)
    one, two, three = idle(shop, "a", "b", "c")
    shop.post.gate.clear()
    assert early(shop, lambda tx: card(tx, one, "x"))
    assert early(shop, lambda tx: card(tx, two, "x"))
    assert not early(shop, lambda tx: card(tx, three, "x", priority=outbox.CRITICAL))
    shop.worker.wake()
    shop.until(lambda: len(shop.post.tries) == 3)


def test_what_was_taken_back_is_neither_sent_nor_held(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(5, 60))
    [one] = idle(shop, "a")

    def fail(tx: Tx) -> None:
        card(tx, one, "never")
        with shop.worker.early() as claimed:
            assert claimed.claim(tx, set(tx.conn.scalars(select(lane.c.key))))
        raise ValueError

    with pytest.raises(ValueError), shop.database.write() as tx:  # noqa: PT011 (it is the one above)
        fail(tx)
    early(shop, lambda tx: card(tx, one, "x"))
    shop.until(lambda: len(shop.post.tries) == 1)
    shop.rest()
    assert shop.post.titles() == ["x"]


def test_a_message_that_cannot_even_be_planned_is_left_to_its_sender(
    make: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make(Throttle(5, 60))
    [one] = idle(shop, "a")
    real = deliveries.ready
    broken = [ValueError("a fault of ours")]

    def ready(tx: Tx, key: str, now: Any, limit: int) -> list[DeliveryRow]:
        if broken:
            raise broken.pop()
        return real(tx, key, now, limit)

    monkeypatch.setattr(deliveries, "ready", ready)
    assert early(shop, lambda tx: card(tx, one, "x"))
    shop.until(lambda: len(shop.post.tries) == 1)
    shop.rest()


def test_the_first_message_is_composed_with_what_is_being_written_and_the_others_when_they_are_sent(
    make: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make(Throttle(5, 60))
    one, other = idle(shop, "a", "b")
    composed: list[tuple[str, int]] = []
    real = Sender.composed

    def noted(self: Sender, tx: Tx, row: DeliveryRow, now: datetime, **how: Any) -> Composed:
        composed.append((threading.current_thread().name.partition("-")[0], row.id))
        return real(self, tx, row, now, **how)

    monkeypatch.setattr(Sender, "composed", noted)
    made: list[int] = []
    early(shop, lambda tx: made.extend((card(tx, one, "a1"), card(tx, other, "b1"), card(tx, one, "a2"))))
    shop.until(lambda: len(shop.post.tries) == 3)
    shop.rest()
    assert [thread for thread, _id in composed] == ["MainThread", "sender", "sender"]
    assert composed[0][1] in made[:2]
    assert sorted(number for _thread, number in composed) == made
    assert shop.post.titles(address("a")) == ["a1", "a2"]


@pytest.mark.parametrize(
    "fault", [None, ValueError("a fault of ours"), OperationalError("", None, Exception("a statement of ours"))]
)
def test_a_message_that_cannot_be_composed_is_left_to_its_sender(
    make: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    shop = make(Throttle(5, 60))
    [one] = idle(shop, "a")
    real = Sender.composed
    errors = [fault] if fault else []

    def broken(self: Sender, tx: Tx, row: DeliveryRow, now: datetime, **how: Any) -> Composed:
        if errors:
            raise errors.pop()
        return real(self, tx, row, now, **how)

    monkeypatch.setattr(Sender, "composed", broken)
    made: list[int] = []

    def write(tx: Tx) -> None:
        if fault is None:
            contacts.change_method(tx, one, state="disabled")
        made.append(card(tx, one, "x"))

    assert early(shop, write)
    shop.until(lambda: shop.row(made[0]).state != "ready")
    row = shop.row(made[0])
    assert (row.state, row.reason) == (("sent", "") if fault else ("dead", "disabled"))


def test_when_the_database_fails_who_writes_hears_it(
    make: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make(Throttle(5, 60))
    [one] = idle(shop, "a")

    def gone(*_args: Any) -> None:
        raise OperationalError("", None, Exception("disk I/O error"))

    with monkeypatch.context() as broken:
        broken.setattr(deliveries, "ready", gone)
        with pytest.raises(OperationalError):
            early(shop, lambda tx: card(tx, one, "x"))
    early(shop, lambda tx: card(tx, one, "y"))
    shop.until(lambda: len(shop.post.tries) == 1)
    assert shop.post.titles() == ["y"]


def test_nothing_is_claimed_before_the_worker_runs_or_when_it_stops(
    make: Callable[..., Shop], database: Database
) -> None:
    shop = make(Throttle(5, 60))
    [one] = idle(shop, "a")
    shop.close()
    assert not early(shop, lambda tx: card(tx, one, "x"))
    assert shop.post.tries == []
    shop.open()
    shop.rest()
    shop.until(lambda: shop.post.titles() == ["x"])


def test_a_lane_that_its_sender_has_not_let_go_of_goes_the_ordinary_way(
    make: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given back in the database, and about to be forgotten here: it would be forgotten that it is held again."""
    shop = make(Throttle(50, 60))
    [one] = idle(shop, "a")
    worker, real = shop.worker, shop.worker.let_go
    given_back, may_forget = threading.Event(), threading.Event()

    def let_go(visits: Iterable[Visit]) -> None:
        given_back.set()
        assert may_forget.wait(PATIENCE_S)
        real(visits)

    with monkeypatch.context() as patched:
        patched.setattr(worker, "let_go", let_go)
        with worker.early() as claimed, shop.database.write(seen=claimed.send) as tx:
            card(tx, one, "m1")
            assert claimed.claim(tx, set(tx.conn.scalars(select(lane.c.key))))
            patched.setattr(claimed, "drop", lambda: None)
        assert given_back.wait(PATIENCE_S)
        patched.undo()
        assert not early(shop, lambda tx: card(tx, one, "m2"))
    may_forget.set()
    worker.wake()
    shop.rest()
    shop.until(lambda: shop.post.titles() == ["m1", "m2"])


def test_a_slot_is_counted_from_now_however_long_the_writer_was_waited_for(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(1, 60))
    asked_at = shop.clock()
    shop.forward(5)
    [one] = idle(shop, "a")
    sent_at = shop.clock()
    assert early(shop, lambda tx: card(tx, one, "x", due_at=asked_at))
    shop.rest()
    for _ in range(59):
        shop.forward(1)
    assert shop.post.tries == []
    shop.forward(1)
    assert [one.at - sent_at for one in shop.post.tries] == [timedelta(seconds=60)]


def test_what_was_begun_is_sent_also_when_the_worker_stops_meanwhile(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(5, 60))
    [one] = idle(shop, "a")
    shop.post.gate.clear()
    made: list[int] = []
    stopping = threading.Thread(target=shop.worker.stop, args=(PATIENCE_S,))
    with shop.worker.early() as claimed, shop.database.write(seen=claimed.send) as tx:
        made.append(card(tx, one, "x"))
        assert claimed.claim(tx, set(tx.conn.scalars(select(lane.c.key))))
        stopping.start()
        shop.until(lambda: shop.worker._stopping)
    shop.post.gate.set()
    stopping.join(PATIENCE_S)
    row = shop.row(made[0])
    assert shop.post.titles() in ([], ["x"]), "there may be no sender left for it"
    assert (row.state == "sent") == (shop.post.titles() == ["x"])


def test_what_the_worker_claims_is_known_before_others_can_write(make: Callable[..., Shop]) -> None:
    """Otherwise both would take of a channel's share what is left of it."""
    shop = make(senders=24)
    robots = idle(shop, *(f"r{n}" for n in range(20)))
    shop.post.gate.clear()
    database, real = shop.database, shop.database.write_together
    early_ones: list[int] = []

    def write_together(write: Callable[[Tx], Any], **how: Any) -> Any:
        made = real(write, **how)
        if (
            threading.current_thread().name == "worker" and not early_ones
        ):  # committed, and the worker goes on in a moment
            with ThreadPoolExecutor(1) as other:
                wanted = other.submit(early, shop, lambda tx: [card(tx, one, "x") for one in robots[12:]])
                early_ones.append(len(wanted.result(PATIENCE_S)))
        return made

    database.write_together = write_together  # type: ignore[method-assign]
    assert len(early(shop, lambda tx: [card(tx, one, "x") for one in robots[:4]])) == 4
    shop.owed(lambda tx: [card(tx, one, "x") for one in robots[4:12]])
    shop.until(lambda: bool(early_ones))
    assert early_ones == [0]
    shop.until(lambda: len(shop.post.tries) == 14)
    shop.post.gate.set()
    shop.worker.wake()
    shop.rest()
    shop.until(lambda: len(shop.post.tries) == 20)
