"""What a source reports: the alert as it comes in, before it has a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Status = Literal["firing", "resolved"]
Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""Worst first."""


@dataclass(frozen=True, slots=True)
class Post:
    """A message for a chat robot as a tool posted it: it can go to robots of that platform in its own form.

    body  the JSON that a robot of the platform takes; None when there is none that could go out again
    """

    platform: str
    body: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Alert:
    """One condition a source reports, firing or resolved.

    fingerprint  the same condition has the same one (at most 128 characters); firing and resolved share it
    rule         the name of the rule behind it, for counting in digests; often the same as the title
    links        pairs of label ("runbook", "graph", "source" ...) and http(s) URL
    starts_at    aware, UTC; None when the source does not say
    post         it is no condition but a message that was posted: sent once, over at once, never repeated
    """

    fingerprint: str
    title: str
    status: Status = "firing"
    severity: Severity = "warning"
    description: str = ""
    rule: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    post: Post | None = None
