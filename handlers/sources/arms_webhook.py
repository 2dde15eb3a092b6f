"""What ARMS Alert Management posts to a webhook, whatever kind of source the URL belongs to. No kind of its own.

https://help.aliyun.com/document_detail/260979.html: with `$alertmanager_content` as its notification template the body
is Alertmanager's JSON without `version`, `groupKey` and `truncatedAlerts`. Other templates are free text; the one that
ARMS proposes is understood too. The console's test posts the template as it is, with nothing filled in. ARMS gives up
after 5 seconds, and its content type is text/plain unless somebody changed it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from handlers.errors import PayloadError
from handlers.model import Alert, Severity, Status
from handlers.sources import labelled
from handlers.sources.contract import ALERTS_MAX, SEVERITY_WORDS, Body, fingerprint, fitted, is_blank
from handlers.sources.labelled import STATUSES, first, further, read, shown
from handlers.sources.reader import Node, read_json
from handlers.texts import _

TEMPLATE_TEXT = "$alertmanager_content"
PLACEHOLDER = re.compile(r"\$(?:alertmanager_)?content\b|\{\{[^{}]*\}\}")

SEVERITIES: Mapping[str, Severity] = {
    **SEVERITY_WORDS,
    **dict.fromkeys(("error", "err"), "warning"),
    **dict.fromkeys(("page", "optimization"), "info"),
}
"""ARMS pairs critical, error, warning and page with P1 to P4: its `error` is no outage, its `page` the least of all.

`optimization` is a level of DAS, which has no webhook of its own and reports through ARMS.
"""

LEVEL = "_aliyun_arms_alert_level"
OWN = "_aliyun_arms_"
# Of the many labels that ARMS adds these say something to people; all of them stay as annotations.
NAMED = {
    "account": "_aliyun_arms_userid",
    "integration": "_aliyun_arms_integration_name",
    "object": "_aliyun_arms_involvedObject_name",
}
TOP = frozenset(
    (
        *("receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "version"),
        *("groupKey", "truncatedAlerts", "level"),
    )
)
ALERT = labelled.FIELDS | frozenset(("startTime", "level"))

# Names in the template that ARMS proposes, in both languages of its console, and what they are to us.
TEMPLATE = {
    "alert name": "alertname",
    "告警名称": "alertname",
    "cluster name": "cluster",
    "集群名称": "cluster",
    "application name": "application",
    "应用名称": "application",
    "notification policy": "policy",
    "通知策略": "policy",
    "alert time": "began",
    "alarm time": "began",
    "告警时间": "began",
    "recovery time": "ended",
    "alert resolution time": "ended",
    "恢复时间": "ended",
    "alert content": "message",
    "告警内容": "message",
}


def alerts(kind: str, body: Body, now: datetime) -> list[Alert]:
    """The alerts of the notification, for a source of that kind."""
    try:
        top = read_json(body.raw)
    except PayloadError:
        # The proposed template has quotes inside quotes, so that it is JSON only once it is filled in.
        if _is_unfilled(body.raw.decode("utf-8", "replace")):
            return [tested(kind, now)]
        raise
    if is_test(top):
        return [tested(kind, now)]
    said = _template(top)
    if "alertname" in said and not top.has("alerts"):
        return [fitted(_rendered(kind, said, now))]
    if isinstance(top.raw, dict) and not top.has("alerts"):
        raise PayloadError(
            "$.alerts",
            _("expected a list: the notification template of the ARMS webhook has to be {text}", text=TEMPLATE_TEXT),
        )
    return [fitted(alert) for alert in _notified(kind, top, now)]


def is_test(top: Node) -> bool:
    """Whether the console's test posted it: what ARMS fills in stands there as a placeholder.

    Only such fields are looked at, as the message of a real alert may quote the template of its rule.
    """
    raw = top.raw
    if not isinstance(raw, dict):
        return _is_unfilled(raw)
    alerts = raw.get("alerts")
    if isinstance(alerts, list):
        filled = [raw, *(alert for alert in alerts if isinstance(alert, dict))]
        return any(_is_unfilled(part.get(field)) for part in filled for field in ("status", "startsAt", "fingerprint"))
    named = [value for name, value in raw.items() if TEMPLATE.get(name.strip().casefold()) == "alertname"]
    return any(_is_unfilled(value) for value in [alerts, *(named or raw.values())])


def _is_unfilled(value: object) -> bool:
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def tested(kind: str, now: datetime) -> Alert:
    """The console's test: seen to arrive, once for each test, and over at once, as nothing is wrong."""
    return Alert(
        fingerprint=fingerprint(kind, "test", now.isoformat()),
        title="Test from the ARMS console received",
        status="resolved",
        severity="info",
        description="The webhook works: alerts of ARMS arrive here.",
        rule="test",
        starts_at=now,
        ends_at=now,
    )


