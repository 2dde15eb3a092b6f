"""Accepting alerts: what is new, what is a repeat, what has to be sent (PRODUCT.md section 5)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from handlers import outbox
from handlers.alerts import Accepted, accept
from handlers.model import Alert
from storage import alerts, contacts, deliveries, groups, sources
from storage.alerts import AlertRow
from storage.database import Database
from storage.deliveries import DeliveryRow
from storage.schema import delivery
from storage.sources import SourceRow
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

REPEAT = timedelta(hours=4)
DISK = Alert(
    fingerprint="json:1:disk",
    title="disk full",
    severity="warning",
    labels={"host": "db1"},
    links=(("graph", "https://g.example.com"),),
    starts_at=NOW - timedelta(minutes=1),
)
OVER = Alert(fingerprint="json:1:disk", title="disk full", status="resolved")


@pytest.fixture
def source(database: Database) -> SourceRow:
    """A source whose group has one robot."""
    with database.write() as tx:
        who = seed.contact(tx, "Zhang")
        seed.method(tx, who)
        return seed.source(tx, seed.group(tx, "ops", who))


def report(database: Database, source: SourceRow, *said: Alert, at: datetime = NOW) -> Accepted:
    with database.write() as tx:
        assert sources.reporting(tx, source.id, (), at)
        return accept(tx, source, said, at, REPEAT)


def row(database: Database, number: int) -> AlertRow:
    with database.read() as tx:
        found = alerts.by_id(tx, number)
    assert found is not None
    return found


def owed(database: Database) -> list[DeliveryRow]:
    with database.read() as tx:
        ids = tx.conn.scalars(select(delivery.c.id).order_by(delivery.c.id)).all()
        rows = [deliveries.by_id(tx, one) for one in ids]
    return [one for one in rows if one]


def said(database: Database, number: int) -> list[tuple[str | None, str | None]]:
    return [(one.alert_status, one.alert_severity) for one in owed(database) if one.alert_id == number]


def test_a_new_alert_gets_a_number_and_is_owed_to_every_method(database: Database, source: SourceRow) -> None:
    accepted = report(database, source, DISK)
    [number] = accepted.ids
    stored = row(database, number)
    assert (stored.title, stored.status, stored.severity, stored.labels) == (
        "disk full",
        "firing",
        "warning",
        {"host": "db1"},
    )
    assert (stored.links, stored.starts_at) == ([["graph", "https://g.example.com"]], DISK.starts_at)
    [card] = owed(database)
    assert accepted.lanes == {card.lane}
    assert (card.kind, card.channel, card.contact_name, card.group_name) == ("alert", "dingtalk", "Zhang", "ops")
    assert (card.priority, card.due_at, card.expires_at) == (outbox.OTHER, NOW, NOW + timedelta(hours=24))


STEP = timedelta(minutes=5)
FIRE, RESOLVE = ("firing", "warning"), ("resolved", "warning")
REFIRE = replace(DISK, starts_at=NOW + STEP)
STORIES: dict[str, tuple[list[tuple[timedelta, Alert]], list[int], list[tuple[str, str]]]] = {
    # what is reported after how long; which alert each becomes (by order of appearance); what is said about the first
    "a repeat is counted": ([(STEP, DISK)], [0, 0], [FIRE]),
    "a repeat just before the interval": ([(REPEAT - timedelta(seconds=1), DISK)], [0, 0], [FIRE]),
    "a repeat after the interval": ([(REPEAT, DISK)], [0, 0], [FIRE, FIRE]),
    "the interval counts from the last card": ([(REPEAT, DISK), (STEP, DISK)], [0, 0, 0], [FIRE, FIRE]),
    "it becomes critical": (
        [(STEP, replace(DISK, severity="critical"))],
        [0, 0],
        [FIRE, ("firing", "critical")],
    ),
    "it becomes less": ([(STEP, replace(DISK, severity="info"))], [0, 0], [FIRE, ("firing", "info")]),
    "it is over": ([(STEP, OVER)], [0, 0], [FIRE, RESOLVE]),
    "it is over twice": ([(STEP, OVER), (STEP, OVER)], [0, 0, 0], [FIRE, RESOLVE]),
    "a recovery that says less keeps the severity of its alarm": (
        [(STEP, replace(DISK, severity="critical")), (STEP, OVER)],
        [0, 0, 0],
        [FIRE, ("firing", "critical"), ("resolved", "critical")],
    ),
    "a recovery that says more too": ([(STEP, replace(OVER, severity="critical"))], [0, 0], [FIRE, RESOLVE]),
    "a late copy of the alarm": ([(STEP, OVER), (STEP, DISK)], [0, 0, 0], [FIRE, RESOLVE]),
    "it fires again": ([(STEP, OVER), (STEP, REFIRE)], [0, 0, 1], [FIRE, RESOLVE]),
    "it fires again and nobody says since when": (
        [(STEP, OVER), (STEP, replace(DISK, starts_at=None))],
        [0, 0, 1],
        [FIRE, RESOLVE],
    ),
    "it fires again and is over again": (
        [(STEP, OVER), (STEP, REFIRE), (STEP, OVER)],
        [0, 0, 1, 1],
        [FIRE, RESOLVE],
    ),
}


@pytest.mark.parametrize(("events", "becomes", "first_said"), STORIES.values(), ids=STORIES)
def test_stories(
    database: Database,
    source: SourceRow,
    events: list[tuple[timedelta, Alert]],
    becomes: list[int],
    first_said: list[tuple[str, str]],
) -> None:
    now = NOW
    ids = list(report(database, source, DISK).ids)
    for wait, alert in events:
        now += wait
        ids += report(database, source, alert, at=now).ids
    order = list(dict.fromkeys(ids))
    assert [order.index(one) for one in ids] == becomes
    assert said(database, ids[0]) == first_said
    assert row(database, ids[-1]).last_at == now


def test_a_whole_report_delivered_twice_changes_nothing_but_the_counts(database: Database, source: SourceRow) -> None:
    batch = [replace(DISK, fingerprint=f"f{n}", title=f"disk {n}") for n in range(3)]
    first = report(database, source, *batch)
    cards = owed(database)
    again = report(database, source, *batch)
    assert again.ids == first.ids
    assert again.lanes == frozenset()
    assert owed(database) == cards
    assert {row(database, number).repeats for number in first.ids} == {1}


def test_a_report_of_a_hundred_keeps_its_order_and_names_its_own_alerts(database: Database, source: SourceRow) -> None:
    batch = [replace(DISK, fingerprint=f"f{n:03}", title=f"disk {n}") for n in range(100)]
    batch += [replace(OVER, fingerprint="f007"), replace(DISK, fingerprint="f008")]
    accepted = report(database, source, *batch)
    assert len(accepted.ids) == 102
    assert accepted.ids[100:] == (accepted.ids[7], accepted.ids[8])
    with database.read() as tx:
        found = alerts.by_ids(tx, accepted.ids)
        assert alerts.open_count(tx) == 99
    assert [found[number].fingerprint for number in accepted.ids[:100]] == [f"f{n:03}" for n in range(100)]
    assert len(owed(database)) == 101


def test_a_critical_alert_goes_before_others_and_takes_its_own_earlier_card_along(
    database: Database, source: SourceRow
) -> None:
    """The warning it was before still waits behind a storm; the critical card follows right after it, not before."""
    storm = [replace(DISK, fingerprint=f"f{n}", title=f"t{n}") for n in range(5)]
    ids = report(database, source, *storm).ids
    report(database, source, replace(storm[3], severity="critical"), at=NOW + STEP)
    [lane] = {one.lane for one in owed(database)}
    order: list[tuple[int | None, str | None]] = []
    with database.write() as tx:
        while ready := deliveries.ready(tx, lane, NOW + STEP, 1):
            order.append((ready[0].alert_id, ready[0].alert_severity))
            deliveries.settle(tx, ready[0].id, state="sent", done_at=NOW)
    rest = [(ids[n], "warning") for n in (0, 1, 2, 4)]
    assert order == [(ids[3], "warning"), (ids[3], "critical"), *rest]


def test_alarms_go_before_recoveries_and_those_before_reminders(database: Database, source: SourceRow) -> None:
    fatal = replace(DISK, fingerprint="json:1:fatal", severity="critical")
    report(database, source, DISK, fatal)
    report(database, source, DISK, fatal, at=NOW + REPEAT)
    report(database, source, OVER, at=NOW + REPEAT)
    assert [(one.alert_status, one.priority) for one in owed(database)] == [
        ("firing", outbox.OTHER),
        ("firing", outbox.CRITICAL),
        ("firing", outbox.RECOVERY),  # a reminder that the recovery waits for takes its place
        ("firing", outbox.REMINDER),
        ("resolved", outbox.RECOVERY),
    ]


def test_the_end_of_an_incident_is_told_before_the_next_one_of_its_kind(database: Database, source: SourceRow) -> None:
    report(database, source, DISK)
    report(database, source, OVER, at=NOW + timedelta(minutes=1))
    later = NOW + timedelta(hours=1)
    report(database, source, replace(DISK, severity="critical", starts_at=later), at=later)
    assert [(one.alert_status, one.priority) for one in owed(database)] == [
        ("firing", outbox.CRITICAL),
        ("resolved", outbox.CRITICAL),
        ("firing", outbox.CRITICAL),
    ]


def test_a_source_without_a_group_stores_its_alerts_and_owes_nothing(database: Database, source: SourceRow) -> None:
    with database.write() as tx:
        groups.remove(tx, source.group_id or 0)
    accepted = report(database, replace(source, group_id=None), DISK)
    assert len(accepted.ids) == 1
    assert accepted.lanes == frozenset()
    assert owed(database) == []


def test_an_address_that_two_contacts_share_gets_one_card_and_unproven_ones_none(database: Database) -> None:
    robot = "https://oapi.dingtalk.com/robot/send?access_token=shared"
    with database.write() as tx:
        one, two = seed.contact(tx, "One"), seed.contact(tx, "Two")
        seed.method(tx, one, address=robot)
        seed.method(tx, two, address=robot)
        seed.method(tx, two, "email", "two@example.com")
        seed.method(tx, two, "sms", "+8613800138000", state="pending")
        seed.method(tx, two, "sms", "+8613900139000", state="disabled")
        outsider = seed.contact(tx, "Outsider")
        seed.method(tx, outsider)
        source = seed.source(tx, seed.group(tx, "ops", one, two))
    report(database, source, DISK)
    assert sorted(card.channel for card in owed(database)) == ["dingtalk", "email"]


def test_two_sources_with_the_same_fingerprint_have_their_own_alerts(database: Database, source: SourceRow) -> None:
    with database.write() as tx:
        other = seed.source(tx, source.group_id or 0, "other")
    [one], [two] = report(database, source, DISK).ids, report(database, other, DISK).ids
    assert one != two
    report(database, other, OVER)
    assert row(database, one).status == "firing"


def test_processes_that_get_the_same_alarms_at_once_make_one_alert_of_each_and_no_error(
    database: Database, source: SourceRow
) -> None:
    """Replicas behind one load balancer, and a sender that repeats itself; the reports name them in different orders."""
    batch = [replace(DISK, fingerprint=f"f{n}") for n in range(10)]
    start = threading.Barrier(6)

    def post(turn: int) -> dict[str, int]:
        mine: Sequence[Alert] = batch if turn % 2 else batch[::-1]
        start.wait()
        ids = report(database, source, *mine).ids
        return {alert.fingerprint: number for alert, number in zip(mine, ids, strict=True)}

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(post, range(6)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0].values())) == len(owed(database)) == 10
    assert {row(database, number).repeats for number in answers[0].values()} == {5}


def test_a_contact_that_leaves_meanwhile_takes_no_delivery_of_others_along(
    database: Database, source: SourceRow
) -> None:
    [number] = report(database, source, DISK).ids
    with database.write() as tx:
        who = contacts.by_key(tx, "zhang")
        assert who is not None
        contacts.remove(tx, who.id)
    [card] = owed(database)
    assert (card.alert_id, card.method_id, card.contact_name) == (number, None, "Zhang")
