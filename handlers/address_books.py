"""A contact as an address book has it: what vCards and CSV tables are read into and made from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """Values as they were written: nothing is checked yet, and anything but the name may be missing."""

    name: str
    phones: tuple[str, ...] = field(default=(), repr=False)
    emails: tuple[str, ...] = field(default=(), repr=False)
    webhooks: tuple[str, ...] = field(default=(), repr=False)
    groups: tuple[str, ...] = ()
    language: str = ""
    timezone: str = ""
    mention: str = ""
