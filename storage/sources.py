"""Alert sources. A source's token is never stored, only its keyed digest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, func, select, update

from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import record
from storage.schema import contact_group, source


@dataclass(frozen=True, slots=True)
class SourceRow:
    """`mapping`: field of an alert -> where it stands in the bodies of this source; None: they are of its kind's form."""

    id: int
    name: str
    kind: str
    group_id: int | None
    group_name: str | None
    created_by: str | None
    seen_at: datetime | None
    mapping: dict[str, str] | None = None


_QUERY = select(source, contact_group.c.name.label("group_name")).outerjoin(
    contact_group, contact_group.c.id == source.c.group_id
)

_REPORTING = Prepared(
    lambda: (
        update(source)
        .where(source.c.id == bindparam("reporting"))
        .values(seen_at=bindparam("now"))
        .returning(
            source,
            select(contact_group.c.name)
            .where(contact_group.c.id == source.c.group_id)
            .correlate(source)
            .scalar_subquery()
            .label("group_name"),
        )
    )
)


def add(tx: Tx, name: str, name_key: str, kind: str, token: str, group_id: int, created_by: str, now: datetime) -> int:
    """The id of the new source."""
    return int(
        tx.conn.execute(
            source.insert()
            .values(
                name=name,
                name_key=name_key,
                kind=kind,
                token_digest=tx.vault.digest("source", token),
                group_id=group_id,
                created_by=created_by,
                created_at=now,
            )
            .returning(source.c.id)
        ).scalar_one()
    )


def by_token(tx: Tx, token: str) -> SourceRow | None:
    row = tx.conn.execute(_QUERY.where(source.c.token_digest.in_(tx.vault.digests("source", token)))).first()
    return record(SourceRow, row) if row else None


def by_id(tx: Tx, source_id: int) -> SourceRow | None:
    row = tx.conn.execute(_QUERY.where(source.c.id == source_id)).first()
    return record(SourceRow, row) if row else None


def by_key(tx: Tx, name_key: str) -> SourceRow | None:
    row = tx.conn.execute(_QUERY.where(source.c.name_key == name_key)).first()
    return record(SourceRow, row) if row else None


def names(tx: Tx) -> list[str]:
    return list(tx.conn.scalars(select(source.c.name).order_by(source.c.name_key)))


def page(tx: Tx, limit: int, offset: int) -> tuple[int, list[SourceRow]]:
    """How many sources there are, and one page of them by name."""
    count = int(tx.conn.execute(select(func.count()).select_from(source)).scalar_one())
    rows = tx.conn.execute(_QUERY.order_by(source.c.name_key).limit(limit).offset(offset))
    return count, [record(SourceRow, row) for row in rows]


def of_kind(tx: Tx, kind: str) -> list[SourceRow]:
    """All sources of that kind, oldest first."""
    return [
        record(SourceRow, row) for row in tx.conn.execute(_QUERY.where(source.c.kind == kind).order_by(source.c.id))
    ]


def rotate(tx: Tx, source_id: int, token: str) -> None:
    """The old token ends with this transaction."""
    digest = tx.vault.digest("source", token)
    tx.conn.execute(update(source).where(source.c.id == source_id).values(token_digest=digest))


def retarget(tx: Tx, source_id: int, group_id: int) -> None:
    tx.conn.execute(update(source).where(source.c.id == source_id).values(group_id=group_id))


def set_mapping(tx: Tx, source_id: int, mapping: dict[str, str] | None) -> None:
    """Reports that come in from now on are read so."""
    tx.conn.execute(update(source).where(source.c.id == source_id).values(mapping=mapping))


def reporting(tx: Tx, source_id: int, tokens: Collection[str], now: datetime) -> SourceRow | None:
    """Notes that the source reports; None when it is gone, or when one of the tokens is not its own any more.

    The row stays locked, so that a source's reports are taken in one after the other.
    """
    row = _REPORTING.first(tx, reporting=source_id, now=now)
    if row is None or any(row.token_digest not in tx.vault.digests("source", token) for token in tokens):
        return None
    return record(SourceRow, row)


def remove(tx: Tx, source_id: int) -> None:
    tx.conn.execute(delete(source).where(source.c.id == source_id))
