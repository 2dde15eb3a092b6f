"""Housekeeping in chat: admins, the audit log, the language, help, sources and the delivery log."""

from __future__ import annotations

from tests.stories.conftest import ADMIN, MEMBER, OTHER, Town


def test_an_admin_makes_another_and_takes_it_back(town: Town) -> None:
    assert "Only an admin" in town.say("admin add @Zhao", person=MEMBER, group=True, others=(OTHER,))
    assert "is an admin now" in town.say("admin add @Wang", group=True, others=(MEMBER,))
    assert "is created" in town.say("group create dba", person=MEMBER)
    listed = town.say("管理员列表")
    assert "dingtalk:dingcorp01/member01" in listed
    assert "dingtalk:dingcorp01/admin01" in listed
    assert "no admin any more" in town.say("admin remove dingtalk:dingcorp01/member01")
    assert "Only an admin" in town.say("group create ops", person=MEMBER)
    assert "ADMINS" in town.say("admin remove dingtalk:dingcorp01/admin01"), "the operator's choice stays"
    assert "Mention" in town.say("admin add")


def test_every_change_is_in_the_audit_log_with_secrets_masked(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    town.say(town.code_for("+8613800138000"))
    town.say("group create dba members Ann")
    path = town.source("dba")
    town.say("contact remove Ann")
    town.say("yes")
    log = town.say("audit")
    for part in (
        "contact added",
        "address verified",
        "group created",
        "source added",
        "contact removed",
        "dingtalk:dingcorp01/admin01",
    ):
        assert part in log, part
    chinese = town.say("审计")
    for part in ("添加联系人", "地址验证通过", "创建组", "添加告警源", "删除联系人", "成员：Ann"):
        assert part in chinese, part
    for stored in ("contact add", "verify", "members", "addresses", "state"):
        assert stored not in chinese, stored
    assert path.rsplit("/", 1)[1] not in log
    assert "13800138000" not in log
    assert "Only an admin" in town.say("审计", person=MEMBER) or "管理员" in town.say("审计", person=MEMBER)


def test_the_language_of_a_conversation(town: Town) -> None:
    town.say("language zh", group=True)
    assert "没有" in town.say("000000x", group=True) or "帮助" in town.say("000000x", group=True)
    assert "English" in town.say("language en", group=True)
    assert "help" in town.say("???!", group=True)
    assert "zh" in town.say("language klingon")


def test_status_says_who_i_am_and_what_is_missing(town: Town) -> None:
    member = town.say("status", person=MEMBER)
    assert "dingtalk:dingcorp01/member01" in member
    assert "member" in member
    assert "admin" in town.say("status")
    assert "运行" in town.say("状态")


def test_help_explains_every_topic_in_both_languages(town: Town) -> None:
    for topic, word in (
        ("contacts", "contact add"),
        ("groups", "group create"),
        ("sources", "source rotate"),
        ("alerts", "ack"),
    ):
        assert word in town.say(f"help {topic}")
    for topic, word in (("联系人", "添加联系人"), ("联系组", "创建组"), ("告警源", "告警源轮换"), ("告警", "认领")):
        assert word in town.say(f"帮助 {topic}")


def test_a_source_from_its_first_url_to_its_end(town: Town) -> None:
    town.say("group create dba")
    first = town.source("dba", name="prom")
    assert town.alert(first, {"title": "a"}).status_code == 200
    assert "prom" in town.say("source list", person=MEMBER)
    rotated = town.say("source rotate prom")
    assert "/alerts/json/" in rotated
    assert town.alert(first, {"title": "a"}).status_code == 401
    assert "Remove" in town.say("source remove prom")
    assert "is removed" in town.say("yes")
    assert "no alert sources" in town.say("source list")
    assert "Only an admin" in town.say("source add x json to dba", person=MEMBER)


def test_the_delivery_log_can_be_asked_for_one_contact_or_group(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    town.say(town.code_for("+8613800138000"))
    town.say("group create dba members Ann")
    town.alert(town.source("dba"), {"title": "disk full"})
    town.quiet()
    assert "138****8000" in town.say("deliveries Ann")
    assert "#1" in town.say("投递 dba")
    assert "Nothing failed" in town.say("deliveries failed")
    assert "no contact or group" in town.say("deliveries nobody-of-that-name")
    assert "no delivery" in town.say("retry 9999")
    assert town.chat(ADMIN)
