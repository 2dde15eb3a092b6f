"""Templates: an admin's own words for the title or the text of the cards of a source, in Jinja2.

    template set prometheus title {{ labels.instance }}: {{ title }}

What a template gives is plain text, however hostile the alert that fills it in. Badge, number, severity, keyword, links
and what can be done stay as they are. A template cannot hang or grow: it is short, calls nothing, sets nothing, its
loops share LOOPS rounds and every text in it stays within VALUE_CHARS. That is checked when it is set, by looking at
its parts: what is not known here is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Literal

from jinja2 import ChainableUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from handlers import template_errors
from handlers.cards import NOBODY, History, care, severity_name, times, what_to_say
from handlers.document import Block, Document, Facts, Paragraph
from handlers.errors import CommandError
from handlers.model import Alert
from handlers.texts import Language, Say, _, render
from handlers.times import minute

Part = Literal["title", "text"]
PARTS: dict[Part, Say] = {"title": _("title"), "text": _("text")}


def part_of(stored: str) -> Part:
    return "title" if stored == "title" else "text"


MOST_BYTES = 4096
MOST_NODES = 400
LOOPS = 500
MOST_VALUES = 100
VALUE_CHARS = 2000
TITLE_CHARS = 200
TEXT_CHARS = 4000
ENGINE_CHARS = 200

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.For, nodes.If, nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or,
    nodes.Not, nodes.Concat, nodes.Tuple, nodes.List, nodes.Call,
)  # fmt: skip
"""What may stand in a template: nothing that multiplies, formats, defines or includes."""

_CALLS = frozenset({"items", "keys", "values"})
_TESTS = frozenset({"defined", "undefined", "none", "in"})


class TemplateFailed(Exception):
    """This template cannot be filled in; `say` is why, and the message, for the log, is the engine's where it has one."""

    def __init__(self, say: Say, engine: BaseException | None = None) -> None:
        self.say = say
        super().__init__(" ".join(str(engine or "").split())[:ENGINE_CHARS] or render(say, "en"))


class _TooLong(TemplateError):
    """Its loops go round too often."""


def _text(value: object) -> str:
    return str(value)[:VALUE_CHARS]


def _listed(value: object) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value)[:MOST_VALUES]
    return list(value)[:MOST_VALUES] if isinstance(value, Iterable) else []


def _join(value: object, between: object = "") -> str:
    return _text(str(between)[:40].join(_text(one)[:200] for one in _listed(value)))


def _replace(value: object, old: object, new: object) -> str:
    return _text(_text(value).replace(str(old), str(new)[:40])) if str(old) else _text(value)


def _truncate(value: object, most: object = 80) -> str:
    text = _text(value)
    chars = most if isinstance(most, int) and most > 0 else 80
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _default(value: object, instead: object = "") -> object:
    return value or instead


_FILTERS: dict[str, Callable[..., object]] = {
    "default": _default,
    "d": _default,
    "first": lambda value: next(iter(_listed(value)), ""),
    "join": _join,
    "last": lambda value: next(reversed(_listed(value)), ""),
    "length": lambda value: len(_listed(value)) if not isinstance(value, str) else len(value),
    "lower": lambda value: _text(value).lower(),
    "replace": _replace,
    "sort": lambda value: sorted(_listed(value), key=str),
    "trim": lambda value: _text(value).strip(),
    "truncate": _truncate,
    "upper": lambda value: _text(value).upper(),
}

_ROUNDS = "callboard_rounds"
"""Name of the variable through which every loop of one filling counts its rounds."""


class _Rounds:
    """How often the loops of one filling may still go round, all together."""

    def __init__(self) -> None:
        self.left = LOOPS

    def __call__(self, values: object) -> Iterator[Any]:
        for value in values if isinstance(values, Iterable) else ():
            self.left -= 1
            if self.left < 0:
                raise _TooLong
            yield value


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(undefined=ChainableUndefined, autoescape=False, trim_blocks=True)
    made.filters = dict(_FILTERS)
    made.globals = {}
    return made


_JINJA = _environment()


def _checked(node: nodes.Node) -> None:
    """Raises TemplateFailed for the first part that is not allowed."""
    if not isinstance(node, _NODES):
        raise TemplateFailed(_("“{what}” is not possible here", what=template_errors.typed(node)))
    if isinstance(node, nodes.Name) and (node.name == "self" or node.name.startswith("callboard")):
        raise TemplateFailed(_("there is no variable “{name}”", name=node.name))
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise TemplateFailed(_("there is no field “{name}”", name=node.attr))
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise TemplateFailed(_("there is no filter “{name}”; there are {all}", name=node.name, all=", ".join(_FILTERS)))
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise TemplateFailed(
            _("there is no test “{name}”; there are {all}", name=node.name, all=", ".join(sorted(_TESTS)))
        )
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateFailed(_("a loop cannot be recursive"))
    if isinstance(node, nodes.Call) and not _is_of_values(node):
        raise TemplateFailed(_("nothing can be called but {all}", all=".items(), .keys(), .values()"))


