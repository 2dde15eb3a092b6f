"""Everything owed to the outside: deliveries (the outbox, also the log people see) and their attempts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, case, delete, func, literal, or_, select, update

from storage.database import Tx
from storage.line import MERGED, READY, behind_its_own
from storage.prepared import Prepared
from storage.rows import insert_or_ignore, record
from storage.schema import attempt, delivery


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


def opened(tx: Tx, row: Any) -> DeliveryRow:
    """The delivery in a row of the table."""
    return record(DeliveryRow, row, payload=json.loads(tx.vault.open(row.payload)) if row.payload else None)


def owe(tx: Tx, rows: Iterable[dict[str, Any]]) -> int:
    """Writes deliveries, all with the same columns; those whose dedupe key is there already are left out.

    `payload`, where given, is a JSON object and is sealed. Touches no lane: call `lanes.wake` after the commit.
    """
    # Only what is sealed is copied: an alert can owe thousands, and theirs have no payload.
    values = [
        row if row.get("payload") is None else row | {"payload": tx.vault.seal(json.dumps(row["payload"]))}
        for row in rows
    ]
    return insert_or_ignore(tx, delivery, values)


def any_ready(tx: Tx, key: str, now: datetime) -> bool:
    """Whether some message of the lane can be sent now."""
    return _READY.first(tx, lane_=key, now=now, most=1) is not None


def ready(tx: Tx, key: str, now: datetime, limit: int) -> list[DeliveryRow]:
    """The lane's next messages that are due, in the order in which they are to be sent; of one alert only the first."""
    return [opened(tx, row) for row in _READY.all(tx, lane_=key, now=now, most=limit)]


def _ready() -> Select[Any]:
    return (
        select(delivery)
        .where(
            delivery.c.lane == bindparam("lane_"),
            delivery.c.state == READY,
            delivery.c.due_at <= bindparam("now"),
            ~behind_its_own(),
        )
        .order_by(delivery.c.priority, delivery.c.id)
        .limit(bindparam("most"))
    )


_READY = Prepared(_ready)


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


def by_id(tx: Tx, delivery_id: int) -> DeliveryRow | None:
    if not 0 < delivery_id < 2**63:
        return None
    row = _BY_ID.first(tx, id_=delivery_id)
    return opened(tx, row) if row else None


_BY_ID = Prepared(lambda: select(delivery).where(delivery.c.id == bindparam("id_")))


def of_alert(tx: Tx, alert_id: int) -> list[DeliveryRow]:
    """Its cards to contact methods, oldest first."""
    own = (delivery.c.alert_id == alert_id) & (delivery.c.kind == "alert")
    rows = tx.conn.execute(select(delivery).where(own).order_by(delivery.c.id))
    return [opened(tx, row) for row in rows]


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
        found.setdefault(row.receipt, opened(tx, row))
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
    return count, [opened(tx, row) for row in tx.conn.execute(query)]


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


def purge(tx: Tx, answers_before: datetime, others_before: datetime) -> int:
    """Removes settled deliveries nobody asks for any more; how many. Dead letters stay as long as the others."""
    settled = delivery.c.state.not_in((READY, MERGED))
    old = or_(
        and_(delivery.c.kind == "answer", delivery.c.done_at < answers_before), delivery.c.done_at < others_before
    )
    return tx.conn.execute(delete(delivery).where(settled, old)).rowcount
