"""Chat messages that were taken in: once each, kept (sealed) until they are handled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, exists, select, update

from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import insert_or_ignore
from storage.schema import inbound


@dataclass(frozen=True, slots=True)
class Waiting:
    id: int
    body: dict[str, Any]
    tries: int


def take_in(
    tx: Tx, platform: str, message_id: str, body: dict[str, Any], now: datetime, *, event_id: str = "", sender: str = ""
) -> int | None:
    """Its number; None when this message was taken in before, under this id or this `event_id` of its delivery.

    The messages of one `sender` are handled one after the other.
    """
    row = {
        "platform": platform,
        "message_id": message_id,
        "body": tx.vault.seal(json.dumps(body)),
        "received_at": now,
        "tries": 0,
        "sender": tx.vault.digest("sender", sender) if sender else None,
    }
    if event_id and not insert_or_ignore(tx, inbound, [row | {"message_id": f"event:{event_id}"[:255], "body": None}]):
        return None
    if insert_or_ignore(tx, inbound, [row]) == 0:
        return None
    own = (inbound.c.platform == platform) & (inbound.c.message_id == message_id)
    return int(tx.conn.execute(select(inbound.c.id).where(own)).scalar_one())


def next_waiting(tx: Tx) -> Waiting | None:
    """The oldest message nobody handles yet, locked for this transaction; its tries already count this one.

    Where another process handles a message, those that its sender wrote after it have to wait.
    """
    row = _NEXT.first(tx)
    if row is None:
        return None
    return Waiting(row.id, json.loads(tx.vault.open(row.body)), row.tries)


def _next() -> Select[Any]:
    earlier = inbound.alias("earlier")
    behind = exists().where(
        earlier.c.sender == inbound.c.sender, earlier.c.body.is_not(None), earlier.c.id < inbound.c.id
    )
    query = select(inbound).where(inbound.c.body.is_not(None), ~behind).order_by(inbound.c.id).limit(1)
    return query.with_for_update(skip_locked=True)


_NEXT = Prepared(_next)


def tried(tx: Tx, inbound_id: int) -> None:
    """Counts a try that failed."""
    tx.conn.execute(update(inbound).where(inbound.c.id == inbound_id).values(tries=inbound.c.tries + 1))


def handled(tx: Tx, inbound_id: int) -> None:
    """Empties the message; its id stays, so that a second delivery of it is known."""
    tx.conn.execute(update(inbound).where(inbound.c.id == inbound_id).values(body=None))


def forget(tx: Tx, before: datetime) -> int:
    """Removes handled messages from before; platforms deliver again within a day at most."""
    return tx.conn.execute(delete(inbound).where(inbound.c.body.is_(None), inbound.c.received_at < before)).rowcount
