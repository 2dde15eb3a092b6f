"""Cards of alerts in chat: in which conversations one is shown, to whom, and whether what it shows is still true."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, select, text, update

from storage.alerts import AlertRow
from storage.database import Tx
from storage.rows import record, upsert
from storage.schema import alert, delivery, view

STALE = text("shown < version")
"""As the index says it, which holds nothing else: looking for what is stale costs nothing when nothing is."""


@dataclass(frozen=True, slots=True)
class ViewRow:
    """A conversation in which the alert is shown; `person` asked for it there, in `language`."""

    conversation: str
    person: str
    language: str


def showed(tx: Tx, row: AlertRow, conversation: str, person: str, language: str) -> None:
    """Notes that the alert is shown there as it is now."""
    values = {"alert_id": row.id, "conversation": conversation, "person": person, "language": language}
    upsert(tx, view, ("alert_id", "conversation"), values)
    tx.conn.execute(update(alert).where(alert.c.id == row.id).values(shown=row.version))


def of_alert(tx: Tx, alert_id: int) -> dict[str, ViewRow]:
    """Conversation -> who is shown the alert there."""
    rows = tx.conn.execute(select(view).where(view.c.alert_id == alert_id))
    return {row.conversation: record(ViewRow, row) for row in rows}


def stale(tx: Tx, limit: int) -> list[int]:
    """Alerts that changed since their cards were drawn; not those of which a card is on its way to be shown."""
    coming = exists().where(delivery.c.alert_id == alert.c.id, delivery.c.kind == "answer", delivery.c.state == "ready")
    return list(tx.conn.scalars(select(alert.c.id).where(STALE, ~coming).order_by(alert.c.id).limit(limit)))


def redraw(tx: Tx, alert_id: int) -> AlertRow | None:
    """The alert, if its cards are stale; they count as drawn from now on, so that one of several processes does it."""
    row = tx.conn.execute(
        update(alert).where(alert.c.id == alert_id, STALE).values(shown=alert.c.version).returning(alert)
    ).first()
    return record(AlertRow, row) if row else None
