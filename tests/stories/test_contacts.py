"""Contacts, told as conversations."""

from __future__ import annotations

from tests.stories.conftest import ADMIN, MEMBER, Town


def test_a_contact_with_phone_and_mail_is_proven_by_both_codes(town: Town) -> None:
    answer = town.say("contact add Zhang Wei 13800138000 zhang.wei@example.com")
    assert "Zhang Wei" in answer
    sms = town.code_for("+8613800138000")
    mail = town.code_for("zhang.wei@example.com")
    assert "active" in town.say(sms)
    assert "active" in town.say(f"code {mail}")
    shown = town.say("contact show zhang wei")
    assert "+8613800138000" in shown
    assert shown.count("(active)") == 2
