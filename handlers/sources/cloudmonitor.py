"""Alibaba Cloud CloudMonitor's callbacks: threshold alerts (form), system events new (JSON or form) and old (JSON).

https://help.aliyun.com/document_detail/60714.html (threshold), https://help.aliyun.com/document_detail/281090.html
(events). The three are told apart by their fields, never by the content type. Every missing value may also be the text
`null`. The form's `signature` has no published algorithm and proves nothing: the token in our URL does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from handlers.errors import PayloadError
from handlers.model import Alert, Severity, Status
from handlers.sources.contract import Body, Source, fingerprint, fitted, severity_of
from handlers.sources.reader import Node, read_either
from handlers.texts import _

NAME = "cloudmonitor"

AlertState = Literal["alert", "alarm", "ok", "insufficient_data"]
ALERT_STATES: tuple[AlertState, ...] = ("alert", "alarm", "ok", "insufficient_data")
EventStatus = Literal["triggered", "resolved"]
EVENT_STATUSES: tuple[EventStatus, ...] = ("triggered", "resolved")

# 20260328T090000.642+0800
_EVENT_TIME = re.compile(r"[0-9]{8}T[0-9]{6}(?:\.[0-9]{1,6})?(?:[+-][0-9]{2}:?[0-9]{2}|Z)")
# An outage is two events of different ids: Instance_Failure_Start, Instance_Failure_End.
_PHASE = re.compile(r"(?P<what>.+)_(?P<phase>start|end)", re.IGNORECASE | re.DOTALL)


def parse(body: Body, now: datetime) -> list[Alert]:
    """The one alert of the callback."""
    top = read_either(body.raw)
    if top.has("alertState"):
        alert = _threshold(top, now)
    elif top.has("alert"):
        alert = _event(top, now)
    elif all(top.has(key) for key in ("name", "eventTime", "level")):
        alert = _old_event(top, now)
    elif top.has("alerts"):
        raise PayloadError(
            "$", _("this is not from CloudMonitor: add a source of the kind alertmanager or arms for it")
        )
    else:
        raise PayloadError("$", _("expected a CloudMonitor callback: a form with alertState, or JSON with alert"))
    return [fitted(alert)]


def _said(node: Node) -> str:
    """The text of a scalar, "" also for the text `null`."""
    text = node.scalar().strip()
    return "" if text == "null" else text


def _filled(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


# Threshold alerts


def _threshold(top: Node, now: datetime) -> Alert:
    """One resource that crossed a rule's threshold, or came back."""
    said = {key: _said(node) for key, node in top.fields() if node.is_scalar()}
    state = top.get("alertState").word(ALERT_STATES, "alert")
    status: Status = "resolved" if state == "ok" else "firing"
    at = top.get("timestamp").epoch()
    account = said.get("userId", "")
    rule = said.get("alertName") or said.get("metricName") or said.get("ruleId", "")
    dimensions = _pairs(top.get("dimensions"))
    instance = said.get("instanceName") or dimensions.get("instanceId", "")
    metric = said.get("rawMetricName") or said.get("metricName", "")
    value = said["curValue"] + said.get("unit", "") if said.get("curValue") else ""
    title = ": ".join(part for part in (rule or "CloudMonitor", instance) if part)
    labels = _filled(
        {
            "alertname": rule,
            "instance": instance,
            "region": said.get("regionId", ""),
            "namespace": said.get("namespace") or said.get("metricProject", ""),
            "metric": metric,
            "value": value,
            "threshold": said.get("expression", ""),
            "group": said.get("productGroupName", ""),
            "account": account,
        }
    )
    extra = {key: text for key, text in {**_pairs(top.get("customLabels")), **dimensions}.items() if key != "userId"}
    return Alert(
        # The region, the names and the level come and go between an alert and its recovery; these three stay.
        fingerprint=fingerprint(NAME, "rule", account, said.get("ruleId") or f"{rule}/{metric}", dimensions),
        title=f"{title} (no data)" if state == "insufficient_data" else title,
        status=status,
        severity=_threshold_severity(state, said),
        description=_measured(said, metric, value),
        rule=rule,
        labels={**extra, **labels},
        annotations=_filled({"duration": said.get("lastTime", ""), "rule_id": said.get("ruleId", "")}),
        starts_at=at if status == "firing" else None,
        ends_at=(at or now) if status == "resolved" else None,
    )