def _is_of_values(node: nodes.Call) -> bool:
    given = node.args or node.kwargs or node.dyn_args or node.dyn_kwargs
    return isinstance(node.node, nodes.Getattr) and node.node.attr in _CALLS and not given


@lru_cache(maxsize=128)
def _compiled(body: str) -> Template:
    """Raises TemplateFailed."""
    if len(body.encode("utf-8", "replace")) > MOST_BYTES:
        raise TemplateFailed(_("it is longer than {n} bytes", n=MOST_BYTES))
    try:
        tree = _JINJA.parse(body)
        parts = list(_all(tree))
        if len(parts) > MOST_NODES:
            raise TemplateFailed(_("it has more than {n} parts", n=MOST_NODES))
        for part in parts:
            _checked(part)
        for loop in tree.find_all(nodes.For):
            counted = nodes.Call(nodes.Name(_ROUNDS, "load"), [loop.iter], [], None, None)
            loop.iter = counted.set_lineno(loop.lineno).set_environment(_JINJA)
        return Template.from_code(_JINJA, _JINJA.compile(tree), {})
    except TemplateFailed:
        raise
    except (TemplateError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise TemplateFailed(template_errors.told(error), error) from None


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _all(child)


def fill(body: str, values: Mapping[str, object], most_chars: int) -> str:
    """The template with these values, at most so many characters. Raises TemplateFailed."""
    template = _compiled(body)
    pieces: list[str] = []
    chars = 0
    try:
        for piece in template.generate({**values, _ROUNDS: _Rounds()}):
            pieces.append(piece)
            chars += len(piece)
            if chars > most_chars:
                break
    except _TooLong:
        raise TemplateFailed(_("its loops go round more than {n} times", n=LOOPS)) from None
    except Exception as error:  # whatever its expressions run into: 1 < "a", a sequence that is none
        raise TemplateFailed(template_errors.told(error), error) from None
    text = "".join(pieces).strip()
    return text if len(text) <= most_chars else text[: most_chars - 1] + "…"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a card is about, and for whom: all that a template can name."""

    alert: Alert
    number: int | None
    source: str
    group: str
    zone: tzinfo
    language: Language
    history: History = NOBODY


def values(about: Occasion) -> dict[str, object]:
    """The variables of a template: texts, and maps and lists of texts. Each is bounded."""
    alert = about.alert

    def texts(pairs: Mapping[str, str]) -> dict[str, str]:
        return {name[:200]: _text(text) for name, text in list(pairs.items())[:MOST_VALUES]}

    said = {render(label, "en"): render(value, about.language) for label, value in times(alert, about.zone)}
    return {
        "title": _text(alert.title),
        "description": _text(alert.description),
        "status": alert.status,
        "severity": alert.severity,
        "severity_name": render(severity_name(alert.severity), about.language),
        "rule": _text(alert.rule),
        "labels": texts(alert.labels),
        "annotations": texts(alert.annotations),
        "links": [{"label": _text(label), "url": _text(url)} for label, url in alert.links[:MOST_VALUES]],
        "number": str(about.number or ""),
        "source": about.source,
        "group": about.group,
        "since": said.get("Since", ""),
        "ended": said.get("Ended", ""),
        "lasted": said.get("Lasted", ""),
        "acked_by": _text(about.history.acked_by),
        "acked_at": minute(about.history.acked_at, about.zone) if about.history.acked_at else "",
        "language": about.language,
    }


def applied(document: Document, part: Part, body: str, about: Occasion) -> Document:
    """The standard card with that part as the template says. Raises TemplateFailed; what comes out empty changes nothing."""
    if part == "title":
        title = fill(body, values(about), TITLE_CHARS)
        return replace(document, title=" ".join(title.split()) or document.title)
    text = fill(body, values(about), TEXT_CHARS)
    if not text:
        return document
    kept = ((_("Severity"), severity_name(about.alert.severity)), *care(about.alert, about.history, about.zone))
    blocks: tuple[Block, ...] = (Paragraph(text), Facts(kept))
    return replace(document, blocks=blocks, footer=what_to_say(about.alert, about.number))


def check(part: Part, body: str, about: Occasion) -> None:
    """Raises CommandError when the template cannot be used for such a card."""
    try:
        applied(Document(""), part, body, about)
    except TemplateFailed as error:
        raise CommandError(_("This template does not work: {why}", why=error.say)) from None


SAMPLE = Alert(
    fingerprint="sample",
    title="CPU usage of db-7 is high",
    severity="critical",
    description="CPU usage was above 90% for 5 minutes.",
    rule="cpu_high",
    labels={"instance": "db-7", "region": "cn-shanghai", "value": "97%"},
    annotations={"summary": "CPU usage is 97%"},
    links=(("runbook", "https://runbook.example.com/cpu"),),
    starts_at=datetime(2026, 3, 28, 1, 0, tzinfo=UTC),
)
"""What a template is tried with as long as its source has reported nothing."""
