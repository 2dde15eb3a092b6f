"""Templates: what they can say, what they cannot do, and that no template hangs."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers import templates
from handlers.cards import History, alert_document
from handlers.document import Document, Facts, Paragraph, localize
from handlers.errors import CommandError
from handlers.templates import (
    SAMPLE,
    TEXT_CHARS,
    TITLE_CHARS,
    Occasion,
    Part,
    TemplateFailed,
    applied,
    check,
    fill,
    values,
)

ABOUT = Occasion(SAMPLE, 42, "prom", "dba", ZoneInfo("Asia/Shanghai"), "en")
assert SAMPLE.starts_at is not None
OVER = replace(
    ABOUT,
    alert=replace(SAMPLE, status="resolved", ends_at=SAMPLE.starts_at + timedelta(minutes=20)),
    history=History("Lin", SAMPLE.starts_at + timedelta(minutes=1)),
)


def card(part: Part, body: str, about: Occasion = ABOUT) -> Document:
    standard = alert_document(about.alert, about.number, source=about.source, group=about.group, zone=about.zone)
    return localize(applied(standard, part, body, about), about.language)


@pytest.mark.parametrize(
    ("body", "about", "said"),
    [
        ("{{ labels.instance }}: {{ title }}", ABOUT, "db-7: CPU usage of db-7 is high"),
        ("{{ labels['region'] | upper }} {{ severity }}", ABOUT, "CN-SHANGHAI critical"),
        ("{{ labels.nothing.at.all }}{{ labels.owner | default('nobody') }}", ABOUT, "nobody"),
        ("{% if status == 'firing' and 'db' in title %}yes{% else %}no{% endif %}", ABOUT, "yes"),
        (
            "{% for k, v in labels.items() %}{{ k }}={{ v }}{{ '' if loop.last else ' ' }}{% endfor %}",
            ABOUT,
            "instance=db-7 region=cn-shanghai value=97%",
        ),
        ("{{ labels | sort | join(', ') }} {{ labels | length }}", ABOUT, "instance, region, value 3"),
        ("{{ title[:3] ~ '/' ~ title | truncate(6) }}", ABOUT, "CPU/CPU u…"),
        ("{{ description | replace('5 minutes', '300 s') | lower }}", ABOUT, "cpu usage was above 90% for 300 s."),
        ("#{{ number }} {{ source }} {{ group }} {{ since }}", ABOUT, "#42 prom dba 2026-03-28 09:00 (UTC+8)"),
        ("{{ links[0].url }} {{ links | first | length }}", ABOUT, "https://runbook.example.com/cpu 2"),
        ("{{ lasted }} {{ acked_by }} {{ acked_at }}", OVER, "20 minutes Lin 2026-03-28 09:01 (UTC+8)"),
        ("{{ lasted }} {{ severity_name }} {{ language }}", replace(OVER, language="zh"), "20 分钟 严重 zh"),
    ],
)
def test_what_a_template_can_say(body: str, about: Occasion, said: str) -> None:
    assert fill(body, values(about), TEXT_CHARS) == said


@pytest.mark.parametrize(
    "body",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ title.format(1) }}",
        "{% for i in range(9) %}x{% endfor %}",
        "{{ title.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ labels.__init__.__globals__['os'].system('x') }}",
        "{{ labels.pop('a') }}",
        "{% set x = title %}{{ x }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% import 'x' as y %}",
        "{% with x = title %}{{ x }}{% endwith %}",
        "{% filter upper %}x{% endfilter %}",
        "{% for x in labels recursive %}{{ loop(labels) }}{% endfor %}",
        "{{ callboard_rounds }}",
        "{{ self }}",
        "{% for callboard_rounds in labels %}{% for y in labels %}{% endfor %}{% endfor %}",
        "{{ labels | map('upper') | list }}",
        "{{ title | attr('x') }}",
        "{{ title is callable }}",
        "{{ labels | pprint }}",
        "{{ lipsum }}{{ cycler() }}",
        "{{ title",
        "{% if title %}",
        "{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}",
        "{% if 1 %}" * 120 + "x" + "{% endif %}" * 120,
        "{{ a.b }}" * 250,
        "x" * 4097,
        "{{ title < 1 }}",
    ],
)
def test_what_a_template_cannot_do_is_refused_with_a_reason(body: str) -> None:
    started = time.monotonic()
    with pytest.raises(CommandError, match=r"does not work: .+"):
        check("text", body, ABOUT)
    assert time.monotonic() - started < 2


def test_what_is_inside_of_values_cannot_be_seen() -> None:
    body = "{{ title['__class__'] }}{{ labels['__init__'] }}{{ request }}{{ config }}"
    assert fill(body, values(ABOUT), TEXT_CHARS) == ""


@pytest.mark.parametrize(
    "body",
    [
        "{% for a in big %}{% for b in big %}{% for c in big %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in title %}{% for b in title %}{% if a ~ b == 'x' %}{% endif %}{% endfor %}{% endfor %}",
        "{% for a in big %}{% for b in big if b == a ~ big %}{{ b }}{% endfor %}{% endfor %}",
    ],
)
def test_loops_end(body: str) -> None:
    many: dict[str, Any] = {"big": [str(n) for n in range(100)], "title": "t" * 2000}
    with pytest.raises(TemplateFailed, match="500 times"):
        fill(body, many, TEXT_CHARS)


def test_however_much_it_says_the_card_stays_small() -> None:
    long = replace(
        ABOUT, alert=replace(SAMPLE, description="d" * 100_000, labels={f"l{n}": "v" * 9999 for n in range(999)})
    )
    body = "{% for k in labels %}{{ description ~ description }}{{ description | replace('d', 'd' * 1) }}{% endfor %}"
    with pytest.raises(TemplateFailed, match=r"“\*” is not possible"):
        card("text", body, long)
    started = time.monotonic()
    text = fill(
        "{% for k in labels %}" + "{{ description ~ description }}" * 90 + "{% endfor %}", values(long), TEXT_CHARS
    )
    grown = fill("{{ description" + " | replace('d', 'dddddddddd')" * 60 + " }}", values(long), TEXT_CHARS)
    joined = fill("{{ description" + " | join(description)" * 60 + " }}", values(long), TEXT_CHARS)
    assert time.monotonic() - started < 2
    assert len(text) == TEXT_CHARS
    assert max(len(grown), len(joined)) <= TEXT_CHARS
    assert len(str(card("title", "{{ description }}", long).title)) == TITLE_CHARS


def test_badge_number_severity_links_and_footer_stay_whatever_it_says() -> None:
    for document in (card("title", "own words"), card("text", "own\nwords")):
        assert (document.badge, document.number, document.tone) == ("CRITICAL", 42, "critical")
        assert [link.url for link in document.links] == ["https://runbook.example.com/cpu"]
        assert "ack #42" in str(document.footer)
    assert card("title", "own\nwords").title == "own words", "a heading is one line"
    text, kept = card("text", "own\nwords").blocks
    assert text == Paragraph("own\nwords")
    assert kept == Facts((("Severity", "critical"),))


@pytest.mark.parametrize("part", ["title", "text"])
def test_a_template_that_says_nothing_changes_nothing(part: Part) -> None:
    assert card(part, "{{ labels.nothing }}  ") == card(part, " ")
    assert card(part, " ").title == SAMPLE.title
    assert len(card(part, " ").blocks) > 2


@given(st.text(alphabet="{}%# |().'\"[]~ifortle nd0,:*+-_\n", max_size=60))
def test_any_text_is_a_template_or_a_refusal(body: str) -> None:
    with suppress(CommandError):
        check("text", body, ABOUT)


def test_what_an_alert_says_is_never_a_template_itself() -> None:
    hostile = replace(ABOUT, alert=replace(SAMPLE, title="{{ 1 }}{% for x in y %}"))
    assert card("title", "{{ title }}", hostile).title == "{{ 1 }}{% for x in y %}"
    assert templates.part_of("title") == "title"
