"""DAS's stand-in, and CloudMonitor's paths: as strict as the real ones are known to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.aliyun import AccessKey, AliyunError, call, get
from bot.http import Http
from bot.sandbox.cloudmonitor import CmsContact, CmsRobot
from bot.sandbox.das import VERSION, DasContact, DasEvent
from bot.sandbox.server import StandIns
from tests.bot.sandbox.conftest import Clock

KEY = AccessKey("LTAIkey", "key secret")


@pytest.fixture
def client() -> Iterator[Http]:
    built = Http()
    yield built
    built.close()


@pytest.fixture
def das(stand_ins: StandIns) -> StandIns:
    stand_ins.das.contacts["rm-1"] = [DasContact("Ann", "13900000000", groups=("DBA",))]
    stand_ins.das.groups["rm-1"] = {"DBA": ["Ann", "Bob"]}
    stand_ins.das.events["rm-1"] = [
        DasEvent("s1", 1_000, "Notice"),
        DasEvent("s2", 2_000, "Warn", {"eventType": "SQLThrottle"}, {"taskType": "SQL_OPTIMIZE"}),
        DasEvent("s3", 3_000, "Critical"),
    ]
    return stand_ins


def asked(stand_ins: StandIns, client: Http, clock: Clock, action: str, version: str = VERSION, **query: str) -> Any:
    now = datetime.fromtimestamp(clock(), UTC)
    return call(client, stand_ins.url, action, version, query, KEY, now)


def spans(answer: Any) -> list[str]:
    return [json.loads(one)["SpanId"] for one in answer["Data"]["List"]["T"]]


def test_events_come_by_time_level_and_page(das: StandIns, client: Http, clock: Clock) -> None:
    span = {"InstanceId": "rm-1", "StartTime": "1000", "EndTime": "2500"}
    answer = asked(das, client, clock, "GetAutonomousNotifyEventsInRange", **span)
    assert (answer["Code"], answer["Success"], answer["Data"]["Total"]) == ("200", "true", 2)
    assert spans(answer) == ["s1", "s2"]
    worse = asked(das, client, clock, "GetAutonomousNotifyEventsInRange", **span, MinLevel="Warn")
    assert spans(worse) == ["s2"]
    second = asked(das, client, clock, "GetAutonomousNotifyEventsInRange", **span, PageOffset="2", PageSize="1")
    assert spans(second) == ["s2"]
    details = asked(das, client, clock, "GetAutonomousNotifyEventContent", InstanceId="rm-1", SpanId="s2")
    assert details["Data"] == '{\\"taskType\\": \\"SQL_OPTIMIZE\\"}'


def test_a_subscription_has_the_documented_form(das: StandIns, client: Http, clock: Clock) -> None:
    data = asked(das, client, clock, "GetEventSubscription", InstanceId="rm-1")["Data"]
    assert data["contacts"][0]["groups"] == ["DBA"]
    assert json.loads(data["contactGroups"][0]["contacts"]) == ["Ann", "Bob"]


@pytest.mark.parametrize(
    ("action", "query"),
    [
        ("GetEventSubscription", {"InstanceId": "rm-2"}),
        ("GetEventSubscription", {}),
        ("GetAutonomousNotifyEventsInRange", {"InstanceId": "rm-1", "StartTime": "now", "EndTime": "2"}),
        ("GetAutonomousNotifyEventsInRange", {"InstanceId": "rm-1", "StartTime": "3", "EndTime": "2"}),
        (
            "GetAutonomousNotifyEventsInRange",
            {"InstanceId": "rm-1", "StartTime": "1", "EndTime": "2", "MinLevel": "loud"},
        ),
        (
            "GetAutonomousNotifyEventsInRange",
            {"InstanceId": "rm-1", "StartTime": "1", "EndTime": "2", "PageOffset": "0"},
        ),
        ("GetAutonomousNotifyEventContent", {"InstanceId": "rm-1", "SpanId": "s1"}),
    ],
)
def test_bad_parameters_are_refused(
    das: StandIns, client: Http, clock: Clock, action: str, query: dict[str, str]
) -> None:
    with pytest.raises(AliyunError) as refused:
        asked(das, client, clock, action, **query)
    assert (refused.value.code, refused.value.status) == ("InvalidParams", 400)


def test_the_newer_api_of_cloudmonitor_has_paths_ids_and_flags(stand_ins: StandIns, client: Http, clock: Clock) -> None:
    now = datetime.fromtimestamp(clock(), UTC)
    stand_ins.cloudmonitor.contacts = [
        CmsContact("Ann", {"Mail": "ann@example.com", "SMS": "139****0000"}, {"Mail": "OK"}, ("DBA",)),
        CmsContact("Bob", {}, {}, ("DBA",)),
    ]
    stand_ins.cloudmonitor.robots = [CmsRobot("ops", "https://oapi.dingtalk.com/robot/send?access_token=x", "SEC1")]

    def read(path: str, action: str, version: str = "2024-03-30", **query: str) -> dict[str, Any]:
        return get(client, stand_ins.url, path, action, version, query, KEY, now)

    first = read("/contact", "ListContacts", pageNumber="1", pageSize="1")
    (ann,) = first["contacts"]
    assert (first["total"], ann["contactId"], ann["emailVerify"], ann["phoneVerify"]) == (2, "c-1", True, False)
    assert "Code" not in first
    assert read("/contactGroups", "ListContactGroups")["contactGroups"][0]["contactIds"] == ["c-1", "c-2"]
    assert read("/robots", "ListAlertRobots")["robots"][0]["robotSignKey"] == "SEC1"
    for path, action, more, code in (
        ("/contact", "ListContacts", {"pageSize": "101"}, "ParameterInvalid"),
        ("/contact", "ListAlertRobots", {}, "InvalidAction.NotFound"),
        ("/contact", "ListContacts", {"version": "2019-01-01"}, "InvalidAction.NotFound"),
    ):
        with pytest.raises(AliyunError) as refused:
            read(path, action, **more)
        assert refused.value.code == code
