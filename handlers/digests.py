"""What goes out when more alerts wait for an address than may be sent: which have a card of their own, and the digests.

The slots of the address's longest window are divided. A few are kept for codes, tests and answers; a few for alerts
that must not drown in a digest: critical ones, recoveries, the first of a rule. The rest is for everything else. While
what waits fits into the slots of the next seconds, each alert has its card. When it does not, one digest after the
other names all of them, the worst first, at an even pace, so that nothing waits for a whole window.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from handlers import outbox
from handlers.budgets import Throttle, next_slot
from handlers.cards import badge
from handlers.document import Block, Document, Facts, Items, Paragraph, Tone
from handlers.texts import Say, _, n_
from storage.crowds import Waiting
from storage.schema import to_ms

SOON_S = 10.0
"""Cards of their own may take so long to leave; what would take longer is merged."""

HOLD_S = 2.0
"""After so long without a new alert no storm is expected."""

HORIZON_S = 90.0
"""Alerts are written so tight that what waits can be named within this time: then all is seen within two minutes."""

INFLOW_S = 5.0
STORM_S = 30.0
"""What came within the first of these seconds is taken to go on for the second."""

FEW = 9
"""More recoveries, or first alerts of a rule, than these are no news each by itself: they go into the digest."""

MOST = 2000
"""Cards that are looked at for one digest; more never fit into one message."""

RULES_S = 3600.0
RULES = 200
"""How long and how many rules are remembered of which alerts were sent."""

FIRST_GUESS = 150
SHOWN_RULES = 6
RULE_CHARS = 40
NUMBERS_A_LINE = 20
MARK = "…"
ITEMS_CHARS = 2400
"""Of one list; Slack tears longer ones apart where it may be in the middle of a number."""


@dataclass(frozen=True, slots=True)
class Share:
    """How the slots of the longest window are divided.

    throttle  the window
    urgent    slots that no alert takes
    cards     slots for alerts that do not drown; the digests and ordinary cards have what is left
    """

    throttle: Throttle
    urgent: int
    cards: int

    @property
    def rest(self) -> int:
        return self.throttle.count - self.urgent - self.cards

    @property
    def free(self) -> int:
        """So many messages in a window go at once, whatever may come."""
        return self.throttle.count // 3

    @property
    def kept(self) -> int:
        """So many of the rest are for digests alone."""
        return max(1, self.rest // 4)

    @property
    def pace_ms(self) -> int:
        """The shortest time between two digests, when neither is full."""
        return round(self.throttle.per_s * 1000 / self.rest)


def share_of(budgets: Sequence[Throttle]) -> Share:
    """The division of the longest window; of a small one as many together as make 20 slots: that divides better."""
    longest = max(budgets, key=lambda budget: budget.per_s)
    windows = 1 if longest.count >= 6 else ceil(20 / longest.count)
    count = longest.count * windows
    return Share(Throttle(count, longest.per_s * windows), count // 9, count // 6)


@dataclass(frozen=True, slots=True)
class Send:
    """This one, as a card of its own. `ahead`: before others that are merged later."""

    one: Waiting
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Merge:
    """As many as fit into a digest. When all of them fit it waits until `full_before` for more (epoch milliseconds)."""

    full_before: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing of these alerts before then (epoch milliseconds)."""

    until: int


Decision = Send | Merge | Wait


@dataclass(frozen=True, slots=True)
class Traffic:
    """What an address was sent lately (epoch milliseconds, oldest first; `cards`: those of them that went ahead)."""

    sent: Sequence[int]
    cards: Sequence[int]
    budgets: Sequence[Throttle]
    share: Share
    now: int

    def _within(self, times: Sequence[int], at: int) -> int:
        return sum(time > at - self.share.throttle.per_s * 1000 for time in times)

    def used(self, at: int) -> int:
        return self._within(self.sent, at)

    def ordinary(self, at: int) -> int:
        return self.used(at) - self._within(self.cards, at)

    def is_calm(self) -> bool:
        """Whether so few were sent that the next one goes at once, whatever it is."""
        return self.used(self.now) < self.share.free

    def may_go_ahead(self) -> bool:
        """Whether one more alert may have a card of its own before the crowd."""
        alerts = self.share.throttle.count - self.share.urgent
        return self._within(self.cards, self.now) < self.share.cards and self.used(self.now) < alerts

    def opens(self) -> int:
        """When the next ordinary card or digest may go."""
        alerts = self.share.throttle.count - self.share.urgent
        ends = [time + round(self.share.throttle.per_s * 1000) for time in self.sent]
        for at in (self.now, *(end for end in ends if end > self.now)):
            if self.ordinary(at) < self.share.rest and self.used(at) < alerts:
                return at
        return max(ends)

    def left(self) -> int:
        """How many ordinary cards or digests the window has room for now."""
        return max(0, self.share.rest - self.ordinary(self.now))

    def paced_at(self) -> int:
        """When the next one goes if those that are left are spread evenly until the window opens again."""
        per_ms = round(self.share.throttle.per_s * 1000)
        within = [time for time in self.sent if time > self.now - per_ms]
        if not within:
            return self.now
        even_ms = (within[0] + per_ms - within[-1]) // max(1, self.left())
        return within[-1] + max(even_ms, self.share.pace_ms)

    def digests_soon(self, since: int) -> int:
        """How many digests may go, about, until what waits since then has waited for HORIZON_S."""
        left_s = max(0.0, HORIZON_S - (self.now - since) / 1000)
        windows = int(left_s / self.share.throttle.per_s)
        return max(1, self.share.rest * (windows + 1) - self.ordinary(self.now))

    def room(self) -> int:
        """How many ordinary cards could go within SOON_S."""
        times = list(self.sent)
        for count in range(self.left()):
            slot = next_slot(times, self.budgets, self.now)
            if slot > self.now + SOON_S * 1000:
                return count
            times.append(slot)
        return self.left()


