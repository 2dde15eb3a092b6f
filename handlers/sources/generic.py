"""Our own JSON: an object, a list, or `{"alerts": [...]}` of objects with a `title`; strict, so that mistakes are seen.

Fields: title, status, severity, description, labels, annotations, link, fingerprint, starts_at, ends_at. Every other
scalar field becomes a label, a nested one an annotation as JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import get_args

from handlers.model import SEVERITIES, Alert, Status
from handlers.sources.contract import ALERTS_MAX, Body, Source, fingerprint, fitted, is_blank
from handlers.sources.reader import Node, read_json
from handlers.texts import _

NAME = "json"
STATUSES: tuple[Status, ...] = get_args(Status)

FIELDS = frozenset(
    (
        "title",
        "status",
        "severity",
        "description",
        "labels",
        "annotations",
        "link",
        "fingerprint",
        "starts_at",
        "ends_at",
    )
)

Unknown = list[tuple[str, Node]]
"""Fields that are none of these."""

MEASURED = frozenset(("value", "current_value", "count", "duration", "time", "timestamp", "message", "url"))
"""Labels that say how bad it is at this moment, not what it is about: another value is still the same condition."""


def parse(body: Body, now: datetime) -> list[Alert]:
    """The alerts of the body, in its order."""
    top = read_json(body.raw)
    if isinstance(top.raw, list):
        nodes = top.elements(ALERTS_MAX)
    elif top.has("alerts") and not top.has("title"):
        nodes = top.get("alerts").elements(ALERTS_MAX)
    else:
        nodes = [top]
    return [_alert(node, now) for node in nodes]


def _alert(node: Node, now: datetime) -> Alert:
    names = node.names()
    title = _title(node.get("title"))
    status: Status = node.get("status").word(STATUSES, "firing") if "status" in names else "firing"
    unknown: Unknown = []
    if not names <= FIELDS:
        unknown = [(name, field) for name, field in node.fields() if name not in FIELDS and not field.missing]
    labels = _labels(node, unknown) if unknown or "labels" in names else {}
    given = node.get("fingerprint").scalar().strip() if "fingerprint" in names else ""
    link = node.get("link").url() if "link" in names else ""
    ends_at = node.get("ends_at").time() if "ends_at" in names else None
    return fitted(
        Alert(
            fingerprint=fingerprint(NAME, "given", given)
            if given
            else fingerprint(NAME, "labels", title, _identifying(labels)),
            title=title,
            status=status,
            severity=node.get("severity").word(SEVERITIES, "warning") if "severity" in names else "warning",
            description=node.get("description").text() if "description" in names else "",
            rule=labels.get("alertname") or title,
            labels=labels,
            annotations=_annotations(node, unknown) if unknown or "annotations" in names else {},
            links=(("link", link),) if link else (),
            starts_at=node.get("starts_at").time() if "starts_at" in names else None,
            ends_at=ends_at or (now if status == "resolved" else None),
        )
    )


def _title(node: Node) -> str:
    title = node.text().strip()
    if is_blank(title):
        raise node.wrong(_("a text such as {example}", example='"Disk full on db1"'))
    return title


def _labels(node: Node, unknown: Unknown) -> dict[str, str]:
    """The labels and the scalar fields we do not know; where both have a name, the labels win."""
    scalars = {name: field.scalar() for name, field in unknown if field.is_scalar()}
    return {**scalars, **node.get("labels").scalars()}


def _annotations(node: Node, unknown: Unknown) -> dict[str, str]:
    """The annotations and the nested fields we do not know: they are shown, and no part of what the condition is."""
    nested = {name: field.compact() for name, field in unknown if not field.is_scalar()}
    return {**nested, **node.get("annotations").scalars()}


def _identifying(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in MEASURED}


SOURCE = Source(NAME, parse)
