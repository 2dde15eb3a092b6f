"""Who gets the next free sender: shares, so that neither a slow platform nor a crowd of one kind takes them all.

Three kinds of lanes: urgent ones and others that are well, and those whose last message could not be sent. A destination
that hangs holds a sender for as long as it is waited for, and until its first message has failed it looks well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from storage.lanes import Pick, channel_of

KEPT_FREE = 8
"""One of so many senders is kept for urgent lanes that are well, and as many for the others that are."""

MOST_ILL = 3
"""One of so many senders, and at least one, may work on lanes that are not well."""

URGENT, OTHERS = Pick(urgent=True, well=True), Pick(urgent=False, well=True)
URGENT_ILL, OTHERS_ILL = Pick(urgent=True, well=False), Pick(urgent=False, well=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A lane that is being worked on, as it was when it was claimed."""

    key: str
    urgent: bool
    well: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Lanes that may be claimed; none of the channel `full`, which has its share."""

    pick: Pick
    full: str = ""


def choices(held: Collection[Held], senders: int) -> tuple[Choice, ...]:
    """What the next sender may work on, the first of them that is due."""
    free = senders - len(held)
    if free <= 0:
        return ()
    kept = (senders + KEPT_FREE // 2) // KEPT_FREE
    owed = max(0, kept - sum(one.well and not one.urgent for one in held))  # to the others, still
    room_for_ill = sum(not one.well for one in held) < max(1, senders // MOST_ILL)
    # An urgent lane that failed goes before others: what it has to say is as urgent as it was.
    allowed = (
        (URGENT, free > owed),
        (URGENT_ILL, room_for_ill and free > owed + min(kept, 1)),
        (OTHERS, owed > 0 or free > kept),
        (OTHERS_ILL, room_for_ill and free > owed + kept),
    )
    channel, count = max(
        Counter(channel_of(one.key) for one in held).items(), key=lambda item: item[1], default=("", 0)
    )
    # Two thirds; what is urgent and well may have what is kept for it besides.
    most = -(-2 * senders // 3)
    return tuple(
        Choice(pick, channel if count >= most + (kept if pick == URGENT else 0) else "") for pick, may in allowed if may
    )
