"""WeCom markdown: headings, bold, links, `code`, quotes and three font colours; no lists, tables or pictures.

https://developer.work.weixin.qq.com/document/path/91770. No escape is documented, so what would be markup in a value
becomes a look-alike of full width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.markup.plain import MARK, clean, one_line, unmentioned
from handlers.document import Block, Document, Examples, Facts, Items, Paragraph, Table
from handlers.urls import safe_url

COLOURS = {"critical": "warning", "warning": "warning", "info": "comment", "resolved": "info", "neutral": ""}
"""Tone -> font colour: `warning` is orange-red, `comment` grey, `info` green."""

DOTS = {"critical": "🔴", "warning": "🟠", "info": "🔵", "resolved": "🟢", "neutral": ""}

_WIDE = str.maketrans({"<": "＜", ">": "＞", "[": "［", "]": "］", "`": "＇"})
_MARKUP = re.compile(r"[<>\[\]`*#@]")
_STARS = re.compile(r"\*{2,}")
_LINE_START = re.compile(r"^[ \t]*#", re.MULTILINE)


def escape(text: str) -> str:
    """Plain text as WeCom markdown (and as a text message) that shows the same words and does nothing."""
    text = clean(text)
    if not _MARKUP.search(text):
        return text
    text = text.translate(_WIDE)
    text = _STARS.sub(lambda found: "∗" * len(found[0]), text)
    text = _LINE_START.sub(lambda found: found[0][:-1] + "＃", text)
    return unmentioned(text)


def markdown(document: Document) -> str:
    """A localized, cleaned document as WeCom markdown. Not cut: that is done to the document before."""
    marker = " ".join(
        part
        for part in (
            f"[{escape(str(document.badge))}]" if document.badge else "",
            f"#{document.number}" if document.number is not None else "",
        )
        if part
    )
    colour = COLOURS[document.tone]
    if marker and colour:
        marker = f'<font color="{colour}">{marker}</font>'
    parts = (DOTS[document.tone], marker, escape(one_line(str(document.title))) or MARK)
    pieces = ["### " + " ".join(part for part in parts if part)]
    pieces.extend("\n".join(_lines(block)) for block in document.blocks)
    pieces.append("\n".join(_link(str(link.label), link.url) for link in document.links if safe_url(link.url)))
    if document.footer:
        pieces.append(f'<font color="comment">{escape(str(document.footer))}</font>')
    return "\n".join(piece for piece in pieces if piece)


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield escape(str(text))
        case Facts(pairs):
            for label, value in pairs:
                yield f'> <font color="comment">{escape(one_line(str(label)))}:</font> {_within(str(value))}'
        case Items(items, ordered):
            for at, item in enumerate(items, 1):
                yield (f"{at}. " if ordered else "• ") + escape(one_line(str(item)))
        case Table(header, rows):
            if any(str(cell) for cell in header):
                yield "**" + " · ".join(escape(one_line(str(cell))).replace("*", "∗") for cell in header) + "**"
            for row in rows:
                yield "> " + " · ".join(escape(one_line(str(cell))) or "–" for cell in row)
        case Examples(commands):
            for command in commands:
                yield f"`{escape(one_line(str(command)))}`"


def _within(text: str) -> str:
    """A value of a quoted line: its further lines are quoted as well."""
    return escape(text).replace("\n", "\n> ")


def _link(label: str, url: str) -> str:
    return f"[{escape(one_line(label)).replace('*', '∗')}]({url.replace('(', '%28').replace(')', '%29')})"