def _notified(kind: str, top: Node, now: datetime) -> list[Alert]:
    group_status = top.get("status").word(STATUSES, "firing")
    group_level = top.get("level").scalar()
    page = top.get("externalURL").text()
    more = further(top, TOP)
    return [
        _alert(kind, node, group_status, group_level, page, more, now)
        for node in top.get("alerts").elements(ALERTS_MAX)
    ]


def _alert(
    kind: str,
    node: Node,
    group_status: Status,
    group_level: str,
    page: str,
    group: tuple[dict[str, str], dict[str, str]],
    now: datetime,
) -> Alert:
    alert = read(kind, node, group_status, now, _time)
    own = {name: text for name, text in alert.labels.items() if name.startswith(OWN)}
    labels = {name: text for name, text in alert.labels.items() if name not in own}
    named = {label: own[name] for label, name in NAMED.items() if own.get(name) and label not in labels}
    more_labels, more_annotations = further(node, ALERT)
    given = not is_blank(node.get("fingerprint").scalar())
    return replace(
        alert,
        # ARMS adds a random `_aliyun_arms_entropy` and the level; neither is part of the condition.
        fingerprint=alert.fingerprint if given else fingerprint(kind, "labels", labels, named),
        title=labelled.title(labels, alert.annotations),
        severity=_severity(labels.get("severity", ""), own.get(LEVEL, ""), node.get("level").scalar(), group_level),
        labels={**group[0], **more_labels, **labels, **named},
        annotations={**group[1], **more_annotations, **alert.annotations, **own},
        links=alert.links + shown(("link", page)),
        starts_at=alert.starts_at or _time(node.get("startTime")),
    )


def _severity(*words: str) -> Severity:
    """The first word that is one of a severity; without any it is a warning."""
    known = (SEVERITIES.get(word.strip().casefold()) for word in words)
    return next((severity for severity in known if severity), "warning")


def _time(node: Node) -> datetime | None:
    """RFC 3339, or milliseconds since 1970 as in the events that ARMS itself takes."""
    said = node.scalar().strip()
    return node.epoch() if said.replace(".", "", 1).isdigit() else node.time()


def _template(top: Node) -> dict[str, str]:
    """The filled-in template that ARMS proposes; other fields keep their names."""
    if not isinstance(top.raw, dict):
        return {}
    said: dict[str, str] = {}
    for name, field in top.fields():
        if field.is_scalar() and (text := field.scalar().strip()):
            said[TEMPLATE.get(name.strip().casefold(), name)] = text
    return said


def _rendered(kind: str, said: Mapping[str, str], now: datetime) -> Alert:
    """Such a notification has no state and no fingerprint: a time of recovery makes it one, the names are the condition."""
    identity = {name: said[name] for name in ("alertname", "cluster", "application", "instance") if name in said}
    over = "ended" in said or said.get("status", "").casefold() == "resolved"
    apart = ("message", "began", "ended", "status")
    return Alert(
        fingerprint=fingerprint(kind, "template", identity),
        title=first(said, "alertname") or "Alert without a name",
        status="resolved" if over else "firing",
        severity=_severity(said.get("severity", ""), said.get("level", "")),
        description=said.get("message", ""),
        rule=said["alertname"],
        labels={name: text for name, text in said.items() if name not in apart},
        # These times have no zone, so that they can only be read by people.
        annotations={name: said[name] for name in ("began", "ended") if name in said},
        ends_at=now if over else None,
    )
