"""Reads the JSON of systems that have no kind of their own: where in their bodies the fields of an alert stand.

A mapping is a dict of texts as people type them:

    title, status, severity, description, link, fingerprint, starts_at, ends_at, label.<name>
                      a JSONPath or a template: what the field says
    each              a JSONPath: the objects that are one alert each; without it the body is one
    severity.<word>, status.<word>
                      what a word of theirs means: `severity.P1` -> "critical", `status.ok` -> "resolved"

A JSONPath (RFC 9535) begins with `$`, the whole body, or with `@`, the element of `each` at hand. A template is a text
with `{{ … }}` (Jinja2), in which the fields of the element have their names. What is neither is a text that always is
the same. Scalar fields that nothing refers to become labels.

Neither can be used to keep us busy: of JSONPath only steps with one name, index, slice or `*` each are taken and one
`..`, of Jinja2 only expressions without calls, loops and arithmetic. So the work grows with the size of the body alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from jinja2 import ChainableUndefined, Environment, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jsonpath import JSONPath, JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import IndexSelector, NameSelector, SliceSelector, WildcardSelector

from handlers.errors import CommandError, PayloadError
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
from handlers.sources.reader import Node, clean, read_json
from handlers.texts import Say, _
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
VALUES_MAX = 20
WIDE_MAX = 3
"""Paths with `*`, a slice or `..`, which look at much of the body each."""

WIDE_BODY_MAX_BYTES = 256 * 1024
ELEMENTS_MAX = 2_000
VALUE_MAX_CHARS = 10_000
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

FILTERS = ("default", "d", "first", "last", "length", "lower", "string", "title", "trim", "upper")
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const),
    *(nodes.Filter, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat),
)
_SELECTORS = (NameSelector, IndexSelector, SliceSelector, WildcardSelector)
_PATHS = JSONPathEnvironment(strict=True, filter_caching=False)
_INNER = re.compile(r"\s+")

Path = tuple[str | int, ...]
"""Where a value stands, seen from the body."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a field refers to: places in the body with their values, or a text that was put together."""

    nodes: tuple[Node, ...] = ()
    text: str | None = None

    def said(self) -> str:
        if self.text is not None:
            return self.text
        return ", ".join(
            node.scalar() if node.is_scalar() else node.compact() for node in self.nodes if not node.missing
        )


@dataclass(slots=True)
class _Scope:
    """The body and the element at hand; what was found in the whole body is looked for once only."""

    top: Node
    element: Node
    whole: dict[str, tuple[Node, ...]]
    used: set[Path] = field(default_factory=set)
    values: dict[str, Any] | None = None

    def named(self) -> dict[str, Any]:
        """The fields of the element, as a template sees them."""
        if self.values is None:
            bounded = _bounded(self.element.raw)
            self.values = bounded if isinstance(bounded, dict) else {"value": bounded}
        return self.values


@dataclass(frozen=True, slots=True)
class _Expression:
    """One compiled right-hand side: exactly one of the three."""

    source: str
    path: JSONPath | None = None
    template: Any = None
    names: tuple[Path, ...] = ()

    def found(self, scope: _Scope) -> _Found:
        if self.path is not None:
            return _Found(self._places(scope, self.path))
        if self.template is None:
            return _Found(text=self.source)
        scope.used.update((*_place(scope.element), *name) for name in self.names)
        try:
            return _Found(text=clean(self.template.render(scope.named())).strip()[:VALUE_MAX_CHARS])
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise PayloadError(
                scope.element.path, _("the template {text} fails here: {why}", text=self.source, why=str(error)[:200])
            ) from None

    def _places(self, scope: _Scope, path: JSONPath) -> tuple[Node, ...]:
        if self.source.startswith("@"):
            found = tuple(islice(_matches(path, scope.element), VALUES_MAX))
        else:
            if self.source not in scope.whole:
                scope.whole[self.source] = tuple(islice(_matches(path, scope.top), VALUES_MAX))
            found = scope.whole[self.source]
        scope.used.update(_place(node) for node in found)
        return found


