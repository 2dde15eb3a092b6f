"""DingTalk's buttons: on cards by HTTP and Stream, as links to our page without a card template, on cards of alerts."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from bot.sandbox.dingtalk_cards import controls
from bot.sandbox.world import Drop, Event, Refused
from tests.stories.conftest import ADMIN, GROUP, MEMBER, ROBOT, ROBOT_SECRET, ROBOT_URL, Town, words

TEMPLATE = "callboard.schema"
LINK = re.compile(r"https://callboard\.example\.com(/confirm/[A-Za-z0-9_.-]+)")
CREATE = "dingtalk:/v1.0/card/instances/createAndDeliver"
UPDATE = "dingtalk:/v1.0/card/instances"

MakeTown = Callable[..., Town]


@pytest.fixture(params=["HTTP", "Stream"])
def cards(request: pytest.FixtureRequest, make_town: MakeTown) -> Town:
    return card_town(make_town, stream=request.param == "Stream")


@pytest.fixture
def http_cards(make_town: MakeTown) -> Town:
    return card_town(make_town, stream=False)


def card_town(make_town: MakeTown, *, stream: bool) -> Town:
    town = make_town(dingtalk_card_template=TEMPLATE, dingtalk_stream=stream)
    town.stand_ins.dingtalk.templates.add(TEMPLATE)
    if stream:
        assert town.stand_ins.stream.wait_opened(1, 10.0)
    return town


def asked(town: Town, text: str, *, person: str = ADMIN, group: bool = True) -> Event:
    """Somebody types; the bot's answer in that place as the platform shows it."""
    town.quiet()
    after = town.world.last
    town.post(text, person=person, group=group)
    place = GROUP if group else town.chat(person)
    return town.expect(lambda e: e.kind == "say" and e.place == place, after=after)


def token(event: Event, label: str) -> str:
    return next(str(one["token"]) for one in controls(event.body) if one["label"] == label)


def now(town: Town, card: Event) -> dict[str, str]:
    """The card as it is."""
    shown = [e for e in town.world.events if e.ref == card.ref]
    return dict(shown[-1].body["values"])


def test_a_question_is_answered_by_a_button_and_the_card_says_what_became_of_it(cards: Town) -> None:
    cards.say("contact add Ann")
    card = asked(cards, "contact remove Ann")
    assert [one["label"] for one in controls(card.body)] == ["Yes", "No"]
    assert "Reply yes or no within 2 minutes." in card.body["values"]["text"]
    posted = cards.client.press(ADMIN, card, token(card, "Yes"))
    assert posted.delivered
    assert now(cards, card)["title"] == "Contact “Ann” is removed."
    assert (now(cards, card)["status"], controls({"values": now(cards, card)})) == ("done", [])
    cards.quiet()
    assert len([e for e in cards.world.said(GROUP) if e.seq > card.seq]) == 0, "the answer is on the card"
    assert "no contacts" in cards.say("contact list")
    assert not cards.world.refusals()


def test_one_to_one_too_and_words_still_work(cards: Town) -> None:
    cards.say("contact add Ann")
    card = asked(cards, "contact remove Ann", group=False)
    assert (card.person, card.place) == (ADMIN, cards.chat(ADMIN))
    assert "removed" in cards.say("yes")
    cards.client.press(ADMIN, card, token(card, "No"))
    cards.quiet()
    assert "You did that already" in words(cards.world.said(cards.chat(ADMIN))[-1].body)
    assert now(cards, card)["status"] == "open", "what was decided by typing is not undone"


def test_a_button_is_for_who_was_asked_and_others_are_told_so_alone(cards: Town) -> None:
    cards.say("contact add Ann")
    card = asked(cards, "contact remove Ann")
    after = cards.world.last
    cards.client.press(MEMBER, card, token(card, "Yes"))
    assert "This is for Lin to press." in cards.answer(cards.chat(MEMBER), after=after)
    assert now(cards, card)["status"] == "open"
    cards.client.press(ADMIN, card, token(card, "No"))
    assert "nothing is changed" in now(cards, card)["title"]
    assert "1 contact" in cards.say("contact list")


