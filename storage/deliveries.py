"""Everything owed to the outside: deliveries (the outbox, also the log people see), their attempts, and the lanes.

A lane is one destination (a robot, a number, a mailbox, a conversation). Workers claim lanes, not messages: whoever
holds a lane sends its messages in order, so budgets, order and digests need no other coordination. Every claim raises
the lane's token; a release with an old token changes nothing.

A digest is a delivery that names others. Those are `merged` while it waits and share its end, each in its own line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import insert_or_ignore, record
from storage.schema import alert, attempt, batch, delivery, lane

READY, MERGED = (literal_column(f"'{state}'", delivery.c.state.type) for state in ("ready", "merged"))
"""Written into the SQL: an index over rows of one state is of use only when that is known before any value is. (With a
bound value SQLite makes its plan anew at each execution, which takes many times as long as the rest.)"""

MOST_AT_ONCE = 5000
"""Lanes in one statement."""

AHEAD = 2
"""Messages of a smaller priority never wait because others of their lane have to (`calm_at`)."""

URGENT = 2
"""Lanes in which a message of this priority or a smaller one waits (a code, an answer, a critical alarm) are claimed before
all others."""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One message owed or sent. `payload` is opened: what has to be said, for those that are not made from an alert."""

    id: int
    lane: str
    kind: str
    channel: str
    priority: int
    state: str
    alert_id: int | None
    alert_status: str | None
    alert_severity: str | None
    method_id: int | None
    contact_name: str
    group_name: str
    masked: str
    batch_id: int | None
    code_id: int | None
    payload: dict[str, Any] | None
    due_at: datetime
    expires_at: datetime
    attempts: int
    begun_at: datetime | None
    plain: bool
    reason: str
    say: Any
    receipt: str
    created_at: datetime
    done_at: datetime | None
    digest_id: int | None
    arrived_at: datetime | None


@dataclass(frozen=True, slots=True)
class LaneRow:
    """`cards` and `rules` are what `handlers.digests` remembers; None: nothing yet."""

    key: str
    token: int
    open_at: datetime | None
    fails: int
    sent: list[int]
    cards: list[int] | None
    rules: dict[str, int] | None
    urgent: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """One card of an alert that waits in a lane, or in a digest, and what people have to know of it at least."""

    id: int
    priority: int
    alert_id: int
    status: str
    severity: str
    title: str
    rule: str
    source_id: int | None
    group_name: str
    reason: str
    created_at: datetime
    expires_at: datetime


def _delivery(tx: Tx, row: Any) -> DeliveryRow:
    return record(DeliveryRow, row, payload=json.loads(tx.vault.open(row.payload)) if row.payload else None)


def owe(tx: Tx, rows: Iterable[dict[str, Any]]) -> int:
    """Writes deliveries, all with the same columns; those whose dedupe key is there already are left out.

    `payload`, where given, is a JSON object and is sealed. Touches no lane: call `wake` after the commit.
    """
    # Only what is sealed is copied: an alert can owe thousands, and theirs have no payload.
    values = [
        row if row.get("payload") is None else row | {"payload": tx.vault.seal(json.dumps(row["payload"]))}
        for row in rows
    ]
    return insert_or_ignore(tx, delivery, values)


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
    opens, urgent = _opens(now), _urgent(now)
    # Of a lane that is due already, only that it has become urgent is news.
    later = or_(lane.c.next_at.is_(None), lane.c.next_at > opens)
    own = lane.c.key.in_(bindparam("keys", expanding=True))
    return (
        update(lane)
        .where(own, lane.c.owner.is_(None), or_(later, and_(~lane.c.urgent, urgent)))
        .values(next_at=case((later, opens), else_=lane.c.next_at), urgent=or_(lane.c.urgent, urgent))
    )


_WAKE = Prepared(_wake_up)


def _urgent(by: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Whether an urgent message of the lane is due by then."""
    return exists().where(
        delivery.c.lane == lane.c.key,
        delivery.c.state == READY,
        delivery.c.priority <= URGENT,
        delivery.c.due_at <= by,
    )


def _opens(now: ColumnElement[datetime]) -> ColumnElement[datetime]:
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

    A lane is well when the last message to its address could be sent.
    """

    urgent: bool | None = None
    well: bool | None = None


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
        .values(next_at=until, owner=bindparam("me"), token=lane.c.token + 1, urgent=_urgent(now))
        .returning(lane)
    )


_CLAIMED_IDLE = Prepared(_claim_idle)


