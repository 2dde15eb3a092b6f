"""`queue` and `quota`: what they say, page by page and in both languages."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from bot.platforms.contract import Incoming
from handlers import desk
from handlers.budgets import Throttle
from handlers.context import Rules
from handlers.document import Paragraph, Table, from_json
from handlers.texts import Language, _, to_json
from storage import deliveries, lanes, meters, people
from storage.database import Database
from storage.schema import delivery, lane, to_ms
from tests.handlers.test_outcomes import get
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import LEASE, NOW, owe

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

MINUTE = timedelta(minutes=1)
RULES = Rules(
    language="en",
    budgets={
        "dingtalk": (Throttle(18, 61.0),),
        "sms": (Throttle(5, 900.0),),
        "arms": (),
        "chat:lark": (Throttle(4, 1.1), Throttle(90, 61.0)),
    },
    months={"dingtalk": 30},
)
numbers = itertools.count(1)


def say(
    database: Database, text: str, *, direct: bool = True, rules: Rules = RULES, now: datetime = NOW
) -> list[list[str]]:
    """What is answered, as rows of words; the answer itself does not stay in the queue."""
    number = str(next(numbers))
    place = "dingtalk:chat" if direct else "dingtalk:group"
    with database.write() as tx:
        before = tx.conn.scalar(select(delivery.c.id).order_by(delivery.c.id.desc()).limit(1)) or 0
        desk.handle(
            tx, Incoming("dingtalk", number, "dingtalk:corp/m", "Wang", place, direct, text), number, rules, now
        )
        [answer] = tx.conn.scalars(select(delivery.c.id).where(delivery.c.id > before))
        document = from_json((get(tx, answer).payload or {})["document"])
        tx.conn.execute(delivery.delete().where(delivery.c.id == answer))
    lines = [[str(document.title)]]
    for block in document.blocks:
        match block:
            case Table():
                lines += [[str(cell) for cell in row] for row in block.rows]
            case Paragraph():
                lines.append([str(block.text)])
    return lines


def test_an_empty_queue_is_one_sentence(database: Database) -> None:
    assert say(database, "queue") == [["Nothing is waiting to be sent."]]


def test_the_queue_says_for_each_destination_how_many_since_when_until_when_and_why(database: Database) -> None:
    limit = _("the limit of this address is reached; it goes on at {time}", time="17:01")
    down = _("DingTalk is busy.")
    with database.write() as tx:
        throttled = owe(tx, "dingtalk:limit", masked="dingtalk …n001", created_at=NOW - 5 * MINUTE)
        owe(tx, "dingtalk:limit", masked="dingtalk …n001", created_at=NOW - 4 * MINUTE, expires_at=NOW + MINUTE)
        deliveries.settle(tx, throttled, say=to_json(limit))
        failing = owe(tx, "dingtalk:down", masked="dingtalk …n002", created_at=NOW - 3 * MINUTE)
        deliveries.settle(tx, failing, say=to_json(down), attempts=2)
        owe(tx, "sms:held", masked="138****8000", created_at=NOW - 2 * MINUTE)
        owe(tx, "sms:short", masked="139****9000", created_at=NOW - MINUTE)
        lanes.wake(tx, ["dingtalk:limit", "dingtalk:down", "sms:held", "sms:short"], NOW - 6 * MINUTE)
        for key, pause in (("dingtalk:limit", 1), ("dingtalk:down", 2), ("sms:short", 3)):
            tx.conn.execute(update(lane).where(lane.c.key == key).values(next_at=NOW + pause * MINUTE))
        assert lanes.claim(tx, "me", NOW, LEASE) is not None
    clock = "2026-03-02 {} +08:00"
    gone = "2026-03-03 17:00:00 +08:00"
    at = [clock.format(f"{time}:00") for time in ("16:55", "16:57", "16:58", "16:59", "17:01", "17:02", "17:03")]
    assert say(database, "queue") == [
        ["5 messages wait"],
        [
            "DingTalk robot dingtalk …n001",
            "2",
            at[0],
            at[4],
            at[4],
            "the limit of this address is reached; it goes on at 17:01",
        ],
        ["DingTalk robot dingtalk …n002", "1", at[1], at[5], gone, "after 2 tries: DingTalk is busy."],
        ["phone 138****8000", "1", at[2], "now", gone, "it is being sent"],
        ["phone 139****9000", "1", at[3], at[6], gone, "the limit of this address is reached"],
    ]


def test_conversations_and_people_in_the_queue_have_their_names(database: Database) -> None:
    with database.write() as tx:
        people.heard(tx, "lark:oc_ops", "lark", False, "night watch", "", None, NOW)
        people.heard(tx, "lark:oc_alone", "lark", True, "secret title", "", None, NOW)
        people.seen(tx, "lark:t/ou_lin", "Lin", NOW)
        for key in ("chat:lark:oc_ops", "chat:lark:oc_alone", "chat:lark:oc_gone", "person:lark:t/ou_lin"):
            owe(tx, key, kind="answer", channel="chat")
    assert {row[0] for row in say(database, "queue")[1:]} == {
        "Lark: night watch",
        "a conversation in Lark",
        "a one-to-one chat in Lark",
        "one-to-one chat with Lin",
    }


def test_a_long_queue_is_shown_page_by_page(database: Database) -> None:
    with database.write() as tx:
        for number in range(23):
            owe(tx, f"sms:{number}", masked=f"138****80{number:02}", created_at=NOW - number * MINUTE)
    first = say(database, "queue")
    assert (len(first), first[1][0], first[-1]) == (22, "phone 138****8022", ["3 more follow: say more."])
    assert [row[0] for row in say(database, "more")[1:]] == [f"phone 138****80{number:02}" for number in (2, 1, 0)]


def spend(database: Database, key: str, *seconds_ago: float) -> None:
    """Writes sends into the window of a lane."""
    with database.write() as tx:
        lanes.wake(tx, [key], NOW)
        sent = [to_ms(NOW - timedelta(seconds=ago)) for ago in seconds_ago]
        tx.conn.execute(update(lane).where(lane.c.key == key).values(sent=sent, next_at=None))


def test_the_quota_says_what_of_each_limit_is_used_and_when_it_is_free_again(database: Database) -> None:
    with database.write() as tx:
        full = seed.lane_of(tx, seed.method(tx, seed.contact(tx), address="https://oapi.dingtalk.com/x?token=full"))
        some = seed.lane_of(tx, seed.method(tx, seed.contact(tx), address="https://oapi.dingtalk.com/x?token=some"))
        old = seed.lane_of(tx, seed.method(tx, seed.contact(tx), address="https://oapi.dingtalk.com/x?token=past"))
        people.heard(tx, "lark:oc_ops", "lark", False, "night watch", "", None, NOW)
        for _message in range(16):
            meters.count(tx, "dingtalk", "2026-03")
    spend(database, full, *(40.0,) * 18)
    spend(database, some, 300.0, 50.0, 2.0)
    spend(database, old, 300.0, 61.0)
    spend(database, "chat:lark:oc_ops", 30.0, 0.5)
    spend(database, "sms:x:code", 1.0)
    rows = say(database, "quota")
    assert rows[:2] == [
        ["What may be sent, and what of it is used"],
        ["DingTalk, this month", "16 of 30 (53 %)", "2026-04-01 00:00:00 +08:00"],
    ]
    assert sorted(rows[2:]) == [
        ["DingTalk robot dingtalk …full", "18 of 18 in 1 minute", "2026-03-02 17:00:21 +08:00"],
        ["DingTalk robot dingtalk …some", "2 of 18 in 1 minute", "now"],
        ["Lark: night watch", "1 of 4 in 1 second; 2 of 90 in 1 minute", "now"],
        ["each phone", "0 of 5 in 15 minutes", "now"],
    ]


@pytest.mark.parametrize(
    ("text", "until"), [("quota", "paused until {}"), ("配额", "暂停到 {}")], ids=["English", "Chinese"]
)
def test_the_quota_names_what_is_paused_and_until_when(database: Database, text: str, until: str) -> None:
    with database.write() as tx:
        busy = seed.lane_of(tx, seed.method(tx, seed.contact(tx), address="https://oapi.dingtalk.com/x?token=busy"))
        calm = seed.lane_of(tx, seed.method(tx, seed.contact(tx), address="https://oapi.dingtalk.com/x?token=calm"))
        arms = seed.lane_of(tx, seed.method(tx, seed.contact(tx), "arms", "https://arms.example.com/x?token=arms"))
        over = seed.lane_of(tx, seed.method(tx, seed.contact(tx), address="https://oapi.dingtalk.com/x?token=over"))
    spend(database, busy, 1.0)
    for key in (calm, arms, over):
        spend(database, key, 400.0)
    with database.write() as tx:
        for key, minutes in ((busy, 10), (calm, 5), (arms, 2), (over, -1)):
            tx.conn.execute(update(lane).where(lane.c.key == key).values(open_at=NOW + minutes * MINUTE))
    shown = {row[0].split()[-1]: row[1:] for row in say(database, text) if len(row) == 3}
    free = {
        name: until.format(f"2026-03-02 17:{minutes:02}:00 +08:00")
        for name, minutes in (("…busy", 10), ("…calm", 5), ("…arms", 2))
    }
    assert {name: shown[name][1] for name in free} == free
    assert shown["…busy"][0].startswith("1")
    assert shown["…arms"][0] == "–"
    assert "…over" not in shown


def test_the_quota_begins_anew_with_the_month(database: Database) -> None:
    with database.write() as tx:
        meters.count(tx, "dingtalk", "2026-03")
    before, after = (say(database, "quota", now=moment)[1] for moment in (NOW, NOW + timedelta(days=31)))
    assert before == ["DingTalk, this month", "1 of 30 (3 %)", "2026-04-01 00:00:00 +08:00"]
    assert after == ["DingTalk, this month", "0 of 30 (0 %)", "2026-05-01 00:00:00 +08:00"]


def test_a_long_quota_is_shown_page_by_page(database: Database) -> None:
    for number in range(20):
        spend(database, f"chat:lark:oc_{number:02}", 1.0)
    assert say(database, "quota")[-1] == ["3 more follow: say more."]
    assert [row[0] for row in say(database, "more")[1:]] == [
        "a conversation in Lark",
        "each DingTalk robot",
        "each phone",
    ]


def test_without_any_limit_the_quota_is_one_sentence(database: Database) -> None:
    rules = replace(RULES, budgets={"arms": ()}, months={})
    assert say(database, "quota", rules=rules) == [["Nothing here has a limit."]]


@pytest.mark.parametrize(("text", "language"), [("quota", "en"), ("配额", "zh"), ("queue", "en"), ("队列", "zh")])
def test_members_may_read_both_also_in_groups(database: Database, text: str, language: Language) -> None:
    with database.write() as tx:
        owe(tx, "sms:a", masked="138****8000")
    answer = str(say(database, text, direct=False))
    assert "admin" not in answer
    assert any("\u4e00" <= letter <= "\u9fff" for letter in answer) == (language == "zh")