def calm(waiting: Sequence[Waiting], traffic: Traffic) -> Decision:
    """What to do when there is room for all that waits; not empty.

    The first cards go at once. Then those that came together, when nothing more comes; while more comes one after the
    other is spread over what is left of the window, or it would be used up by the first seconds of a storm.
    """
    first = waiting[0]
    if traffic.is_calm():
        return Send(first)
    if first.priority <= outbox.CRITICAL and traffic.may_go_ahead():
        return Send(first, ahead=True)
    quiet_at = min(traffic.now, max(to_ms(one.created_at) for one in waiting)) + round(HOLD_S * 1000)
    paced_at = traffic.paced_at()
    fits = len(waiting) <= traffic.left() - traffic.share.kept
    if fits and traffic.now >= quiet_at:
        return Send(first)
    if traffic.now >= paced_at:
        return Send(first) if len(waiting) == 1 else Merge(traffic.now)
    return Wait(min(quiet_at, paced_at) if fits else paced_at)


def crowded(waiting: Sequence[Waiting], late: Sequence[Waiting], traffic: Traffic, told: Collection[str]) -> Decision:
    """What to do when there is not.

    late  the newest, if `waiting` is not all: each the first of its alert
    told  the rules (see `rule_key`) of which alerts were sent lately
    """
    if traffic.may_go_ahead():
        known = {one.id for one in waiting}
        line = [*waiting, *(one for one in reversed(late) if one.id not in known)]
        chosen = next(_outstanding(line, told), None)
        if chosen is not None:
            return Send(chosen, ahead=True)
    opens = traffic.opens()
    if opens > traffic.now:
        # Looked at again before that: what must not drown may come meanwhile.
        return Wait(min(opens, traffic.now + traffic.share.pace_ms))
    return Merge(traffic.paced_at())


def summed_up(waiting: Sequence[Waiting], now_ms: int) -> Decision:
    """The same for a channel that has a few words only: what had to wait for the limit is told as a number."""
    waited = sum(to_ms(one.created_at) <= now_ms - SOON_S * 1000 for one in waiting)
    return Merge(now_ms) if waited > 1 else Send(waiting[0])


def _outstanding(waiting: Sequence[Waiting], told: Collection[str]) -> Iterator[Waiting]:
    """Those that should not drown, the most important first. Of an alert only the first card, so that the order stays."""
    first_cards: dict[int, Waiting] = {}
    rules: dict[str, Waiting] = {}
    for one in waiting:
        first_cards.setdefault(one.alert_id, one)
        if one.status == "firing":
            rules.setdefault(rule_key(one), one)
    cards = first_cards.values()
    recoveries = [one for one in cards if one.status == "resolved"]
    firsts = [one for key, one in rules.items() if key not in told and first_cards[one.alert_id] is one]
    yield from (one for one in cards if one.priority <= outbox.CRITICAL)
    for few in (recoveries, firsts):
        if len(few) <= FEW:
            yield from few


def rule_key(one: Waiting) -> str:
    """Which rule of which source it is, in a few letters."""
    return hashlib.blake2s(f"{one.source_id}:{one.rule or one.title}".encode(), digest_size=6).hexdigest()


def remembered(told: Mapping[str, int], sent: Iterable[Waiting], now_ms: int) -> dict[str, int]:
    """`told` with the rules of what was sent now; the newest RULES of the last RULES_S."""
    all_ = {key: min(at, now_ms) for key, at in told.items() if at > now_ms - RULES_S * 1000}
    for one in sent:
        key = rule_key(one)
        all_.pop(key, None)
        all_[key] = now_ms
    return dict(list(all_.items())[-RULES:])


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
