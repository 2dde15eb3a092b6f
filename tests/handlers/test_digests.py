"""What a digest says of the alerts it names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.markup.plain import cut, outline
from handlers import digests
from handlers.digests import NUMBERS, TIGHTER, Tightness, entries
from handlers.document import localize
from handlers.texts import Language
from storage.crowds import Waiting
from tests.handlers.crowd import critical, many, recovery, waiting


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