def test_a_press_that_comes_again_or_late_changes_nothing(http_cards: Town) -> None:
    town = http_cards
    town.say("contact add Ann")
    card = asked(town, "contact remove Ann")
    late = asked(town, "contact remove Ann")
    town.client.press(ADMIN, late, token(late, "No"), stamp="1700000000000")
    again = town.client.press(ADMIN, late, token(late, "No"), stamp="1700000000000")
    assert (again.status, again.answer.strip()) == (200, b"{}")
    assert "nothing is changed" in now(town, late)["title"]
    town.client.press(ADMIN, late, token(late, "Yes"))
    town.forward(minutes=3)
    town.client.press(ADMIN, card, token(card, "Yes"))
    assert "This question is over" in now(town, card)["title"]
    town.quiet()
    assert "1 contact" in town.say("contact list")


def test_forged_signatures_and_tokens_change_nothing(http_cards: Town) -> None:
    town = http_cards
    town.say("contact add Ann")
    card = asked(town, "contact remove Ann")
    yes = token(card, "Yes")
    for sign, secret in (("AAAA", None), ("", None), (None, "another")):
        assert town.client.press(ADMIN, card, yes, sign=sign, secret=secret).status == 401
    tampered = yes[:-1] + ("A" if yes[-1] != "A" else "B")
    known = town.world.recall(f"dingtalk:card:{card.ref}")
    for other in (tampered, "x.y", "é", "." * 2000):
        inner = json.dumps({"cardPrivateData": {"params": {"token": other}}})
        body = {"outTrackId": card.ref, "corpId": "dingcorp01", "userId": ADMIN, "content": inner}
        assert town.client.post_card(body, known).status == 403
    assert now(town, card)["status"] == "open"
    assert town.client.press(ADMIN, card, yes, shape="value").status == 200
    assert "removed" in now(town, card)["title"], "the button itself still works, in the other documented shape too"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ("x", 400),
        ({}, 200),
        ({"content": "not json"}, 200),
        ({"content": '{"cardPrivateData":{"params":{"action":"ack"}}}'}, 200),
        ({"content": '{"cardPrivateData":{"params":{"token":5}}}'}, 200),
        ({"content": '{"cardPrivateData":{"params":{"token":"a.b"}}}'}, 400),
        ({"content": {"params": {"token": "a.b"}}, "outTrackId": "t", "userId": "u", "corpId": "c"}, 403),
        ({"content": {"params": {"token": "a.b"}}, "outTrackId": "t", "userId": ["u"], "corpId": "c"}, 400),
    ],
)
def test_what_is_no_press_of_ours_is_refused_or_ignored(http_cards: Town, body: Any, status: int) -> None:
    town = http_cards
    town.say("contact add Ann")
    card = asked(town, "contact remove Ann")
    known = town.world.recall(f"dingtalk:card:{card.ref}")
    assert town.client.post_card(body, known).status == status


def test_a_press_is_answered_while_the_worker_stands_still(cards: Town) -> None:
    cards.say("contact add Ann")
    card = asked(cards, "contact remove Ann")
    cards.quiet()
    cards.service.worker.stop(5.0)
    cards.client.press(ADMIN, card, token(card, "Yes"))
    assert "removed" in now(cards, card)["title"], "within the two seconds of the platform"
    assert not cards.world.refusals()


def test_a_button_outlives_a_restart(http_cards: Town) -> None:
    town = http_cards
    town.say("contact add Ann")
    card = asked(town, "contact remove Ann")
    town.quiet()
    town.close()
    town.open()
    town.client.press(ADMIN, card, token(card, "Yes"))
    assert "removed" in now(town, card)["title"]


def test_long_words_are_said_before_the_card(http_cards: Town) -> None:
    town = http_cards
    for number in range(40):
        town.say(f"contact add Somebody whose name goes on and on and on and on {number:02d}")
    after = town.world.last
    card = asked(town, "contact list")
    card = card if card.ref else town.expect(lambda e: e.kind == "say" and bool(e.ref), after=after)
    whole, short = [e for e in town.world.said(GROUP) if e.seq > after]
    assert short == card
    assert "on and on 19" in words(whole.body)
    assert len(card.body["values"]["text"].encode()) <= 1024
    assert [one["label"] for one in controls(card.body)] == ["More"]
    after = town.world.last
    town.client.press(ADMIN, card, token(card, "More"))
    assert "on and on 39" in town.answer(GROUP, after=after), "a page of its own; the card stays"


