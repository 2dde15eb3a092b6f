"""What is done to all lanes at once: finding those that were forgotten, freeing them, and setting their clocks."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, exists, func, literal, or_, select, update

from storage.database import Tx
from storage.lanes import AHEAD, opens
from storage.line import READY, behind_its_own
from storage.schema import delivery, lane, to_ms


def leased(tx: Tx) -> int:
    """How many lanes somebody works on right now."""
    return int(tx.conn.execute(select(func.count()).select_from(lane).where(lane.c.owner.is_not(None))).scalar_one())


def forgotten(tx: Tx, now: datetime) -> list[str]:
    """Lanes with messages whose wake-up was lost in a crash, to be woken."""
    waiting = select(delivery.c.lane).where(delivery.c.state == READY, ~behind_its_own()).distinct()
    # In order is a lane that somebody works on, or that will be looked at as soon as the message and its gate allow.
    in_order = exists().where(
        lane.c.key == delivery.c.lane,
        lane.c.next_at.is_not(None),
        or_(
            lane.c.owner.is_not(None),
            lane.c.next_at <= now,
            delivery.c.due_at > now,
            lane.c.open_at > now,
            and_(lane.c.calm_at > now, delivery.c.priority >= AHEAD),
        ),
    )
    return list(tx.conn.scalars(waiting.where(~in_order)))


def free_all(tx: Tx, now: datetime) -> None:
    """Ends every lease. Only for the one process that holds the database's lock, when it starts."""
    tx.conn.execute(
        update(lane)
        .where(lane.c.owner.is_not(None))
        .values(owner=None, next_at=opens(literal(now, lane.c.next_at.type)))
    )


def clock_was_set(tx: Tx, now: datetime, jump: timedelta, patience: timedelta) -> None:
    """Moves what is counted in time that passes (windows of budgets, gates) with the clock. For the one process on SQLite.

    Lanes that are being worked on are taken from their senders, which would write down the windows as they were. What is
    tried again goes by the clock that people read; where that was set back nothing waits longer than `patience` for it.
    """
    if jump < timedelta(0):
        _due_by(tx, now + patience)
    jump_ms = to_ms(now) - to_ms(now - jump)
    for row in tx.conn.execute(
        select(lane.c.key, lane.c.open_at, lane.c.calm_at, lane.c.sent, lane.c.cards, lane.c.rules)
    ):
        moved = {
            "open_at": row.open_at and row.open_at + jump,
            "calm_at": row.calm_at and row.calm_at + jump,
            "sent": [at + jump_ms for at in row.sent],
            "cards": row.cards and [at + jump_ms for at in row.cards],
            "rules": row.rules and {rule: at + jump_ms for rule, at in row.rules.items()},
        }
        if any(moved.values()):
            tx.conn.execute(update(lane).where(lane.c.key == row.key).values(moved))
    tx.conn.execute(update(lane).where(lane.c.owner.is_not(None)).values(owner=None, token=lane.c.token + 1))
    again = opens(literal(now, lane.c.next_at.type))
    tx.conn.execute(update(lane).where(lane.c.next_at.is_not(None)).values(next_at=again))


def _due_by(tx: Tx, late: datetime) -> None:
    """Nothing that is ready waits longer for its turn."""
    tx.conn.execute(update(delivery).where(delivery.c.state == READY, delivery.c.due_at > late).values(due_at=late))


def clock_went_back(tx: Tx, now: datetime, patience: timedelta) -> None:
    """After the clock was set back: nothing waits longer than it would have."""
    _due_by(tx, now + patience)
    tx.conn.execute(
        update(lane)
        .where(lane.c.owner.is_(None), lane.c.next_at.is_not(None))
        .values(next_at=now, open_at=None, calm_at=None)
    )
