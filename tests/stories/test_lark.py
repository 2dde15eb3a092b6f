"""Lark's own ways: encrypted and signed callbacks, deliveries again, deadlines, replies, private answers, strangers."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from bot.sandbox.lark_app import bot_open_id
from bot.sandbox.lark_client import callback_sign, encrypt
from bot.sandbox.world import Drop, Page, Refused, Slow
from tests.stories.conftest import words
from tests.stories.lark_town import ADMIN, CHAT, KEY, MEMBER, OTHER, TENANT, TOKEN, LarkTown, lark, make_lark

__all__ = ["lark", "make_lark"]  # fixtures

PHONE, MAIL = "+8613800138000", "zhang.wei@example.com"
SEND, BOT_PATH = "lark:/open-apis/im/v1/messages", "lark:/open-apis/bot/v3/info"
DEADLINE_S = 3.0


# One-to-one with a key it is told in test_everywhere.
@pytest.mark.parametrize(
    ("proof", "group", "add", "show", "active", "make", "test", "remove", "yes", "gone"),
    [
        ("key", True, "contact add Zhang Wei 13800138000 zhang.wei@example.com", "contact show zhang wei", "(active)",
         "group create dba members Zhang Wei", "test dba", "contact remove Zhang Wei", "yes", "is removed"),
        ("token", False, "添加联系人 张伟 13800138000 zhang.wei@example.com", "查看联系人 张伟", "（已生效）",
         "创建组 dba 成员 张伟", "测试 dba", "删除联系人 张伟", "是", "已删除"),
    ],
    ids=["group-en", "token-zh"],
)  # fmt: skip
def test_a_contact_from_its_first_word_to_its_last(
    make_lark: Callable[..., LarkTown], proof: str, group: bool, add: str, show: str, active: str, make: str, test: str,
    remove: str, yes: str, gone: str,
) -> None:  # fmt: skip
    town = make_lark() if proof == "key" else make_lark(lark_encrypt_key="")
    town.tell(add, group=group)
    for code in (town.code_for(PHONE), town.code_for(MAIL)):
        town.tell(code, group=group)
    shown = town.tell(show, group=group)
    assert shown.count(active) == 2, shown
    assert (PHONE in shown) is not group, "in a group personal data is masked"
    assert "dba" in town.tell(make, group=group)
    after = town.world.last
    town.tell(test, group=group)
    town.expect(lambda e: e.kind == "sms" and e.place == PHONE, after=after)
    town.expect(lambda e: e.kind == "mail" and e.place == MAIL, after=after)
    asked = town.tell(remove, group=group)
    assert "?" in asked or "？" in asked
    assert gone in town.tell(yes, group=group)
    assert active not in town.tell(show, group=group)
    assert not town.world.refusals("lark")


def test_an_answer_in_a_group_is_a_reply_in_the_form_of_a_card(lark: LarkTown) -> None:
    posted = lark.type("help", group=True)
    event = lark.expect(lambda e: e.kind == "say" and e.place == CHAT)
    assert event.note == f"reply:{posted.message_id}"
    assert event.body["msg_type"] == "interactive"
    assert "contact add" in words(event.body)
    lark.tell("help")
    assert not lark.world.said(lark.chat(ADMIN))[-1].note


def test_the_answer_to_a_withdrawn_question_goes_to_the_group(lark: LarkTown) -> None:
    lark.world.fault("lark:reply", Refused(230011))
    after = lark.world.last
    lark.type("help", group=True)
    assert "contact add" in lark.answer(CHAT, after=after)
    assert lark.world.said(CHAT)[-1].note == ""


def test_in_a_group_the_bot_hears_what_mentions_it_and_what_it_asked_for(lark: LarkTown) -> None:
    lark.tell("contact add Ann 13800138000", group=True)
    code = lark.code_for(PHONE)
    after = lark.world.last
    lark.forward(seconds=2)
    for silent in ("contact list", "yes", "hello"):
        lark.type(silent, group=True, mention=False, everything=True)
    lark.type("help", group=True, mention=False, everything=True, others=(MEMBER,))
    assert lark.told(CHAT, after) == []
    assert "active" in lark.tell(code, group=True, mention=False, everything=True)


def test_mentions_are_people(lark: LarkTown) -> None:
    assert f"lark:{TENANT}/{MEMBER}" in lark.tell("admin add", group=True, others=(MEMBER,)) + lark.tell("admin list")
    assert "Wang" in lark.tell("contact add Wang 13900139000", group=True, others=(MEMBER,), shape="post")
    code = lark.code_for("+8613900139000")
    assert "active" in lark.tell(code, person=MEMBER)
    assert "Wang" in lark.tell("me", person=MEMBER)


def test_who_the_bot_is_is_learned_once_and_others_need_not_be_marked(lark: LarkTown) -> None:
    lark.world.fault(BOT_PATH, Page(200), forever=True)
    assert "Ann" in lark.tell("contact add Ann", group=True, typed_mentions=False), "guessed while it is not known"
    lark.world.fault(BOT_PATH)
    assert "Bob" in lark.tell("contact add Bob", group=True, typed_mentions=True)


def test_every_shape_of_a_message_is_understood(lark: LarkTown) -> None:
    for number, shape in enumerate(("text", "post", "post with language"), start=1):
        assert f"Ann{number}" in lark.tell(f"contact add Ann{number}", group=True, shape=shape)
        assert f"{number} contact" in lark.tell("contact list", shape=shape), shape


def test_the_body_is_read_raw_whatever_type_it_claims_to_have(lark: LarkTown) -> None:
    posted = lark.type("contact add Ann")
    lark.quiet()
    for content_type in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""):
        answer = requests.post(
            f"{lark.url}/lark/events",
            data=posted.raw,
            headers={**posted.headers, "Content-Type": content_type},
            timeout=20,
        )
        assert (answer.status_code, answer.json()) == (200, {})


def test_a_private_answer_comes_one_to_one(lark: LarkTown) -> None:
    lark.tell("group create dba", group=True)
    after = lark.world.last
    lark.forward(seconds=1)
    lark.type("source add prod json to dba", group=True)
    private = lark.answer(lark.chat(ADMIN), after=after)
    assert "https://callboard.example.com/alerts/json/" in private
    assert not any("/alerts/json/" in told for told in lark.told(CHAT))


def test_a_private_answer_that_cannot_be_said_is_asked_for_one_to_one(lark: LarkTown) -> None:
    lark.tell("group create dba", group=True)
    lark.world.fault(SEND, Refused(230013))
    after = lark.world.last
    lark.forward(seconds=1)
    lark.type("source add prod json to dba", group=True)
    lark.expect(lambda e: e.place == CHAT and "one-to-one" in words(e.body), after=after)
    assert not any("/alerts/json/" in told for told in lark.told(CHAT))


def test_a_member_without_a_name_is_asked_for_it(lark: LarkTown) -> None:
    assert "name" in lark.tell("me 13900139000", person=MEMBER)
    assert "Wang Lei" in lark.tell("Wang Lei", person=MEMBER)
    assert "active" in lark.tell(lark.code_for("+8613900139000"), person=MEMBER)
    assert "Only an admin" in lark.tell("contact add Ann 13800138000", person=MEMBER)
    assert "+8613900139000" not in lark.tell("contact show Wang Lei", person=OTHER)


def test_a_stranger_is_told_why_nothing_happens(lark: LarkTown) -> None:
    assert "do not know who you are" in lark.tell("contact add Ann", group=True, open_id=False)
    assert "no contacts" in lark.tell("contact list")


# ---- once each


@pytest.mark.parametrize("restart", [False, True], ids=["running", "after a restart"])
def test_a_message_delivered_again_is_handled_once(lark: LarkTown, restart: bool) -> None:
    posted = lark.type("contact add Ann")
    lark.quiet()
    if restart:
        lark.close()
        lark.open()
    for again in ({}, {"new_event": True}, {"new_event": True}, {"new_message": True}):
        assert lark.typing.again(posted, **again).status == 200
    assert lark.typing.replay(posted).status == 200
    assert len(lark.told(lark.chat(ADMIN))) == 1


def test_the_platforms_last_try_after_seven_hours_is_known_too(lark: LarkTown) -> None:
    posted = lark.type("contact add Ann")
    lark.forward(hours=7, minutes=5)
    assert lark.typing.again(posted).status == 200
    assert lark.typing.replay(posted).status == 200
    assert len(lark.told(lark.chat(ADMIN))) == 1
    lark.forward(hours=1)
    assert lark.typing.replay(posted).status == 401


def test_what_was_taken_in_before_a_stop_is_answered_after_the_start(lark: LarkTown) -> None:
    lark.service.inbox.stop(5.0)
    assert lark.type("contact add Ann").status == 200
    assert not lark.world.said(lark.chat(ADMIN))
    lark.close()
    lark.open()
    assert "Ann" in lark.answer(lark.chat(ADMIN))


def test_an_answer_whose_fate_is_unknown_is_said_once(lark: LarkTown) -> None:
    lark.tell("help")
    lark.world.fault(SEND, Drop(after=True))
    after = lark.world.last
    lark.forward(seconds=1)
    lark.type("contact add Ann")
    lark.expect(lambda e: e.kind == "say", after=after)
    lark.forward(seconds=35)
    lark.expect(lambda e: e.kind == "repeat", after=after)
    assert len(lark.told(lark.chat(ADMIN), after)) == 1


def test_a_chat_gets_fewer_than_five_messages_a_second_and_loses_none(lark: LarkTown) -> None:
    lark.tell("help")
    lark.forward(seconds=5)
    after = lark.world.last
    for number in range(12):
        lark.type(f"contact add Person {number}")
    for _second in range(4):
        assert not lark.world.refusals("lark")
        lark.forward(seconds=1.2)
    told = lark.told(lark.chat(ADMIN), after)
    assert len(told) == 12
    assert not lark.world.refusals("lark")


# ---- deadlines


def test_lark_gets_its_answer_in_time_while_everything_else_stands_still(lark: LarkTown) -> None:
    lark.service.inbox.stop(5.0)
    release = threading.Event()
    try:
        for path in ("lark", SEND, BOT_PATH):
            lark.world.fault(path, Slow(release), forever=True)
        began = time.monotonic()
        assert lark.type("contact add Ann", group=True, typed_mentions=False).status == 200
        assert time.monotonic() - began < DEADLINE_S
        began = time.monotonic()
        assert lark.type("contact add Bob").status == 200
        assert time.monotonic() - began < DEADLINE_S
    finally:
        release.set()
        for path in ("lark", SEND, BOT_PATH):
            lark.world.fault(path)
    lark.close()
    lark.open()
    assert "Bob" in lark.answer(lark.chat(ADMIN))
    assert "2 contacts" in lark.tell("contact list")


# ---- who may speak


FORGERIES: list[dict[str, Any]] = [
    {"sign": "AAAA"},
    {"sign": ""},
    {"sign": "0" * 64},
    {"signed": False},
    {"plain": True, "signed": False},
    {"key": "another key"},
    {"tamper": True},
    {"skew_s": -8 * 3600 - 1},
    {"skew_s": -365 * 86_400},
    {"skew_s": 3601},
]


def test_forged_stale_and_tampered_callbacks_are_refused_and_change_nothing(lark: LarkTown) -> None:
    for forgery in FORGERIES:
        assert lark.type("contact add Mallory", **forgery).status == 401, forgery
    assert lark.told(lark.chat(ADMIN)) == []
    assert "no contacts" in lark.tell("contact list")


def test_without_a_key_the_token_decides(make_lark: Callable[..., LarkTown]) -> None:
    town = make_lark(lark_encrypt_key="")
    right = town.typing.verification_token
    for wrong in ("", "vt_other", right + "x"):
        town.typing.verification_token = wrong
        assert town.type("contact add Mallory").status == 401
    town.typing.verification_token = right
    assert town.type("contact add Mallory", key=KEY).status == 401, "encrypted, and no key to open it"
    posted = town.type("contact add Ann")
    assert posted.status == 200
    town.forward(hours=9)
    assert town.typing.replay(posted).status == 401
    assert "1 contact" in town.tell("contact list")


def test_an_event_of_another_app_changes_nothing(lark: LarkTown) -> None:
    posted = lark.type("contact add Ann")
    body = json.loads(json.dumps(posted.body))
    body["header"] |= {"app_id": "cli_other", "event_id": "e-other"}
    body["event"]["message"] |= {"message_id": "om_other", "content": '{"text":"contact add Mallory"}'}
    assert lark.typing.post(body).status == 403
    assert "1 contact" in lark.tell("contact list")


def test_the_check_of_the_address_is_answered_and_does_nothing_else(lark: LarkTown) -> None:
    """Encrypted, as the console sends it; signed too; and plain, while the key is not yet entered there."""
    ways: tuple[dict[str, Any], ...] = ({}, {"signed": True}, {"plain": True})
    for how in ways:
        for word in ("ajls384kdjx98XX", 'quote"\\', "告警"):
            answer = lark.typing.challenge(word, **how)
            assert (answer.status, json.loads(answer.answer)) == (200, {"challenge": word})
        assert lark.typing.challenge("x", token="vt_other", **how).status == 401
    assert lark.told(lark.chat(ADMIN)) == []


def test_the_check_of_the_address_without_a_key(make_lark: Callable[..., LarkTown]) -> None:
    town = make_lark(lark_encrypt_key="")
    assert json.loads(town.typing.challenge("x1").answer) == {"challenge": "x1"}
    assert town.typing.challenge("x1", token="").status == 401


@pytest.mark.parametrize(
    "settings", [{"lark_app_id": "", "lark_app_secret": ""}, {"lark_encrypt_key": "", "lark_verification_token": ""}]
)
def test_where_lark_is_not_set_up_everything_is_refused(
    make_lark: Callable[..., LarkTown], settings: dict[str, str]
) -> None:
    town = make_lark(**settings)
    assert town.type("contact add Mallory").status == 404
    assert town.typing.challenge("x").status == 404


def test_other_events_are_taken_and_broken_ones_are_named(lark: LarkTown) -> None:
    client = lark.typing
    for kind in ("card.action.trigger", "im.chat.member.bot.added_v1", "never.heard.of"):
        answer = client.post(client.envelope(kind, {"x": 1}, TENANT))
        assert (answer.status, json.loads(answer.answer)) == (200, {})
    old = {"uuid": "u1", "token": TOKEN, "type": "event_callback", "event": {"type": "message", "text": "help"}}
    assert client.post(old).status == 200
    for broken in ({}, {"message": 5}, {"message": {"message_id": "om_1"}}, {"message": {"chat_id": "oc_1"}}):
        answer = client.post(client.envelope("im.message.receive_v1", broken, TENANT))
        assert answer.status == 400
        assert "$.event.message" in json.loads(answer.answer)["path"]
    assert client.post({"type": "url_verification", "challenge": 5, "token": TOKEN}).status == 400
    assert lark.type("x", shape="image", group=True, mention=False, everything=True).status == 200
    assert "Ann" in lark.tell("contact add Ann")


def test_what_bots_say_is_not_heard(lark: LarkTown) -> None:
    posted = lark.type("contact add Ann", sign="forged")
    body = json.loads(json.dumps(posted.body))
    body["event"]["sender"]["sender_type"] = "app"
    assert lark.typing.post(body).status == 200
    assert lark.told(lark.chat(ADMIN)) == []


def test_a_thousand_random_bodies_give_no_5xx(lark: LarkTown) -> None:
    rng = random.Random(20260302)
    whole = lark.type("contact add Ann", group=True).body
    whole["event"]["message"] |= {"message_id": "om_rnd", "chat_id": "oc_rnd"}
    client = lark.service.app.test_client()
    stamp = str(int(lark.clock().timestamp()))
    for number in range(1000):
        base = bytearray(json.dumps(whole).encode() if number % 2 else rng.choice([b"{}", b"[]", b"null", b"x"]))
        for _flip in range(rng.randrange(6)):
            base[rng.randrange(len(base))] = rng.randrange(256)
        raw = bytes(base)
        if number % 3 == 0:
            raw = json.dumps({"encrypt": encrypt(raw.decode("latin-1"), KEY)}).encode()
        headers = {"X-Lark-Request-Timestamp": stamp, "X-Lark-Request-Nonce": "n"}
        if number % 5:
            headers["X-Lark-Signature"] = callback_sign(stamp, "n", KEY, raw)
        answer = client.post("/lark/events", data=raw, headers=headers)
        assert answer.status_code < 500, (raw, answer.text)
    too_large = requests.post(f"{lark.url}/lark/events", data=b"x" * (1024 * 1024 + 1), timeout=20)
    assert too_large.status_code == 413


def test_no_secret_is_in_an_answer_or_in_the_log(lark: LarkTown, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answers = [lark.type("x", sign="forged").answer, lark.typing.challenge("x", token="vt_x").answer]
    lark.world.fault("lark:/open-apis/auth/v3/tenant_access_token/internal", Refused(10014))
    lark.type("help", group=True)
    lark.forward(seconds=40)
    lark.quiet()
    told = caplog.text + "".join(map(repr, answers))
    secrets = (
        KEY,
        TOKEN,
        "lark-secret-of-the-story",
        *(t for t, _ in lark.world.recall("lark:tokens:cli_story") or ()),
    )
    assert not [secret for secret in secrets if secret in told]


def test_the_bot_tells_its_own_mention_from_others(lark: LarkTown) -> None:
    lark.world.add_person("lark", "ou_another_bot", "Other Bot", TENANT)
    after = lark.world.last
    lark.tell("help", group=True)
    posted = lark.typing.type(
        ADMIN, "contact add Mallory", group=CHAT, mention=False, everything=True, others=("ou_another_bot",),
        typed_mentions=False,
    )  # fmt: skip
    assert posted.status == 200
    assert bot_open_id(lark.lark) not in json.dumps(posted.body)
    assert len(lark.told(CHAT, after)) == 1
