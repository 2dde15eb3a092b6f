"""Who gets an alert: the active methods of the members of the group that its source reports to."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.outbox import lane_of
from storage import contacts, groups
from storage.contacts import MethodRow
from storage.database import Tx
from storage.groups import WayRow


@dataclass(frozen=True, slots=True)
class Target:
    """One method that gets the alert. A robot shared by several contacts is one target."""

    method: WayRow
    lane: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the group, with everything that could be a target."""

    name: str
    methods: tuple[MethodRow, ...]


def members(tx: Tx, group_id: int) -> list[Member]:
    """The group's members by name; of each the methods in every state, oldest first."""
    contacts_ = groups.members(tx, group_id)
    methods: dict[int, list[MethodRow]] = {contact.id: [] for contact in contacts_}
    for method in contacts.methods(tx, list(methods)):
        methods[method.contact_id].append(method)
    return [Member(contact.name, tuple(methods[contact.id])) for contact in contacts_]


def targets(tx: Tx, group_id: int | None) -> list[Target]:
    """Active methods of the group's members, each address once."""
    if group_id is None:
        return []
    found: dict[str, Target] = {}
    for method in groups.ways(tx, group_id):
        lane = lane_of(method)
        found.setdefault(lane, Target(method, lane))
    return list(found.values())