@pytest.mark.parametrize(
    "fault", [Refused("param.templateNotExist"), Refused("Forbidden.AccessDenied.ApiCountLimitForOrg")]
)
def test_a_card_that_dingtalk_does_not_take_becomes_words(http_cards: Town, fault: Refused) -> None:
    town = http_cards
    town.say("contact add Ann")
    town.world.fault(CREATE, fault, forever=True)
    said = asked(town, "contact remove Ann")
    assert said.ref == ""
    assert "Reply yes or no within 2 minutes." in words(said.body)
    assert "removed" in town.say("yes", group=True)


def test_a_card_is_not_made_twice_when_an_answer_was_lost(http_cards: Town) -> None:
    town = http_cards
    town.say("contact add Ann")
    town.world.fault(CREATE, Drop(after=True))
    card = asked(town, "contact remove Ann")
    town.forward(seconds=30)
    town.quiet()
    assert [e for e in town.world.said(GROUP) if e.seq >= card.seq] == [card]
    assert town.world.refusals("dingtalk")[-1].note == "param.cardAlreadyExist"


# ---- alerts


def fire(town: Town) -> None:
    town.say("group create dba")
    path = town.source("dba")
    assert town.alert(path, {"title": "disk full", "severity": "critical"}).status_code == 200
    town.quiet()


def test_the_card_of_an_alert_is_for_everybody_and_follows_what_others_do(cards: Town) -> None:
    fire(cards)
    cards.say("help", person=MEMBER)
    card = asked(cards, "alert 1")
    assert [one["label"] for one in controls(card.body)] == ["Acknowledge", "Resolve", "Silence 2 h"]
    cards.client.press(MEMBER, card, token(card, "Acknowledge"))
    assert "Wang has alert #1" in now(cards, card)["text"]
    assert [one["label"] for one in controls({"values": now(cards, card)})] == ["Give back", "Resolve", "Silence 2 h"]
    after = cards.world.last
    cards.say("resolve 1")
    cards.expect(lambda e: e.kind == "update" and e.ref == card.ref, after=after)
    assert now(cards, card)["status"] == "done"


def test_a_card_that_cannot_be_changed_any_more_is_followed_by_a_message(http_cards: Town) -> None:
    town = http_cards
    fire(town)
    card = asked(town, "alert 1")
    town.quiet()
    town.world.fault(UPDATE, Refused("param.cardNotExist"))
    after = town.world.last
    town.say("ack 1")
    new = town.expect(lambda e: e.kind == "say" and e.place == GROUP, after=after)
    assert new.ref not in ("", card.ref)


# ---- the page


def page(town: Town, path: str) -> str:
    answer = requests.get(town.url + path, timeout=20)
    assert answer.status_code == 200
    return html.unescape(answer.text)


def press(town: Town, path: str, **headers: str) -> requests.Response:
    return requests.post(town.url + path, headers=headers, timeout=20)


def test_without_a_template_one_to_one_a_page_asks_again(town: Town) -> None:
    town.say("contact add Ann")
    card = asked(town, "contact remove Ann", group=False)
    buttons = card.body["actionCard"]["btns"]
    assert [one["title"] for one in buttons] == ["Yes", "No"]
    assert "Reply yes or no within 2 minutes." in card.body["actionCard"]["text"]
    yes = LINK.fullmatch(buttons[0]["actionURL"])
    assert yes
    for _again in range(2):
        shown = page(town, yes[1])
        assert "Do this?" in shown
        assert ">yes<" in shown
        assert "in the name of Lin" in shown
    assert requests.head(town.url + yes[1], timeout=20).status_code == 200
    assert "1 contact" in town.say("contact list"), "looking changes nothing"
    after = town.world.last
    assert "is removed" in html.unescape(press(town, yes[1]).text)
    assert "is removed" in town.answer(town.chat(ADMIN), after=after), "the chat hears of it as well"
    assert "You did that already" in page(town, yes[1])
    assert "You did that already" in html.unescape(press(town, yes[1]).text)
    assert "no contacts" in town.say("contact list")


