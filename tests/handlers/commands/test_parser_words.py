"""Durations, lists of names and quoting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.commands.words import cleaned, duration, folded, names_of, quoted


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("2h", 120),
        ("30m", 30),
        ("1d", 1440),
        ("1w", 7 * 1440),
        ("1h30m", 90),
        ("1.5h", 90),
        ("90 minutes", 90),
        ("2 hours and 5 min", 125),
        ("half an hour", 30),
        ("an hour", 60),
        ("１２Ｈ", 720),
        ("2小时", 120),
        ("2 个小时", 120),
        ("半小时", 30),
        ("一个半小时", 90),
        ("两小时半", 150),
        ("1小时30分钟", 90),
        ("1天", 1440),
        ("十二小时", 720),
        ("二十天", 20 * 1440),
        (" 90s. ", 1.5),
        ("", None),
        ("0h", None),
        ("零天", None),
        ("30", None),
        ("2x", None),
        ("-2h", None),
        ("2h please", None),
        ("h", None),
        ("9999999h", None),
        ("until monday", None),
    ],
)
def test_how_long_a_duration_is(text: str, minutes: float | None) -> None:
    assert duration(text) == (None if minutes is None else timedelta(minutes=minutes))


@given(st.text(alphabet="0123456789.hmdw半个一二十两小时天分秒 andhour", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_positive_duration_or_none(text: str) -> None:
    found = duration(text)
    assert found is None or found > timedelta(0)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("dba", ["dba"]),
        ("dba, ops", ["dba", "ops"]),
        ("张伟、李四；王五，赵六;钱七", ["张伟", "李四", "王五", "赵六", "钱七"]),
        ("  Zhang   Wei ,, ", ["Zhang Wei"]),
        ('"Li, Wei" 、 ops team', ["Li, Wei", "ops team"]),
        ('"a" "b" c', ["a", "b", "c"]),
        ("O'Brien, ‘a, b’", ["O'Brien", "a, b"]),
        ('"unclosed, x', ['"unclosed', "x"]),
        ("one\ntwo", ["one", "two"]),
        ("", []),
        ('"", ,', []),
    ],
)
def test_the_names_of_a_list(value: str, names: list[str]) -> None:
    assert names_of(value) == tuple(names)


def test_quoting_picks_quotes_that_the_value_does_not_contain() -> None:
    assert quoted("Ann") == '"Ann"'
    assert quoted('5" disk') == '「5" disk」'
    assert quoted('「5"」') == '『「5"」』'


@given(st.text(max_size=200))
def test_folding_keeps_the_length_so_that_places_stay_valid(text: str) -> None:
    assert len(folded(cleaned(text))) == len(cleaned(text))
    assert cleaned(cleaned(text)) == cleaned(text)
