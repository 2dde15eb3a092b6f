"""Sliding windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.budgets import Throttle, kept, next_slot, past

MINUTE = Throttle(3, 60)
SECOND = Throttle(2, 1.1)

CASES = {
    "nothing sent yet": ((), (MINUTE,), 1000, 1000),
    "no budget": ((1000, 1000, 1000), (), 1000, 1000),
    "room left": ((1000, 1000), (MINUTE,), 1000, 1000),
    "full until the oldest of the window leaves it": ((1000, 2000, 3000), (MINUTE,), 4000, 61_000),
    "full long ago": ((1000, 2000, 3000), (MINUTE,), 61_000, 61_000),
    "only the last ones count": ((0, 1000, 2000, 3000), (MINUTE,), 4000, 61_000),
    "the slowest of several decides": ((1000, 2000, 3000), (SECOND, MINUTE), 3050, 61_000),
    "fractions of a second": ((1000, 2000), (SECOND,), 2050, 2100),
}


@pytest.mark.parametrize(("sent", "budgets", "now", "slot"), CASES.values(), ids=CASES)
def test_the_next_slot(sent: tuple[int, ...], budgets: tuple[Throttle, ...], now: int, slot: int) -> None:
    assert next_slot(sent, budgets, now) == slot


def test_only_what_is_needed_is_kept() -> None:
    assert kept([1, 2, 3, 4, 5], (SECOND, MINUTE)) == [3, 4, 5]
    assert kept([1], (MINUTE,)) == [1]
    assert kept([1, 2], ()) == []


def test_times_in_the_future_become_now() -> None:
    assert past([1, 5, 9], 6) == [1, 5, 6]


budgets_ = st.lists(st.builds(Throttle, st.integers(1, 6), st.sampled_from([1, 1.1, 10, 60])), min_size=1, max_size=3)
moves = st.lists(st.integers(0, 20_000), min_size=1, max_size=60)
jumps = st.dictionaries(st.integers(0, 59), st.integers(1, 120_000), max_size=3)


@given(budgets_, moves, jumps)
def test_no_window_of_real_time_ever_holds_more_than_its_budget_also_when_the_clock_is_set_back(
    budgets: list[Throttle], waits_ms: list[int], set_back: dict[int, int]
) -> None:
    """A sender that looks at any time and sends whenever it may; its clock is sometimes set back, real time never is."""
    real, behind = 1_000_000, 0
    window: list[int] = []
    sent: list[int] = []
    for n, wait in enumerate(waits_ms):
        real += wait
        behind += set_back.get(n, 0)
        now = real - behind
        window = past(window, now)
        slot = next_slot(window, budgets, now)
        assert slot <= now + max(round(budget.per_s * 1000) for budget in budgets)  # never longer than one window
        if slot <= now:
            sent.append(real)
            window = kept([*window, now], budgets)
    for budget in budgets:
        for first, beyond in zip(sent, sent[budget.count :], strict=False):
            assert beyond - first >= round(budget.per_s * 1000)


@given(budgets_, st.integers(1, 40))
def test_whoever_waits_for_the_slot_may_send_then_and_loses_no_time(budgets: list[Throttle], messages: int) -> None:
    now = 0
    window: list[int] = []
    for _ in range(messages):
        now = next_slot(window, budgets, now)
        assert next_slot(window, budgets, now) == now
        window = kept([*window, now], budgets)
    slowest = max(-(-messages // budget.count) * round(budget.per_s * 1000) for budget in budgets)
    assert now <= slowest * len(budgets)
