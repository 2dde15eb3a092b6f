"""More alerts than an address may be sent: the worker with the real channels' budgets and cards, and a clock that is moved."""

from __future__ import annotations

import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bot.channels import dingtalk
from bot.channels.contract import Message
from bot.channels.email import html
from bot.http import encoded
from bot.markup.plain import outline
from handlers import alerts, outbox
from handlers.alerts import accept
from handlers.model import Alert
from handlers.routing import targets
from storage import contacts, crowds, deliveries, lanes
from storage.database import Database, Tx
from storage.schema import delivery
from storage.sources import SourceRow
from tests.bot.delivery.shop import Shop, address, card, clock, make, permanent, temporary
from tests.handlers.test_digests import numbers
from tests.storage import seed
from tests.storage.fixtures import postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["clock", "make", "postgres_database", "shared_postgres", "sqlite_template"]

HOUR = timedelta(hours=4)
KEYWORD = "DAS Alarm"


@dataclass(slots=True)
class Room:
    """A shop that sends alerts of one source to one method."""

    shop: Shop
    source: SourceRow
    method: int
    to: str

    def report(self, *said: Alert) -> tuple[int, ...]:
        ids: tuple[int, ...] = self.shop.owed(lambda tx: accept(tx, self.source, said, self.shop.clock(), HOUR).ids)
        return ids

    def sent(self) -> list[tuple[float, Message]]:
        """What reached the address, with the seconds after the beginning."""
        both = zip(self.shop.post.tries, self.shop.post.messages, strict=True)
        return [((one.at - NOW).total_seconds(), message) for one, message in both if one.lane == self.to]

    def named(self) -> set[int]:
        """Every alert that somebody can see."""
        return {number for _at, message in self.sent() for number in numbers(text(message))}

    def states(self) -> dict[str, int]:
        with self.shop.database.read() as tx:
            query = select(delivery.c.state, func.count()).where(delivery.c.kind == "alert").group_by(delivery.c.state)
            return {row.state: row[1] for row in tx.conn.execute(query)}


def text(message: Message) -> str:
    return f"{message.document.heading()}\n{outline(message.document)}"


def warning(n: int, title: str = "", **values: Any) -> Alert:
    return Alert(f"f{n}", title or f"disk full on host-{n}", **({"severity": "warning", "rule": "disk"} | values))


def room_of(shop: Shop, channel: str = "dingtalk", to: str = "") -> Room:
    to = to or address("a")
    with shop.database.write() as tx:
        who = seed.contact(tx)
        method = seed.method(tx, who, channel, to)
        source = seed.source(tx, seed.group(tx, f"ops {to}", who), f"src {to}")
    return Room(shop, source, method, to)


@pytest.fixture
def database(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """SQLite, unless a test asks for more: what the two do differently is tested in `tests/storage`."""
    if getattr(request, "param", "sqlite") == "postgresql":
        yield request.getfixturevalue("postgres_database")
    else:
        opened = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}", seed.KEY)
        yield opened
        opened.close()


on_both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def room(make: Callable[..., Shop]) -> Room:
    return room_of(make(real=True))


def busiest(at: Sequence[float], window_s: float) -> int:
    return max(sum(first <= later < first + window_s for later in at) for first in at)


@on_both
def test_a_storm_to_one_robot_is_all_seen_soon_and_never_faster_than_it_may_be(room: Room) -> None:
    ids: list[int] = []
    for second in range(20):
        ids += room.report(*(warning(second * 100 + n) for n in range(100)))
        room.shop.forward(1)
    while len(room.named()) < 2000:
        room.shop.forward(1)
        assert room.shop.clock() < NOW + timedelta(seconds=60)
    sent = room.sent()
    assert busiest([at for at, _message in sent], 61.0) <= 18
    assert room.named() == set(ids)
    assert len(sent) <= 13
    for _at, message in sent:
        body = dingtalk.card(message, KEYWORD)
        assert len(encoded(body)) <= dingtalk.BODY_MAX_BYTES
        assert "more line" not in str(body)  # nothing was cut
        assert not message.document.footer or "repeat" not in str(message.document.footer)
    assert room.states() == {"sent": 2000}
    with room.shop.database.read() as tx:
        _count, page = deliveries.page(tx, only_failed=False, contact_name=None, group_name=None, limit=9, offset=0)
        assert deliveries.waiting(tx) == 0
    assert all(row.digest_id is not None and row.kind == "alert" for row in page)


