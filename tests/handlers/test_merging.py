"""Which alerts have a card of their own when there are too many, and when the others go as a digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import merging
from handlers.budgets import Throttle, kept, next_slot
from handlers.merging import Merge, Send, Share, Traffic, Wait, share_of
from storage.crowds import Waiting
from storage.schema import to_ms
from tests.handlers.crowd import critical, many, recovery, waiting
from tests.storage.seed import NOW

ROBOT = (Throttle(18, 61.0),)
NOW_MS = to_ms(NOW)
TOLD = {merging.rule_key(waiting(1))}


def traffic(*ago_s: float, cards: Sequence[float] = (), budgets: Sequence[Throttle] = ROBOT) -> Traffic:
    """Sends so many seconds ago, `cards` those of them that went ahead."""
    sent = sorted(NOW_MS - round(ago * 1000) for ago in (*ago_s, *cards))
    ahead = sorted(NOW_MS - round(ago * 1000) for ago in cards)
    return Traffic(sent, ahead, budgets, share_of(budgets), NOW_MS)


SHARES = {
    "a robot": (ROBOT, Share(Throttle(18, 61.0), 2, 3), 13),
    "two windows: the longer one": ((Throttle(4, 1.1), Throttle(90, 61.0)), Share(Throttle(90, 61.0), 10, 15), 65),
    "one a second": ((Throttle(1, 1.1),), Share(Throttle(20, 22.0), 2, 3), 15),
    "a mailbox": ((Throttle(30, 60.0),), Share(Throttle(30, 60.0), 3, 5), 22),
}


@pytest.mark.parametrize(("budgets", "share", "rest"), SHARES.values(), ids=SHARES)
def test_the_slots_of_the_longest_window_are_divided(budgets: tuple[Throttle, ...], share: Share, rest: int) -> None:
    found = share_of(budgets)
    assert (found.throttle.count, found.urgent, found.cards, found.rest) == (
        share.throttle.count,
        share.urgent,
        share.cards,
        rest,
    )
    assert found.throttle.per_s == pytest.approx(share.throttle.per_s)


new = timedelta(milliseconds=-200)
FRESH = [waiting(n, created_at=NOW + new) for n in range(1, 4)]
SIX = (6, 5, 4, 3, 2, 1)
CALM = {
    "nothing was sent: at once": (many(1), traffic(), Send(waiting(1))),
    "the first third of a window goes at once": (FRESH, traffic(*SIX[1:]), Send(FRESH[0])),
    "then those that came together go when nothing more comes": (many(4), traffic(*SIX), Send(waiting(1))),
    "and while more comes it waits": (FRESH, traffic(*SIX), Wait(NOW_MS + 1800)),
    "but not longer than its share of the window": (FRESH, traffic(20, 19, 18, 17, 16, 15), Merge(NOW_MS)),
    "one alone is a card then": (FRESH[:1], traffic(20, 19, 18, 17, 16, 15), Send(FRESH[0])),
    "some of the window is kept for digests": (many(5), traffic(*SIX), Wait(NOW_MS - 1000 + 8000)),
    "what is critical waits for nothing": (
        [critical(9, created_at=NOW), *FRESH],
        traffic(*SIX),
        Send(critical(9, created_at=NOW), ahead=True),
    ),
}


@pytest.mark.parametrize(("line", "sent", "decision"), CALM.values(), ids=CALM)
def test_what_to_do_while_there_is_room(line: list[Waiting], sent: Traffic, decision: merging.Decision) -> None:
    assert len(line) <= sent.room()
    assert merging.calm(line, sent) == decision


FULL = (40.0,) * 13
CROWDED = {
    "a digest": (many(50), [], traffic(), TOLD, Merge(NOW_MS)),
    "not sooner than its share of the window": (many(50), [], traffic(2), TOLD, Merge(NOW_MS - 2000 + 61_000 // 12)),
    "first what is critical": ([critical(99), *many(50)], [], traffic(), TOLD, Send(critical(99), ahead=True)),
    "of many critical ones a few": (
        [critical(n) for n in range(1, 50)],
        [],
        traffic(cards=(3, 2, 1)),
        TOLD,
        Merge(NOW_MS - 1000 + share_of(ROBOT).pace_ms),
    ),
    "a recovery is not buried": ([*many(50), recovery(99)], [], traffic(), TOLD, Send(recovery(99), ahead=True)),
    "nor one at the end of a long line": (many(50), [recovery(99)], traffic(), TOLD, Send(recovery(99), ahead=True)),
    "but it does not overtake its alarm": (
        [*many(50), recovery(7, id=5000)],
        [],
        traffic(),
        TOLD,
        Merge(NOW_MS),
    ),
    "a flood of recoveries is no news each": (
        [*many(50), *(recovery(n) for n in range(100, 120))],
        [],
        traffic(),
        TOLD,
        Merge(NOW_MS),
    ),
    "the first alert of a rule is not buried": (many(50), [], traffic(), set(), Send(waiting(1), ahead=True)),
    "nor that of one among many": (
        [*many(50), waiting(99, rule="cpu")],
        [],
        traffic(),
        TOLD,
        Send(waiting(99, rule="cpu"), ahead=True),
    ),
    "when every alert has a rule of its own none is special": (
        [waiting(n, rule=f"r{n}") for n in range(50)],
        [],
        traffic(),
        TOLD,
        Merge(NOW_MS),
    ),
    "a full window is waited for, but not without looking": (
        many(50),
        [],
        traffic(*FULL),
        TOLD,
        Wait(NOW_MS + share_of(ROBOT).pace_ms),
    ),
    "and is waited for to the millisecond": (many(50), [], traffic(*[60.0] * 13), TOLD, Wait(NOW_MS + 1000)),
    "its last slots are there for what is critical": (
        [critical(99), *many(50)],
        [],
        traffic(*FULL),
        TOLD,
        Send(critical(99), ahead=True),
    ),
    "but not the very last": (
        [critical(99), *many(50)],
        [],
        traffic(*FULL, 1, 1, cards=(30,)),
        TOLD,
        Wait(NOW_MS + share_of(ROBOT).pace_ms),
    ),
}


@pytest.mark.parametrize(("line", "late", "sent", "told", "decision"), CROWDED.values(), ids=CROWDED)
def test_what_to_do_when_there_is_no_room(
    line: list[Waiting], late: list[Waiting], sent: Traffic, told: set[str], decision: merging.Decision
) -> None:
    assert merging.crowded(line, late, sent, told) == decision


def test_what_has_waited_for_the_limit_of_a_phone_is_told_as_a_number() -> None:
    fresh = [waiting(n, created_at=NOW) for n in range(9)]
    assert merging.summed_up(fresh, NOW_MS) == Send(fresh[0])
    assert merging.summed_up(many(1), NOW_MS) == Send(waiting(1))
    assert merging.summed_up([*many(2), *fresh], NOW_MS) == Merge(NOW_MS)


@given(
    st.sampled_from([budgets for budgets, _, _ in SHARES.values()]),
    st.lists(st.tuples(st.integers(0, 12_000), st.booleans(), st.integers(1, 400)), min_size=1, max_size=80),
)
def test_alerts_never_take_the_slots_of_codes_nor_digests_those_of_what_must_not_drown(
    budgets: tuple[Throttle, ...], moves: list[tuple[int, bool, int]]
) -> None:
    share = share_of(budgets)
    limits = (*budgets, share.throttle)
    now = NOW_MS
    sent: list[int] = []
    cards: list[int] = []
    ordinary: list[int] = []
    for wait, with_critical, count in moves:
        now += wait
        seen = Traffic(sent, cards, limits, share, now)
        line = [critical(9999)] * with_critical + many(count)
        if next_slot(sent, limits, now) > now:
            continue
        decision = merging.crowded(line, [], seen, TOLD) if len(line) > seen.room() else merging.calm(line, seen)
        if isinstance(decision, Wait):
            assert decision.until > now
            continue
        ahead = isinstance(decision, Send) and decision.ahead
        sent = kept([*sent, now], limits)
        cards += [now] * ahead
        ordinary += [now] * (not ahead)
    per_ms = share.throttle.per_s * 1000
    for times, most in (
        (sorted(cards + ordinary), share.throttle.count - share.urgent),
        (ordinary, share.rest),
        (cards, share.cards),
    ):
        assert all(later - first >= per_ms for first, later in zip(times, times[most:], strict=False))


def test_rules_are_remembered_for_an_hour_and_not_too_many() -> None:
    told = merging.remembered({}, [waiting(n, rule=f"r{n}") for n in range(300)], NOW_MS)
    assert len(told) == merging.RULES
    assert merging.rule_key(waiting(0, rule="r299")) in told
    assert merging.remembered(told, [], NOW_MS + 3_600_000) == {}
