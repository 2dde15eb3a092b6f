"""Chat messages: once each, in order, and none blocks those behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from bot.inbox import TRIES, Inbox, from_json, to_json
from bot.metrics import Heartbeats, Metrics
from bot.platforms.contract import Incoming, Press
from handlers.buttons import Bound, ForgedButton, sealed
from handlers.context import Rules
from storage import contacts, deliveries, lanes, people
from storage.database import Database
from storage.schema import delivery
from storage.schema import inbound as inbound_table
from tests.conftest import Clock
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

ADMIN = "dingtalk:corp/admin"
PATIENCE_S = 20.0


def message(text: str, number: str = "m1", **more: object) -> Incoming:
    first = Incoming(
        platform="dingtalk",
        message_id=number,
        person=ADMIN,
        name="Lin",
        conversation="dingtalk:cidAlone",
        direct=True,
        text=text,
    )
    return replace(first, **more)  # type: ignore[arg-type]  # fields by name


@pytest.fixture
def woken() -> list[int]:
    return []


@pytest.fixture
def inbox(database: Database, woken: list[int]) -> Iterator[Inbox]:
    heartbeats = Heartbeats()
    made = Inbox(
        database,
        Rules(admins=frozenset({ADMIN}), language="en"),
        clock=Clock(NOW),
        wake_worker=lambda: woken.append(1),
        metrics=Metrics(heartbeats),
        heartbeats=heartbeats,
    )
    yield made
    made.stop(PATIENCE_S)
    assert heartbeats.ages() == {}


def names(database: Database) -> list[str]:
    with database.read() as tx:
        return contacts.names(tx)


def titles(database: Database) -> list[str]:
    """What the bot will say, oldest first."""
    with database.read() as tx:
        ids = tx.conn.scalars(select(delivery.c.id).where(delivery.c.kind == "answer").order_by(delivery.c.id)).all()
        rows = [deliveries.by_id(tx, one) for one in ids]
    return [(row.payload or {})["document"]["title"] for row in rows if row]


texts = st.text(alphabet=st.characters(codec=None), max_size=30)


def test_a_callback_is_carried_out_at_once_and_only_once(inbox: Inbox, database: Database, woken: list[int]) -> None:
    outcome = inbox.carry_out(message("contact add Zhang", inline="always"))
    assert outcome is not None
    assert outcome.told is not None
    assert (outcome.inline, str(outcome.told.title)) == (True, "Contact “Zhang” is added.")
    assert (names(database), titles(database)) == (["Zhang"], []), "the response shows the answer, so it is not owed"
    assert inbox.carry_out(message("contact add Zhang", inline="always")) is None
    assert not inbox.take_in(message("contact add Zhang"))
    assert not inbox.handle_next()
    assert names(database) == ["Zhang"]


def test_what_cannot_be_carried_out_at_once_waits_like_any_other_message(
    inbox: Inbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(contacts, "add", _breaks)
        assert inbox.carry_out(message("contact add Zhang", inline="always")) is None
    assert names(database) == []
    assert inbox.handle_next()
    assert names(database) == ["Zhang"]
    assert titles(database) == ["Contact “Zhang” is added."], "too late for the response: it is owed"


def _breaks(*_given: object, **_more: object) -> None:
    raise SQLAlchemyError("the disk is on fire")


def test_a_forged_button_is_refused_before_anything_is_stored(inbox: Inbox, database: Database) -> None:
    good = sealed(database.vault, Bound("yes", ADMIN, "dingtalk:cidAlone", NOW, "n"))
    for token in ("", "x.y", good[:-1], good + "A"):
        with pytest.raises(ForgedButton):
            inbox.carry_out(message("", press=Press(token)))
    with database.read() as tx:
        assert tx.conn.execute(select(func.count()).select_from(inbound_table)).scalar_one() == 0
    assert inbox.carry_out(message("", press=Press(good))) is not None


def test_a_press_survives_the_way_through_json() -> None:
    one = message("", press=Press("t", {"name": "张伟"}, "C1/1.1"), trigger="t1", inline="buttons")
    assert from_json(to_json(one)) == one


@given(texts, st.lists(st.tuples(texts, texts), max_size=2), st.booleans(), st.none() | st.just(NOW))
def test_a_message_survives_the_way_through_json(
    text: str, mentions: list[tuple[str, str]], direct: bool, until: object
) -> None:
    one = message(text, mentions=tuple(mentions), direct=direct, reply_until=until, reply_url="https://x")
    assert from_json(to_json(one)) == one


def test_a_message_is_on_disk_when_it_is_taken_in_and_a_second_delivery_of_it_is_known(
    inbox: Inbox, database: Database
) -> None:
    assert inbox.take_in(message("contact add Zhang"))
    with database.read() as tx:
        assert tx.conn.execute(select(func.count()).select_from(inbound_table)).scalar_one() == 1
    assert not inbox.take_in(message("contact add Zhang"))
    assert inbox.handle_next()
    assert not inbox.handle_next()
    assert not inbox.take_in(message("contact add Zhang"))
    assert not inbox.handle_next()
    assert names(database) == ["Zhang"]
    assert len(titles(database)) == 1


def test_of_many_deliveries_of_one_message_at_once_one_counts(inbox: Inbox, database: Database) -> None:
    start = threading.Barrier(6)

    def deliver(_turn: int) -> bool:
        start.wait()
        return inbox.take_in(message("contact add Zhang"))

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(deliver, range(6))) == [False] * 5 + [True]
    assert inbox.handle_next()
    assert not inbox.handle_next()


def test_effects_answer_and_wake_up_come_together(inbox: Inbox, database: Database, woken: list[int]) -> None:
    inbox.take_in(message("contact add Zhang"))
    inbox.take_in(message("contact add Li", "m2"))
    assert inbox.handle_next()
    assert (names(database), len(titles(database)), len(woken)) == (["Zhang"], 1, 1)
    with database.write() as tx:
        lane = lanes.claim(tx, "me", NOW, timedelta(seconds=30))
    assert lane is not None
    assert lane.key == "chat:dingtalk:cidAlone"
    assert inbox.handle_next()
    assert names(database) == ["Li", "Zhang"]


@contextmanager
def refusing(database: Database, table: str) -> Iterator[None]:
    """The database cannot write that table for a while: a rule that needs it fails in the middle."""
    with database.write() as tx:
        tx.conn.exec_driver_sql(f"ALTER TABLE {table} RENAME COLUMN name TO lost_name")
    yield
    with database.write() as tx:
        tx.conn.exec_driver_sql(f"ALTER TABLE {table} RENAME COLUMN lost_name TO name")


def test_a_message_that_breaks_a_rule_is_put_aside_with_an_apology_and_the_next_one_is_handled(
    inbox: Inbox, database: Database
) -> None:
    inbox.take_in(message("help"))
    assert inbox.handle_next()  # the bot knows the place now
    said = len(titles(database))
    inbox.take_in(message("contact add Broken", "broken"))
    inbox.take_in(message("contact add Li", "m2"))
    with refusing(database, "contact"):
        for _ in range(TRIES):
            with pytest.raises(SQLAlchemyError):
                inbox.handle_next()
            assert len(titles(database)) == said
        assert inbox.handle_next()
    assert "Sorry" in titles(database)[-1]
    assert inbox.handle_next()
    assert names(database) == ["Li"]
    assert not inbox.handle_next()


def test_the_loop_handles_what_comes_and_survives_what_breaks(
    inbox: Inbox, database: Database, woken: list[int]
) -> None:
    inbox.take_in(message("contact add Zhang"))
    inbox.start()
    inbox.take_in(message("contact add Li", "m2"))
    pause = threading.Event()
    for _ in range(4000):
        if len(names(database)) == 2:
            break
        pause.wait(0.005)
    assert names(database) == ["Li", "Zhang"]
    inbox.stop(PATIENCE_S)
    inbox.take_in(message("contact add Wang", "m3"))
    assert names(database) == ["Li", "Zhang"]  # kept for the next start


def test_tidying_forgets_what_is_old_and_handled_only(inbox: Inbox, database: Database) -> None:
    inbox.take_in(message("help"))
    inbox.handle_next()
    inbox.take_in(message("help", "m2"))
    with database.write() as tx:
        people.ask(tx, "c", "p", "confirm", {}, NOW)
    inbox.tidy(NOW + timedelta(days=8))
    with database.read() as tx:
        assert list(tx.conn.scalars(select(inbound_table.c.message_id))) == ["m2"]
        assert people.open_question(tx, "c", "p", "confirm", NOW - timedelta(seconds=1)) is None
