"""What to do after a send did not work: a decision in words, made from the error and the history, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.errors import DeliveryError

DELAYS_S = (5, 15, 30, 60, 120, 300, 600, 1200, 1800)
"""Seconds before the next try, after the first, second ... one: four tries in the first minute, then slower and slower."""

JITTER = 0.2
"""Delays vary by this part, so that many messages that failed together do not come back together."""

UNKNOWN = "refused"
"""Reason of a refusal whose code no table has: nobody knows whether it will pass, or what it is about."""

UNKNOWN_AS_IT_IS, UNKNOWN_TRIES = 4, 12
"""A message that is refused so goes out in its simplest form after the first of these tries, and not at all after the
other, more than an hour later: an outage is over by then, and people have to learn of anything else."""

SIMPLER = frozenset({"form", "too_long", "unsafe", "content", "mention", UNKNOWN})
"""Reasons of a permanent refusal that a simpler form of the same message may escape."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Try again at `at`. `pause` closes the whole lane until then: it is the platform that asked for it."""

    at: datetime
    pause: bool = False


@dataclass(frozen=True, slots=True)
class Simplify:
    """Send it once more at once, in the simplest form the channel has."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Give up; a person has to look at it."""

    reason: str


Decision = RetryLater | Simplify | DeadLetter


def decide(
    error: DeliveryError, *, attempts: int, plain: bool, expires_at: datetime, now: datetime, chance: float
) -> Decision:
    """The decision after try number `attempts`; `chance` is in [0, 1) and spreads the delays."""
    if error.permanent:
        return Simplify() if error.reason in SIMPLER and not plain else DeadLetter(error.reason)
    if error.reason == UNKNOWN and attempts >= UNKNOWN_TRIES:
        return DeadLetter(UNKNOWN)
    if error.reason == UNKNOWN and attempts == UNKNOWN_AS_IT_IS and not plain:
        return Simplify()
    base = DELAYS_S[min(attempts, len(DELAYS_S)) - 1]
    delay = timedelta(seconds=base * (1 + JITTER * (2 * chance - 1)))
    pause = error.retry_after is not None
    if error.retry_after is not None:
        delay = max(timedelta(seconds=error.retry_after), delay)
    at = now + delay
    if at >= expires_at:
        return DeadLetter("expired")
    return RetryLater(at, pause)
