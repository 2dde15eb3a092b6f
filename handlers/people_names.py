"""How people are called in what others read: by the name their platform gives, else by that of their contact, else by id."""

from __future__ import annotations

from storage import contacts, people
from storage.database import Tx


def shown(tx: Tx, person_id: str) -> str:
    person = people.by_id(tx, person_id)
    if person is None:
        return person_id
    contact = contacts.by_id(tx, person.contact_id) if person.contact_id is not None and not person.name else None
    return person.name or (contact.name if contact else person_id)


def with_id(tx: Tx, person_id: str) -> str:
    """The same with the id behind it, which tells people of one name apart."""
    name = shown(tx, person_id)
    return person_id if name == person_id else f"{name} ({person_id})"
