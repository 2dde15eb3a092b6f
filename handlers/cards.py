"""From an alert to the document that every channel draws."""

from __future__ import annotations

from dataclasses import replace
from datetime import tzinfo

from handlers.document import Block, Document, Facts, Link, Paragraph, Tone
from handlers.model import Alert, Severity, Status
from handlers.texts import Say, _
from handlers.times import lasting, local
from handlers.urls import safe_url
from storage.alerts import AlertRow

WHERE = ("instance", "instancename", "instance_id", "instanceid", "host", "hostname", "node", "pod", "service", "job")
"""Labels that say where it happens, looked up without regard to case, best first."""

WORDS = ("summary", "description", "message")
"""Annotations that are running text."""

VALUE = ("value", "curvalue", "current_value", "currentvalue")

MOST_LABELS = 12
MOST_ANNOTATIONS = 6


def badge(status: str, severity: str) -> Say:
    """The word before the title."""
    if status == "resolved":
        return _("RESOLVED")
    words: dict[str, Say] = {"critical": _("CRITICAL"), "warning": _("WARNING"), "info": _("INFO")}
    return words[severity]


def severity_name(severity: str) -> Say:
    words: dict[str, Say] = {"critical": _("critical"), "warning": _("warning"), "info": _("info")}
    return words[severity]


def reported(row: AlertRow, status: str | None = None, severity: str | None = None) -> Alert:
    """The stored alert as a source reported it; `status` and `severity` as they were when a delivery was owed."""
    chosen: Status = "resolved" if (status or row.status) == "resolved" else "firing"
    words: dict[str, Severity] = {"critical": "critical", "warning": "warning", "info": "info"}
    return Alert(
        fingerprint=row.fingerprint,
        title=row.title,
        status=chosen,
        severity=words[severity or row.severity],
        description=row.description,
        rule=row.rule,
        labels=dict(row.labels),
        annotations=dict(row.annotations),
        links=tuple((label, url) for label, url in row.links),
        starts_at=row.starts_at or row.first_at,
        ends_at=row.ends_at,
    )


def alert_document(
    alert: Alert, number: int | None, *, source: str, group: str, zone: tzinfo, acked_by: str | None = None
) -> Document:
    """One alert as a card: what, where, since, value, the group it went to, links, and what can be done."""
    tone: Tone = "resolved" if alert.status == "resolved" else alert.severity
    labels = {name.casefold(): value for name, value in alert.labels.items()}
    facts: list[tuple[Say, Say]] = [(_("Severity"), severity_name(alert.severity))]
    where = next((labels[name] for name in WHERE if labels.get(name)), "")
    if where:
        facts.append((_("Where"), where))
    value = next((labels[name] for name in VALUE if labels.get(name)), alert.annotations.get("value", ""))
    if value:
        facts.append((_("Value"), value))
    if alert.starts_at:
        facts.append((_("Since"), local(alert.starts_at, zone)))
    if alert.status == "resolved" and alert.ends_at:
        facts.append((_("Ended"), local(alert.ends_at, zone)))
        if alert.starts_at and alert.ends_at >= alert.starts_at:
            facts.append((_("Lasted"), lasting(alert.ends_at - alert.starts_at)))
    if acked_by:
        facts.append((_("Acknowledged by"), acked_by))
    facts.append((_("Source"), source))
    if group:
        facts.append((_("Group"), group))
    blocks: list[Block] = [Facts(tuple(facts))]
    texts = [alert.description, *(alert.annotations.get(name, "") for name in WORDS)]
    said_already = {alert.title}
    for text in reversed([text for text in dict.fromkeys(texts) if text and text not in said_already]):
        blocks.insert(0, Paragraph(text))
    said = (where, value, alert.title)
    rest = [(name, text) for name, text in alert.labels.items() if text and text not in said and name != "severity"]
    if rest:
        shown = tuple((name, text) for name, text in rest[:MOST_LABELS])
        blocks.append(Facts(shown))
    notes = [(name, text) for name, text in alert.annotations.items() if text and not _known_annotation(name, text)]
    if notes:
        blocks.append(Facts(tuple(notes[:MOST_ANNOTATIONS])))
    footer: Say = ""
    if number is not None and alert.status == "firing":
        footer = _("To Callboard: ack {number} · resolve {number} · alert {number}", number=f"#{number}")
    elif number is not None:
        footer = _("To Callboard: alert {number}", number=f"#{number}")
    return Document(
        title=alert.title,
        badge=badge(alert.status, alert.severity),
        number=number,
        tone=tone,
        blocks=tuple(blocks),
        links=_links(alert),
        footer=footer,
    )


def _known_annotation(name: str, text: str) -> bool:
    """Whether an annotation is shown elsewhere: as text, as the value, as a link; or is of no use to people."""
    return name in WORDS or name in VALUE or safe_url(text) is not None or name.startswith("_")


def _links(alert: Alert) -> tuple[Link, ...]:
    """The alert's links, and those annotations that are one (`runbook_url`), each address once."""
    pairs = [*alert.links, *((name.removesuffix("_url"), text) for name, text in alert.annotations.items())]
    found: dict[str, Link] = {}
    for label, url in pairs:
        if safe_url(url):
            found.setdefault(url, Link(link_name(label), url))
    return tuple(found.values())


def link_name(label: str) -> Say:
    """Well-known links in the reader's language."""
    names: dict[str, Say] = {
        "runbook": _("Runbook"),
        "graph": _("Graph"),
        "dashboard": _("Dashboard"),
        "panel": _("Panel"),
        "image": _("Image"),
        "source": _("Source"),
        "silence": _("Silence"),
        "link": _("Details"),
    }
    return names.get(label.casefold(), label)


def test_document(contact: str, channel: Say, asked_by: str) -> Document:
    """A test card: it looks like an alert and says that it is none."""
    return Document(
        title=_("Test of {name}", name=contact),
        badge=_("TEST"),
        tone="info",
        blocks=(
            Paragraph(_("This is a test. Nothing is wrong; an alert would reach you here.")),
            Facts(((_("Contact"), contact), (_("Channel"), channel), (_("Asked for by"), asked_by))),
        ),
    )


def test_alert(document: Document) -> Alert:
    """The test as an alert, for channels that send facts and not text."""
    return Alert(
        fingerprint="callboard:1:test",
        title=str(document.title),
        severity="info",
        description=next((str(block.text) for block in document.blocks if isinstance(block, Paragraph)), ""),
        rule="test",
    )


def maybe_repeated(document: Document) -> Document:
    """The document with a word that it may have been seen before: its last try was cut short."""
    mark = _("may be a repeat")
    footer: Say = _("{footer} · {mark}", footer=document.footer, mark=mark) if document.footer else mark
    return replace(document, footer=footer)