def test_a_few_alerts_each_have_their_card(room: Room) -> None:
    room.report(*(warning(n) for n in range(10)))
    room.shop.forward(2)
    assert [message.kind for _at, message in room.sent()] == ["alert"] * 10


def test_an_even_flow_that_is_too_fast_is_spread_over_the_window(room: Room) -> None:
    came: dict[int, float] = {}
    for second in range(90):
        [number] = room.report(warning(second))
        came[number] = second
        room.shop.forward(1)
    for _ in range(10):
        room.shop.forward(1)
    seen = {n: at for at, message in reversed(room.sent()) for n in numbers(text(message)) if n in came}
    assert seen.keys() == came.keys()
    assert max(seen[n] - came[n] for n in came) <= 10
    assert busiest([at for at, _message in room.sent()], 61.0) <= 18


def test_codes_and_tests_do_not_wait_behind_a_crowd_that_has_used_all_slots_of_alerts(
    make: Callable[..., Shop],
) -> None:
    room = room_of(make(real=True), "wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k")
    room.report(*(warning(n, f"{n} disk full on host-{n} in room-{n}") for n in range(2500)))
    before = len(room.sent())
    assert before < 18
    room.shop.forward(1)
    assert len(room.sent()) == before
    assert room.states()["ready"] > 100
    room.shop.owed(lambda tx: card(tx, room.method, "a code", kind="code", priority=outbox.CODE))
    room.shop.owed(lambda tx: card(tx, room.method, "a test", priority=outbox.TEST))
    assert [message.document.title for _at, message in room.sent()[before:]] == ["a code", "a test"]
    assert busiest([at for at, _message in room.sent()], 61.0) <= 18


def test_criticals_recoveries_and_a_new_rule_have_a_card_of_their_own_in_the_middle_of_a_storm(room: Room) -> None:
    [known] = room.report(warning(0, "known"))
    room.shop.forward(100)
    for second in range(8):
        room.report(*(warning(second * 100 + n) for n in range(1, 100)))
        room.shop.forward(1)
    start = len(room.sent())
    [worst] = room.report(warning(90_001, "database down", severity="critical", rule="db"))
    assert [message.number for _at, message in room.sent()[start:]] == [worst]
    [new] = room.report(warning(90_002, "certificate expires", rule="tls"))
    room.report(warning(0, "known", status="resolved"))
    for second in range(6):
        room.report(*(warning(20_000 + second * 100 + n) for n in range(100)))
        room.shop.forward(1)
    cards = [(m.number, str(m.document.badge)) for _at, m in room.sent()[start:] if m.kind == "alert"]
    assert cards[0] == (worst, "CRITICAL")
    assert sorted(cards[1:]) == [(known, "RESOLVED"), (new, "WARNING")] or cards[1:] == [(known, "RESOLVED")]
    room.shop.forward(10)
    assert {known, worst, new} <= room.named()


def test_the_worst_stand_first_in_a_digest_of_many_critical_ones(room: Room) -> None:
    room.report(*(warning(n, severity="critical" if n % 2 else "info") for n in range(200)))
    room.shop.forward(5)
    digest = next(message for _at, message in room.sent() if message.kind == "digest")
    assert str(digest.document.badge) == "CRITICAL"
    assert text(digest).index("CRITICAL: ") < text(digest).index("INFO: 100")
    assert sum(message.kind == "alert" for _at, message in room.sent()) == 3


@pytest.mark.parametrize("others", [0, 60], ids=["cards of their own", "digests"])
def test_whatever_is_more_urgent_nobody_reads_that_an_alert_fires_after_its_end(room: Room, others: int) -> None:
    [number] = room.report(warning(0))

    def later(tx: Tx) -> None:
        accept(tx, room.source, [warning(n) for n in range(1, others + 1)], NOW, HOUR)
        to = targets(tx, room.source.group_id)
        for version, status, urgency in ((2, "firing", outbox.REMINDER), (3, "resolved", outbox.RECOVERY)):
            deliveries.owe(tx, alerts.cards(number, version, status, "warning", to, "ops", NOW, urgency))

    room.shop.owed(later)
    for _ in range(120):
        room.shop.forward(1)
    told = [text(message) for _at, message in room.sent() if number in numbers(text(message))]
    if others:
        assert any(message.kind == "digest" for _at, message in room.sent())
    assert ["RESOLVED" in one.upper().partition(f"#{number} ")[0] for one in told] == [False] * (len(told) - 1) + [True]
    assert room.states() == {"sent": others + 3}


