"""Several processes on one PostgreSQL: one time, no lane worked on twice, hints, and one connection to each platform."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
import pytest
from sqlalchemy import select

from bot.delivery.clock import VAGUE_S, EvenClock, SharedClock
from bot.delivery.replicas import GAP_S, Replicas
from bot.delivery.visit import LEASE
from bot.metrics import Heartbeats
from handlers import outbox
from handlers.budgets import Throttle
from storage import upkeep
from storage.database import Database, Tx
from storage.schema import lane
from tests import postgres
from tests.bot.delivery.shop import PATIENCE_S, Shop, address, card, clock, make, robot
from tests.conftest import Clock
from tests.storage import seed
from tests.storage.fixtures import postgres_database, shared_postgres
from tests.storage.seed import NOW

__all__ = ["clock", "make", "postgres_database", "shared_postgres"]

LINE = "a platform's stream"


@pytest.fixture
def database(postgres_database: Database) -> Database:
    return postgres_database


# ---- the time


class Machine:
    """A machine's counter, and the question for the database's time: both take as long as they are told."""

    def __init__(self, clock: Clock, ticks: float = 0.0, took_s: float = 0.0) -> None:
        self.clock = clock
        self.ticks = ticks
        self.took_s = took_s

    def ask(self) -> datetime:
        self.ticks += self.took_s / 2
        moment = self.clock()
        self.ticks += self.took_s / 2
        return moment


@pytest.mark.parametrize("ticks", [0.0, 300.0, 1e9, -300.0])
def test_the_time_is_the_databases_whatever_the_machine_counts_from(clock: Clock, ticks: float) -> None:
    machine = Machine(clock, ticks, took_s=0.2)
    shared = SharedClock(machine.ask, lambda: machine.ticks)
    assert abs((shared() - NOW).total_seconds() - 0.1) < 1e-6, "the answer was true in the middle of the question"
    machine.ticks += 60
    assert abs((shared() - NOW).total_seconds() - 60.1) < 1e-6


@pytest.mark.parametrize(("by_s", "told_s"), [(3600, 3600), (-3600, -3600), (0.4, 0), (-0.4, 0)])
def test_a_machine_s_clock_that_is_set_goes_on_evenly_until_it_is_looked_at(by_s: float, told_s: float) -> None:
    ticks, wall = 100.0, NOW
    even = EvenClock(lambda: wall, lambda: ticks)
    ticks, wall = 105.0, NOW + timedelta(seconds=5 + by_s)
    assert even() == NOW + timedelta(seconds=5)
    assert even.behind() == timedelta(seconds=told_s)
    assert even() == NOW + timedelta(seconds=5), "until it is set"
    even.set(even.behind())
    assert even() == NOW + timedelta(seconds=5 + told_s)
    assert even.behind() == timedelta(0)
    wall += timedelta(seconds=0.6 if by_s > 0 else -0.6)
    assert bool(even.behind()) == (abs(by_s) < 1), "small steps add up"


def test_a_machine_that_slept_is_corrected_and_an_answer_that_took_long_is_not_believed(clock: Clock) -> None:
    machine = Machine(clock)
    shared = SharedClock(machine.ask, lambda: machine.ticks)
    clock.forward(300)
    machine.took_s = VAGUE_S
    shared.compare(machine.ask)
    assert shared() == NOW + timedelta(seconds=VAGUE_S)
    machine.took_s = 0.0
    shared.compare(machine.ask)
    assert shared() == NOW + timedelta(seconds=300)


def test_machines_that_count_five_minutes_apart_keep_one_window_and_wait_no_longer(
    make: Callable[..., Shop], clock: Clock
) -> None:
    def counted(ahead: float) -> SharedClock:
        return SharedClock(clock, lambda: clock().timestamp() + ahead)

    shops = [make(Throttle(3, 60), alone=False, clock=counted(ahead)) for ahead in (0.0, 300.0, -300.0)]

    def write(tx: Tx) -> None:
        one = robot(tx, "a")
        for n in range(9):
            card(tx, one, str(n))

    shops[0].owed(write)
    for _ in range(24):
        clock.forward(5)
        for shop in shops:
            shop.worker.wake()
        shops[0].rest()
    tries = sorted((one.at, one.title) for shop in shops for one in shop.post.tries)
    assert [title for _at, title in tries] == [str(n) for n in range(9)]
    assert [(at - NOW).total_seconds() for at, _title in tries] == [0.0] * 3 + [60.0] * 3 + [120.0] * 3


# ---- lanes


def test_addresses_that_hang_leave_a_sender_for_what_is_urgent_elsewhere(make: Callable[..., Shop]) -> None:
    shop = make()  # four senders, of which one is kept
    shop.post.hanging = {address(f"slow{n}") for n in range(6)}
    shop.post.gate.clear()
    shop.owed(lambda tx: [card(tx, robot(tx, f"slow{n}"), "slow") for n in range(6)])
    shop.until(lambda: len(shop.post.tries) == 3)
    shop.owed(
        lambda tx: [
            card(tx, robot(tx, "other"), "other", priority=outbox.OTHER),
            card(tx, robot(tx, "urgent"), "urgent", priority=outbox.CRITICAL),
        ]
    )
    shop.until(lambda: "urgent" in shop.post.titles())
    assert shop.post.titles() == ["slow"] * 3 + ["urgent"]
    shop.post.gate.set()
    shop.rest()
    assert sorted(shop.post.titles()) == ["other", *["slow"] * 6, "urgent"]


def test_what_hangs_is_kept_by_a_process_that_lives_and_taken_over_from_one_that_does_not(
    make: Callable[..., Shop], database: Database, clock: Clock
) -> None:
    def owner_and_token() -> tuple[str | None, int]:
        with database.read() as tx:
            row = tx.conn.execute(select(lane.c.owner, lane.c.token)).one()
        return row.owner, row.token

    first = make(alone=False)
    first.post.gate.clear()
    one = first.owed(lambda tx: card(tx, robot(tx, "a"), "hello"))
    first.until(lambda: len(first.post.tries) == 1)
    second = make(alone=False)
    second.post.gate.clear()
    clock.forward(LEASE.total_seconds() - 1)
    first.worker.renew()
    with database.read() as tx:
        assert seed.next_due(tx) == clock() + LEASE
    first.worker.stop(0.2)  # renews nothing more, and its send still hangs: so does a machine that stands still
    clock.forward(LEASE.total_seconds())
    second.worker.wake()
    second.until(lambda: len(second.post.tries) == 1)
    assert second.post.tries[0].footer == "may be a repeat"
    assert second.post.tries[0].key == first.post.tries[0].key
    holder = owner_and_token()
    first.post.gate.set()
    first.until(lambda: first.row(one).state == "sent")
    first.worker.stop(PATIENCE_S)
    assert owner_and_token() == holder, "a fact is a fact, but the lane is not its to give back"
    second.post.gate.set()
    second.rest()
    assert (first.outcomes(one), owner_and_token()[0]) == (["sent", "sent"], None)


def test_a_stop_gives_back_what_was_claimed(make: Callable[..., Shop], database: Database) -> None:
    first, second = make(Throttle(1, 60), alone=False), make(Throttle(1, 60), alone=False)
    first.post.gate.clear()
    second.worker.stop(PATIENCE_S)
    first.owed(lambda tx: [card(tx, method, title) for method in [robot(tx, "a")] for title in ("one", "two")])
    first.until(lambda: len(first.post.tries) == 1)
    first.close()
    with database.read() as tx:
        assert upkeep.leased(tx) == 0
        assert seed.next_due(tx) is not None, "what waits is there for another"


def test_a_message_that_was_sent_while_the_database_was_away_is_not_sent_again(
    make: Callable[..., Shop],
    database: Database,
    postgres_server: postgres.Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = make(alone=False)
    shop.post.gate.clear()
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "hello"))
    shop.until(lambda: len(shop.post.tries) == 1)
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        name = database.url.database or ""
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        try:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            shop.post.gate.set()
            shop.until(lambda: "could not be written yet" in caplog.text)
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
    shop.rest()
    shop.forward(3600)
    assert (shop.row(one).state, shop.outcomes(one), len(shop.post.tries)) == ("sent", ["sent"], 1)


# ---- hints, and lines


@dataclass
class FakeLine:
    """Says when it is connected."""

    up: threading.Event

    def start(self) -> None:
        assert not self.up.is_set()
        self.up.set()

    def stop(self, _timeout_s: float) -> None:
        self.up.clear()


@dataclass
class Process:
    """One of several processes: what it hears, and whether it is connected to the platform."""

    heard: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    up: threading.Event = field(default_factory=threading.Event)
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    replicas: Replicas = field(init=False)

    def open(self, database: Database, *, listens: bool = True) -> None:
        self.replicas = Replicas(
            database,
            hear=(lambda: self.heard.release(),) if listens else (),
            lines={LINE: lambda: FakeLine(self.up)} if listens else {},
            heartbeats=self.heartbeats,
            clock=None,
            tend_s=0.05,
        )
        self.replicas.start()


@pytest.fixture
def process(postgres_database: Database) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def build(**how: bool) -> Process:
        made.append(Process())
        made[-1].open(postgres_database, **how)
        return made[-1]

    yield build
    for one in made:
        one.replicas.stop(PATIENCE_S)
        assert one.heartbeats.ages() == {}


def hears(process: Process) -> None:
    assert process.heard.acquire(timeout=PATIENCE_S)


def test_a_hint_reaches_the_others_and_many_are_few(process: Callable[..., Process]) -> None:
    web, worker = process(listens=False), process()
    hears(worker)  # at its start it looks by itself
    began = time.monotonic()
    for _ in range(2000):
        web.replicas.tell()
    hears(worker)
    web.replicas.stop(PATIENCE_S)  # what is untold is told
    few = (time.monotonic() - began) / GAP_S + 2
    count = 0
    while worker.heard.acquire(timeout=0.1):
        count += 1
    assert count <= few
    assert not web.heard.acquire(blocking=False)
    web.replicas.tell()  # too late, and no error


def test_one_process_has_the_connection_and_another_takes_it_over(process: Callable[..., Process]) -> None:
    first = process()
    assert first.up.wait(PATIENCE_S)
    second, third = process(), process()
    assert first.replicas.holds() == {LINE}
    first.replicas.stop(PATIENCE_S)
    assert not first.up.is_set()
    assert until(lambda: second.up.is_set() or third.up.is_set())
    assert not (second.up.is_set() and third.up.is_set())


def test_a_lost_connection_to_the_database_ends_the_one_to_the_platform_and_both_come_again(
    process: Callable[..., Process], postgres_server: postgres.Server
) -> None:
    first = process()
    assert first.up.wait(PATIENCE_S)
    hears(first)
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE %s", ("%advisory%",))
    hears(first)  # it listens again, and looks for what it may have missed
    assert until(lambda: first.replicas.holds() == {LINE})
    second = process()
    hears(second)
    first.replicas.tell()
    hears(second)
    assert not second.up.is_set()


def until(true: Callable[[], bool]) -> bool:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if true():
            return True
        pause.wait(0.005)
    return False
