"""Silences: made in chat, kept while alerts come in, and ended once; and who would get an alert meanwhile."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.markup.plain import outline
from bot.platforms.contract import Incoming, Press
from handlers import desk, due, meters, outbox
from handlers.alerts import accept
from handlers.budgets import Throttle
from handlers.context import Rules
from handlers.document import from_json
from handlers.model import Alert
from storage import alerts, contacts, groups, lanes
from storage import meters as months
from storage.alerts import AlertRow
from storage.database import Database
from storage.schema import delivery, lane
from storage.sources import SourceRow
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

LIN = "slack:T1/LIN"
HERE, ELSEWHERE = "slack:T1/C1", "slack:T1/C2"
REPEAT = timedelta(hours=4)
DISK = Alert("json:1:disk", "disk full", severity="warning", labels={"host": "db-1"})
LOAD = Alert("json:1:load", "load high", severity="critical", labels={"host": "db-2"})
OVER = replace(DISK, status="resolved", labels={})
ids = itertools.count(1)


@dataclass
class Room:
    """A source that reports to one robot, and people who talk about it."""

    database: Database
    source: SourceRow
    method: int
    rules: Rules = field(
        default_factory=lambda: Rules(
            admins=frozenset({LIN}), language="en", buttons={"slack": "press"}, private=frozenset({"slack"})
        )
    )
    now: datetime = NOW

    def report(self, *said: Alert, after: timedelta = timedelta()) -> tuple[int, ...]:
        self.now += after
        with self.database.write() as tx:
            return accept(tx, self.source, said, self.now, REPEAT).ids

    def says(self, text: str = "", *, place: str = HERE, press: Press | None = None) -> str:
        """What is answered, in words."""
        number = f"m{next(ids)}"
        message = Incoming("slack", number, LIN, "Lin", place, False, text, press=press)
        with self.database.write() as tx:
            known = set(tx.conn.scalars(select(delivery.c.id)))
            desk.handle(tx, message, number, self.rules, self.now)
        return self.words(known)

    def due(self, after: timedelta = timedelta()) -> str:
        """Lets time pass; what is said of it."""
        self.now += after
        with self.database.write() as tx:
            known = set(tx.conn.scalars(select(delivery.c.id)))
            due.run(tx, self.rules, self.now)
        return self.words(known)

    def words(self, known: set[int]) -> str:
        return "\n\n".join(
            f"{one.heading()}\n{outline(one)}" for one in (from_json(row["document"]) for row in self.answers(known))
        )

    def answers(self, known: Collection[int] = ()) -> list[dict[str, Any]]:
        with self.database.read() as tx:
            rows = tx.conn.execute(
                select(delivery).where(delivery.c.kind.in_(("answer", "notice"))).order_by(delivery.c.id)
            )
            return [json.loads(tx.vault.open(row.payload)) for row in rows if row.id not in known and row.payload]

    def cards(self, state: str = "ready") -> list[tuple[int, str, int]]:
        """Alert, status and priority of the cards that are owed."""
        with self.database.read() as tx:
            query = select(delivery).where(delivery.c.kind == "alert", delivery.c.state == state)
            return [(row.alert_id, row.alert_status, row.priority) for row in tx.conn.execute(query)]

    def sent(self) -> None:
        """All cards that wait are sent."""
        with self.database.write() as tx:
            tx.conn.execute(delivery.update().where(delivery.c.kind == "alert").values(state="sent"))

    def alert(self, number: int) -> AlertRow:
        with self.database.read() as tx:
            found = alerts.by_id(tx, number)
        assert found is not None
        return found


def made(database: Database) -> Room:
    with database.write() as tx:
        who = seed.contact(tx, "Zhang")
        method = seed.method(tx, who)
        source = seed.source(tx, seed.group(tx, "ops", who), "prod")
    return Room(database, source, method)


@pytest.fixture
def room(tmp_path: Any, sqlite_template: Any) -> Iterator[Room]:
    file = tmp_path / "room.db"
    file.write_bytes(sqlite_template.read_bytes())
    opened = Database(f"sqlite:///{file}", seed.KEY)
    yield made(opened)
    opened.close()


HOURS = timedelta(hours=1)


def test_an_alert_that_comes_meanwhile_is_numbered_and_quiet_and_told_when_the_silence_ends(room: Room) -> None:
    said = room.says("silence source=prod host=db-1 for 2h because moving house")
    assert "Silence 1: source=prod host=db-1 is quiet until 2026-03-02 19:00" in said
    assert "To except them add severity!=critical" in said
    [disk, load] = room.report(DISK, LOAD)
    assert [number for number, *_rest in room.cards()] == [load], "the other is told"
    assert "WARNING, silenced" in room.says("alerts")
    card = room.says(f"alert {disk}")
    assert "Silence 1 of Lin hides it until 2026-03-02 19:00:00 +08:00 (moving house)." in card
    listed = room.says("silence list")
    assert "source=prod host=db-1" in listed
    assert "moving house" in listed
    assert room.due(2 * HOURS - timedelta(seconds=1)) == ""
    told = room.due(timedelta(seconds=1))
    assert "Silence 1 is over. 1 alert was hidden." in told
    assert f"#{disk} disk full: still firing, sent now" in told
    assert (disk, "firing", outbox.OTHER) in room.cards(), "as if it came now: nobody had a card of it"
    assert room.due(HOURS) == "", "and once"
    assert "Nothing is silenced." in room.says("silence list")
    room.sent()
    room.report(OVER)
    assert room.cards() == [(disk, "resolved", outbox.RECOVERY)], "its end is told like any other"


def test_what_ends_while_it_is_quiet_is_only_named_in_the_end(room: Room) -> None:
    [disk] = room.report(DISK)
    room.sent()
    assert f"#{disk} disk full" in room.says(f"silence #{disk} for 30m")
    room.report(OVER, after=timedelta(minutes=5))
    assert room.cards() == [], "the recovery says less than the alarm, and is quiet all the same"
    assert room.alert(disk).status == "resolved"
    assert "Silence 1 of Lin hid that it is over." in room.says(f"alert {disk}")
    [again] = room.report(DISK, after=timedelta(minutes=1))
    assert (again != disk, room.cards()) == (True, []), "the same condition again"
    told = room.due(HOURS)
    assert "2 alerts were hidden" in told
    assert f"#{disk} disk full: over" in told
    assert [number for number, *_rest in room.cards()] == [again]


def test_what_fires_already_is_quiet_from_now_on_and_comes_back_as_a_reminder(room: Room) -> None:
    [disk] = room.report(DISK)
    room.sent()
    room.says("silence severity=warning for 5h")
    room.report(DISK, after=REPEAT)
    assert room.cards() == []
    assert room.alert(disk).version == 2
    room.due(HOURS)
    assert room.cards() == [(disk, "firing", outbox.REMINDER)]


def test_cards_that_wait_are_not_sent_any_more(room: Room) -> None:
    [disk, load] = room.report(DISK, LOAD)
    said = room.says("silence source=prod for 1h")
    assert "Careful: 1 critical alert is quiet now" in said
    assert (room.cards(), len(room.cards("cancelled"))) == ([], 2)
    room.due(HOURS)
    assert sorted(room.cards()) == [(disk, "firing", outbox.OTHER), (load, "firing", outbox.CRITICAL)]


def test_what_a_person_resolves_right_after_a_silence_is_told_as_firing_first(room: Room) -> None:
    [disk, load] = room.report(DISK, LOAD)
    room.sent()
    room.says("silence source=prod for 2h")
    room.says("silence end 1")
    room.says(f"resolve {load}")
    assert sorted(room.cards()) == [
        (disk, "firing", outbox.REMINDER),
        (load, "firing", outbox.RECOVERY),  # the reminder that the recovery waits for takes its place
        (load, "resolved", outbox.RECOVERY),
    ]


def test_what_does_not_match_any_more_is_told(room: Room) -> None:
    room.says("silence severity!=critical host=db-1 for 1h")
    [disk] = room.report(DISK)
    room.report(replace(DISK, severity="critical"), after=timedelta(minutes=1))
    assert room.cards() == [(disk, "firing", outbox.CRITICAL)]
    assert "It hid nothing." in room.due(HOURS)
    [number] = {number for number, *_rest in room.cards()}
    assert (number, len(room.cards())) == (disk, 1), "nothing is told twice"


def test_of_two_silences_the_second_goes_on_hiding(room: Room) -> None:
    room.says("silence host=db-1 for 1h")
    room.says("silence source=prod for 3h")
    [disk] = room.report(DISK)
    told = room.due(HOURS)
    assert f"#{disk} disk full: still firing, and silence 2 hides it" in told
    assert room.cards() == []
    assert f"#{disk} disk full: still firing, sent now" in room.due(2 * HOURS)


def test_a_silence_is_ended_early_and_the_conversation_that_made_it_hears_of_it(room: Room) -> None:
    room.says("silence host=db-1 for 3h")
    [disk] = room.report(DISK)
    known = {row["conversation"] for row in room.answers()}
    assert known == {HERE}
    said = room.says("silence end 1", place=ELSEWHERE)
    assert said.count("Silence 1 is over. 1 alert was hidden.") == 2
    assert {row["conversation"] for row in room.answers()} == {HERE, ELSEWHERE}
    assert room.cards() == [(disk, "firing", outbox.OTHER)]
    assert "Silence 1 was over at 2026-03-02 17:00:00 +08:00." in room.says("silence end 1")
    assert room.due(4 * HOURS) == ""


def test_the_clock_that_jumps_ends_it_by_what_it_shows_and_once(room: Room) -> None:
    room.says("silence host=db-1 for 1h")
    room.report(DISK)
    assert room.due(-5 * HOURS) == ""
    assert "Silence 1 is over" in room.due(30 * 24 * HOURS)
    assert room.due(-30 * 24 * HOURS) == ""
    assert room.due(60 * 24 * HOURS) == ""


def test_a_star_in_a_source_or_label_matches_and_what_matches_nothing_now_says_so(room: Room) -> None:
    room.report(DISK)
    assert "No open alert matches now." in room.says("silence source=pro*x for 1h")
    said = room.says("silence source=PRO* host=db* for 1h")
    assert "disk full" in said
    assert "No open alert" not in said
    assert "No open alert" not in room.says("silence host=db-1 for 1h"), "another one hides it already"


def test_a_resolved_alert_that_is_quiet_tells_nobody(room: Room) -> None:
    [disk] = room.report(DISK)
    room.sent()
    room.says(f"silence #{disk} for 1h")
    assert f"Alert #{disk} is resolved" in room.says(f"resolve {disk}")
    assert room.cards() == []
    assert f"#{disk} disk full: over" in room.due(HOURS)


REFUSED = {
    "silence for 2h": "everything at once is not possible",
    "silence host!=db-1 for 2h": "everything at once is not possible",
    "silence title~* for 2h": "everything at once is not possible",
    "silence source=* for 2h": "everything at once is not possible",
    "silence critical severity=warning for 2h": "No alert can be both severity=critical and severity=warning",
    "silence #1": "Say for how long",
    "silence host=db-1 for 30s": "a silence lasts from 1 minute to 30 days",
    "silence host=db-1 for 31d": "a silence lasts from 1 minute to 30 days",
    "silence host=db-1 for ever": "“ever” cannot be",
    "silence #99 for 2h": "There is no alert #99",
    "silence source=nope for 2h": "There is no alert source “nope”",
    "silence group=op for 2h": "Did you mean “ops”?",
    "silence end 7": "There is no silence 7",
    "silence end": "The number of a silence is missing",
}


def test_what_cannot_be_silenced_is_refused_in_a_sentence_and_nothing_stays(room: Room) -> None:
    room.report(DISK)
    for text, why in REFUSED.items():
        assert why in room.says(text), text
    assert "Nothing is silenced." in room.says("silence list")


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("静默 #1 2小时 因为 扩容", "19:00:00"),
        ("静默 host=db-1 30分钟", "17:30:00"),
        ("静默 级别=警告 1天", "03-03 17:00:00"),
        ("silence host = db-1 for 2h30m", "19:30:00"),
        ("silence warning source: prod for 90 minutes", "18:30:00"),
        ("silence {host=db-1, severity=warning} for 1d", "03-03 17:00:00"),
    ],
)
def test_a_silence_is_understood_in_many_words(room: Room, text: str, until: str) -> None:
    [disk] = room.report(DISK)
    room.says(text)
    assert room.alert(disk).silence_id == 1
    assert until in room.says("silence list")
    room.due(timedelta(days=2))
    language = "zh" if text.startswith("静默") else "en"
    assert room.answers()[-1]["language"] == language, "its end is told in the language it was made in"


def test_either_database_knows_what_is_quiet_who_is_told_and_which_cards_are_stale(database: Database) -> None:
    room = made(database)
    [disk] = room.report(DISK)
    room.says(f"alert {disk}")
    with database.write() as tx:
        tx.conn.execute(delivery.update().where(delivery.c.kind == "answer").values(state="sent", receipt="C1/9.9"))
    room.says("silence host=db-1 for 1h")
    assert f"Silence {room.alert(disk).silence_id} of Lin hides it until" in room.due(), "the card follows"
    assert "host=db-1" in room.says("silence list")
    assert "1 message waits" not in room.says("who warning host=db-2"), "the card that waited is not sent"
    assert "1 address" in room.says("who warning host=db-2")
    assert "Nobody would get" in room.says("who warning host=db-1")
    room.due(HOURS)
    assert room.cards() == [(disk, "firing", outbox.OTHER)]


def test_one_of_two_processes_ends_it_and_none_hides_what_the_end_does_not_see(database: Database) -> None:
    room = made(database)
    room.says("silence source=prod for 1h")
    room.report(DISK)
    room.now += HOURS

    def end(_number: int) -> None:
        with database.write() as tx:
            due.run(tx, room.rules, room.now)

    def intake(number: int) -> None:
        with database.write() as tx:
            accept(tx, room.source, [replace(LOAD, fingerprint=f"json:1:{number}")], room.now, REPEAT)

    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(end if number % 2 else intake, number) for number in range(12)]
        for one in done:
            one.result(20)
    assert sum("is over" in row["document"]["title"] for row in room.answers()) == 1
    told = [number for number, *_rest in room.cards()]
    assert (len(told), len(set(told))) == (7, 7), "each alert is told once, before or after"


def test_a_card_in_chat_follows_what_its_source_reports(room: Room) -> None:
    [disk] = room.report(DISK)
    room.says(f"alert {disk}")
    room.report(OVER)
    assert room.due() == "", "the card is on its way"
    with room.database.write() as tx:
        tx.conn.execute(delivery.update().where(delivery.c.kind == "answer").values(state="sent", receipt="C1/9.9"))
    assert "[RESOLVED]" in room.due()
    [changed] = [row for row in room.answers() if row["replaces"] == "C1/9.9"]
    assert (changed["conversation"], changed["person"], changed["language"]) == (HERE, LIN, "en")
    assert room.due(HOURS) == "", "and once"


def test_the_button_on_a_card_silences_its_alert_and_the_card_says_so(room: Room) -> None:
    [disk] = room.report(DISK)
    room.says(f"alert {disk}")
    tokens = {label: token for label, _says, _style, token in room.answers()[-1]["document"]["buttons"]}
    said = room.says(press=Press(tokens["Silence 2 h"], {}, "C1/1.1"))
    assert said.startswith(f"[WARNING] #{disk} disk full")
    assert f"Silence 1: #{disk} is quiet until" in said
    changed = room.answers()[-1]
    assert changed["replaces"] == "C1/1.1"
    tokens = {label: token for label, _says, _style, token in changed["document"]["buttons"]}
    assert "Silence 1 is over" in room.says(press=Press(tokens["End silence"], {}, "C1/1.1"))


# ---- who would get an alert


def test_who_says_who_gets_it_through_what_and_what_is_in_the_way(room: Room) -> None:
    with room.database.write() as tx:
        ops = room.source.group_id or 0
        ann, ben, idle = (seed.contact(tx, name) for name in ("Ann", "Ben", "Idle"))
        seed.method(tx, ann, "sms", "+8613800138000", state="pending")
        dead = seed.method(tx, ann, "email", "ann@example.com", state="disabled")
        contacts.change_method(tx, dead, reason='"mailbox gone"')
        seed.method(tx, ben, "email", "ben@example.com")
        groups.add_members(tx, ops, [ann, ben, idle])
        robot = contacts.method_by_id(tx, room.method)
        assert robot is not None
        seed.method(tx, ben, "dingtalk", robot.address)
        seed.group(tx, "empty")
    room.rules = replace(
        room.rules,
        missing={"email": ("SMTP_URL",)},
        months={"dingtalk": 100},
        budgets={"dingtalk": (Throttle(1, 60),)},
    )
    said = room.says("who critical source=prod host=db-1")
    assert "1 address would get such an alert" in said
    for words in (
        "not verified yet",
        "disabled: mailbox gone",
        "not set up here: SMTP_URL missing",
        "no address",
        "the same address as of Ben, which gets it once",
        "no obstacle",
    ):
        assert words in said, words
    room.report(DISK)
    with room.database.write() as tx:
        months.count(tx, "dingtalk", meters.month_of(room.now, room.rules.zone))
        key = seed.lane_of(tx, room.method)
        lanes.wake(tx, [key], room.now)
        sent = [int(room.now.timestamp() * 1000)]
        tx.conn.execute(lane.update().where(lane.c.key == key).values(sent=sent))
    said = room.says("who warning")
    assert "1 message waits before it; its limit is reached; free again in 1 minute" in said
    with room.database.write() as tx:
        opens = room.now + timedelta(minutes=10)
        tx.conn.execute(lane.update().where(lane.c.key == key).values(open_at=opens))
    assert "paused until 2026-03-02 17:10:00 +08:00" in room.says("who info group=ops")
    room.rules = replace(room.rules, months={"dingtalk": 1})
    assert "used up to the reserve for critical alerts" in room.says("who warning group=ops")
    assert "used up to the reserve" not in room.says("who critical group=ops")
    assert "the group has no members" in room.says("who critical group=empty")
    room.says("silence host=db-1 for 1h because moving")
    quiet = room.says("who critical host=db-1")
    assert "Nobody would get such an alert" in quiet
    assert "Silence 1 of Lin hides it until" in quiet
    assert "Nobody" not in room.says("who critical host=db-2")


def test_who_asks_for_what_it_needs(room: Room) -> None:
    assert "Say how severe the alert is" in room.says("who host=db-1")
    assert "There is no group “nope”" in room.says("who critical group=nope")
    assert "Say what the alert has" in room.says("who critical host!=db-1")
    assert "no severity (critical, warning, info)" in room.says("who fatal")
    assert "Zhang" in room.says("谁收到 严重")


def test_who_counts_only_what_goes_before_such_an_alert(room: Room) -> None:
    room.report(*(replace(DISK, fingerprint=f"json:1:{number}") for number in range(6)))
    assert "before it" not in room.says("who critical")
    assert "6 messages wait before it" in room.says("who warning")
    room.report(LOAD)
    assert "1 message waits before it" in room.says("who critical")
    assert "7 messages wait before it" in room.says("who info")


def test_a_digest_on_its_way_goes_before_every_alert(room: Room) -> None:
    room.report(*(replace(DISK, fingerprint=f"json:1:{number}") for number in range(3)))
    with room.database.write() as tx:
        digest = seed.owe(tx, seed.lane_of(tx, room.method), kind="digest", priority=outbox.TEST)
        tx.conn.execute(delivery.update().where(delivery.c.kind == "alert").values(state="merged", digest_id=digest))
    assert "3 messages wait before it" in room.says("who critical")
