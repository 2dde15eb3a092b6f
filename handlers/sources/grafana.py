"""Grafana's webhook: unified alerting (version 8 and later) and the legacy dashboard alerts (up to version 10).

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
Unified alerting is Alertmanager's shape with more fields and links of its own; a legacy body is one rule with its
`state` and the series that matched. They are told apart by `alerts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from handlers.errors import PayloadError
from handlers.model import Alert, Status
from handlers.sources import labelled
from handlers.sources.contract import ALERTS_MAX, Body, Source, fingerprint, fitted, severity_of
from handlers.sources.labelled import STATUSES, first, further, read, shown
from handlers.sources.reader import Node, read_json
from handlers.texts import _

NAME = "grafana"

TOP = frozenset(
    (
        *("receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "version"),
        *("groupKey", "truncatedAlerts", "orgId", "title", "state", "message", "appVersion"),
    )
)
LINKS = {"dashboard": "dashboardURL", "panel": "panelURL", "silence": "silenceURL", "image": "imageURL"}
# `embeddedImage` is a picture of up to a megabyte in base64, not for a card.
ALERT = labelled.FIELDS | frozenset((*LINKS.values(), "values", "valueString", "orgId", "embeddedImage"))

# A rule whose query gave nothing, or failed, is reported under these names; its own stands in `rulename`.
STAND_INS = {"DatasourceNoData": "no data", "DatasourceError": "error"}

LegacyState = Literal["alerting", "ok", "no_data", "paused", "pending", "unknown"]
LEGACY_STATES: tuple[LegacyState, ...] = ("alerting", "ok", "no_data", "paused", "pending", "unknown")
LEGACY = frozenset(
    (
        *("title", "ruleId", "ruleName", "ruleUrl", "state", "evalMatches", "imageUrl", "message", "tags"),
        *("orgId", "dashboardId", "panelId"),
    )
)
MATCHES_MAX = 1_000
TEST_IDS = ("", "0")
"""Rule ids that say nothing: Grafana's own tests have 0, of whatever rule."""


def parse(body: Body, now: datetime) -> list[Alert]:
    """The alerts of one notification; none for a legacy rule that is still pending."""
    top = read_json(body.raw)
    if top.has("alerts"):
        return [fitted(alert) for alert in _unified(top, now)]
    if top.has("state") and (top.has("ruleName") or top.has("ruleId")):
        return [fitted(alert) for alert in _legacy(top, now)]
    if not isinstance(top.raw, dict):
        raise top.wrong(_("an object"))
    raise PayloadError(
        "$", _("expected a Grafana webhook: an object with alerts, or the older one with ruleName and state")
    )


# Unified alerting


def _unified(top: Node, now: datetime) -> list[Alert]:
    group_status = top.get("status").word(STATUSES, "firing")
    labels, annotations = further(top, TOP)
    return [_alert(node, group_status, labels, annotations, now) for node in top.get("alerts").elements(ALERTS_MAX)]


def _alert(
    node: Node,
    group_status: Status,
    group_labels: Mapping[str, str],
    group_annotations: Mapping[str, str],
    now: datetime,
) -> Alert:
    alert = read(NAME, node, group_status, now)
    more_labels, more_annotations = further(node, ALERT)
    own = shown(*((label, node.get(field).text()) for label, field in LINKS.items()))
    # What Grafana links itself comes before an annotation of the same meaning.
    links = dict([*(link for link in alert.links if link[0] == "runbook"), *own])
    links |= {label: url for label, url in alert.links if label not in links}
    why = STAND_INS.get(alert.rule, "")
    rule = alert.labels.get("rulename", "") if why else alert.rule
    value = _values(node)
    return replace(
        alert,
        title=f"{rule} ({why})" if why and rule else alert.title,
        rule=rule or alert.rule,
        labels={**group_labels, **more_labels, **alert.labels},
        annotations={
            **group_annotations,
            **more_annotations,
            **({"value": value} if value else {}),
            **alert.annotations,
        },
        links=tuple(links.items()),
    )


def _values(node: Node) -> str:
    """`B = 44.2, C = 1`; before version 10 Grafana only had a text of its own."""
    values = node.get("values").scalars()
    return ", ".join(f"{name} = {value}" for name, value in values.items()) or node.get("valueString").text()


# Legacy alerts


def _legacy(top: Node, now: datetime) -> list[Alert]:
    state = top.get("state").word(LEGACY_STATES, "alerting")
    if state in ("pending", "unknown"):
        return []  # not yet an alert: Grafana sends the next state by itself
    # Nobody will ever report the end of a rule that somebody paused.
    status: Status = "resolved" if state in ("ok", "paused") else "firing"
    tags = top.get("tags").scalars()
    named = {"rule": top.get("ruleName").scalar(), "title": _without_state(top.get("title").text())}
    title = first(named, "rule", "title").strip() or "Alert without a name"
    rule_id = top.get("ruleId").scalar().strip()
    more_labels, more_annotations = further(top, LEGACY)
    matches = _matches(top.get("evalMatches"))
    annotations = {
        "value": ", ".join(matches),
        **{field: top.get(field).scalar() for field in ("dashboardId", "panelId", "orgId")},
        **more_annotations,
    }
    why = {"no_data": " (no data)", "paused": " (paused)"}.get(state, "")
    return [
        Alert(
            # The rule is one condition, however many of its series matched.
            fingerprint=fingerprint(NAME, "rule", top.get("orgId").scalar(), title if rule_id in TEST_IDS else rule_id),
            title=title + why,
            status=status,
            severity=severity_of(first(tags, "severity", "priority", "level")),
            description=top.get("message").text(),
            rule=title,
            labels={**more_labels, **_series(top.get("evalMatches")), "alertname": title, **tags},
            annotations={field: text for field, text in annotations.items() if text},
            links=shown(("graph", top.get("ruleUrl").text()), ("image", top.get("imageUrl").text())),
            ends_at=now if status == "resolved" else None,
        )
    ]


def _without_state(title: str) -> str:
    """`[Alerting] Disk full` without the state, which would make another title of its recovery."""
    head, bracket, rest = title.strip().partition("]")
    return rest.strip() if bracket and head.startswith("[") else title.strip()


def _matches(node: Node) -> list[str]:
    """`High value = 100` for each series that crossed the threshold; a series without a value is left out."""
    if node.missing:
        return []
    found = [(match.get("metric").scalar(), match.get("value").scalar()) for match in node.elements(MATCHES_MAX)]
    return [f"{metric} = {value}" if metric else value for metric, value in found if value]


def _series(node: Node) -> dict[str, str]:
    """The tags of the series, when it is the only one."""
    matches = [] if node.missing else node.elements(MATCHES_MAX)
    tags = [match.get("tags").scalars() for match in matches]
    return tags[0] if len(tags) == 1 else {}


SOURCE = Source(NAME, parse)
