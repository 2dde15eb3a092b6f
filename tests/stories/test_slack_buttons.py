"""Slack: buttons, forms, the app's own page and the shortcut on messages, pressed by the right person and by others."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bot.sandbox.slack_app import SlackClient, controls
from bot.sandbox.slack_socket import SocketGateway
from bot.sandbox.world import Broken, Drop, Event, Refused
from tests.stories.conftest import words
from tests.stories.slack_town import CHANNEL, LIN, TEAM, WANG, WORKSPACE, ZHAO, SlackTown, Way, make, town

__all__ = ["make", "town"]  # fixtures

PHONE, MAIL = "+8613800138000", "ann@example.com"
WAYS: tuple[Way, ...] = ("direct", "mention", "command", "command in chat")
OPEN = "Open the form"


def labels(event: Event) -> list[str]:
    return [str(one["label"]) for one in controls(event.body)]


def an_alert(town: SlackTown) -> None:
    """Alert #1, open, in the group dba."""
    town.asks("group create dba")
    told = town.asks("source add prod json to dba")
    path = re.search(r"/alerts/json/[A-Za-z0-9_-]+", told)
    assert path
    assert town.alert(path[0], {"title": "disk full", "severity": "critical"}).status_code == 200
    town.quiet()


# ---- yes and no


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("label", "left"), [("Yes", 0), ("No", 1)])
def test_a_question_is_answered_in_its_own_place(town: SlackTown, way: Way, label: str, left: int) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann", way=way)
    assert labels(asked) == ["Yes", "No"]
    assert "yes or no" in words(asked.body), "the words say what can be typed instead"
    after = town.world.last
    posted = town.presses(asked, label)
    assert (posted.status, posted.answer) == (200, b"")
    shown = town.now_shows(asked)
    assert ("is removed" if label == "Yes" else "nothing is changed") in shown
    assert not labels(town.newest(asked))
    assert not town.told(town.place(LIN, way), after), "nothing is said beside"
    assert ("no contacts" in town.asks("contact list")) is not left
    assert not town.world.refusals("slack")


def test_buttons_come_in_both_languages(town: SlackTown) -> None:
    town.asks("添加联系人 张伟")
    asked = town.card("删除联系人 张伟", way="command")
    assert labels(asked) == ["是", "否"]
    town.presses(asked, "是")
    assert "已删除" in town.now_shows(asked)


def test_typing_and_pressing_answer_the_same_question(town: SlackTown) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann")
    assert "is removed" in town.asks("yes")
    after = town.world.last
    town.presses(asked, "Yes")
    assert "already" in town.told("D0LIN", after)[0]
    assert town.newest(asked) == asked, "the message stays as it is"


def test_what_one_person_is_asked_nobody_else_answers(town: SlackTown) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann", way="mention")
    after = town.world.last
    assert town.presses(asked, "Yes", person=WANG).status == 200
    assert "to press" in town.whispered(WANG, after)[0]
    assert len(town.told(CHANNEL, after)) == 1, "told to that person alone, where it was pressed"
    assert town.newest(asked) == asked
    assert "1 contact" in town.asks("contact list")
    town.presses(asked, "No")
    assert "nothing is changed" in town.now_shows(asked)


def test_a_question_that_is_over_says_so(town: SlackTown) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann")
    town.forward(minutes=3)
    town.presses(asked, "Yes")
    assert "This question is over" in town.now_shows(asked)
    town.forward(minutes=30)
    after = town.world.last
    town.presses(asked, "Yes")
    assert "too old" in town.told("D0LIN", after)[0]
    assert "1 contact" in town.asks("contact list")


