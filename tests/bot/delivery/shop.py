"""A delivery worker with its real threads and database, a clock that is moved, and a channel that does as it is told."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select

from bot.channels import CHANNELS
from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.delivery.compose import Sender
from bot.delivery.worker import Worker
from bot.http import Http
from bot.metrics import Heartbeats, Metrics
from bot.platforms.contract import Place, Platform, Speaker
from handlers import outbox
from handlers.budgets import Throttle
from handlers.context import Rules
from handlers.document import Document, Paragraph, to_json
from handlers.errors import DeliveryError
from handlers.texts import Language
from storage import contacts, deliveries, lanes
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import attempt, delivery, lane
from tests.conftest import Clock
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

PATIENCE_S = 20.0
ADMIN = "dingtalk:corp/admin"
PLACE = "dingtalk:cidOps"


@dataclass(frozen=True, slots=True)
class Try:
    """One message that reached the channel."""

    lane: str
    title: str
    at: datetime
    plain: bool
    key: str
    footer: str


@dataclass(slots=True)
class Post:
    """A channel and a platform: takes what it gets, or fails as `failing[address]` says, one error after the other.

    While `gate` is closed sends hang, all of them or only those to the addresses in `hanging`.
    """

    clock: Clock
    tries: list[Try] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)
    failing: dict[str, deque[Exception]] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    hanging: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def send(self, message: Message, target: Target, _outside: Outside) -> Receipt:
        document = message.document
        one = Try(target.address, document.heading(), self.clock(), message.plain, message.key, str(document.footer))
        with self.lock:
            self.tries.append(one)
            self.messages.append(message)
            errors = self.failing.get(target.address)
        self.arrived.release()
        if target.address in self.hanging or not self.hanging:
            assert self.gate.wait(PATIENCE_S)
        if errors:
            raise errors.popleft()
        return Receipt("receipt")

    def say(self, document: Document, _language: Language, place: Place, _speaker: Speaker) -> Receipt:
        with self.lock:
            self.said.append((place.conversation or place.person, str(document.title)))
        return Receipt("said")

    def titles(self, address: str = "") -> list[str]:
        return [one.title for one in self.tries if not address or one.lane == address]

    def seconds(self, address: str) -> list[float]:
        """When the tries to that address were, in seconds after the beginning."""
        return [(one.at - NOW).total_seconds() for one in self.tries if one.lane == address]


@dataclass(slots=True)
class Shop:
    """A worker at work. `real`: with the budgets and the digests of the real channels."""

    database: Database
    clock: Clock
    post: Post
    budgets: tuple[Throttle, ...] = ()
    real: bool = False
    worker: Worker = field(init=False)

    def open(self, *, alone: bool = True, **how: Any) -> None:
        rules = Rules(language="en", admins=frozenset({ADMIN}))
        channels = {
            name: replace(channel, send=self.post.send, missing=lambda _outside: ())
            if self.real
            else Channel(name, self.post.send, budgets=self.budgets)
            for name, channel in CHANNELS.items()
        }
        sender = Sender(
            self.database,
            rules,
            Outside(Http()),
            channels,
            {"dingtalk": Platform("dingtalk", self.post.say)},
            {"dingtalk": object()},
        )
        heartbeats = Heartbeats()
        settings: dict[str, Any] = {"clock": self.clock, "senders": 4, "slow_s": math.inf, "alone": alone} | how
        self.worker = Worker(
            self.database,
            rules,
            sender,
            metrics=Metrics(heartbeats),
            heartbeats=heartbeats,
            chance=lambda: 0.5,  # delays exactly as in the table
            **settings,
        )
        self.worker.start()

    def close(self) -> None:
        self.post.gate.set()
        self.worker.stop(PATIENCE_S)

    def owed(self, write: Callable[[Tx], Any]) -> Any:
        """Writes something, wakes every lane that has something ready, and waits until all is quiet."""
        with self.database.write() as tx:
            made = write(tx)
            lanes.wake(tx, tx.conn.scalars(select(delivery.c.lane).where(delivery.c.state == "ready")), self.clock())
        self.worker.wake()
        if self.post.gate.is_set():
            self.rest()
        return made

    def forward(self, seconds: float) -> None:
        self.clock.forward(seconds)
        self.worker.wake()
        self.rest()

    def rest(self) -> None:
        """Returns when no lane is being worked on and none is due."""

        def quiet() -> bool:
            with self.database.read() as tx:
                return not seed.lanes_at_work(tx, self.clock())

        self.until(quiet)

    def until(self, true: Callable[[], bool]) -> None:
        """Returns when it is so."""
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / 0.005)):
            if true():
                return
            pause.wait(0.005)
        raise AssertionError("it does not become so")

    def row(self, delivery_id: int) -> DeliveryRow:
        with self.database.read() as tx:
            found = deliveries.by_id(tx, delivery_id)
        assert found is not None
        return found

    def outcomes(self, delivery_id: int) -> list[str]:
        with self.database.read() as tx:
            query = select(attempt.c.outcome).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.id)
            return list(tx.conn.scalars(query))

    def due(self, key: str) -> datetime | None:
        with self.database.read() as tx:
            found: datetime | None = tx.conn.scalar(select(lane.c.next_at).where(lane.c.key == key))
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def make(database: Database, clock: Clock) -> Iterator[Callable[..., Shop]]:
    shops: list[Shop] = []

    def build(*budgets: Throttle, real: bool = False, **how: Any) -> Shop:
        shop = Shop(database, clock, Post(clock), budgets, real)
        shop.post.gate.set()
        shop.open(**how)
        shops.append(shop)
        return shop

    yield build
    for shop in shops:
        shop.close()


@pytest.fixture
def shop(make: Callable[..., Shop]) -> Shop:
    return make()


def address(name: str) -> str:
    return f"https://oapi.dingtalk.com/robot/send?access_token={name}"


def robot(tx: Tx, name: str) -> int:
    return seed.method(tx, seed.contact(tx), address=address(name))


def card(tx: Tx, method_id: int, title: str, **values: Any) -> int:
    """A test card owed to the method."""
    payload = {"document": to_json(Document(title, (Paragraph("words"),))), "language": "en"}
    found = contacts.method_by_id(tx, method_id)
    assert found is not None
    kind = values.pop("kind", "test")
    lane_key = outbox.lane_for(found, kind)
    return seed.owe(tx, lane_key, kind=kind, method_id=method_id, payload=payload, masked=found.masked, **values)


def temporary(**more: Any) -> DeliveryError:
    return DeliveryError("down", "It is down.", permanent=False, **more)


def permanent(reason: str = "gone", **more: Any) -> DeliveryError:
    return DeliveryError(reason, "It is gone.", permanent=True, **more)
