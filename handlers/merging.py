"""What goes next where more alerts wait for an address than may be sent: a card of its own, a digest, or nothing yet.

The slots of the address's longest window are divided. A few are kept for codes, tests and answers; a few for alerts
that must not drown in a digest: critical ones, recoveries, the first of a rule. The rest is for everything else. While
what waits fits into the slots of the next seconds, each alert has its card. When it does not, one digest after the
other names all of them, the worst first, at an even pace, so that nothing waits for a whole window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from handlers import outbox
from handlers.budgets import Throttle, next_slot
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

    def least_named(self, waiting: Sequence[Waiting], size: int, inflow: int) -> int:
        """How many alerts each digest should name, so that what waits and what comes of a storm is seen in time.

        waiting  the most urgent of what waits; not empty
        size     how many wait in all
        inflow   how many of them came within the last INFLOW_S
        """
        oldest = min(to_ms(one.created_at) for one in waiting)
        return round((size + inflow * STORM_S / INFLOW_S) / self._digests_soon(oldest))

    def _digests_soon(self, since: int) -> int:
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
