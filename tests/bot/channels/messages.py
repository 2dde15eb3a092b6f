"""Messages that tests send: an ordinary alert, hostile ones, enormous ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from bot.channels.contract import Message
from handlers.document import Document, Examples, Facts, Items, Link, Paragraph, Table
from handlers.model import Alert

NOW = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
"""1700000000 in seconds."""

DOCUMENT = Document(
    title="disk 93% full",
    blocks=(
        Paragraph("The data volume fills by 2% an hour."),
        Facts((("Instance", "db-7"), ("Region", "cn-shanghai"), ("Value", "93%"))),
        Items(("grow the volume", "delete old logs")),
        Table(("Since", "Value"), (("10:02", "91%"), ("10:12", "93%"))),
        Examples(("ack 42",)),
    ),
    tone="critical",
    badge="CRITICAL",
    number=42,
    links=(Link("Runbook", "https://runbook.example/disk"), Link("Graph", "https://graph.example/d/1?a=1&b=2")),
    footer="to DBA",
)
ALERT = Alert(
    "f1",
    "disk 93% full",
    severity="critical",
    labels={"instance": "db-7", "region": "cn-shanghai"},
    annotations={"value": "93"},
    starts_at=NOW,
)


def message(document: Document = DOCUMENT, **changes: Any) -> Message:
    plain = Message(document, "en", "alert", "d-42-1", NOW, alert=ALERT, number=42, group="DBA", thread="alert-42")
    return replace(plain, **changes)


@cache
def enormous(words: str) -> Document:
    """A document of which every part is far too large."""
    long = words * (200_000 // len(words))
    return replace(
        DOCUMENT,
        title=long,
        blocks=(
            Paragraph(long),
            Facts(tuple((f"label {i} {words}", f"value {i} {words * 40}") for i in range(1000))),
            Items(tuple(f"item {i} {words}" for i in range(1000))),
            Table(("A", "B"), tuple((str(i), words * 9) for i in range(500))),
            Examples(tuple(f"ack {i}" for i in range(500))),
        ),
        links=tuple(Link(f"link {i}", f"https://x.example/{i}/{'p' * 1500}") for i in range(40)),
        footer=long,
    )
