"""How often one address may be written to: sliding windows, never a bucket.

A bucket that holds a whole minute's messages lets almost twice the limit through in one minute, and DingTalk answers that
with ten minutes of silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most `count` messages in any window of `per_s` seconds."""

    count: int
    per_s: float


def next_slot(sent_ms: Sequence[int], budgets: Sequence[Throttle], now_ms: int) -> int:
    """The first moment, not before `now_ms`, at which one more message keeps every budget. Times are epoch milliseconds.

    `sent_ms` are the last sends, oldest first, at least as many as the largest count; none later than now (see `past`).
    """
    slot = now_ms
    for budget in budgets:
        if len(sent_ms) >= budget.count:
            slot = max(slot, sent_ms[-budget.count] + round(budget.per_s * 1000))
    return slot


def past(sent_ms: Sequence[int], now_ms: int) -> list[int]:
    """The send times, those in the future (the clock was set back) as just now.

    Whoever keeps send times must keep this result: then a jump delays a message by one window and never by more.
    """
    return [min(sent, now_ms) for sent in sent_ms]


def kept(sent_ms: Sequence[int], budgets: Sequence[Throttle]) -> list[int]:
    """The part of the send times that `next_slot` still needs."""
    most = max((budget.count for budget in budgets), default=0)
    return list(sent_ms[-most:]) if most else []
