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

    `sent_ms` are the last sends, oldest first, at least as many as the largest count. Times in the future (the clock was
    set back) count as just now, so that a jump can delay a message by one window and never by more.
    """
    slot = now_ms
    for budget in budgets:
        if len(sent_ms) >= budget.count:
            oldest = min(sent_ms[-budget.count], now_ms)
            slot = max(slot, oldest + round(budget.per_s * 1000))
    return slot


def kept(sent_ms: Sequence[int], budgets: Sequence[Throttle]) -> list[int]:
    """The part of the send times that `next_slot` still needs."""
    most = max((budget.count for budget in budgets), default=0)
    return list(sent_ms[-most:]) if most else []
