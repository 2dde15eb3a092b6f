"""What follows when a platform refuses for good: the address is out of use, or a whole channel is; people learn of it in
a chat that still works."""

from __future__ import annotations

import pytest

from bot.sandbox.world import Drop, Page, Refused
from storage import contacts
from tests.storage import seed
from tests.stories.conftest import ADMIN, CORP, MEMBER, ROBOT, ROBOT_SECRET, ROBOT_URL, Town, words

PHONE, MAILBOX = "+8613800000001", "gone@example.com"
ADDRESSES = {
    "dingtalk": (ROBOT_URL, ROBOT_SECRET),
    "wecom": ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=wecomkey01", ""),
    "lark": ("https://open.feishu.cn/open-apis/bot/v2/hook/larkhook01", "larksecret01"),
    "slack": ("https://hooks.slack.com/services/T0001/B0001/slackhook01", ""),
    "arms": ("https://alerts.aliyuncs.com/api/v1/integrations/custom/armskey01", ""),
    "sms": (PHONE, ""),
    "email": (MAILBOX, ""),
}
TOKENS = {
    "dingtalk": ROBOT,
    "wecom": "wecomkey01",
    "lark": "larkhook01",
    "slack": "T0001/B0001/slackhook01",
    "arms": "armskey01",
}


@pytest.fixture
def everywhere(town: Town) -> Town:
    """A group dba of the contact Team, who is Wang, with every channel."""
    town.say("help", person=MEMBER)
    with town.service.database.write() as tx:
        team = seed.contact(tx, "Team")
        for channel, (address, secret) in ADDRESSES.items():
            seed.method(tx, team, channel, address, secret=secret)
        seed.group(tx, "dba", team)
    town.say(f"contact edit Team dingtalk:{CORP}/{MEMBER}")
    return town


def told(town: Town, after: int, person: str) -> list[str]:
    """What the bot said to somebody alone."""
    town.quiet()
    return [words(e.body) for e in town.world.after(after) if e.kind == "say" and e.person == person]


def states(town: Town) -> dict[str, str]:
    with town.service.database.read() as tx:
        team = contacts.by_key(tx, "team")
        assert team is not None
        return {one.channel: one.state for one in contacts.methods(tx, [team.id]) if one.channel in ADDRESSES}


def test_of_every_address_that_is_gone_its_owner_and_the_admins_are_told_in_chat(everywhere: Town) -> None:
    town = everywhere
    path = town.source("dba")
    for platform, token in TOKENS.items():
        town.world.remove_robot(platform, token)
    town.world.fault(f"sms:{PHONE}", Refused("isv.MOBILE_NUMBER_ILLEGAL"), forever=True)
    town.world.fault(f"mail:{MAILBOX}", Refused(550), forever=True)
    after = town.world.last
    town.alert(path, {"title": "disk full", "severity": "critical"})
    for person in (ADMIN, MEMBER):
        said = told(town, after, person)
        for channel, (address, _secret) in ADDRESSES.items():
            title = f"{channel} …{address[-4:]} of Team is disabled"
            assert len([one for one in said if title in one]) == 1, (person, title, said)
    assert states(town) == dict.fromkeys(ADDRESSES, "disabled")


def test_what_is_no_fault_of_an_address_disables_none_and_the_admins_are_told_once(everywhere: Town) -> None:
    town = everywhere
    path = town.source("dba")
    town.world.fault(f"dingtalk:{ROBOT}", Refused(90030), forever=True)
    town.world.fault("wecom:wecomkey01", Refused(45002), forever=True)
    town.world.fault("lark:larkhook01", Refused(123456), forever=True)
    town.world.fault("slack:T0001/B0001/slackhook01", Refused("something_new"), forever=True)
    town.world.fault(f"sms:{PHONE}", Refused("isv.AMOUNT_NOT_ENOUGH"), forever=True)
    town.world.fault(f"mail:{MAILBOX}", Refused(554), forever=True)
    after = town.world.last
    for title in ("disk full", "disk fuller"):
        town.alert(path, {"title": title, "severity": "critical"})
        town.quiet()
    assert states(town) == dict.fromkeys(ADDRESSES, "active")
    said = [one for one in told(town, after, ADMIN) if "messages of this service are refused" in one]
    assert len(said) == 2, said
    assert any("quota" in one or "used up" in one for one in said)
    assert any("SMS account" in one for one in said)
    assert not [one for one in told(town, after, MEMBER) if "refused" in one]


def test_an_sms_whose_answer_was_lost_is_looked_up_before_it_is_sent_again(everywhere: Town) -> None:
    town = everywhere
    path = town.source("dba")
    town.world.fault(f"sms:{PHONE}", Drop(after=True))
    town.world.fault("sms:QuerySendDetails", Page(502))
    after = town.world.last
    town.alert(path, {"title": "disk full"})
    town.quiet()
    assert "waiting after 1 try" in town.say("alert 1")
    town.forward(seconds=7)
    town.quiet()
    assert "waiting" not in town.say("alert 1")
    assert len([event for event in town.world.after(after) if event.kind == "sms"]) == 1


def test_a_code_that_nobody_knows_is_tried_for_an_hour_and_then_told(everywhere: Town) -> None:
    town = everywhere
    path = town.source("dba")
    town.world.fault(f"dingtalk:{ROBOT}", Refused(660026), forever=True)
    town.alert(path, {"title": "disk full"})
    for wait_s in (7, 19, 37, 145, 361, 721, 1441):
        town.forward(seconds=wait_s)
        town.quiet()
    assert "waiting after" in town.say("alert 1")
    for _half_hour in range(5):
        town.forward(minutes=37)
        town.quiet()
    assert "DingTalk refused the message (660026)." in town.say("deliveries failed")
    assert states(town)["dingtalk"] == "active"
