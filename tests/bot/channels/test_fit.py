"""Fitting a document into any limit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.fit import cleaned, drawn, fitted
from bot.markup.plain import outline
from handlers.document import Block, Document, Facts, Items, Link, Paragraph, Table
from tests.bot.channels.messages import DOCUMENT, enormous

TEXT = st.text(max_size=80)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    st.builds(Paragraph, TEXT),
    st.builds(Facts, st.lists(st.tuples(TEXT, TEXT), max_size=8).map(tuple)),
    st.builds(Items, st.lists(TEXT, max_size=8).map(tuple), st.booleans()),
    st.builds(Table, st.tuples(TEXT, TEXT), st.lists(st.tuples(TEXT, TEXT), max_size=8).map(tuple)),
)
DOCUMENTS = st.builds(
    Document,
    title=st.text(max_size=400),
    blocks=st.lists(BLOCKS, max_size=6).map(tuple),
    badge=st.just("CRITICAL"),
    number=st.just(42),
    footer=TEXT,
)


def size(document: Document) -> int:
    return len(f"{document.heading()}\n{outline(document)}")


def test_what_fits_is_left_alone() -> None:
    assert fitted(DOCUMENT, "en", 10_000, size) == DOCUMENT


@settings(max_examples=60)
@given(DOCUMENTS, st.integers(40, 2000))
def test_any_document_fits_any_limit_and_keeps_badge_and_number(document: Document, limit: int) -> None:
    short = fitted(document, "en", limit, size)
    assert size(short) <= limit
    assert short.heading().startswith("[CRITICAL] #42")


@settings(max_examples=60)
@given(DOCUMENTS, st.integers(40, 2000))
def test_what_is_drawn_is_the_document_that_fits(document: Document, limit: int) -> None:
    def draw(whole: Document) -> str:
        return f"{whole.heading()}\n{outline(whole)}"

    assert drawn(document, "en", limit, draw, len) == draw(fitted(document, "en", limit, size))


def test_what_fits_is_drawn_once() -> None:
    made: list[Document] = []

    def draw(document: Document) -> int:
        made.append(document)
        return size(document)

    assert drawn(DOCUMENT, "en", 10_000, draw, lambda chars: chars) == size(DOCUMENT)
    assert len(made) == 1


def test_a_table_without_rows_is_left_out_like_any_line() -> None:
    bare = Table(("", "00000000"), ())
    short = fitted(Document("", (bare, bare), badge="CRITICAL", number=42), "en", 40, size)
    assert size(short) <= 40


@pytest.mark.parametrize(("language", "words"), [("en", "more lines"), ("zh", "…")])
def test_what_is_left_out_is_counted(language: str, words: str) -> None:
    document = Document("t", (Items(tuple(f"item {i}" for i in range(1000))),))
    short = fitted(document, language, 500, size)  # type: ignore[arg-type]
    *_, last = short.blocks
    assert isinstance(last, Paragraph)
    shown = next(block for block in short.blocks if isinstance(block, Items))
    assert words in str(last.text)
    assert str(1000 - len(shown.items)) in str(last.text)


def test_a_long_description_does_not_push_out_the_facts() -> None:
    document = Document("t", (Paragraph("x" * 50_000), Facts((("Instance", "db-7"), ("Value", "93%")))))
    short = fitted(document, "en", 1000, size)
    assert short.blocks[1] == document.blocks[1]
    assert size(short) > 900


def test_a_badge_of_any_length_leaves_room_for_the_number() -> None:
    short = fitted(replace(enormous("x"), badge="B" * 10_000), "en", 300, size)
    assert "#42" in short.heading()
    assert size(short) <= 300


def test_unsafe_links_are_gone_and_labels_are_never_empty() -> None:
    document = Document(
        "t", links=(Link("a", "javascript:x"), Link("", "https://x.example/"), Link("c", "https://u:p@x/"))
    )
    assert cleaned(document).links == (Link("https://x.example/", "https://x.example/"),)


def test_titles_and_footers_are_one_line() -> None:
    document = cleaned(Document("a\n\nb\r\nc", badge="X\nY", footer="1\n2"))
    assert (document.title, document.badge, document.footer) == ("a b c", "X Y", "1 2")
