"""Through what the members of contact groups can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from storage.database import Tx
from storage.schema import contact_group, member, method, source


@dataclass(frozen=True, slots=True)
class Way:
    """An active method of a member of a group."""

    group_id: int
    group: str
    contact_id: int
    method_id: int
    channel: str


def groups_of(tx: Tx, contact_id: int) -> list[int]:
    return list(tx.conn.scalars(select(member.c.group_id).where(member.c.contact_id == contact_id)))


def ways(tx: Tx, group_ids: Sequence[int]) -> tuple[Way, ...]:
    """All ways to reach somebody of these groups."""
    if not group_ids:
        return ()
    query = (
        select(
            member.c.group_id,
            contact_group.c.name,
            member.c.contact_id,
            method.c.id,
            method.c.channel,
        )
        .join(contact_group, contact_group.c.id == member.c.group_id)
        .join(method, method.c.contact_id == member.c.contact_id)
        .where(member.c.group_id.in_(group_ids), method.c.state == "active")
    )
    return tuple(Way(*row) for row in tx.conn.execute(query))


def reporting(tx: Tx, group_ids: Sequence[int]) -> list[tuple[int, str]]:
    """Id and name of those of these groups to which some alert source reports."""
    if not group_ids:
        return []
    told = contact_group.c.id.in_(select(source.c.group_id).where(source.c.group_id.in_(group_ids)))
    return [(row.id, row.name) for row in tx.conn.execute(select(contact_group.c.id, contact_group.c.name).where(told))]
