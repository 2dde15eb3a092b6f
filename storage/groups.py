"""Contact groups and who is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, func, select, update

from storage.contacts import ContactRow
from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import insert_or_ignore, record
from storage.schema import contact, contact_group, member, method, source


@dataclass(frozen=True, slots=True)
class GroupRow:
    id: int
    name: str
    note: str


def add(tx: Tx, name: str, name_key: str, note: str, now: datetime) -> int:
    """The id of the new group."""
    return int(
        tx.conn.execute(
            contact_group.insert()
            .values(name=name, name_key=name_key, note=note, created_at=now)
            .returning(contact_group.c.id)
        ).scalar_one()
    )


def by_key(tx: Tx, name_key: str) -> GroupRow | None:
    row = tx.conn.execute(select(contact_group).where(contact_group.c.name_key == name_key)).first()
    return record(GroupRow, row) if row else None


def by_id(tx: Tx, group_id: int) -> GroupRow | None:
    row = tx.conn.execute(select(contact_group).where(contact_group.c.id == group_id)).first()
    return record(GroupRow, row) if row else None


def names(tx: Tx) -> list[str]:
    """All names, for suggestions."""
    return list(tx.conn.scalars(select(contact_group.c.name).order_by(contact_group.c.name_key)))


def page(tx: Tx, limit: int, offset: int) -> tuple[int, list[tuple[GroupRow, int]]]:
    """How many groups there are, and one page of (group, number of members) by name."""
    count = int(tx.conn.execute(select(func.count()).select_from(contact_group)).scalar_one())
    size = select(func.count()).where(member.c.group_id == contact_group.c.id).scalar_subquery()
    rows = tx.conn.execute(
        select(contact_group, size.label("size")).order_by(contact_group.c.name_key).limit(limit).offset(offset)
    )
    return count, [(record(GroupRow, row), row.size) for row in rows]


def change(tx: Tx, group_id: int, **changes: str) -> None:
    """Sets name (with name_key) or note."""
    tx.conn.execute(update(contact_group).where(contact_group.c.id == group_id).values(**changes))


def remove(tx: Tx, group_id: int) -> None:
    tx.conn.execute(delete(contact_group).where(contact_group.c.id == group_id))


_MEMBERS = Prepared(
    lambda: (
        select(contact)
        .join(member, member.c.contact_id == contact.c.id)
        .where(member.c.group_id == bindparam("group"))
        .order_by(contact.c.name_key)
    )
)


def members(tx: Tx, group_id: int) -> list[ContactRow]:
    """The group's contacts by name."""
    return [record(ContactRow, row) for row in _MEMBERS.all(tx, group=group_id)]


@dataclass(frozen=True, slots=True)
class WayRow:
    """An active method of one of the group's contacts, without its address: what is owed to it needs none."""

    id: int
    channel: str
    masked: str
    address_key: str
    contact_name: str


_WAYS = Prepared(
    lambda: (
        select(method.c.id, method.c.channel, method.c.masked, method.c.address_key, contact.c.name)
        .join(contact, contact.c.id == method.c.contact_id)
        .join(member, member.c.contact_id == contact.c.id)
        .where(member.c.group_id == bindparam("group"), method.c.state == "active")
        .order_by(method.c.id)
    )
)


def ways(tx: Tx, group_id: int) -> list[WayRow]:
    """Every active method of the group's contacts, oldest first."""
    return [WayRow(*row) for row in _WAYS.all(tx, group=group_id)]


def add_members(tx: Tx, group_id: int, contact_ids: Sequence[int]) -> int:
    """How many of them were not in the group before."""
    return insert_or_ignore(tx, member, [{"group_id": group_id, "contact_id": c} for c in contact_ids])


def remove_members(tx: Tx, group_id: int, contact_ids: Sequence[int]) -> int:
    """How many of them were in the group."""
    return tx.conn.execute(
        delete(member).where(member.c.group_id == group_id, member.c.contact_id.in_(contact_ids))
    ).rowcount


def told(tx: Tx) -> list[GroupRow]:
    """The groups to which some alert source reports, by name."""
    own = contact_group.c.id.in_(select(source.c.group_id).where(source.c.group_id.is_not(None)))
    query = select(contact_group).where(own).order_by(contact_group.c.name_key)
    return [record(GroupRow, row) for row in tx.conn.execute(query)]


def sources_of(tx: Tx, group_id: int) -> list[str]:
    """Names of the alert sources that report to the group."""
    return list(tx.conn.scalars(select(source.c.name).where(source.c.group_id == group_id).order_by(source.c.name_key)))
