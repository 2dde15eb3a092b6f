"""Contacts and groups as another system has them: what its pages are read into, before anything of it is ours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from handlers import names

ACCEPTED = "OK"
"""CloudMonitor's word for an address whose owner has followed the link that was sent there."""


@dataclass(frozen=True, slots=True)
class Value:
    """One address as the other system has it.

    slot    what it is called there: `Mail`, `SMS`, `DingWebHook`; a contact has at most one of each
    kind    what it is to us; "" for what nothing can be sent to from here
    state   `OK`, `PENDING`, or "" where the system does not say
    secret  what messages to a robot have to be signed with
    """

    slot: str
    kind: Literal["phone", "email", "webhook", ""]
    text: str = field(repr=False)
    state: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A contact of the other system, with the names of its groups as far as the contact itself tells them."""

    name: str
    values: tuple[Value, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Team:
    """A contact group of the other system, with the names of its members."""

    name: str
    note: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """All contacts and groups of the other system. `complete` False: there are more, and what is missing is not gone."""

    contacts: tuple[Entry, ...] = ()
    groups: tuple[Team, ...] = ()
    complete: bool = True


def teams(book: Book) -> list[Team]:
    """The groups with all their members, whichever of the two lists tells of them."""
    found: dict[str, Team] = {}
    for team in (*book.groups, *(Team(name, "", (one.name,)) for one in book.contacts for name in one.groups)):
        key = names.key(team.name)
        known = found.get(key)
        members = (*(known.members if known else ()), *team.members)
        found[key] = replace(known or team, members=tuple({names.key(one): one for one in members}.values()))
    return list(found.values())
