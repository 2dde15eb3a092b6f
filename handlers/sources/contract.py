"""What a source is, and what every alert keeps to, whichever source it came from.

Shared by the sources and imported by whoever calls them; knows no vendor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from handlers.model import Alert, Severity

TITLE_MAX_CHARS = 500
RULE_MAX_CHARS = 200
DESCRIPTION_MAX_CHARS = 10_000
LABELS_MAX = 100
LABEL_NAME_MAX_CHARS = 100
LABEL_VALUE_MAX_CHARS = 1_000
LINKS_MAX = 10
ALERTS_MAX = 10_000
"""Alerts in one body. A body is at most 1 MiB; one full of `{"title":"x"}` would otherwise be eighty thousand rows."""

CUT = "…"


@dataclass(frozen=True, slots=True)
class Body:
    """A request body as it arrived. The content type is a hint: senders get it wrong, so sources look at the bytes."""

    raw: bytes
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of alert source.

    name   the `<kind>` of `POST /alerts/<kind>/<token>`
    parse  body and present time -> alerts; raises `PayloadError`, and nothing else, on a body it does not document.
           All or nothing: one wrong alert refuses the body. An empty list is a valid answer.
    paths  where reports go, with `{token}`; none: to `/alerts/<kind>/<token>`
    """

    name: str
    parse: Callable[[Body, datetime], list[Alert]]
    paths: tuple[str, ...] = ()

    def addresses(self, public_url: str, token: str) -> tuple[str, ...]:
        """The URLs of a source of this kind."""
        paths = self.paths or (f"/alerts/{self.name}/{{token}}",)
        return tuple(public_url.rstrip("/") + path.format(token=token) for path in paths)


SEVERITY_WORDS: Mapping[str, Severity] = {
    **dict.fromkeys(("critical", "crit", "page", "error", "err", "fatal", "emergency", "emerg", "alert"), "critical"),
    **dict.fromkeys(("disaster", "urgent", "high", "major", "p0", "p1", "sev0", "sev1"), "critical"),
    **dict.fromkeys(("warning", "warn", "medium", "moderate", "average", "minor", "p2", "sev2"), "warning"),
    **dict.fromkeys(("info", "information", "informational", "notice", "none", "ok", "low", "debug"), "info"),
    **dict.fromkeys(("p3", "p4", "p5", "sev3", "sev4", "sev5"), "info"),
}


def severity_of(word: str) -> Severity:
    """Our severity for another system's word; an unknown one is a warning: neither lost nor alarming."""
    return SEVERITY_WORDS.get(word.strip().casefold(), "warning")


_QUOTED = json.JSONEncoder().encode


def fingerprint(source: str, *identity: str | Mapping[str, str]) -> str:
    """`<source>:1:<SHA-256>` of what makes two reports the same condition; the order of labels does not matter.

    The number is the version of the recipe: raise it when the parts change, and old alerts simply close by themselves.
    """
    canonical = ",".join([_QUOTED(part) if isinstance(part, str) else _sorted(part) for part in identity])
    return f"{source}:1:{hashlib.sha256(f'[{canonical}]'.encode()).hexdigest()}"


def _sorted(labels: Mapping[str, str]) -> str:
    """As JSON, without blanks. By hand: texts alone are quick to encode, and it is done for every alert."""
    return "{" + ",".join([f"{_QUOTED(name)}:{_QUOTED(value)}" for name, value in sorted(labels.items())]) + "}"


def one_line(text: str) -> str:
    """The text with every run of blanks and line breaks as one blank."""
    return " ".join(text.split())


def is_blank(text: str) -> bool:
    """Nothing a person could see: empty, blanks, zero-width and control characters."""
    if text[:1].isalnum():
        return False
    return not any(ch.isprintable() and not ch.isspace() for ch in text)


def cut(text: str, limit: int) -> str:
    """The text in at most `limit` characters, marked where it was cut."""
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def fitted(alert: Alert) -> Alert:
    """The alert within the limits above, its title on one line."""
    title = cut(one_line(alert.title), TITLE_MAX_CHARS)
    rule = cut(one_line(alert.rule), RULE_MAX_CHARS)
    description = cut(alert.description.strip(), DESCRIPTION_MAX_CHARS)
    labels = _fitted_labels(alert.labels)
    annotations = _fitted_labels(alert.annotations)
    links = alert.links[:LINKS_MAX]
    if (title, rule, description) == (alert.title, alert.rule, alert.description) and (
        (labels, annotations, links) == (alert.labels, alert.annotations, alert.links)
    ):
        return alert  # as nearly always: making another one takes longer than all this
    return replace(
        alert,
        title=title,
        rule=rule,
        description=description,
        labels=labels,
        annotations=annotations,
        links=links,
    )


def _fitted_labels(labels: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in labels.items():
        if len(kept) == LABELS_MAX:
            break
        if name.isidentifier() and len(name) <= LABEL_NAME_MAX_CHARS and len(value) <= LABEL_VALUE_MAX_CHARS:
            kept[name] = value
        elif not is_blank(name):
            kept[cut(one_line(name), LABEL_NAME_MAX_CHARS)] = cut(value, LABEL_VALUE_MAX_CHARS)
    return kept