def ready(tx: Tx, key: str, now: datetime, limit: int) -> list[DeliveryRow]:
    """The lane's next messages that are due, in the order in which they are to be sent; of one alert only the first."""
    return [_delivery(tx, row) for row in _READY.all(tx, lane_=key, now=now, most=limit)]


def _ready() -> Select[Any]:
    return (
        select(delivery)
        .where(
            delivery.c.lane == bindparam("lane_"),
            delivery.c.state == READY,
            delivery.c.due_at <= bindparam("now"),
            ~_behind_its_own(),
        )
        .order_by(delivery.c.priority, delivery.c.id)
        .limit(bindparam("most"))
    )


_READY = Prepared(_ready)


def _behind_its_own() -> ColumnElement[bool]:
    """True for a message that waits for an earlier one of the same alert: a recovery does not overtake its alarm."""
    earlier = delivery.alias("earlier")
    return exists().where(
        earlier.c.lane == delivery.c.lane,
        earlier.c.state.in_((READY, MERGED)),
        earlier.c.alert_id == delivery.c.alert_id,
        earlier.c.id < delivery.c.id,
    )


def crowd(tx: Tx, like: DeliveryRow, now: datetime, limit: int, *, newest: bool = False) -> list[Waiting]:
    """The cards of alerts that could go where `like` goes, in the same form, the most urgent first.

    Of one alert all that wait, in their order, but none that has to wait for an earlier one; each is as urgent as the
    most urgent that waits for it. A card that may have been sent before a crash is not among them: it says so itself.
    `newest`: those that came last, and only the first of each alert.
    """
    rows = (_NEWEST if newest else _MOST_URGENT).all(
        tx, lane_=like.lane, method=like.method_id, plain_=like.plain, now=now, most=limit
    )
    return [Waiting(*row) for row in rows]


def _crowd(*, newest: bool) -> Select[Any]:
    now = bindparam("now", type_=delivery.c.due_at.type)
    plain = bindparam("plain_", type_=delivery.c.plain.type)
    key: BindParameter[str] = bindparam("lane_")
    method = bindparam("method", type_=delivery.c.method_id.type)
    elsewhere = delivery.c.method_id.is_distinct_from(method)
    blocks = case(
        (or_(delivery.c.due_at > now, delivery.c.begun_at.is_not(None), delivery.c.plain != plain, elsewhere), 1),
        else_=0,
    )
    before = func.max(blocks).over(partition_by=delivery.c.alert_id, order_by=delivery.c.id, rows=(None, -1))
    urgency = func.min(delivery.c.priority).over(
        partition_by=delivery.c.alert_id, order_by=delivery.c.id, rows=(0, None)
    )
    # Window functions: a comparison of each with each takes seconds where a database has no statistics yet.
    line = (
        select(delivery, func.coalesce(before, 0).label("blocked"), urgency.label("urgency"), _turn())
        .where(_waits_in(delivery, key), delivery.c.kind == "alert")
        .subquery()
    )
    own = (
        line.c.method_id.is_not_distinct_from(method),
        line.c.plain == plain,
        line.c.due_at <= now,
        line.c.expires_at > now,
        line.c.begun_at.is_(None),
        line.c.blocked == 0,
        line.c.alert_id.not_in(_being_told(key)),
    )
    query = _named(line, line.c.urgency).where(*own).order_by(line.c.urgency, line.c.id)
    if newest:
        query = _named(line, line.c.urgency).where(*own, line.c.turn == 1).order_by(line.c.id.desc())
    return query.limit(bindparam("most"))


_MOST_URGENT = Prepared(lambda: _crowd(newest=False))
_NEWEST = Prepared(lambda: _crowd(newest=True))


def _turn() -> ColumnElement[int]:
    """1 for the first of each alert that waits, and for what belongs to none."""
    alert_or_self = func.coalesce(delivery.c.alert_id, -delivery.c.id)
    return func.row_number().over(partition_by=alert_or_self, order_by=delivery.c.id).label("turn")


def _being_told(key: Any) -> Select[Any]:
    """The alerts that are named by a digest of the lane that is not settled."""
    digest = delivery.alias("digest")
    merged_ = delivery.alias("merged_")
    return (
        select(merged_.c.alert_id)
        .join_from(digest, merged_, merged_.c.digest_id == digest.c.id)
        .where(_waits_in(digest, key), digest.c.kind == "digest", merged_.c.state == MERGED)
    )


