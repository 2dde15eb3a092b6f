"""Who of a group can still be reached, and by what: so that nobody takes away the last way without a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handlers.addresses import EMAIL, PHONE, WEBHOOKS
from handlers.document import Paragraph
from handlers.texts import Say, _
from storage import reach
from storage.database import Tx
from storage.reach import Way

WAYS: dict[str, tuple[str, ...]] = {"sms": (PHONE,), "email": (EMAIL,), "robot": WEBHOOKS}
"""Kinds of ways to reach people, each with its channels."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A group that nobody of can be reached any more: by that kind of way, or "" by any."""

    group: str
    way: str = ""


def losses(before: Iterable[Way], after: Iterable[Way], reporting: Iterable[tuple[int, str]]) -> tuple[Loss, ...]:
    """What groups lose.

    reporting  id and name of those that alerts are reported to: of these it is also said that nobody could be reached
               before
    """
    names = dict(reporting)
    had: dict[int, set[str]] = {group: set() for group in names}
    has: dict[int, set[str]] = {}
    for ways, kinds in ((before, had), (after, has)):
        for way in ways:
            names[way.group_id] = way.group
            kinds.setdefault(way.group_id, set()).add(way.channel)
    found: list[Loss] = []
    for group in sorted(had, key=lambda one: names[one]):
        left = has.get(group, set())
        if not left:
            found.append(Loss(names[group]))
            continue
        found += [
            Loss(names[group], way)
            for way, channels in WAYS.items()
            if had[group].intersection(channels) and not left.intersection(channels)
        ]
    return tuple(found)


def would(loss: Loss) -> Say:
    """Said before it happens."""
    sentences: dict[str, Say] = {
        "": _("Group {group} would have nobody reachable.", group=loss.group),
        "sms": _("Group {group} would have nobody reachable by SMS.", group=loss.group),
        "email": _("Group {group} would have nobody reachable by email.", group=loss.group),
        "robot": _("Group {group} would have nobody reachable by a robot.", group=loss.group),
    }
    return sentences[loss.way]


def has(loss: Loss) -> Say:
    """Said after it has happened."""
    sentences: dict[str, Say] = {
        "": _("Group {group} has nobody reachable now.", group=loss.group),
        "sms": _("Group {group} has nobody reachable by SMS now.", group=loss.group),
        "email": _("Group {group} has nobody reachable by email now.", group=loss.group),
        "robot": _("Group {group} has nobody reachable by a robot now.", group=loss.group),
    }
    return sentences[loss.way]


def without(tx: Tx, contact_id: int) -> tuple[Paragraph, ...]:
    """What the contact's groups would lose if it were not there."""
    group_ids = reach.groups_of(tx, contact_id)
    before = reach.ways(tx, group_ids)
    after = [way for way in before if way.contact_id != contact_id]
    return tuple(Paragraph(would(one)) for one in losses(before, after, reach.reporting(tx, group_ids)))


@dataclass(frozen=True, slots=True)
class Before:
    """How groups could be reached before a change."""

    group_ids: Sequence[int]
    ways: tuple[Way, ...]

    def lost(self, tx: Tx) -> tuple[Say, ...]:
        """What they lost by it, for those that could be reached before."""
        after = reach.ways(tx, self.group_ids)
        if set(self.ways) <= set(after):
            return ()
        return tuple(has(one) for one in losses(self.ways, after, reach.reporting(tx, self.group_ids)))


def of_contact(tx: Tx, contact_id: int) -> Before:
    return of_groups(tx, reach.groups_of(tx, contact_id))


def of_groups(tx: Tx, group_ids: Sequence[int]) -> Before:
    return Before(group_ids, reach.ways(tx, group_ids))
