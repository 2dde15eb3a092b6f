"""Alerts made of labels and annotations, the shape that Prometheus gave to Alertmanager, Grafana and ARMS. No kind of its own.

One notification has `alerts`; each has `status`, `labels`, `annotations`, `startsAt`, `endsAt`, `fingerprint`, `generatorURL`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import get_args

from handlers.model import Alert, Status
from handlers.sources.contract import fingerprint, is_blank, severity_of
from handlers.sources.reader import Node
from handlers.urls import safe_url

STATUSES: tuple[Status, ...] = get_args(Status)

FIELDS = frozenset(("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generatorURL"))
"""What `read` looks at in one alert."""

LINK_ANNOTATIONS = {
    "runbook": ("runbook_url", "runbook"),
    "dashboard": ("dashboard_url", "dashboard", "dashboardURL"),
}


def read(
    kind: str, node: Node, group_status: Status, now: datetime, time: Callable[[Node], datetime | None] = Node.time
) -> Alert:
    """One alert of a notification. `group_status` counts where it has none; `time` reads its start and end."""
    labels = node.get("labels").scalars()
    annotations = node.get("annotations").scalars()
    status = node.get("status").word(STATUSES, group_status)
    ends_at = time(node.get("endsAt"))
    given = node.get("fingerprint").scalar().strip()
    return Alert(
        fingerprint=fingerprint(kind, "given", given) if given else fingerprint(kind, "labels", labels),
        title=title(labels, annotations),
        status=status,
        severity=severity_of(labels.get("severity", "")),
        description=first(annotations, "description", "message"),
        rule=labels.get("alertname", ""),
        labels=labels,
        annotations=annotations,
        links=shown(
            *((label, first(annotations, *names)) for label, names in LINK_ANNOTATIONS.items()),
            ("graph", node.get("generatorURL").text()),
        ),
        starts_at=time(node.get("startsAt")),
        # While it fires, `endsAt` is only the time at which the sender would give it up.
        ends_at=(ends_at or now) if status == "resolved" else None,
    )


def title(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """What the rule calls itself, never empty: its summary, else its name, else its labels."""
    said = first(annotations, "summary", "title") or first(labels, "alertname") or first(annotations, "message")
    return said or ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "Alert without a name"


def first(texts: Mapping[str, str], *names: str) -> str:
    """The first of these that says something."""
    return next((texts[name] for name in names if not is_blank(texts.get(name, ""))), "")


def shown(*links: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Those that may be shown as links; others stay readable among the annotations."""
    return tuple((label, url) for label, raw in links if (url := safe_url(raw.strip())))


def further(node: Node, known: Container[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The fields that nobody told us about: scalars to become labels, nested ones to become annotations as JSON text."""
    unknown = [(name, field) for name, field in node.fields() if name not in known and not field.missing]
    return (
        {name: field.scalar() for name, field in unknown if field.is_scalar()},
        {name: field.compact() for name, field in unknown if not field.is_scalar()},
    )
