"""Cards of alerts that wait together, and digests, which name several of them.

A digest is a delivery that names others. Those are `merged` while it waits and share its end, each in its own line.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, bindparam, case, func, or_, select, update

from storage.database import Tx
from storage.deliveries import DeliveryRow
from storage.line import MERGED, READY, being_told, turn, waits_in
from storage.prepared import Prepared
from storage.schema import alert, delivery


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


def around(tx: Tx, like: DeliveryRow, now: datetime, limit: int, *, newest: bool = False) -> list[Waiting]:
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
        select(delivery, func.coalesce(before, 0).label("blocked"), urgency.label("urgency"), turn())
        .where(waits_in(delivery, key), delivery.c.kind == "alert")
        .subquery()
    )
    own = (
        line.c.method_id.is_not_distinct_from(method),
        line.c.plain == plain,
        line.c.due_at <= now,
        line.c.expires_at > now,
        line.c.begun_at.is_(None),
        line.c.blocked == 0,
        line.c.alert_id.not_in(being_told(key)),
    )
    query = _named(line, line.c.urgency).where(*own).order_by(line.c.urgency, line.c.id)
    if newest:
        query = _named(line, line.c.urgency).where(*own, line.c.turn == 1).order_by(line.c.id.desc())
    return query.limit(bindparam("most"))


_MOST_URGENT = Prepared(lambda: _crowd(newest=False))


_NEWEST = Prepared(lambda: _crowd(newest=True))


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


def size(tx: Tx, key: str, since: datetime) -> tuple[int, int]:
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
