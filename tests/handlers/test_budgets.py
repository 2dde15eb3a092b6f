"""Sliding windows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels import CHANNELS
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


ALLOWED = {
    "dingtalk": [(20, 60.0)],
    "wecom": [(20, 60.0)],
    "lark": [(5, 1.0), (100, 60.0)],
    "slack": [(1, 1.0)],
    "voice": [(1, 60.0), (5, 3600.0), (20, 86_400.0)],
    "sms": [(5, 900.0)],
    "email": [(30, 60.0)],
}
"""What each platform, or our own promise, allows one address, as the pages say it and without a margin."""

LEASE_MS = 20_000
"""So long after its last sign of life a sender that died is taken for dead."""

waits = st.one_of(st.just(0), st.integers(0, 500), st.integers(0, 30_000), st.integers(0, 4_000_000))
sends = st.lists(
    st.tuples(waits, st.integers(0, 10_000), st.floats(0, 1)), min_size=30, max_size=130
)  # the wait for the message, the milliseconds until its answer, and which part of them it takes to be counted
deaths = st.sets(st.integers(0, 200), max_size=2)


@settings(max_examples=25)
@pytest.mark.parametrize("name", ALLOWED)
@given(sends=sends, busy=st.booleans(), deaths=deaths)
def test_no_window_of_a_platform_ever_holds_more_than_it_allows(
    name: str, sends: list[tuple[int, int, float]], busy: bool, deaths: set[int]
) -> None:
    """The platform counts a message at any time between its sending and its answer.

    Two senders died within the answer of a message: what is known of it then is only when it was sent. What nobody but
    we promise has no margin for that, and of a call's minute it is a second.
    """
    if name in ("sms", "email", "voice"):
        deaths = set()
    budgets = CHANNELS[name].budgets
    now = 1_000_000
    window: list[int] = []
    counted: list[float] = []
    for n, (wait_ms, took_ms, part) in enumerate(sends * 2):
        now += 0 if busy else wait_ms
        window = past(window, now)
        now = max(now, next_slot(window, budgets, now))
        if n in deaths:
            took_ms = min(took_ms, 5_000)
        counted.append(now + part * took_ms)
        window = kept([*window, now if n in deaths else now + took_ms], budgets)
        now += max(took_ms, LEASE_MS) if n in deaths else took_ms
    for count, per_s in ALLOWED[name]:
        for first, beyond in zip(counted, counted[count:], strict=False):
            assert beyond - first >= per_s * 1000, (count, per_s)


def test_every_channel_with_a_limit_is_tried() -> None:
    assert {name for name, channel in CHANNELS.items() if channel.budgets} == ALLOWED.keys()
