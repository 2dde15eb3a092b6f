"""DingTalk markdown: plain text made harmless, documents made readable on a phone.

Only the documented subset is used: headings, quotes, bold, links and lists
(https://open.dingtalk.com/document/development/robot-message-type). There are no tables and no code in it, and no way
to escape is documented. So nothing here relies on backslashes or entities: a mark that would begin a structure gets a
zero-width space behind or before it, and emphasis marks that would pair up become look-alikes. Both show as plain text
in every renderer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from bot.markup.plain import MARK, clean, cut, one_line
from handlers.document import Block, Document, Examples, Facts, Items, Link, Paragraph, Table
from handlers.urls import safe_url

TEXT_MAX_BYTES = 14_000
"""Of the text as a JSON string. `msgParam` of the app's API may have 15,000 bytes, a webhook body 20,000
(https://open.dingtalk.com/document/development/the-robot-sends-a-group-message)."""

TITLE_MAX_CHARS = 120
"""Of the preview in the list of conversations; phones show about 20 of them."""

HEADING_MAX_CHARS = 400
LINKS_MAX = 10
ZWSP = "\u200b"
BREAK = "  \n  "
"""A line break within a paragraph: two blanks before and behind (https://open.dingtalk.com/document/development/faq-robot)."""

DOTS = {"critical": "🔴", "warning": "🟠", "info": "🔵", "resolved": "🟢", "neutral": ""}

# What would begin a link, a tag, an entity, a mention or a command of the client, each split behind its first group.
_INLINE = re.compile(
    r"(\])(?=[(\[:])"
    r"|(<)(?=[A-Za-z/!?])"
    r"|(&)(?=#|[A-Za-z][A-Za-z0-9]*;)"
    r"|(!)(?=\[)"
    r"|((?<![\w.*+\-])@)(?=\w)"
    r"|(@)(?=\w+(?![\w.\-]))"
    r"|((?i:dtmd|dingtalk):)(?=/)"
)
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~]|$)", re.MULTILINE)
# What would begin a heading, quote, list, rule, table or code at the start of a line.
_LINE_START = re.compile(r"^(?=[#>\-*_=|~]|\+(?:\s|$)|\d{1,9}[.)](?:\s|$))", re.MULTILINE)
_EMPTY_LINES = re.compile(r"\n(?:\s*\n)+")
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_EMPHASIS = {"*": "∗", "_": "＿"}
_RUNS = {mark: re.compile(re.escape(mark) + "+") for mark in _EMPHASIS}
# What has nothing of all that, as most values do: words and numbers with single blanks between, and signs that begin a
# structure nowhere but at the start of a line.
_HARMLESS = re.compile(
    r"(?!\d{1,9}[.)](?: |$))[A-Za-z0-9\u4e00-\u9fff.,;:()%'\"，。：；（）、？！…“”·]"
    r"[A-Za-z0-9\u4e00-\u9fff.,;:()%'\"，。：；（）、？！…“”·#=+\-]*"
    r"(?: [A-Za-z0-9\u4e00-\u9fff.,;:()%'\"，。：；（）、？！…“”·#=+\-]+)*"
)
_QUOTED = json.JSONEncoder(ensure_ascii=False)


def _cannot_pair(text: str, mark: str) -> str:
    """The text with each run of `mark` replaced that could open an emphasis and has one behind it that could close it.

    The rule is that of https://spec.commonmark.org/0.31.2/#emphasis-and-strong-emphasis, for asterisks without what it
    says of signs beside them: DingTalk does not say what its clients follow, and simple ones pair any two. A single run
    stays what it is, so that `138****5678` can be read, searched and copied.
    """
    if text.count(mark) < 2:
        return text
    runs = []
    for found in _RUNS[mark].finditer(text):
        before = text[found.start() - 1] if found.start() else " "
        after = text[found.end()] if found.end() < len(text) else " "
        blank_before, blank_after = before.isspace(), after.isspace()
        sign_before, sign_after = (unicodedata.category(ch)[0] in "PS" for ch in (before, after))
        left, right = not blank_after, not blank_before
        if mark == "_":
            left = left and (not sign_after or blank_before or sign_before)
            right = right and (not sign_before or blank_after or sign_after)
            left, right = left and (not right or sign_before), right and (not left or sign_after)
        runs.append((found.start(), found.end(), left, right))
    closer_behind = False
    for start, end, opens, closes in reversed(runs):
        if opens and closer_behind:
            text = text[:start] + _EMPHASIS[mark] * (end - start) + text[end:]
        closer_behind = closer_behind or closes
    return text


def _calm(text: str) -> str:
    return _cannot_pair(_cannot_pair(text, "*"), "_")


