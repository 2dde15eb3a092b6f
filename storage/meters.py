"""How many messages each platform took in each calendar month."""

from __future__ import annotations

from functools import cache

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from storage.database import Tx
from storage.prepared import Prepared
from storage.schema import meter


def count(tx: Tx, platform: str, month: str) -> int:
    """Counts one message; how many the month has now.

    Holds the month's row until the transaction ends: whoever counts does it last.
    """
    return int(_count(sqlite=tx.sqlite).scalar(tx, platform=platform, month=month, used=1, warned=0))


@cache
def _count(*, sqlite: bool) -> Prepared:
    insert = sqlite_insert if sqlite else postgresql_insert
    return Prepared(
        lambda: (
            insert(meter)
            .on_conflict_do_update(index_elements=["platform", "month"], set_={"used": meter.c.used + 1})
            .returning(meter.c.used)
        ),
        ("platform", "month", "used", "warned"),
    )


def used(tx: Tx, platform: str, month: str) -> int:
    """How many messages the platform took in that month."""
    return int(_USED.scalar(tx, platform_=platform, month_=month) or 0)


_USED = Prepared(
    lambda: select(meter.c.used).where(meter.c.platform == bindparam("platform_"), meter.c.month == bindparam("month_"))
)


def warn(tx: Tx, platform: str, month: str, percent: int) -> bool:
    """Notes that the admins are told of this percentage; False when they were told of it, or of more, before."""
    return bool(
        tx.conn.execute(
            update(meter)
            .where(meter.c.platform == platform, meter.c.month == month, meter.c.warned < percent)
            .values(warned=percent)
        ).rowcount
    )
