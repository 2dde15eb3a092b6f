"""Contacts and their contact methods. Addresses and secrets are sealed; a keyed digest finds an address again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, select, update

from storage.database import Tx
from storage.prepared import Prepared
from storage.rows import record
from storage.schema import contact, contact_group, member, method, person

MASKED_MAX_CHARS = 160
"""Of the column; the host of a mailbox may be longer, and PostgreSQL does not cut by itself."""


@dataclass(frozen=True, slots=True)
class ContactRow:
    """`language` and `timezone` are those of the cards it gets; `mention` is "on", "off", or None for critical ones."""

    id: int
    name: str
    created_by: str | None
    created_at: datetime
    language: str | None = None
    timezone: str | None = None
    mention: str | None = None


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One way to reach a contact, opened. `reason` is a stored text (see handlers) or None."""

    id: int
    contact_id: int
    channel: str
    address: str
    masked: str
    secret: str
    state: str
    reason: str | None
    conversation: str | None
    verified_at: datetime | None
    verified_by: str | None
    address_key: str


def _method(tx: Tx, row: Any) -> MethodRow:
    return record(
        MethodRow,
        row,
        address=tx.vault.open(row.address),
        secret=tx.vault.open(row.secret) if row.secret else "",
    )


def address_key(tx: Tx, channel: str, address: str) -> str:
    """What finds this address again without it being readable.

    An address that was written before the key was rotated keeps its old one: it names the lane, and two lanes for one
    robot would send twice as much as it allows.
    """
    newest, *older = tx.vault.digests(f"address:{channel}", address)
    if not older:
        return newest
    known = tx.conn.scalar(select(method.c.address_key).where(method.c.address_key.in_(older)).limit(1))
    return newest if known is None else str(known)


def add(tx: Tx, name: str, name_key: str, created_by: str, now: datetime) -> int:
    """The id of the new contact."""
    return int(
        tx.conn.execute(
            contact.insert()
            .values(name=name, name_key=name_key, created_by=created_by, created_at=now)
            .returning(contact.c.id)
        ).scalar_one()
    )


def by_id(tx: Tx, contact_id: int) -> ContactRow | None:
    row = _BY_ID.first(tx, id_=contact_id)
    return record(ContactRow, row) if row else None


_BY_ID = Prepared(lambda: select(contact).where(contact.c.id == bindparam("id_")))


def by_key(tx: Tx, name_key: str) -> ContactRow | None:
    row = tx.conn.execute(select(contact).where(contact.c.name_key == name_key)).first()
    return record(ContactRow, row) if row else None


def names(tx: Tx) -> list[str]:
    """All names, for suggestions."""
    return list(tx.conn.scalars(select(contact.c.name).order_by(contact.c.name_key)))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def search(tx: Tx, text_key: str, digests: Sequence[str], limit: int, offset: int) -> tuple[int, list[ContactRow]]:
    """How many contacts match, and one page of them by name: part of the name, or exactly one of the addresses."""
    clause: ColumnElement[bool] | None = None
    if text_key:
        clause = contact.c.name_key.like(f"%{_escaped(text_key)}%", escape="\\")
        if digests:
            clause = clause | contact.c.id.in_(select(method.c.contact_id).where(method.c.address_key.in_(digests)))
    count = select(func.count()).select_from(contact)
    page = select(contact).order_by(contact.c.name_key).limit(limit).offset(offset)
    if clause is not None:
        count, page = count.where(clause), page.where(clause)
    return int(tx.conn.execute(count).scalar_one()), [record(ContactRow, row) for row in tx.conn.execute(page)]


def rename(tx: Tx, contact_id: int, name: str, name_key: str) -> None:
    tx.conn.execute(update(contact).where(contact.c.id == contact_id).values(name=name, name_key=name_key))


def prefers(tx: Tx, contact_id: int, **values: str | None) -> None:
    """Sets how the contact wants its cards: `language`, `timezone`, `mention`; None takes the wish back."""
    tx.conn.execute(update(contact).where(contact.c.id == contact_id).values(**values))


def remove(tx: Tx, contact_id: int) -> None:
    """The contact, its methods and memberships."""
    tx.conn.execute(delete(contact).where(contact.c.id == contact_id))


def methods(tx: Tx, contact_ids: Sequence[int]) -> list[MethodRow]:
    """All methods of these contacts, oldest first."""
    return [_method(tx, row) for row in _METHODS.all(tx, contacts=list(contact_ids))] if contact_ids else []


_METHODS = Prepared(
    lambda: select(method).where(method.c.contact_id.in_(bindparam("contacts", expanding=True))).order_by(method.c.id)
)


def states(tx: Tx, contact_ids: Sequence[int]) -> dict[int, list[tuple[str, str, str]]]:
    """Contact -> (channel, masked address, state) of its methods; cheaper than `methods`: nothing is opened."""
    found: dict[int, list[tuple[str, str, str]]] = {contact_id: [] for contact_id in contact_ids}
    if contact_ids:
        query = select(method.c.contact_id, method.c.channel, method.c.masked, method.c.state)
        for row in tx.conn.execute(query.where(method.c.contact_id.in_(contact_ids)).order_by(method.c.id)):
            found[row.contact_id].append((row.channel, row.masked, row.state))
    return found


def method_by_id(tx: Tx, method_id: int) -> MethodRow | None:
    row = _METHOD.first(tx, id_=method_id)
    return _method(tx, row) if row else None


_METHOD = Prepared(lambda: select(method).where(method.c.id == bindparam("id_")))


def add_method(tx: Tx, contact_id: int, channel: str, address: str, masked: str, secret: str, now: datetime) -> int:
    """The id of the new method, pending."""
    return int(
        tx.conn.execute(
            method.insert()
            .values(
                contact_id=contact_id,
                channel=channel,
                address=tx.vault.seal(address),
                address_key=address_key(tx, channel, address),
                masked=masked[:MASKED_MAX_CHARS],
                secret=tx.vault.seal(secret) if secret else None,
                state="pending",
                created_at=now,
            )
            .returning(method.c.id)
        ).scalar_one()
    )


def change_method(tx: Tx, method_id: int, **changes: Any) -> None:
    """Sets columns of a method; `secret` and `address` are given in the clear."""
    if "secret" in changes:
        changes["secret"] = tx.vault.seal(changes["secret"]) if changes["secret"] else None
    tx.conn.execute(update(method).where(method.c.id == method_id).values(**changes))


def disable_method(tx: Tx, method_id: int, reason: str) -> bool:
    """Takes it out of use; False when somebody else has, or it is gone."""
    query = update(method).where(method.c.id == method_id, method.c.state != "disabled")
    return tx.conn.execute(query.values(state="disabled", reason=reason)).rowcount == 1


def remove_method(tx: Tx, method_id: int) -> None:
    tx.conn.execute(delete(method).where(method.c.id == method_id))


def groups_of(tx: Tx, contact_id: int) -> list[str]:
    """Names of the groups the contact is in."""
    query = select(contact_group.c.name).join(member, member.c.group_id == contact_group.c.id)
    return list(tx.conn.scalars(query.where(member.c.contact_id == contact_id).order_by(contact_group.c.name_key)))


def owner(tx: Tx, contact_id: int) -> list[str]:
    """Ids of the people linked to the contact."""
    return list(tx.conn.scalars(select(person.c.id).where(person.c.contact_id == contact_id).order_by(person.c.id)))