def escape(text: str, *, bold: bool = False) -> str:
    """Plain text as DingTalk markdown that shows exactly that text, line breaks included.

    With `bold` it may stand between `**` and `**`: one line, and no asterisk in it stays one. The result never is the
    start of a structure, wherever it is put.
    """
    if _HARMLESS.fullmatch(text):
        return text
    text = _EMPTY_LINES.sub("\n", clean(text).strip("\n"))
    if bold:
        text = " ".join(text.split())
    text = _INDENT.sub(lambda found: "\u00a0" * min(len(found[0].expandtabs(4)), 12), text)
    text = text.replace("`", "｀").replace("~~", "～～")
    text = _BACKSLASH.sub("＼", text)
    if bold:
        text = text.replace("*", _EMPHASIS["*"])
    # Before and after, because a zero-width space counts as a letter beside a mark, but not in every renderer.
    text = _calm(text)
    text = _calm(_LINE_START.sub(ZWSP, _INLINE.sub(lambda found: found[0] + ZWSP, text)))
    return BREAK.join(line.rstrip() for line in text.split("\n"))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A line of the result: `before` is our markup, `text` is plain and may be cut, `gap` parts it from the last."""

    before: str
    text: str
    gap: str = "\n"

    def rendered(self, text: str) -> str:
        return self.gap + self.before + escape(text)


def _pieces(block: Block) -> Iterator[_Piece]:
    match block:
        case Paragraph(text):
            yield _Piece("", str(text), "\n\n")
        case Facts(pairs):
            for at, (label, value) in enumerate(pairs):
                yield _Piece(f"- **{escape(cut(str(label), 200), bold=True) or MARK}**: ", str(value), _gap(at))
        case Items(items, ordered):
            for at, item in enumerate(items):
                yield _Piece(f"{at + 1}. " if ordered else "- ", str(item), _gap(at))
        case Table(header, rows):
            if any(str(cell) for cell in header):
                yield _Piece("> ", " · ".join(_cell(str(cell)) for cell in header), "\n\n")
            for at, row in enumerate(rows):
                first, *rest = (_cell(str(cell)) for cell in row) if row else ("–",)
                name = f"- **{escape(cut(first, 200), bold=True) or MARK}**"
                yield _Piece(name + (" · " if rest else ""), " · ".join(rest), _gap(at))
        case Examples(commands):
            for command in commands:
                yield _Piece("> ", str(command), "\n\n")


def _gap(at: int) -> str:
    return "\n" if at else "\n\n"


def _cell(text: str) -> str:
    return " ".join(text.split()) or "–"


def _link(link: Link) -> str:
    """One link on its own line; an address that must not be opened is shown as text."""
    label = escape(cut(str(link.label), 80), bold=True)
    url = safe_url(link.url)
    if url is None:
        return f"\n- {label}: {escape(cut(link.url, 200), bold=True)}"
    label = label.replace("[", "［").replace("]", "］") or escape(cut(url, 80), bold=True)
    return f"\n- [{label}]({url.replace('(', '%28').replace(')', '%29')})"


def size(text: str) -> int:
    """Bytes of the text as a JSON string, which is what the platform counts."""
    return len(_QUOTED.encode(text).encode())


def markdown(document: Document, *, keyword: str = "", limit_bytes: int = TEXT_MAX_BYTES) -> tuple[str, str]:
    """Title (plain, for the preview) and text of a localized document, the text of at most `limit_bytes` as JSON.

    The keyword stands byte for byte in both. What is too long is cut at the end of the blocks, with a mark; heading,
    links and footer stay.
    """
    plain = one_line(document.heading()) or MARK
    title = cut(f"{keyword} {plain}" if keyword and keyword not in plain[:TITLE_MAX_CHARS] else plain, TITLE_MAX_CHARS)
    if keyword not in title:  # the cut went through the keyword
        title = f"{keyword} {MARK}"

    heading = escape(cut(plain, HEADING_MAX_CHARS))
    if re.match(ZWSP + r"#\d", heading):
        heading = heading.removeprefix(ZWSP)  # behind `###` it begins nothing, and people may search for #42
    if heading.endswith("#"):
        heading += ZWSP  # a closing run of # would not be shown
    if keyword and keyword not in heading:
        heading = f"{keyword} {heading}"
    alone = not (keyword or document.badge or document.blocks or document.links or document.footer)
    mark = "" if alone else "### "  # one sentence needs no heading
    text = mark + " ".join(part for part in (DOTS[document.tone], heading) if part)

    below, _whole = _below(document, limit_bytes - size(text), limit_bytes)
    return title, text + below


def inside(document: Document, limit_bytes: int) -> tuple[str, bool]:
    """What a card says below a heading that it shows by itself, at most `limit_bytes`; whether that is all."""
    text, whole = _below(document, limit_bytes, limit_bytes)
    return text.strip(), whole


def _below(document: Document, room: int, limit_bytes: int) -> tuple[str, bool]:
    """Everything below the heading in at most `room` bytes, and whether nothing had to be left out."""
    tail = "".join(map(_link, document.links[:LINKS_MAX]))
    tail = "\n" + tail if tail else ""
    if str(document.footer):
        tail += "\n\n> " + escape(cut(str(document.footer), 300))
    whole = size(tail) <= limit_bytes // 2
    if not whole:
        tail = ""
    room -= size(tail)
    text = ""
    for block in document.blocks:
        for piece in _pieces(block):
            rendered = piece.rendered(piece.text) if len(piece.text) <= limit_bytes else None
            if rendered is not None and size(rendered) - 2 <= room - size(f"\n\n{MARK}"):
                text += rendered
                room -= size(rendered) - 2
                continue
            return text + _shortened(piece, room) + tail, False
    return text + tail, whole


def _shortened(piece: _Piece, room: int) -> str:
    """As much of the piece as fits into `room` bytes, with a mark; only the mark where not even a few words fit."""
    low, high = 0, min(len(piece.text), max(room, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if size(piece.rendered(cut(piece.text[: middle + 1], middle))) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    return piece.rendered(cut(piece.text[: low + 1], low)) if low >= 20 else f"\n\n{MARK}"