def _waits_in(rows: FromClause, key: Any) -> ColumnElement[bool]:
    """Deliveries that wait in the lane. Every priority is above -1: saying so makes SQLite take the index of the lane and
    not read everything that waits anywhere."""
    return and_(rows.c.lane == key, rows.c.state == READY, rows.c.priority > -1)


def _named(rows: FromClause, urgency: ColumnElement[int]) -> Select[Any]:
    """What a `Waiting` is made of, in its order, from deliveries of alerts."""
    return select(
        rows.c.id,
        urgency,
        rows.c.alert_id,
        rows.c.alert_status.label("status"),
        rows.c.alert_severity.label("severity"),
        alert.c.title,
        alert.c.rule,
        alert.c.source_id,
        rows.c.group_name,
        rows.c.reason,
        rows.c.created_at,
        rows.c.expires_at,
    ).join_from(rows, alert, alert.c.id == rows.c.alert_id)


def card(tx: Tx, delivery_id: int) -> Waiting:
    """The card of an alert with that id, which is there."""
    [row] = _CARD.all(tx, id_=delivery_id)
    return Waiting(*row)


_CARD = Prepared(lambda: _named(delivery, delivery.c.priority).where(delivery.c.id == bindparam("id_")))


def crowd_size(tx: Tx, key: str, since: datetime) -> tuple[int, int]:
    """How many cards of alerts wait in the lane, and how many of them came since then."""
    own = (delivery.c.lane == key) & (delivery.c.state == READY) & (delivery.c.kind == "alert")
    new = func.count(case((delivery.c.created_at > since, 1)))
    count, fresh = tx.conn.execute(select(func.count(), new).select_from(delivery).where(own)).one()
    return int(count), int(fresh)


def merge(tx: Tx, digest: Mapping[str, Any], ids: Collection[int]) -> int:
    """Owes the digest and merges into it those of the messages that are still ready; its id. Only for the lane's holder."""
    digest_id = int(tx.conn.execute(delivery.insert().values(**digest).returning(delivery.c.id)).scalar_one())
    tx.conn.execute(
        update(delivery)
        .where(delivery.c.id.in_(ids), delivery.c.state == READY)
        .values(state="merged", digest_id=digest_id)
    )
    return digest_id


def merged(tx: Tx, digest_id: int) -> list[Waiting]:
    """What the digest names while it is not settled."""
    own = (delivery.c.digest_id == digest_id) & (delivery.c.state == MERGED)
    query = _named(delivery, delivery.c.priority).where(own)
    return [Waiting(*row) for row in tx.conn.execute(query.order_by(delivery.c.priority, delivery.c.id))]


def settle_merged(tx: Tx, digest: int, **changes: Any) -> None:
    """Writes to every message of the digest what became of it; what was sent stays sent."""
    own = (delivery.c.digest_id == digest) & (delivery.c.state != "sent")
    tx.conn.execute(update(delivery).where(own).values(**changes))


def hurry(tx: Tx, alert_id: int, priority: int, now: datetime) -> None:
    """What still waits of this alert has at least this priority and is due: it holds up what comes now."""
    tx.conn.execute(
        update(delivery)
        .where(
            delivery.c.alert_id == alert_id,
            delivery.c.kind == "alert",
            delivery.c.state == READY,
            delivery.c.priority > priority,
        )
        .values(
            priority=priority,
            due_at=case((delivery.c.due_at > now, literal(now, delivery.c.due_at.type)), else_=delivery.c.due_at),
        )
    )


def starting(
    tx: Tx, delivery_id: int, lane_key: str, token: int, sent: Sequence[int], now: datetime, lease_until: datetime
) -> bool:
    """Reserves one send in the lane's window, before it happens, and renews the lease; False when that was lost."""
    held = reserve(tx, lane_key, token, sent, lease_until)
    if held:
        begin(tx, delivery_id, now)
    return held


def begin(tx: Tx, delivery_id: int, now: datetime) -> None:
    """Writes that a try begins."""
    _BEGIN.run(tx, id_=delivery_id, now=now)


_BEGIN = Prepared(
    lambda: (
        update(delivery)
        .where(delivery.c.id == bindparam("id_"))
        .values(attempts=delivery.c.attempts + 1, begun_at=bindparam("now"))
    )
)


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


