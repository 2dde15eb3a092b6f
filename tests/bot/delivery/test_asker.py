"""Asking providers what became of messages: once whoever asks, and not again and again while nobody answers."""

from __future__ import annotations

from datetime import timedelta

from bot.channels.contract import Channel, Message, Outside, Question, Receipt, Target
from bot.delivery.asker import REST, Asker
from bot.http import Http, Unreachable
from bot.metrics import Heartbeats
from handlers import outcomes
from handlers.context import Rules
from handlers.receipts import Report
from storage import deliveries
from storage.database import Database, Tx
from tests.conftest import Clock
from tests.storage import seed
from tests.storage.fixtures import sqlite_database as database
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "sqlite_template"]

RULES = Rules(language="en")


class Provider:
    """Knows what became of every message, or does not answer."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.up = True

    def look_up(self, question: Question, _outside: Outside) -> Report | None:
        self.asked.append(question)
        if not self.up:
            raise Unreachable(sent=False, reason="refused")
        return Report("sms", True, question.key)

    def send(self, _message: Message, _target: Target, _outside: Outside) -> Receipt:
        raise AssertionError("nothing is sent here")


def taken(tx: Tx) -> int:
    """A message that the provider took at NOW."""
    phone = seed.method(tx, seed.contact(tx), "sms", f"+861380013{seed.contact(tx):04d}")
    owed = seed.owe(tx, seed.lane_of(tx, phone), method_id=phone)
    deliveries.begin(tx, owed, NOW)
    row = deliveries.by_id(tx, owed)
    assert row is not None
    outcomes.sent(tx, row, f"biz-{owed}", RULES, NOW)
    return owed


def asker(database: Database, provider: Provider, clock: Clock) -> Asker:
    return Asker(
        database,
        RULES,
        Outside(Http()),
        {"sms": Channel("sms", provider.send, look_up=provider.look_up)},
        clock=clock,
        heartbeats=Heartbeats(),
        wake_worker=lambda: None,
    )


def test_of_two_processes_one_asks_and_what_is_known_is_not_asked_again(database: Database) -> None:
    clock, provider = Clock(NOW), Provider()
    with database.write() as tx:
        ids = [taken(tx) for _message in range(3)]
    both = [asker(database, provider, clock) for _process in range(2)]
    both[0].round()
    assert provider.asked == []
    clock.forward(seconds=301)
    for one in both:
        one.round()
    assert [question.reference for question in provider.asked] == [f"biz-{one}" for one in ids]
    clock.forward(days=3)
    both[0].round()
    assert len(provider.asked) == 3
    with database.read() as tx:
        rows = [deliveries.by_id(tx, one) for one in ids]
    assert all(row is not None and row.arrived_at == NOW + timedelta(seconds=301) for row in rows)


def test_a_provider_that_does_not_answer_is_left_alone_for_a_while(database: Database) -> None:
    clock, provider = Clock(NOW), Provider()
    provider.up = False
    with database.write() as tx:
        for _message in range(3):
            taken(tx)
    one = asker(database, provider, clock)
    clock.forward(seconds=301)
    one.round()
    one.round()
    assert len(provider.asked) == 1
    provider.up = True
    clock.forward(seconds=REST.total_seconds() + 1)
    one.round()
    assert len(provider.asked) == 3  # the first one's next question comes later
    clock.forward(minutes=15)
    one.round()
    assert len(provider.asked) == 4


def test_what_cannot_be_asked_about_is_forgotten(database: Database) -> None:
    clock, provider = Clock(NOW), Provider()
    with database.write() as tx:
        gone = seed.owe(tx, "sms:gone")
        deliveries.settle(tx, gone, state="sent", ask_at=NOW)
        deliveries.settle(tx, seed.owe(tx, "voice:x"), state="sent", ask_at=NOW)
    one = asker(database, provider, clock)
    for _turn in range(2):
        one.round()
    assert provider.asked == []
