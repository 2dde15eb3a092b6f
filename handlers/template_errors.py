"""What is wrong with a template, in words: the engine says it in English only, and of its own parts rather than signs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from jinja2 import TemplateSyntaxError, nodes

from handlers.texts import Say, _

_SIGNS: Mapping[str, Say] = {
    "end of template": _("the end"),
    "begin of print statement": "{{",
    "end of print statement": "}}",
    "begin of statement block": "{%",
    "end of statement block": "%}",
    "begin of comment": "{#",
    "end of comment": "#}",
}
"""What the engine calls its tokens -> how they are typed."""

_TYPED: Mapping[type[nodes.Node], str] = {
    nodes.Assign: "set",
    nodes.AssignBlock: "set",
    nodes.CallBlock: "call",
    nodes.Dict: "{…}",
    nodes.FilterBlock: "filter",
    nodes.FromImport: "from",
    nodes.ScopedEvalContextModifier: "autoescape",
}

_KNOWN: tuple[tuple[re.Pattern[str], Callable[[int, Say, Say], Say]], ...] = (
    (
        re.compile(r"(?i)(?:Encountered|You provided an) unknown tag '(.+?)'()"),
        lambda line, tag, _none: _("line {line}: there is no tag “{tag}”", line=line, tag=tag),
    ),
    (
        re.compile(r"(?i)expected token '(.+?)', got '(.+?)'$"),
        lambda line, wanted, got: _(
            "line {line}: “{wanted}” is expected where “{got}” is", line=line, wanted=wanted, got=got
        ),
    ),
    (
        re.compile(r"(?i)expected an expression, got '(.+?)'()$"),
        lambda line, got, _none: _("line {line}: something is missing before “{got}”", line=line, got=got),
    ),
    (
        re.compile(r"(?i)unexpected end of template()()|^Missing end of ()()"),
        lambda line, _none, _other: _("line {line}: something that was opened is not closed", line=line),
    ),
    (
        re.compile(r"(?i)unexpected (?:char )?['\"](.+?)['\"](?: at \d+|, expected .*)?()$"),
        lambda line, got, _none: _("line {line}: “{got}” is not expected here", line=line, got=got),
    ),
)


def typed(node: nodes.Node) -> str:
    """How a part of a template is written: `*` for what the engine calls Mul."""
    sign = getattr(node, "operator", None) or _TYPED.get(type(node))
    return str(sign or type(node).__name__.lower())


def told(error: BaseException) -> Say:
    """Why it cannot be read or filled in."""
    if isinstance(error, RecursionError | MemoryError):
        return _("it is nested too deeply")
    if not isinstance(error, TemplateSyntaxError):
        return _("something in it cannot be done with these values, such as comparing a text with a number")
    message = " ".join((error.message or "").split())
    for pattern, sentence in _KNOWN:
        if match := pattern.search(message):
            first, second = (_SIGNS.get(part, part) for part in [*filter(None, match.groups()), "", ""][:2])
            return sentence(error.lineno, first, second)
    return _("line {line}: this cannot be read as a template", line=error.lineno)
