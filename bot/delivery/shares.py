"""Who gets the next free sender: shares, so that neither a slow platform nor a crowd of one kind takes them all.

Four kinds of lanes: those with what a person has asked for, other urgent ones, and others, all of them well; and those
whose last message could not be sent. A destination that hangs looks well until its first message has failed, and takes
a sender until it has been waited for long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from storage.lanes import Pick, channel_of

KEPT_FREE = 8
"""One of so many senders is kept for each kind of lanes that are well."""

MOST_ILL = 3
"""One of so many senders, and at least one, may work on lanes that are not well."""

ASKED = Pick(urgent=True, well=True, asked=True)
URGENT, OTHERS = Pick(urgent=True, well=True), Pick(urgent=False, well=True)
MOST_SLOW = 72
"""So many destinations may be waited for besides those that the senders work on."""

URGENT_ILL, OTHERS_ILL = Pick(urgent=True, well=False), Pick(urgent=False, well=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A lane that is being worked on, as it was when it was claimed."""

    key: str
    urgent: bool
    well: bool
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Lanes that may be claimed; none of the channel `full`, which has its share."""

    pick: Pick
    full: str = ""


def counted(held: Mapping[str, Held], waits_since: Mapping[str, float | None], before: float) -> list[Held]:
    """Those of the lanes that take a sender: all but the ones whose platform has been waited for since `before`."""
    slow = [key for key, since in waits_since.items() if since is not None and since < before][:MOST_SLOW]
    return [lane for key, lane in held.items() if key not in slow] if slow else list(held.values())


def choices(held: Collection[Held], senders: int) -> tuple[Choice, ...]:
    """What the next sender may work on, the first of them that is due."""
    free = senders - len(held)
    if free <= 0:
        return ()
    kept = (senders + KEPT_FREE // 2) // KEPT_FREE
    apart = senders // KEPT_FREE  # of a few senders what is asked for shares what is kept for all that is urgent
    # What the lanes that people wait for, and the others, have not taken yet of what is kept for them.
    for_asked = max(0, apart - sum(one.well and one.asked for one in held))
    for_others = max(0, kept - sum(one.well and not one.urgent for one in held))
    room_for_ill = sum(not one.well for one in held) < max(1, senders // MOST_ILL)
    # An urgent lane that failed goes before others: what it has to say is as urgent as it was.
    allowed = (
        (ASKED, free > for_others),
        (URGENT, free > for_others + for_asked),
        (URGENT_ILL, room_for_ill and free > for_others + for_asked + min(kept, 1)),
        (OTHERS, for_others > 0 or free > kept + for_asked),
        (OTHERS_ILL, room_for_ill and free > for_others + for_asked + kept),
    )
    channel, count = max(
        Counter(channel_of(one.key) for one in held).items(), key=lambda item: item[1], default=("", 0)
    )
    # Two thirds; what is urgent and well may have what is kept for it besides, and what is asked for both.
    most = -(-2 * (senders - apart) // 3)
    besides = {ASKED: kept + apart, URGENT: kept}
    return tuple(Choice(pick, channel if count >= most + besides.get(pick, 0) else "") for pick, may in allowed if may)
