"""Contacts of CloudMonitor and DAS, told as conversations with the real calls behind them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import func, select

from bot.sandbox.cloudmonitor import CmsContact, CmsRobot
from bot.sandbox.das import DasContact
from bot.sandbox.world import Drop, Page, Refused, Slow
from storage.schema import delivery
from tests.conftest import Clock
from tests.stories import lark_town, slack_town, wecom_town
from tests.stories.conftest import ADMIN, GROUP, LOOK_S, MEMBER, PATIENCE_S, ROBOT, ROBOT_URL, Town, words
from tests.stories.lark_town import LarkTown
from tests.stories.slack_town import SlackTown
from tests.stories.wecom_town import WITHOUT_APP, WeComTown

ALICE = CmsContact(
    "Alice",
    {"Mail": "alice@example.com", "SMS": "13900000000", "DingWebHook": ROBOT_URL},
    {"Mail": "OK", "SMS": "PENDING", "DingWebHook": "OK"},
    ("DBA", "ops"),
)
BOB = CmsContact("Bob", {"Mail": "bob@example.com"}, {"Mail": "PENDING"}, ("DBA",))
CAROL = CmsContact("Carol", {"SMS": "155*******"}, {})


def furnish(town: Town, *contacts: CmsContact) -> None:
    town.stand_ins.cloudmonitor.contacts = list(contacts or (ALICE, BOB, CAROL))
    town.stand_ins.cloudmonitor.group_notes = {"DBA": "database duty"}


READING = ("I am reading", "正在读取")


def synced(town: Town, command: str, *, group: bool = False) -> str:
    """Somebody asks for an import; what follows the word that it is being read."""
    town.quiet()
    after = town.world.last
    first = town.say(command, group=group)
    assert any(said in first for said in READING), first
    place = GROUP if group else town.chat(ADMIN)
    reading = town.expect(lambda event: event.kind == "say" and event.place == place, after=after)
    return town.answer(place, after=reading.seq)


def everything(town: Town) -> list[str]:
    """All that could have changed, as people see it; ids of messages and the links of buttons are others each time."""
    shown = [town.say(f"contact show {name}") for name in ("Alice", "Bob", "Carol")]
    shown += [town.say(f"group show {name}") for name in ("DBA", "ops")]
    return [re.sub(r"cb-[0-9a-f-]+|https://callboard\.\S+", "", answer) for answer in shown]


@pytest.mark.parametrize(
    ("sync", "preview", "version"),
    [
        ("sync cloudmonitor", "sync cloudmonitor preview", "2019-01-01"),
        ("同步云监控", "同步云监控 预览", "2019-01-01"),
        ("import CloudMonitor", "cloudmonitor import preview", "2024-03-30"),
    ],
)
def test_contacts_and_groups_come_over_once(
    make_town: Callable[..., Town], sync: str, preview: str, version: str
) -> None:
    town = make_town(cloudmonitor_api=version)
    furnish(town)
    if version == "2024-03-30":  # robots stand apart there
        town.stand_ins.cloudmonitor.robots = [CmsRobot("ops robot", ROBOT_URL, "SECsign")]
    previewed = synced(town, preview)
    assert "Alice" in previewed
    assert "no contact" in town.say("contact show Alice")

    first = synced(town, sync)
    for told in ("Alice", "alice@example.com", "+8613900000000", "Bob", "Carol", "155*******", "DBA", "ops"):
        assert told in first, told
    assert ("验证 Alice" if sync == "同步云监控" else "verify Alice") in first
    assert ROBOT not in first
    alice = town.say("contact show Alice")
    assert alice.count("not verified yet") == (3 if version == "2019-01-01" else 2), alice
    assert "activated there" in alice
    assert "not activated there" in alice
    assert "DBA, ops" in alice
    assert "155*******" in town.say("contact show Carol")
    shown = town.say("group show DBA")
    assert "Alice" in shown
    assert "Bob" in shown
    if version == "2024-03-30":
        assert "oapi.dingtalk.com" in town.say("contact show ops robot")
    town.quiet()
    assert not [event for event in town.world.events if event.kind in ("sms", "mail", "card")]

    before = everything(town)
    second = synced(town, "sync cloudmonitor")
    assert "0 added, 0 changed" in second
    assert everything(town) == before
    assert "+8613900000000" not in town.say("audit")


def test_trust_takes_what_is_activated_there_and_nothing_else(town: Town) -> None:
    furnish(town)
    synced(town, "sync cloudmonitor")
    assert "accepted" in synced(town, "sync cloudmonitor trust preview")
    assert "(active)" not in town.say("contact show Alice")
    assert "0 added, 1 changed" in synced(town, "sync cloudmonitor trust")
    shown = town.say("contact show Alice")
    assert shown.count("(active)") == 2  # mail and robot; the phone is PENDING
    assert "(active)" not in town.say("contact show Bob")
    town.alert(town.source("DBA"), {"title": "disk full"})
    town.expect(lambda event: event.kind == "mail" and event.place == "alice@example.com")


def test_what_was_changed_here_stays_and_what_is_gone_there_is_flagged(town: Town) -> None:
    furnish(town)
    synced(town, "sync cloudmonitor")
    town.say("contact edit Alice phone 13700137000")
    town.say("contact edit Bob name Robert")
    town.say("group note DBA ours now")
    town.say("group remove ops Alice")
    town.say("yes")
    moved = CmsContact("Bob", {"Mail": "robert@example.com"}, {"Mail": "OK"}, ("DBA",))
    furnish(town, ALICE, moved)
    town.stand_ins.cloudmonitor.group_notes = {"DBA": "night shift"}
    report = synced(town, "sync cloudmonitor")
    assert "13700137000" not in report.replace("137****7000", "")
    alice, robert = town.say("contact show Alice"), town.say("contact show Robert")
    assert "+8613700137000" in alice
    assert "+8613900000000" not in alice.partition("CloudMonitor")[0]
    assert "robert@example.com" in robert
    assert "bob@example.com" not in robert
    assert "ours now" in town.say("group show DBA")
    assert "Alice" not in town.say("group show ops")
    assert "not there any more" in town.say("contact show Carol")
    again = synced(town, "sync cloudmonitor")
    assert "0 added, 0 changed" in again
    assert "Carol" in again
    town.say("contact remove Carol")
    town.say("yes")
    furnish(town, ALICE, moved, CAROL)
    assert "removed here" in synced(town, "sync cloudmonitor")
    assert "no contact" in town.say("contact show Carol")


def test_a_failure_half_way_leaves_everything_as_it_was_and_is_told_in_words(town: Town) -> None:
    people = [CmsContact(f"P{n:03}", {"Mail": f"p{n}@example.com"}, {}, ("crowd",)) for n in range(120)]
    furnish(town, *people)
    town.world.fault("sms:DescribeContactList:2", Refused("Forbidden.RAM"))
    refused = synced(town, "sync cloudmonitor")
    assert "nothing is changed" in refused
    assert "cms:DescribeContactList" in refused
    assert "no contacts" in town.say("contact list")

    town.world.fault("sms:DescribeContactGroupList", Page(502), Drop(), forever=True)
    after = town.world.last
    assert "two minutes" in synced(town, "sync cloudmonitor")
    for _try in range(8):
        town.forward(seconds=30)
    told = town.expect(lambda event: event.kind == "say" and "nothing is changed" in words(event.body), after=after + 1)
    assert "CloudMonitor" in words(told.body)
    assert "no contacts" in town.say("contact list")

    town.world.fault("sms:DescribeContactGroupList")
    town.forward(minutes=10)
    first = synced(town, "sync cloudmonitor")
    assert "122 added" in first  # with the two groups
    assert "P119" not in first
    pages = [town.say("more") for _page in range(6)]
    assert "P119" in pages[-2]
    assert "more" not in pages[-1].lower()
    assert "no list" in town.say("more").lower()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("InvalidAccessKeyId.NotFound", "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        ("InvalidTimeStamp.Expired", "clock"),
        ("ParameterInvalid", "ParameterInvalid"),
        ("Throttling.User", "two minutes"),
    ],
)
def test_each_refusal_has_its_words(town: Town, code: str, told: str) -> None:
    town.world.fault("sms:DescribeContactList", Refused(code))
    assert told in synced(town, "sync cloudmonitor")


def test_members_are_refused_and_a_group_chat_sees_masked_values(town: Town) -> None:
    furnish(town)
    for command in ("sync cloudmonitor", "同步云监控 信任", "sync das rm-1"):
        answer = town.say(command, person=MEMBER)
        assert "admin" in answer or "管理员" in answer
    assert "no contacts" in town.say("contact list")
    aloud = synced(town, "sync cloudmonitor", group=True)
    assert "139****0000" in aloud
    assert "alice@" not in aloud
    assert "sync cloudmonitor" in town.say("sync cloudmonitor everything")


def test_the_contacts_of_a_das_instance_come_over_too(town: Town) -> None:
    town.stand_ins.das.contacts["rm-1"] = [
        DasContact("Alice", "13900000000", "alice@example.com", ROBOT_URL, ("DBA",)),
        DasContact("Dan", "139****1111"),
    ]
    town.stand_ins.das.groups["rm-1"] = {"DBA": ["Alice", "Bob"]}
    report = synced(town, "sync das rm-1")
    assert "3 added" in report  # two contacts and the group
    assert "Bob" in report  # in the group, and no contact
    alice = town.say("contact show Alice")
    assert alice.count("not verified yet") == 3
    assert "DAS rm-1" in alice
    assert re.search("0 added, 0 changed|新增 0，更改 0", synced(town, "同步DAS rm-1"))
    assert "InvalidParams" in synced(town, "sync das rm-unknown")
    assert "nothing to trust" in town.say("sync das rm-1 trust")
    assert "rm-uf6example000001" in town.say("sync das")


def test_contacts_are_read_by_themselves_and_admins_hear_of_changes_only(make_town: Callable[..., Town]) -> None:
    town = make_town(sync_every=21_600)
    furnish(town, BOB)

    def told(after: int) -> list[str]:
        town.service.watch.tick()
        town.quiet()
        return [words(event.body) for event in town.world.said(town.chat(ADMIN)) if event.seq > after]

    town.quiet()
    assert any("2 added" in text for text in told(0))
    after = town.world.last
    town.forward(hours=5)
    assert told(after) == []
    town.close()
    town.open()
    town.forward(hours=1, seconds=1)
    assert told(after) == []  # read again, and nothing is new
    assert "Bob" in town.say("contact list")
    furnish(town, BOB, ALICE)
    after = town.world.last
    town.forward(hours=6, seconds=1)
    assert any("Alice" in text for text in told(after))
    after = town.world.last
    town.world.fault("sms:DescribeContactList", Refused("NoPermission"), forever=True)
    for _time in range(3):
        town.forward(hours=6, seconds=1)
        told(after)
    failures = [text for text in told(after) if "nothing is changed" in text]
    assert len(failures) == 1, failures  # the third one is on the next day


# ---- while it is read


Built = TypeVar("Built", bound=Town)


@pytest.fixture
def build(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Any]]:
    """A town of any platform, by its class."""
    built: list[Town] = []

    def make(town: type[Built], **settings: Any) -> Built:
        made = town(tmp_path, clock, **settings)
        built.append(made)
        furnish(made)
        return made

    yield make
    for one in built:
        one.end()


def held(town: Town) -> threading.Event:
    """CloudMonitor answers when this is set."""
    released = threading.Event()
    town.world.fault("sms:DescribeContactList", Slow(until=released))
    return released


def noted(town: Town) -> None:
    """Returns when the service knows how the platform calls what it said."""
    deadline = time.monotonic() + PATIENCE_S
    named = select(func.count()).where(delivery.c.batch_id.is_not(None), delivery.c.receipt != "")
    while time.monotonic() < deadline:
        with town.service.database.read() as tx:
            if tx.conn.scalar(named):
                return
        time.sleep(LOOK_S)
    raise AssertionError("nothing was said that has a name")


@pytest.mark.parametrize(
    ("command", "reading", "result"),
    [
        ("sync cloudmonitor", "I am reading CloudMonitor; the result follows here.", "CloudMonitor: 5 added"),
        ("同步云监控 预览", "正在读取云监控，结果稍后在这里给出。", "云监控预览：新增 5"),
    ],
)
def test_it_is_said_at_once_that_it_is_read(town: Town, command: str, reading: str, result: str) -> None:
    furnish(town)
    released = held(town)
    assert reading in town.say(command)
    after = town.world.last
    released.set()
    assert result in town.answer(town.chat(ADMIN), after=after)


def test_of_das_as_well(town: Town) -> None:
    town.stand_ins.das.contacts["rm-1"] = [DasContact("Dan", "13900000000")]
    assert "I am reading DAS rm-1" in town.say("sync das rm-1")
    assert "正在读取DAS 实例 rm-1" in town.say("同步DAS rm-1")


def test_in_lark_the_result_takes_the_place_of_that(build: Callable[..., LarkTown]) -> None:
    lark = build(LarkTown)
    lark.forward(seconds=1)
    after, released = lark.world.last, held(lark)
    assert "I am reading CloudMonitor" in lark.tell("sync cloudmonitor", group=True)
    noted(lark)
    released.set()
    lark.forward(seconds=1)
    (reading,) = [event for event in lark.world.said(lark_town.CHAT) if event.seq > after]
    lark.expect(lambda event: event.kind == "update" and event.ref == reading.ref, after=after)
    assert "5 added" in lark.now_shows(reading)
    assert len(lark.told(lark_town.CHAT, after)) == 1


def test_in_slack_too_and_what_is_in_the_way_is_told_there(build: Callable[..., SlackTown]) -> None:
    slack = build(SlackTown)
    slack.world.fault("sms:DescribeContactGroupList", Refused("Forbidden.RAM"))
    slack.settle()
    after, released = slack.world.last, held(slack)
    reading = slack.card("sync cloudmonitor", way="mention")
    assert "I am reading CloudMonitor" in words(reading.body)
    noted(slack)
    released.set()
    slack.settle()
    assert "nothing is changed" in slack.now_shows(reading)
    assert len(slack.told(slack_town.CHANNEL, after)) == 1


def test_who_asked_alone_gets_the_result_alone_whoever_speaks_meanwhile(build: Callable[..., SlackTown]) -> None:
    slack = build(SlackTown)
    slack.settle()
    after, released = slack.world.last, held(slack)
    slack.card("sync cloudmonitor", way="command")
    slack._typed("help", slack_town.WANG, "command")
    released.set()
    told = slack.whispered(slack_town.LIN, after)
    assert "I am reading CloudMonitor" in told[0]
    assert "5 added" in told[1]
    assert not [one for one in slack.whispered(slack_town.WANG, after) if "CloudMonitor" in one]


@pytest.mark.parametrize("settings", [{}, WITHOUT_APP], ids=["with the app", "robot only"])
@pytest.mark.parametrize("trouble", [False, True], ids=["at once", "at the second try"])
def test_wecom_s_robot_has_one_answer_and_keeps_it_for_the_result(
    build: Callable[..., WeComTown], settings: dict[str, str], trouble: bool
) -> None:
    wecom = build(WeComTown, **settings)
    released = threading.Event()
    # Held back, so that the result does not come before the answer.
    fault = Refused("Throttling.User") if trouble else Slow(until=released)
    wecom.world.fault("sms:DescribeContactList", fault)
    after = wecom.world.last
    assert "I am reading CloudMonitor" in wecom.said("sync cloudmonitor", "group")
    released.set()
    for _try in range(4):
        wecom.forward(seconds=20)
    wecom.quiet()
    told = [event for event in wecom.world.after(after) if event.kind == "say"]
    assert [event.place for event in told] == [wecom_town.GROUP] * 2
    assert "5 added" in words(told[1].body)
    assert not wecom.world.refusals("wecom")
    assert "I am reading" in wecom.said("sync cloudmonitor", "single")
