"""A document as several WeCom markdown messages: an app's message is short, and an answer must not lose its end.

The limit of 2,048 bytes is that of https://developer.work.weixin.qq.com/document/path/90236, half of a webhook's.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bot.markup.plain import MARK, boundary, cut, cut_bytes
from bot.markup.wecom import markdown
from handlers.document import Block, Document, Facts, Paragraph
from handlers.texts import Say

LINE_CHARS = 450
"""Longer lines are broken, so that with a label and in Chinese each fits into one message."""

_TAG = re.compile(r"</?font[^>]*>|`|\*\*")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def messages(document: Document, limit_bytes: int, most: int) -> list[str]:
    """The localized, cleaned document as at most `most` texts of at most `limit_bytes` each, parted between lines.

    What does not fit into so many ends with a mark.
    """
    alone = not (document.badge or document.blocks or document.links or document.footer)
    text = markdown(
        replace(document, title=cut(str(document.title), LINE_CHARS), blocks=tuple(map(_broken, document.blocks)))
    )
    if alone:
        text = text.removeprefix("### ")  # one sentence needs no heading
    parts: list[str] = []
    for line in text.split("\n"):
        whole = line if _size(line) <= limit_bytes else _bare(line, limit_bytes)
        if parts and _size(parts[-1]) + 1 + _size(whole) <= limit_bytes:
            parts[-1] += "\n" + whole
        else:
            parts.append(whole)
    if len(parts) > most:
        parts = [*parts[:most]]
        kept = parts[-1]
        while _size(kept) + 1 + _size(MARK) > limit_bytes:
            kept = kept.rpartition("\n")[0]
        parts[-1] = f"{kept}\n{MARK}"
    return parts


def _size(text: str) -> int:
    return len(text.encode())


def _broken(block: Block) -> Block:
    match block:
        case Paragraph(text):
            return Paragraph(_wrapped(text))
        case Facts(pairs):
            return Facts(tuple((cut(str(label), 80), _wrapped(value)) for label, value in pairs))
    return block


def _wrapped(text: Say) -> str:
    """The text with its over-long lines broken, at a blank where there is one."""
    lines = []
    for line in str(text).split("\n"):
        rest = line
        while len(rest) > LINE_CHARS:
            at = rest.rfind(" ", LINE_CHARS // 2, LINE_CHARS)
            at = at if at > 0 else boundary(rest, LINE_CHARS) or LINE_CHARS
            lines.append(rest[:at])
            rest = rest[at:].lstrip(" ")
        lines.append(rest)
    return "\n".join(lines)


def _bare(line: str, limit_bytes: int) -> str:
    """A line that is too long for any message, cut; without its markup, of which a cut would leave half."""
    return cut_bytes(_TAG.sub("", _LINK.sub(r"\1", line)), limit_bytes)
