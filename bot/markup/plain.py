"""Plain text before it is rendered anywhere: cleaned of what cannot be seen, cut where no character is torn apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from handlers.document import Block, Document, Examples, Facts, Items, Paragraph, Table
from handlers.urls import safe_url

MARK = "…"

_NEWLINES = re.compile(r"\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Control characters, characters of no width (not the joiners that emoji and some alphabets are written with), and those
# that turn the direction of the text around them.
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f\u00ad\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_MENTION = re.compile(r"(?<![\w.+\-])@(?=\w)|@(?=(?:all|here|channel|everyone)\b|所有人)", re.IGNORECASE)


def clean(text: str) -> str:
    """The text with `\\n` as its only line break, without unseen characters, and with broken surrogates replaced."""
    if text.isprintable():  # nothing of what is looked for here is
        return text
    return _SURROGATES.sub("\ufffd", _UNSEEN.sub("", _NEWLINES.sub("\n", text)))


def one_line(text: str) -> str:
    """The cleaned text on one line, runs of blanks as one blank."""
    return " ".join(clean(text).split())


def unmentioned(text: str) -> str:
    """The text with every `@` that could mention somebody made a look-alike; those of mail addresses stay."""
    return _MENTION.sub("＠", text)


def cut(text: str, max_chars: int) -> str:
    """The text when it is short enough, else its beginning with `…`, at most `max_chars` in all."""
    if len(text) <= max_chars:
        return text
    return text[: boundary(text, max_chars - len(MARK))].rstrip() + MARK if max_chars >= len(MARK) else ""


def cut_bytes(text: str, max_bytes: int) -> str:
    """The same, counted in bytes of UTF-8."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return text
    room = max_bytes - len(MARK.encode())
    if room < 0:
        return ""
    end = len(encoded[:room].decode("utf-8", "ignore"))
    return text[: boundary(text, end)].rstrip() + MARK


def boundary(text: str, at: int) -> int:
    """The last place not behind `at` where the text can be parted without tearing a visible character apart."""
    at = max(0, min(at, len(text)))
    floor = max(0, at - 32)  # no character that people write is longer; a heap of accents may be torn
    while at > floor and at < len(text) and _joined(text, at):
        at -= 1
    return at


def _joined(text: str, at: int) -> bool:
    """The characters before and behind `at` belong together: accents, joiners, skin tones, pairs that make a flag."""
    before, behind = text[at - 1], text[at]
    if before == "\u200d" or behind == "\u200d" or unicodedata.category(behind) in ("Mn", "Me", "Mc"):
        return True
    if "\U0001f3fb" <= behind <= "\U0001f3ff" or "\U000e0020" <= behind <= "\U000e007f":
        return True
    if _letter_of_flag(before) and _letter_of_flag(behind):
        start = at
        while start > 0 and _letter_of_flag(text[start - 1]):
            start -= 1
        return (at - start) % 2 == 1
    return False


def _letter_of_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def block_lines(block: Block) -> Iterator[str]:
    """One block as lines of plain text."""
    match block:
        case Paragraph(text):
            yield str(text)
        case Facts(pairs):
            yield from (f"{label}: {value}" for label, value in pairs)
        case Items(items, ordered):
            for at, item in enumerate(items, 1):
                yield f"{at}. {item}" if ordered else f"• {item}"
        case Table(header, rows):
            for row in (header, *rows):
                yield " · ".join(str(cell) or "–" for cell in row)
        case Examples(commands):
            yield from map(str, commands)


def outline(document: Document) -> str:
    """Everything below the heading as plain text: blocks parted by an empty line, then links, then the footer."""
    parts = ["\n".join(block_lines(block)) for block in document.blocks]
    parts.append("\n".join(f"{link.label}: {link.url}" for link in document.links if safe_url(link.url)))
    parts.append(str(document.footer))
    return "\n\n".join(part for part in parts if part)
