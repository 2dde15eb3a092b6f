"""What a digest says: the message that names alerts for which there was no room as cards of their own.

As much as fits, the worst first, written the tighter the more there is to name (see `handlers.merging` for when).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from handlers.cards import badge
from handlers.document import Block, Document, Facts, Items, Paragraph, Tone
from handlers.texts import Say, _, n_
from storage.crowds import Waiting

FIRST_GUESS = 150
SHOWN_RULES = 6
RULE_CHARS = 40
NUMBERS_A_LINE = 20
MARK = "…"
ITEMS_CHARS = 2400
"""Of one list; Slack tears longer ones apart where it may be in the middle of a number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert in a digest, as it is now; `cards` are the deliveries that are settled with it."""

    number: int
    title: str
    rule: str
    section: str
    cards: tuple[int, ...]


SECTIONS = ("critical", "warning", "info", "resolved")
"""In the order of a digest."""


def entries(waiting: Iterable[Waiting]) -> list[Entry]:
    """One entry for each alert, the worst first, then the oldest; alerts of one title stand together."""
    cards: dict[int, list[Waiting]] = {}
    for one in waiting:
        cards.setdefault(one.alert_id, []).append(one)
    found = []
    for number, own in cards.items():
        last = max(own, key=lambda one: one.id)
        section = "resolved" if last.status == "resolved" else last.severity
        found.append(Entry(number, last.title, last.rule, section, tuple(one.id for one in own)))
    oldest: dict[tuple[str, str], int] = {}
    for entry in found:
        key = (entry.section, entry.title)
        oldest[key] = min(entry.number, oldest.get(key, entry.number))

    def place(entry: Entry) -> tuple[int, int, int]:
        return SECTIONS.index(entry.section), oldest[entry.section, entry.title], entry.number

    return sorted(found, key=place)


@dataclass(frozen=True, slots=True)
class Tightness:
    """How much room an alert is given.

    title_chars  longer titles are cut; 0: only the numbers are shown
    shapes       of titles that differ in names and numbers only, what they share is said once
    ranges       #3–#5 for #3 #4 #5
    """

    title_chars: int
    shapes: bool = False
    ranges: bool = False


TIGHTER = (Tightness(120), Tightness(120, shapes=True), Tightness(48, True), Tightness(24, True, True))
NUMBERS = Tightness(0)


def most(count: int, fill: Callable[[int], float]) -> int:
    """The largest number up to `count` that fills a message up to 1 and no more, or nearly; at least 1.

    fill  the part of a message that so many entries take; grows with them. Each call draws a message, so they are few.
    """
    low, high, guess = 1, count, min(count, FIRST_GUESS)
    while low < high:
        filled = fill(guess)
        if filled <= 1:
            low = guess
            if filled > 0.93:
                break
        else:
            high = guess - 1
        guess = min(max(int(guess * 0.97 / filled), low + 1), high)
    return low


def document(
    named: Sequence[Entry],
    tightness: Tightness,
    *,
    shorten: Callable[[str, int], str],
    groups: Collection[str] = (),
    more: int = 0,
) -> Document:
    """A digest that names every one of these alerts; `more` of them follow. `named` is not empty and in order."""
    facts: list[tuple[Say, Say]] = []
    rules = Counter(entry.rule or entry.title for entry in named).most_common(SHOWN_RULES)
    often = [f"{shorten(rule, RULE_CHARS)} ×{count}" for rule, count in rules if count > 1]
    if often and tightness.title_chars:
        facts.append((_("Most frequent"), " · ".join(often)))
    if groups:
        facts.append((_("Group"), ", ".join(sorted(groups)[:3]) + (" …" if len(groups) > 3 else "")))
    if more:
        facts.append((_("Still to come"), str(more)))
    blocks: list[Block] = [Facts(tuple(facts))] if facts else []
    for section in SECTIONS:
        own = [entry for entry in named if entry.section == section]
        if own:
            blocks.append(Paragraph(_("{severity}: {n}", severity=_badge(section), n=len(own))))
            blocks += _lists(_lines(own, tightness, shorten))
    return Document(
        title=n_("{n} alert in a digest", "{n} alerts in a digest", len(named)),
        badge=_badge(named[0].section),
        tone=_TONES[named[0].section],
        blocks=tuple(blocks),
        footer=_("To Callboard: alert {number} shows one of them · alerts shows all", number=f"#{named[0].number}"),
    )


_TONES: dict[str, Tone] = {"critical": "critical", "warning": "warning", "info": "info", "resolved": "resolved"}


def number_of_alerts(named: Sequence[Entry]) -> Document:
    """The same where there is room for a few words only."""
    critical = sum(entry.section == "critical" for entry in named)
    more = n_("{n} more alert", "{n} more alerts", len(named))
    title = _("{more}, {critical} critical", more=more, critical=critical) if critical else more
    return Document(title=title, badge=_badge(named[0].section), number=named[0].number)


def _badge(section: str) -> Say:
    return badge("resolved" if section == "resolved" else "firing", section)


def _lists(lines: Iterable[str]) -> Iterator[Items]:
    """The lines as lists of at most ITEMS_CHARS."""
    part: list[str] = []
    chars = 0
    for line in lines:
        if part and chars + len(line) > ITEMS_CHARS:
            yield Items(tuple(part))
            part, chars = [], 0
        part.append(line)
        chars += len(line) + 3
    if part:
        yield Items(tuple(part))


def _lines(own: Sequence[Entry], tightness: Tightness, shorten: Callable[[str, int], str]) -> Iterator[str]:
    """Title and number of each; alerts of one title share a line."""
    if not tightness.title_chars:
        yield from _in_lines([f"#{entry.number}" for entry in own])
        return
    titles: dict[str, list[int]] = {}
    for entry in own:
        titles.setdefault(entry.title, []).append(entry.number)
    shapes: dict[str, list[str]] = {}
    for title in titles:
        shapes.setdefault(shape(title) if tightness.shapes else title, []).append(title)
    for like, alike in shapes.items():
        count = sum(len(titles[title]) for title in alike)
        if count == 1:
            yield f"{shorten(alike[0], tightness.title_chars)} #{titles[alike[0]][0]}"
            continue
        if len(alike) == 1:
            name = alike[0]
            parts = list(_in_lines(_numbers(titles[name], tightness)))
        else:
            name = like
            parts = [
                f"{shorten(' '.join(_VARYING.findall(title)), tightness.title_chars)} {number}"
                for title in alike
                for number in _in_lines(_numbers(titles[title], tightness))
            ]
        first, *further = _in_lines(parts, " · ") if len(alike) > 1 else parts
        yield f"{shorten(name, tightness.title_chars)} ×{count}: {first}"
        yield from (f"… {line}" for line in further)


_VARYING = re.compile(r"[A-Za-z0-9_.\-/%]*[0-9][A-Za-z0-9_.\-/%]*")


def shape(title: str) -> str:
    """The title without what is usually different on each host: the words with a digit."""
    return _VARYING.sub(MARK, title)


def _numbers(numbers: Sequence[int], tightness: Tightness) -> list[str]:
    return list(_ranges(numbers)) if tightness.ranges else [f"#{number}" for number in numbers]


def _in_lines(parts: Sequence[str], between: str = " ") -> Iterator[str]:
    for at in range(0, len(parts), NUMBERS_A_LINE):
        yield between.join(parts[at : at + NUMBERS_A_LINE])


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    """Ascending numbers, three and more in a row as #first–#last."""
    start = at = 0
    while start < len(numbers):
        at = start
        while at + 1 < len(numbers) and numbers[at + 1] == numbers[at] + 1:
            at += 1
        if at - start >= 2:
            yield f"#{numbers[start]}–#{numbers[at]}"
        else:
            yield from (f"#{number}" for number in numbers[start : at + 1])
        start = at + 1
