"""The month meter: when a month begins, what counts, who is told when, and what the reserve is kept for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from handlers import meters, outcomes
from handlers.context import Rules
from handlers.texts import render
from storage import deliveries, people
from storage import meters as months
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import delivery
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

ADMIN, OTHER = "dingtalk:corp/admin", "dingtalk:corp/other"
RULES = Rules(language="en", admins=frozenset({ADMIN}), months={"dingtalk": 20, "lark": 20})
SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("now", "zone", "month", "following"),
    [
        (datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC), SHANGHAI, "2026-11", datetime(2026, 11, 30, 16, tzinfo=UTC)),
        (datetime(2026, 11, 30, 16, 0, 0, tzinfo=UTC), SHANGHAI, "2026-12", datetime(2026, 12, 31, 16, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 0, 0, tzinfo=UTC), UTC, "2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2028, 2, 29, 12, 0, 0, tzinfo=UTC), UTC, "2028-02", datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC), UTC, "2026-01", datetime(2026, 2, 1, tzinfo=UTC)),
        (datetime(2026, 11, 1, 4, 30, 0, tzinfo=UTC), NEW_YORK, "2026-11", datetime(2026, 12, 1, 5, tzinfo=UTC)),
    ],
    ids=["last second", "first second", "end of the year", "leap day", "long month", "summer time ends"],
)
def test_a_month_is_that_of_the_zone(now: datetime, zone: ZoneInfo, month: str, following: datetime) -> None:
    assert meters.month_of(now, zone) == month
    assert meters.next_month(now, zone) == following
    assert meters.month_of(following - timedelta(milliseconds=1), zone) == month
    assert meters.month_of(following, zone) != month


@pytest.mark.parametrize(
    ("lane", "platform"),
    [
        ("dingtalk:3fa9", "dingtalk"),
        ("chat:dingtalk:cidOps", "dingtalk"),
        ("person:dingtalk:corp/u", "dingtalk"),
        ("lark:3fa9", ""),
        ("chat:lark:oc_1", "lark"),
        ("person:lark:t/ou_1", "lark"),
        ("chat:slack:T/C", "slack"),
        ("wecom:3fa9", ""),
        ("sms:3fa9:code", ""),
        ("email:dingtalk", ""),
    ],
)
def test_on_whose_meter_a_lane_counts(lane: str, platform: str) -> None:
    assert meters.platform_of(lane) == platform


def get(tx: Tx, delivery_id: int) -> DeliveryRow:
    row = deliveries.by_id(tx, delivery_id)
    assert row is not None
    return row


def send(
    database: Database, count: int, *, lane: str = "dingtalk:robot", rules: Rules = RULES, at: datetime = NOW
) -> None:
    """Sends so many messages, one after the other."""
    for _message in range(count):
        with database.write() as tx:
            outcomes.sent(tx, get(tx, seed.owe(tx, lane)), "", rules, at)


def told(database: Database) -> list[tuple[str, str]]:
    """Lane and title of what waits for people one-to-one."""
    with database.read() as tx:
        ids = list(tx.conn.scalars(select(delivery.c.id).where(delivery.c.kind == "answer").order_by(delivery.c.id)))
        rows = [get(tx, one) for one in ids]
    return [(row.lane, (row.payload or {})["document"]["title"]) for row in rows]


def used(database: Database, platform: str = "dingtalk", month: str = "2026-03") -> int:
    with database.read() as tx:
        return months.used(tx, platform, month)


def test_each_threshold_is_told_once_to_every_admin_that_can_be_reached(database: Database) -> None:
    with database.write() as tx:
        people.set_admin(tx, OTHER, True, NOW)
        people.set_admin(tx, "slack:T/U", True, NOW)  # cannot be written to alone here
    send(database, 9)
    assert told(database) == []
    send(database, 1)
    half = "DingTalk: 50 % of this month's messages are used."
    assert told(database) == [(f"person:{ADMIN}", half), (f"person:{OTHER}", half)]
    send(database, 5)
    assert len(told(database)) == 2
    send(database, 4)
    assert [title.split("%")[0] for _lane, title in told(database)[2:]] == ["DingTalk: 80 "] * 2 + ["DingTalk: 95 "] * 2
    send(database, 9)
    assert len(told(database)) == 6
    assert used(database) == 28


def test_what_is_passed_over_is_not_told(database: Database) -> None:
    send(database, 1, rules=replace(RULES, months={"dingtalk": 1}))
    assert [title.split("%")[0] for _lane, title in told(database)] == ["DingTalk: 95 "]


def test_a_new_month_is_counted_and_told_anew(database: Database) -> None:
    send(database, 10)
    send(database, 10, at=datetime(2026, 3, 31, 16, tzinfo=UTC))  # midnight in Shanghai
    assert len(told(database)) == 2
    assert (used(database), used(database, month="2026-04")) == (10, 10)


def test_robots_of_dingtalk_count_and_those_of_lark_do_not(database: Database) -> None:
    for lane in ("dingtalk:one", "dingtalk:other", "chat:dingtalk:cid", "person:dingtalk:corp/u"):
        send(database, 1, lane=lane)
    for lane in ("lark:one", "chat:lark:oc", "sms:one", "slack:one", "chat:slack:T/C"):
        send(database, 1, lane=lane)
    assert (used(database), used(database, "lark"), used(database, "slack")) == (4, 1, 0)


def test_a_platform_that_is_not_metered_is_not_counted(database: Database) -> None:
    rules = replace(RULES, months={})
    send(database, 3, rules=rules)
    assert used(database) == 0
    with database.write() as tx:
        assert meters.held_back(tx, get(tx, seed.owe(tx, "dingtalk:robot")), rules, NOW) is None


@pytest.mark.parametrize(
    ("kind", "status", "severity", "goes"),
    [
        ("alert", "firing", "critical", True),
        ("code", None, None, True),
        ("answer", None, None, True),
        ("alert", "firing", "warning", False),
        ("alert", "firing", "info", False),
        ("alert", "resolved", "critical", False),
        ("test", None, None, False),
        ("notice", None, None, False),
    ],
)
def test_out_of_the_reserve_goes_only_what_cannot_be_done_without(
    database: Database, kind: str, status: str | None, severity: str | None, goes: bool
) -> None:
    send(database, 18)
    with database.write() as tx:
        row = get(tx, seed.owe(tx, "dingtalk:robot", kind=kind, alert_status=status, alert_severity=severity))
        assert meters.held_back(tx, row, RULES, NOW) is None, "90 %"
    send(database, 1)
    with database.read() as tx:
        why = meters.held_back(tx, row, RULES, NOW)
        assert meters.held_back(tx, row, RULES, datetime(2026, 3, 31, 16, tzinfo=UTC)) is None, "the next month"
    if goes:
        assert why is None
        return
    assert why is not None
    assert (why.reason, why.permanent, why.disables) == ("reserve", True, False)
    assert render(why.say, "en") == (
        "19 of 20 messages of this month on DingTalk are used; until 2026-04-01 00:00:00 +08:00 the rest is kept for"
        " critical alerts"
    )


def test_a_digest_goes_when_it_names_a_critical_alert_that_fires(database: Database) -> None:
    send(database, 20)
    named = {
        True: [("firing", "warning"), ("firing", "critical")],
        False: [("firing", "warning"), ("resolved", "critical")],
    }
    with database.write() as tx:
        for goes, alerts in named.items():
            digest = seed.owe(tx, "dingtalk:robot", kind="digest")
            for status, severity in alerts:
                number = seed.alert(tx, f"{goes} {status} {severity}")
                card = {"kind": "alert", "alert_id": number, "alert_status": status, "alert_severity": severity}
                deliveries.settle(tx, seed.owe(tx, "dingtalk:robot", **card), state="merged", digest_id=digest)
            assert (meters.held_back(tx, get(tx, digest), RULES, NOW) is None) == goes


def test_the_reserve_of_one_platform_holds_nothing_back_on_another(database: Database) -> None:
    send(database, 20)
    with database.write() as tx:
        for lane in ("lark:robot", "wecom:robot", "sms:one"):
            assert meters.held_back(tx, get(tx, seed.owe(tx, lane)), RULES, NOW) is None