@pytest.mark.parametrize("fresh", [True, False], ids=["again", "replayed"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_click_that_comes_again_is_handled_once(town: SlackTown, fresh: bool, restart: bool) -> None:
    town.asks("contact add Ann")
    posted = town.presses(town.card("contact remove Ann"), "Yes")
    town.quiet()
    if restart:
        town.close()
        town.open()
    after = town.world.last
    again = town.slack.again(posted, fresh=fresh)
    assert (again.status, again.answer) == (200, b"")
    town.settle()
    assert town.world.last == after


def test_a_double_click_is_carried_out_once(town: SlackTown) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann")
    town.settle()
    after = town.world.last
    token = controls(asked.body)[0]["token"]
    clicks = [threading.Thread(target=town.slack.press, args=(LIN, asked, token)) for _click in range(2)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    town.settle()
    assert "is removed" in town.now_shows(asked)
    assert ["already" in one for one in town.told("D0LIN", after)] == [True]


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: "x" + t, lambda _t: "x.y"]
)
def test_a_tampered_button_is_refused_and_changes_nothing(town: SlackTown, change: Callable[[str], str]) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann")
    town.settle()
    after = town.world.last
    posted = town.presses(asked, "Yes", carries=change(controls(asked.body)[0]["token"]))
    assert posted.status == 403
    town.quiet()
    assert town.world.last == after
    assert "1 contact" in town.asks("contact list")


@pytest.mark.parametrize(
    "forgery",
    [{"sign": "v0=" + "0" * 64}, {"secret": "another"}, {"skew_s": -301}],
    ids=["nonsense", "secret", "stale"],
)
def test_a_forged_click_is_refused(town: SlackTown, forgery: dict[str, Any]) -> None:
    town.asks("contact add Ann")
    assert town.presses(town.card("contact remove Ann"), "Yes", **forgery).status == 401
    assert "1 contact" in town.asks("contact list")


def test_a_button_from_another_message_works_for_nobody_else_and_nowhere_else(town: SlackTown) -> None:
    an_alert(town)
    shown = town.card("alert 1", way="command")
    public = town.card("alert 1", way="mention")
    after = town.world.last
    town.presses(public, "Acknowledge", carries=controls(shown.body)[0]["token"])
    assert "another conversation" in town.whispered(LIN, after)[0]
    assert "acknowledged" not in town.asks("alert 1").lower()


@pytest.mark.parametrize("way", WAYS)
def test_slack_is_answered_in_time_while_everything_behind_is_stalled(town: SlackTown, way: Way) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann", way=way)
    town.settle()
    town.service.inbox.stop(5.0)
    town.service.worker.stop(5.0)
    began = time.monotonic()
    posted = town.slack.press(LIN, asked, controls(asked.body)[0]["token"])
    assert time.monotonic() - began < 3.0
    assert (posted.status, posted.answer) == (200, b"")
    assert town.world.last == asked.seq
    town.close()
    town.open()
    assert "is removed" in town.now_shows(asked)


# ---- what cannot be changed any more


@pytest.mark.parametrize("word", ["message_not_found", "cant_update_message", "edit_window_closed"])
def test_an_answer_whose_message_cannot_be_changed_is_a_new_one(town: SlackTown, word: str) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann", way="mention")
    town.world.fault("slack:/api/chat.update", Refused(word))
    after = town.world.last
    town.presses(asked, "Yes")
    assert "is removed" in town.answer(CHANNEL, after=after)


@pytest.mark.parametrize("word", ["used_url", "expired_url"])
def test_an_ephemeral_answer_that_cannot_be_changed_is_followed_by_another(town: SlackTown, word: str) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann", way="command")
    town.world.fault("slack:/actions/", Refused(word))
    after = town.world.last
    town.presses(asked, "Yes")
    assert "is removed" in town.answer(CHANNEL, after=after)
    assert town.world.said(CHANNEL)[-1].note == "ephemeral"


@pytest.mark.parametrize("fault", [Refused("ratelimited"), Broken(502, "<html>"), Drop()])
def test_a_change_that_is_refused_for_now_is_tried_again(town: SlackTown, fault: Any) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann")
    town.world.fault("slack:/api/chat.update", fault)
    town.presses(asked, "Yes")
    town.quiet()
    assert town.newest(asked) == asked
    town.forward(seconds=30)
    assert "is removed" in town.now_shows(asked)


def test_blocks_that_are_refused_in_a_change_become_text(town: SlackTown) -> None:
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann")
    town.world.fault("slack:/api/chat.update", Refused("invalid_blocks"))
    town.presses(asked, "Yes")
    assert "is removed" in town.now_shows(asked)
    assert "blocks" not in town.newest(asked).body


# ---- alerts: for everybody in the conversation


def test_an_alert_is_acknowledged_once_and_whoever_is_late_is_told(town: SlackTown) -> None:
    an_alert(town)
    town.asks("me", person=WANG, way="command")
    shown, mine = town.card("alert 1", way="mention"), town.card("alert 1")
    assert labels(shown) == ["Acknowledge", "Resolve", "Silence 2 h"]
    town.presses(shown, "Acknowledge", person=WANG)
    assert "Give back" in town.now_shows(shown)
    assert "Wang has alert #1" in town.now_shows(shown)
    town.settle()
    assert "Give back" in town.now_shows(mine), "the card elsewhere follows"
    after = town.world.last
    town.presses(shown, "Acknowledge", person=ZHAO)
    assert "already" in town.whispered(ZHAO, after)[0]
    town.presses(town.newest(mine), "Resolve")
    town.settle()
    assert "RESOLVED" in town.now_shows(shown).upper()
    assert not labels(town.newest(shown))
    assert not town.world.refusals("slack")


def test_what_is_pressed_in_a_thread_is_answered_there(town: SlackTown) -> None:
    for number in range(21):
        town.asks(f"contact add Person {number:02}")
    parent = town.stand_ins.slack_app.stamp()
    listed = town.card("contact list", way="mention", thread=parent)
    after = town.world.last
    town.asks("help", way="mention")
    town.presses(listed, "More")
    answer = town.expect(lambda e: e.kind == "say" and "Person 20" in words(e.body), after=after)
    assert answer.body["thread_ts"] == parent


# ---- forms


@pytest.mark.parametrize("way", ["command", "command in chat"])
def test_a_contact_is_added_by_a_form_that_says_what_is_wrong(town: SlackTown, way: Way) -> None:
    form = town.form("contact add", way=way)
    (control,) = controls(form.body)
    assert {"name", "phone", "email"} <= set(control["fields"])
    assert not town.world.said(town.place(LIN, way)), "the form stands for the answer"
    town.submits(form, {"name": "Ann", "phone": "12"})
    wrong = town.newest(form)
    assert wrong.note == "errors"
    assert list(wrong.body["errors"]) == ["phone"]
    assert "no contacts" in town.asks("contact list")
    posted = town.submits(wrong, {"name": "Ann", "phone": PHONE, "email": MAIL})
    assert (posted.status, posted.answer) == (200, b"")
    assert town.newest(form).body is None
    town.settle()
    assert "Ann" in words(town.world.said(town.place(LIN, way))[-1].body)
    town.asks(town.code_for(PHONE))
    town.asks(town.code_for(MAIL))
    assert town.asks("contact show Ann").count("(active)") == 2
    assert not town.world.refusals("slack")


def test_slacks_own_client_objects_before_anything_is_sent(town: SlackTown) -> None:
    form = town.form("contact add")
    assert not town.submits(form, {"name": ""}).delivered
    assert list(town.newest(form).body["errors"]) == ["name"]


@pytest.mark.parametrize("way", ["direct", "mention"])
def test_where_nothing_lets_a_form_open_a_button_does(town: SlackTown, way: Way) -> None:
    shown = town.card("contact add", way=way)
    assert OPEN in labels(shown)
    assert "contact add" in words(shown.body), "the words say what can be typed instead"
    after = town.world.last
    town.presses(shown, OPEN)
    form = town.expect(lambda e: e.kind == "form", after=after)
    after = town.world.last
    town.submits(form, {"name": "Ann"})
    assert town.newest(form).body is None
    assert "Ann" in town.answer(town.place(LIN, way), after=after)


def test_a_form_opened_in_a_thread_is_answered_there(town: SlackTown) -> None:
    parent = town.stand_ins.slack_app.stamp()
    shown = town.card("contact add", way="mention", thread=parent)
    after = town.world.last
    town.presses(shown, OPEN)
    form = town.expect(lambda e: e.kind == "form", after=after)
    town.asks("help", way="mention")
    after = town.world.last
    town.submits(form, {"name": "Ann"})
    town.answer(CHANNEL, after=after)
    assert town.world.said(CHANNEL)[-1].body["thread_ts"] == parent


def test_a_form_is_for_the_person_who_asked(town: SlackTown) -> None:
    shown = town.card("contact add", way="mention")
    after = town.world.last
    town.presses(shown, OPEN, person=WANG)
    assert "to press" in town.whispered(WANG, after)[0]
    assert not [e for e in town.world.events if e.kind == "form"]


@pytest.mark.parametrize(
    "word", ["expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", "invalid_arguments"]
)
def test_a_form_that_is_not_opened_waits_behind_a_button(town: SlackTown, word: str) -> None:
    town.world.fault("slack:/api/views.open", Refused(word))
    shown = town.card("contact add", way="command")
    assert labels(shown) == [OPEN]
    after = town.world.last
    town.presses(shown, OPEN)
    town.expect(lambda e: e.kind == "form", after=after)


def test_a_form_whose_moment_is_over_waits_behind_a_button(town: SlackTown) -> None:
    town.service.worker.stop(5.0)
    town.slack.command(LIN, "contact add", group=CHANNEL)
    town.close()
    town.clock.forward(seconds=4)
    town.open()
    town.quiet()
    assert labels(town.world.said(CHANNEL)[-1]) == [OPEN]


def test_a_form_that_is_sent_twice_or_too_late_changes_nothing(town: SlackTown) -> None:
    form = town.form("contact add")
    posted = town.submits(form, {"name": "Ann"})
    assert town.slack.again(posted).status == 200
    after = town.world.last
    town.submits(form, {"name": "Bob"})
    assert any("already" in one for one in town.told(CHANNEL, after) + town.told("D0LIN", after))
    late = town.form("contact add")
    town.forward(minutes=31)
    after = town.world.last
    town.submits(late, {"name": "Bob"})
    assert any("too old" in one for one in town.told(CHANNEL, after) + town.told("D0LIN", after))
    assert "1 contact" in town.asks("contact list")


def test_a_tampered_form_is_refused(town: SlackTown) -> None:
    form = town.form("contact add")
    posted = town.submits(form, {"name": "Ann"}, carries="x.y")
    assert posted.status == 403
    assert town.newest(form).note == "trouble"
    assert "no contacts" in town.asks("contact list")


def test_a_group_is_created_by_a_form(town: SlackTown) -> None:
    town.asks("contact add Ann")
    town.asks("contact add 'Wei, Zhang'")
    form = town.form("group create")
    (members,) = [block for block in form.body["blocks"] if block["block_id"] == "members"]
    values = [option["value"] for option in members["element"]["options"]]
    town.submits(form, {"name": "dba", "members": ",".join(values)})
    assert town.newest(form).body is None
    town.settle()
    shown = town.asks("group show dba")
    assert "Ann" in shown
    assert "Zhang" in shown


def test_a_form_to_edit_a_contact_holds_what_is_there(town: SlackTown) -> None:
    for name in ("dba", "ops"):
        town.asks(f"group create {name}")
    town.asks(f"contact add Ann {MAIL} to dba")
    form = town.form("contact edit Ann")
    shown = {block["block_id"]: block["element"] for block in form.body["blocks"]}
    assert shown["name"]["initial_value"] == "Ann"
    assert shown["email"]["initial_value"] == MAIL
    assert [option["value"] for option in shown["groups"]["initial_options"]] == ["dba"]
    town.submits(form, {"name": "Anna", "groups": "ops"})
    assert town.newest(form).body is None
    town.settle()
    assert "Anna" in town.asks("group show ops")
    assert "Anna" not in town.asks("group show dba")


def test_forms_come_in_both_languages(town: SlackTown) -> None:
    form = town.form("添加联系人")
    assert not re.search(r"[A-Za-z]{4,}", form.body["title"]["text"] + form.body["submit"]["text"])


# ---- the app's own page


def test_the_page_of_the_app_shows_what_is_mine_and_opens_forms(town: SlackTown) -> None:
    assert town.slack.open_home(WANG).status == 200
    page = town.expect(lambda e: e.kind == "home")
    assert page.person == WANG
    assert "Add my contact" in labels(page)
    after = town.world.last
    town.presses(page, "Add my contact", person=WANG)
    form = town.expect(lambda e: e.kind == "form", after=after)
    after = town.world.last
    town.submits(form, {"name": "Wang", "phone": "13900139000"}, person=WANG)
    assert "Wang" in town.answer("D0WANG", after=after), "the answer comes one-to-one"
    town.settle()
    after = town.world.last
    town.slack.open_home(WANG)
    again = town.expect(lambda e: e.kind == "home", after=after)
    assert "Edit my contact" in labels(again)
    assert not town.world.refusals("slack")


def test_a_list_asked_for_on_the_page_comes_one_to_one_and_its_buttons_work_there(town: SlackTown) -> None:
    an_alert(town)
    town.slack.open_home(LIN)
    page = town.expect(lambda e: e.kind == "home")
    after = town.world.last
    town.presses(page, "Open alerts")
    assert "disk full" in town.answer("D0LIN", after=after)
    pages = [e for e in town.world.events if e.kind == "home"]
    assert pages == [page], "the page stays as it is"


def test_a_page_opened_again_and_again_is_drawn_and_the_same_event_is_not(town: SlackTown) -> None:
    posted = town.slack.open_home(LIN)
    town.settle()
    assert town.slack.again(posted).status == 200
    town.settle()
    assert len([e for e in town.world.events if e.kind == "home"]) == 1
    town.slack.open_home(LIN, tab="messages")
    town.settle()
    assert len([e for e in town.world.events if e.kind in ("home", "say")]) == 1


# ---- the shortcut on a message


def test_the_alert_of_a_card_is_acknowledged_by_the_shortcut(town: SlackTown) -> None:
    town.asks("group create dba")
    hook = f"https://hooks.slack.com/services/{TEAM}/B0002/slackhook02"
    town.asks(f"contact add Robot {hook} to dba")
    town.asks(town.code_for(CHANNEL))
    told = town.asks("source add prod json to dba")
    path = re.search(r"/alerts/json/[A-Za-z0-9_-]+", told)
    assert path
    town.settle()
    after = town.world.last
    town.alert(path[0], {"title": "disk full #7", "severity": "critical"})
    card = town.expect(lambda e: e.kind == "card", after=after)
    after = town.world.last
    posted = town.slack.shortcut(WANG, card, "acknowledge")
    assert (posted.status, posted.answer) == (200, b"")
    assert "has alert #1" in town.answer(CHANNEL, after=after)
    (answer,) = [e for e in town.world.said(CHANNEL) if e.seq > after]
    assert (answer.note, answer.person) == ("ephemeral", WANG)
    town.settle()
    listed = town.card("alerts", way="mention")
    after = town.world.last
    town.slack.shortcut(ZHAO, listed, "acknowledge")
    assert "was acknowledged by Wang" in town.answer(CHANNEL, after=after)


def test_the_shortcut_on_a_message_without_an_alert_says_so(town: SlackTown) -> None:
    town.types("is #1 broken?", way="mention")
    town.settle()
    typed = next(e for e in town.world.events if e.kind == "typed")
    after = town.world.last
    town.slack.shortcut(LIN, typed, "acknowledge")
    assert "number of an alert is missing" in town.answer(CHANNEL, after=after)
    after = town.world.last
    assert town.slack.shortcut(LIN, typed, "another").status == 200
    town.quiet()
    assert town.world.last == after


# ---- Socket Mode


@pytest.fixture
def socket_town(make: Callable[..., SlackTown]) -> Iterator[SlackTown]:
    town = make(slack_app_token=WORKSPACE.app_token, slack_signing_secret="")
    with SocketGateway(town.stand_ins.slack_app) as gateway:
        assert gateway.wait_opened(1, 20.0)
        town.slack = SlackClient(town.stand_ins.slack_app, town.url, WORKSPACE, push=gateway.exchange)
        yield town


@pytest.mark.parametrize("way", WAYS)
def test_buttons_work_through_the_socket(socket_town: SlackTown, way: Way) -> None:
    town = socket_town
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann", way=way)
    posted = town.presses(asked, "Yes")
    assert (posted.delivered, posted.answer) == (True, b"")
    assert "is removed" in town.now_shows(asked)
    assert town.slack.again(posted).delivered


def test_forms_and_pages_work_through_the_socket(socket_town: SlackTown) -> None:
    town = socket_town
    form = town.form("contact add")
    town.submits(form, {"name": "Ann", "phone": "12"})
    assert town.newest(form).note == "errors"
    town.submits(form, {"name": "Ann", "phone": PHONE})
    assert town.newest(form).body is None
    town.code_for(PHONE)
    town.slack.open_home(LIN)
    town.expect(lambda e: e.kind == "home")


def test_a_tampered_button_is_acknowledged_on_the_socket_and_changes_nothing(
    socket_town: SlackTown, caplog: pytest.LogCaptureFixture
) -> None:
    town = socket_town
    town.asks("contact add Ann")
    asked = town.card("contact remove Ann")
    assert town.presses(asked, "Yes", carries="x.y").delivered
    assert any("not one of ours" in record.getMessage() for record in caplog.records)
    assert "x.y" not in caplog.text
    assert "1 contact" in town.asks("contact list")
