"""Proving that somebody is there, told as conversations. Every number of PRODUCT.md section 3."""

from __future__ import annotations

import pytest

from bot.sandbox.world import Refused
from tests.stories.conftest import ADMIN, GROUP, MEMBER, OTHER, ROBOT, ROBOT_SECRET, ROBOT_URL, Town, words

PHONE = "+8613800138000"


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_a_code_is_good_for_ten_minutes(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    code = town.code_for(PHONE)
    town.forward(minutes=10, seconds=1)
    assert "no longer good" in town.say(code)
    after = town.world.last
    town.say("verify Ann")
    fresh = town.code_for(PHONE, after=after)
    town.quiet()
    town.forward(minutes=9, seconds=59)
    assert "active" in town.say(fresh)


def test_five_wrong_tries_kill_a_code(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    code = town.code_for(PHONE)
    for left in (4, 3, 2, 1):
        assert str(left) in town.say(wrong(code))
    assert "dead" in town.say(wrong(code))
    assert "dead" in town.say(code)
    assert "not verified" in town.say("contact show Ann")


def test_a_new_code_replaces_the_old_and_comes_after_a_minute(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    old = town.code_for(PHONE)
    assert "next one is possible" in town.say("verify Ann")
    town.forward(seconds=60)
    after = town.world.last
    town.say("verify Ann")
    new = town.code_for(PHONE, after=after)
    if old != new:
        assert "wrong" in town.say(old)
    assert "active" in town.say(new)
    assert "active already" in town.say("verify Ann")


def test_five_an_hour_and_ten_a_day_for_one_address(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    for _again in range(4):
        town.forward(seconds=61)
        assert "on its way" in town.say("verify Ann")
    town.forward(seconds=61)
    assert "next one is possible" in town.say("verify Ann")
    town.forward(hours=1)
    for _again in range(5):
        town.forward(minutes=13)
        assert "on its way" in town.say("verify Ann")
    town.forward(hours=2)
    refused = town.say("verify Ann")
    assert "next one is possible" in refused
    assert len(town.world.sms(PHONE)) == 10
    town.forward(days=1)
    assert "on its way" in town.say("verify Ann")


def test_the_limit_of_an_address_outlives_its_contact(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    town.say("contact remove Ann")
    town.say("yes")
    assert "next one is possible" in town.say("contact add Bob 13800138000")
    assert "not verified" in town.say("contact show Bob")


def test_twenty_codes_a_day_for_one_person(town: Town) -> None:
    for number in range(20):
        town.say(f"contact add P{number} 138001380{number:02d}")
    assert "next one is possible" in town.say("contact add P20 13800138020")
    town.forward(days=1)
    assert "on its way" in town.say("verify P20")


def test_twenty_wrong_codes_a_day_stop_a_person(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    code = town.code_for(PHONE)
    for _guess in range(20):
        town.say(wrong(code), person=MEMBER)
    assert "Too many wrong codes" in town.say("000000", person=MEMBER)
    town.say("me 13900139000", person=MEMBER)
    own = town.code_for("+8613900139000")
    assert "Too many wrong codes" in town.say(own, person=MEMBER)
    assert "active" in town.say(code)
    town.forward(days=1, seconds=1)
    after = town.world.last
    town.say("verify Wang", person=MEMBER)
    assert "active" in town.say(town.code_for("+8613900139000", after=after), person=MEMBER)


def test_nobody_elses_digits_count(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    code = town.code_for(PHONE)
    assert "active" not in town.say(code, person=MEMBER)
    assert "active" not in town.say(code, person=OTHER)
    assert "active" in town.say(code)


def test_the_person_of_the_contact_may_confirm_what_somebody_else_asked_for(town: Town) -> None:
    town.say("me 13900139000", person=MEMBER)
    town.say(town.code_for("+8613900139000"), person=MEMBER)
    after = town.world.last
    town.say("contact edit Wang email wang@example.com")
    assert "active" in town.say(town.code_for("wang@example.com", after=after), person=MEMBER)


def test_the_bare_digits_are_enough_also_full_width_ones(town: Town) -> None:
    wide = str.maketrans({digit: chr(ord(digit) + 0xFEE0) for digit in "0123456789"})
    for number, shape in enumerate(("{}", " {} ", "code {}", "验证码 {}", "验证码{}", "code: {}", "{}。", "wide")):
        town.say(f"contact add Ann{number} 1380013800{number}", group=True)
        code = town.code_for(f"+861380013800{number}")
        town.say(code.translate(wide) if shape == "wide" else shape.format(code), group=True)
        assert "(active)" in town.say(f"contact show Ann{number}"), shape


def test_a_robot_is_proven_by_a_card_in_its_group_and_linked_to_the_conversation(town: Town) -> None:
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    code = town.code_for(GROUP)
    answer = town.say(code, group=True)
    assert "active" in answer
    assert "oncall" in answer
    assert "oncall" in town.say("contact show Team")


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"keywords": ("报警",)}, "DAS Alarm"),
        ({"secret": "SECother"}, "secret"),
        ({"addresses": ("203.0.113.7",)}, "address"),
        ({"enabled": False}, ""),
    ],
    ids=["keyword", "sign", "address", "switched off"],
)
def test_a_refused_robot_is_explained_in_words(town: Town, changes: dict[str, object], advice: str) -> None:
    town.world.change_robot("dingtalk", ROBOT, **changes)
    after = town.world.last
    town.post(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    town.expect(lambda e: e.kind == "refused", after=after)
    told = town.expect(lambda e: e.kind == "say" and "could not be sent" in words(e.body), after=after)
    assert advice in words(told.body)
    assert "verify Team" in words(told.body)
    assert "(active)" not in town.say("contact show Team")


def test_a_refused_code_does_not_count(town: Town) -> None:
    town.world.fault(f"sms:{PHONE}", Refused("isv.AMOUNT_NOT_ENOUGH"))
    after = town.world.last
    town.post("contact add Ann 13800138000")
    town.expect(lambda e: e.kind == "say" and "could not be sent" in words(e.body), after=after)
    after = town.world.last
    assert "on its way" in town.say("verify Ann")
    assert "active" in town.say(town.code_for(PHONE, after=after))


def test_a_mailbox_that_does_not_exist_is_explained(town: Town) -> None:
    town.world.fault("mail:nobody@example.com", Refused(550), forever=True)
    after = town.world.last
    town.post("contact add Ann nobody@example.com")
    town.expect(lambda e: e.kind == "say" and "could not be sent" in words(e.body), after=after)


def test_codes_are_nowhere_but_in_the_message(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    town.say("contact add Ann 13800138000 ann@example.com")
    phone, mail = town.code_for(PHONE), town.code_for("ann@example.com")
    town.quiet()
    said = "".join(words(event.body) for event in town.world.said(town.chat(ADMIN)))
    stored = b"".join(path.read_bytes() for path in town.folder.iterdir() if path.is_file())
    for code in (phone, mail):
        assert code not in said
        assert code not in caplog.text
        assert code.encode() not in stored
        town.say(code)


def test_without_settings_the_answer_says_what_is_missing(make_town: object) -> None:
    town: Town = make_town(smtp_url="", sms_template_code="")  # type: ignore[operator]
    answer = town.say("contact add Ann 13800138000 ann@example.com")
    assert "SMTP_URL" in answer
    assert "SMS_TEMPLATE_CODE" in answer
    assert "not verified" in town.say("contact show Ann")


def test_a_code_survives_the_rotation_of_the_key(town: Town) -> None:
    town.say("contact add Ann 13800138000")
    code = town.code_for(PHONE)
    town.quiet()
    town.close()
    town.settings = town.settings.model_copy(update={"secret_key": "new-key-of-the-story,key-of-the-story"})
    town.open()
    assert "active" in town.say(code)
