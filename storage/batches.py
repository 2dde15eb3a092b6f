"""Batches: deliveries whose outcomes are reported together."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from storage import deliveries
from storage.database import Tx
from storage.deliveries import DeliveryRow
from storage.schema import batch, delivery


def start(tx: Tx, kind: str, body: dict[str, Any], now: datetime) -> int:
    """A batch of deliveries whose outcomes are reported together."""
    values = {"kind": kind, "body": tx.vault.seal(json.dumps(body)), "created_at": now}
    return int(tx.conn.execute(batch.insert().values(**values).returning(batch.c.id)).scalar_one())


def hold(tx: Tx, batch_id: int) -> None:
    """Locks the batch: of several transactions that settle its last deliveries, the last one sees all of them."""
    tx.conn.execute(select(batch.c.id).where(batch.c.id == batch_id).with_for_update())


def deliveries_of(tx: Tx, batch_id: int) -> list[DeliveryRow]:
    rows = tx.conn.execute(select(delivery).where(delivery.c.batch_id == batch_id).order_by(delivery.c.id))
    return [deliveries.opened(tx, row) for row in rows]


def close(tx: Tx, batch_id: int, now: datetime) -> dict[str, Any] | None:
    """What `start` was given, once: None when the batch was closed before."""
    row = tx.conn.execute(
        update(batch)
        .where(batch.c.id == batch_id, batch.c.done_at.is_(None))
        .values(done_at=now)
        .returning(batch.c.body)
    ).first()
    return json.loads(tx.vault.open(row.body)) if row else None


def overdue(tx: Tx, before: datetime) -> list[int]:
    """Open batches from before; their report should not wait any longer."""
    return list(tx.conn.scalars(select(batch.c.id).where(batch.c.done_at.is_(None), batch.c.created_at < before)))


def purge(tx: Tx, before: datetime) -> None:
    """Removes batches that were reported before."""
    tx.conn.execute(delete(batch).where(batch.c.done_at < before))
