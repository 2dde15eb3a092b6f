"""Lanes: one for each destination (a robot, a number, a mailbox, a conversation).

Workers claim lanes, not messages: whoever holds a lane sends its messages in order, so budgets, order and digests need no
other coordination. Every claim raises the lane's token; a release with an old token changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from storage import deliveries
from storage.database import Tx
from storage.line import READY, being_told, turn, waits_in
from storage.prepared import Prepared
from storage.rows import insert_or_ignore, record
from storage.schema import delivery, lane

MOST_AT_ONCE = 5000
"""Lanes in one statement."""


AHEAD = 2
"""Messages of a smaller priority never wait because others of their lane have to (`calm_at`)."""


URGENT, ASKED = 2, 1
"""Lanes in which a message of such a priority or a smaller one waits are claimed before all others: what is urgent (also
critical alarms), and of that first what a person has asked for (a code, an answer, a test)."""


@dataclass(frozen=True, slots=True)
class LaneRow:
    """`cards` and `rules` are what `handlers.merging` remembers; None: nothing yet."""

    key: str
    token: int
    open_at: datetime | None
    fails: int
    sent: list[int]
    cards: list[int] | None
    rules: dict[str, int] | None
    urgent: bool
    asked: bool


def wake(tx: Tx, keys: Iterable[str], now: datetime) -> None:
    """Pulls the lanes forward to now (or to when their gate opens); makes those that are missing."""
    wanted = sorted(set(keys))
    if not wanted:
        return
    fresh: list[dict[str, Any]] = [
        {"key": key, "next_at": now, "owner": None, "token": 0, "open_at": None, "fails": 0, "sent": []}
        for key in wanted
    ]
    insert_or_ignore(tx, lane, fresh)
    for at in range(0, len(wanted), MOST_AT_ONCE):
        part = wanted[at : at + MOST_AT_ONCE]
        if not tx.sqlite:
            # A lane that is being released right now: waits until that is done, so that the statement below sees it idle.
            # (An UPDATE alone passes over rows that did not match when it began.) In one order, against deadlocks.
            tx.conn.execute(select(lane.c.key).where(lane.c.key.in_(part)).order_by(lane.c.key).with_for_update())
        _WAKE.run(tx, keys=part, now=now)


def _wake_up() -> Update:
    now = bindparam("now", type_=lane.c.next_at.type)
    free_at, urgent, asked = opens(now), _due_up_to(URGENT, now), _due_up_to(ASKED, now)
    # Of a lane that is due already, only that it has become urgent, or is asked for, is news.
    later = or_(lane.c.next_at.is_(None), lane.c.next_at > free_at)
    own = lane.c.key.in_(bindparam("keys", expanding=True))
    return (
        update(lane)
        .where(own, lane.c.owner.is_(None), or_(later, and_(~lane.c.urgent, urgent), and_(~lane.c.asked, asked)))
        .values(
            next_at=case((later, free_at), else_=lane.c.next_at),
            urgent=or_(lane.c.urgent, urgent),
            asked=or_(lane.c.asked, asked),
        )
    )


_WAKE = Prepared(_wake_up)


def _due_up_to(priority: int, by: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether a message of the lane of this priority or a smaller one is due by then."""
    return exists().where(
        delivery.c.lane == lane.c.key,
        delivery.c.state == READY,
        delivery.c.priority <= priority,
        delivery.c.due_at <= by,
    )


def _marks(by: ColumnElement[datetime]) -> dict[str, ColumnElement[bool]]:
    """What the lane is claimed by, as far as it is due by then."""
    return {"urgent": _due_up_to(URGENT, by), "asked": _due_up_to(ASKED, by)}


