"""Documents as DingTalk markdown: readable, harmless, never too long."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.markup.dingtalk import BREAK, TEXT_MAX_BYTES, escape, markdown
from bot.markup.plain import clean, cut
from handlers.document import Block, Document, Examples, Facts, Items, Link, Paragraph, Table

HOSTILE = [
    "[x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "[x][y]",
    "[y]: https://evil.example",
    "<font color=red>x</font>",
    "<at id=all></at>",
    "<!channel>",
    "<@all>",
    "<https://evil.example>",
    "@all",
    "@13800000001 now",
    "see @bob",
    "# heading",
    "> quote",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "2) item",
    "---",
    "===",
    "***",
    "~~~\ncode",
    "```\ncode",
    "    indented",
    "**bold**",
    "*it* and __it__ and _it_",
    "&lt;font&gt; &#42;x&#42;",
    "~~gone~~",
    "`code`",
    "\\*x\\*",
    "dtmd://dingtalkclient/sendMessage?content=contact%20remove",
    "first\n# second\n> third",
    "first\r# second\u2028> third",
    "|a|b|\n|-|-|",
]

STRUCTURE = [
    re.compile(r"\]\("),
    re.compile(r"\]\["),
    re.compile(r"^\s{0,3}(\[[^\]]*\]:)", re.MULTILINE),
    re.compile(r"<[A-Za-z/!?]"),
    re.compile(r"(?<![\w.*+\-])@\w"),
    re.compile(r"&(#|[A-Za-z]+;)"),
    re.compile(r"^[ \t]*(#|>|[-+*] |[-=]{3}|\d+[.)]\s|```|~~~|\|)", re.MULTILINE),
    re.compile(r"^[ \t]*(\*[ \t]*){3,}$", re.MULTILINE),
    re.compile(r"\*\*\w[^*]*\*\*"),
    re.compile(r"(?<!\w)\*\w[^*]*(?<!\s)\*"),
    re.compile(r"(?<!\w)_+[^\W_][^_]*(?<!\s)_+(?!\w)"),
    re.compile(r"`"),
    re.compile(r"~~"),
    re.compile(r"\\[!-/:-@\[-`{-~]"),
    re.compile(r"(?i)(dtmd|dingtalk):/"),
    re.compile(r"^ {4}\S", re.MULTILINE),
]


def structures(text: str) -> list[str]:
    return [pattern.pattern for pattern in STRUCTURE if pattern.search(text)]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    assert structures(clean(text).replace("javascript", "")) or text == "first\r# second\u2028> third"
    assert structures(escape(text)) == []


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["title", "paragraph", "label", "value", "item", "cell", "command", "link", "footer"])
def test_hostile_text_is_harmless_everywhere_in_a_document(text: str, place: str) -> None:
    blocks: dict[str, tuple[Block, ...]] = {
        "paragraph": (Paragraph(text),),
        "label": (Facts(((text, "v"),)),),
        "value": (Facts((("l", text),)),),
        "item": (Items((text,)),),
        "cell": (Table((text, "b"), ((text, text),)),),
        "command": (Examples((text,)),),
    }
    links = (Link(text, "https://a.example/x"),) if place == "link" else ()
    document = Document(
        title=text if place == "title" else "t",
        blocks=blocks.get(place, ()),
        links=links,
        footer=text if place == "footer" else "",
    )
    rest = markdown(document)[1]
    # What is ours is taken away first; nothing but the text of others is left.
    rest = re.sub(r"\]\(https://a\.example/x\)$", "]", rest)
    rest = re.sub(r"^(### |> |- )", "", rest, flags=re.MULTILINE)
    rest = re.sub(r"^\*\*([^*]*)\*\*(: | · |$)", r"\1\2", rest, flags=re.MULTILINE)
    assert structures(rest) == []


@pytest.mark.parametrize(
    "text",
    [
        "138****5678",
        "z***@example.com",
        "oapi.dingtalk.com…3f2a",
        "disk_full_percent on db-7 is 91.5 % (> 90)",
        "#42 is open",
        "https://ops.example/a/991?x=1&y=2",
        "a * b < c & d",
        "磁盘使用率 95% 【生产】",
        "[CRITICAL] #7 x",
    ],
)
def test_ordinary_text_keeps_its_characters(text: str) -> None:
    assert escape(text).replace("\u200b", "") == text
    assert text in escape(f"x {text}")


def test_of_two_masked_values_no_asterisks_can_pair_up_in_any_renderer() -> None:
    """Simple ones pair any two runs, and would show `z@example.com, 1385678`."""
    assert escape("z***@example.com, 138****5678").replace("\u200b", "") == "z∗∗∗@example.com, 138****5678"
    assert escape("c*@example.com (activated there), phone 137**7000").replace("\u200b", "") == (
        "c∗@example.com (activated there), phone 137**7000"
    )


def test_of_two_masked_numbers_one_line_only_the_last_keeps_its_asterisks() -> None:
    assert escape("138****5678 and 139****0000") == "138∗∗∗∗5678 and 139****0000"


def test_lines_are_parted_as_the_platform_advises() -> None:
    assert escape("a\nb\r\nc") == "a  \n  b  \n  c"


def test_a_document_reads_well() -> None:
    document = Document(
        title="Zhang Wei",
        blocks=(
            Paragraph("One contact\nwith two addresses"),
            Facts((("phone", "138****5678 active"), ("email", "z***@example.com pending"))),
            Items(("a", "b"), ordered=True),
            Table(("Name", "Phone"), (("Li Lei", "139****0000"), ("Han Mei", ""))),
            Examples(("contact show Zhang Wei", "group create dba note nights")),
        ),
        links=(Link("runbook (new)", "https://ops.example/r_(1)"), Link("bad", "javascript:alert(1)")),
        footer="more: say `more`",
    )
    title, text = markdown(document)
    assert title == "Zhang Wei"
    assert text == (
        "### Zhang Wei\n\n"
        "One contact  \n  with two addresses\n\n"
        "- **phone**: 138****5678 active\n"
        "- **email**: z***@example.com pending\n\n"
        "1. a\n2. b\n\n"
        "> Name · Phone\n\n"
        "- **Li Lei** · 139****0000\n"
        "- **Han Mei** · –\n\n"
        "> contact show Zhang Wei\n\n"
        "> group create dba note nights\n"
        "\n- [runbook (new)](https://ops.example/r_%281%29)"
        "\n- bad: javascript:alert(1)\n\n"
        "> more: say ｀more｀"
    )


def test_brackets_in_the_label_of_a_link_do_not_end_it() -> None:
    document = Document("t", links=(Link("a] [b", "https://a.example/x"),))
    assert markdown(document)[1].endswith("\n- [a］ ［b](https://a.example/x)")


def test_severity_is_a_word_and_a_colour() -> None:
    title, text = markdown(Document("disk full", tone="critical", badge="CRITICAL", number=42))
    assert title == "[CRITICAL] #42 disk full"
    assert text == "### 🔴 [CRITICAL] #42 disk full"


@pytest.mark.parametrize("title", ["disk full", "x" * 300, "y" * 110 + " DAS Alarm", "DAS Alarm disk", "A" * 200_000])
def test_the_keyword_stands_in_title_and_text(title: str) -> None:
    preview, text = markdown(Document(title), keyword="DAS Alarm")
    assert "DAS Alarm" in preview
    assert "DAS Alarm" in text
    assert "\n" not in preview


LONG: list[tuple[Block, ...]] = [
    (Paragraph('磁盘 "full" \\ ' * 30_000),),
    (Facts(tuple((f"label {n}", f"value {n}") for n in range(5_000))),),
    (Items(tuple(f"item {n}" for n in range(5_000))),),
    (Table(("a", "b"), tuple((f"{n}", "x" * 50) for n in range(5_000))),),
    (Paragraph("*_[@<" * 50_000),),
    (Facts((("z" * 50_000, "z" * 50_000),)),),
]


@pytest.mark.parametrize("blocks", LONG)
def test_a_long_document_is_cut_and_keeps_what_matters(blocks: tuple[Block, ...]) -> None:
    document = Document(
        "disk full " * 10_000,
        blocks,
        tone="critical",
        badge="CRITICAL",
        number=42,
        links=(Link("runbook", "https://ops.example/r"),),
        footer="team dba",
    )
    title, text = markdown(document, keyword="DAS Alarm")
    assert len(json.dumps(text, ensure_ascii=False).encode()) <= TEXT_MAX_BYTES
    assert len(json.dumps(text, ensure_ascii=False).encode()) > TEXT_MAX_BYTES // 2
    assert len(json.dumps({"title": title, "text": text}, ensure_ascii=False).encode()) <= 15_000
    assert "[CRITICAL] #42 disk full" in text
    assert "DAS Alarm" in text
    assert "…" in text
    assert text.endswith("- [runbook](https://ops.example/r)\n\n> team dba")


@pytest.mark.parametrize(
    ("text", "max_chars", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("ae\u0301xyz", 3, "a…"),
        ("a👨\u200d👩\u200d👧xyz", 4, "a…"),
        ("ab👍🏽c", 4, "ab…"),
        ("ab  cdef", 5, "ab…"),
        ("abc", 1, "…"),
    ],
)
def test_a_cut_never_splits_a_character(text: str, max_chars: int, expected: str) -> None:
    assert cut(text, max_chars) == expected


@given(st.text() | st.text(alphabet="*_@[](<!&#-1. \na"))
@example("*0 *")  # the second star, behind a blank, closes nothing
@example("___")  # nothing in between
def test_any_text_escapes_to_something_that_can_be_sent_and_has_no_structure(text: str) -> None:
    for bold in (False, True):
        shown = escape(text, bold=bold)
        shown.encode()
        assert structures(shown) == []
        assert not bold or ("\n" not in shown and "*" not in shown)


@given(st.text(alphabet="aZ19中.,:;()%'\"。：·#=+-|>/@&~ "))
@example("1. a")
@example("123) ")
@example("a - #1 +2 =3")
def test_a_line_is_escaped_alone_as_it_is_above_another(text: str) -> None:
    """What is seen at a glance to be harmless is what the long way leaves as it is."""
    assert escape(f"{text}\nx").removesuffix("x").removesuffix(BREAK) == escape(text)
    assert escape(f"{text}\nx", bold=True).removesuffix("x").rstrip(" ") == escape(text, bold=True).rstrip(" ")


@given(st.text(alphabet="*_ a.\n"))
def test_no_emphasis_of_asterisks_can_arise(text: str) -> None:
    """No run of asterisks that could open is left before one that could close."""
    shown = escape(text).replace("\u200b", "x")
    runs = [
        (before.isspace(), after.isspace(), before in "._＿∗", after in "._＿∗")
        for before, after in re.findall(r"(?s)(?<=(.))\*+(?=(.))", f" {shown} ")
    ]
    opens = [not after and (not sign_after or before or sign_before) for before, after, sign_before, sign_after in runs]
    closes = [
        not before and (not sign_before or after or sign_after) for before, after, sign_before, sign_after in runs
    ]
    assert not any(first and any(closes[at + 1 :]) for at, first in enumerate(opens))


@given(st.text(max_size=300), st.text(max_size=3000), st.integers(min_value=1000, max_value=3000))
def test_any_document_keeps_its_limit(title: str, text: str, limit: int) -> None:
    document = Document(title, (Paragraph(text), Facts(((text, text),)), Items((text, text))), footer=text)
    shown = markdown(document, limit_bytes=limit)[1]
    assert len(json.dumps(shown, ensure_ascii=False).encode()) <= limit + 1600  # the heading may alone be longer
