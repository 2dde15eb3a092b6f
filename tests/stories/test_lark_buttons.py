"""Buttons and forms in Lark: pressed in one's own chat and in groups, by the right person and by others, once and again."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
import requests

from bot.sandbox.lark_client import callback_sign, encrypt
from bot.sandbox.lark_press import controls
from bot.sandbox.world import Drop, Event, Refused, Slow
from storage import contacts
from tests.stories.conftest import words
from tests.stories.lark_town import ADMIN, CHAT, KEY, MEMBER, OTHER, TENANT, TOKEN, LarkTown, lark, make_lark

__all__ = ["lark", "make_lark"]  # fixtures

PHONE = "+8613800138000"
DEADLINE_S = 3.0


def labels(event: Event) -> list[str]:
    return [one["label"] for one in controls(event.body)]


def alert(lark: LarkTown) -> Event:
    """An alert shown in the group, to press."""
    lark.tell("group create dba")
    told = lark.tell("source add prod json to dba")
    path = next(word for word in told.split() if "/alerts/json/" in word).partition("callboard.example.com")[2]
    assert lark.alert(path, {"title": "disk full", "severity": "critical"}).status_code == 200
    lark.quiet()
    return lark.card("alert 1", group=True)


# ---- yes and no


@pytest.mark.parametrize("group", [False, True], ids=["one-to-one", "group"])
@pytest.mark.parametrize(("label", "left"), [("Yes", 0), ("No", 1)])
def test_a_question_is_answered_in_its_own_place(lark: LarkTown, group: bool, label: str, left: int) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann", group=group)
    assert "yes or no" in words(asked.body), "the words say what can be typed instead"
    after = lark.world.last
    posted = lark.press(asked, label)
    assert posted.status == 200
    assert posted.toast[0] == "success"
    shown = lark.now_shows(asked)
    assert ("is removed" if label == "Yes" else "nothing is changed") in shown
    assert posted.toast[1] in shown
    assert lark.told(CHAT if group else lark.chat(ADMIN), after) == [], "nothing is said beside"
    assert ("no contacts" in lark.tell("contact list")) is not left


def test_buttons_come_in_both_languages(lark: LarkTown) -> None:
    lark.tell("添加联系人 张伟")
    asked = lark.card("删除联系人 张伟")
    assert labels(asked) == ["是", "否"]
    lark.press(asked, "是")
    assert "已删除" in lark.now_shows(asked)


def test_typing_and_pressing_answer_the_same_question(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann")
    assert "is removed" in lark.tell("yes")
    posted = lark.press(asked, "Yes")
    assert "already" in posted.toast[1]
    assert lark.now_shows(asked) == words(asked.body), "the card stays as it is"


def test_what_one_person_is_asked_nobody_else_answers(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann", group=True)
    posted = lark.press(asked, "Yes", person=MEMBER)
    assert (posted.status, posted.toast[0]) == (200, "info")
    assert "to press" in posted.toast[1]
    assert lark.now_shows(asked) == words(asked.body)
    assert "1 contact" in lark.tell("contact list")
    lark.press(asked, "No")
    assert "nothing is changed" in lark.now_shows(asked)


def test_a_question_that_is_over_says_so(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann")
    lark.forward(minutes=3)
    lark.press(asked, "Yes")
    assert "This question is over" in lark.now_shows(asked)
    lark.forward(minutes=30)
    assert "too old" in lark.press(asked, "Yes").toast[1]
    assert "1 contact" in lark.tell("contact list")


def test_a_long_list_goes_on(lark: LarkTown) -> None:
    for number in range(21):
        lark.tell(f"contact add Person {number:02}")
    listed = lark.card("contact list")
    after = lark.world.last
    lark.press(listed, "More")
    assert "Person 20" in lark.answer(lark.chat(ADMIN), after=after)
    assert lark.now_shows(listed) == words(listed.body)


# ---- alerts: for everybody in the conversation


def test_an_alert_is_acknowledged_once_and_whoever_is_late_is_told(lark: LarkTown) -> None:
    shown = alert(lark)
    assert labels(shown) == ["Acknowledge", "Resolve", "Silence 2 h"]
    lark.tell("me", person=MEMBER)
    assert lark.press(shown, "Acknowledge", person=MEMBER).toast[0] == "success"
    assert "Give back" in lark.now_shows(shown)
    posted = lark.press(shown, "Acknowledge", person=OTHER)
    assert f"lark:{TENANT}/{MEMBER}" in posted.toast[1] or "already" in posted.toast[1]
    assert lark.press(shown, "Resolve", person=OTHER).toast[0] == "success"
    assert "RESOLVED" in lark.now_shows(shown).upper()
    assert not lark.world.refusals("lark")


def test_a_card_is_changed_wherever_it_is_shown(lark: LarkTown) -> None:
    shown = alert(lark)
    elsewhere = lark.card("alert 1")
    after = lark.world.last
    lark.press(shown, "Acknowledge", person=MEMBER)
    changed = lark.expect(lambda e: e.kind == "update" and e.ref == elsewhere.ref, after=after)
    assert "Give back" in words(changed.body)
    lark.quiet()
    assert not [e for e in lark.world.after(after) if e.kind == "say"]
    assert not lark.world.refusals("lark")


@pytest.mark.parametrize("code", [230011, 230110, 230031, 230001, 230099])
def test_what_cannot_be_changed_any_more_is_said_anew(lark: LarkTown, code: int) -> None:
    alert(lark)
    elsewhere = lark.card("alert 1")
    lark.world.fault("lark:update", Refused(code), forever=True)
    after = lark.world.last
    lark.tell("ack #1", group=True)
    assert "Give back" in lark.answer(lark.chat(ADMIN), after=after)
    assert lark.now_shows(elsewhere) == words(elsewhere.body)


def test_a_change_whose_fate_is_unknown_is_made_again(lark: LarkTown) -> None:
    alert(lark)
    elsewhere = lark.card("alert 1")
    lark.world.fault("lark:update", Drop(after=True))
    after = lark.world.last
    lark.tell("ack #1", group=True)
    lark.expect(lambda e: e.kind == "update", after=after)
    lark.forward(seconds=35)
    lark.quiet()
    assert "Give back" in lark.now_shows(elsewhere)
    assert lark.told(lark.chat(ADMIN), after) == []


def test_a_press_leaves_a_one_to_one_chat_one_to_one(lark: LarkTown) -> None:
    alert(lark)
    lark.tell("contact add Ann 13800138000")
    shown = lark.card("contact show Ann")
    lark.press(lark.card("alert 1"), "Acknowledge")
    after = lark.world.last
    lark.press(shown, "Edit")
    assert PHONE in lark.answer(lark.chat(ADMIN), after=after), "there an admin sees all of it"


# ---- forms


def test_a_contact_is_added_by_a_form_after_a_mistake(lark: LarkTown) -> None:
    form = lark.card("contact add")
    (drawn,) = [one for one in controls(form.body) if one["fields"]]
    assert {"name", "phone", "email"} <= set(drawn["fields"])
    wrong = lark.press(form, drawn["label"], {"name": "Zhang Wei", "phone": "12"})
    assert wrong.toast[0] == "error"
    assert wrong.toast[1]
    assert lark.now_shows(form) == words(form.body), "what was typed is still there"
    assert "no contacts" in lark.tell("contact list")
    right = lark.press(form, drawn["label"], {"name": "Zhang Wei", "phone": "13800138000"})
    assert right.toast[0] == "success"
    assert "Zhang Wei" in lark.now_shows(form)
    assert "already" in lark.press(form, drawn["label"], {"name": "Zhang Wei"}).toast[1]
    assert "active" in lark.tell(lark.code_for(PHONE))


def test_a_required_field_is_asked_for_by_the_client(lark: LarkTown) -> None:
    form = lark.card("contact add")
    assert not lark.press(form, "Add", {"phone": "13800138000"}).delivered


def test_a_code_is_confirmed_by_a_form(lark: LarkTown) -> None:
    lark.tell("contact add Ann 13800138000")
    form = lark.card("code")
    assert lark.press(form, "Confirm", {"code": "12"}).toast[0] == "error"
    assert lark.press(form, "Confirm", {"code": lark.code_for(PHONE)}).toast[0] == "success"
    assert "active" in lark.now_shows(form)


def test_a_group_is_made_and_edited_by_a_form_with_choices(lark: LarkTown) -> None:
    for name in ("Ann", "Bob", '"Smith, John"'):
        lark.tell(f"contact add {name}")
    form = lark.card("group create", group=True)
    (drawn,) = [one for one in controls(form.body) if one["fields"]]
    other = lark.press(form, drawn["label"], {"name": "dba"}, person=MEMBER)
    assert "to press" in other.toast[1]
    lark.press(form, drawn["label"], {"name": "dba", "members": 'Ann,"Smith, John"'})
    shown = lark.now_shows(form)
    assert "dba" in shown
    edit = lark.card("group edit dba", group=True)
    (select,) = [part for part in edit.body["content"]["body"]["elements"][0]["elements"] if "options" in part]
    assert select["selected_values"] == ["Ann", '"Smith, John"']
    lark.press(edit, "Save", {"members": ""})
    assert "Ann" not in lark.tell("group show dba")


def test_a_form_that_is_opened_by_a_button_is_a_card_of_its_own(lark: LarkTown) -> None:
    lark.tell("contact add Ann 13800138000")
    shown = lark.card("contact show Ann", group=True)
    after = lark.world.last
    lark.press(shown, "Edit")
    form = lark.expect(lambda e: e.kind == "say" and e.place == CHAT, after=after)
    assert form.note == f"reply:{shown.ref}", "in a group it belongs to the card"
    lark.press(form, "Save", {"name": "Anna"})
    assert "Anna" in lark.now_shows(form)
    assert "Anna" in lark.tell("contact list")


def test_a_form_with_more_choices_than_a_card_takes_is_typed_in(lark: LarkTown) -> None:
    with lark.service.database.write() as tx:
        for number in range(90):
            name = f"{'长' * 50} {number:03}"
            contacts.add(tx, name, name, "", lark.clock())
    form = lark.card("group create")
    assert form.body["msg_type"] == "interactive"
    assert "options" not in json.dumps(form.body)
    lark.press(form, "Create", {"name": "dba"})
    assert "dba" in lark.now_shows(form)
    assert not lark.world.refusals("lark")


# ---- once each, in time, and only by whom Lark says


def test_a_press_that_is_delivered_twice_counts_once(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann")
    posted = lark.press(asked, "Yes")
    for again in (lark.typing.replay(posted), lark.typing.post(posted.body)):
        assert (again.status, json.loads(again.answer)) == (200, {})
    lark.close()
    lark.open()
    assert json.loads(lark.typing.replay(posted).answer) == {}
    lark.forward(hours=8, minutes=1)
    assert lark.typing.replay(posted).status == 401


FORGERIES: list[dict[str, Any]] = [
    {"sign": "AAAA"},
    {"signed": False},
    {"plain": True, "signed": False},
    {"key": "another key"},
    {"tamper": True},
    {"skew_s": -8 * 3600 - 1},
]


def test_forged_presses_change_nothing(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann")
    for forgery in FORGERIES:
        assert lark.press(asked, "Yes", **forgery).status == 401, forgery
    token = controls(asked.body)[0]["token"]
    body = lark.press(asked, "No", sign="forged").body
    for wrong in (
        token[:-1] + ("A" if token[-1] != "A" else "g"),
        "x" + token,
        token.partition(".")[0],
        "x.y",
        token + "é",
    ):
        forged = json.loads(json.dumps(body))
        forged["event"]["action"]["value"]["callboard"] = wrong
        assert lark.typing.post(forged).status == 403, wrong
    forged["event"]["action"]["value"]["callboard"] = "\ud800.x"
    raw = json.dumps({"encrypt": encrypt(json.dumps(forged), KEY)}).encode()
    stamp = str(int(lark.clock().timestamp()))
    headers = {"X-Lark-Request-Timestamp": stamp, "X-Lark-Request-Nonce": "n"}
    headers["X-Lark-Signature"] = callback_sign(stamp, "n", KEY, raw)
    assert requests.post(f"{lark.url}/lark/events", data=raw, headers=headers, timeout=20).status_code == 403
    assert "1 contact" in lark.tell("contact list")


def test_without_a_key_the_token_decides(make_lark: Any) -> None:
    town = make_lark(lark_encrypt_key="")
    town.tell("contact add Ann")
    asked = town.card("contact remove Ann")
    town.typing.verification_token = "vt_other"
    assert town.press(asked, "Yes").status == 401
    town.typing.verification_token = TOKEN
    assert town.press(asked, "Yes").status == 200
    assert "is removed" in town.now_shows(asked)


def test_the_old_kind_of_callback_is_refused(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann")
    token = controls(asked.body)[0]["token"]
    old = {
        "open_id": ADMIN,
        "tenant_key": TENANT,
        "open_message_id": asked.ref,
        "token": "c-1",
        "action": {"tag": "button", "value": {"callboard": token}},
    }
    assert lark.typing.post(old).status == 401
    assert lark.typing.post(old, plain=True).status == 401
    assert "1 contact" in lark.tell("contact list")


def test_broken_presses_are_named_and_strange_ones_ignored(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    body = lark.press(lark.card("contact remove Ann"), "Yes", sign="forged").body
    for where, path in (
        (("event", "context", "open_message_id"), "$.event.context.open_message_id"),
        (("event", "operator", "open_id"), "$.event.operator.open_id"),
        (("header", "event_id"), "$.header.event_id"),
    ):
        broken = json.loads(json.dumps(body))
        part = broken
        for name in where[:-1]:
            part = part[name]
        part[where[-1]] = "not an id!"
        answer = lark.typing.post(broken)
        assert (answer.status, json.loads(answer.answer)["path"]) == (400, path)
    for value in (None, 5, "x", "[]", {}, {"callboard": 5}, {"other": "card"}):
        strange = json.loads(json.dumps(body))
        strange["event"]["action"]["value"] = value
        answer = lark.typing.post(strange)
        assert (answer.status, json.loads(answer.answer)) == (200, {})
    assert "1 contact" in lark.tell("contact list")


def test_lark_gets_its_answer_in_time_while_nothing_can_be_sent(lark: LarkTown) -> None:
    lark.tell("contact add Ann")
    asked = lark.card("contact remove Ann", group=True)
    lark.service.inbox.stop(5.0)
    release = threading.Event()
    lark.world.fault("lark", Slow(release), forever=True)
    lark.world.fault("lark:/open-apis/im/v1/messages", Slow(release), forever=True)
    try:
        began = time.monotonic()
        assert "is removed" in lark.press(asked, "Yes").toast[1]
        assert time.monotonic() - began < DEADLINE_S
    finally:
        release.set()
        lark.world.fault("lark")
        lark.world.fault("lark:/open-apis/im/v1/messages")
    assert not lark.world.refusals("lark")


def test_no_token_and_no_value_is_in_the_log(lark: LarkTown, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    form = lark.card("contact add")
    token = controls(form.body)[0]["token"]
    lark.press(form, "Add", {"name": "Zhang Wei", "phone": "13912345678"}, sign="forged")
    forged = lark.press(form, "Add", {"name": "Zhang Wei", "phone": "13912345678"}, sign="forged").body
    forged["event"]["action"]["value"]["callboard"] = token + "x"
    answer = lark.typing.post(forged)
    lark.press(form, "Add", {"name": "Zhang Wei", "phone": "13912345678"})
    lark.quiet()
    told = caplog.text + repr(answer.answer)
    assert not [secret for secret in (KEY, TOKEN, token, "13912345678") if secret in told]
