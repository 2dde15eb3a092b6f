"""What happens after a send that did not work (PRODUCT.md sections 6 and 7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import DeliveryError
from handlers.retries import (
    SIMPLER,
    UNKNOWN,
    UNKNOWN_AS_IT_IS,
    UNKNOWN_TRIES,
    DeadLetter,
    Decision,
    RetryLater,
    Simplify,
    decide,
)
from tests.storage.seed import NOW

DAY = timedelta(days=1)


def failure(reason: str = "down", *, permanent: bool = False, retry_after: float | None = None) -> DeliveryError:
    return DeliveryError(reason, "It did not work.", permanent=permanent, retry_after=retry_after)


def in_s(seconds: float, pause: bool = False) -> RetryLater:
    return RetryLater(NOW + timedelta(seconds=seconds), pause)


CASES: dict[str, tuple[DeliveryError, int, bool, float, Decision]] = {
    "first temporary failure": (failure(), 1, False, 0.5, in_s(5)),
    "second": (failure(), 2, False, 0.5, in_s(15)),
    "earliest of the jitter": (failure(), 1, False, 0.0, in_s(4)),
    "the delays stop growing": (failure(), 40, False, 0.5, in_s(1800)),
    "in a plain form too": (failure(), 1, True, 0.5, in_s(5)),
    "the platform says when": (failure(retry_after=600), 1, False, 0.5, in_s(600, pause=True)),
    "sooner than we would": (failure(retry_after=0), 1, False, 0.5, in_s(5, pause=True)),
    "again and again the same": (failure(retry_after=3), 4, False, 0.5, in_s(60, pause=True)),
    "later than the message lives": (failure(retry_after=86400), 1, False, 0.5, DeadLetter("expired")),
    "permanent": (failure("gone", permanent=True), 1, False, 0.5, DeadLetter("gone")),
    "permanent whatever the platform says of later": (
        failure("gone", permanent=True, retry_after=1),
        1,
        False,
        0.5,
        DeadLetter("gone"),
    ),
    **{f"form: {r}": (failure(r, permanent=True), 1, False, 0.5, Simplify()) for r in sorted(SIMPLER)},
    **{f"simple form: {r}": (failure(r, permanent=True), 2, True, 0.5, DeadLetter(r)) for r in sorted(SIMPLER)},
    "too long for now is no form error": (failure("too_long"), 1, False, 0.5, in_s(5)),
    "a code that no table has": (failure(UNKNOWN), UNKNOWN_AS_IT_IS - 1, False, 0.5, in_s(30)),
    "again and again": (failure(UNKNOWN), UNKNOWN_AS_IT_IS, False, 0.5, Simplify()),
    "also in a plain form": (failure(UNKNOWN), UNKNOWN_AS_IT_IS + 1, True, 0.5, in_s(120)),
    "to the end": (failure(UNKNOWN), UNKNOWN_TRIES, True, 0.5, DeadLetter(UNKNOWN)),
    "to the end as it was": (failure(UNKNOWN), UNKNOWN_TRIES, False, 0.5, DeadLetter(UNKNOWN)),
}


@pytest.mark.parametrize(("error", "attempts", "plain", "chance", "decision"), CASES.values(), ids=CASES)
def test_decisions(error: DeliveryError, attempts: int, plain: bool, chance: float, decision: Decision) -> None:
    assert decide(error, attempts=attempts, plain=plain, expires_at=NOW + DAY, now=NOW, chance=chance) == decision


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=90, max_size=90))
def test_whatever_the_jitter_the_first_retry_is_within_30_s_three_within_two_minutes_and_none_after_a_day(
    chances: list[float],
) -> None:
    now, tries = NOW, [NOW]
    for attempts, chance in enumerate(chances, start=1):
        decision = decide(failure(), attempts=attempts, plain=False, expires_at=NOW + DAY, now=now, chance=chance)
        if isinstance(decision, DeadLetter):
            break
        assert isinstance(decision, RetryLater)
        assert decision.at > now
        now = decision.at
        tries.append(now)
    assert decision == DeadLetter("expired")
    assert tries[1] - NOW < timedelta(seconds=30)
    assert sum(at - NOW <= timedelta(minutes=2) for at in tries[1:]) >= 3
    assert NOW + DAY - timedelta(seconds=2160) <= tries[-1] < NOW + DAY


chances = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 90), chances, st.floats(0, 86_400))
def test_nobody_comes_back_before_the_platform_wants_it_nor_much_later(
    attempts: int, chance: float, asked_s: float
) -> None:
    error = failure(retry_after=asked_s)
    decision = decide(error, attempts=attempts, plain=False, expires_at=NOW + 3 * DAY, now=NOW, chance=chance)
    assert isinstance(decision, RetryLater)
    assert decision.pause
    waits_s = (decision.at - NOW).total_seconds()
    assert asked_s - 0.001 <= waits_s <= max(asked_s, 1800 * 1.2) + 0.001


@given(chances, chances, st.integers(1, 60))
def test_the_delays_vary_and_grow(one: float, other: float, attempts: int) -> None:
    def delay_s(attempts: int, chance: float) -> float:
        decision = decide(failure(), attempts=attempts, plain=False, expires_at=NOW + DAY, now=NOW, chance=chance)
        assert isinstance(decision, RetryLater)
        return (decision.at - NOW).total_seconds()

    middle_s = delay_s(attempts, 0.5)
    assert middle_s * 0.8 - 0.001 <= delay_s(attempts, one) <= middle_s * 1.2
    assert delay_s(attempts + 1, 0.5) >= middle_s
    assert (delay_s(attempts, one) < delay_s(attempts, other)) == (one < other) or abs(one - other) < 1e-3


@given(st.sampled_from([*sorted(SIMPLER), "gone", "keyword", "quota"]), st.booleans(), chances)
def test_a_permanent_refusal_is_tried_once_more_at_most_and_never_in_the_same_form(
    reason: str, plain: bool, chance: float
) -> None:
    error, decisions = failure(reason, permanent=True), list[Decision]()
    for attempts in (1, 2, 3):
        decision = decide(error, attempts=attempts, plain=plain, expires_at=NOW + DAY, now=NOW, chance=chance)
        decisions.append(decision)
        if isinstance(decision, DeadLetter):
            break
        assert (decision, plain) == (Simplify(), False)
        plain = True
    assert decisions[-1] == DeadLetter(reason)
    assert len(decisions) <= 2


@settings(max_examples=20)
@given(st.lists(chances, min_size=40, max_size=40))
def test_a_code_that_no_table_has_is_tried_for_more_than_an_hour_and_not_for_a_day(spread: list[float]) -> None:
    now, tries, plain = NOW, [NOW], False
    for attempts, chance in enumerate(spread, start=1):
        decision = decide(
            failure(UNKNOWN), attempts=attempts, plain=plain, expires_at=NOW + DAY, now=now, chance=chance
        )
        if isinstance(decision, DeadLetter):
            break
        plain = plain or isinstance(decision, Simplify)
        now = decision.at if isinstance(decision, RetryLater) else now
        tries.append(now)
    assert decision == DeadLetter(UNKNOWN)
    assert plain
    assert sum(at - NOW <= timedelta(minutes=2) for at in tries[1:]) >= 3
    assert timedelta(hours=1) < tries[-1] - NOW < timedelta(hours=4)
