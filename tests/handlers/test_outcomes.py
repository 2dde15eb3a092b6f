"""What follows from a delivery that was sent or given up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from handlers import outbox, outcomes
from handlers.audit_log import told
from handlers.context import Rules
from handlers.document import Document
from handlers.errors import DeliveryError
from handlers.texts import _, render, to_json
from storage import audit, batches, contacts, deliveries, people
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import delivery
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

GROUP, ALONE = "dingtalk:cidOps", "dingtalk:cidAlone"
PERSON = "dingtalk:corp/u"
RULES = Rules(language="en")
GONE = DeliveryError("gone", _("It is gone."), permanent=True)
DOWN = DeliveryError("down", _("It is down."), permanent=False)


def get(tx: Tx, delivery_id: int) -> DeliveryRow:
    row = deliveries.by_id(tx, delivery_id)
    assert row is not None
    return row


def answers(tx: Tx) -> list[tuple[str, str]]:
    """Lane and title of every answer that is owed, oldest first."""
    ids = list(tx.conn.scalars(select(delivery.c.id).where(delivery.c.kind == "answer").order_by(delivery.c.id)))
    rows = [get(tx, one) for one in ids]
    return [(row.lane, (row.payload or {})["document"]["title"]) for row in rows if row.state == "ready"]


@pytest.fixture(autouse=True)
def places(database: Database) -> None:
    with database.write() as tx:
        people.heard(tx, GROUP, "dingtalk", False, "ops", "", None, NOW)
        people.heard(tx, ALONE, "dingtalk", True, "", "", None, NOW)


def test_of_deliveries_that_end_at_the_same_time_exactly_one_makes_the_report(database: Database) -> None:
    """On PostgreSQL each of them sees the others as unfinished, unless they wait for each other."""
    body = {"conversation": GROUP, "person": PERSON, "language": "en", "name": "ops"}
    for turn in range(3):
        with database.write() as tx:
            batch = batches.start(tx, "test", body, NOW)
            rows = [get(tx, seed.owe(tx, f"sms:{turn}:{n}", batch_id=batch)) for n in range(4)]
        start = threading.Barrier(4)

        def settle(row: DeliveryRow, start: threading.Barrier = start) -> set[str]:
            start.wait()
            with database.write() as tx:
                return outcomes.sent(tx, row, "", RULES, NOW)

        with ThreadPoolExecutor(4) as pool:
            woken = [lanes for lanes in pool.map(settle, rows) if lanes]
        assert woken == [{f"chat:{GROUP}"}]
        with database.read() as tx:
            assert answers(tx) == [(f"chat:{GROUP}", "Test of ops: 4 of 4 arrived.")] * (turn + 1)


def test_an_overdue_report_says_what_still_waits_and_late_results_make_no_second_one(database: Database) -> None:
    body = {"conversation": GROUP, "person": PERSON, "language": "en", "name": "ops"}
    late = NOW + outcomes.REPORT_AFTER + timedelta(seconds=1)
    with database.write() as tx:
        batch = batches.start(tx, "test", body, NOW)
        one, two = (get(tx, seed.owe(tx, f"sms:{n}", batch_id=batch)) for n in range(2))
        assert outcomes.sent(tx, one, "", RULES, NOW) == set()
        assert outcomes.report_overdue(tx, NOW + outcomes.REPORT_AFTER) == set()
        assert outcomes.report_overdue(tx, late) == {f"chat:{GROUP}"}
        assert outcomes.report_overdue(tx, late) == set()
        assert outcomes.given_up(tx, two, GONE, "gone", RULES, late) == set()
        assert answers(tx) == [(f"chat:{GROUP}", "Test of ops: 1 of 2 arrived.")]


RESULTS: dict[str, tuple[dict[str, Any], str]] = {
    "sent": ({"state": "sent"}, "sent"),
    "dead": ({"state": "dead", "say": to_json(GONE.say)}, "failed: It is gone."),
    "dead without a word": ({"state": "dead"}, "failed"),
    "cancelled": ({"state": "cancelled"}, "cancelled"),
    "not tried yet": ({}, "waiting"),
    "tried once": ({"attempts": 1, "say": to_json(DOWN.say)}, "waiting after 1 try: It is down."),
    "tried often": ({"attempts": 3, "say": to_json(DOWN.say)}, "waiting after 3 tries: It is down."),
}


@pytest.mark.parametrize(("changes", "words"), RESULTS.values(), ids=RESULTS)
def test_the_state_of_a_delivery_in_words(database: Database, changes: dict[str, Any], words: str) -> None:
    with database.write() as tx:
        one = seed.owe(tx, "sms:a")
        if changes:
            deliveries.settle(tx, one, **changes)
        assert render(outcomes.result(get(tx, one)), "en") == words


def owe_answer(tx: Tx, place_id: str, *, private: bool) -> DeliveryRow:
    place = people.conversation_by_id(tx, place_id)
    assert place is not None
    row = outbox.answer(Document("42"), "en", place, PERSON, private=private, dedupe=f"a:{place_id}:{private}", now=NOW)
    outbox.owe(tx, [row])
    found = tx.conn.scalars(select(delivery.c.id).where(delivery.c.dedupe == row["dedupe"])).one()
    return get(tx, found)


def test_a_private_answer_that_cannot_be_said_is_asked_for_in_the_conversation_it_belongs_to(
    database: Database,
) -> None:
    with database.write() as tx:
        private = owe_answer(tx, GROUP, private=True)
        assert private.lane == f"person:{PERSON}"
        assert outcomes.given_up(tx, private, GONE, "gone", RULES, NOW) == {f"chat:{GROUP}"}
        [(lane, words)] = answers(tx)
        assert lane == f"chat:{GROUP}"
        assert "one-to-one" in words
        assert "42" not in words
        assert get(tx, private.id).payload is None  # what was private is not kept


@pytest.mark.parametrize(("place", "private"), [(GROUP, False), (ALONE, True), (ALONE, False)])
def test_other_answers_that_cannot_be_said_have_no_consequence(database: Database, place: str, private: bool) -> None:
    with database.write() as tx:
        row = owe_answer(tx, place, private=private)
        assert row.lane == f"chat:{place}"
        assert outcomes.given_up(tx, row, GONE, "gone", RULES, NOW) == set()
        assert answers(tx) == []


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DeliveryError("gone", "x", permanent=True, disables=True), "disabled"),
        (DeliveryError("gone", "x", permanent=True), "active"),
        (DeliveryError("down", "x", permanent=False, disables=True), "active"),
    ],
)
def test_only_an_address_that_is_dead_is_disabled(database: Database, error: DeliveryError, state: str) -> None:
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx))
        outcomes.given_up(tx, get(tx, seed.owe(tx, "dingtalk:a", method_id=method)), error, "gone", RULES, NOW)
        found = contacts.method_by_id(tx, method)
        assert found is not None
        assert found.state == state


def test_an_address_is_disabled_once_whoever_finds_out_and_those_told_are_told_once(database: Database) -> None:
    owner = "dingtalk:corp/owner"
    with database.write() as tx:
        who = seed.contact(tx, "Zhang")
        method = seed.method(tx, who)
        people.seen(tx, owner, "Zhang", NOW)
        people.link(tx, owner, who)
        people.set_admin(tx, owner, True, NOW)  # owner and admin at once
        people.set_admin(tx, "wecom:ww/admin", True, NOW)  # nobody can be told alone there
    start = threading.Barrier(3)

    def find_out(_turn: int) -> set[str]:
        start.wait()
        with database.write() as tx:
            return outcomes.disable(tx, method, _("It is gone."), RULES, NOW)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(find_out, range(3)))
    with database.write() as tx:
        [(lane, words)] = answers(tx)
        assert lane == f"person:{owner}"
        assert "Zhang is disabled" in words
        _count, [row] = audit.page(tx, 9, 0)
        assert (row.person, row.conversation, row.action, row.subject) == ("", "", "disable", "Zhang")
        found = contacts.method_by_id(tx, method)
        assert found is not None
        assert row.before == {"method": found.masked, "state": "active"}
        assert row.after == {"state": "disabled", "because": to_json(_("It is gone."))}
        assert "because: It is gone." in render(told(row.after or {}, str), "en")
        assert outcomes.disable(tx, method, _("It is gone."), RULES, NOW + timedelta(hours=2)) == set()
