"""What people who saw it for the first time stumbled over, so that nobody does again."""

from __future__ import annotations

from bot.sandbox.world import Refused
from tests.stories.conftest import ADMIN, GROUP, MEMBER, Town, words


def test_a_private_answer_that_fails_can_be_asked_for_again(town: Town) -> None:
    town.say("group create dba")
    town.world.fault("dingtalk:/v1.0/robot/oToMessages/batchSend", Refused("chatbotId.notAllow.sendOTO"))
    after = town.world.last
    town.post("source add prom json to dba", group=True)
    town.quiet()
    told = [words(event.body) for event in town.world.said(GROUP) if event.seq > after]
    assert any("one-to-one" in one for one in told)
    assert "/alerts/json/" in town.say("source add prom json to dba")
    assert "already" in town.say("source add prom alertmanager to dba")


def test_an_address_may_stand_in_the_middle_of_a_name(town: Town) -> None:
    assert "Zhang Wei" in town.say("contact add Zhang 13800138000 Wei")
    assert "“With digits”" in town.say("contact add name With 13900139000 digits"), "name is a key"


def test_no_error_repeats_the_address_of_a_webhook(town: Town) -> None:
    for text in (
        "contact add please use this, https://oapi.dingtalk.com/robot/send?access_token=topsecret, thanks",
        "contact add A, <https://oapi.dingtalk.com/robot/send?access_token=topsecret secret s>",
        "contact show https://oapi.dingtalk.com/robot/send?access_token=topsecret",
        "group create https://oapi.dingtalk.com/robot/send?access_token=topsecret, b",
    ):
        assert "topsecret" not in town.say(text), text


def test_several_alerts_at_once_or_none(town: Town) -> None:
    town.say("group create dba")
    path = town.source("dba")
    town.alert(path, [{"title": f"alert {number}"} for number in range(4)])
    answer = town.say("ack 1, 2, 3", person=MEMBER)
    assert all(f"#{number}" in answer for number in (1, 2, 3))
    assert "no alert #9" in town.say("resolve 1 9")
    assert "4 open alerts" in town.say("alerts")
    town.say("resolve 1、2、3、4")
    assert "No alert is open" in town.say("alerts")


def test_a_typo_after_me_renames_nobody(town: Town) -> None:
    assert "no address" in town.say("me help")
    town.say("me 13800138000")
    assert "no address" in town.say("me hello")
    assert "Linda" in town.say("me name Linda")
    assert "Linda" in town.say("me")


def test_a_question_stays_open_while_something_else_is_asked(town: Town) -> None:
    town.say("contact add Ann")
    town.say("contact remove Ann")
    town.say("status")
    assert "removed" in town.say("yes")


def test_members_are_counted_once(town: Town) -> None:
    town.say("contact add Ann")
    town.say("contact add Bob")
    assert "1 member" in town.say("group create dba members Ann, Ann, ann")
    assert "1 member added" in town.say("group add dba Ann, Bob")


def test_a_group_of_several_words_can_be_noted_and_a_wrong_kind_is_named(town: Town) -> None:
    town.say("group create night crew")
    assert "call the boss" in town.say("group note night crew call the boss")
    assert "call the boss" in town.say("group show night crew")
    assert "“zabbix”" in town.say("source add x zabbix to night crew")


def test_part_of_a_number_is_searched_for_and_not_refused(town: Town) -> None:
    town.say("contact add Ann")
    assert "not a valid" not in town.say("contact list 1390013")


def test_cards_speak_the_language_of_who_proved_the_address(town: Town) -> None:
    town.say("添加联系人 安 13800138000")
    town.say(f"验证码 {town.code_for('+8613800138000')}")
    town.say("contact add Bob bob@example.com")
    town.say(f"code {town.code_for('bob@example.com')}")
    town.say("group create dba members Bob")
    path = town.source("dba")
    town.alert(path, {"title": "disk full", "severity": "critical"})
    mail = town.expect(lambda e: e.kind == "mail" and "disk full" in e.body["subject"])
    assert "CRITICAL" in mail.body["subject"]


def test_what_waits_for_a_limit_says_so(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    town.say(town.code_for("+8613800138000"))
    town.say("group create dba members Ann")
    path = town.source("dba")
    town.alert(path, [{"title": f"alert {number}"} for number in range(8)])
    town.quiet()
    assert len(town.world.sms("+8613800138000")) == 6, "one code and five alerts"
    assert "limit of this address" in town.say("deliveries Ann")


def test_annotations_are_shown_and_their_links_are_links(town: Town) -> None:
    town.say("contact add Bob bob@example.com")
    town.say(town.code_for("bob@example.com"))
    town.say("group create dba members Bob")
    annotations = {"summary": "nearly full", "runbook_url": "https://runbook.example/2", "owner": "dba"}
    town.alert(town.source("dba"), {"title": "disk", "annotations": annotations})
    mail = town.expect(lambda e: e.kind == "mail" and "disk" in e.body["subject"])
    for part in ("nearly full", "https://runbook.example/2", "owner"):
        assert part in mail.body["plain"], part


def test_a_stranger_is_answered_in_their_language(town: Town) -> None:
    after = town.world.last
    town.client.type(ADMIN, "联系人列表", group=GROUP, staff_id=False)
    assert "do not know" not in town.answer(GROUP, after=after)
