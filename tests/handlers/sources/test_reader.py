"""Untrusted JSON and forms: what is read, and which words a refusal has."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import PayloadError
from handlers.sources.reader import Node, clean, read_either, read_form, read_json


def node(value: object) -> Node:
    """The field `x` of `{"x": value}`."""
    return read_json(json.dumps({"x": value}).encode()).get("x")


REFUSALS: list[tuple[str, Callable[[], object], str, str]] = [
    ("text", lambda: node(5).text(), "$.x", "expected a text, got 5"),
    ("text", lambda: node({"a": 1}).text(), "$.x", "expected a text, got an object"),
    ("scalar", lambda: node([1]).scalar(), "$.x", "expected a text or a number, got a list"),
    ("scalars", lambda: node({"a": {}}).scalars(), "$.x.a", "expected a text or a number, got an object"),
    ("scalars", lambda: node("text").scalars(), "$.x", 'expected an object, got "text"'),
    ("get", lambda: node(True).get("y"), "$.x", "expected an object, got true"),
    ("elements", lambda: node(None).elements(5), "$.x", "expected a list, got null"),
    ("elements", lambda: node({}).get("y").elements(5), "$.x.y", "expected a list, got nothing"),
    ("elements", lambda: node([1, 2, 3]).elements(2), "$.x", "expected at most 2 elements, got 3: send several bodies"),
    ("element", lambda: node([1, [2]]).elements(2)[1].text(), "$.x[1]", "expected a text, got a list"),
    ("word", lambda: node("no").word(("a", "b"), "a"), "$.x", 'expected one of a, b, got "no"'),
    ("word", lambda: node(0).word(("a", "b"), "a"), "$.x", "expected one of a, b, got 0"),
    (
        "time",
        lambda: node("yesterday").time(),
        "$.x",
        'expected a time such as 2026-03-28T01:00:00Z, got "yesterday"',
    ),
    (
        "zone",
        lambda: node("2026-03-28T01:00:00").time(),
        "$.x",
        'expected a time with its zone such as 2026-03-28T09:00:00+08:00, got "2026-03-28T01:00:00"',
    ),
    (
        "url",
        lambda: node("javascript:alert(1)").url(),
        "$.x",
        'expected a web address such as https://example.com/runbook, got "javascript:alert(1)"',
    ),
    (
        "epoch",
        lambda: node("soon").epoch(),
        "$.x",
        'expected a time in milliseconds such as 1774659600000, got "soon"',
    ),
    ("long", lambda: node("y" * 100).get("z"), "$.x", f'expected an object, got "{"y" * 60}…"'),
    ("odd key", lambda: node({"a b": 1}).get("a b").text(), '$.x["a b"]', "expected a text, got 1"),
    ("odd key", lambda: node({"\ud800\x00": 1}).get("\ud800\x00").text(), '$.x["��"]', "expected a text, got 1"),
    ("unfolded", lambda: node("{").unfolded(), "$.x", "expected JSON, got an error in line 1, column 2"),
    ("unfolded", lambda: node("").unfolded(), "$.x", "expected JSON, got nothing"),
    ("unfolded", lambda: node('{"y": 1}').unfolded().get("y").text(), "$.x.y", "expected a text, got 1"),
]


@pytest.mark.parametrize(
    ("name", "read", "path", "words"), REFUSALS, ids=[f"{r[0]}-{i}" for i, r in enumerate(REFUSALS)]
)
def test_a_refusal_names_the_place_and_what_was_expected_there(
    name: str, read: Callable[[], object], path: str, words: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        read()
    assert (caught.value.path, str(caught.value.say)) == (path, words)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-28T01:00:00Z", datetime(2026, 3, 28, 1, 0, tzinfo=UTC)),
        ("2026-03-28t01:00:00z", datetime(2026, 3, 28, 1, 0, tzinfo=UTC)),
        ("2026-03-28T09:00:00+08:00", datetime(2026, 3, 28, 1, 0, tzinfo=UTC)),
        ("2026-03-28 09:00:00.5+0800", datetime(2026, 3, 28, 1, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-28T01:00:00.123456789Z", datetime(2026, 3, 28, 1, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-03-27T17:30:00-07:30", datetime(2026, 3, 28, 1, 0, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+08:00", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_as_utc(text: str | None, time: datetime | None) -> None:
    assert node(text).time() == time


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-30T00:00:00Z",
        "2026-03-28T25:00:00Z",
        "9999-12-31T23:59:59-08:00",
        "0000-01-01T00:00:00Z",
        "2026-03-28",
        "20260328T010000Z",
        "２０２６-03-28T01:00:00Z",
        "2026-03-28T01:00:00+99:99",
        "1774659600",
    ],
)
def test_what_is_no_rfc_3339_time_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        node(text).time()


@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone comes next
    st.integers(min_value=-23 * 60, max_value=23 * 60),
)
def test_every_time_that_python_writes_is_read_back(naive: datetime, minutes: int) -> None:
    stamp = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert node(stamp.isoformat()).time() == stamp


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (1774659600123, datetime(2026, 3, 28, 1, 0, 0, 123_000, tzinfo=UTC)),
        ("1774659600123", datetime(2026, 3, 28, 1, 0, 0, 123_000, tzinfo=UTC)),
        ("1774659600", datetime(2026, 3, 28, 1, 0, tzinfo=UTC)),
        (1774659600.5, datetime(2026, 3, 28, 1, 0, 0, 500_000, tzinfo=UTC)),
        ("null", None),
        ("0", None),
        (0, None),
        (None, None),
    ],
)
def test_epoch_times_are_seconds_or_milliseconds_by_their_size(value: object, time: datetime | None) -> None:
    assert node(value).epoch() == time


@pytest.mark.parametrize("value", [-1, True, "1e3", "9999999999999999", "١٧٧٤٦٥٩٦٠٠"])
def test_what_is_no_epoch_time_is_refused(value: object) -> None:
    with pytest.raises(PayloadError):
        node(value).epoch()


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (5, "5"), (97.39, "97.39"), (True, "true"), (False, "false"), (None, ""), (10**20, "1" + "0" * 20)],
)
def test_scalars_become_text_as_json_writes_them(value: object, text: str) -> None:
    assert node(value).scalar() == text


def test_characters_that_databases_refuse_are_replaced() -> None:
    assert node("a\x00b\ud800c\x1b[31m\t\n").text() == "a�b�c�[31m\t\n"
    assert node("\U0001f600 数据库").text() == "\U0001f600 数据库"


@given(st.text(st.characters()))
def test_clean_text_can_be_stored_and_cleaning_twice_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    assert cleaned.encode().decode() == cleaned == clean(cleaned)
    assert len(cleaned) == len(text)


@given(st.text(st.characters(), max_size=10))
def test_clean_replaces_controls_and_lone_surrogates_and_nothing_else(text: str) -> None:
    unsafe = {*range(9), 11, 12, *range(14, 32), 127, *range(0xD800, 0xE000)}
    assert clean(text) == "".join("\ufffd" if ord(ch) in unsafe else ch for ch in text)


def test_scalars_are_texts_numbers_and_truths_in_their_order_without_what_is_null() -> None:
    read = node({"a": "1\x00", "b\x00": 2, "c": None, "d": True, "e": 0.5, "b\ufffd": "last"}).scalars()
    assert list(read.items()) == [("a", "1\ufffd"), ("b\ufffd", "last"), ("d", "true"), ("e", "0.5")]
    assert node(None).scalars() == {}


@given(st.dictionaries(st.text(), st.text()))
def test_forms_are_read_back(fields: dict[str, str]) -> None:
    assert read_form(urlencode(fields).encode()).raw == fields


def test_a_form_may_hold_bytes_that_are_no_utf8_but_not_too_many_fields() -> None:
    assert read_form(b"a=%ff%E6%95%B0&b=\xff").raw == {"a": "�数", "b": "�"}
    with pytest.raises(PayloadError, match="at most 1000 fields"):
        read_form(b"a=1&" * 1001)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf \r\n{"a": 1}', {"a": 1}),
        (b"[1]", [1]),
        (b"a=%7B%7D&b", {"a": "{}", "b": ""}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_json_and_forms_are_told_apart_by_their_first_character(raw: bytes, value: object) -> None:
    assert read_either(raw).raw == value


def test_nested_values_become_compact_json_text() -> None:
    assert node(["disk", {"team": "数据库", "a": None}]).compact() == '["disk",{"team":"数据库","a":null}]'
