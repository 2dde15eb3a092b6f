"""What is read without being asked: once for all processes, no event lost and none twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import das
from bot.aliyun import AccessKey
from bot.http import Http
from bot.imports import Cloud
from bot.metrics import Heartbeats, Metrics
from bot.sandbox.das import DasEvent
from bot.sandbox.server import StandIns
from bot.sandbox.world import Broken, Refused, World
from bot.watch import Watch
from handlers.context import Rules
from storage import alerts, deliveries, groups, imports, people, sources
from storage.alerts import AlertRow
from storage.database import Database
from storage.schema import to_ms
from tests.conftest import Clock

ONE, TWO = "rm-1", "rm-2"
ADVICE = {"taskType": "SQL_OPTIMIZE", "sqlId": "e2b1", "priority": "HIGH"}


class House:
    """A database, DAS's stand-in, and as many watchers as there are processes."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.clock = clock
        self.world = World(clock=lambda: clock().timestamp())
        self.key = self.world.add_app("sms", "LTAIwatch", "cloud-secret")
        self.stand_ins = StandIns(self.world).start()
        self.das = self.stand_ins.das
        self.das.events = {ONE: [], TWO: []}
        self.database = Database(url, "key-of-the-house")
        self.database.upgrade()
        self.http = Http({"https://das.cn-shanghai.aliyuncs.com": self.stand_ins.url})
        self.rules = Rules(admins=frozenset({"dingtalk:corp/admin01"}), language="en")
        with self.database.write() as tx:
            people.seen(tx, "dingtalk:corp/admin01", "Lin", clock())
            self.group = groups.add(tx, "dba", "dba", "", clock())
        self.watches = [self.watch(), self.watch()]

    def watch(self) -> Watch:
        heartbeats = Heartbeats()
        return Watch(
            self.database,
            self.rules,
            Cloud(self.http, AccessKey(self.key.client_id, self.key.client_secret), pause=lambda _seconds: None),
            sync_every=timedelta(hours=6),
            instances=(ONE, TWO),
            level="Notice",
            clock=self.clock,
            wake_worker=lambda: None,
            metrics=Metrics(heartbeats),
            heartbeats=heartbeats,
        )

    def source(self, name: str) -> None:
        with self.database.write() as tx:
            sources.add(tx, name, name, "das", f"token-{name}", self.group, "", self.clock())

    def happens(self, instance: str, span: str, **more: Any) -> None:
        self.das.events[instance].append(DasEvent(span, to_ms(self.clock()), **more))

    def look(self, *, seconds: float = 61) -> list[AlertRow]:
        """Time passes, every process looks; all alerts, oldest first."""
        self.clock.forward(seconds)
        for watch in self.watches:
            watch.tick()
        with self.database.read() as tx:
            _count, page = alerts.page(tx, group_id=None, only_open=False, limit=1000, offset=0)
        return [row for row, _group in reversed(page)]

    def owed(self, kind: str) -> list[Any]:
        with self.database.read() as tx:
            rows = [deliveries.by_id(tx, number) for number in range(1, 50)]
        return [row for row in rows if row is not None and row.kind == kind]

    def calls(self, action: str) -> int:
        return self.world.hits(f"das:{action}", 10_000_000.0)

    def end(self) -> None:
        self.http.close()
        self.database.close()
        self.stand_ins.stop()


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> Iterator[House]:
    built = House(f"sqlite:///{tmp_path / 'house.db'}", clock)
    yield built
    built.end()


@pytest.fixture
def either_house(database_url: str, clock: Clock) -> Iterator[House]:
    built = House(database_url, clock)
    yield built
    built.end()


def test_events_come_in_once_with_their_details_however_often_they_are_read(either_house: House) -> None:
    house = either_house
    house.happens(ONE, "before-there-was-a-source")
    assert house.look(seconds=600) == []
    house.source("das")
    house.look()
    house.happens(ONE, "span-1", fields={"level": "Critical", "eventType": "TimeSeriesAbnormal"})
    house.happens(ONE, "span-2", content=ADVICE)
    house.happens(TWO, "span-3")
    found = house.look()
    assert [row.annotations["span_id"] for row in found] == ["span-1", "span-2", "span-3"]
    assert [row.severity for row in found] == ["critical", "info", "warning"]
    assert found[1].labels["sqlId"] == "e2b1"
    assert [row.labels["instanceId"] for row in found] == [ONE, ONE, TWO]
    # The same two minutes are read again, by other processes and after a restart.
    house.watches.append(house.watch())
    assert [row.repeats for row in house.look()] == [0, 0, 0]
    assert len(house.look()) == 3


def test_a_long_silence_is_caught_up_in_pages_and_a_failure_in_between_loses_nothing(house: House) -> None:
    house.source("das")
    house.look()
    for hour in range(10):
        house.clock.forward(hours=1)
        house.happens(ONE, f"span-{hour}")
    for number in range(40):  # more than a page holds, at once
        house.happens(ONE, f"crowd-{number}")
    house.world.fault("sms:GetAutonomousNotifyEventsInRange:2", Broken(503), Refused("Throttling.User"))
    seen = {row.annotations["span_id"] for _look in range(12) for row in house.look(seconds=120)}
    assert len(seen) == 50
    assert len(house.look()) == 50


def test_more_events_than_are_read_at_once_are_read_in_shorter_times(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(das, "MOST_PAGES", 1)
    house.source("das")
    house.look()
    for number in range(40):
        house.clock.forward(minutes=8)
        house.happens(ONE, f"span-{number}")
    for _look in range(6):
        found = house.look(seconds=120)
    assert {row.annotations["span_id"] for row in found} == {f"span-{number}" for number in range(40)}


def test_a_source_named_like_an_instance_gets_that_instance_only(house: House) -> None:
    house.source("das")
    house.source(ONE)
    house.look()
    house.happens(ONE, "span-1")
    house.happens(TWO, "span-2")
    assert {(row.source_name, row.annotations["span_id"]) for row in house.look()} == {
        (ONE, "span-1"),
        ("das", "span-2"),
    }


def test_a_lasting_refusal_is_told_to_admins_once_a_day_and_asked_less_often(house: House) -> None:
    house.source("das")
    house.das.events.pop(TWO)
    house.world.fault("sms:GetAutonomousNotifyEventsInRange", Refused("NoPermission"), forever=True)
    for _time in range(10):
        house.look()
    told = [row.payload["document"]["blocks"][0]["paragraph"] for row in house.owed("answer")]
    assert len(told) == 2  # one for each instance
    assert all("hdm:GetAutonomousNotifyEventsInRange" in text for text in told)
    with house.database.write() as tx:
        reading = imports.hold(tx, f"events:{ONE}")
    assert reading.due_at is not None
    assert 3 <= reading.fails <= 4
    house.world.fault("sms:GetAutonomousNotifyEventsInRange")
    house.happens(ONE, "span-1")
    house.look(seconds=1800)
    assert [row.annotations["span_id"] for row in house.look()] == ["span-1"]


def test_contacts_are_owed_once_for_every_time_they_are_due(house: House) -> None:
    for _time in range(3):
        house.look(seconds=6 * 3600 + 1)
        house.look(seconds=1)
    assert len(house.owed("import")) == 3
