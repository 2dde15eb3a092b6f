"""Conditions on alerts: how they are written, and what they match."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import examples, matchers
from handlers.commands import FORMS, parser
from handlers.errors import CommandError
from handlers.matchers import Matcher, Subject

DISK = Subject(
    "warning",
    {"host": "db-1", "Service": "orders db", "mount": "/data", "code": "42"},
    title="Disk of db-1 is full",
    rule="DiskFull",
    source="Prod",
    group="dba",
    condition="7:json:1:disk",
)

CASES: dict[str, tuple[list[str], bool]] = {
    "equal": (["host=db-1"], True),
    "case and width do not matter": (["host=ＤＢ-1"], True),
    "another value": (["host=db-2"], False),
    "part of a value is not it": (["host=db"], False),
    "not equal": (["host!=db-2"], True),
    "not equal to what it is": (["host!=db-1"], False),
    "a label it lacks is empty": (["region!=cn"], True),
    "and equals nothing": (["region=cn"], False),
    "all have to hold": (["host=db-1", "severity=critical"], False),
    "and do": (["host=db-1", "severity=warning", "source=prod", "group=DBA"], True),
    "a word of the title": (["title~disk"], True),
    "not in the title": (["title!~disk"], False),
    "a pattern": (["host~db-*"], True),
    "a pattern is of the whole": (["title~disk*1"], False),
    "several stars": (["title~*db*is*full"], True),
    "stars do not overlap": (["host~db-1*1"], False),
    "a star in what is equal": (["host=db*"], True),
    "it is of the whole too": (["title=disk*1"], False),
    "and in what is not": (["host!=db*"], False),
    "not like it": (["host!=web*"], True),
    "two that can both be": (["host=db-1", "host~db", "host!=db-2"], True),
    "the rule": (["rule=diskfull"], True),
    "a label in other letters": (["service=orders db"], True),
    "a value with signs": (["mount=/data"], True),
    "blanks around the sign": (["host", "=", "db-1"], True),
    "a colon": (["host:", "db-1"], True),
    "nothing between": (["severity", "warning"], True),
    "a severity alone": (["warning"], True),
    "another severity alone": (["critical"], False),
    "in Chinese": (["级别=警告", "组=dba"], True),
    "as Alertmanager writes it": (['{host="db-1"', 'severity=="warning"}'], True),
}


@pytest.mark.parametrize("name", CASES)
def test_a_condition_matches_what_it_says(name: str) -> None:
    words, matched = CASES[name]
    found = matchers.parse(words, examples.SILENCE)
    assert matchers.all_match(found, DISK) is matched
    assert matchers.from_json(matchers.to_json(found)) == found
    typed = parser.parse(f"silence {matchers.shown(found)} for 2h", FORMS)
    assert matchers.parse(typed.words, "") == found, "what is shown can be typed again"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nonsense"], "is no condition"),
        (["fatal"], "critical, warning, info"),
        (["critical", "severity=warning"], "both severity=critical and severity=warning"),
        (["host!~db*", "host=db-1"], "both host!~db\\* and host=db-1"),
        (["=x"], "is no condition"),
        (["host="], "lacks a value"),
        (["host=~db.*"], "regular expressions are not possible"),
        (["severity=loud"], "is no severity"),
        (["host=" + "x" * 300], "is too long"),
        ([f"label{number}=x" for number in range(9)], "At most 8"),
    ],
)
def test_what_is_no_condition_is_refused_with_a_reason(words: list[str], why: str) -> None:
    with pytest.raises(CommandError, match=why):
        matchers.parse(words, examples.SILENCE)


def test_the_condition_of_one_alert_matches_its_source_and_fingerprint_only() -> None:
    own = matchers.of_alert(42, 7, "json:1:disk")
    assert (str(own), own.matches(DISK)) == ("#42", True)
    assert not matchers.of_alert(42, 8, "json:1:disk").matches(DISK)


@pytest.mark.parametrize(
    ("text", "narrows"), [("host=x", True), ("host!=x", False), ("title~*", False), ("title=*", False), ("a~x", True)]
)
def test_what_most_alerts_are_does_not_narrow(text: str, narrows: bool) -> None:
    [one] = matchers.parse([text], "")
    assert one.narrows is narrows


@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_words_are_conditions_or_a_sentence(words: list[str]) -> None:
    try:
        for one in matchers.parse(words, ""):
            one.matches(DISK)
    except CommandError:
        pass


def test_no_pattern_takes_long() -> None:
    started = time.monotonic()
    hard = Subject("info", {"x": "a" * 20_000})
    assert not Matcher("x", "~", "*a" * 90 + "*b").matches(hard)
    assert time.monotonic() - started < 1
