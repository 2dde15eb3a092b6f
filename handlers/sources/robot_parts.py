"""What the messages for chat robots have in common, whichever platform they were written for. No kind of its own.

Other platforms show the words of a message and none of its markup, as that was written for one platform only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

from handlers.errors import PayloadError
from handlers.sources.contract import is_blank
from handlers.sources.reader import Node, clean
from handlers.texts import _

TEXT_MAX_CHARS = 40_000
"""More of a message is never looked at; no platform shows more."""

BODY_MAX_BYTES = 65_536
"""A larger message is not kept in its own form: no robot takes it (but WeCom's, as a picture)."""

DEPTH_MAX = 40

Links = tuple[tuple[str, str], ...]

_IMAGE = re.compile(r"!\[([^\[\]\n]{0,300})\]\(([^()\s]{1,2000})\)")
_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\(([^()\s]{1,2000})\)")
_BREAK = re.compile(r"<br\s{0,9}/?>", re.IGNORECASE)
_TAG = re.compile(r"</?(?:font|b|i|u|strong|em|text_tag|person)(?:\s[^<>]{0,200})?>", re.IGNORECASE)
_AT = re.compile(r"<at\s[^<>]{0,200}>([^<>]{0,100})</at>|<@([^<>\s]{1,100})>", re.IGNORECASE)
_LINE_START = re.compile(r"^[ \t]*(?:>[ \t]?){0,4}(?:#{1,6}[ \t]+)?", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:-{3,40}|\*{3,40})[ \t]*$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n\s*\n")
_MARKS = re.compile(r"\*\*|~~|```|`")

_SLACK = re.compile(r"<([^<>|]{1,2000})(?:\|([^<>]{0,300}))?>")


@dataclass(frozen=True, slots=True)
class Said:
    """What a message says.

    title  "" when the message has none of its own: then it is the first line of the text
    body   the message in the form of its platform; None when it cannot go out again as it is
    given  what the sender calls this message, so that it comes once only; "" when he does not say
    """

    title: str
    text: str
    links: Links = ()
    body: dict[str, Any] | None = None
    given: str = ""


def titled(said: Said, path: str) -> Said:
    """What was said with a title, and without saying the same line twice; raises PayloadError when nothing was."""
    text = said.text[:TEXT_MAX_CHARS].strip()
    first, _line, rest = text.partition("\n")
    title = said.title.strip()
    if is_blank(title):
        title, text = first.strip(), rest.strip()
    elif first.strip() == title:
        text = rest.strip()
    if is_blank(title):
        raise PayloadError(path, _("expected a message with a text"))
    return replace(said, title=title, text=text)


def from_markdown(markdown: str) -> tuple[str, Links]:
    """The words of a text in the markdown of DingTalk, WeCom or Lark, and the links in it."""
    links: list[tuple[str, str]] = []

    def image(found: re.Match[str]) -> str:
        links.append(("image", found[2]))
        return found[1]

    def link(found: re.Match[str]) -> str:
        links.append((without_marks(found[1]), found[2]))
        return found[1]

    text = markdown[:TEXT_MAX_CHARS].replace("\r\n", "\n")
    text = _LINK.sub(link, _IMAGE.sub(image, text))
    text = _RULE.sub("", _TAG.sub("", _BREAK.sub("\n", from_text(text))))
    text = without_marks(_LINE_START.sub("", text))
    return _tidy(text), tuple(links)


def from_text(text: str) -> str:
    """A text without markup, in which people can be mentioned all the same."""
    return _AT.sub(_called, text[:TEXT_MAX_CHARS])


def _called(mention: re.Match[str]) -> str:
    return f"@{mention[1] or mention[2] or ''}"


def without_marks(text: str) -> str:
    return _MARKS.sub("", text)


def from_mrkdwn(text: str) -> tuple[str, Links]:
    """The words of a text of Slack's, and the links in it."""
    links: list[tuple[str, str]] = []

    def bracket(found: re.Match[str]) -> str:
        what, label = found[1], found[2] or ""
        if what.startswith(("@", "#")):
            return f"{what[0]}{label or what[1:]}"
        if what.startswith("!"):
            return label or f"@{what[1:].partition('^')[0]}"
        links.append((unescape(label) or "link", unescape(what)))
        return label or what

    return unescape(_SLACK.sub(bracket, text[:TEXT_MAX_CHARS])), tuple(links)


def _tidy(text: str) -> str:
    """Lines without blanks at their ends, and no run of empty ones."""
    return _BLANK_LINES.sub("\n\n", "\n".join(line.strip() for line in text.split("\n"))).strip()


def joined(parts: Iterable[str]) -> str:
    """The parts that say something, one below the other."""
    return "\n".join(part for part in parts if part.strip())


def kept(body: dict[str, Any]) -> dict[str, Any] | None:
    """The message as it may be stored and sent again: cleaned; None when it is too large for that."""
    whole = cleaned(body)
    return whole if len(json.dumps(whole, ensure_ascii=False).encode()) <= BODY_MAX_BYTES else None


def cleaned(value: Any, depth: int = 0) -> Any:
    """A JSON value with every text in it cleaned; raises PayloadError when it is nested deeper than any message is."""
    if depth > DEPTH_MAX:
        raise PayloadError("$", _("expected flat data, got lists or objects nested too deeply"))
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [cleaned(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {clean(name): cleaned(one, depth + 1) for name, one in value.items()}
    return value


def objects(node: Node, at_most: int = 100) -> list[Node]:
    """The elements of a list that may be missing, as many as are looked at."""
    return [] if node.missing else node.elements(1_000)[:at_most]


def unknown_type(node: Node, known: Iterable[str]) -> PayloadError:
    return node.wrong(_("one of {words}", words=", ".join(known)))
