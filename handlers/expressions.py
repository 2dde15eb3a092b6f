"""What a field of a mapping refers to: a JSONPath, a template, or a text that always is the same.

A JSONPath (RFC 9535) begins with `$`, the whole body, or with `@`, the element of it that is one alert. A template is a
text with `{{ … }}` (Jinja2), in which the fields of the element have their names.

Neither can be used to keep us busy: of JSONPath only steps with one name, index, slice or `*` each are taken and one
`..`, of Jinja2 only expressions without calls, loops and arithmetic. So the work grows with the size of the body alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jinja2 import ChainableUndefined, Environment, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jsonpath import JSONPath, JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import IndexSelector, NameSelector, SliceSelector, WildcardSelector

from handlers import template_errors
from handlers.errors import CommandError, PayloadError
from handlers.sources.reader import Node, clean
from handlers.texts import Say, _

VALUES_MAX = 20
VALUE_MAX_CHARS = 10_000
SEEN_DEPTH = 10
"""How deep a template sees into the element."""

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
class Found:
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
class Scope:
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
class Expression:
    """A JSONPath, a template, or (neither of them) a text that always is the same.

    source  as it was typed
    names   the fields that the template names
    """

    source: str
    path: JSONPath | None = None
    template: Any = None
    names: tuple[Path, ...] = ()

    def found(self, scope: Scope) -> Found:
        if self.path is not None:
            return Found(self._places(scope, self.path))
        if self.template is None:
            return Found(text=self.source)
        scope.used.update((*place(scope.element), *name) for name in self.names)
        try:
            return Found(text=clean(self.template.render(scope.named())).strip()[:VALUE_MAX_CHARS])
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise PayloadError(
                scope.element.path,
                _("the template {text} fails here: {why}", text=self.source, why=template_errors.told(error)),
            ) from None

    def looks_at(self, scope: Scope) -> str:
        """Where it looks, as a path from the body."""
        if self.path is None:
            return scope.element.path
        return scope.element.path + self.source[1:] if self.source.startswith("@") else self.source

    def _places(self, scope: Scope, path: JSONPath) -> tuple[Node, ...]:
        if self.source.startswith("@"):
            found = tuple(islice(matches(path, scope.element), VALUES_MAX))
        else:
            if self.source not in scope.whole:
                scope.whole[self.source] = tuple(islice(matches(path, scope.top), VALUES_MAX))
            found = scope.whole[self.source]
        scope.used.update(place(node) for node in found)
        return found


def wrong(name: str, text: str, why: Say) -> CommandError:
    """What is raised where the text cannot be what this field says."""
    return CommandError(_("{field}={text} cannot be used: {why}", field=name, text=text[:100], why=why))


def expression(name: str, text: str) -> Expression:
    """The text of this field, ready to be used. Raises CommandError."""
    if text.startswith(("$", "@")):
        return Expression(text, path=path_of(name, text))
    if "{" in text:
        template, names = _template(name, text)
        return Expression(text, template=template, names=names)
    return Expression(text)


def path_of(name: str, text: str) -> JSONPath:
    """The same for one that has to be a path."""
    try:
        path = _PATHS.compile("$" + text[1:])
    except (JSONPathError, RecursionError) as error:
        raise wrong(name, text, _INNER.sub(" ", str(error).partition("->")[0]).strip()) from None
    if not isinstance(path, JSONPath):
        raise wrong(name, text, _("it has to be one JSONPath"))
    for segment in path.segments:
        if len(segment.selectors) != 1 or not isinstance(segment.selectors[0], _SELECTORS):
            raise wrong(name, text, _("only names, indexes, slices and * can be steps of the path"))
    if descents(path) > 1:
        raise wrong(name, text, _("only one .. is possible"))
    return path


def descents(path: JSONPath) -> int:
    """How many `..` are in the path."""
    return sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in path.segments)


def is_wide(path: JSONPath) -> bool:
    """Whether it looks at much of the body: it has `*`, a slice or `..` in it."""
    return descents(path) > 0 or any(
        isinstance(segment.selectors[0], WildcardSelector | SliceSelector) for segment in path.segments
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
                what = node.name if isinstance(node, nodes.Filter) else template_errors.typed(node)
                raise wrong(name, text, _("“{what}” is not possible in a template here", what=what))
        return _TEMPLATES.from_string(text), tuple(_names(tree))
    except (TemplateError, RecursionError) as error:
        raise wrong(name, text, template_errors.told(error)) from None


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


def matches(path: JSONPath, start: Node) -> Iterator[Node]:
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


def place(node: Node) -> Path:
    """Where the node stands."""
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
        return {name: _bounded(one, depth + 1) for name, one in value.items()} if depth < SEEN_DEPTH else {}
    if isinstance(value, list):
        return [_bounded(one, depth + 1) for one in value] if depth < SEEN_DEPTH else []
    return value
