"""What happens after a send that did not work (PRODUCT.md sections 6 and 7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import DeliveryError
from handlers.retries import SIMPLER, DeadLetter, Decision, RetryLater, Simplify, decide
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
