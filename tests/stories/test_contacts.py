"""Contacts, told as conversations."""

from __future__ import annotations

from tests.stories.conftest import ADMIN, GROUP, MEMBER, OTHER, ROBOT_SECRET, ROBOT_URL, Town

PHONE, MAIL = "+8613800138000", "zhang.wei@example.com"


def test_a_contact_from_its_first_word_to_its_last(town: Town) -> None:
    town.say(f"contact add Zhang Wei {PHONE} {MAIL}")
    for code in (town.code_for(PHONE), town.code_for(MAIL)):
        town.say(code)
    shown = town.say("contact show zhang wei")
    assert shown.count("(active)") == 2, shown
    assert PHONE in shown
    assert MAIL in shown
    assert "?" in town.say("contact remove Zhang Wei")
    assert "?" in town.say("contact remove Zhang Wei"), "asked again"
    assert "is removed" in town.say("yes")
    assert "(active)" not in town.say("contact show zhang wei")


def test_in_a_group_personal_data_is_masked_and_one_to_one_it_is_whole(town: Town) -> None:
    town.say("contact add Ann 13800138000 zhang.wei@example.com")
    in_group = town.say("contact show Ann", group=True)
    assert "138****8000" in in_group
    assert "z***@example.com" in in_group
    assert "13800138000" not in in_group
    assert "zhang.wei" not in in_group
    member = town.say("contact show Ann", person=MEMBER)
    assert "13800138000" not in member
    assert PHONE in town.say("contact show Ann")


def test_the_token_of_a_webhook_is_shown_to_nobody(town: Town) -> None:
    answers = [town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}"), town.say("contact show Team")]
    answers.append(town.say("audit"))
    for answer in answers:
        assert "robottoken01" not in answer
        assert ROBOT_SECRET not in answer
        assert "oapi.dingtalk.com" in answer or "Team" in answer
    assert "oapi.dingtalk.com…en01" in answers[1]


def test_what_is_wrong_is_named_and_nothing_is_half_done(town: Town) -> None:
    cases = {
        "contact add Ann 1380013800": "1380013800",
        "contact add Ann ann@": "ann@",
        "contact add Ann ann@@example.com": "ann@@example.com",
        "contact add Ann http://oapi.dingtalk.com/robot/send?access_token=x": "https",
        "contact add Ann https://evil.example.com/robot/send?access_token=x": "evil.example.com",
        "contact add Ann https://user@oapi.dingtalk.com/robot/send?access_token=x": "user name",
        "contact add Ann https://oapi.dingtalk.com/robot/send": "access_token",
        "contact add Ann 13800138000 secret SEC123": "secret",
        "contact add Ann, Bob 13800138000": "Ann, Bob",
        f"contact add {'x' * 65}": "65",
        "contact add": "contact add Zhang Wei",
        "contact edit Nobody phone 13800138000": "Nobody",
    }
    for said, named in cases.items():
        answer = town.say(said)
        assert named in answer, (said, answer)
    town.quiet()
    assert "no contacts" in town.say("contact list")
    assert not [event for event in town.world.events if event.kind in ("sms", "mail", "card")]


def test_names_are_unique_regardless_of_case_and_width(town: Town) -> None:
    town.say("contact add Zhang Wei")
    for same in ("zhang wei", "ＺＨＡＮＧ　ＷＥＩ", "Zhang  WEI"):
        assert "already" in town.say(f"contact add {same}"), same


def test_a_name_that_nobody_has_gets_the_nearest_one(town: Town) -> None:
    town.say("contact add Zhang Wei")
    assert "Did you mean “Zhang Wei”" in town.say("contact show Zhang We")


