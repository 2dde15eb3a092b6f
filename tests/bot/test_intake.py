"""Group commit: nobody is answered before the commit, everybody gets their own numbers, nothing ends the committer."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.intake import PATIENCE_S as INTAKE_PATIENCE_S
from bot.intake import Intake, Job, NotStored, Overloaded, UnknownSource
from bot.metrics import Heartbeats, Metrics
from handlers.model import Alert
from storage import alerts, deliveries, groups, lanes, sources
from storage.database import Database, Tx
from storage.schema import alert, contact, delivery, lane
from storage.sources import SourceRow
from tests.conftest import Clock
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

PATIENCE_S = 20.0
TOKEN, OTHER = "token-of-one", "token-of-the-other"


def named(name: str, **more: Any) -> Alert:
    return Alert(fingerprint=name, title=name, **more)


class Bell:
    """Counts how often the worker was woken; can break, and hangs until `stuck` is set."""

    def __init__(self) -> None:
        self.rung = 0
        self.broken = False
        self.stuck = threading.Event()
        self.stuck.set()

    def __call__(self) -> None:
        self.rung += 1
        self.stuck.wait(2 * PATIENCE_S)
        if self.broken:
            raise RuntimeError("the bell is broken")


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def heartbeats() -> Heartbeats:
    return Heartbeats()


@pytest.fixture
def source(database: Database) -> SourceRow:
    with database.write() as tx:
        return seed.told_source(tx, TOKEN)


@pytest.fixture
def build(database: Database, bell: Bell, heartbeats: Heartbeats) -> Iterator[Callable[..., Intake]]:
    """Makes intakes and stops them at the end."""
    made: list[Intake] = []

    def make(*, start: bool = True, **how: Any) -> Intake:
        clock: Callable[[], datetime] = how.pop("clock", Clock(NOW))
        intake = Intake(
            database,
            clock=clock,
            repeat=timedelta(hours=4),
            wake_worker=bell,
            metrics=Metrics(heartbeats),
            heartbeats=heartbeats,
            **how,
        )
        if start:
            intake.start()
        made.append(intake)
        return intake

    yield make
    for intake in made:
        intake.stop(PATIENCE_S)


def fingerprints(database: Database, *ids: int) -> list[str]:
    with database.read() as tx:
        found = alerts.by_ids(tx, ids)
    return [found[number].fingerprint for number in ids]


def stored(database: Database) -> int:
    with database.read() as tx:
        return int(tx.conn.execute(select(func.count()).select_from(alert)).scalar_one())


def waits(intake: Intake, jobs: int) -> None:
    """Returns when so many reports wait for the committer."""
    pause = threading.Event()
    for _ in range(4000):
        if len(intake._jobs) >= jobs:
            return
        pause.wait(0.005)
    raise AssertionError("they do not arrive")


def test_the_source_of_a_token(build: Callable[..., Intake], source: SourceRow) -> None:
    intake = build(start=False)
    found = intake.source_of(TOKEN)
    assert found is not None
    assert found.id == source.id
    assert intake.source_of("other") is None


def test_a_source_that_is_kept_in_mind_counts_only_as_long_as_its_token_does(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    intake = build()
    assert intake.source_of(TOKEN) == source
    with database.write() as tx:
        sources.rotate(tx, source.id, "its new token")
    known = intake.source_of(TOKEN)
    assert known == source, "nobody asked the database"
    with pytest.raises(UnknownSource):
        intake.accept(known, TOKEN, [named("a")])
    assert stored(database) == 0
    assert intake.source_of(TOKEN) is None
    assert len(intake.accept(source, "its new token", [named("a")])) == 1


def test_of_reports_that_come_together_only_that_with_the_old_token_is_refused(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    intake = build(start=False)
    with ThreadPoolExecutor(2) as pool:
        good = pool.submit(intake.accept, source, TOKEN, [named("a")])
        bad = pool.submit(intake.accept, source, "its old token", [named("b")])
        waits(intake, 2)
        intake.start()
        assert len(good.result(PATIENCE_S)) == 1
        with pytest.raises(UnknownSource):
            bad.result(PATIENCE_S)
    assert stored(database) == 1


def test_what_was_answered_is_stored_with_its_cards_and_the_lane_and_worker_are_woken(
    build: Callable[..., Intake], database: Database, source: SourceRow, bell: Bell
) -> None:
    intake = build()
    ids = intake.accept(source, TOKEN, [named("a"), named("b")])
    assert fingerprints(database, *ids) == ["a", "b"]
    intake.stop(PATIENCE_S)  # the wake-up comes after the answer
    assert bell.rung == 1
    with database.write() as tx:
        assert deliveries.waiting(tx) == 2
        assert lanes.claim(tx, "me", NOW, seed.LEASE) is not None


def test_a_repeat_wakes_nobody(build: Callable[..., Intake], source: SourceRow, bell: Bell) -> None:
    intake = build()
    assert intake.accept(source, TOKEN, [named("a")]) == intake.accept(source, TOKEN, [named("a")])
    intake.stop(PATIENCE_S)
    assert bell.rung == 1


def test_everybody_gets_their_own_numbers_when_many_come_at_once(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    with database.write() as tx:
        other = seed.source(tx, source.group_id or 0, "other", OTHER)
    intake = build(start=False)

    def post(n: int) -> tuple[int, ...]:
        return intake.accept(
            *((other, OTHER) if n % 3 else (source, TOKEN)), [named(f"{n}a"), named("shared"), named(f"{n}b")]
        )

    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(post, n) for n in range(12)]
        waits(intake, 12)
        intake.start()  # so that they are committed together
        ids = [answer.result(PATIENCE_S) for answer in answers]
    for n, mine in enumerate(ids):
        assert fingerprints(database, *mine) == [f"{n}a", "shared", f"{n}b"]
    assert len({mine[1] for mine in ids}) == 2  # "shared" once per source
    assert stored(database) == 26


def test_a_report_that_cannot_be_stored_fails_alone(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    bad: dict[str, Any] = {"status": "firing", "severity": None}  # the column refuses it
    intake = build(start=False)
    with database.write() as tx:
        gone = seed.source(tx, source.group_id or 0, "gone")
        sources.remove(tx, gone.id)
    with ThreadPoolExecutor(5) as pool:
        answers = [
            pool.submit(intake.accept, source, TOKEN, [named("a")]),
            pool.submit(intake.accept, source, TOKEN, [named("half"), named("bad", **bad)]),
            pool.submit(intake.accept, gone, "its token", [named("orphan")]),
            pool.submit(intake.accept, source, TOKEN, [named("b"), named("c")]),
        ]
        waits(intake, 4)
        intake.start()
        outcome: list[object] = [answer.exception(PATIENCE_S) or answer.result() for answer in answers]
    assert isinstance(outcome[1], NotStored)
    assert isinstance(outcome[2], UnknownSource)
    assert fingerprints(database, *outcome[0], *outcome[3]) == ["a", "b", "c"]  # type: ignore[misc]  # tuples of ids
    assert stored(database) == 3  # also no half of a report
    assert len(intake.accept(source, TOKEN, [named("later")])) == 1


def test_too_much_waiting_is_refused_and_a_report_larger_than_the_limit_is_not_refused_for_ever(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    intake = build(start=False, most_waiting=3)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(intake.accept, source, TOKEN, [named("a"), named("b")])
        waits(intake, 1)
        with pytest.raises(Overloaded):
            intake.accept(source, TOKEN, [named("c"), named("d")])
        second = pool.submit(intake.accept, source, TOKEN, [named("c")])
        waits(intake, 2)
        with pytest.raises(Overloaded):
            intake.accept(source, TOKEN, [named("d")])
        intake.start()
        assert len(first.result(PATIENCE_S) + second.result(PATIENCE_S)) == 3
    assert len(intake.accept(source, TOKEN, [named(f"{n}") for n in range(9)])) == 9  # alone it may


def test_a_large_report_is_stored_whole(build: Callable[..., Intake], database: Database, source: SourceRow) -> None:
    """More cards than fit the parameters of one statement on PostgreSQL."""
    with database.write() as tx:
        for n in range(9):
            seed.method(tx, seed.contact(tx), "email", f"p{n}@example.com")
        members = [row.id for row in tx.conn.execute(select(contact.c.id))]
        groups.add_members(tx, source.group_id or 0, members)
    ids = build().accept(source, TOKEN, [named(f"{n}") for n in range(300)])
    assert len(set(ids)) == 300
    with database.read() as tx:
        assert tx.conn.execute(select(func.count()).select_from(delivery)).scalar_one() == 3000


class Parts:
    """A clock that is asked once for each commit, and does something then: what is handed over now waits meanwhile."""

    def __init__(self, **then: Callable[[], object]) -> None:
        self.then = {int(number.lstrip("_")): act for number, act in then.items()}
        self.commits = 0

    def __call__(self) -> datetime:
        self.commits += 1
        self.then.get(self.commits, lambda: None)()
        return NOW


def test_a_large_report_is_committed_in_parts_and_those_of_others_in_between(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    with database.write() as tx:
        other = seed.source(tx, source.group_id or 0, "other", OTHER)
    answered: list[str] = []
    jobs: dict[str, Job] = {}

    def post(of: SourceRow, token: str, name: str) -> None:
        def told() -> None:
            answered.append(name)
            if len(answered) == 4:
                done.set()

        jobs[name] = intake.hand_over(of, token, [named(name)], told)

    done = threading.Event()
    parts = Parts(
        _2=lambda: post(other, OTHER, "another's"),
        _3=lambda: post(source, TOKEN, "its own"),
        _4=lambda: post(other, OTHER, "another's again"),
    )
    # One alert at first, as nothing is known of the source; then as many as its one target allows.
    intake = build(start=False, clock=parts, most_owed=10)
    large = intake.hand_over(source, TOKEN, [named(f"{n}") for n in range(25)], lambda: answered.append("large"))
    intake.start()
    assert done.wait(PATIENCE_S)
    assert answered == ["another's", "another's again", "large", "its own"], "one source's come in their order"
    ids = intake.taken(large)
    assert fingerprints(database, *ids) == [f"{n}" for n in range(25)]
    assert list(ids) == sorted(ids)
    assert parts.commits == 4 + 3
    assert ids[10] < intake.taken(jobs["another's"])[0] < ids[11]
    assert intake._waiting == 0


def test_of_a_large_report_that_fails_on_the_way_what_was_stored_stays_and_counts_when_it_comes_again(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    bad: dict[str, Any] = {"status": "firing", "severity": None}
    report = [named(f"{n}") for n in range(14)]
    intake = build(most_owed=10, most_waiting=20)
    with pytest.raises(NotStored):
        intake.accept(source, TOKEN, [*report, named("bad", **bad), *(named(f"more{n}") for n in range(9))])
    assert stored(database) == 11
    assert intake._waiting == 0
    ids = intake.accept(source, TOKEN, report)
    assert fingerprints(database, *ids) == [alert.fingerprint for alert in report]
    assert stored(database) == 14
    with database.read() as tx:
        assert deliveries.waiting(tx) == 14


@pytest.mark.parametrize("stopped", [False, True], ids=["its sender has gone", "a stop"])
def test_a_large_report_nobody_waits_for_ends_with_the_part_that_is_being_stored(
    build: Callable[..., Intake], database: Database, source: SourceRow, stopped: bool
) -> None:
    ticks = [0.0]
    ends = threading.Event()

    def second() -> None:
        if stopped:
            intake._stopping = True
        else:
            ticks[0] = INTAKE_PATIENCE_S

    intake = build(start=False, clock=Parts(_2=second), ticks=lambda: ticks[0], most_owed=10)
    large = intake.hand_over(source, TOKEN, [named(f"{n}") for n in range(40)], ends.set)
    intake.start()
    assert ends.wait(PATIENCE_S)
    assert isinstance(large.error, NotStored)
    assert stored(database) == 11
    assert intake._waiting == 0


def test_a_large_report_gets_further_each_time_it_is_sent_however_slow_it_is(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    ticks = itertools.count(step=int(INTAKE_PATIENCE_S) + 1)
    intake = build(ticks=lambda: float(next(ticks)), most_owed=10)
    found = []
    for _time in range(4):
        ended = threading.Event()
        job = intake.hand_over(source, TOKEN, [named(f"{n}") for n in range(60)], ended.set)
        assert ended.wait(PATIENCE_S)
        found.append((stored(database), job.error is None))
    assert found == [(1, False), (10, False), (50, False), (60, True)]
    assert intake._waiting == 0


def test_a_bell_that_breaks_costs_nobody_their_answer_and_does_not_end_the_committer(
    build: Callable[..., Intake], database: Database, source: SourceRow, bell: Bell
) -> None:
    """An exception while waking once ended a committer, and intake hung for ever."""
    bell.broken = True
    intake = build()
    for n in range(3):
        assert len(intake.accept(source, TOKEN, [named(f"{n}")])) == 1
    assert stored(database) == 3
    intake.stop(PATIENCE_S)
    assert bell.rung == 3


def test_nobody_waits_for_the_bell(build: Callable[..., Intake], source: SourceRow, bell: Bell) -> None:
    bell.stuck.clear()
    intake = build()
    assert len(intake.accept(source, TOKEN, [named("a")])) == 1
    bell.stuck.set()


def test_a_database_that_is_gone_is_not_stored_and_the_committer_goes_on(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    intake = build()
    with database.write() as tx:
        tx.conn.exec_driver_sql("ALTER TABLE delivery RENAME TO elsewhere")
    try:
        with pytest.raises(NotStored):
            intake.accept(source, TOKEN, [named("a")])
    finally:
        with database.write() as tx:
            tx.conn.exec_driver_sql("ALTER TABLE elsewhere RENAME TO delivery")
    assert stored(database) == 0
    assert len(intake.accept(source, TOKEN, [named("a")])) == 1


def test_a_stop_commits_what_waits_and_refuses_what_comes_later(
    build: Callable[..., Intake], database: Database, source: SourceRow, heartbeats: Heartbeats
) -> None:
    intake = build(start=False)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(intake.accept, source, TOKEN, [named(f"{n}")]) for n in range(3)]
        waits(intake, 3)
        intake.start()
        intake.stop(PATIENCE_S)
        assert len({answer.result(PATIENCE_S) for answer in answers}) == 3
    assert stored(database) == 3
    with pytest.raises(NotStored):
        intake.accept(source, TOKEN, [named("late")])
    assert stored(database) == 3
    assert heartbeats.ages() == {}


def test_two_processes_that_get_the_same_reports_at_once_both_answer_with_the_same_numbers(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    with database.write() as tx:
        other = seed.source(tx, source.group_id or 0, "other", OTHER)
    tokens = {source.id: TOKEN, other.id: OTHER}
    one, two = build(), build()
    start = threading.Barrier(8)

    def post(n: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        start.wait()
        batch = [named(f"{k}") for k in range(8)]
        first, second = (source, other) if n % 4 < 2 else (other, source)
        answers = {s.id: (one, two)[n % 2].accept(s, tokens[s.id], batch) for s in (first, second)}
        return answers[source.id], answers[other.id]

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(post, range(8)))
    assert len(answers) == 1
    assert stored(database) == 16


def test_what_the_source_is_now_counts_not_what_it_was_when_the_report_came(
    build: Callable[..., Intake], database: Database, source: SourceRow
) -> None:
    with database.write() as tx:
        sources.retarget(tx, source.id, seed.group(tx, "empty"))
    build().accept(replace(source), TOKEN, [named("a")])
    with database.read() as tx:
        assert deliveries.waiting(tx) == 0


class Beginner:
    """Stands for the worker: takes care of every lane, or of none."""

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.claimed: list[str] = []
        self.sent = 0
        self.dropped = 0

    @contextmanager
    def early(self) -> Iterator[Beginner]:
        before = self.sent
        try:
            yield self
        finally:
            self.dropped += self.sent == before

    def claim(self, _tx: Tx, keys: Collection[str]) -> frozenset[str]:
        self.claimed += keys
        return frozenset(keys) if self.takes else frozenset()

    def send(self) -> None:
        self.sent += 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("takes", [True, False])
def test_the_worker_is_woken_for_those_lanes_that_nobody_has_begun_with(
    build: Callable[..., Intake], database: Database, source: SourceRow, bell: Bell, takes: bool
) -> None:
    beginner = Beginner(takes=takes)
    intake = build(early=beginner.early)
    intake.accept(source, TOKEN, [named("a")])
    intake.stop(PATIENCE_S)  # it wakes the worker after the answer
    assert (len(beginner.claimed), beginner.sent, beginner.dropped) == (1, 1, 0)
    with database.read() as tx:
        woken = tx.conn.scalars(select(lane.c.key).where(lane.c.next_at.is_not(None))).all()
    if takes:
        assert (woken, bell.rung) == ([], 0)
    else:
        assert (woken, bell.rung) == (beginner.claimed, 1)


def test_what_was_begun_with_is_dropped_when_the_report_could_not_be_stored(
    build: Callable[..., Intake], source: SourceRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    beginner = Beginner(takes=True)
    intake = build(early=beginner.early)

    def broken(*_args: Any) -> None:
        raise RuntimeError("it cannot be stored")

    with monkeypatch.context() as patched:
        patched.setattr(lanes, "wake", broken)
        patched.setattr(Beginner, "claim", broken)
        with pytest.raises(NotStored):
            intake.accept(source, TOKEN, [named("a")])
    assert (beginner.sent, beginner.dropped) == (0, 1)
    assert intake.accept(source, TOKEN, [named("a")])


class PowerCut:
    """What would be left of an SQLite database: the files as they were when the log was synced last."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._files = [Path(f"{database.url.database}{end}") for end in ("", "-wal")]
        self._folder = folder
        self._left: list[bytes] = []
        self.cuts = 0

    def sync(self, _log: int) -> None:
        self._left = [file.read_bytes() for file in self._files]

    def numbers(self) -> set[int]:
        """Of the alerts that are found after it."""
        self.cuts += 1
        copies = [self._folder / f"cut{self.cuts}.db{end}" for end in ("", "-wal")]
        for copy, content in zip(copies, self._left, strict=True):
            copy.write_bytes(content)
        with closing(sqlite3.connect(copies[0])) as found:
            return {number for (number,) in found.execute("SELECT id FROM alert")}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_was_answered_is_still_there_after_a_power_cut(
    build: Callable[..., Intake],
    database: Database,
    source: SourceRow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut = PowerCut(database, tmp_path)
    monkeypatch.setattr("storage.sqlite._SYNC", cut.sync)
    intake = build()
    for number in range(10):
        [one] = intake.accept(source, TOKEN, [named(f"alone {number}")])
        assert one in cut.numbers()
    with ThreadPoolExecutor(8) as pool:
        ids = pool.map(lambda n: intake.accept(source, TOKEN, [named(f"many {n}"), named(f"more {n}")]), range(40))
        assert {one for each in ids for one in each} <= cut.numbers()
