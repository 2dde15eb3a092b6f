"""What waits in a lane, as SQL says it: parts of the statements about messages, crowds of cards and lanes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, func, literal_column, select

from storage.schema import delivery

READY, MERGED = (literal_column(f"'{state}'", delivery.c.state.type) for state in ("ready", "merged"))
"""Written into the SQL: an index over rows of one state is of use only when that is known before any value is. (With a
bound value SQLite makes its plan anew at each execution, which takes many times as long as the rest.)"""


def waits_in(rows: FromClause, key: Any) -> ColumnElement[bool]:
    """Deliveries that wait in the lane. Every priority is above -1: saying so makes SQLite take the index of the lane and
    not read everything that waits anywhere."""
    return and_(rows.c.lane == key, rows.c.state == READY, rows.c.priority > -1)


def turn() -> ColumnElement[int]:
    """1 for the first of each alert that waits, and for what belongs to none."""
    alert_or_self = func.coalesce(delivery.c.alert_id, -delivery.c.id)
    return func.row_number().over(partition_by=alert_or_self, order_by=delivery.c.id).label("turn")


def being_told(key: Any) -> Select[Any]:
    """The alerts that are named by a digest of the lane that is not settled."""
    digest = delivery.alias("digest")
    merged_ = delivery.alias("merged_")
    return (
        select(merged_.c.alert_id)
        .join_from(digest, merged_, merged_.c.digest_id == digest.c.id)
        .where(waits_in(digest, key), digest.c.kind == "digest", merged_.c.state == MERGED)
    )


def behind_its_own() -> ColumnElement[bool]:
    """True for a message that waits for an earlier one of the same alert: a recovery does not overtake its alarm."""
    earlier = delivery.alias("earlier")
    return exists().where(
        earlier.c.lane == delivery.c.lane,
        earlier.c.state.in_((READY, MERGED)),
        earlier.c.alert_id == delivery.c.alert_id,
        earlier.c.id < delivery.c.id,
    )