@on_both
def test_a_recovery_waits_for_the_digest_that_names_its_alarm(room: Room) -> None:
    ids = room.report(*(warning(n) for n in range(50)))
    alarm = ids[30]
    room.shop.forward(1)
    room.shop.post.failing[room.to] = deque([temporary(), temporary()])
    more = room.report(*(warning(n) for n in range(100, 150)))
    room.shop.forward(10)
    assert "merged" in room.states()
    room.report(*(warning(n, status="resolved") for n in range(100, 150)), warning(30, status="resolved"))
    for _ in range(60):
        room.shop.forward(1)
    order = [
        (number, "RESOLVED" in text(message) and number in numbers(text(message).partition("RESOLVED")[2]))
        for _at, message in room.sent()
        for number in sorted(numbers(text(message)))
    ]
    for number in (alarm, *more):
        assert (number, False) in order
        assert (number, True) in order
        assert order.index((number, False)) < order.index((number, True))
    assert room.states() == {"sent": 151}


@on_both
def test_a_crash_between_merging_and_sending_leaves_a_digest_that_is_sent_and_says_so(
    make: Callable[..., Shop], database: Database
) -> None:
    shop = make(real=True)
    room = room_of(shop)
    shop.close()
    with database.write() as tx:
        ids = accept(tx, room.source, [warning(n) for n in range(50)], NOW, HOUR).ids
        key = seed.lane_of(tx, room.method)
        lanes.wake(tx, [key], NOW)
        held = lanes.claim(tx, "dead process", NOW, seed.LEASE)
        assert held is not None
        head = deliveries.ready(tx, key, NOW, 1)[0]
        line = crowds.around(tx, head, NOW, 999)
        assert lanes.reserve(tx, key, held.token, [], NOW + seed.LEASE)
        digest = crowds.merge(tx, outbox.digest(head, line, key="x", now=NOW), [one.id for one in line])
        deliveries.begin(tx, digest, NOW)
        assert deliveries.waiting(tx) == 50
    shop.open()
    shop.rest()
    assert room.sent() == []
    shop.forward(6)
    [(_at, message)] = room.sent()
    assert numbers(text(message)) == set(ids)
    assert "may be a repeat" in str(message.document.footer)
    assert room.states() == {"sent": 50}


def test_a_digest_that_fails_for_a_while_is_tried_again_with_its_key_before_what_came_later(room: Room) -> None:
    room.shop.post.failing[room.to] = deque([temporary()] * 2)
    room.report(*(warning(n, rule=f"r{n}") for n in range(50)))
    [later] = room.report(warning(99, "later", severity="critical"))
    for _ in range(30):
        room.shop.forward(1)
    keys = [message.key for _at, message in room.sent()]
    assert keys[0] == keys[1] == keys[2]
    assert [message.kind for _at, message in room.sent()][:4] == ["digest", "digest", "digest", "alert"]
    assert room.sent()[3][1].number == later
    assert room.states() == {"sent": 51}


def test_a_digest_that_is_refused_for_its_form_is_sent_once_more_as_text(room: Room) -> None:
    room.shop.post.failing[room.to] = deque([permanent("form")])
    ids = room.report(*(warning(n, f"{n} {'x' * 60}", rule=f"r{n}") for n in range(200)))
    for _ in range(120):
        room.shop.forward(1)
    kinds = [(message.kind, message.plain) for _at, message in room.sent()]
    assert kinds[0] == ("digest", False)
    assert set(kinds[1:]) == {("digest", True)}
    assert {n for _at, m in room.sent()[1:] for n in numbers(text(m)) if m.plain} >= set(ids)
    assert all(len(encoded(dingtalk.card(m, KEYWORD))) <= dingtalk.PLAIN_MAX_BYTES for _at, m in room.sent()[1:])
    assert room.states() == {"sent": 200}


def test_a_digest_whose_words_are_refused_is_sent_as_numbers(room: Room) -> None:
    room.shop.post.failing[room.to] = deque([permanent("content")])
    ids = room.report(*(warning(n, f"bad word {n}x", rule=f"r{n}") for n in range(50)))
    room.shop.forward(10)
    last = text(room.sent()[-1][1])
    assert "bad word" not in last
    assert numbers(last) == set(ids)


