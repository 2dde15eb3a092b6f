"""How many messages each platform took in each calendar month."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.database import Tx
from storage.schema import meter


def count(tx: Tx, platform: str, month: str) -> int:
    """Counts one message; how many the month has now.

    Holds the month's row until the transaction ends: whoever counts does it last.
    """
    first = {"platform": platform, "month": month, "used": 1, "warned": 0}
    insert = (sqlite_insert(meter) if tx.sqlite else postgresql_insert(meter)).values(**first)
    return int(
        tx.conn.execute(
            insert.on_conflict_do_update(
                index_elements=["platform", "month"], set_={"used": meter.c.used + 1}
            ).returning(meter.c.used)
        ).scalar_one()
    )


def used(tx: Tx, platform: str, month: str) -> int:
    """How many messages the platform took in that month."""
    query = select(meter.c.used).where(meter.c.platform == platform, meter.c.month == month)
    return int(tx.conn.execute(query).scalar() or 0)


def warn(tx: Tx, platform: str, month: str, percent: int) -> bool:
    """Notes that the admins are told of this percentage; False when they were told of it, or of more, before."""
    return bool(
        tx.conn.execute(
            update(meter)
            .where(meter.c.platform == platform, meter.c.month == month, meter.c.warned < percent)
            .values(warned=percent)
        ).rowcount
    )
