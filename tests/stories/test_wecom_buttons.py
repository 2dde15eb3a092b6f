"""WeCom's buttons: the app's cards, the robot's cards in groups, who may press what, forgeries, repeats, deadlines."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.markup.wecom_card import DONE as DONE_KEY
from bot.sandbox.wecom_cards import controls
from bot.sandbox.wecom_client import Keys, Posted
from bot.sandbox.world import Drop, Event, Refused, Slow
from tests.stories.conftest import words
from tests.stories.wecom_town import ADMIN, APP_KEYS, GROUP, MEMBER, OTHER, WITHOUT_APP, WeComTown, Where, make, town

__all__ = ["make", "town"]  # fixtures

DEADLINE_S = 5.0
WHERE: tuple[Where, ...] = ("app", "single", "group")


def asked(town: WeComTown, where: Where, text: str = "contact remove Ann", person: str = ADMIN) -> Event:
    """Somebody types; the message with buttons that follows, once the service knows that it was said."""
    town.quiet()
    after = town.world.last
    town.types(text, where, person)
    place = town.place(where, person)
    event = town.expect(lambda e: e.place == place and e.kind == "say" and bool(controls(e.body)), after=after)
    town.quiet()
    return event


def token(event: Event, label: str) -> str:
    [found] = [one["token"] for one in controls(event.body) if one["label"] == label]
    return str(found)


def pressed(town: WeComTown, event: Event, label: str, person: str = ADMIN) -> Posted:
    posted = town.wecom.press(person, event, token(event, label))
    town.quiet()
    return posted


def labels(event: Event) -> list[str]:
    return [one["label"] for one in controls(event.body)]


def ann_exists(town: WeComTown) -> bool:
    return "Ann" in town.said("contact list")


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("label", "stays"), [("Yes", False), ("No", True)])
def test_a_question_is_answered_by_a_button_and_its_card_shows_what_became_of_it(
    town: WeComTown, where: Where, label: str, stays: bool
) -> None:
    town.said("contact add Ann", where)
    question = asked(town, where)
    assert "Reply yes or no" in words(question.body)
    assert [(one["label"], one["style"]) for one in controls(question.body)] == [("Yes", "danger"), ("No", "plain")]
    after = town.world.last
    assert pressed(town, question, label).status == 200
    told = town.world.after(after)
    assert [(event.kind, event.ref, event.person) for event in told] == [
        ("update", question.ref, ADMIN if where == "app" else "")
    ]
    assert ("nothing is changed" if stays else "is removed") in words(told[0].body["template_card"])
    assert labels(told[0]) in ([], ["Done"])
    assert ann_exists(town) == stays
    assert not town.world.refusals("wecom")


def test_words_that_fit_stand_on_the_card_alone_and_longer_ones_before_it(town: WeComTown) -> None:
    town.said("contact add Ann")
    question = asked(town, "app")
    assert [event.body["msgtype"] for event in town.world.said(town.place("app"))] == ["markdown", "template_card"]
    assert "Reply yes or no" in question.body["template_card"]["sub_title_text"]
    town.said("group create dba")
    for number in range(4):
        town.said(f"source add a-source-with-a-long-name-{number} json to dba")
    after = town.world.last
    town.types("group delete dba")
    town.quiet()
    [first, card] = [event for event in town.world.after(after) if event.kind == "say"]
    assert "Reply yes or no" in words(first.body)
    assert (first.body["msgtype"], card.body["msgtype"]) == ("markdown", "template_card")
    assert "sub_title_text" not in card.body["template_card"]


def test_in_a_group_the_words_and_the_buttons_are_one_answer_in_the_response(town: WeComTown) -> None:
    town.said("contact add Ann", "group")
    posted = town.types("contact remove Ann", "group")
    assert posted.content_type.startswith("text/plain")
    assert posted.reply["msgtype"] == "stream_with_template_card"
    assert posted.reply["stream"]["finish"] is True
    town.quiet()
    assert [event.body["msgtype"] for event in town.world.said(GROUP)][1:] == ["stream_with_template_card"]


def test_what_is_typed_still_answers_a_question_with_buttons(town: WeComTown) -> None:
    town.said("contact add Ann", "group")
    question = asked(town, "group")
    assert "is removed" in town.said("yes", "group")
    after = town.world.last
    pressed(town, question, "Yes")
    told = "\n".join(words(event.body) for event in town.world.after(after))
    assert "already" in told
    assert not town.world.refusals("wecom")


@pytest.mark.parametrize("settings", [{}, WITHOUT_APP], ids=["with the app", "robot only"])
def test_somebody_elses_question_is_not_answered_by_a_press(
    make: Callable[..., WeComTown], settings: dict[str, str]
) -> None:
    town = make(**settings)
    town.said("contact add Ann", "group")
    question = asked(town, "group")
    after = town.world.last
    assert pressed(town, question, "Yes", OTHER).status == 200
    told = [event for event in town.world.after(after) if event.kind in ("say", "update")]
    assert "to press" in "\n".join(words(event.body) for event in told)
    assert {event.person for event in told} == {OTHER}, "nobody else sees a change"
    assert "Ann" in town.said("contact list", "group")
    assert not town.world.refusals("wecom")


def open_alert(town: WeComTown) -> None:
    """Alert 1 is reported."""
    town.said("group create dba")
    url = re.search(r"https://callboard\.example\.com(/alerts/json/[a-z0-9]+)", town.said("source add src json to dba"))
    assert url is not None
    town.alert(url[1], {"title": "disk full", "severity": "critical", "status": "firing"})
    town.quiet()


def test_a_second_press_is_told_who_was_first(town: WeComTown) -> None:
    open_alert(town)
    card = asked(town, "group", "alert 1")
    after = town.world.last
    pressed(town, card, "Acknowledge", MEMBER)
    [update] = [event for event in town.world.after(after) if event.kind == "update"]
    assert (update.person, labels(update)) == ("", ["Give back", "Resolve", "Silence 2 h"])
    after = town.world.last
    pressed(town, card, "Acknowledge", OTHER)
    told = [event for event in town.world.after(after) if event.kind in ("say", "update")]
    assert "already" in "\n".join(words(event.body) for event in told)
    assert {event.person for event in told} == {OTHER}
    pressed(town, update, "Give back", OTHER)
    assert "Nobody has alert" in words(town.world.events[-1].body)
    assert not town.world.refusals("wecom")


def test_the_card_of_an_alert_in_the_app_changes_in_place_with_each_press(town: WeComTown) -> None:
    open_alert(town)
    card = asked(town, "app", "alert 1")
    assert labels(card) == ["Acknowledge", "Resolve", "Silence 2 h"]
    for label, then in (
        ("Acknowledge", ["Give back", "Resolve", "Silence 2 h"]),
        ("Give back", ["Acknowledge", "Resolve", "Silence 2 h"]),
    ):
        after = town.world.last
        pressed(town, card, label)
        card = [event for event in town.world.after(after) if event.kind == "update"][-1]
        assert labels(card) == then
    after = town.world.last
    pressed(town, card, "Resolve")
    assert labels([event for event in town.world.after(after) if event.kind == "update"][-1]) == []
    assert "No alert is open" in town.said("alerts")


def test_the_card_of_an_alert_in_the_app_follows_what_others_do(town: WeComTown) -> None:
    open_alert(town)
    card = asked(town, "app", "alert 1")
    after = town.world.last
    town.types("ack 1", "group", MEMBER)
    update = town.expect(lambda e: e.kind == "update", after=after)
    assert (update.place, update.ref, labels(update)) == (card.place, card.ref, ["Give back", "Resolve", "Silence 2 h"])
    town.forward(seconds=5)
    after = town.world.last
    town.types("unack 1", "group", MEMBER)
    newer = town.expect(lambda e: e.place == card.place and e.kind in ("say", "update"), after=after)
    town.quiet()
    assert "Acknowledged by" not in words(newer.body), "the code is used up: a new message shows it"
    assert not town.world.refusals("wecom")


@pytest.mark.parametrize("where", WHERE)
def test_a_press_that_comes_too_late_changes_nothing_and_says_so(town: WeComTown, where: Where) -> None:
    town.said("contact add Ann", where)
    question = asked(town, where)
    town.forward(minutes=3)
    after = town.world.last
    pressed(town, question, "Yes")
    told = [event for event in town.world.after(after) if event.kind in ("say", "update")]
    assert "This question is over" in "\n".join(words(event.body) for event in told)
    assert ann_exists(town)
    town.forward(minutes=40)
    after = town.world.last
    pressed(town, question, "Yes")
    assert "too old" in "\n".join(words(event.body) for event in town.world.after(after))
    assert ann_exists(town)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("forged", ["x", "", "a.b", "changed", "x" * 1024, "值"])
def test_a_key_that_is_not_ours_is_refused_and_changes_nothing(town: WeComTown, where: Where, forged: str) -> None:
    town.said("contact add Ann", where)
    question = asked(town, where)
    after = town.world.last
    card = dict(question.body["template_card"])
    right = card["button_list"][0]["key"]
    key = (right[:-1] + ("A" if right[-1] != "A" else "B")) if forged == "changed" else forged
    card["button_list"] = [{"text": "Yes", "style": 1, "key": key}]
    posted = town.wecom.press(ADMIN, replace(question, body={**question.body, "template_card": card}), key)
    assert posted.status == 403
    assert right not in posted.answer.decode()
    town.quiet()
    assert town.world.last == after
    assert ann_exists(town)


def test_a_forged_callback_with_a_right_button_is_refused(town: WeComTown) -> None:
    town.said("contact add Ann")
    question = asked(town, "app")
    for forgery in (
        {"signature": "0" * 40},
        {"keys": Keys("x", APP_KEYS.aes_key)},
        {"skew_s": -601.0},
        {"tamper": True},
    ):
        assert town.wecom.press(ADMIN, question, token(question, "Yes"), **forgery).status == 401
    town.quiet()
    assert ann_exists(town)


@pytest.mark.parametrize("where", WHERE)
def test_a_press_delivered_again_counts_once_also_across_a_restart(town: WeComTown, where: Where) -> None:
    town.said("contact add Ann", where)
    question = asked(town, where)
    posted = pressed(town, question, "Yes")
    town.said("contact add Ann", where)
    for _life in range(2):
        after = town.world.last
        again = town.wecom.again(posted)
        town.quiet()
        assert (again.status, again.answer) == (200, b"")
        assert town.world.last == after
        town.close()
        town.open()
    assert ann_exists(town)


@pytest.mark.parametrize("where", WHERE)
def test_presses_are_answered_in_time_while_the_worker_is_stalled(town: WeComTown, where: Where) -> None:
    town.said("contact add Ann", where)
    question = asked(town, where)
    go_on = threading.Event()
    town.world.fault("wecom", Slow(go_on), forever=True)
    try:
        town.types("help")  # its answer occupies the worker
        town.service.inbox.stop(5.0)
        started = time.monotonic()
        posted = town.wecom.press(ADMIN, question, token(question, "Yes"))
        more = town.types("contact list", where)
        assert time.monotonic() - started < DEADLINE_S
        assert (posted.status, more.status) == (200, 200)
        assert bool(posted.reply) == (where != "app")
    finally:
        go_on.set()


@pytest.mark.parametrize(
    "fault", [Refused(40058), Refused(42017), Refused(81013)], ids=["refused", "unknown", "not reached"]
)
def test_a_card_that_cannot_be_changed_any_more_is_followed_by_a_message(town: WeComTown, fault: Refused) -> None:
    town.said("contact add Ann")
    question = asked(town, "app")
    town.world.fault("wecom:/cgi-bin/message/update_template_card", fault)
    after = town.world.last
    pressed(town, question, "Yes")
    [told] = [event for event in town.world.after(after) if event.kind == "say"]
    assert "is removed" in words(told.body)


@pytest.mark.parametrize("fault", [Refused(-1), Drop(), Drop(after=True)])
def test_a_change_that_did_not_get_through_is_made_later(town: WeComTown, fault: Any) -> None:
    town.said("contact add Ann")
    question = asked(town, "app")
    town.world.fault("wecom:/cgi-bin/message/update_template_card", fault)
    after = town.world.last
    pressed(town, question, "Yes")
    for _try in range(3):
        town.forward(seconds=20)
    told = town.expect(lambda e: e.kind in ("say", "update"), after=after)
    assert "is removed" in words(told.body)


def test_a_worn_token_is_renewed_for_a_change_as_well(town: WeComTown) -> None:
    town.said("contact add Ann")
    question = asked(town, "app")
    town.stand_ins.wecom_app.expire_tokens()
    after = town.world.last
    pressed(town, question, "Yes")
    assert [event.kind for event in town.world.after(after)] == ["refused", "update"]
    assert [event.note for event in town.world.refusals("wecom")] == ["40014"]


def test_a_card_that_wecom_does_not_take_leaves_the_words(town: WeComTown) -> None:
    town.said("contact add Ann")
    town.world.fault("wecom:/cgi-bin/message/send", Refused(40058))
    after = town.world.last
    town.types("contact remove Ann")
    town.quiet()
    [told] = [event for event in town.world.after(after) if event.kind == "say"]
    assert told.body["msgtype"] == "markdown"
    assert "Reply yes or no" in words(told.body)
    assert "is removed" in town.said("yes")


def test_the_button_of_a_card_that_is_done_does_nothing(town: WeComTown) -> None:
    town.said("contact add Ann", "group")
    pressed(town, asked(town, "group"), "Yes")
    done = town.world.events[-1]
    assert [one["token"] for one in controls(done.body)] == [DONE_KEY]
    after = town.world.last
    posted = town.wecom.press(OTHER, done, DONE_KEY)
    assert (posted.status, posted.answer) == (200, b"")
    town.quiet()
    assert town.world.last == after


@pytest.mark.parametrize("where", WHERE)
def test_what_a_changed_card_has_no_room_for_follows_whole_as_a_message(town: WeComTown, where: Where) -> None:
    town.said("group create dba")
    for number in range(4):
        town.said(f"source add a-source-with-a-long-name-{number} json to dba")
    question = asked(town, where, "group delete dba")
    after = town.world.last
    pressed(town, question, "Yes")
    # The card changes by the answer to its callback, the message comes by itself: either may be first.
    [whole, card] = sorted(
        (event for event in town.world.after(after) if event.kind in ("say", "update")), key=lambda event: event.kind
    )
    assert (card.kind, whole.kind, whole.place) == ("update", "say", town.place(where))
    for event in (card, whole):
        assert "Group “dba” is deleted." in words(event.body)
    assert "…" in card.body["template_card"]["sub_title_text"]
    assert "a-source-with-a-long-name-3. Give them another group" in words(whole.body)
    assert not town.world.refusals("wecom")


def test_somebody_who_opens_the_conversation_is_greeted(town: WeComTown) -> None:
    posted = town.wecom.enter(MEMBER)
    assert posted.reply["msgtype"] == "text"
    assert "help" in town.answer(town.place("single", MEMBER))
    assert not town.world.refusals("wecom")


def test_a_stream_that_is_asked_for_again_has_ended(town: WeComTown) -> None:
    body = {"msgtype": "stream", "msgid": "s1", "from": {"userid": ADMIN}, "stream": {"id": "unknown"}}
    posted = town.wecom.post("bot", body)
    assert posted.reply["stream"]["id"] == "unknown"
    assert posted.reply["stream"]["finish"] is True
    assert posted.reply["stream"]["content"].strip()
    assert not town.world.refusals("wecom")
