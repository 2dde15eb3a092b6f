"""What a source reports: the alert as it comes in, before it has a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Status = Literal["firing", "resolved"]
Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
"""Worst first."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One condition a source reports, firing or resolved.

    fingerprint  the same condition has the same one (at most 128 characters); firing and resolved share it
    rule         the name of the rule behind it, for counting in digests; often the same as the title
    links        pairs of label ("runbook", "graph", "source" ...) and http(s) URL
    starts_at    aware, UTC; None when the source does not say
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