def opens(now: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """When the lane may be worked on: now, or when its gate opens, or when what waits does not have to any more."""
    urgent = exists().where(
        delivery.c.lane == lane.c.key,
        delivery.c.state == READY,
        delivery.c.priority < lane.c.calm_for,
        delivery.c.due_at <= now,
    )
    shut = lane.c.open_at > now
    calm = and_(lane.c.calm_at > now, ~urgent)
    return case(
        (and_(shut, calm, lane.c.calm_at > lane.c.open_at), lane.c.calm_at),
        (shut, lane.c.open_at),
        (calm, lane.c.calm_at),
        else_=now,
    )


@dataclass(frozen=True, slots=True)
class Pick:
    """Which lanes are meant: those with an urgent message or the others, those that are well or the others; None: both.

    A lane is well when the last message to its address could be sent. `asked`: only those with something that a person
    has asked for.
    """

    urgent: bool | None = None
    well: bool | None = None
    asked: bool = False


ANY = Pick()


def _soonest(pick: Pick, full: str = "full") -> Select[Any]:
    return select(func.min(lane.c.next_at, type_=lane.c.next_at.type)).where(*_picked(pick, full))


def next_of_each(tx: Tx, held: Collection[str], wanted: Mapping[Pick, str]) -> dict[Pick, datetime]:
    """Of which kinds of lanes something waits, and when the next of them may be claimed; in one look.

    Not of those in `held`; of each kind not those of a channel that has its share: their keys begin with it.
    """
    row = _next_of(tuple(wanted)).first(
        tx, held=list(held), **{f"full_{place}": _of_channel(full) for place, full in enumerate(wanted.values())}
    )
    return {pick: moment for pick, moment in zip(wanted, row or (), strict=True) if moment is not None}


@cache
def _next_of(picks: tuple[Pick, ...]) -> Prepared:
    def build() -> Select[Any]:
        return select(*(_soonest(pick, f"full_{place}").scalar_subquery() for place, pick in enumerate(picks)))

    return Prepared(build)


@cache
def _claimed(pick: Pick) -> Prepared:
    return Prepared(lambda: _claim(pick))


def _claim(pick: Pick) -> ReturningUpdate[Any]:
    now, until = (bindparam(name, type_=lane.c.next_at.type) for name in ("now", "until"))
    wanted = (
        select(lane.c.key)
        .where(lane.c.next_at <= now, *_picked(pick))
        .order_by(lane.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    return (
        update(lane)
        .where(lane.c.key == wanted)
        .values(next_at=until, owner=bindparam("me"), token=lane.c.token + 1)
        .returning(lane)
    )


def _picked(pick: Pick, full: str = "full") -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [
        lane.c.next_at.is_not(None),
        lane.c.key.not_in(bindparam("held", expanding=True)),
        lane.c.key.not_like(bindparam(full)),
    ]
    if pick.urgent is not None:
        where.append(lane.c.urgent if pick.urgent else ~lane.c.urgent)
    if pick.asked:
        where.append(lane.c.asked)
    if pick.well is not None:
        where.append(lane.c.fails == 0 if pick.well else lane.c.fails > 0)
    return where


def _of_channel(channel: str) -> str:
    """The pattern of its lanes' keys; without a channel one that no key has."""
    return f"{channel}:%" if channel else ""


def channel_of(key: str) -> str:
    """What the lane shares with others that fail when it does: how it is sent to, in a chat also which platform it is.

    `dingtalk`, `email`; `chat:dingtalk` for conversations and `person:dingtalk` for people.
    """
    kind, _, rest = key.partition(":")
    return f"{kind}:{rest.partition(':')[0]}" if kind in ("chat", "person") else kind


def claim(
    tx: Tx,
    owner: str,
    now: datetime,
    lease: timedelta,
    held: Collection[str] = (),
    pick: Pick = ANY,
    *,
    full: str = "",
) -> LaneRow | None:
    """Of these lanes the one that is due longest, now leased to `owner`; None when none is due.

    `held` are lanes this process works on: a clock that jumps must not make it claim one of them twice. None of the
    channel `full`.
    """
    row = _claimed(pick).first(tx, now=now, until=now + lease, me=owner, held=list(held), full=_of_channel(full))
    return record(LaneRow, row) if row else None


def claim_idle(tx: Tx, keys: Collection[str], owner: str, now: datetime, lease: timedelta) -> list[LaneRow]:
    """Those of the lanes that are idle, open and well, claimed for what was just put into them: no wake-up is needed."""
    rows = _CLAIMED_IDLE.all(tx, keys=list(keys), now=now, until=now + lease, me=owner)
    return [record(LaneRow, row) for row in rows]


def _claim_idle() -> ReturningUpdate[Any]:
    now, until = (bindparam(name, type_=lane.c.next_at.type) for name in ("now", "until"))
    return (
        update(lane)
        .where(
            lane.c.key.in_(bindparam("keys", expanding=True)),
            lane.c.owner.is_(None),
            lane.c.next_at.is_(None),
            func.coalesce(lane.c.open_at, now) <= now,
            func.coalesce(lane.c.calm_at, now) <= now,
            lane.c.fails == 0,
        )
        .values(next_at=until, owner=bindparam("me"), token=lane.c.token + 1, **_marks(now))
        .returning(lane)
    )


_CLAIMED_IDLE = Prepared(_claim_idle)


def starting(
    tx: Tx, delivery_id: int, lane_key: str, token: int, sent: Sequence[int], now: datetime, lease_until: datetime
) -> bool:
    """Reserves one send in the lane's window, before it happens, and renews the lease; False when that was lost."""
    held = reserve(tx, lane_key, token, sent, lease_until)
    if held:
        deliveries.begin(tx, delivery_id, now)
    return held


def reserve(tx: Tx, lane_key: str, token: int, sent: Sequence[int], lease_until: datetime) -> bool:
    """Writes the lane's window and renews the lease; False when that was lost."""
    return bool(_RESERVE.run(tx, lane_=lane_key, own_token=token, sent_=list(sent), until=lease_until))


_RESERVE = Prepared(
    lambda: (
        update(lane)
        .where(lane.c.key == bindparam("lane_"), lane.c.token == bindparam("own_token"))
        .values(sent=bindparam("sent_"), next_at=bindparam("until"))
    )
)


def renew(tx: Tx, keys: Collection[str], owner: str, lease_until: datetime) -> None:
    """Renews the leases of those of the lanes that the owner still holds, however long their message takes."""
    own = lane.c.key.in_(keys) & (lane.c.owner == owner)
    # A lane that is locked is being written by its holder, who renews or gives it back: nobody waits for anybody.
    free = select(lane.c.key).where(own).with_for_update(skip_locked=True)
    tx.conn.execute(update(lane).where(lane.c.key.in_(free), lane.c.owner == owner).values(next_at=lease_until))


def release(
    tx: Tx,
    key: str,
    token: int,
    now: datetime,
    *,
    open_at: datetime | None,
    fails: int,
    sent: Sequence[int],
    calm_at: datetime | None = None,
    calm_for: int = AHEAD,
    cards: Sequence[int] = (),
    rules: Mapping[str, int] | None = None,
    only_idle: bool = False,
) -> bool:
    """Gives the lane back, due again when its next message is and its gate is open. An old token changes nothing.

    With `calm_at` nothing but what goes AHEAD makes it due before then; what comes later, and is more urgent than
    `calm_for`, does (see `wake`). `only_idle`: not when something waits in it that is due; False then. (Asked before all
    else: to look through a long line takes its time.)
    """
    if only_idle and deliveries.any_ready(tx, key, now):
        return False
    if not tx.sqlite:  # where others may be waking it; what the next statement sees has to be all that they woke it for
        held = (lane.c.key == key) & (lane.c.token == token)
        tx.conn.execute(select(lane.c.key).where(held).with_for_update())
    calm = {"calm": calm_at} if calm_at else {}
    due: datetime | None = _next_due(calmed=calm_at is not None).scalar(tx, lane_=key, **calm)
    if only_idle and due is not None and due <= now:
        return False
    next_at = None if due is None else max(moment for moment in (due, open_at, now) if moment is not None)
    _RELEASE.run(
        tx,
        lane_=key,
        own_token=token,
        next_=next_at,
        open_=open_at,
        calm_=calm_at,
        calm_for_=calm_for,
        fails_=fails,
        sent_=list(sent),
        cards_=list(cards),
        rules_=dict(rules or {}),
    )
    return True


def _release() -> Update:
    next_at = bindparam("next_", type_=lane.c.next_at.type)
    return (
        update(lane)
        .where(lane.c.key == bindparam("lane_"), lane.c.token == bindparam("own_token"))
        .values(
            next_at=next_at,
            owner=None,
            **_marks(next_at),  # nothing is due by NULL
            open_at=bindparam("open_"),
            calm_at=bindparam("calm_"),
            calm_for=bindparam("calm_for_"),
            fails=bindparam("fails_"),
            sent=bindparam("sent_"),
            cards=bindparam("cards_"),
            rules=bindparam("rules_"),
        )
    )


_RELEASE = Prepared(_release)


@cache
def _next_due(*, calmed: bool) -> Prepared:
    return Prepared(lambda: _due_next(calmed=calmed))


def _due_next(*, calmed: bool) -> Select[Any]:
    key: BindParameter[str] = bindparam("lane_")
    line = (
        select(delivery.c.alert_id, delivery.c.priority, delivery.c.due_at, turn())
        .where(waits_in(delivery, key))
        .subquery()
    )
    moment: ColumnElement[Any] = line.c.due_at
    if calmed:
        calm = bindparam("calm", type_=line.c.due_at.type)
        moment = case((and_(line.c.priority >= AHEAD, line.c.due_at < calm), calm), else_=line.c.due_at)
    return select(func.min(moment, type_=line.c.due_at.type)).where(
        line.c.turn == 1, or_(line.c.alert_id.is_(None), line.c.alert_id.not_in(being_told(key)))
    )