def _threshold_severity(state: AlertState, said: Mapping[str, str]) -> Severity:
    """The level of the rule; of a recovery, whose own level is `OK`, the one it had before."""
    if state == "insufficient_data":
        return "warning"
    level = said.get("triggerLevel", "")
    if state == "ok" or level == "OK":
        level = said.get("preTriggerLevel", "")
    return severity_of(level)


def _measured(said: Mapping[str, str], metric: str, value: str) -> str:
    """`CpuUsage = 97.39% ($Average >= 90)`: no words, so that it reads in every language."""
    left = f"{metric} = {value}" if metric and value else metric or value
    expression = said.get("expression", "")
    return f"{left} ({expression})" if left and expression else left or expression


def _pairs(node: Node) -> dict[str, str]:
    """The dimensions: Java map text `{a=b, c=d}`, or JSON (very old callbacks, custom labels)."""
    if node.missing:
        return {}
    try:
        return _json_pairs(node.unfolded())
    except PayloadError:
        pass  # not JSON, or not of a form we know: read as the Java text, which never fails
    text = node.scalar().strip() if node.is_scalar() else node.compact()
    if text in ("", "null", "{}"):
        return {}
    pairs: dict[str, list[str]] = {}
    name = ""
    for part in text.removeprefix("{").removesuffix("}").split(", "):
        left, equals, right = part.partition("=")
        if equals:
            name = left.strip()
            pairs[name] = [right]
        else:  # a value that itself has a comma
            pairs.setdefault(name, []).append(part)
    return {name or "dimension": ", ".join(values) for name, values in pairs.items()}


def _json_pairs(node: Node) -> dict[str, str]:
    if not isinstance(node.raw, list):
        return node.scalars()
    pairs: dict[str, str] = {}
    for element in node.elements(at_most=100):
        if element.has("label"):
            pairs[element.get("label").scalar()] = element.get("value").scalar()
        else:
            pairs.update(element.scalars())
    return pairs


# System events


@dataclass(frozen=True, slots=True)
class _Event:
    """What the new and the old form of a system event have in common. `at` is when it happened, if said."""

    name: str
    local_name: str
    id: str
    product: str
    resource: str
    instance: str
    account: str
    level: str
    at: datetime | None
    content: Mapping[str, str]
    labels: Mapping[str, str]


def _event(top: Node, now: datetime) -> Alert:
    """The event of an event subscription; in a form the objects are JSON text."""
    alert = top.get("alert").unfolded()
    meta = alert.get("meta").unfolded()
    meta = meta.get("sysEventMeta").unfolded() if meta.has("sysEventMeta") else Node({}, alert, "meta")
    name = _said(alert.get("eventName")) or _said(meta.get("name"))
    if not name:
        raise alert.get("eventName").wrong(_("a text"))
    local_name = _said(meta.get("eventNameZh"))
    event = _Event(
        name=name,
        local_name=local_name,
        id=_first_said(alert.get("dedupId"), meta.get("id"), alert.get("traceId")),
        product=_first_said(alert.get("product"), meta.get("product")),
        resource=_first_said(alert.get("arn"), meta.get("resourceId")),
        instance=_said(meta.get("instanceName")),
        account=_first_said(alert.get("userId"), top.get("userId")),
        level=_first_said(alert.get("severity"), top.get("severity"), meta.get("level")),
        at=alert.get("timestamp").epoch() or _event_time(meta.get("eventTime")) or top.get("time").epoch(),
        content=_content(alert.get("eventContentMap")) or _content(alert.get("eventRawContent")),
        labels={
            "region": _said(meta.get("regionId")),
            "event_type": _first_said(alert.get("eventType"), meta.get("eventType")),
            "event_status": _said(meta.get("status")),
            "policy": _said(top.get("strategyName")),
        },
    )
    resolved = alert.get("alertStatus").word(EVENT_STATUSES, "triggered") == "resolved"
    return _event_alert(event, resolved, top.get("startTime").epoch(), now)