@dataclass(frozen=True, slots=True)
class Compiled:
    fields: Mapping[str, _Expression]
    labels: Mapping[str, _Expression]
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
    fields: dict[str, _Expression] = {}
    labels: dict[str, _Expression] = {}
    each: JSONPath | None = None
    severities: dict[str, Severity] = {}
    statuses: dict[str, Status] = {}
    for name, text in items:
        stem, dot, word = name.partition(".")
        if len(text) > EXPRESSION_MAX_CHARS or len(name) > 100:
            raise CommandError(_("{field}: at most {most} characters", field=name[:60], most=EXPRESSION_MAX_CHARS))
        if name == EACH:
            each = _path(name, text)
            if not text.startswith("$") or any(isinstance(s, JSONPathRecursiveDescentSegment) for s in each.segments):
                raise _wrong(name, text, _("it has to begin with $ and may not have .. in it"))
        elif name in FIELDS:
            fields[name] = _expression(name, text)
        elif name.startswith(LABEL) and not is_blank(word):
            labels[word] = _expression(name, text)
        elif dot and stem in WORDS and word:
            meaning = text.strip().casefold()
            if meaning not in WORDS[stem]:
                raise _wrong(name, text, _("one of {words}", words=", ".join(WORDS[stem])))
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
    if sum(map(_is_wide, paths)) > WIDE_MAX:
        raise CommandError(_("Only {most} paths of a mapping may have *, : or .. in them.", most=WIDE_MAX))
    return Compiled(fields, labels, each, severities, statuses, any(map(_is_wide, paths)))


def _wrong(name: str, text: str, why: Say) -> CommandError:
    return CommandError(_("{field}={text} cannot be used: {why}", field=name, text=text[:100], why=why))


def _expression(name: str, text: str) -> _Expression:
    if text.startswith(("$", "@")):
        return _Expression(text, path=_path(name, text))
    if "{" in text:
        template, names = _template(name, text)
        return _Expression(text, template=template, names=names)
    return _Expression(text)


def _path(name: str, text: str) -> JSONPath:
    try:
        path = _PATHS.compile("$" + text[1:])
    except (JSONPathError, RecursionError) as error:
        raise _wrong(name, text, _INNER.sub(" ", str(error).partition("->")[0]).strip()) from None
    if not isinstance(path, JSONPath):
        raise _wrong(name, text, _("it has to be one JSONPath"))
    for segment in path.segments:
        if len(segment.selectors) != 1 or not isinstance(segment.selectors[0], _SELECTORS):
            raise _wrong(name, text, _("only names, indexes, slices and * can be steps of the path"))
    if sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in path.segments) > 1:
        raise _wrong(name, text, _("only one .. is possible"))
    return path


def _is_wide(path: JSONPath) -> bool:
    return any(
        isinstance(segment, JSONPathRecursiveDescentSegment)
        or isinstance(segment.selectors[0], WildcardSelector | SliceSelector)
        for segment in path.segments
    )


class _Fields(ImmutableSandboxedEnvironment):
    """Names behind a dot are fields of the body and never Python's (`alert.items`)."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return obj[attribute] if isinstance(obj, dict) and attribute in obj else self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, list) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.getattr(obj, str(argument))


def _environment() -> Environment:
    environment = _Fields(autoescape=False, undefined=ChainableUndefined)
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.globals = {}
    return environment


_TEMPLATES = _environment()


def _template(name: str, text: str) -> tuple[Any, tuple[Path, ...]]:
    """The compiled template and the fields it names."""
    try:
        tree = _TEMPLATES.parse(text)
        for node in tree.find_all(nodes.Node):
            if not isinstance(node, _ALLOWED) or (isinstance(node, nodes.Filter) and node.name not in FILTERS):
                what = node.name if isinstance(node, nodes.Filter) else type(node).__name__.lower()
                raise _wrong(name, text, _("“{what}” is not possible in a template here", what=what))
        return _TEMPLATES.from_string(text), tuple(_names(tree))
    except (TemplateError, RecursionError) as error:
        raise _wrong(name, text, str(error)[:200]) from None


def _names(node: nodes.Node) -> Iterator[Path]:
    """The places that the template names, each by its whole name."""
    if (name := _name(node)) is not None:
        yield name
        return
    for inner in node.iter_child_nodes():
        yield from _names(inner)


def _name(node: nodes.Node) -> Path | None:
    """`alert.name` and `alert["name"]` as the place they stand for; None for every other expression."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        before, step = _name(node.node), node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        before, step = _name(node.node), node.arg.value
    else:
        return None
    return (*before, step) if before is not None else None


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
        elements = list(islice(_matches(compiled.each, top), ELEMENTS_MAX + 1))
        if len(elements) == 1 and isinstance(elements[0].raw, list):  # `$.alerts` for `$.alerts[*]`
            elements = elements[0].elements(ELEMENTS_MAX)
        if not elements:
            raise PayloadError(mapping[EACH], _("expected the alerts there, got nothing"))
        if len(elements) > ELEMENTS_MAX:
            raise PayloadError(mapping[EACH], _("expected at most {n} alerts", n=ELEMENTS_MAX))
    whole: dict[str, tuple[Node, ...]] = {}
    return [_alert(compiled, _Scope(top, element, whole), now) for element in elements]


