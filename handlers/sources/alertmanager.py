"""Prometheus Alertmanager's webhook, version 4 and 3: one alert per element of `alerts`.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
Version 3 has no `fingerprint` and a number as `groupKey`; nothing but `alerts` is required of either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import get_args
from urllib.parse import quote

from handlers.model import Alert, Status
from handlers.sources.contract import ALERTS_MAX, Body, Source, fingerprint, fitted, is_blank, severity_of
from handlers.sources.reader import Node, read_json
from handlers.urls import safe_url

NAME = "alertmanager"
STATUSES: tuple[Status, ...] = get_args(Status)

LINK_ANNOTATIONS = {
    "runbook": ("runbook_url", "runbook"),
    "dashboard": ("dashboard_url", "dashboard", "dashboardURL"),
}


def parse(body: Body, now: datetime) -> list[Alert]:
    """The alerts of one notification; an empty list when it has none."""
    top = read_json(body.raw)
    group_status = top.get("status").word(STATUSES, "firing")
    external_url = safe_url(top.get("externalURL").text()) or ""
    return [_alert(node, group_status, external_url, now) for node in top.get("alerts").elements(ALERTS_MAX)]


def _alert(node: Node, group_status: Status, external_url: str, now: datetime) -> Alert:
    labels = node.get("labels").scalars()
    annotations = node.get("annotations").scalars()
    status = node.get("status").word(STATUSES, group_status)
    ends_at = node.get("endsAt").time()
    given = node.get("fingerprint").scalar().strip()
    return fitted(
        Alert(
            fingerprint=fingerprint(NAME, "given", given) if given else fingerprint(NAME, "labels", labels),
            title=title(labels, annotations),
            status=status,
            severity=severity_of(labels.get("severity", "")),
            description=_first(annotations, "description", "message"),
            rule=labels.get("alertname", ""),
            labels=labels,
            annotations=annotations,
            links=_links(labels, annotations, node.get("generatorURL").text(), external_url),
            starts_at=node.get("startsAt").time(),
            # While it fires, `endsAt` is only the time at which Alertmanager would give it up.
            ends_at=(ends_at or now) if status == "resolved" else None,
        )
    )


def title(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """What the rule calls itself, never empty: its summary, else its name, else its labels."""
    said = _first(annotations, "summary", "title") or _first(labels, "alertname") or _first(annotations, "message")
    return said or ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "Alert without a name"


def _first(texts: Mapping[str, str], *names: str) -> str:
    return next((texts[name] for name in names if not is_blank(texts.get(name, ""))), "")


def _links(
    labels: Mapping[str, str], annotations: Mapping[str, str], generator_url: str, external_url: str
) -> tuple[tuple[str, str], ...]:
    """Those that may be shown as links; others stay readable among the annotations."""
    found = [(label, _first(annotations, *names)) for label, names in LINK_ANNOTATIONS.items()]
    found.append(("graph", generator_url))
    if external_url and labels:
        found.append(("silence", silence_url(external_url, labels)))
    return tuple((label, url) for label, raw in found if (url := safe_url(raw.strip())))


def silence_url(external_url: str, labels: Mapping[str, str]) -> str:
    """The page of Alertmanager's own interface that silences exactly these labels."""
    matchers = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(labels.items()))
    return f"{external_url.rstrip('/')}/#/silences/new?filter={quote('{' + matchers + '}', safe='')}"


SOURCE = Source(NAME, parse)
