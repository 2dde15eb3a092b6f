"""What waits and what was sent just now, lane by lane, for people to read. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, distinct, func, or_, select

from storage.database import Tx
from storage.line import MERGED
from storage.schema import delivery, lane, method

OWED = delivery.c.state.in_(("ready", "merged"))
"""What waits to be sent, by itself or in a digest."""

MESSAGES = func.coalesce(func.sum(case((delivery.c.kind == "digest", 0), else_=1)), 0)
"""How many messages: a digest is none of its own, those merged into it are."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one lane.

    count, since, until  how many; since when the oldest waits; when the first one is given up
    channel, masked      of the one that is sent next, as are `attempts` and `say`, its last failure in words
    next_at              when the lane is worked on again; None: nobody was told of it yet
    busy                 somebody works on it right now
    """

    lane: str
    count: int
    since: datetime
    until: datetime
    channel: str
    masked: str
    attempts: int
    say: Any
    next_at: datetime | None
    busy: bool


def sizes(tx: Tx) -> tuple[int, int]:
    """How many lanes have messages waiting, and how many messages wait in all."""
    query = select(func.count(distinct(delivery.c.lane)), MESSAGES).where(OWED)
    lanes, messages = tx.conn.execute(query).one()
    return int(lanes), int(messages)


def page(tx: Tx, limit: int, offset: int) -> list[Waiting]:
    """Lanes with messages waiting, that of the oldest first."""
    since = func.min(delivery.c.created_at, type_=delivery.c.created_at.type)
    until = func.min(delivery.c.expires_at, type_=delivery.c.expires_at.type)
    lanes = tx.conn.execute(
        select(delivery.c.lane, MESSAGES, since, until)
        .where(OWED)
        .group_by(delivery.c.lane)
        .order_by(since, delivery.c.lane)
        .limit(limit)
        .offset(offset)
    ).all()
    found = []
    for key, count, oldest, first in lanes:
        query = (
            select(
                delivery.c.channel, delivery.c.masked, delivery.c.attempts, delivery.c.say, lane.c.next_at, lane.c.owner
            )
            .select_from(delivery.outerjoin(lane, lane.c.key == delivery.c.lane))
            .where(delivery.c.lane == key, delivery.c.state == "ready")
            .order_by(delivery.c.priority, delivery.c.id)
            .limit(1)
        )
        following = tx.conn.execute(query).first()
        if following is not None:  # else sent between the two statements
            channel, masked, attempts, say, next_at, owner = following
            busy = owner is not None
            found.append(Waiting(key, count, oldest, first, channel, masked, attempts, say, next_at, busy))
    return found


@dataclass(frozen=True, slots=True)
class Window:
    """One lane: the times (epoch milliseconds) of its last sends, oldest first, and until when it is paused."""

    lane: str
    sent: list[int]
    open_at: datetime | None


def windows(tx: Tx) -> list[Window]:
    """Every lane as to what it was sent and whether it may be sent more."""
    rows = tx.conn.execute(select(lane.c.key, lane.c.sent, lane.c.open_at).order_by(lane.c.key))
    return [Window(key, list(sent), open_at) for key, sent, open_at in rows]


def masked(tx: Tx, channel: str, address_key: str) -> str:
    """How the address of a lane is shown; "" when no contact has it any more."""
    query = select(method.c.masked).where(method.c.channel == channel, method.c.address_key == address_key).limit(1)
    return str(tx.conn.execute(query).scalar() or "")


@dataclass(frozen=True, slots=True)
class Line:
    """One lane as it is now: when its gate opens, the times of its last sends, and how many messages go before."""

    open_at: datetime | None = None
    sent: tuple[int, ...] = ()
    count: int = 0


def lines(tx: Tx, keys: Sequence[str], priority: int) -> dict[str, Line]:
    """The lanes of these keys, as a new message of this priority finds them; every key has one.

    What is as urgent or more so goes before it, and so does what a digest names that is on its way.
    """
    ahead = or_(delivery.c.priority <= priority, delivery.c.state == MERGED)
    waiting = select(delivery.c.lane, MESSAGES).where(OWED, ahead, delivery.c.lane.in_(keys)).group_by(delivery.c.lane)
    counts = {key: int(count) for key, count in tx.conn.execute(waiting)}
    known = select(lane.c.key, lane.c.open_at, lane.c.sent).where(lane.c.key.in_(keys))
    found = {key: Line(open_at, tuple(sent), counts.get(key, 0)) for key, open_at, sent in tx.conn.execute(known)}
    return {key: found.get(key) or Line(count=counts.get(key, 0)) for key in keys}