def test_a_changed_address_is_unverified_again_and_the_old_code_is_dead(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    old = town.code_for(PHONE)
    town.say("contact edit Ann phone 13900139000")
    assert "(active)" not in town.say(old)
    new = town.code_for("+8613900139000")
    assert "active" in town.say(new)
    town.forward(minutes=2)
    town.say("contact edit Ann phone 13700137000")
    shown = town.say("contact show Ann")
    assert "+8613700137000" in shown
    assert "+8613900139000" not in shown
    assert "not verified" in shown


def test_editing_name_secret_and_webhook(town: Town) -> None:
    town.say("contact add Ann")
    assert "Anna" in town.say("contact edit Ann name Anna")
    town.say(f"contact edit Anna webhook {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    assert "active" in town.say("contact show Anna")
    after = town.world.last
    town.forward(minutes=2)
    town.say("contact edit Anna secret SECwrong")
    town.quiet()
    refused = [event for event in town.world.after(after) if event.kind == "refused"]
    assert [event.note for event in refused] == ["310000"]
    failed = [event for event in town.world.said(town.chat(ADMIN)) if event.seq > after]
    assert any("could not be sent" in str(event.body) for event in failed)


def test_yes_is_asked_for_two_minutes_only(town: Town) -> None:
    town.say("contact add Ann")
    town.say("contact remove Ann")
    town.forward(seconds=121)
    assert "2 minutes" in town.say("yes")
    assert "Ann" in town.say("contact list")
    town.say("contact remove Ann")
    assert "nothing is changed" in town.say("no")
    assert "Ann" in town.say("contact list")


def test_a_question_is_answered_only_by_who_was_asked(town: Town) -> None:
    town.say("contact add Ann")
    town.say("contact remove Ann", group=True)
    after = town.world.last
    town.post("yes", person=MEMBER, group=True)
    town.quiet()
    assert town.world.said(GROUP)[-1].seq <= after
    assert "removed" in town.say("yes", group=True)


def test_a_second_yes_is_answered_one_to_one_and_ignored_in_a_group(town: Town) -> None:
    assert "Nothing waits" in town.say("yes")
    after = town.world.last
    town.post("yes", group=True)
    town.post("123456", group=True)
    town.quiet()
    assert not [event for event in town.world.said(GROUP) if event.seq > after]


def test_lists_are_paged_by_twenty_and_more_goes_on(town: Town) -> None:
    for number in range(45):
        town.post(f"contact add Person {number:02d}")
    town.quiet()
    first, second, third = town.say("contact list"), town.say("more"), town.say("more")
    assert "45 contacts" in first
    assert "Person 19" in first
    assert "Person 20" not in first
    assert "Person 20" in second
    assert "Person 39" in second
    assert "Person 44" in third
    assert "more" not in third
    assert "no list" in town.say("more")
    assert "Person 07" in town.say("contact list person 07")


def test_a_member_makes_their_own_contact_and_nobody_elses(town: Town) -> None:
    assert "Wang" in town.say("me 13900139000", person=MEMBER)
    assert "active" in town.say(town.code_for("+8613900139000"), person=MEMBER)
    assert "+8613900139000" in town.say("me", person=MEMBER)
    assert "Only an admin" in town.say("contact add Somebody 13700137000", person=MEMBER)
    town.say("contact add Ann 13800138000")
    for forbidden in ("contact edit Ann phone 13700137000", "contact remove Ann", "verify Ann"):
        assert "Only an admin" in town.say(forbidden, person=MEMBER), forbidden
    assert "Name" not in town.say("contact edit Wang name Wang Lei", person=MEMBER)
    assert "Wang Lei" in town.say("contact show Wang Lei", person=MEMBER)
    town.say("contact remove Wang Lei", person=MEMBER)
    assert "removed" in town.say("yes", person=MEMBER)


def test_contact_add_of_a_member_without_one_is_their_own(town: Town) -> None:
    assert "+8613900139000" in town.say("contact add Old Zhao 13900139000", person=OTHER)
    assert "Old Zhao" in town.say("me", person=OTHER)


def test_an_admin_can_say_whose_contact_it_is(town: Town) -> None:
    town.say("contact add Wang 13900139000 @Wang", others=(MEMBER,), group=True)
    code = town.code_for("+8613900139000")
    assert "active" in town.say(code, person=MEMBER)
    assert "Wang" in town.say("me", person=MEMBER)
    town.say("contact add Zhao")
    town.say("contact edit Zhao dingtalk:dingcorp01/other01")
    assert "Zhao" in town.say("me", person=OTHER)


def test_a_contact_can_be_added_to_groups_and_a_missing_group_is_offered(town: Town) -> None:
    town.say("group create dba")
    assert "dba" in town.say("contact add Ann 13800138000 to dba")
    assert "Ann" in town.say("group show dba")
    question = town.say("contact add Bob to dba, night")
    assert "night" in question
    assert "There is no contact" in town.say("contact show Bob")
    town.say("contact add Bob to dba, night")
    town.say("yes")
    assert "Bob" in town.say("group show night")
    assert "Bob" in town.say("group show dba")
