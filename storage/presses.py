"""Buttons that were pressed, by the nonce they carry: who was first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from storage.database import Tx
from storage.rows import insert_or_ignore, record
from storage.schema import press


@dataclass(frozen=True, slots=True)
class PressRow:
    nonce: str
    person: str
    says: str
    at: datetime


def by_nonce(tx: Tx, nonce: str) -> PressRow | None:
    row = tx.conn.execute(select(press).where(press.c.nonce == nonce)).first()
    return record(PressRow, row) if row else None


def note(tx: Tx, nonce: str, person: str, says: str, now: datetime) -> bool:
    """Remembers the press; False when somebody was faster."""
    return insert_or_ignore(tx, press, [{"nonce": nonce, "person": person, "says": says[:255], "at": now}]) == 1


def forget(tx: Tx, before: datetime) -> None:
    """Removes presses from before; their buttons no longer work anyway."""
    tx.conn.execute(delete(press).where(press.c.at < before))
