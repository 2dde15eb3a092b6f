"""Documents in WeCom's two dialects: readable, harmless, and parted where one message is too short."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.fit import cleaned
from bot.markup.wecom_parts import messages
from bot.markup.wecom_v2 import escape, markdown
from handlers.document import Document, Examples, Facts, Items, Link, Paragraph, Table
from tests.bot.markup.test_dingtalk import HOSTILE

LIMIT = 2048

ALIVE = [
    re.compile(r"[<>`\[\]*|]"),
    re.compile(r"^\s*#", re.MULTILINE),
    re.compile(r"^\s*[-+](?=\s|$)", re.MULTILINE),
    re.compile(r"^\s*\d{1,9}[.)](?=\s|$)", re.MULTILINE),
    re.compile(r"^\s*[-=]+\s*$", re.MULTILINE),
    re.compile(r"&(?:#|[A-Za-z][A-Za-z0-9]*;)"),
    re.compile(r"(?<![\w.+\-])@\w"),
    re.compile(r"~~"),
    re.compile(r"\\[!-/:-@\[-`{-~]"),
    re.compile(r"\$\w+=\S*\$"),
    re.compile(r"(?<![^\W_])_+(?=\S)"),
]
"""What would be a structure, a picture, a mention or an escape of the robot's dialect."""


@pytest.mark.parametrize("text", [*HOSTILE, "<think>x</think>", "$userName=zhangsan$", "a_b_ _c_", "-", "=="])
def test_nothing_in_a_value_is_markup(text: str) -> None:
    for shown in (escape(text), escape(f"first\n{text}")):
        assert [form.pattern for form in ALIVE if form.search(shown)] == []


@given(st.text(alphabet="<>[]()`*_|#-+=~.$@&\\! \nab1;", max_size=40))
def test_nothing_in_any_value_is_markup(text: str) -> None:
    shown = escape(text)
    assert [form.pattern for form in ALIVE if form.search(shown)] == []


@pytest.mark.parametrize(
    "text", ["+8613800138000", "rm_bp1_x", "ann@example.com", "a - b", "3.5 GB", "50%", "C:\\temp", "-3"]
)
def test_ordinary_words_stay_what_they_are(text: str) -> None:
    assert escape(text) == text


WHOLE = Document(
    "Disk full",
    (
        Paragraph("one\ntwo"),
        Facts((("Host", "db-1"), ("Since", "09:00\nlocal"))),
        Items(("a", "b"), ordered=True),
        Items(("c",)),
        Table(("Name", "State"), (("Ann", "active"), ("B|b", ""))),
        Examples(("contact add <name> `x`",)),
    ),
    tone="critical",
    badge="CRITICAL",
    number=42,
    links=(Link("Runbook [1]", "https://x.example/a(1)"), Link("bad", "javascript:alert(1)")),
    footer="group dba",
)


def test_a_document_in_the_robots_dialect() -> None:
    assert markdown(cleaned(WHOLE)) == (
        "### 🔴 ［CRITICAL］ #42 Disk full\n\n"
        "one\n\ntwo\n\n"
        "- **Host**: db-1\n- **Since**: 09:00\n  local\n\n"
        "1. a\n2. b\n\n- c\n\n"
        "| Name | State |\n| :- | :- |\n| Ann | active |\n| B｜b | – |\n\n"
        "`contact add <name> ＇x＇`\n\n"
        "- [Runbook ［1］](https://x.example/a%281%29)\n\n"
        "> group dba"
    )


def test_one_sentence_has_no_heading() -> None:
    assert markdown(Document("Done.")) == "Done."
    assert messages(Document("Done."), LIMIT, 3) == ["Done."]


def test_a_document_that_fits_is_one_message() -> None:
    [one] = messages(cleaned(WHOLE), LIMIT, 3)
    assert one.startswith('### 🔴 <font color="warning">[CRITICAL] #42</font> Disk full\none\ntwo\n')


LONG = [
    ("a paragraph of one line", Paragraph("字" * 3000)),
    ("words", Paragraph("word " * 1000)),
    ("a value", Facts((("Description", "字" * 3000),))),
    ("rows", Table(("a", "b"), tuple(("字" * 300, "x" * 300) for _ in range(9)))),
    ("a row that no message holds", Table(("a", "b"), (("字" * 900, "x" * 900),))),
    ("an item that no message holds", Items(("字" * 2000,))),
    ("an example that no message holds", Examples(("x" * 5000,))),
    ("emoji", Paragraph("👨‍👩‍👧‍👦" * 400)),
]


@pytest.mark.parametrize(("name", "block"), LONG, ids=[name for name, _ in LONG])
def test_a_long_document_is_parted_between_lines_and_no_markup_is_torn(name: str, block: object) -> None:
    document = Document("Long", (block, Paragraph("the end")), links=(Link("x", "https://x.example/" + "a" * 1900),))  # type: ignore[arg-type]
    parts = messages(cleaned(document), LIMIT, 9)
    assert len(parts) > 1
    for part in parts:
        assert 0 < len(part.encode()) <= LIMIT
        assert part.count("<font") == part.count("</font>")
        assert part.count("`") % 2 == 0
        assert part.count("**") % 2 == 0
    assert "the end" in "\n".join(parts)


def test_a_paragraph_loses_nothing() -> None:
    parts = messages(cleaned(Document("Long", (Paragraph("字" * 3000),))), LIMIT, 9)
    assert "".join(parts).count("字") == 3000


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=700), max_size=8),
    st.lists(st.tuples(st.text(max_size=100), st.text(max_size=900)), max_size=4),
    st.integers(1, 4),
)
def test_any_document_keeps_the_limits(paragraphs: list[str], pairs: list[tuple[str, str]], most: int) -> None:
    document = Document("t", (*map(Paragraph, paragraphs), Facts(tuple(pairs))), footer="f" * 300)
    parts = messages(cleaned(document), LIMIT, most)
    assert 1 <= len(parts) <= most
    assert all(len(part.encode()) <= LIMIT for part in parts)
