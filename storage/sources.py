"""Alert sources. A source's token is never stored, only its keyed digest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update

from storage.database import Tx
from storage.rows import record
from storage.schema import contact_group, source


@dataclass(frozen=True, slots=True)
class SourceRow:
    id: int
    name: str
    kind: str
    group_id: int | None
    group_name: str | None
    created_by: str | None
    seen_at: datetime | None


_QUERY = select(source, contact_group.c.name.label("group_name")).outerjoin(
    contact_group, contact_group.c.id == source.c.group_id
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


def has_token(tx: Tx, source_id: int, token: str) -> bool:
    """Whether the token is the source's own, now."""
    digest = tx.conn.execute(select(source.c.token_digest).where(source.c.id == source_id)).scalar()
    return digest in tx.vault.digests("source", token)


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


def rotate(tx: Tx, source_id: int, token: str) -> None:
    """The old token ends with this transaction."""
    digest = tx.vault.digest("source", token)
    tx.conn.execute(update(source).where(source.c.id == source_id).values(token_digest=digest))


def retarget(tx: Tx, source_id: int, group_id: int) -> None:
    tx.conn.execute(update(source).where(source.c.id == source_id).values(group_id=group_id))


def seen(tx: Tx, source_id: int, now: datetime) -> None:
    """Notes that the source reports. The row stays locked, so that a source's reports are taken in one after the other."""
    tx.conn.execute(update(source).where(source.c.id == source_id).values(seen_at=now))


def remove(tx: Tx, source_id: int) -> None:
    tx.conn.execute(delete(source).where(source.c.id == source_id))
