"""Delivery receipts: what providers write into them, and what follows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers import outbox, outcomes, receipts
from handlers.context import Rules
from handlers.errors import PayloadError
from handlers.outbox import key_of
from handlers.receipts import Report, TooEarly
from handlers.texts import render
from storage import contacts, crowds, deliveries
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.fixtures import sqlite_database as lite
from tests.storage.seed import NOW

__all__ = ["database", "lite", "postgres_database", "shared_postgres", "sqlite_template"]

SAMPLES = Path(__file__).parents[1] / "fixtures" / "samples"
PHONE = "+8613800138000"
RULES = Rules(language="en")
LATER = NOW + timedelta(minutes=1)


def test_the_samples_say_that_they_arrived() -> None:
    [sms] = receipts.sms_reports((SAMPLES / "sms-report.json").read_bytes())
    at = datetime(2026, 3, 28, 1, 0, 3, tzinfo=UTC)
    assert sms == Report("sms", True, "vc-01HEXAMPLE", "900619746936498400^0", "", at)
    [call] = receipts.voice_reports((SAMPLES / "voice-report.json").read_bytes())
    at = datetime(2026, 3, 28, 1, 0, 9, tzinfo=UTC)
    assert call == Report("voice", True, "esc-000001", "122628733198^109422060001", "200003", at)


@pytest.mark.parametrize(
    ("parse", "row", "expected"),
    [
        ("sms", {"success": False, "err_code": "MK:0010"}, (False, "MK:0010")),
        ("sms", {"success": True, "err_code": "DELIVERED", "report_time": "yesterday"}, (True, "")),
        ("sms", {"success": "true"}, None),
        ("sms", {}, None),
        ("voice", {"duration": "0", "status_code": "200010"}, (False, "200010")),
        ("voice", {"duration": 12, "status_code": 200000}, (True, "200000")),
        ("voice", {"status_code": "200003"}, (False, "200003")),
        ("voice", {"duration": "-3"}, (False, "")),
        ("voice", {}, None),
    ],
)
def test_what_a_push_says(parse: str, row: dict[str, Any], expected: tuple[bool, str] | None) -> None:
    found = receipts.PARSERS[parse](json.dumps([row, None, 7]).encode())
    assert [(one.delivered, one.code) for one in found] == ([expected] if expected else [])
    assert len(receipts.PARSERS[parse](json.dumps(row).encode())) == len(found)


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.none(), max_size=1)
FIELDS = st.sampled_from(("success", "err_code", "out_id", "biz_id", "report_time", "duration", "status_code", "x"))
JSON = VALUES | st.dictionaries(FIELDS, VALUES) | st.lists(st.dictionaries(FIELDS, VALUES) | VALUES, max_size=3)


@settings(max_examples=60)
@given(st.binary() | JSON.map(lambda body: json.dumps(body).encode()))
def test_any_body_is_receipts_or_a_payload_error(body: bytes) -> None:
    for parse in receipts.PARSERS.values():
        try:
            found = parse(body)
        except PayloadError:
            continue
        assert all(isinstance(one, Report) for one in found)


def sent(tx: Tx, channel: str = "sms", **values: Any) -> DeliveryRow:
    """A message that the provider took, to an active phone."""
    phone = seed.method(tx, seed.contact(tx), "sms", PHONE)
    found = contacts.method_by_id(tx, phone)
    assert found is not None
    owed = seed.owe(tx, f"{channel}:{found.address_key}", method_id=phone, masked=found.masked, **values)
    deliveries.begin(tx, owed, NOW)
    outcomes.sent(tx, get(tx, owed), "biz-1", RULES, NOW)
    return get(tx, owed)


def get(tx: Tx, delivery_id: int) -> DeliveryRow:
    row = deliveries.by_id(tx, delivery_id)
    assert row is not None
    return row


def say(tx: Tx, row: DeliveryRow, code: str = "", **changes: Any) -> str:
    """A receipt comes; the delivery in words afterwards."""
    values: dict[str, Any] = {"channel": row.channel, "delivered": not code, "out_id": key_of(row), "code": code}
    receipts.received(tx, Report(**(values | changes)), RULES, LATER)
    return render(outcomes.result(get(tx, row.id)), "en")


def state_of(tx: Tx, row: DeliveryRow) -> str:
    method = contacts.method_by_id(tx, row.method_id or 0)
    return method.state if method else ""


@pytest.mark.parametrize("code", receipts.SMS_FATES)
def test_every_code_has_words_and_some_disable_the_number(code: str, lite: Database) -> None:
    with lite.write() as tx:
        row = sent(tx)
        assert say(tx, row, code).startswith("failed: The ")
        disables = code in ("MOBILE_IN_BLACK", "USER_REJECT", "SP_NOT_BY_INTER_SMS", "isv.MOBILE_NUMBER_ILLEGAL")
        assert state_of(tx, row) == ("disabled" if disables else "active")


def test_the_first_word_counts_but_delivered_is_always_believed(database: Database) -> None:
    with database.write() as tx:
        row = sent(tx)
        assert say(tx, row, "XX:9", out_id="") == "sent"
        assert say(tx, row, "XX:9", out_id="cb-7-1", reference="other") == "sent"
        assert say(tx, row, "XX:9", out_id="", reference="biz-1", channel="voice") == "sent"
        failed = "failed: The carrier did not put it through (XX:9)."
        assert say(tx, row, "XX:9", out_id="", reference="biz-1") == failed
        assert say(tx, row, "MOBILE_IN_BLACK") == failed
        assert state_of(tx, row) == "active"
        assert say(tx, row) == "delivered"
        assert say(tx, row, "XX:9") == "delivered"
        assert get(tx, row.id).state == "sent"


def test_a_receipt_before_the_answer_has_to_come_again_unless_it_is_good(database: Database) -> None:
    with database.write() as tx:
        row = sent(tx)
        again = get(tx, seed.owe(tx, row.lane))
        assert say(tx, again) == "waiting"  # never sent
        deliveries.begin(tx, again.id, NOW)
        with pytest.raises(TooEarly):
            say(tx, again, "MOBILE_NOT_ON_SERVICE")
        assert say(tx, again) == "delivered"


def test_a_late_receipt_does_not_disable_what_was_verified_since(database: Database) -> None:
    with database.write() as tx:
        row = sent(tx)
        contacts.change_method(tx, row.method_id or 0, verified_at=LATER)
        assert say(tx, row, "MOBILE_IN_BLACK").startswith("failed")
        assert state_of(tx, row) == "active"


def test_a_digest_that_did_not_arrive_failed_for_all_it_names(database: Database) -> None:
    with database.write() as tx:
        row = sent(tx)
        named = seed.owe(tx, row.lane, kind="alert", alert_id=seed.alert(tx, "a"), alert_status="firing")
        [waiting] = crowds.around(tx, get(tx, named), NOW, 9)
        digest = outbox.digest(get(tx, named), [waiting], key="k", now=NOW)
        digest_id = crowds.merge(tx, digest, [named])
        deliveries.begin(tx, digest_id, NOW)
        outcomes.sent(tx, get(tx, digest_id), "biz-2", RULES, NOW)
        assert say(tx, get(tx, digest_id), "NO_ROUTE").startswith("failed")
        assert render(outcomes.result(get(tx, named)), "en").startswith("failed: The carrier takes no SMS")
        assert say(tx, get(tx, digest_id)) == "delivered"
        assert get(tx, named).state == "sent"


def test_a_call_that_nobody_answers_is_made_three_times_while_the_alert_is_open(database: Database) -> None:
    with database.write() as tx:
        row = sent(tx, "voice", kind="alert", alert_id=seed.alert(tx, "a"), alert_status="firing")
        out_id = receipts.call_id(key_of(row))
        for tries in ("1 try", "2 tries"):
            assert say(tx, row, "200003", out_id=out_id) == f"waiting after {tries}: Nobody answered."
            assert say(tx, row, "200003", out_id=out_id) == f"waiting after {tries}: Nobody answered."
            deliveries.begin(tx, row.id, LATER)
            outcomes.sent(tx, get(tx, row.id), "call", RULES, LATER)
        assert say(tx, row, "200003", out_id=out_id) == "failed: Nobody answered."
        closed = sent(tx, "voice", kind="alert", alert_id=seed.alert(tx, "b", status="resolved"), alert_status="firing")
        assert say(tx, closed, "200003", out_id=receipts.call_id(key_of(closed))) == "failed: Nobody answered."


@pytest.mark.parametrize(
    ("age", "pushed", "expected"),
    [
        (timedelta(minutes=5), False, (True, timedelta(minutes=15))),
        (timedelta(minutes=5), True, (False, receipts.PUSHED_BY)),
        (receipts.PUSHED_BY, True, (True, timedelta(hours=1))),
        (timedelta(days=1), False, (True, timedelta(days=2))),
        (timedelta(days=2), False, (True, None)),
    ],
)
def test_when_the_provider_is_asked(
    age: timedelta, pushed: bool, expected: tuple[bool, timedelta | None], lite: Database
) -> None:
    with lite.write() as tx:
        row = sent(tx)
    asking, later = receipts.next_ask(row, NOW + age, pushed=pushed)
    assert (asking, later and later - NOW) == expected
