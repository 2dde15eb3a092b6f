"""From an alert to the document that every channel draws."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from handlers import people_names
from handlers.document import Block, Document, Facts, Link, Paragraph
from handlers.model import Alert, Post, Severity, Status
from handlers.texts import Language, Say, _
from handlers.times import lasting, minute
from handlers.urls import host_of, safe_url
from storage.alerts import AlertRow
from storage.contacts import ContactRow
from storage.database import Tx

WHERE = ("instance", "instancename", "instance_id", "instanceid", "host", "hostname", "node", "pod", "service", "job")
"""Labels that say where it happens, looked up without regard to case, best first."""

WORDS = ("summary", "description", "message")
"""Annotations that are running text."""

VALUE = ("value", "curvalue", "current_value", "currentvalue")

MOST_LABELS = 12
MOST_ANNOTATIONS = 6

VALUE_CHARS = 200
TEXT_CHARS = 1200
"""Of a value and of running text on a card that goes out; `alert <number>` shows them whole."""

_ADDRESS = re.compile(r"://|^\s*www\.|\w\.[a-z]{2,}(?:/|:\d|\s*$)", re.IGNORECASE)

Shorten = Callable[[str, int], str]
"""Cuts a text to so many characters, with a mark."""


@dataclass(frozen=True, slots=True)
class History:
    """Who took care of the alert, by name, and when."""

    acked_by: str = ""
    acked_at: datetime | None = None
    resolved_by: str = ""


NOBODY = History()


RESOLVED = _("RESOLVED")
BADGES: Mapping[str, Say] = {"critical": _("CRITICAL"), "warning": _("WARNING"), "info": _("INFO")}
SEVERITIES: Mapping[str, Say] = {"critical": _("critical"), "warning": _("warning"), "info": _("info")}


def badge(status: str, severity: str) -> Say:
    """The word before the title."""
    return RESOLVED if status == "resolved" else BADGES[severity]


def severity_name(severity: str) -> Say:
    return SEVERITIES[severity]


def reported(row: AlertRow, status: str | None = None, severity: str | None = None) -> Alert:
    """The stored alert as a source reported it; `status` and `severity` as they were when a delivery was owed."""
    # A post is over from the start, and looks like what it told for ever.
    chosen: Status = "resolved" if (status or row.status) == "resolved" and not row.post else "firing"
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
        post=Post(row.post["platform"], row.post["body"]) if row.post else None,
    )


def language_of(contact: ContactRow | None, default: Language) -> Language:
    """In which language the contact wants what is sent to it."""
    wish = contact.language if contact else None
    return "en" if wish == "en" else "zh" if wish == "zh" else default


def history_of(tx: Tx, row: AlertRow) -> History:
    def named(person_id: str | None) -> str:
        return people_names.shown(tx, person_id) if person_id else ""

    return History(named(row.acked_by), row.acked_at, named(row.resolved_by))


def alert_document(
    alert: Alert,
    number: int | None,
    *,
    source: str,
    group: str,
    zone: tzinfo,
    history: History = NOBODY,
    shorten: Shorten | None = None,
) -> Document:
    """One alert as a card: what, where, since, value, the group it went to, links, and what can be done.

    shorten  for cards that go out: long values are cut, many labels left out, and the footer says where all of it is
    """
    texts = _texts(alert)
    tables = _tables(alert, source=source, group=group, zone=zone, history=history)
    whole: list[Block] = [*map(Paragraph, texts), *(Facts(tuple(table.pairs)) for table in tables)]
    blocks = whole
    if shorten:
        blocks = [Paragraph(shorten(text, TEXT_CHARS)) for text in texts]
        blocks += [Facts(tuple(_short(table, shorten))) for table in tables]
    footer = what_to_say(alert, number)
    if blocks != whole and number is not None:
        footer = _("{footer} · shortened: alert {number} shows all", footer=footer, number=f"#{number}")
    return Document(
        title=alert.title,
        badge=badge(alert.status, alert.severity),
        number=number,
        tone="resolved" if alert.status == "resolved" else alert.severity,
        blocks=tuple(blocks),
        links=_links(alert),
        footer=footer,
    )


def what_to_say(alert: Alert, number: int | None) -> Say:
    """The footer: the commands about the alert."""
    if number is None:
        return ""
    if alert.status == "firing" and not alert.post:
        return _("To Callboard: ack {number} · resolve {number} · alert {number}", number=f"#{number}")
    return _("To Callboard: alert {number}", number=f"#{number}")


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of label and value; on a card that goes out at most so many."""

    pairs: list[tuple[Say, Say]]
    most: int


