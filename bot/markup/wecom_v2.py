"""The newer markdown of WeCom, in which its smart robot speaks: lists, tables, code and rules; no colours, no mentions.

https://developer.work.weixin.qq.com/document/path/101138 and …/91770 (`markdown_v2`). Pictures would be fetched by every
reader, and no escape is documented: what would be markup in a value becomes a look-alike of full width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.markup.plain import MARK, clean, one_line, unmentioned
from bot.markup.wecom import DOTS
from handlers.document import Block, Document, Examples, Facts, Items, Paragraph, Table
from handlers.urls import safe_url

_WIDE = str.maketrans({"<": "＜", ">": "＞", "[": "［", "]": "］", "`": "＇", "*": "∗", "|": "｜", "$": "＄"})
_UNDERSCORES = re.compile(r"(?<![^\W_])_+(?=\S)|(?<=\S)_+(?![^\W_])")
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~]|$)", re.MULTILINE)
_ENTITY = re.compile(r"&(?=#|[A-Za-z][A-Za-z0-9]*;)")
# A heading; an item of a list; a rule, or the line below a heading; a number of a list. Not `+8613800138000`.
_LINE_START = re.compile(r"^[ \t]*(?:(#)|([-+])(?=\s|$)|([-=])(?=[-= \t]*$)|(\d{1,9})([.)])(?=\s|$))", re.MULTILINE)
_WIDE_START = {"#": "＃", "=": "＝", "-": "－", "+": "＋", ".": "．", ")": "）"}


def escape(text: str) -> str:
    """Plain text that shows the same words and does nothing, wherever it is put."""
    text = clean(text).translate(_WIDE).replace("~~", "～～")
    text = _UNDERSCORES.sub(lambda found: "＿" * len(found[0]), text)
    text = _ENTITY.sub("＆", _BACKSLASH.sub("＼", text))
    text = _LINE_START.sub(
        lambda found: (found[4] or "") + _WIDE_START[found[1] or found[2] or found[3] or found[5]], text
    )
    return unmentioned(text)


def markdown(document: Document) -> str:
    """A localized, cleaned document. Not cut: that is done to the document before."""
    heading = escape(one_line(document.heading())) or MARK
    if document.number is not None:
        heading = heading.replace("＃", "#", 1)  # behind `###` it begins nothing, and people may search for #42
    alone = not (document.badge or document.blocks or document.links or document.footer)
    mark = "" if alone else "### "  # one sentence needs no heading
    pieces = [mark + " ".join(part for part in (DOTS[document.tone], heading) if part)]
    pieces.extend("\n".join(_lines(block)) for block in document.blocks)
    links = (link for link in document.links if safe_url(link.url))
    pieces.append("\n".join(f"- {_link(str(link.label), link.url)}" for link in links))
    if document.footer:
        pieces.append(f"> {escape(one_line(str(document.footer)))}")
    return "\n\n".join(piece for piece in pieces if piece)


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(text):
            # A single line break may be shown as a blank.
            yield re.sub(r"\n+", "\n\n", escape(str(text)))
        case Facts(pairs):
            for label, value in pairs:
                yield f"- **{escape(one_line(str(label)))}**: {_within(str(value))}"
        case Items(items, ordered):
            for at, item in enumerate(items, 1):
                yield (f"{at}. " if ordered else "- ") + _within(str(item))
        case Table(header, rows):
            yield _row(header)
            yield "|" + " :- |" * len(header)
            for row in rows:
                yield _row(row)
        case Examples(commands):
            # Each on its own, so that one can be copied; nothing in code is markup but its end.
            yield "\n\n".join(f"`{one_line(str(command)).replace('`', '＇')}`" for command in commands)


def _row(cells: tuple[object, ...]) -> str:
    return "| " + " | ".join(escape(one_line(str(cell))) or "–" for cell in cells) + " |"


def _within(text: str) -> str:
    """A value of a list: its further lines stay in it."""
    return re.sub(r"\n+", "\n  ", escape(text))


def _link(label: str, url: str) -> str:
    return f"[{escape(one_line(label))}]({url.replace('(', '%28').replace(')', '%29')})"
