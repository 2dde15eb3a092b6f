"""What an import came to: one line for each contact and group, and for each address that was left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from handlers.texts import Say

Result = Literal["added", "changed", "gone", "skipped", "unchanged"]
RESULTS: tuple[Result, ...] = ("added", "changed", "gone", "skipped", "unchanged")
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one contact or group, or of one of its addresses."""

    name: Say
    result: Result
    what: Say = ""


@dataclass(frozen=True, slots=True)
class Came:
    """What an import came to. `news`: something is other than before."""

    lines: tuple[Line, ...]
    news: bool

    def count(self, result: Result) -> int:
        return sum(line.result == result for line in self.lines)


@dataclass(slots=True)
class Told:
    """What happened to one contact or group: for the answer, and masked for the audit log."""

    changes: list[Say] = field(default_factory=list)
    logged: list[Say] = field(default_factory=list)
    skipped: list[Say] = field(default_factory=list)

    def change(self, say: Say, logged: Say | None = None) -> None:
        self.changes.append(say)
        self.logged.append(say if logged is None else logged)
