"""Makes a document fit the limit of its channel, without touching what must survive.

Values are cut before they are rendered, so that no escape, tag or character is ever torn apart, and lists end with a
line that says how much is left out. The badge and the number are never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from bot.markup.plain import MARK, clean, cut, one_line
from handlers.document import Block, Document, Examples, Facts, Items, Link, Paragraph, Table, mapped
from handlers.texts import Language, Say, n_, render
from handlers.urls import safe_url

TITLE_CHARS = 160
BADGE_CHARS = 24
LABEL_CHARS = 80
FOOTER_CHARS = 200
LINKS = 8
SMALLEST_VALUE = 24
"""Below this a value says nothing any more: lines are left out instead."""

Drawn = TypeVar("Drawn")


def cleaned(document: Document) -> Document:
    """The document with every string cleaned, a heading and badge and footer of one line, and unsafe links gone."""

    def change(say: Say) -> Say:
        return clean(str(say)).strip("\n")

    whole = mapped(document, change)
    links = (Link(one_line(str(link.label)) or url, url) for link in whole.links if (url := safe_url(link.url)))
    marked = bool(whole.badge) or whole.number is not None
    return Document(
        title=one_line(str(whole.title)) or ("" if marked else MARK),  # an empty heading is refused by most platforms
        tone=whole.tone,
        badge=cut(one_line(str(whole.badge)), BADGE_CHARS),
        number=whole.number,
        footer=one_line(str(whole.footer)),
        links=tuple(links),
        buttons=whole.buttons,
        dialog=whole.dialog,
        blocks=tuple(
            Examples(tuple(one_line(str(command)) for command in block.commands))
            if isinstance(block, Examples)
            else block
            for block in whole.blocks
        ),
    )


def fitted(document: Document, language: Language, limit: int, size: Callable[[Document], int]) -> Document:
    """The document itself, or as much of it as keeps `size(document) <= limit`.

    size  measures a document as it will be rendered, in the unit of `limit`
    First long values are cut, each to the same length; only when that is not enough lines are left out at the end, and
    then links.
    """
    document = cleaned(document)
    if len(document.links) <= LINKS and _chars(document) <= limit and size(document) <= limit:
        return document
    links = tuple(link for link in document.links[:LINKS] if len(link.url) <= limit // 8)
    document = replace(
        document,
        title=cut(str(document.title), TITLE_CHARS),
        footer=cut(str(document.footer), FOOTER_CHARS),
        links=tuple(Link(cut(str(link.label), LABEL_CHARS), link.url) for link in links),
    )

    def values_of(chars: int) -> Document:
        return _with_values(document, chars)

    short = values_of(SMALLEST_VALUE)
    if _chars(short) <= limit and size(short) <= limit:
        longest = max(map(len, _values(document)), default=0)
        return values_of(_largest(SMALLEST_VALUE, min(longest, limit), lambda chars: size(values_of(chars)) <= limit))

    def lines_of(count: int) -> Document:
        return _with_lines(short, language, count)

    if size(lines_of(0)) <= limit:
        return lines_of(_largest(0, _lines(short), lambda count: size(lines_of(count)) <= limit))
    bare = replace(lines_of(0), links=(), footer="")
    chars = _largest(0, TITLE_CHARS, lambda chars: size(replace(bare, title=cut(str(document.title), chars))) <= limit)
    return replace(bare, title=cut(str(document.title), chars))


def drawn(
    document: Document,
    language: Language,
    limit: int,
    draw: Callable[[Document], Drawn],
    size: Callable[[Drawn], int],
) -> Drawn:
    """What `draw` makes of the document, or of as much of it as keeps `size` within `limit` (see `fitted`)."""
    last: tuple[Document, Drawn] | None = None

    def measured(tried: Document) -> int:
        nonlocal last
        made = draw(tried)
        last = tried, made
        return size(made)

    whole = fitted(document, language, limit, measured)
    # What was measured last is most often what fits.
    return last[1] if last is not None and last[0] is whole else draw(whole)


def _largest(low: int, high: int, good: Callable[[int], bool]) -> int:
    """The largest number between the two that is good; `low` is known to be.

    Goes up in growing steps before it halves, so that nothing much larger than the result is ever tried.
    """
    step = 1
    while low + step < high and good(low + step):
        low, step = low + step, step * 2
    high = min(high, low + step)
    while low < high:
        middle = (low + high + 1) // 2
        if good(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _values(document: Document) -> Iterator[str]:
    """Every string of the document that may be cut."""
    yield str(document.title)
    for block in document.blocks:
        match block:
            case Paragraph(text):
                yield str(text)
            case Facts(pairs):
                yield from (str(part) for pair in pairs for part in pair)
            case Items(items, _):
                yield from map(str, items)
            case Table(header, rows):
                yield from (str(cell) for row in (header, *rows) for cell in row)
            case Examples(commands):
                yield from map(str, commands)


def _chars(document: Document) -> int:
    """No rendering is shorter than this, but for blanks that it drops."""
    return sum(map(len, _values(document)))


def _lines(document: Document) -> int:
    return sum(_block_lines(block) for block in document.blocks)


def _block_lines(block: Block) -> int:
    match block:
        case Paragraph(_):
            return 1
        case Facts(pairs):
            return len(pairs)
        case Items(items, _):
            return len(items)
        case Table(_, rows):
            return len(rows) or 1  # the header alone is a line too
        case Examples(commands):
            return len(commands)


def _with_values(document: Document, chars: int) -> Document:
    """The document with every value cut to that many characters; commands to copy are left whole."""

    def short(say: Say) -> Say:
        return cut(str(say), chars)

    blocks: list[Block] = []
    for block in document.blocks:
        match block:
            case Facts(pairs):
                blocks.append(Facts(tuple((cut(str(label), min(chars, LABEL_CHARS)), short(v)) for label, v in pairs)))
            case Paragraph(text):
                # A paragraph carries more than one value: it may be longer for longer.
                blocks.append(Paragraph(cut(str(text), chars * 4)))
            case Items(items, ordered):
                blocks.append(Items(tuple(map(short, items)), ordered))
            case Table(header, rows):
                blocks.append(Table(tuple(map(short, header)), tuple(tuple(map(short, row)) for row in rows)))
            case Examples():
                blocks.append(block)
    return replace(document, blocks=tuple(blocks))


def _with_lines(document: Document, language: Language, count: int) -> Document:
    """The document with its first `count` lines, and one more that says how many are missing."""
    missing = _lines(document) - count
    if missing <= 0:
        return document
    blocks: list[Block] = []
    for block in document.blocks:
        if count <= 0:
            break
        match block:
            case Paragraph(_):
                blocks.append(block)
            case Facts(pairs):
                blocks.append(Facts(pairs[:count]))
            case Items(items, ordered):
                blocks.append(Items(items[:count], ordered))
            case Table(header, rows):
                blocks.append(Table(header, rows[:count]))
            case Examples(commands):
                blocks.append(Examples(commands[:count]))
        count -= _block_lines(block)
    blocks.append(Paragraph(render(n_("… {n} more line", "… {n} more lines", missing), language)))
    return replace(document, blocks=tuple(blocks))