def settle(tx: Tx, delivery_id: int, **changes: Any) -> None:
    """Writes what became of a message, whoever holds the lane: a fact is a fact. A final state empties the payload.

    What was sent stays sent: a holder that lost the lane meanwhile may still come and say that its own try failed.
    """
    changes.setdefault("begun_at", None)
    if changes.get("state") in ("sent", "cancelled"):
        changes["payload"] = None
    _settling(tuple(changes)).run(tx, id_=delivery_id, **{f"to_{name}": value for name, value in changes.items()})


@lru_cache(100)
def _settling(columns: tuple[str, ...]) -> Prepared:
    own = (delivery.c.id == bindparam("id_"), delivery.c.state != "sent")
    return Prepared(lambda: update(delivery).where(*own).values({name: bindparam(f"to_{name}") for name in columns}))


def tried(tx: Tx, delivery_id: int, at: datetime, outcome: str, reason: str, took_ms: int) -> None:
    """Writes down a try and what came of it."""
    _TRIED.run(tx, delivery_id=delivery_id, at=at, outcome=outcome, reason=reason, took_ms=took_ms)


_TRIED = Prepared(attempt.insert, ("delivery_id", "at", "outcome", "reason", "took_ms"))


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
    if only_idle and _READY.first(tx, lane_=key, now=now, most=1) is not None:
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
            urgent=_urgent(next_at),  # nothing is due by NULL
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
        select(delivery.c.alert_id, delivery.c.priority, delivery.c.due_at, _turn())
        .where(_waits_in(delivery, key))
        .subquery()
    )
    moment: ColumnElement[Any] = line.c.due_at
    if calmed:
        calm = bindparam("calm", type_=line.c.due_at.type)
        moment = case((and_(line.c.priority >= AHEAD, line.c.due_at < calm), calm), else_=line.c.due_at)
    return select(func.min(moment, type_=line.c.due_at.type)).where(
        line.c.turn == 1, or_(line.c.alert_id.is_(None), line.c.alert_id.not_in(_being_told(key)))
    )


def leased(tx: Tx) -> int:
    """How many lanes somebody works on right now."""
    return int(tx.conn.execute(select(func.count()).select_from(lane).where(lane.c.owner.is_not(None))).scalar_one())


def forgotten(tx: Tx, now: datetime) -> list[str]:
    """Lanes with messages whose wake-up was lost in a crash, to be woken."""
    waiting = select(delivery.c.lane).where(delivery.c.state == READY, ~_behind_its_own()).distinct()
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
        .values(owner=None, next_at=_opens(literal(now, lane.c.next_at.type)))
    )


def clock_went_back(tx: Tx, now: datetime, patience: timedelta) -> None:
    """After the clock was set back: nothing waits longer than it would have."""
    late = now + patience
    tx.conn.execute(update(delivery).where(delivery.c.state == READY, delivery.c.due_at > late).values(due_at=late))
    tx.conn.execute(
        update(lane)
        .where(lane.c.owner.is_(None), lane.c.next_at.is_not(None))
        .values(next_at=now, open_at=None, calm_at=None)
    )


def by_id(tx: Tx, delivery_id: int) -> DeliveryRow | None:
    if not 0 < delivery_id < 2**63:
        return None
    row = _BY_ID.first(tx, id_=delivery_id)
    return _delivery(tx, row) if row else None


_BY_ID = Prepared(lambda: select(delivery).where(delivery.c.id == bindparam("id_")))


def of_alert(tx: Tx, alert_id: int) -> list[DeliveryRow]:
    """Its cards to contact methods, oldest first."""
    own = (delivery.c.alert_id == alert_id) & (delivery.c.kind == "alert")
    rows = tx.conn.execute(select(delivery).where(own).order_by(delivery.c.id))
    return [_delivery(tx, row) for row in rows]


def shown_in_chat(tx: Tx, alert_id: int, since: datetime, most: int) -> list[DeliveryRow]:
    """The newest answers that show this alert and whose message the platform can name, each message once."""
    rows = tx.conn.execute(
        select(delivery)
        .where(
            delivery.c.alert_id == alert_id,
            delivery.c.kind == "answer",
            delivery.c.state == "sent",
            delivery.c.receipt != "",
            delivery.c.created_at > since,
        )
        .order_by(delivery.c.id.desc())
        .limit(most * 4)
    )
    found: dict[str, DeliveryRow] = {}
    for row in rows:
        found.setdefault(row.receipt, _delivery(tx, row))
    return list(found.values())[:most]


LOGGED = ("alert", "code", "test", "notice")
"""Kinds that the delivery log shows; answers in chat are not deliveries to anybody."""