def test_without_a_session_the_app_draws_the_same_buttons(town: Town) -> None:
    town.say("contact add Ann")
    town.forward(hours=2)
    after = town.world.last
    town.client.type(ADMIN, "contact remove Ann", session=False)
    town.answer(town.chat(ADMIN), after=after)
    said = town.world.said(town.chat(ADMIN))[-1].body
    assert said["msgKey"] == "sampleActionCard2"
    assert (said["msgParam"]["actionTitle1"], said["msgParam"]["actionTitle2"]) == ("Yes", "No")
    assert LINK.fullmatch(said["msgParam"]["actionURL1"])


def test_without_a_template_a_group_has_the_words_only(town: Town) -> None:
    town.say("contact add Ann")
    said = asked(town, "contact remove Ann")
    assert said.body["msgtype"] == "markdown"
    assert not LINK.search(words(said.body))
    assert "Reply yes or no within 2 minutes." in words(said.body)


def test_a_page_is_guarded_against_preview_leak_and_foreign_sites(town: Town) -> None:
    town.say("contact add Ann")
    yes = LINK.findall(words(asked(town, "contact remove Ann", group=False).body))[0]
    answer = requests.get(town.url + yes, timeout=20)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "noindex" in answer.headers["X-Robots-Tag"]
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|src=|@import|url\(", answer.text)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}, {"Origin": "https://evil.example"}):
        assert press(town, yes, **headers).status_code == 403
    assert "1 contact" in town.say("contact list")
    assert press(town, yes, **{"Sec-Fetch-Site": "same-origin", "Origin": "null"}).status_code == 200
    assert "no contacts" in town.say("contact list")


def test_a_forged_link_is_refused_in_the_readers_language(town: Town) -> None:
    town.say("contact add Ann")
    yes = LINK.findall(words(asked(town, "contact remove Ann", group=False).body))[0]
    for path in (yes[:-1] + ("A" if yes[-1] != "A" else "B"), "/confirm/x", "/confirm/%F0%9F.%ff"):
        for answer in (requests.get(town.url + path, timeout=20), press(town, path)):
            assert answer.status_code == 403
            assert "not one of ours" in answer.text
    assert "1 contact" in town.say("contact list")
    chinese = requests.get(f"{town.url}/confirm/x", headers={"Accept-Language": "zh-CN,zh;q=0.9"}, timeout=20)
    assert 'lang="zh-CN"' in chinese.text


def test_a_link_that_is_too_late_says_so(town: Town) -> None:
    town.say("contact add Ann")
    yes = LINK.findall(words(asked(town, "contact remove Ann", group=False).body))[0]
    town.forward(minutes=3)
    assert "This question is over" in html.unescape(press(town, yes).text)
    town.forward(minutes=30)
    assert "too old" in page(town, yes)
    assert "too old" in html.unescape(press(town, yes).text)
    assert "1 contact" in town.say("contact list")


def with_robot(town: Town) -> None:
    town.say(f"contact add Ops {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP), group=True)
    town.say("group create dba members Ops")


def test_the_card_of_an_alert_has_links_and_the_first_visitor_takes_it_for_the_contact(town: Town) -> None:
    with_robot(town)
    after = town.world.last
    assert town.alert(town.source("dba"), {"title": "disk <b>full</b>", "severity": "critical"}).status_code == 200
    card = town.expect(lambda e: e.kind == "card" and "disk" in words(e.body), after=after)
    buttons = card.body["actionCard"]["btns"]
    assert [one["title"] for one in buttons] == ["Acknowledge", "Resolve", "Silence 2 h"]
    ack, resolve, _silence = (LINK.findall(one["actionURL"])[0] for one in buttons)
    assert ">ack #1<" in page(town, ack)
    assert "in the name of Ops" in page(town, ack)
    first = press(town, ack)
    assert "Ops has alert #1: disk <b>full</b>" in html.unescape(first.text)
    assert "<b>full" not in first.text
    for second in (page(town, ack), html.unescape(press(town, ack).text)):
        assert "Ops did that already, at 2026-03-02 17:00:00 +08:00: ack #1" in second
    assert "Ops" in town.say("alert 1")
    assert "is resolved" in html.unescape(press(town, resolve).text)
    assert "RESOLVED" in town.say("alert 1")
    assert "already" in html.unescape(press(town, resolve).text)


def test_the_links_are_the_same_in_every_try(town: Town) -> None:
    with_robot(town)
    path = town.source("dba")
    town.quiet()
    town.world.fault(f"dingtalk:{ROBOT}", Drop(after=True))
    after = town.world.last
    town.alert(path, {"title": "disk full", "severity": "critical"})
    first = town.expect(lambda e: e.kind == "card" and "disk" in words(e.body), after=after)
    town.forward(minutes=2)
    second = town.expect(lambda e: e.kind == "repeat", after=after)
    assert second.body["actionCard"]["btns"] == first.body["actionCard"]["btns"]


def test_a_mail_has_the_links_and_a_text_message_has_none(town: Town) -> None:
    for address, place in (("13800138000", "+8613800138000"), ("ann@example.com", "ann@example.com")):
        after = town.world.last
        town.say(f"me name Ann {address}" if address[0] == "1" else f"me {address}")
        town.say(town.code_for(place, after=after))
    town.say("group create dba members Ann")
    after = town.world.last
    town.alert(town.source("dba"), {"title": "disk full", "severity": "critical"})
    mail = town.expect(lambda e: e.kind == "mail", after=after)
    assert len(set(LINK.findall(mail.body["plain"]))) == 3  # acknowledge, resolve, silence
    assert LINK.search(html.unescape(mail.body["html"]))
    sms = town.expect(lambda e: e.kind == "sms", after=after)
    assert "confirm" not in words(sms.body)


def test_a_chinese_card_leads_to_a_chinese_page(make_town: MakeTown) -> None:
    town = make_town(default_language="zh")
    town.say("language zh", group=True)
    with_robot(town)
    after = town.world.last
    assert town.alert(town.source("dba"), {"title": "磁盘已满", "severity": "critical"}).status_code == 200
    card = town.expect(lambda e: e.kind == "card" and "磁盘" in words(e.body), after=after)
    ack = LINK.findall(card.body["actionCard"]["btns"][0]["actionURL"])[0]
    shown = page(town, ack)
    assert ">认领 #1<" in shown
    assert 'lang="zh-CN"' in shown
    done = press(town, ack)
    assert "磁盘已满" in done.text
    assert 'lang="zh-CN"' in done.text


def test_what_a_link_did_in_a_group_is_said_there(town: Town) -> None:
    fire(town)
    shown = asked(town, "alert 1")
    ack = LINK.findall(words(shown.body))[0]
    assert "in the name of oncall" in page(town, ack)
    after = town.world.last
    assert "oncall has alert #1" in html.unescape(press(town, ack).text)
    assert "oncall has alert #1" in town.answer(GROUP, after=after)
    assert "****" in town.say("contact add Zed 13800138000", group=True), "the group is still a group"


def test_an_acknowledged_alert_is_only_to_be_resolved_and_a_recovery_has_no_links(town: Town) -> None:
    with_robot(town)
    path = town.source("dba")
    alert = {"title": "disk full", "severity": "critical", "fingerprint": "f1"}
    town.alert(path, alert)
    town.quiet()
    town.say("ack 1")
    town.forward(hours=5)
    after = town.world.last
    town.alert(path, alert)
    again = town.expect(lambda e: e.kind == "card" and "disk" in words(e.body), after=after)
    assert [one["title"] for one in again.body["actionCard"]["btns"]] == ["Resolve", "Silence 2 h"]
    after = town.world.last
    town.alert(path, {**alert, "status": "resolved"})
    over = town.expect(lambda e: e.kind == "card" and "disk" in words(e.body), after=after)
    assert not LINK.search(words(over.body))


def test_without_a_public_address_no_card_has_a_link_of_ours(make_town: MakeTown) -> None:
    town = make_town(public_url="")
    town.say("contact add Ann")
    said = asked(town, "contact remove Ann", group=False)
    assert "confirm" not in words(said.body)
    assert said.body["msgtype"] == "markdown"
