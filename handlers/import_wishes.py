"""What somebody wants imported."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.addresses import channel_name
from handlers.texts import Say, _


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants what imported.

    source   `cloudmonitor`, or `das:` and the instance
    trust    addresses that the system reports `OK` need no code of ours
    full     the answer is read by an admin alone: addresses are shown whole
    person   "" when it is time to read again and nobody asked
    """

    source: str
    preview: bool = False
    trust: bool = False
    full: bool = False
    person: str = ""
    conversation: str = ""

    @property
    def system(self) -> Say:
        return system_name(self.source)


def system_name(source: str) -> Say:
    """What people call the system behind a source."""
    way, _colon, instance = source.partition(":")
    return _("DAS {instance}", instance=instance) if way == "das" else channel_name(way)