def page(
    tx: Tx,
    *,
    only_failed: bool,
    contact_name: str | None,
    group_name: str | None,
    limit: int,
    offset: int,
) -> tuple[int, list[DeliveryRow]]:
    """How many deliveries match, and one page: dead letters first, then newest first."""
    where: list[ColumnElement[bool]] = [delivery.c.kind.in_(LOGGED)]
    if only_failed:
        where.append(delivery.c.state == "dead")
    if contact_name is not None:
        where.append(delivery.c.contact_name == contact_name)
    if group_name is not None:
        where.append(delivery.c.group_name == group_name)
    count = int(tx.conn.execute(select(func.count()).select_from(delivery).where(*where)).scalar_one())
    dead_first = case((delivery.c.state == "dead", 0), else_=1)
    query = select(delivery).where(*where).order_by(dead_first, delivery.c.id.desc()).limit(limit).offset(offset)
    return count, [_delivery(tx, row) for row in tx.conn.execute(query)]


def revive(tx: Tx, delivery_id: int, now: datetime, expires_at: datetime) -> None:
    """Makes a dead letter ready again."""
    tx.conn.execute(
        update(delivery)
        .where(delivery.c.id == delivery_id)
        .values(
            state="ready",
            due_at=now,
            expires_at=expires_at,
            done_at=None,
            attempts=0,
            begun_at=None,
            plain=False,
            reason="",
            say=None,
            digest_id=None,
        )
    )


def cancel_for_method(tx: Tx, method_id: int, kind: str, now: datetime) -> None:
    """Messages of this kind that still wait for the method are not sent any more."""
    tx.conn.execute(
        update(delivery)
        .where(delivery.c.method_id == method_id, delivery.c.kind == kind, delivery.c.state == READY)
        .values(state="cancelled", done_at=now, payload=None)
    )


def waiting(tx: Tx) -> int:
    """How many messages are not sent yet; of a digest those that it names."""
    owed = delivery.c.state.in_((READY, MERGED)) & (delivery.c.kind != "digest")
    return int(tx.conn.execute(select(func.count()).where(owed)).scalar_one())


def dead(tx: Tx) -> int:
    """How many dead letters there are."""
    query = select(func.count()).where(delivery.c.state == "dead", delivery.c.kind.in_(LOGGED))
    return int(tx.conn.execute(query).scalar_one())


def open_batch(tx: Tx, kind: str, body: dict[str, Any], now: datetime) -> int:
    """A batch of deliveries whose outcomes are reported together."""
    values = {"kind": kind, "body": tx.vault.seal(json.dumps(body)), "created_at": now}
    return int(tx.conn.execute(batch.insert().values(**values).returning(batch.c.id)).scalar_one())


def hold_batch(tx: Tx, batch_id: int) -> None:
    """Locks the batch: of several transactions that settle its last deliveries, the last one sees all of them."""
    tx.conn.execute(select(batch.c.id).where(batch.c.id == batch_id).with_for_update())


def of_batch(tx: Tx, batch_id: int) -> list[DeliveryRow]:
    rows = tx.conn.execute(select(delivery).where(delivery.c.batch_id == batch_id).order_by(delivery.c.id))
    return [_delivery(tx, row) for row in rows]


def close_batch(tx: Tx, batch_id: int, now: datetime) -> dict[str, Any] | None:
    """What `open_batch` was given, once: None when the batch was closed before."""
    row = tx.conn.execute(
        update(batch)
        .where(batch.c.id == batch_id, batch.c.done_at.is_(None))
        .values(done_at=now)
        .returning(batch.c.body)
    ).first()
    return json.loads(tx.vault.open(row.body)) if row else None


def overdue_batches(tx: Tx, before: datetime) -> list[int]:
    """Open batches from before; their report should not wait any longer."""
    return list(tx.conn.scalars(select(batch.c.id).where(batch.c.done_at.is_(None), batch.c.created_at < before)))


def purge(tx: Tx, answers_before: datetime, others_before: datetime) -> int:
    """Removes settled deliveries nobody asks for any more; how many. Dead letters stay as long as the others."""
    settled = delivery.c.state.not_in((READY, MERGED))
    old = or_(
        and_(delivery.c.kind == "answer", delivery.c.done_at < answers_before), delivery.c.done_at < others_before
    )
    return tx.conn.execute(delete(delivery).where(settled, old)).rowcount


def purge_batches(tx: Tx, before: datetime) -> None:
    """Removes batches that were reported before."""
    tx.conn.execute(delete(batch).where(batch.c.done_at < before))
