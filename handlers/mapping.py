"""Reads the JSON of systems that have no kind of their own: where in their bodies the fields of an alert stand.

A mapping is a dict of texts as people type them:

    title, status, severity, description, link, fingerprint, starts_at, ends_at, label.<name>
                      an expression (see `handlers.expressions`): what the field says
    each              a JSONPath: the objects that are one alert each; without it the body is one
    severity.<word>, status.<word>
                      what a word of theirs means: `severity.P1` -> "critical", `status.ok` -> "resolved"

Scalar fields that nothing refers to become labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice

from jsonpath import JSONPath

from handlers.errors import CommandError, PayloadError
from handlers.expressions import (
    Expression,
    Found,
    Path,
    Scope,
    descents,
    expression,
    is_wide,
    matches,
    path_of,
    place,
    wrong,
)
from handlers.model import Alert, Severity, Status
from handlers.sources.contract import (
    LABELS_MAX,
    SEVERITY_WORDS,
    Body,
    fingerprint,
    fitted,
    is_blank,
    severity_of,
)
from handlers.sources.generic import MEASURED
from handlers.sources.reader import Node, read_json
from handlers.texts import _
from handlers.urls import safe_url

KINDS = ("json",)
"""The kinds of source that can have a mapping."""

FIELDS = ("title", "status", "severity", "description", "link", "fingerprint", "starts_at", "ends_at")
EACH = "each"
LABEL = "label."
WORDS: Mapping[str, tuple[str, ...]] = {
    "severity": ("critical", "warning", "info"),
    "status": ("firing", "resolved"),
}
"""Fields of which words can be translated, and what into."""

MOST = 30
EXPRESSION_MAX_CHARS = 500
WIDE_MAX = 3
"""Paths with `*`, a slice or `..`, which look at much of the body each."""

WIDE_BODY_MAX_BYTES = 256 * 1024
ELEMENTS_MAX = 2_000
DEPTH_MAX = 5

OVER = frozenset(
    (
        "resolved",
        "ok",
        "okay",
        "normal",
        "recovered",
        "recovery",
        "closed",
        "clear",
        "cleared",
        "up",
        "healthy",
        "inactive",
    )
)
"""Words that are `resolved` without being translated; every other is `firing`."""


@dataclass(frozen=True, slots=True)
class Compiled:
    fields: Mapping[str, Expression]
    labels: Mapping[str, Expression]
    each: JSONPath | None
    severities: Mapping[str, Severity]
    statuses: Mapping[str, Status]
    wide: bool


def checked(mapping: Mapping[str, str]) -> Compiled:
    """The mapping, ready to be used; raises CommandError with what is wrong with it."""
    if len(mapping) > MOST:
        raise CommandError(_("At most {most} fields can be mapped.", most=MOST))
    if "title" not in mapping:
        raise CommandError(_("A mapping needs at least the title: {example}", example="title=$.alert.name"))
    return _compiled(tuple(sorted(mapping.items())))


@lru_cache(maxsize=256)
def _compiled(items: tuple[tuple[str, str], ...]) -> Compiled:
    fields: dict[str, Expression] = {}
    labels: dict[str, Expression] = {}
    each: JSONPath | None = None
    severities: dict[str, Severity] = {}
    statuses: dict[str, Status] = {}
    for name, text in items:
        stem, dot, word = name.partition(".")
        if len(text) > EXPRESSION_MAX_CHARS or len(name) > 100:
            raise CommandError(_("{field}: at most {most} characters", field=name[:60], most=EXPRESSION_MAX_CHARS))
        if name == EACH:
            each = path_of(name, text)
            if not text.startswith("$") or descents(each):
                raise wrong(name, text, _("it has to begin with $ and may not have .. in it"))
        elif name in FIELDS:
            fields[name] = expression(name, text)
        elif name.startswith(LABEL) and not is_blank(word):
            labels[word] = expression(name, text)
        elif dot and stem in WORDS and word:
            meaning = text.strip().casefold()
            if meaning not in WORDS[stem]:
                raise wrong(name, text, _("one of {words}", words=", ".join(WORDS[stem])))
            if stem == "severity":
                severities[word.casefold()] = SEVERITY_WORDS[meaning]
            else:
                statuses[word.casefold()] = "resolved" if meaning == "resolved" else "firing"
        else:
            raise CommandError(
                _(
                    "“{field}” is no field of an alert; there are {fields}.",
                    field=name[:60],
                    fields=", ".join((*FIELDS, EACH, "label.…", "severity.…", "status.…")),
                )
            )
    paths = [one.path for one in (*fields.values(), *labels.values()) if one.path is not None]
    if sum(map(is_wide, paths)) > WIDE_MAX:
        raise CommandError(_("Only {most} paths of a mapping may have *, : or .. in them.", most=WIDE_MAX))
    return Compiled(fields, labels, each, severities, statuses, any(map(is_wide, paths)))


def alerts(body: Body, mapping: Mapping[str, str], now: datetime) -> list[Alert]:
    """The alerts of the body, read by a mapping that was checked. Raises PayloadError."""
    compiled = _compiled(tuple(sorted(mapping.items())))
    if compiled.wide and len(body.raw) > WIDE_BODY_MAX_BYTES:
        raise PayloadError(
            "$", _("a mapping with *, : or .. in its paths reads at most {n} bytes at once", n=WIDE_BODY_MAX_BYTES)
        )
    top = read_json(body.raw)
    elements = [top]
    if compiled.each is not None:
        elements = list(islice(matches(compiled.each, top), ELEMENTS_MAX + 1))
        if len(elements) == 1 and isinstance(elements[0].raw, list):  # `$.alerts` for `$.alerts[*]`
            elements = elements[0].elements(ELEMENTS_MAX)
        if not elements:
            raise PayloadError(mapping[EACH], _("expected the alerts there, got nothing"))
        if len(elements) > ELEMENTS_MAX:
            raise PayloadError(mapping[EACH], _("expected at most {n} alerts", n=ELEMENTS_MAX))
    whole: dict[str, tuple[Node, ...]] = {}
    return [_alert(compiled, Scope(top, element, whole), now) for element in elements]


def _alert(compiled: Compiled, scope: Scope, now: datetime) -> Alert:
    found = {name: one.found(scope) for name, one in compiled.fields.items()}
    labels = {name: one.found(scope).said() for name, one in compiled.labels.items()}
    said = {name: one.said() for name, one in found.items()}
    title = said["title"].strip()
    if is_blank(title):
        raise PayloadError(compiled.fields["title"].looks_at(scope), _("expected the title of the alert, got nothing"))
    status = _status(said.get("status", ""), compiled.statuses)
    annotations: dict[str, str] = {}
    for path, node in _unmapped(scope):
        name = ".".join(map(str, path))
        if node.is_scalar():
            labels.setdefault(name, node.scalar())
        else:
            annotations[name] = node.compact()
    link = said.get("link", "").strip()
    given = said.get("fingerprint", "").strip()
    ends_at = _time(found.get("ends_at"))
    identity = {name: text for name, text in labels.items() if name.rpartition(".")[2].casefold() not in MEASURED}
    return fitted(
        Alert(
            fingerprint=fingerprint("json", "given", given)
            if given
            else fingerprint("json", "mapped", title, identity),
            title=title,
            status=status,
            severity=_severity(said.get("severity", ""), compiled.severities),
            description=said.get("description", ""),
            rule=labels.get("alertname") or title,
            labels={name: text for name, text in labels.items() if text},
            annotations=annotations,
            links=(("link", link),) if safe_url(link) else (),
            starts_at=_time(found.get("starts_at")),
            ends_at=ends_at or (now if status == "resolved" else None),
        )
    )


def _severity(word: str, words: Mapping[str, Severity]) -> Severity:
    return words.get(word.strip().casefold()) or severity_of(word)


def _status(word: str, words: Mapping[str, Status]) -> Status:
    known = word.strip().casefold()
    return words.get(known) or ("resolved" if known in OVER else "firing")


def _time(found: Found | None) -> datetime | None:
    """RFC 3339, or seconds or milliseconds since 1970."""
    if found is None or not found.said().strip():
        return None
    node = next((one for one in found.nodes if not one.missing), Node(found.said()))
    number = node.scalar().strip().replace(".", "", 1).isdigit()
    return node.epoch() if number else node.time()


def _unmapped(scope: Scope) -> Iterator[tuple[Path, Node]]:
    """The fields of the element that nothing refers to, objects taken apart: names and values."""
    waiting: list[tuple[Path, Node]] = [((), scope.element)]
    start = place(scope.element)
    count = 0
    while waiting and count < LABELS_MAX:
        path, node = waiting.pop()
        if (*start, *path) in scope.used and path:
            continue
        if isinstance(node.raw, dict) and len(path) < DEPTH_MAX:
            inner = [((*path, name), child) for name, child in islice(node.fields(), 10 * LABELS_MAX)]
            waiting.extend(reversed(inner))
        elif path and not node.missing and node.raw not in ([], {}):
            count += 1
            yield path, node
