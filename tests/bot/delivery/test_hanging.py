"""Addresses that hang hold up no other, and no stop."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

import pytest

from bot.delivery.worker import SETTLING
from handlers import outbox, retries
from storage import contacts, upkeep
from storage.database import Database, Tx
from tests.bot.delivery.shop import (
    PATIENCE_S,
    Shop,
    address,
    card,
    clock,
    make,
    robot,
    shop,
    temporary,
)
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template

__all__ = ["clock", "database", "make", "postgres_database", "shared_postgres", "shop", "sqlite_template"]


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


def test_when_all_that_hung_answers_at_once_what_is_asked_for_does_not_wait_for_their_lines(
    make: Callable[..., Shop],
) -> None:
    shop = make(senders=4, slow_s=0.0, poll_s=0.01)
    names = [f"hung{n}" for n in range(20)]
    shop.post.hanging = {address(name) for name in names}
    shop.post.gate.clear()

    def three_each(tx: Tx) -> int:
        for name in names:
            one = robot(tx, name)
            for _each in range(3):
                card(tx, one, "alert", priority=outbox.CRITICAL)
        return robot(tx, "asks")

    asks = shop.owed(three_each)
    shop.until(lambda: len(shop.post.tries) == 20)
    shop.worker._slow_s = math.inf  # all of them count again, as when they have answered
    shop.owed(lambda tx: card(tx, asks, "code", kind="code", priority=outbox.CODE))
    shop.post.gate.set()
    shop.rest()
    assert len(shop.post.tries) == 61
    assert shop.post.titles().index("code") < 40


def test_a_sender_that_cannot_be_started_holds_up_nothing(make: Callable[..., Shop]) -> None:
    shop = make(senders=4, slow_s=0.0, poll_s=0.01)
    shop.post.hanging = {address(f"hung{n}") for n in range(8)}
    shop.post.gate.clear()

    def refused(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as full:
        full.setattr(threading.Thread, "start", refused)
        ids = shop.owed(lambda tx: [card(tx, robot(tx, f"hung{n}"), "alert") for n in range(8)])
        shop.until(lambda: len(shop.post.tries) == 4)
        shop.until(lambda: len(shop.worker._held) > 4)
    shop.post.gate.set()
    shop.rest()
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
        assert upkeep.leased(tx) == 0
    shop.open(alone=False)
    shop.rest()
    assert shop.post.titles() == ["first", "second"]
