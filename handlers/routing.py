"""Who gets an alert: the active methods of the members of the group that its source reports to."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.outbox import lane_of
from storage import contacts, groups
from storage.contacts import MethodRow
from storage.database import Tx


@dataclass(frozen=True, slots=True)
class Target:
    """One method that gets the alert. A robot shared by several contacts is one target."""

    method: MethodRow
    contact_name: str

    @property
    def lane(self) -> str:
        return lane_of(self.method)


def targets(tx: Tx, group_id: int | None) -> list[Target]:
    """Active methods of the group's members, each address once."""
    if group_id is None:
        return []
    names = {contact.id: contact.name for contact in groups.members(tx, group_id)}
    found: dict[str, Target] = {}
    for method in contacts.methods(tx, list(names)):
        if method.state == "active":
            target = Target(method, names[method.contact_id])
            found.setdefault(target.lane, target)
    return list(found.values())
