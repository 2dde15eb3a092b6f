"""Cutting and cleaning plain text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.markup.plain import clean, cut, cut_bytes, one_line, unmentioned

FAMILY = "👨\u200d👩\u200d👧"
CHINA = "🇨🇳"
FIREFIGHTER = "🧑🏽\u200d🚒"


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("ab cd", 4, "ab…"),
        ("告警告警", 3, "告警…"),
        ("xe\u0301yz", 3, "x…"),
        (f"a{FAMILY}bcdef", 5, "a…"),
        (f"a{FAMILY}bcdef", 8, f"a{FAMILY}b…"),
        (f"a{FIREFIGHTER}bcdef", 3, "a…"),
        (f"{CHINA}{CHINA}x", 4, f"{CHINA}…"),
        ("❤\ufe0fabc", 2, "…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_text_is_cut_between_characters_that_people_see(text: str, most: int, shown: str) -> None:
    assert cut(text, most) == shown


@given(st.text(), st.integers(0, 60))
def test_a_cut_is_never_too_long_and_only_cuts(text: str, most: int) -> None:
    short = cut(text, most)
    assert len(short) <= most
    assert short == text or text.startswith(short.removesuffix("…"))


@given(st.text(), st.integers(0, 60))
def test_a_cut_in_bytes_is_never_too_long(text: str, most: int) -> None:
    short = cut_bytes(text, most)
    assert len(short.encode()) <= most
    assert short == text or text.startswith(short.removesuffix("…"))


def test_a_heap_of_accents_is_cut_too() -> None:
    assert len(cut("e" + "\u0301" * 5000, 100)) <= 100


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
        ("a\x00\x1b[31mb\x7f\x9b", "a[31mb"),
        ("a\u202egnp.exe\u2066", "agnp.exe"),
        ("a\u200bb\ufeffc\u2060d", "abcd"),
        ("\ud83d!", "\ufffd!"),
        (FAMILY, FAMILY),
        ("a\tb", "a\tb"),
    ],
)
def test_what_cannot_be_seen_is_taken_out(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_character_alone_is_cleaned_as_among_unseen_ones() -> None:
    """What is seen at a glance to be clean is what looking for each unseen character leaves as it is."""
    for code in range(0x110000):
        ch = chr(code)
        assert clean(ch) == clean(f"\u200b{ch}\u200b"), hex(code)


@given(st.text(st.characters(exclude_categories=())))
def test_cleaned_text_can_be_sent(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert all(ch in "\n\t" or unicodedata.category(ch) not in ("Cc", "Cs") for ch in cleaned)
    assert "\n" not in one_line(text)
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@all", "＠all"),
        ("hi @zhangsan", "hi ＠zhangsan"),
        ("x@all", "x＠all"),
        ("@所有人", "＠所有人"),
        ("zhang@example.com", "zhang@example.com"),
        ("5 @ 3", "5 @ 3"),
        ("@@here", "@＠here"),
    ],
)
def test_mentions_become_look_alikes_and_mail_addresses_stay(text: str, shown: str) -> None:
    assert unmentioned(text) == shown
