"""From a report of a monitoring system to the card in the group, told as stories."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import requests

from bot.sandbox.world import Drop, Page, Refused
from storage import people
from tests.stories.conftest import ADMIN, GROUP, MEMBER, ROBOT, ROBOT_SECRET, ROBOT_URL, Town, words

KEYWORD = "DAS Alarm"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "sources"


def with_robot(town: Town, *more: str) -> str:
    """A group dba with the DingTalk robot (and what else was added) in it, and a source; the path of its URL."""
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    town.say("group create dba members " + ", ".join(("Team", *more)))
    return town.source("dba")


def cards(town: Town, after: int = 0) -> list[str]:
    return [words(event.body) for event in town.world.cards("dingtalk") if event.seq > after]


def test_an_alert_becomes_a_card_and_its_end_another(town: Town) -> None:
    path = with_robot(town)
    after = town.world.last
    alert = {
        "title": "disk full",
        "severity": "critical",
        "description": "only 3 % left",
        "labels": {"instance": "db-7"},
        "link": "https://runbook.example/42",
        "starts_at": "2026-03-02T08:58:00Z",
    }
    answer = town.alert(path, alert)
    assert answer.json() == {"accepted": 1, "alerts": [1]}
    town.quiet()
    (card,) = cards(town, after)
    for part in (KEYWORD, "CRITICAL", "#1", "disk full", "only 3 % left", "db-7", "2026-03-02 16:58", "dba", "runbook"):
        assert part in card, part
    town.alert(path, alert | {"status": "resolved"})
    town.quiet()
    recovery = cards(town, after)[1]
    for part in (KEYWORD, "RESOLVED", "#1", "disk full"):
        assert part in recovery, part


def test_the_keyword_is_in_title_and_text_of_every_message_to_a_robot(town: Town) -> None:
    path = with_robot(town)
    town.alert(path, {"title": "a"})
    town.alert(path, {"title": "a", "status": "resolved"})
    town.alert(path, {"title": "b", "link": "https://runbook.example/1"})
    town.say("test Team")
    town.quiet()
    sent = town.world.cards("dingtalk")
    assert len(sent) == 5, "code, firing, resolved, firing with links, test"
    for event in sent:
        inner = event.body[event.body["msgtype"]]
        assert KEYWORD in inner["title"]
        assert KEYWORD in inner["text"]
    assert not town.world.refusals("dingtalk")


def test_a_repeat_is_counted_and_sent_again_only_after_the_repeat_interval(town: Town) -> None:
    path = with_robot(town)
    after = town.world.last
    for _report in range(3):
        assert town.alert(path, {"title": "disk full"}).json() == {"accepted": 1, "alerts": [1]}
    town.quiet()
    assert len(cards(town, after)) == 1
    town.forward(hours=4, seconds=1)
    town.alert(path, {"title": "disk full"})
    town.quiet()
    assert len(cards(town, after)) == 2
    assert "3 times" in town.say("alert 1")


def test_a_worse_severity_is_sent_and_a_new_incident_gets_a_new_number(town: Town) -> None:
    path = with_robot(town)
    after = town.world.last
    town.alert(path, {"title": "disk", "fingerprint": "f"})
    town.alert(path, {"title": "disk", "fingerprint": "f", "severity": "critical"})
    town.alert(path, {"title": "disk", "fingerprint": "f", "status": "resolved"})
    assert town.alert(path, {"title": "disk", "fingerprint": "f"}).json()["alerts"] == [2]
    town.quiet()
    told = cards(town, after)
    assert [("WARNING" in c, "CRITICAL" in c, "RESOLVED" in c) for c in told] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (True, False, False),
    ]


def test_reports_of_alertmanager_and_cloudmonitor(town: Town) -> None:
    with_robot(town)
    am = town.source("dba", "alertmanager", "am")
    cm = town.source("dba", "cloudmonitor", "cm")
    after = town.world.last
    report = {
        "version": "4",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": name, "severity": "critical"},
                "annotations": {},
                "startsAt": "2026-03-02T08:58:00Z",
            }
            for name in ("DiskFull", "CpuHot")
        ],
    }
    assert town.alert(am, report).json() == {"accepted": 2, "alerts": [1, 2]}
    form = (FIXTURES / "cloudmonitor" / "threshold.form").read_text().strip()
    answer = requests.post(
        town.url + cm, data=form, headers={"Content-Type": "application/x-www-form-urlencoded"}, timeout=20
    )
    assert answer.json() == {"accepted": 1, "alerts": [3]}
    town.quiet()
    told = "".join(cards(town, after))
    for part in ("DiskFull", "CpuHot", "RDS CPU 使用率", "orders-primary"):
        assert part in told


def test_a_wrong_body_is_answered_with_the_path_of_the_wrong_field(town: Town) -> None:
    url = with_robot(town)
    wrong: tuple[tuple[Any, str], ...] = (
        ({"severity": "critical"}, "$.title"),
        ([{"title": "a"}, {"title": ""}], "$[1].title"),
        ({"alerts": [{"title": "a", "severity": "awful"}]}, "$.alerts[0].severity"),
        ({"title": "a", "starts_at": "yesterday"}, "$.starts_at"),
        (17, "$"),
    )
    for body, path in wrong:
        answer = town.alert(url, body)
        assert (answer.status_code, answer.json()["path"]) == (400, path)
        assert path in answer.json()["error"]
    assert "No alert is open" in town.say("alerts")


def test_unknown_tokens_other_kinds_and_huge_bodies_are_refused(town: Town) -> None:
    path = with_robot(town)
    assert town.alert("/alerts/json/no-such-token", {"title": "a"}).status_code == 401
    assert town.alert(path.replace("/json/", "/alertmanager/"), {"alerts": []}).status_code == 401
    assert town.alert(path.replace("/json/", "/nonsense/"), {"alerts": []}).status_code == 401
    assert town.alert(path, {"title": "a", "description": "x" * (1024 * 1024)}).status_code == 413
    assert requests.get(town.url + path, timeout=20).status_code == 405
    town.say("source rotate src")
    assert town.alert(path, {"title": "a"}).status_code == 401


def test_every_channel_gets_its_card(town: Town) -> None:
    said = {
        "WeCom": ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=wecomkey01", "wecom-group"),
        "Larkie": ("https://open.feishu.cn/open-apis/bot/v2/hook/larkhook01 secret larksecret01", "lark-group"),
        "Slacker": ("https://hooks.slack.com/services/T0001/B0001/slackhook01", "slack-group"),
        "Ann": ("13800138000", "+8613800138000"),
        "Bob": ("bob@example.com", "bob@example.com"),
    }
    for name, (address, place) in said.items():
        town.say(f"contact add {name} {address}")
        town.say(town.code_for(place))
    town.say("contact add Arms https://alerts.aliyuncs.com/api/v1/integrations/custom/armskey01")
    event = town.expect(lambda e: e.kind == "alert")
    found = re.search(r"(?<!\d)\d{6}(?!\d)", event.body["message"])
    assert found
    town.say(found[0])
    town.forward(seconds=5)
    after = town.world.last
    path = with_robot(town, *said, "Arms")
    town.forward(seconds=5)
    town.alert(path, {"title": "disk full", "severity": "critical", "labels": {"instance": "db-7"}})
    for kind, place in (("card", GROUP), ("card", "wecom-group"), ("card", "lark-group"), ("card", "slack-group"),
                        ("sms", "+8613800138000"), ("mail", "bob@example.com"), ("alert", "armskey01")):  # fmt: skip
        event = town.expect(
            lambda e, k=kind, p=place: e.kind == k and p in (e.place, e.robot) and "disk full" in words(e.body),  # type: ignore[misc]
            after=after,
        )
        assert "1" in words(event.body)
        assert "CRITICAL" in words(event.body).upper()
    assert "sent" in town.say("alert 1")


def test_acknowledge_note_and_resolve_in_chat(town: Town) -> None:
    path = with_robot(town)
    town.alert(path, {"title": "disk full"})
    assert "Wang has alert #1" in town.say("ack #1", person=MEMBER, group=True)
    assert "Wang" in town.say("ack 1")
    assert "Noted" in town.say("note 1 log files, cleaned up", person=MEMBER)
    shown = town.say("alert 1")
    assert "Wang" in shown
    assert "log files, cleaned up" in shown
    assert "Nobody has" in town.say("unack 1")
    after = town.world.last
    assert "resolved" in town.say("resolve 1")
    town.quiet()
    assert "RESOLVED" in cards(town, after)[0]
    assert "over already" in town.say("ack 1")
    assert "No alert is open" in town.say("alerts")
    assert "disk full" in town.say("alerts all")
    assert "disk full" in town.say("alerts dba all")
    assert "no alert #99" in town.say("alert 99")


def test_a_test_reports_every_channel(town: Town) -> None:
    with_robot(town)
    town.say("contact add Ann 13800138000 ann@example.com")
    town.say(town.code_for("ann@example.com"))
    town.say("group add dba Ann")
    town.world.fault("mail:ann@example.com", Refused(550), forever=True)
    after = town.world.last
    assert "2 channels" in town.say("test dba")
    report = town.expect(lambda e: e.kind == "say" and "1 of 2 arrived" in words(e.body), after=after)
    assert "failed" in words(report.body)
    assert "sent" in words(report.body)
    assert "138****8000 gets nothing, it is not verified yet" in words(report.body)
    assert "Only an admin" in town.say("test dba", person=MEMBER)


def test_a_temporary_refusal_is_tried_again_soon_and_often(town: Town) -> None:
    path = with_robot(town)
    after = town.world.last
    town.world.fault(f"dingtalk:{ROBOT}", Refused(-1), Page(502), Drop())
    town.alert(path, {"title": "disk full"})
    town.quiet()
    assert not cards(town, after)
    assert "waiting" in town.say("alert 1")
    for wait_s in (6, 18, 36):
        town.forward(seconds=wait_s)
        town.quiet()
    assert len(cards(town, after)) == 1
    assert "sent" in town.say("deliveries")


def test_a_dead_robot_is_disabled_and_its_owner_and_the_admins_are_told(town: Town) -> None:
    path = with_robot(town)
    town.say("contact edit Team dingtalk:dingcorp01/member01")
    town.world.remove_robot("dingtalk", ROBOT)
    after = town.world.last
    town.alert(path, {"title": "disk full"})
    for person in (ADMIN, MEMBER):
        told = town.expect(lambda e, p=person: e.kind == "say" and e.person == p, after=after)  # type: ignore[misc]
        assert "is disabled" in words(told.body)
        assert "verify Team" in words(told.body)
    town.quiet()
    assert "disabled" in town.say("contact show Team")
    assert "failed" in town.say("deliveries failed")
    assert "verified first" in town.say("retry " + failed_number(town))
    after = town.world.last
    town.alert(path, {"title": "another"})
    town.quiet()
    assert not [e for e in town.world.after(after) if e.kind == "refused"], "nothing is sent to a disabled method"


def failed_number(town: Town) -> str:
    found = re.search(r"\*\*(\d+)\*\*", town.say("deliveries failed"))
    assert found
    return found[1]


def test_a_dead_letter_is_sent_again_on_request(town: Town) -> None:
    path = with_robot(town)
    town.world.fault(f"dingtalk:{ROBOT}", Refused(-1), forever=True)
    after = town.world.last
    town.alert(path, {"title": "disk full"})
    for _try in range(60):
        town.forward(minutes=31)
        town.quiet()
    town.world.fault(f"dingtalk:{ROBOT}")
    number = failed_number(town)
    assert "sent again" in town.say(f"retry {number}")
    town.quiet()
    assert len(cards(town, after)) == 1
    assert "no dead letter" in town.say(f"retry {number}")


def test_the_limit_of_a_robot_is_kept_and_nothing_is_lost(town: Town) -> None:
    path = with_robot(town)
    town.forward(seconds=62)
    after = town.world.last
    town.alert(path, [{"title": f"alert {number:02d}"} for number in range(40)])
    town.quiet()
    assert len(cards(town, after)) <= 20
    for _minute in range(3):
        town.forward(seconds=62)
        town.quiet()
    told = "".join(cards(town, after))
    assert all(f"alert {number:02d}" in told for number in range(40))
    assert not town.world.refusals("dingtalk")


def test_hostile_text_stays_text(town: Town) -> None:
    path = with_robot(town)
    after = town.world.last
    hostile = "<@all> @all [x](javascript:alert(1)) ![p](http://evil/p.png) **b** <font color=red>f</font> # h\n> q"
    assert town.alert(path, {"title": hostile, "description": hostile, "labels": {"a": hostile}}).status_code == 200
    town.quiet()
    (event,) = [e for e in town.world.cards("dingtalk") if e.seq > after]
    text = event.body[event.body["msgtype"]]["text"]
    for active in ("](javascript", "![p](", "<font color=red>", "\n> q", "<@all>"):
        assert active not in text, active
    assert "at" not in event.body


def test_a_source_in_a_group_is_answered_in_private(town: Town) -> None:
    with_robot(town)
    after = town.world.last
    answer = town.say("source add prom alertmanager to dba", group=True)
    assert "/alerts/" not in answer
    private = town.expect(
        lambda e: e.kind == "say" and e.person == ADMIN and "/alerts/alertmanager/" in words(e.body), after=after
    )
    assert private.place != GROUP


def test_who_the_bot_cannot_write_to_is_asked_to_come_one_to_one(town: Town) -> None:
    with_robot(town)
    town.world.remove_person("dingtalk", ADMIN)
    town.world.add_person("dingtalk", ADMIN, "Lin", "dingcorp01", reachable=False)
    after = town.world.last
    town.post("source add prom alertmanager to dba", group=True)
    for _try in range(12):
        town.forward(minutes=10)
        town.quiet()
    told = [words(e.body) for e in town.world.said(GROUP) if e.seq > after]
    assert not any("/alerts/" in one for one in told)
    assert any("one-to-one" in one for one in told), told


def test_what_is_stored_of_webhooks_is_not_readable(town: Town) -> None:
    path = with_robot(town)
    town.alert(path, {"title": "disk full"})
    town.quiet()
    stored = b"".join(file.read_bytes() for file in town.folder.iterdir() if file.is_file())
    for secret in (ROBOT, ROBOT_SECRET, path.rsplit("/", 1)[1]):
        assert secret.encode() not in stored
    with town.service.database.read() as tx:
        assert people.by_id(tx, f"dingtalk:dingcorp01/{ADMIN}") is not None
    assert json.dumps(ROBOT_URL)[1:-1].encode() not in stored


def test_what_a_person_resolved_and_is_still_reported_comes_back_after_the_repeat_interval(town: Town) -> None:
    path = with_robot(town)
    report = {"title": "disk full", "starts_at": "2026-03-02T08:58:00Z"}
    town.alert(path, report)
    town.say("resolve 1")
    assert town.alert(path, report).json()["alerts"] == [1], "a copy of the same report is old news"
    assert "No alert is open" in town.say("alerts")
    town.forward(hours=4, seconds=1)
    assert town.alert(path, report).json()["alerts"] == [2]