@on_both
def test_a_digest_that_is_refused_for_good_is_a_dead_letter_of_each_and_each_can_be_sent_again(room: Room) -> None:
    room.shop.post.failing[room.to] = deque([permanent("gone", disables=True)])
    room.report(*(warning(n, rule=f"r{n}") for n in range(50)))
    assert room.states() == {"dead": 50}
    with room.shop.database.read() as tx:
        count, page = deliveries.page(tx, only_failed=True, contact_name=None, group_name=None, limit=3, offset=0)
        method = contacts.method_by_id(tx, room.method)
    assert count == 50
    assert method is not None
    assert method.state == "disabled"
    assert [(row.reason, str(row.say)) for row in page] == [("gone", "It is gone.")] * 3

    def again(tx: Tx) -> None:
        contacts.change_method(tx, room.method, state="active")
        deliveries.revive(tx, page[0].id, room.shop.clock(), room.shop.clock() + timedelta(hours=1))

    room.shop.forward(100)
    room.shop.owed(again)
    assert room.states() == {"dead": 49, "sent": 1}
    assert room.shop.row(page[0].id).digest_id is None


def test_five_messages_in_a_quarter_of_an_hour_reach_a_phone_and_then_one_says_how_many_more(
    make: Callable[..., Shop],
) -> None:
    room = room_of(make(real=True), "sms", "+8613800138000")
    room.report(*(warning(n, severity="critical" if n == 7 else "warning") for n in range(12)))
    room.shop.forward(30)
    assert [message.kind for _at, message in room.sent()] == ["alert"] * 5
    room.report(*(warning(n) for n in range(100, 140)))
    room.shop.forward(869)
    assert len(room.sent()) == 5
    room.shop.forward(1)
    assert [str(message.document.title) for _at, message in room.sent()[5:]] == ["47 more alerts"]
    [alone] = room.report(warning(200, "one alone"))
    assert room.sent()[-1][1].number == alone
    assert room.states() == {"sent": 53}


def test_no_mailbox_gets_more_than_thirty_mails_a_minute_and_all_alerts_are_in_them(make: Callable[..., Shop]) -> None:
    room = room_of(make(real=True), "email", "ops@example.com")
    ids = room.report(*(warning(n, f"disk full on host-{n} <b>&amp;</b>") for n in range(300)))
    for _ in range(15):
        room.shop.forward(1)
    assert room.named() >= set(ids)
    assert busiest([at for at, _message in room.sent()], 60.0) <= 30
    page = html(next(m for _at, m in room.sent() if m.kind == "digest").document)
    assert "<b>" not in page
    assert len(re.findall("<li>", page)) >= 200


def test_events_for_arms_are_never_merged(make: Callable[..., Shop]) -> None:
    room = room_of(make(real=True), "arms", "https://alerts.aliyuncs.com/api/v1/integrations/custom/key1")
    room.report(*(warning(n) for n in range(100)))
    assert [message.kind for _at, message in room.sent()] == ["alert"] * 100


@pytest.mark.parametrize(
    ("channel", "to", "window_s", "most"),
    [
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k", 61.0, 18),
        ("lark", "https://open.feishu.cn/open-apis/bot/v2/hook/h", 61.0, 90),
        ("slack", "https://hooks.slack.com/services/T0/B0/x", 1.1, 1),
    ],
)
def test_every_platform_is_spared_and_tells_all(
    make: Callable[..., Shop], channel: str, to: str, window_s: float, most: int
) -> None:
    room = room_of(make(real=True), channel, to)
    ids: list[int] = []
    for second in range(5):
        ids += room.report(*(warning(second * 100 + n) for n in range(100)))
        room.shop.forward(1)
    while not room.named() >= set(ids):
        room.shop.forward(1)
        assert room.shop.clock() < NOW + timedelta(seconds=30)
    assert busiest([at for at, _message in room.sent()], window_s) <= most
    room.shop.forward(5)
    assert room.states() == {"sent": 500}


def test_a_storm_on_one_robot_delays_no_other(room: Room) -> None:
    other = room_of(room.shop, to=address("b"))
    room.report(*(warning(n) for n in range(1000)))
    other.report(warning(1, "alone"))
    assert [message.kind for _at, message in other.sent()] == ["alert"]


def test_the_memory_of_a_storm_survives_a_restart(room: Room) -> None:
    room.report(*(warning(n, severity="critical") for n in range(500)))
    room.shop.close()
    room.shop.open()
    for second in range(20):
        room.report(*(warning(1000 + second * 50 + n, severity="critical") for n in range(50)))
        room.shop.forward(1)
    assert sum(message.kind == "alert" for _at, message in room.sent()) == 3
    assert busiest([at for at, _message in room.sent()], 61.0) <= 16
