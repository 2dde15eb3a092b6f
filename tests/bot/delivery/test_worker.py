"""The delivery worker, with its real threads and database, a clock that is moved, and a channel that does as it is told."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.channels import CHANNELS
from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.delivery.clock import EvenClock
from bot.delivery.compose import Sender
from bot.delivery.visit import PATIENT_TRIES, STUMBLE
from bot.delivery.worker import SETTLING, Worker
from bot.http import Http
from bot.metrics import Heartbeats, Metrics
from bot.platforms.contract import Place, Platform, Speaker
from handlers import outbox, retries
from handlers.alerts import accept
from handlers.budgets import Throttle
from handlers.context import Rules
from handlers.document import Document, Paragraph, to_json
from handlers.errors import DeliveryError
from handlers.model import Alert
from handlers.texts import Language
from storage import batches, codes, contacts, deliveries, lanes, people
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import attempt, delivery, lane, to_ms
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


def test_what_is_ready_is_sent_in_order_once_and_settled(shop: Shop) -> None:
    def write(tx: Tx) -> list[int]:
        one = robot(tx, "a")
        return [card(tx, one, "third", priority=4), card(tx, one, "first", priority=1), card(tx, one, "second")]

    ids = shop.owed(write)
    assert shop.post.titles() == ["first", "second", "third"]
    shop.forward(3600)
    assert len(shop.post.tries) == 3
    for one in ids:
        row = shop.row(one)
        assert (row.state, row.attempts, row.receipt, row.payload, row.done_at) == ("sent", 1, "receipt", None, NOW)
        assert shop.outcomes(one) == ["sent"]
    assert len({one.key for one in shop.post.tries}) == 3


def test_a_temporary_failure_is_tried_again_soon_and_with_the_same_key_until_it_works(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary(), temporary(), temporary()])
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "hello"))
    assert shop.outcomes(one) == ["temporary"]
    for _ in range(60):
        shop.forward(1)
    assert shop.post.seconds(address("a")) == [0, 5, 20, 50]
    assert shop.row(one).state == "sent"
    assert shop.outcomes(one) == ["temporary"] * 3 + ["sent"]
    assert len({try_.key for try_ in shop.post.tries}) == 1
    assert shop.post.tries[1].footer == ""  # its end was known: it is not "may be a repeat"


def test_a_retry_after_closes_that_lane_and_no_other(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary(retry_after=600)])
    shop.owed(lambda tx: (card(tx, robot(tx, "a"), "a1"), card(tx, robot(tx, "b"), "b1")))
    with shop.database.read() as tx:
        a, b = (row.id for row in tx.conn.execute(select(delivery.c.method_id.label("id")).order_by(delivery.c.id)))

    def more(name: str) -> Callable[[Tx], int]:
        return lambda tx: card(tx, {"a": a, "b": b}[name], f"{name}2", priority=0)

    shop.forward(30)
    shop.owed(more("a"))
    shop.owed(more("b"))
    assert shop.post.seconds(address("a")) == [0]
    assert shop.post.seconds(address("b")) == [0, 30]
    shop.forward(569)
    assert shop.post.seconds(address("a")) == [0]
    shop.forward(1)
    assert shop.post.titles(address("a")) == ["a1", "a2", "a1"]


def test_a_back_off_of_ours_holds_up_alerts_and_neither_codes_nor_tests(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary()])

    def alarm(title: str, **more: Any) -> Callable[[Tx], int]:
        return lambda tx: card(tx, one, title, **more)

    with shop.database.write() as tx:
        one = robot(tx, "a")
    shop.owed(alarm("failed"))
    assert shop.post.titles() == ["failed"]
    shop.owed(alarm("critical", priority=outbox.CRITICAL))
    assert shop.post.titles() == ["failed"]
    # Not even one that fails itself lets alerts through before.
    shop.post.failing[address("a")].append(temporary())
    shop.owed(lambda tx: card(tx, one, "code", kind="code", priority=outbox.CODE))
    assert shop.post.titles() == ["failed", "code"]
    shop.owed(lambda tx: card(tx, one, "later", kind="code", priority=outbox.CODE))
    assert shop.post.titles() == ["failed", "code"], "of codes none overtakes another"
    shop.forward(retries.DELAYS_S[0])
    assert shop.post.titles() == ["failed", "code", "code", "later", "critical", "failed"]


def test_a_code_that_arrives_ends_the_back_off_of_others(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary()])
    one = shop.owed(lambda tx: robot(tx, "a"))
    shop.owed(lambda tx: [card(tx, one, "failed"), card(tx, one, "other")])
    shop.owed(lambda tx: card(tx, one, "test", priority=outbox.TEST))
    assert shop.post.titles() == ["failed", "test", "other"]
    shop.forward(retries.DELAYS_S[0])
    assert shop.post.titles() == ["failed", "test", "other", "failed"]


def test_a_form_that_is_refused_is_sent_once_more_in_its_simplest(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([permanent("form")])
    shop.post.failing[address("b")] = deque([permanent("form"), permanent("form")])
    fine, dead = shop.owed(lambda tx: (card(tx, robot(tx, "a"), "x"), card(tx, robot(tx, "b"), "y")))
    for name in "ab":
        assert [try_.plain for try_ in shop.post.tries if try_.lane == address(name)] == [False, True]
    assert shop.row(fine).state == "sent"
    assert (shop.row(dead).state, shop.row(dead).reason) == ("dead", "form")
    shop.forward(86400)
    assert len(shop.post.tries) == 4


def test_a_permanent_failure_is_a_dead_letter_and_the_next_message_goes(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([permanent()])

    def write(tx: Tx) -> tuple[int, int]:
        one = robot(tx, "a")
        return card(tx, one, "dead"), card(tx, one, "next")

    dead, following = shop.owed(write)
    row = shop.row(dead)
    assert (row.state, row.reason, str(row.say)) == ("dead", "gone", "It is gone.")
    assert row.payload is not None  # it can be sent again by `retry`
    assert shop.row(following).state == "sent"
    with shop.database.read() as tx:
        assert contacts.method_by_id(tx, row.method_id or 0).state == "active"  # type: ignore[union-attr]


def test_a_dead_robot_is_disabled_and_owner_and_admins_are_told_once(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([permanent(disables=True)])
    owner = "dingtalk:corp/owner"

    def write(tx: Tx) -> list[int]:
        who = seed.contact(tx, "Zhang Wei")
        people.seen(tx, owner, "Zhang", NOW)
        people.seen(tx, "slack:T/other", "Zhang elsewhere", NOW)  # no private way there
        for person in (owner, "slack:T/other"):
            people.link(tx, person, who)
        one = seed.method(tx, who, address=address("a"))
        return [card(tx, one, "first"), card(tx, one, "second")]

    first, second = shop.owed(write)
    assert shop.post.titles() == ["first"]
    assert [shop.row(one).reason for one in (first, second)] == ["gone", "disabled"]
    assert sorted(place for place, _title in shop.post.said) == [ADMIN, owner]
    assert all("Zhang Wei is disabled" in title for _place, title in shop.post.said)
    with shop.database.read() as tx:
        method = contacts.method_by_id(tx, shop.row(first).method_id or 0)
    assert method is not None
    assert (method.state, method.reason) == ("disabled", '"It is gone."')


def test_a_message_that_is_too_old_is_not_sent_any_more(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque([temporary()])
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "x", expires_at=NOW + timedelta(seconds=60)))
    shop.clock.forward(61)
    shop.forward(0)
    row = shop.row(one)
    assert (row.state, row.reason, len(shop.post.tries)) == ("dead", "expired", 1)
    assert "It is down." in str(row.say)


def test_it_is_tried_for_a_day_and_then_given_up(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque(temporary() for _ in range(999))
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "x"))
    while shop.row(one).state == "ready":
        due = shop.row(one).due_at
        assert due > shop.clock()
        shop.forward((due - shop.clock()).total_seconds())
    at = shop.post.seconds(address("a"))
    assert 86400 - retries.DELAYS_S[-1] <= at[-1] < 86400
    assert (shop.row(one).state, shop.row(one).reason) == ("dead", "expired")


@pytest.mark.parametrize(
    "budgets",
    [(Throttle(3, 60),), (Throttle(1, 1.1),), (Throttle(2, 1), Throttle(5, 60))],
    ids=["three a minute", "one a second", "two limits"],
)
def test_no_window_ever_has_more_than_its_budget_also_across_a_restart(
    make: Callable[..., Shop], budgets: tuple[Throttle, ...]
) -> None:
    shop = make(*budgets)

    def write(tx: Tx) -> None:
        one = robot(tx, "a")
        for n in range(9):
            card(tx, one, f"{n}")

    shop.owed(write)
    restarts = [1, 3, 6]  # as soon as so many have been sent
    while len(shop.post.tries) < 9:
        if restarts and len(shop.post.tries) >= restarts[0]:
            restarts.pop(0)
            shop.close()
            shop.open()
            shop.worker.wake()
        shop.forward(0.5)
    at = shop.post.seconds(address("a"))
    for budget in budgets:
        assert all(later - earlier >= budget.per_s for earlier, later in zip(at, at[budget.count :], strict=False)), at
    assert restarts == []
    assert at[-1] <= 9 * 60  # and it is not slower than it has to be
    assert shop.post.titles() == [f"{n}" for n in range(9)]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_lets_nothing_more_through_and_nothing_less(
    make: Callable[..., Shop], clock: Clock, hours: int
) -> None:
    set_by = timedelta(0)
    even = EvenClock(lambda: clock() + set_by, lambda: clock().timestamp())
    shop = make(Throttle(2, 60), clock=even, was_set=even.compare)
    one = shop.owed(lambda tx: robot(tx, "a"))
    shop.owed(lambda tx: [card(tx, one, f"{n}") for n in range(3)])
    assert len(shop.post.tries) == 2
    set_by = timedelta(hours=hours)
    for tick in range(70):
        if tick == 2:
            shop.worker._sweep()
        clock.forward(1)
        shop.worker.wake()
        shop.until(lambda: not shop.worker._woken)
    shop.until(lambda: len(shop.post.tries) == 3)
    first, second, third = shop.post.seconds(address("a"))
    assert (first, second) == (0.0, 0.0)
    assert 60 <= third <= 65


def test_a_clock_set_back_delays_a_full_lane_by_one_window_and_no_more(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(2, 60))
    one = shop.owed(lambda tx: robot(tx, "a"))
    shop.owed(lambda tx: [card(tx, one, f"{n}") for n in range(3)])
    assert len(shop.post.tries) == 2
    shop.clock.forward(hours=-1)
    with shop.database.write() as tx:
        lanes.clock_went_back(tx, shop.clock(), timedelta(seconds=5))
    shop.forward(0)
    for _ in range(13):
        assert len(shop.post.tries) == 2
        shop.forward(5)
    assert len(shop.post.tries) == 3


def test_a_send_is_in_the_window_before_it_happens_so_that_a_crash_cannot_forget_it(make: Callable[..., Shop]) -> None:
    shop = make(Throttle(3, 60))
    shop.post.gate.clear()
    shop.owed(lambda tx: card(tx, robot(tx, "a"), "x"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    with shop.database.read() as tx:
        held = tx.conn.execute(select(lane)).one()
    assert held.sent == [to_ms(NOW)]
    assert held.owner is not None


def test_a_clock_set_forward_during_a_send_does_not_send_it_twice(shop: Shop) -> None:
    shop.post.gate.clear()
    shop.owed(lambda tx: card(tx, robot(tx, "a"), "slow"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    shop.clock.forward(hours=1)
    # Another lane shows that the worker looks for work while the first send still hangs.
    shop.owed(lambda tx: card(tx, robot(tx, "b"), "other"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    shop.post.gate.set()
    shop.rest()
    assert sorted(shop.post.titles()) == ["other", "slow"]


def test_a_slow_address_holds_up_no_other(shop: Shop) -> None:
    shop.post.gate.clear()
    shop.owed(lambda tx: [card(tx, robot(tx, name), name) for name in "abc"])
    for _ in range(3):
        assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    shop.post.gate.set()
    shop.rest()
    assert sorted(shop.post.titles()) == ["a", "b", "c"]


def test_who_is_waited_for_long_takes_no_sender_from_others(make: Callable[..., Shop]) -> None:
    shop = make(senders=4, slow_s=0.0, poll_s=0.01)
    names = [f"hung{n}" for n in range(20)]
    shop.post.hanging = {address(name) for name in names}
    shop.post.gate.clear()
    ids = shop.owed(lambda tx: [card(tx, robot(tx, name), name) for name in names])
    shop.until(lambda: len(shop.post.tries) == 20)
    shop.owed(lambda tx: card(tx, robot(tx, "fine"), "fine"))
    shop.until(lambda: "fine" in shop.post.titles())
    shop.post.gate.set()
    shop.rest()
    assert sorted(shop.post.titles()) == sorted(["fine", *names])
    assert {shop.row(one).state for one in ids} == {"sent"}


def test_what_a_person_asked_for_finds_a_sender_while_critical_alerts_hang_everywhere(
    make: Callable[..., Shop], database: Database
) -> None:
    shop = make(senders=24)
    channels = {
        "dingtalk": address("{}"),
        "lark": "https://open.feishu.cn/open-apis/bot/v2/hook/{}",
        "slack": "https://hooks.slack.com/services/T1/B1/{}",
    }
    with database.write() as tx:
        hung = [
            seed.method(tx, seed.contact(tx), channel, url.format(f"{channel}{n}"))
            for channel, url in channels.items()
            for n in range(10)
        ]
        mailbox = seed.method(tx, seed.contact(tx), "email", "lin@example.com")
        shop.post.hanging = {one.address for one in (contacts.method_by_id(tx, id_) for id_ in hung) if one}
    shop.post.gate.clear()
    shop.owed(lambda tx: [card(tx, one, "boom", priority=outbox.CRITICAL) for one in hung])
    shop.until(lambda: len(shop.post.tries) == 18)
    shop.owed(lambda tx: card(tx, mailbox, "code", kind="code", priority=outbox.CODE))
    shop.until(lambda: "code" in shop.post.titles())
    shop.owed(lambda tx: card(tx, mailbox, "warning", priority=outbox.OTHER))
    shop.until(lambda: "warning" in shop.post.titles())
    assert shop.post.titles().count("boom") == 18


def test_a_platform_that_hangs_leaves_senders_for_every_other_also_when_all_of_its_robots_do(
    make: Callable[..., Shop], database: Database
) -> None:
    shop = make(senders=24)
    names = [f"hung{n}" for n in range(40)]
    shop.post.hanging = {address(name) for name in names}
    shop.post.failing = {address(name): deque([temporary(unknown=True)]) for name in names}

    def healthy(tx: Tx) -> int:
        return seed.method(tx, seed.contact(tx), "wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k")

    with database.write() as tx:
        fine = healthy(tx)
        robots = [robot(tx, name) for name in names]

    def others_arrive(round_: str) -> None:
        shop.owed(lambda tx: card(tx, fine, f"warning {round_}"))
        shop.until(lambda: f"warning {round_}" in shop.post.titles())
        shop.owed(lambda tx: card(tx, fine, f"critical {round_}", priority=outbox.CRITICAL))
        shop.until(lambda: f"critical {round_}" in shop.post.titles())

    def hanging() -> int:
        return shop.post.titles().count("hung")

    shop.post.gate.clear()
    shop.owed(lambda tx: [card(tx, one, "hung", priority=outbox.CRITICAL) for one in robots])
    shop.until(lambda: hanging() == 17)
    others_arrive("while nobody knows")
    assert hanging() == 17
    shop.post.gate.set()
    shop.until(lambda: hanging() == 40)
    shop.rest()
    shop.post.gate.clear()
    shop.clock.forward(retries.DELAYS_S[0])
    shop.worker.wake()
    shop.until(lambda: hanging() == 48)  # a third of the senders
    others_arrive("when it is known")
    assert hanging() == 48
    shop.post.gate.set()
    shop.rest()
    assert hanging() == 80


def test_a_stop_does_not_wait_for_a_send_that_hangs_and_it_is_repeated_marked(shop: Shop) -> None:
    shop.post.gate.clear()
    one = shop.owed(lambda tx: card(tx, robot(tx, "a"), "x"))
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    shop.worker.stop(0.05)
    left = [thread for thread in threading.enumerate() if thread.name.startswith("sender")]
    assert left
    assert all(thread.daemon for thread in left), "the interpreter would wait for them at its exit"
    cut_off = shop.worker
    shop.open()
    shop.clock.forward(SETTLING.total_seconds())
    shop.worker.wake()
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    assert [try_.footer for try_ in shop.post.tries] == ["", "may be a repeat"]
    shop.post.gate.set()
    shop.rest()
    cut_off.stop(PATIENCE_S)
    assert shop.row(one).state == "sent"


def test_a_stop_lets_the_send_in_flight_end_and_leaves_the_rest_for_the_next_start(shop: Shop) -> None:
    shop.post.gate.clear()

    def write(tx: Tx) -> list[int]:
        one = robot(tx, "a")
        return [card(tx, one, "first"), card(tx, one, "second")]

    first, second = shop.owed(write)
    assert shop.post.arrived.acquire(timeout=PATIENCE_S)
    stopping = threading.Thread(target=shop.worker.stop, args=(PATIENCE_S,))
    stopping.start()
    shop.until(lambda: shop.worker._stopping)
    shop.post.gate.set()
    stopping.join(PATIENCE_S)
    assert [shop.row(one).state for one in (first, second)] == ["sent", "ready"]
    with shop.database.read() as tx:
        assert lanes.leased(tx) == 0
    shop.open(alone=False)
    shop.rest()
    assert shop.post.titles() == ["first", "second"]


def test_what_a_crash_may_have_sent_is_sent_again_marked_and_not_before_the_start_has_settled(
    make: Callable[..., Shop], database: Database
) -> None:
    with database.write() as tx:
        one = card(tx, robot(tx, "a"), "begun")
        other = card(tx, robot(tx, "b"), "not begun")
        lanes.wake(tx, [row.lane for row in (deliveries.by_id(tx, one), deliveries.by_id(tx, other)) if row], NOW)
        for _ in range(2):
            held = lanes.claim(tx, "dead process", NOW, seed.LEASE)
            assert held is not None
            row = deliveries.by_id(tx, one)
            assert row is not None
            if row.lane == held.key:
                assert lanes.starting(tx, one, held.key, held.token, [], NOW, NOW + seed.LEASE)
    shop = make()  # the only process: leases of the dead one end at once
    shop.rest()
    assert shop.post.titles() == ["not begun"]
    shop.forward(SETTLING.total_seconds())
    assert shop.post.titles() == ["not begun", "begun"]
    assert shop.post.tries[1].footer == "may be a repeat"
    assert shop.post.tries[0].footer == ""


def test_a_lease_of_another_process_is_waited_for(make: Callable[..., Shop], database: Database) -> None:
    with database.write() as tx:
        one = card(tx, robot(tx, "a"), "held elsewhere")
        row = deliveries.by_id(tx, one)
        assert row is not None
        lanes.wake(tx, [row.lane], NOW)
        assert lanes.claim(tx, "other process", NOW, seed.LEASE)
    shop = make(alone=False)
    shop.clock.forward(29)
    shop.worker.wake()
    assert shop.post.tries == []
    shop.forward(1)
    assert shop.post.titles() == ["held elsewhere"]


def test_a_bug_in_one_message_ends_as_a_dead_letter_and_stops_nobody(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque(ValueError("a bug") for _ in range(9))
    broken, fine = shop.owed(lambda tx: (card(tx, robot(tx, "a"), "x"), card(tx, robot(tx, "b"), "y")))
    assert shop.row(fine).state == "sent"
    for _ in range(10):
        shop.forward(10)
    assert (shop.row(broken).state, shop.row(broken).reason) == ("dead", "internal")
    assert len(shop.post.seconds(address("a"))) == 3


def test_a_message_that_cannot_be_read_rests_its_lane_and_no_other(shop: Shop) -> None:
    """A payload sealed with a key that is gone."""

    def write(tx: Tx) -> tuple[int, int]:
        broken = card(tx, robot(tx, "a"), "x")
        tx.conn.execute(update(delivery).where(delivery.c.id == broken).values(payload="gAAAAA-not-ours"))
        return broken, card(tx, robot(tx, "b"), "y")

    broken, fine = shop.owed(write)
    assert shop.row(fine).state == "sent"
    with shop.database.read() as tx:
        key = tx.conn.execute(select(delivery.c.lane).where(delivery.c.id == broken)).scalar_one()
    assert shop.due(key) == NOW + STUMBLE


def test_what_follows_from_a_send_may_break_but_the_message_is_not_sent_again(shop: Shop) -> None:
    def write(tx: Tx) -> int:
        batch = batches.start(tx, "test", {"no": "conversation"}, NOW)  # its report cannot be written
        return card(tx, robot(tx, "a"), "x", batch_id=batch)

    one = shop.owed(write)
    shop.forward(60)
    assert shop.row(one).state == "sent"
    assert len(shop.post.tries) == 1


def test_a_recovery_waits_for_an_alarm_that_keeps_failing_and_others_of_the_lane_go(shop: Shop) -> None:
    shop.post.failing[address("a")] = deque(temporary() for _ in range(PATIENT_TRIES))

    def report(status: Any, fingerprint: str) -> Callable[[Tx], Any]:
        return lambda tx: accept(
            tx, source, [Alert(fingerprint, fingerprint, status=status)], shop.clock(), timedelta(hours=4)
        )

    with shop.database.write() as tx:
        who = seed.contact(tx)
        seed.method(tx, who, address=address("a"))
        source = seed.source(tx, seed.group(tx, "ops", who))
    shop.owed(report("firing", "disk"))
    for due in retries.DELAYS_S[: PATIENT_TRIES - 1]:
        shop.forward(due)
    assert len(shop.post.tries) == PATIENT_TRIES
    shop.owed(report("resolved", "disk"))
    shop.owed(report("firing", "other"))
    shop.forward(5)
    titles = [title.split(" ", 1)[0] + title.rpartition(" ")[2] for title in shop.post.titles()]
    assert titles == ["[WARNING]disk"] * PATIENT_TRIES + ["[WARNING]other"]
    shop.forward(retries.DELAYS_S[PATIENT_TRIES - 1])
    titles = [title.split(" ", 1)[0] + title.rpartition(" ")[2] for title in shop.post.titles()]
    assert titles[PATIENT_TRIES:] == ["[WARNING]other", "[WARNING]disk", "[RESOLVED]disk"]


def place(tx: Tx) -> None:
    people.heard(tx, PLACE, "dingtalk", False, "ops", "", None, NOW)


def test_a_test_is_reported_once_when_its_last_channel_has_answered(shop: Shop) -> None:
    shop.post.failing[address("b")] = deque([permanent()])
    body = {"conversation": PLACE, "person": "dingtalk:corp/u", "language": "en", "name": "ops"}

    def write(tx: Tx) -> None:
        place(tx)
        batch = batches.start(tx, "test", body, NOW)
        for name in "abcd":
            card(tx, robot(tx, name), name, batch_id=batch)

    shop.owed(write)
    shop.forward(120)
    assert shop.post.said == [(PLACE, "Test of ops: 3 of 4 arrived.")]


def test_a_test_with_a_channel_that_hangs_is_reported_after_a_while_and_not_again(shop: Shop) -> None:
    shop.post.failing[address("b")] = deque([temporary(retry_after=300)])
    body = {"conversation": PLACE, "person": "dingtalk:corp/u", "language": "en", "name": "ops"}

    def write(tx: Tx) -> None:
        place(tx)
        batch = batches.start(tx, "test", body, NOW)
        for name in "ab":
            card(tx, robot(tx, name), name, batch_id=batch)

    shop.owed(write)
    assert shop.post.said == []
    shop.clock.forward(46)
    shop.close()
    shop.open()  # the first thing a worker does is its sweep
    shop.until(lambda: bool(shop.post.said))
    shop.rest()
    shop.forward(300)
    assert len(shop.post.tries) == 3
    assert shop.post.said == [(PLACE, "Test of ops: 1 of 2 arrived.")]


@pytest.mark.parametrize("unknown", [False, True], ids=["refused", "no answer"])
def test_a_refused_code_frees_the_limit_and_its_person_is_told_but_one_that_may_have_arrived_counts(
    shop: Shop, unknown: bool
) -> None:
    number = "+8613800138000"
    shop.post.failing[number] = deque([temporary(unknown=True) if unknown else permanent("no_balance", disables=True)])

    def write(tx: Tx) -> int:
        place(tx)
        phone = seed.method(tx, seed.contact(tx, "Zhang"), "sms", number, state="pending")
        key = contacts.address_key(tx, "sms", number)
        code = codes.issue(
            tx,
            method_id=phone,
            address_key=key,
            person="dingtalk:corp/u",
            conversation=PLACE,
            digits="123456",
            tries=5,
            now=NOW,
            expires_at=NOW + timedelta(minutes=10),
        )
        card(tx, phone, "code", kind="code", code_id=code, priority=outbox.CODE)
        return code

    code_id = shop.owed(write)
    shop.forward(600)
    with shop.database.read() as tx:
        code = codes.by_id(tx, code_id)
        counted = codes.to_address(tx, contacts.address_key(tx, "sms", number), NOW - timedelta(days=1))
        method = contacts.method_by_id(tx, code.method_id or 0) if code else None
    assert code is not None
    assert method is not None
    assert len(shop.post.tries) == 1
    assert method.state == "pending"
    if unknown:
        assert (code.state, counted, shop.post.said) == ("issued", [NOW], [])
    else:
        assert (code.state, counted) == ("refused", [])
        assert [where for where, _title in shop.post.said] == [PLACE]
