"""What is said of an import before it is done, and what takes whose place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.platforms.contract import Incoming
from handlers import desk, import_orders, import_reports
from handlers.context import Rules
from handlers.errors import DeliveryError
from handlers.import_books import Book, Entry
from handlers.texts import _
from storage import batches, deliveries, people
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import delivery
from tests.handlers.test_outcomes import get
from tests.storage import seed
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_template"]

LIN = "slack:T1/LIN"
CHANNEL = "slack:T1/C1"
MINE, OTHERS = "https://answers.example.com/mine", "https://answers.example.com/others"
RULES = Rules(language="en", admins=frozenset({LIN}))
SYNC = Incoming("slack", "m1", LIN, "Lin", CHANNEL, False, "sync cloudmonitor", reply_url=MINE, reply_until=NOW)
BOOK = Book((Entry("Ann"),))
DOWN = DeliveryError("busy", _("It is down."), permanent=False)


@pytest.fixture
def tx(sqlite_template: Path, tmp_path: Path) -> Iterator[Tx]:
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}", seed.KEY)
    with database.write() as opened:
        yield opened
    database.close()


def rows(tx: Tx, kind: str) -> list[DeliveryRow]:
    return [get(tx, one) for one in tx.conn.scalars(select(delivery.c.id).where(delivery.c.kind == kind))]


def payloads(tx: Tx) -> list[dict[str, Any]]:
    """Of every answer that is owed."""
    return [row.payload or {} for row in rows(tx, "answer") if row.state == "ready"]


def asked(tx: Tx, message: Incoming = SYNC, rules: Rules = RULES) -> DeliveryRow:
    """Somebody says `sync`; the import that is owed."""
    desk.handle(tx, message, message.message_id, rules, NOW)
    return rows(tx, "import")[-1]


def said(tx: Tx, receipt: str) -> None:
    """What is owed was sent, and the platform calls it so."""
    for row in rows(tx, "answer"):
        if row.state == "ready":
            deliveries.settle(tx, row.id, state="sent", done_at=NOW, receipt=receipt)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("sync cloudmonitor preview", "I am reading CloudMonitor; the result follows here."),
        ("同步云监控", "正在读取云监控，结果稍后在这里给出。"),
        ("sync das rm-1", "I am reading DAS rm-1; the result follows here."),
        ("同步DAS rm-1", "正在读取DAS 实例 rm-1，结果稍后在这里给出。"),
    ],
)
def test_what_is_said_at_once(tx: Tx, text: str, title: str) -> None:
    asked(tx, replace(SYNC, text=text))
    (reading,) = payloads(tx)
    assert reading["document"]["title"] == title
    assert reading["replaces"] == ""


@pytest.mark.parametrize("receipt", ["C1/1.1", ""], ids=["can be changed", "cannot"])
def test_the_result_takes_its_place_where_the_platform_named_it(tx: Tx, receipt: str) -> None:
    owed = asked(tx)
    said(tx, receipt)
    assert import_reports.apply(tx, owed, BOOK, RULES, NOW) == {f"chat:{CHANNEL}"}
    (result,) = payloads(tx)
    assert "1 added" in result["document"]["title"]
    assert result["replaces"] == receipt


def test_what_was_not_sent_yet_stays_a_message_of_its_own_before_the_result(tx: Tx) -> None:
    import_reports.apply(tx, asked(tx), BOOK, RULES, NOW)
    reading, result = payloads(tx)
    assert "I am reading" in reading["document"]["title"]
    assert (result["replaces"], "1 added" in result["document"]["title"]) == ("", True)


def test_each_takes_the_place_of_the_one_before(tx: Tx) -> None:
    owed = asked(tx)
    said(tx, "C1/1.1")
    import_orders.slow(tx, owed, DOWN, RULES, NOW)
    assert [one["replaces"] for one in payloads(tx)] == ["C1/1.1"]
    said(tx, "C1/2.2")  # the first could not be changed any more
    import_orders.failed(tx, owed, DOWN, RULES, NOW)
    (failed,) = payloads(tx)
    assert failed["replaces"] == "C1/2.2"
    assert "nothing is changed" in failed["document"]["title"]


def test_all_of_it_goes_to_the_address_of_who_asked(tx: Tx) -> None:
    owed = asked(tx)
    said(tx, "")
    people.heard(tx, CHANNEL, "slack", False, "", OTHERS, None, NOW + timedelta(seconds=1))
    import_reports.apply(tx, owed, BOOK, RULES, NOW)
    assert [(one["reply_url"], one["reply_until"]) for one in payloads(tx)] == [(MINE, NOW.isoformat())]


def test_nobody_reports_on_the_batch_that_holds_them_together(tx: Tx) -> None:
    batch = (asked(tx).payload or {})["batch"]
    assert [row.kind for row in batches.deliveries_of(tx, batch)] == ["answer"]
    assert batches.overdue(tx, NOW + timedelta(days=1)) == []
    assert batches.close(tx, batch, NOW) is None


ONCE = replace(RULES, once=frozenset({"slack"}))


@pytest.mark.parametrize(
    ("rules", "message", "owed", "inline"),
    [
        (RULES, SYNC, 1, False),
        (ONCE, SYNC, 0, False),
        (ONCE, replace(SYNC, inline="buttons"), 0, True),
        (ONCE, replace(SYNC, reply_url="", reply_until=None), 1, False),
        (ONCE, replace(SYNC, text="sync cloudmonitor everything"), 1, False),
    ],
    ids=["many answers", "one answer", "one answer and the response", "no address", "no interim answer"],
)
def test_an_address_that_takes_one_answer_is_kept_for_the_result(
    tx: Tx, rules: Rules, message: Incoming, owed: int, inline: bool
) -> None:
    outcome = desk.handle(tx, message, "1", rules, NOW)
    assert (len(payloads(tx)), outcome.inline) == (owed, inline)
    for row in rows(tx, "import"):
        slow = import_orders.slow(tx, row, DOWN, rules, NOW)
        assert bool(slow) == (rules is RULES or not message.reply_url)
        import_reports.apply(tx, row, BOOK, rules, NOW)
        assert "1 added" in payloads(tx)[-1]["document"]["title"]


def test_an_import_that_was_owed_by_an_older_version_is_answered_as_well(tx: Tx) -> None:
    owed = asked(tx)
    said(tx, "C1/1.1")
    old = {
        key: value for key, value in (owed.payload or {}).items() if key not in ("batch", "reply_url", "reply_until")
    }
    import_reports.apply(tx, replace(owed, payload=old), BOOK, RULES, NOW)
    assert [one["replaces"] for one in payloads(tx)] == [""]