def _old_event(top: Node, now: datetime) -> Alert:
    """The event of an old event rule; it has no recovery of its own."""
    name = _said(top.get("name"))
    if not name:
        raise top.get("name").wrong(_("a text"))
    event = _Event(
        name=name,
        local_name="",
        id=_first_said(top.get("id"), top.get("traceId")),
        product=_said(top.get("product")),
        resource=_said(top.get("resourceId")),
        instance=_said(top.get("instanceName")),
        account=_said(top.get("userId")),
        level=_said(top.get("level")),
        at=_event_time(top.get("eventTime")),
        content=_content(top.get("content")),
        labels={"region": _said(top.get("regionId")), "event_status": _said(top.get("status"))},
    )
    return _event_alert(event, resolved=False, began_at=None, now=now)


def _event_alert(event: _Event, resolved: bool, began_at: datetime | None, now: datetime) -> Alert:
    phase = _PHASE.fullmatch(event.name)
    ended = resolved or (phase is not None and phase["phase"].lower() == "end")
    instance_id = event.content.get("instanceId") or event.resource.rpartition("/")[2]
    instance = event.instance or event.content.get("instanceName") or instance_id
    what = f"{event.local_name} ({event.name})" if event.local_name not in ("", event.name) else event.name
    return Alert(
        fingerprint=_event_fingerprint(event, phase["what"] if phase else "", instance),
        title=": ".join(part for part in (f"{event.product} {what}".strip(), instance) if part),
        status="resolved" if ended else "firing",
        severity=severity_of(event.level),
        description="\n".join(
            f"{name}: {value}" for name, value in event.content.items() if name not in ("instanceId", "instanceName")
        ),
        rule=event.name,
        labels=_filled(
            {
                "alertname": event.name,
                "instance": instance,
                "instanceId": instance_id,
                "product": event.product,
                "resource": event.resource,
                "account": event.account,
                **event.labels,
            }
        ),
        starts_at=began_at if ended else event.at,
        ends_at=(event.at or now) if ended else None,
    )


def _event_fingerprint(event: _Event, outage: str, instance: str) -> str:
    """An outage is known by what fails where, as its start and end have different ids; every other event by its id."""
    if outage or not event.id:
        return fingerprint(NAME, "outage", event.account, outage or event.name, event.resource or instance)
    return fingerprint(NAME, "event", event.account, event.id)


def _first_said(*nodes: Node) -> str:
    return _first(_said(node) for node in nodes)


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


def _content(node: Node) -> dict[str, str]:
    """What the event says about itself, nested parts as JSON text; anything but an object is kept as one text."""
    if node.missing or node.raw == "" or node.raw == "null":
        return {}
    try:
        content = node.unfolded()
        return {name: field.scalar() if field.is_scalar() else field.compact() for name, field in content.fields()}
    except PayloadError:
        return {"content": node.scalar() if node.is_scalar() else node.compact()}


def _event_time(node: Node) -> datetime | None:
    """`20260328T090000.642+0800`, or RFC 3339."""
    text = _said(node)
    if not _EVENT_TIME.fullmatch(text):
        return Node(text, node.parent, node.key).time()
    pattern = "%Y%m%dT%H%M%S.%f%z" if "." in text else "%Y%m%dT%H%M%S%z"
    try:
        return datetime.strptime(text, pattern).astimezone(UTC)
    except (ValueError, OverflowError):
        raise node.wrong(_("a time such as {example}", example="20260328T090000.642+0800")) from None


SOURCE = Source(NAME, parse)