def _texts(alert: Alert) -> list[str]:
    """The running text, each once and without what is the title already."""
    texts = [alert.description, *(alert.annotations.get(name, "") for name in WORDS)]
    return [text for text in dict.fromkeys(texts) if text and text != alert.title]


def _tables(alert: Alert, *, source: str, group: str, zone: tzinfo, history: History) -> list[_Pairs]:
    """What is known of every alert, then its further labels and annotations."""
    labels = {name.casefold(): value for name, value in alert.labels.items()}
    where = next((labels[name] for name in WHERE if labels.get(name)), "")
    value = next((labels[name] for name in VALUE if labels.get(name)), alert.annotations.get("value", ""))
    facts: list[tuple[Say, Say]] = [(_("Severity"), severity_name(alert.severity))]
    if where:
        facts.append((_("Where"), where))
    if value:
        facts.append((_("Value"), value))
    facts += times(alert, zone)
    facts += care(alert, history, zone)
    facts.append((_("Source"), source))
    if group:
        facts.append((_("Group"), group))
    said = (where, value, alert.title)
    rest: list[tuple[Say, Say]] = [
        (name, text) for name, text in alert.labels.items() if text and text not in said and name != "severity"
    ]
    notes: list[tuple[Say, Say]] = [
        (name, text) for name, text in alert.annotations.items() if text and not _known_annotation(name, text)
    ]
    tables = [_Pairs(facts, len(facts)), _Pairs(rest, MOST_LABELS), _Pairs(notes, MOST_ANNOTATIONS)]
    return [table for table in tables if table.pairs]


def _short(table: _Pairs, shorten: Shorten) -> Iterator[tuple[Say, Say]]:
    """Nobody reads a stack trace on a card, and it would hide what follows."""
    for label, value in table.pairs[: table.most]:
        yield label, shorten(value, VALUE_CHARS) if isinstance(value, str) else value


def times(alert: Alert, zone: tzinfo) -> list[tuple[Say, Say]]:
    facts: list[tuple[Say, Say]] = []
    if alert.starts_at:
        facts.append((_("Time") if alert.post else _("Since"), minute(alert.starts_at, zone)))
    if alert.status == "resolved" and alert.ends_at:
        facts.append((_("Ended"), minute(alert.ends_at, zone)))
        if alert.starts_at and alert.ends_at >= alert.starts_at:
            facts.append((_("Lasted"), lasting(alert.ends_at - alert.starts_at)))
    return facts


def care(alert: Alert, history: History, zone: tzinfo) -> list[tuple[Say, Say]]:
    facts: list[tuple[Say, Say]] = []
    if history.acked_by and history.acked_at:
        at = minute(history.acked_at, zone)
        facts.append((_("Acknowledged by"), _("{who}, {time}", who=history.acked_by, time=at)))
    elif history.acked_by:
        facts.append((_("Acknowledged by"), history.acked_by))
    if history.resolved_by and alert.status == "resolved":
        facts.append((_("Resolved by"), history.resolved_by))
    return facts


def _known_annotation(name: str, text: str) -> bool:
    """Whether an annotation is shown elsewhere: as text, as the value, as a link; or is of no use to people."""
    return name in WORDS or name in VALUE or name.startswith("_") or _url(text) is not None


def _url(text: str) -> str | None:
    """The text when it is an address; most are none, and that is seen without taking them apart."""
    return safe_url(text) if text[:4].casefold() == "http" else None


def _links(alert: Alert) -> tuple[Link, ...]:
    """The alert's links, and those annotations that are one (`runbook_url`), each address once."""
    pairs = [*alert.links, *((name.removesuffix("_url"), text) for name, text in alert.annotations.items())]
    found: dict[str, Link] = {}
    for label, text in pairs:
        if url := _url(text):
            # A label that is an address itself would only be there to hide where the link leads.
            found.setdefault(url, Link(host_of(url) if _ADDRESS.search(label) else link_name(label, url), url))
    return tuple(found.values())


LINK_NAMES: Mapping[str, Say] = {
    "runbook": _("Runbook"),
    "graph": _("Graph"),
    "dashboard": _("Dashboard"),
    "panel": _("Panel"),
    "image": _("Image"),
    "source": _("Source"),
    "silence": _("Silence"),
    "link": _("Details"),
}
SILENCE_ELSEWHERE = _("Silence in Alertmanager")


def link_name(label: str, url: str) -> Say:
    """Well-known links in the reader's language; a page that silences elsewhere says where, as we have a button for here."""
    known = label.casefold()
    return SILENCE_ELSEWHERE if known == "silence" and "/#/silences/" in url else LINK_NAMES.get(known, label)


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
