"""What became of messages that a provider took: delivered, failed on the way, or still to be asked about."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import case, exists, func, literal, or_, select, update

from storage import deliveries
from storage.database import Tx
from storage.deliveries import DeliveryRow
from storage.rows import insert_or_ignore
from storage.schema import alert, batch, delivery, setting


def by_reference(tx: Tx, channel: str, reference: str) -> DeliveryRow | None:
    """The message that the provider gave this id for, of those nothing is known about yet."""
    own = (delivery.c.ask_at.is_not(None), delivery.c.channel == channel, delivery.c.receipt == reference)
    found = tx.conn.scalar(select(delivery.c.id).where(*own).limit(1))
    return deliveries.by_id(tx, found) if found is not None else None


def arrived(tx: Tx, delivery_id: int, at: datetime) -> None:
    """Writes that it, and if it is a digest what it named, reached the phone, whatever was thought before."""
    merged = (delivery.c.digest_id == delivery_id) & delivery.c.state.in_(("sent", "dead"))
    done_at = func.coalesce(delivery.c.done_at, literal(at, delivery.c.done_at.type))
    tx.conn.execute(
        update(delivery)
        .where(or_(delivery.c.id == delivery_id, merged))
        .values(state="sent", arrived_at=at, ask_at=None, reason="", say=None, done_at=done_at)
    )


def failed(tx: Tx, delivery_id: int, reason: str, say: Any) -> bool:
    """Makes what was sent a dead letter: it did not arrive. False when that, or that it did arrive, is known already."""
    open_ = (delivery.c.id == delivery_id) & (delivery.c.state == "sent") & delivery.c.arrived_at.is_(None)
    dead = {"state": "dead", "ask_at": None, "reason": reason[:64], "say": say}
    if not tx.conn.execute(update(delivery).where(open_).values(**dead)).rowcount:
        return False
    merged = (delivery.c.digest_id == delivery_id) & (delivery.c.state == "sent")
    tx.conn.execute(update(delivery).where(merged).values(**dead))
    return True


def again(tx: Tx, delivery_id: int, reason: str, say: Any, due_at: datetime, most: int) -> int:
    """Owes once more what did not arrive; how many messages that are.

    Left out are those that were tried `most` times or whose alert is over or taken by somebody. Of a digest each
    message is owed by itself: they meet again in another one.
    """
    wanted = select(alert.c.id).where(alert.c.status == "firing", alert.c.acked_by.is_(None))
    it = or_(delivery.c.id == delivery_id, delivery.c.digest_id == delivery_id)
    own = (it, delivery.c.kind == "alert", delivery.c.state == "sent", delivery.c.arrived_at.is_(None))
    # What a digest named was tried when the digest was: nobody counted that in its own line.
    tries = case((delivery.c.digest_id.is_not(None), delivery.c.attempts + 1), else_=delivery.c.attempts)
    return tx.conn.execute(
        update(delivery)
        .where(*own, delivery.c.alert_id.in_(wanted), tries < most)
        .values(
            state="ready",
            due_at=due_at,
            done_at=None,
            ask_at=None,
            begun_at=None,
            digest_id=None,
            attempts=tries,
            reason=reason[:64],
            say=say,
        )
    ).rowcount


def calls_wanted(tx: Tx, digest_id: int) -> bool:
    """Whether an alert that the digest names is still open and nobody's."""
    named = select(delivery.c.alert_id).where(delivery.c.digest_id == digest_id, delivery.c.state == "merged")
    open_ = (alert.c.id.in_(named), alert.c.status == "firing", alert.c.acked_by.is_(None))
    return bool(tx.conn.scalar(select(exists().where(*open_))))


def next_ask(tx: Tx) -> datetime | None:
    """When the provider is to be asked next; None: there is nothing to ask."""
    query = select(func.min(delivery.c.ask_at, type_=delivery.c.ask_at.type)).where(delivery.c.ask_at.is_not(None))
    soonest: datetime | None = tx.conn.execute(query).scalar_one()
    return soonest


def to_ask(tx: Tx, now: datetime, limit: int) -> list[tuple[DeliveryRow, datetime]]:
    """The messages that the provider is to be asked about now, and since when."""
    query = select(delivery.c.id, delivery.c.ask_at).where(delivery.c.ask_at <= now).order_by(delivery.c.ask_at)
    rows = tx.conn.execute(query.limit(limit)).all()
    found = ((deliveries.by_id(tx, row.id), row.ask_at) for row in rows)
    return [(row, ask_at) for row, ask_at in found if row is not None]


def put_off(tx: Tx, delivery_id: int, was: datetime, ask_at: datetime | None) -> bool:
    """Sets when it is asked about next; False when another process has done that."""
    own = (delivery.c.id == delivery_id) & (delivery.c.ask_at == was)
    return bool(tx.conn.execute(update(delivery).where(own).values(ask_at=ask_at)).rowcount)


def _pushed(channel: str) -> str:
    return f"receipts pushed: {channel}"


def pushed(tx: Tx, channel: str) -> None:
    """Keeps in mind that the provider sends its receipts by itself."""
    insert_or_ignore(tx, setting, [{"name": _pushed(channel), "value": "1"}])


def are_pushed(tx: Tx, channel: str) -> bool:
    """Whether the provider ever sent a receipt by itself."""
    return tx.conn.scalar(select(setting.c.value).where(setting.c.name == _pushed(channel))) is not None


def reported_batch(tx: Tx, batch_id: int) -> dict[str, Any] | None:
    """What `batches.start` was given, of a batch that was reported already; None for others."""
    row = tx.conn.execute(select(batch.c.body).where(batch.c.id == batch_id, batch.c.done_at.is_not(None))).first()
    return json.loads(tx.vault.open(row.body)) if row else None