def _alert(compiled: Compiled, scope: _Scope, now: datetime) -> Alert:
    found = {name: expression.found(scope) for name, expression in compiled.fields.items()}
    labels = {name: expression.found(scope).said() for name, expression in compiled.labels.items()}
    said = {name: one.said() for name, one in found.items()}
    title = said["title"].strip()
    if is_blank(title):
        place = compiled.fields["title"]
        raise PayloadError(
            _shown(place, scope),
            _("expected the title of the alert, got nothing"),
        )
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


def _shown(place: _Expression, scope: _Scope) -> str:
    """Where the expression looks, as a path from the body."""
    if place.path is None:
        return scope.element.path
    return scope.element.path + place.source[1:] if place.source.startswith("@") else place.source


def _severity(word: str, words: Mapping[str, Severity]) -> Severity:
    return words.get(word.strip().casefold()) or severity_of(word)


def _status(word: str, words: Mapping[str, Status]) -> Status:
    known = word.strip().casefold()
    return words.get(known) or ("resolved" if known in OVER else "firing")


def _time(found: _Found | None) -> datetime | None:
    """RFC 3339, or seconds or milliseconds since 1970."""
    if found is None or not found.said().strip():
        return None
    node = next((one for one in found.nodes if not one.missing), Node(found.said()))
    number = node.scalar().strip().replace(".", "", 1).isdigit()
    return node.epoch() if number else node.time()


def _unmapped(scope: _Scope) -> Iterator[tuple[Path, Node]]:
    """The fields of the element that nothing refers to, objects taken apart: names and values."""
    waiting: list[tuple[Path, Node]] = [((), scope.element)]
    start = _place(scope.element)
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


def _matches(path: JSONPath, start: Node) -> Iterator[Node]:
    """The places that the path leads to, each with its whole way from the body."""
    raw: Any = start.raw
    try:
        for match in path.finditer(raw):
            yield _down(start, match.parts)
    except (JSONPathError, RecursionError):
        raise PayloadError(start.path, _("expected flat data, got lists or objects nested too deeply")) from None


def _down(start: Node, steps: Sequence[str | int]) -> Node:
    node = start
    for step in steps:
        raw: Any = node.raw
        node = Node(raw[step], node, step)
    return node


def _place(node: Node) -> Path:
    steps: list[str | int] = []
    at: Node | None = node
    while at is not None and at.parent is not None:
        steps.append(at.key)
        at = at.parent
    return tuple(reversed(steps))


def _bounded(value: Any, depth: int = 0) -> Any:
    """The element as a template sees it: its texts no longer than a field can be, and nothing deep in it."""
    if isinstance(value, str):
        return value[:VALUE_MAX_CHARS]
    if isinstance(value, dict):
        return {name: _bounded(one, depth + 1) for name, one in value.items()} if depth < 2 * DEPTH_MAX else {}
    if isinstance(value, list):
        return [_bounded(one, depth + 1) for one in value] if depth < 2 * DEPTH_MAX else []
    return value
