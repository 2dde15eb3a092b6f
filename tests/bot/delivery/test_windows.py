"""No address gets more than its budget in any window, whatever clocks, crashes and restarts do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.delivery.clock import EvenClock
from handlers.budgets import Throttle
from storage import upkeep
from storage.database import Tx
from storage.schema import lane, to_ms
from tests.bot.delivery.shop import (
    PATIENCE_S,
    Shop,
    address,
    card,
    clock,
    make,
    robot,
    shop,
)
from tests.conftest import Clock
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["clock", "database", "make", "postgres_database", "shared_postgres", "shop", "sqlite_template"]


@pytest.mark.parametrize(
    "budgets",
    [(Throttle(3, 60),), (Throttle(1, 1.1),), (Throttle(2, 1), Throttle(5, 60))],
    ids=["three a minute", "one a second", "two limits"],
)
def test_no_window_ever_has_more_than_its_budget_also_across_a_restart(
    make: Callable[..., Shop], budgets: tuple[Throttle, ...]
) -> None:
    shop = make(*budgets)

    def write(tx: Tx) -> None:
        one = robot(tx, "a")
        for n in range(9):
            card(tx, one, f"{n}")

    shop.owed(write)
    restarts = [1, 3, 6]  # as soon as so many have been sent
    while len(shop.post.tries) < 9:
        if restarts and len(shop.post.tries) >= restarts[0]:
            restarts.pop(0)
            shop.close()
            shop.open()
            shop.worker.wake()
        shop.forward(0.5)
    at = shop.post.seconds(address("a"))
    for budget in budgets:
        assert all(later - earlier >= budget.per_s for earlier, later in zip(at, at[budget.count :], strict=False)), at
    assert restarts == []
    assert at[-1] <= 9 * 60  # and it is not slower than it has to be
    assert shop.post.titles() == [f"{n}" for n in range(9)]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_lets_nothing_more_through_and_nothing_less(
    make: Callable[..., Shop], clock: Clock, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Also when the first look at it fails."""

    def fails_after(real: Callable[..., None]) -> Callable[..., None]:
        def failing(*args: Any) -> None:
            real(*args)
            raise OSError("disk")

        return failing

    set_by = timedelta(0)
    even = EvenClock(lambda: clock() + set_by, lambda: clock().timestamp())
    shop = make(Throttle(2, 60), clock=even, even=even)
    one = shop.owed(lambda tx: robot(tx, "a"))
    shop.owed(lambda tx: [card(tx, one, f"{n}") for n in range(3)])
    assert len(shop.post.tries) == 2
    set_by = timedelta(hours=hours)
    for tick in range(70):
        if tick == 1:
            with monkeypatch.context() as broken:
                broken.setattr(upkeep, "clock_was_set", fails_after(upkeep.clock_was_set))
                with pytest.raises(OSError, match="disk"):
                    shop.worker._sweep()
        if tick == 2:
            shop.worker._sweep()
        clock.forward(1)
        shop.worker.wake()
        shop.until(lambda: not shop.worker._woken)
    shop.until(lambda: len(shop.post.tries) == 3)
    first, second, third = shop.post.seconds(address("a"))
    assert (first, second) == (0.0, 0.0)
    assert 60 <= third <= 65


def test_a_clock_set_back_delays_a_full_lane_by_one_window_and_no_more(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(2, 60))
    one = shop.owed(lambda tx: robot(tx, "a"))
    shop.owed(lambda tx: [card(tx, one, f"{n}") for n in range(3)])
    assert len(shop.post.tries) == 2
    shop.clock.forward(hours=-1)
    with shop.database.write() as tx:
        upkeep.clock_went_back(tx, shop.clock(), timedelta(seconds=5))
    shop.forward(0)
    for _ in range(13):
        assert len(shop.post.tries) == 2
        shop.forward(5)
    assert len(shop.post.tries) == 3


def test_a_send_is_in_the_window_before_it_happens_so_that_a_crash_cannot_forget_it(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(3, 60))
    shop.post.gate.clear()
    shop.owed(lambda tx: card(tx, robot(tx, "a"), "x"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    with shop.database.read() as tx:
        held = tx.conn.execute(select(lane)).one()
    assert held.sent == [to_ms(NOW)]
    assert held.owner is not None


def test_a_clock_set_forward_during_a_send_does_not_send_it_twice(shop: Shop) -> None:
    shop.post.gate.clear()
    shop.owed(lambda tx: card(tx, robot(tx, "a"), "slow"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    shop.clock.forward(hours=1)
    # Another lane shows that the worker looks for work while the first send still hangs.
    shop.owed(lambda tx: card(tx, robot(tx, "b"), "other"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    shop.post.gate.set()
    shop.rest()
    assert sorted(shop.post.titles()) == ["other", "slow"]
