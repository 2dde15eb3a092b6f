"""Which alerts have a card of their own when there are too many, and what a digest of the others says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.markup.plain import cut, outline
from handlers import digests, outbox
from handlers.budgets import Throttle, kept, next_slot
from handlers.digests import NUMBERS, TIGHTER, Merge, Send, Share, Tightness, Traffic, Wait, entries, share_of
from handlers.document import localize
from handlers.texts import Language
from storage.crowds import Waiting
from storage.schema import to_ms
from tests.storage.seed import NOW

ROBOT = (Throttle(18, 61.0),)
NOW_MS = to_ms(NOW)
PAST = NOW - timedelta(seconds=30)


def waiting(number: int, title: str = "", **values: Any) -> Waiting:
    """The card of a warning of an ordinary rule, which came a while ago."""
    usual: dict[str, Any] = {
        "id": number + 1000,
        "priority": outbox.OTHER,
        "alert_id": number,
        "status": "firing",
        "severity": "warning",
        "title": title or f"disk full on host-{number}",
        "rule": "disk",
        "source_id": 1,
        "group_name": "ops",
        "reason": "",
        "created_at": PAST,
        "expires_at": NOW + timedelta(days=1),
    }
    return Waiting(**(usual | values))


def many(count: int, start: int = 1) -> list[Waiting]:
    return [waiting(number) for number in range(start, start + count)]


def critical(number: int, **values: Any) -> Waiting:
    return waiting(number, severity="critical", priority=outbox.CRITICAL, **values)


def recovery(number: int, **values: Any) -> Waiting:
    return waiting(number, status="resolved", priority=outbox.RECOVERY, **values)


TOLD = {digests.rule_key(waiting(1))}


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
def test_what_to_do_while_there_is_room(line: list[Waiting], sent: Traffic, decision: digests.Decision) -> None:
    assert len(line) <= sent.room()
    assert digests.calm(line, sent) == decision


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
    line: list[Waiting], late: list[Waiting], sent: Traffic, told: set[str], decision: digests.Decision
) -> None:
    assert digests.crowded(line, late, sent, told) == decision


def test_what_has_waited_for_the_limit_of_a_phone_is_told_as_a_number() -> None:
    fresh = [waiting(n, created_at=NOW) for n in range(9)]
    assert digests.summed_up(fresh, NOW_MS) == Send(fresh[0])
    assert digests.summed_up(many(1), NOW_MS) == Send(waiting(1))
    assert digests.summed_up([*many(2), *fresh], NOW_MS) == Merge(NOW_MS)


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
        decision = digests.crowded(line, [], seen, TOLD) if len(line) > seen.room() else digests.calm(line, seen)
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


def drawn(
    line: Sequence[Waiting], tightness: Tightness = TIGHTER[0], language: Language = "en", more: int = 0
) -> tuple[str, str]:
    document = digests.document(entries(line), tightness, shorten=cut, groups={"ops"}, more=more)
    whole = localize(document, language)
    return whole.heading(), outline(whole)


def numbers(text: str) -> set[int]:
    """Every alert number that a text names, also within a range."""
    found = {int(number) for number in re.findall(r"#(\d+)", text)}
    for first, last in re.findall(r"#(\d+)–#(\d+)", text):
        found |= set(range(int(first), int(last) + 1))
    return found


def test_a_digest_names_number_severity_and_title_worst_first_and_counts_by_rule() -> None:
    line = [*many(3), recovery(7), critical(5, title="database down", rule="db"), waiting(9, severity="info")]
    assert drawn(line, more=40) == (
        "[CRITICAL] 6 alerts in a digest",
        "\n".join(
            (
                "Most frequent: disk ×5",
                "Group: ops",
                "Still to come: 40",
                "",
                "CRITICAL: 1",
                "",
                "• database down #5",
                "",
                "WARNING: 3",
                "",
                "• disk full on host-1 #1",
                "• disk full on host-2 #2",
                "• disk full on host-3 #3",
                "",
                "INFO: 1",
                "",
                "• disk full on host-9 #9",
                "",
                "RESOLVED: 1",
                "",
                "• disk full on host-7 #7",
                "",
                "To Callboard: alert #5 shows one of them · alerts shows all",
            )
        ),
    )


def test_alerts_of_one_title_share_a_line_and_the_older_come_first() -> None:
    line = [waiting(n, title) for n, title in ((1, "b"), (2, "a"), (3, "b"), (4, "c"))]
    assert "• b ×2: #1 #3\n• a #2\n• c #4" in drawn(line)[1]


def test_what_titles_share_is_said_once_when_it_has_to_be_tight() -> None:
    line = [
        *many(3),
        waiting(4, "disk full on host-3"),
        waiting(5, "数据库 rm-bp1x9 慢"),
        waiting(6, "数据库 rm-bp2 慢"),
    ]
    text = drawn(line, TIGHTER[1])[1]
    assert "• disk full on … ×4: host-1 #1 · host-2 #2 · host-3 #3 #4" in text
    assert "• 数据库 … 慢 ×2: rm-bp1x9 #5 · rm-bp2 #6" in text


def test_an_alarm_and_its_recovery_are_one_line_and_both_are_settled_with_it() -> None:
    [entry] = entries([waiting(7, id=11), recovery(7, id=12)])
    assert (entry.section, entry.cards) == ("resolved", (11, 12))


titles = st.one_of(
    st.text(max_size=300), st.sampled_from(["", "a", "host-1", "主机 3 磁盘", "🧑🏽‍🚒" * 40, "#5 #6–#9", "…"])
)
lines = st.lists(
    st.tuples(titles, st.sampled_from(["critical", "warning", "info", "resolved"]), st.sampled_from(["", "r", "q"])),
    min_size=1,
    max_size=60,
)


@given(lines, st.sampled_from([*TIGHTER, NUMBERS]), st.sampled_from(["en", "zh"]))
def test_whatever_the_titles_every_number_is_named(
    alerts: list[tuple[str, Any, str]], tightness: Tightness, language: Language
) -> None:
    line = [
        replace(
            recovery(n) if severity == "resolved" else waiting(n, severity=severity),
            title=title,
            rule=rule,
        )
        for n, (title, severity, rule) in enumerate(alerts, 1)
    ]
    named = entries(line)
    assert {entry.number for entry in named} == set(range(1, len(line) + 1))
    assert [digests.SECTIONS.index(entry.section) for entry in named] == sorted(
        digests.SECTIONS.index(entry.section) for entry in named
    )
    assert numbers(drawn(line, tightness, language)[1]) >= set(range(1, len(line) + 1))


@pytest.mark.parametrize("tightness", TIGHTER)
def test_tighter_is_shorter(tightness: Tightness) -> None:
    line = [waiting(n, f"disk full on host-{n % 70} of the production environment in region 3") for n in range(1, 300)]
    lengths = [len(drawn(line, one)[1]) for one in TIGHTER]
    assert lengths == sorted(lengths, reverse=True)
    assert numbers(drawn(line, tightness)[1]) >= set(range(1, 300))


def test_the_words_are_left_out_when_a_platform_did_not_like_them() -> None:
    text = drawn([waiting(1, "a bad word"), critical(2, title="another")], NUMBERS)[1]
    assert "bad" not in text
    assert "another" not in text
    assert numbers(text) == {1, 2}


def test_a_phone_is_told_how_many_more_and_how_bad_in_the_room_that_a_template_has() -> None:
    for line, english in (
        (many(12), "[WARNING] #1 12 more alerts"),
        ([*many(9999), critical(99_999)], "[CRITICAL] #99999 10000 more alerts, 1 critical"),
    ):
        document = localize(digests.number_of_alerts(entries(line)), "en")
        assert document.heading() == english
        assert len(str(document.title)) <= 35


@given(st.integers(1, 3000), st.floats(0.0004, 2))
def test_a_digest_is_filled_with_few_trials_and_never_over(count: int, each: float) -> None:
    trials = []

    def fill(number: int) -> float:
        trials.append(number)
        return 0.02 + number * each

    found = digests.most(count, fill)
    assert 1 <= found <= count
    assert found == 1 or fill(found) <= 1
    assert found == count or fill(found) > 0.93 or fill(found + 1) > 1
    assert len(trials) <= 14


def test_rules_are_remembered_for_an_hour_and_not_too_many() -> None:
    told = digests.remembered({}, [waiting(n, rule=f"r{n}") for n in range(300)], NOW_MS)
    assert len(told) == digests.RULES
    assert digests.rule_key(waiting(0, rule="r299")) in told
    assert digests.remembered(told, [], NOW_MS + 3_600_000) == {}
