"""What stands on the card of an alert: times, who took care, long values, links; in both languages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.markup.plain import cut, outline
from handlers.cards import NOBODY, VALUE_CHARS, History, alert_document
from handlers.document import Document, Facts, Paragraph, localize
from handlers.model import Alert
from handlers.texts import Language
from handlers.urls import safe_url

SHANGHAI = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
ALERT = Alert("f", "disk full", severity="critical", labels={"host": "db-7"}, starts_at=START)
OVER = replace(ALERT, status="resolved", ends_at=START + timedelta(hours=2, minutes=5))
LIN = History("Lin", START + timedelta(minutes=3), "Wang")


def drawn(alert: Alert, language: Language = "en", history: History = NOBODY, **more: Any) -> Document:
    document = alert_document(alert, 42, source="prom", group="dba", zone=SHANGHAI, history=history, **more)
    return localize(document, language)


def facts(document: Document) -> dict[str, str]:
    return {str(k): str(v) for block in document.blocks if isinstance(block, Facts) for k, v in block.pairs}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            {
                "Since": "2026-11-23 21:05 (UTC+8)",
                "Ended": "2026-11-23 23:10 (UTC+8)",
                "Lasted": "2 h 5 min",
                "Acknowledged by": "Lin, 2026-11-23 21:08 (UTC+8)",
                "Resolved by": "Wang",
            },
        ),
        ("zh", {"开始时间": "2026-11-23 21:05 (UTC+8)"}),
    ],
)
def test_a_recovery_says_how_long_it_lasted_and_who_took_care_when(language: Language, said: dict[str, str]) -> None:
    shown = facts(drawn(OVER, language, LIN))
    assert said.items() <= shown.items(), shown


def test_what_a_person_resolved_meanwhile_is_not_said_of_the_alarm_that_still_waited() -> None:
    shown = facts(drawn(ALERT, history=LIN))
    assert "Resolved by" not in shown
    assert "Ended" not in shown
    assert shown["Acknowledged by"].startswith("Lin")


def test_a_card_that_goes_out_is_shortened_and_says_where_the_rest_is() -> None:
    long = replace(
        ALERT,
        description="stack " * 1000,
        labels={"host": "db-7", **{f"l{i}": "x" * 5000 for i in range(20)}},
        annotations={f"a{i}": "y" for i in range(9)},
    )
    short, whole = drawn(long, shorten=cut), drawn(long)
    assert max(len(value) for value in facts(short).values()) == VALUE_CHARS
    assert facts(short)["l0"].endswith("…")
    assert "l12" not in facts(short)
    assert "a6" not in facts(short)
    assert "shortened: alert #42 shows all" in str(short.footer)
    assert len(outline(short)) < 6000
    assert facts(whole)["l19"] == "x" * 5000
    assert "a8" in facts(whole)
    assert Paragraph("stack " * 1000) in whole.blocks
    assert "shortened" not in str(whole.footer)
    assert "shortened" not in str(drawn(ALERT, shorten=cut).footer), "nothing was left out"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://wiki.example/x?a=1#b", "https://wiki.example/x?a=1#b"),
        ("https://例子.测试:8443/路径", "https://xn--fsqu00a.xn--0zwm56d:8443/路径"),
        ("https://\u0430pple.com/id", "https://xn--pple-43d.com/id"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("https://bank.example@evil.example/", None),
        ("https://@evil.example/", None),
        ("https://evil.example/\u202egpj.exe", None),
        ("https://evil.example/\u3000x", None),
        ("https://\u2024\u2024/", None),
        ("https://" + "ü" * 80 + ".example/", None),
        ("https:///nowhere", None),
        ("https://x:99999/", None),
    ],
)
def test_links_lead_where_they_seem_to_or_are_none(url: str, safe: str | None) -> None:
    assert safe_url(url) == safe
    alert = replace(ALERT, links=(("runbook", url),))
    assert [link.url for link in drawn(alert).links] == ([safe] if safe else [])


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("runbook", "Runbook"),
        ("v1.2 notes", "v1.2 notes"),
        ("https://bank.example/login", "evil.example:8443"),
        ("www.bank.example", "evil.example:8443"),
        ("bank.example", "evil.example:8443"),
        ("Bank.Example/login", "evil.example:8443"),
    ],
)
def test_a_label_does_not_pretend_to_be_another_address(label: str, shown: str) -> None:
    [link] = drawn(replace(ALERT, links=((label, "https://evil.example:8443/x"),))).links
    assert link.label == shown


def test_a_page_that_silences_in_alertmanager_says_that_it_is_there() -> None:
    links = (("silence", "https://am.example.com/#/silences/new?filter=x"), ("silence", "https://other.example.com/s"))
    assert [str(link.label) for link in drawn(replace(ALERT, links=links)).links] == [
        "Silence in Alertmanager",
        "Silence",
    ]
