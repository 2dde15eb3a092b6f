"""Events of the Database Autonomy Service (DAS): pushed by ARMS, or as its API answers.

https://help.aliyun.com/document_detail/443003.html (GetAutonomousNotifyEventsInRange) and GetAutonomousNotifyEventContent.
What stands inside an event is not published, apart from `SpanId` and the fields of a SQL optimization: every other
field is looked for under the names that DAS uses elsewhere, and what is not known becomes a label. Four bodies:

- a webhook of ARMS, which has `alerts` (or its console's test);
- the answer to GetAutonomousNotifyEventsInRange: `Data.List.T`, a list of JSON texts;
- the answer to GetAutonomousNotifyEventContent: `Data`, one JSON text, whose quotes may be escaped once too often;
- an event itself, or a list of events; `Data` in it is the answer's text, so that what both calls said can be joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from handlers.errors import PayloadError
from handlers.model import Alert, Severity
from handlers.sources import arms_webhook
from handlers.sources.contract import ALERTS_MAX, Body, Source, fingerprint, fitted, severity_of
from handlers.sources.labelled import first, shown
from handlers.sources.reader import Node, clean, read_json
from handlers.texts import _

NAME = "das"

LEVELS: Mapping[str, Severity] = {"optimization": "info", "noticed": "info"}
"""DAS's own word for an event with advice, and the one its event subscription has for it; the others are everybody's."""

TYPES = {
    "autoscale": "Auto Scaling",
    "sqlthrottle": "Throttling",
    "sqloptimize": "SQL Optimization",
    "resourceoptimize": "Storage Optimization",
    "timeseriesabnormal": "Metric Exception",
}
"""The types of an event subscription and their names in the console; `SQL_OPTIMIZE` is written both ways."""

ADVICE = ("sqloptimize", "resourceoptimize")
"""Types whose events are advice, of the level Optimization, when no level is said; their `priority` only ranks the advice."""

PARTS = ("Data", "labels", "annotations")
"""Parts of an event whose fields count as its own."""

OVER = frozenset(("resolved", "recovered", "ok", "end", "ended", "finished", "closed"))

ENVELOPE = frozenset(("requestid", "message", "code", "success"))
"""What surrounds `Data` in an answer of the API, in small letters as all names below."""

ID = ("spanid", "eventid", "fingerprint")
TYPE = ("tasktype", "eventtype", "alertname", "eventname", "rulename", "type", "event", "name")
LEVEL = ("level", "eventlevel", "severity")
INSTANCE = ("instanceid", "instance", "dbinstanceid")
ALIAS = ("instancename", "instancealias", "alias")
REGION = ("regionid", "region")
ACCOUNT = ("userid", "accountid", "uid")
STATUS = ("status", "eventstatus", "state")
STARTS = ("starttime", "startsat", "eventtime", "occurtime", "gmtcreate", "timestamp", "time")
ENDS = ("endtime", "endsat")
TEXT = ("message", "description", "summary")
LINK = ("url", "link", "detailurl")
CONDITION = ("sqlid", "metric", "metricname", "nodeid")
"""What an event is about, beside its type and instance, when it has no id of its own."""

PROMISED = frozenset(("spanid", "tasktype", "level", "instanceid"))
"""Fields whose type is published; of the others one that is not what we guess is kept as it is."""

UNNAMED = "DAS event"
ADVICES_MAX = 100


@dataclass(frozen=True, slots=True)
class _Event:
    """An event and its fields that are there, by their names in small letters."""

    place: Node
    fields: Mapping[str, Node]

    def said(self, names: tuple[str, ...]) -> str:
        """The first of these fields that says something. A nested one is no answer, unless DAS promises a text there."""
        found = {name: self.fields[name] for name in names if name in self.fields}
        texts = {name: field.scalar() for name, field in found.items() if field.is_scalar() or name in PROMISED}
        return first(texts, *names).strip()

    def at(self, names: tuple[str, ...]) -> datetime | None:
        """The first of these fields that is a time."""
        times = (_time(self.fields[name]) for name in names if name in self.fields)
        return next((time for time in times if time), None)


def parse(body: Body, now: datetime) -> list[Alert]:
    """The alerts of the body, in its order."""
    try:
        top = read_json(body.raw)
    except PayloadError:
        return arms_webhook.alerts(NAME, body, now)  # its console's test is no JSON
    if top.has("alerts") or not isinstance(top.raw, dict | list):
        return arms_webhook.alerts(NAME, body, now)
    events = list(_events(top))
    if any(not _is_event(event) for event in events):
        if arms_webhook.is_test(top):
            return [arms_webhook.tested(NAME, now)]
        wrong = next(event for event in events if not _is_event(event))
        raise PayloadError(
            wrong.place.path, _("expected a DAS event: an object with {fields}", fields="SpanId, taskType, eventType")
        )
    return [fitted(_alert(event, now)) for event in events]


def _events(top: Node) -> Iterator[_Event]:
    if isinstance(top.raw, list):
        yield from (_event(node) for node in top.elements(ALERTS_MAX))
        return
    data = _unescaped(top.get("Data"))
    if data.has("List"):
        yield from (_listed(node) for node in data.get("List").get("T").elements(ALERTS_MAX))
    elif data.has("contacts") or data.has("eventSendGroup"):
        raise PayloadError(data.path, _("this is an event subscription of DAS, which has contacts and no event"))
    else:
        yield _event(top)


def _unescaped(node: Node) -> Node:
    """The value of a JSON text, also of one whose quotes still are escaped (as in DAS's own example)."""
    try:
        return node.unfolded()
    except PayloadError:
        return Node(node.text().replace('\\"', '"'), node.parent, node.key).unfolded()


def _listed(node: Node) -> _Event:
    """An element of `T`: JSON text with an id. As neither is promised, any text is an event, and known by its words."""
    text = Node(node.text(), node.parent, node.key)
    try:
        value = _unescaped(text)
    except PayloadError:
        value = text
    event = _event(value) if isinstance(value.raw, dict) else _Event(text, {"message": text})
    if _is_event(event):
        return event
    return _Event(text, {**event.fields, "type": Node(UNNAMED), "fingerprint": text})


def _event(node: Node) -> _Event:
    """The event with what stands in its `Data`, `labels` and `annotations` among its fields."""
    answered = node.has("RequestId")
    own = {name: field for name, field in node.fields() if name not in PARTS}
    fields = {name: field for name, field in own.items() if not (answered and name.casefold() in ENVELOPE)}
    for part in PARTS:
        nested = _unescaped(node.get(part))
        fields = dict(nested.fields()) | fields
    return _Event(node, {name.casefold(): field for name, field in fields.items() if not field.missing})


def _is_event(event: _Event) -> bool:
    return bool(event.said(ID) or event.said(TYPE))


def _alert(event: _Event, now: datetime) -> Alert:
    word = event.said(TYPE)
    kind = word.casefold().replace("_", "")
    level = event.said(LEVEL).casefold()
    instance = event.said(INSTANCE)
    alias = event.said(ALIAS) or instance
    tables, statements = _advice(event)
    over = event.said(STATUS).casefold() in OVER
    labels, annotations = _further(event, with_advice=not statements)
    named = {
        "alertname": word,
        "instance": alias,
        "instanceId": instance,
        "region": event.said(REGION),
        "account": event.said(ACCOUNT),
    }
    span = event.said(ID)
    span_id = event.said(ID[:1])
    about = {name: event.said((name,)) for name in CONDITION}
    return Alert(
        fingerprint=fingerprint(NAME, "span", span) if span else fingerprint(NAME, "event", kind, instance, about),
        title=": ".join(part for part in (TYPES.get(kind, word) or UNNAMED, alias or ", ".join(tables)) if part),
        status="resolved" if over else "firing",
        severity=LEVELS.get(level) or ("info" if kind in ADVICE and not level else severity_of(level)),
        description=event.said(TEXT) or "\n".join(statements),
        rule=word,
        labels={**{name: text for name, text in named.items() if text}, **labels},
        annotations={**annotations, **({"span_id": span_id} if span_id else {})},
        links=shown(("link", event.said(LINK))),
        starts_at=event.at(STARTS),
        ends_at=(event.at(ENDS) or now) if over else None,
    )


def _advice(event: _Event) -> tuple[list[str], list[str]]:
    """Of a SQL optimization: the tables, and the statements that make the advised indexes."""
    if "indexadvices" not in event.fields:
        return [], []
    advices = event.fields["indexadvices"].elements(ADVICES_MAX)
    tables = [
        ".".join(part for part in (advice.get("schemaName").text(), advice.get("tableName").text()) if part)
        for advice in advices
    ]
    statements = [advice.get("ddlAddIndex").text() for advice in advices]
    return list(dict.fromkeys(filter(None, tables))), [text for text in statements if text]


def _further(event: _Event, with_advice: bool) -> tuple[dict[str, str], dict[str, str]]:
    """What is not said elsewhere in the alert: scalars as labels, texts and the rest as annotations."""
    linked = LINK if shown(("link", event.said(LINK))) else ()
    elsewhere = {
        name
        for names in (ID, TYPE, LEVEL, INSTANCE, ALIAS, REGION, ACCOUNT, TEXT, linked)
        for name in names
        if event.said((name,)) and event.said((name,)) == event.said(names)
    }
    elsewhere |= {name for name in (*STARTS, *ENDS) if event.at((name,))}
    elsewhere |= {name for name in STATUS if event.said((name,)).casefold() in (*OVER, "firing")}
    if not with_advice:
        elsewhere.add("indexadvices")
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    for name, field in event.fields.items():
        if name in elsewhere or field.raw in ("", [], {}):
            continue
        if name in TEXT and field.is_scalar():
            annotations[name] = field.scalar()  # in small letters it is shown as running text
        elif field.is_scalar():
            labels[clean(str(field.key))] = field.scalar()
        else:
            annotations[clean(str(field.key))] = field.compact()
    return labels, annotations


def _time(node: Node) -> datetime | None:
    """Milliseconds since 1970 or RFC 3339; None for what is neither, which stays as a label."""
    try:
        return node.epoch() if node.scalar().strip().replace(".", "", 1).isdigit() else node.time()
    except PayloadError:
        return None


SOURCE = Source(NAME, parse)
