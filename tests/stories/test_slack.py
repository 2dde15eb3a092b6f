"""Slack: mentions, direct messages and commands, with Slack's own ways of forging, repeating and losing them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from bot.sandbox.slack_app import SlackClient
from bot.sandbox.slack_socket import SocketGateway
from bot.sandbox.world import Broken, Drop, Refused
from tests.stories.conftest import words
from tests.stories.slack_town import CHANNEL, ELSEWHERE, LIN, TEAM, WANG, WORKSPACE, SlackTown, Way, make, town

__all__ = ["make", "town"]  # fixtures

PHONE, MAIL = "+8613800138000", "zhang.wei@example.com"
WAYS: tuple[Way, ...] = ("direct", "mention", "command", "command in chat")


def says(town: SlackTown, place: str) -> list[str]:
    return [words(event.body) for event in town.world.said(place)]


# ---- the same conversation as everywhere


ENGLISH = (
    "contact add Zhang Wei 13800138000 zhang.wei@example.com", "contact show zhang wei", "(active)",
    "group create dba members Zhang Wei", "Zhang Wei", "test dba", "Test", "contact remove Zhang Wei", "yes", "is removed",
)  # fmt: skip
CHINESE = (
    "添加联系人 张伟 13800138000 zhang.wei@example.com", "查看联系人 张伟", "（已生效）",
    "创建组 dba 成员 张伟", "张伟", "测试 dba", "测试", "删除联系人 张伟", "是", "已删除",
)  # fmt: skip


# In direct messages it is told in test_everywhere.
@pytest.mark.parametrize(
    ("way", "add", "show", "active", "group", "members", "test", "tested", "remove", "yes", "gone"),
    [("mention", *CHINESE), ("command", *ENGLISH), ("command in chat", *CHINESE)],
    ids=["mention-zh", "command-en", "command-in-chat-zh"],
)
def test_a_contact_from_its_first_word_to_its_last(
    town: SlackTown, way: Way, add: str, show: str, active: str, group: str, members: str, test: str, tested: str,
    remove: str, yes: str, gone: str,
) -> None:  # fmt: skip
    town.asks(add, way=way)
    for code in (town.code_for(PHONE), town.code_for(MAIL)):
        town.asks(code, way=way)
    shown = town.asks(show, way=way)
    assert shown.count(active) == 2, shown
    assert (PHONE in shown) is (way != "mention"), "whole only where nobody else reads it"
    assert members in town.asks(group, way=way)
    texts, after = len(town.world.sms(PHONE)), town.world.last
    assert tested in town.asks(test, way=way)
    town.expect(lambda e: e.kind == "mail" and e.place == MAIL, after=after)
    assert len(town.world.sms(PHONE)) == texts + 1
    question = town.asks(remove, way=way)
    assert "?" in question or "？" in question
    assert gone in town.asks(yes, way=way)
    assert active not in town.asks(show, way=way)
    assert not town.world.refusals("slack")


# ---- who reads what


def test_a_command_is_answered_to_who_typed_it_and_to_nobody_else(town: SlackTown) -> None:
    town.asks("contact add Ann 13800138000", way="command")
    (event,) = town.world.said(CHANNEL)
    assert (event.note, event.person) == ("ephemeral", LIN)
    assert event.body["response_type"] == "ephemeral"


def test_a_command_is_acknowledged_empty(town: SlackTown) -> None:
    assert town.types("help", way="command").answer == b""


def test_a_mention_is_answered_in_the_channel_for_all_and_masked(town: SlackTown) -> None:
    town.asks("contact add Ann 13800138000")
    shown = town.asks("contact show Ann", way="mention")
    assert "138****8000" in shown
    assert "13800138000" not in shown
    (event,) = town.world.said(CHANNEL)
    assert event.note == ""
    assert "thread_ts" not in event.body
    assert "13800138000" not in town.asks("contact show Ann", way="command", person=WANG)


def test_a_private_answer_to_a_mention_comes_one_to_one(town: SlackTown) -> None:
    town.asks("group create dba")
    after = town.world.last
    answer = town.asks("source add prod json to dba", way="mention")
    assert "/alerts/json/" not in answer
    private = town.answer("D0LIN", after=after)
    assert re.search(r"https://callboard\.example\.com/alerts/json/[A-Za-z0-9_-]+", private)


def test_a_private_answer_to_a_command_stays_where_it_was_asked_for(town: SlackTown) -> None:
    town.asks("group create dba")
    assert "/alerts/json/" in town.asks("source add prod json to dba", way="command")
    assert town.world.said(CHANNEL)[-1].note == "ephemeral"


def test_two_people_who_type_commands_at_once_get_their_own_answers(town: SlackTown) -> None:
    town.service.inbox.stop(5.0)
    town.slack.command(LIN, "me", group=CHANNEL)
    town.slack.command(WANG, "status", group=CHANNEL)
    town.slack.type(LIN, "contact list", group=CHANNEL)
    town.close()
    town.open()
    town.quiet()
    said = {(event.person, event.note): words(event.body) for event in town.world.said(CHANNEL)}
    assert len(said) == 3
    assert f"slack:{TEAM}/{WANG}" in said[WANG, "ephemeral"]
    assert f"slack:{TEAM}/{WANG}" not in said[LIN, "ephemeral"]
    assert "no contacts" in said["", ""]


def test_what_is_said_in_a_thread_is_answered_there_and_questions_go_on_in_it(town: SlackTown) -> None:
    town.asks("contact add Ann")
    town.asks("contact remove Ann", way="mention")
    parent = town.stand_ins.slack_app.stamp()
    assert "removed" in town.asks("yes", way="mention", thread=parent)
    assert town.world.said(CHANNEL)[-1].body["thread_ts"] == parent
    town.asks("help", way="mention")
    assert "thread_ts" not in town.world.said(CHANNEL)[-1].body
    town.asks("help", thread=parent)
    assert town.world.said("D0LIN")[-1].body["thread_ts"] == parent


def test_an_answer_whose_thread_is_gone_comes_in_the_channel(town: SlackTown) -> None:
    assert "say" in town.asks("help", way="mention", thread="1700000000.999999")
    assert "thread_ts" not in town.world.said(CHANNEL)[-1].body


def test_a_yes_in_the_chat_answers_a_command_that_was_typed_there(town: SlackTown) -> None:
    town.asks("contact add Ann", way="command in chat")
    town.asks("contact remove Ann", way="command in chat")
    assert "removed" in town.asks("yes", way="direct")
    assert town.world.said("D0LIN")[-1].note == "", "the command's address is not used for what was not a command"


# ---- words as Slack passes them on


def test_the_letters_payload_in_a_command_are_only_letters(town: SlackTown) -> None:
    assert "payload-svc" in town.asks("group create payload-svc", way="command")


def test_mentions_of_others_are_people_and_links_are_what_was_typed(town: SlackTown) -> None:
    town.asks("contact add Wang 13900139000", way="mention", others=(WANG,))
    assert "active" in town.asks(town.code_for("+8613900139000"), person=WANG)
    mail = "contact add Zhao <mailto:zhao@example.com|zhao@example.com>"
    town.slack.post_event(
        town.slack.envelope(
            {"type": "message", "channel_type": "im", "user": LIN, "channel": "D0LIN", "text": mail, "ts": "1.2"}
        )
    )
    town.code_for("zhao@example.com")
    assert "A &amp; B &lt;ops&gt;" in town.asks("group create 'A & B <ops>'") or "A & B <ops>" in town.asks(
        "group list"
    )
    assert "admin" in town.asks("admin add", way="command", others=(WANG,))
    assert f"slack:{TEAM}/{WANG}" in town.asks("admin list")


def test_an_event_that_does_not_say_who_the_bot_is_is_understood(town: SlackTown) -> None:
    body = town.slack.envelope(
        {"type": "app_mention", "user": LIN, "text": "<@UBOT> contact add Ann", "channel": CHANNEL, "ts": "1.2"}
    )
    del body["authorizations"]
    assert town.slack.post_event(body).status == 200
    assert "Ann" in town.answer(CHANNEL)


def test_names_told_by_commands_are_kept_when_events_tell_none(town: SlackTown) -> None:
    town.asks("me 13900139000", person=WANG, way="command")
    town.asks("help", person=WANG)
    assert "Wang" in town.asks("contact list")


# ---- forged, stale, tampered, replayed


FORGERIES: dict[str, dict[str, Any]] = {
    "empty": {"sign": ""},
    "nonsense": {"sign": "v0=" + "0" * 64},
    "other secret": {"secret": "another"},
    "stale": {"skew_s": -301},
    "from the future": {"skew_s": 301},
}


def test_a_forged_or_stale_request_is_refused_and_changes_nothing(town: SlackTown) -> None:
    for name, forgery in FORGERIES.items():
        assert town.slack.type(LIN, "contact add Mallory", **forgery).status == 401, name
        assert town.slack.command(LIN, "contact add Mallory", **forgery).status == 401, name
    assert "no contacts" in town.asks("contact list")


def test_odd_headers_are_refused(town: SlackTown) -> None:
    posted = town.slack.type(LIN, "help")
    odd: tuple[tuple[str, Any], ...] = (
        ("X-Slack-Request-Timestamp", "soon"),
        ("X-Slack-Request-Timestamp", ""),
        ("X-Slack-Signature", b"v0=\xe9"),
    )
    for name, value in odd:
        answer = requests.post(
            f"{town.url}/slack/events", data=posted.raw, headers={**posted.headers, name: value}, timeout=20
        )
        assert answer.status_code == 401, (name, value)


def test_a_tampered_body_is_refused(town: SlackTown) -> None:
    posted = town.slack.command(WANG, "help", group=CHANNEL)
    town.quiet()
    for body in (
        posted.raw.replace(WANG.encode(), LIN.encode()),
        posted.raw + b"\n",
        posted.raw + b"&ssl_check=1",
        b"ssl_check=1&" + posted.raw,
    ):
        answer = requests.post(f"{town.url}/slack/events", data=body, headers=posted.headers, timeout=20)
        assert answer.status_code == 401


@pytest.mark.parametrize("way", WAYS)
def test_what_is_delivered_twice_is_handled_once_also_across_a_restart(town: SlackTown, way: Way) -> None:
    posted = town.types("contact add Ann", way=way)
    town.quiet()
    for _life in range(2):
        for fresh in (True, False):  # delivered again, replayed
            assert town.slack.again(posted, fresh=fresh).status == 200
            town.forward(seconds=2)
            town.quiet()
        assert len(town.world.said(town.place(LIN, way))) == 1
        town.close()
        town.open()
    assert "1 contact" in town.asks("contact list")


def test_a_retry_of_what_never_arrived_is_handled(town: SlackTown) -> None:
    posted = town.slack.type(LIN, "contact add Ann", secret="another")
    assert town.slack.again(posted, attempt=2).status == 200
    assert "Ann" in town.answer("D0LIN")


# ---- time


@pytest.mark.parametrize("way", WAYS)
def test_slack_is_answered_in_time_while_everything_behind_is_stalled(town: SlackTown, way: Way) -> None:
    town.service.inbox.stop(5.0)
    town.service.worker.stop(5.0)
    began = time.monotonic()
    posted = town.slack.command if way.startswith("command") else town.slack.type
    group = "" if way in ("direct", "command in chat") else CHANNEL
    callers = [
        threading.Thread(target=posted, args=(LIN, f"contact add P{n}"), kwargs={"group": group}) for n in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert time.monotonic() - began < 3.0
    assert not town.world.said(town.place(LIN, way))
    town.close()
    town.open()
    for _answer in range(8):
        town.forward(seconds=2)
    town.quiet()
    assert len(town.world.said(town.place(LIN, way))) == 8


def test_what_cannot_be_stored_is_not_acknowledged(town: SlackTown, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_incoming: object) -> bool:
        raise OSError("disk full")

    assert town.service.slack is not None
    monkeypatch.setattr(town.service.slack, "_take_in", full)
    event = town.slack.type(LIN, "contact add Ann")
    command = town.slack.command(LIN, "contact add Bob")
    assert (event.status, command.status) == (500, 500)
    monkeypatch.undo()
    assert town.slack.again(event).status == 200
    assert "Ann" in town.answer("D0LIN")


# ---- ways out


def test_a_command_is_answered_at_its_own_address_and_else_by_the_api(town: SlackTown) -> None:
    town.asks("help", way="command")
    after = town.world.last
    for fault in (Refused("used_url"), Refused("expired_url"), Broken(404, "")):
        town.world.fault("slack:/commands/", fault)
        assert "say" in town.asks("help", way="command")
        assert town.world.said(CHANNEL)[-1].note == "ephemeral"
    assert len([e for e in town.world.said(CHANNEL) if e.seq > after and "response_type" not in e.body]) == 3


def test_an_address_of_a_command_serves_five_answers_in_half_an_hour(town: SlackTown) -> None:
    url = town.stand_ins.slack_app.new_response(TEAM, CHANNEL, LIN)
    for _use in range(7):
        town.asks("help", way="command", response_url=url)
    kinds = ["response_type" in event.body for event in town.world.said(CHANNEL)]
    assert kinds == [True] * 5 + [False] * 2
    late = town.stand_ins.slack_app.new_response(TEAM, CHANNEL, LIN)
    town.service.inbox.stop(5.0)
    town.slack.command(LIN, "help", group=CHANNEL, response_url=late)
    town.close()
    town.clock.forward(minutes=31)
    town.open()
    town.quiet()
    assert "response_type" not in town.world.said(CHANNEL)[-1].body
    assert town.world.said(CHANNEL)[-1].note == "ephemeral"


def test_an_address_that_is_not_slacks_is_never_called(town: SlackTown) -> None:
    for url in ("https://evil.example.com/commands/T/1/x", "http://hooks.slack.com/commands/T/1/x", "", "javascript:1"):
        assert "say" in town.asks("help", way="command", response_url=url), url
        assert "response_type" not in town.world.said(CHANNEL)[-1].body, url


def test_where_the_bot_is_no_member_a_command_is_still_answered_to_that_person(town: SlackTown) -> None:
    after = town.world.last
    town.slack.command(LIN, "help", group=ELSEWHERE, response=False)
    assert "say" in town.answer("D0LIN", after=after)


@pytest.mark.parametrize("fault", [Refused("internal_error"), Broken(502, "<html>bad gateway</html>"), Drop()])
def test_a_temporary_refusal_is_tried_again(town: SlackTown, fault: Any) -> None:
    town.world.fault("slack:/api/chat.postMessage", fault)
    town.types("contact add Ann")
    town.quiet()
    assert not town.world.said("D0LIN")
    town.forward(seconds=30)
    assert "Ann" in town.answer("D0LIN")


def test_slacks_limit_is_kept(town: SlackTown) -> None:
    for _message in range(3):
        town.slack.type(LIN, "help")
    town.quiet()
    assert len(town.world.said("D0LIN")) == 1
    for _second in range(4):
        town.forward(seconds=1.2)
    town.quiet()
    assert len(town.world.said("D0LIN")) == 3
    assert not town.world.refusals("slack")


# ---- what is not for us


def test_what_bots_say_and_what_is_not_said_to_the_bot_is_ignored(town: SlackTown) -> None:
    events: tuple[dict[str, Any], ...] = (
        {"bot_id": "B0001"},
        {"subtype": "message_changed"},
        {"user": WORKSPACE.bot},
        {"channel_type": "channel", "channel": CHANNEL},
        {"type": "app_home_opened", "tab": "messages"},
    )
    for event in events:
        assert town.slack.type(LIN, "contact add Ann", **event).status == 200
    town.quiet()
    assert not [e for e in town.world.events if e.kind == "say"]
    assert "no contacts" in town.asks("contact list")


def test_a_mention_that_also_comes_as_a_message_is_handled_once(town: SlackTown) -> None:
    posted = town.types("contact add Ann", way="mention")
    event = {**posted.body["event"], "type": "message", "channel_type": "channel"}
    assert town.slack.post_event(town.slack.envelope(event)).status == 200
    town.quiet()
    assert len(town.world.said(CHANNEL)) == 1


def test_slack_can_check_the_address_and_the_certificate(town: SlackTown) -> None:
    challenge = {"token": "deprecated", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd", "type": "url_verification"}
    answer = town.slack.post_event(challenge)
    assert (answer.status, b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd" in answer.answer) == (200, True)
    assert town.slack.post_event(challenge, secret="another").status == 401
    unsigned = requests.post(f"{town.url}/slack/events", data={"ssl_check": "1", "token": "x"}, timeout=20)
    assert unsigned.status_code == 200


# ---- Socket Mode


@pytest.fixture
def socket_town(make: Callable[..., SlackTown]) -> Iterator[tuple[SlackTown, SocketGateway]]:
    town = make(slack_app_token=WORKSPACE.app_token, slack_signing_secret="")
    with SocketGateway(town.stand_ins.slack_app) as gateway:
        assert gateway.wait_opened(1, 20.0)
        town.slack = SlackClient(town.stand_ins.slack_app, town.url, WORKSPACE, push=gateway.exchange)
        yield town, gateway


@pytest.mark.parametrize("way", WAYS)
def test_socket_mode_does_what_http_does(socket_town: tuple[SlackTown, SocketGateway], way: Way) -> None:
    town, _gateway = socket_town
    assert "Ann" in town.asks("contact add Ann", way=way)
    posted = town.types("contact add payload-svc", way=way)
    assert posted.delivered
    assert town.slack.again(posted).delivered, "acknowledged again"
    town.forward(seconds=2)
    town.quiet()
    assert len(town.world.said(town.place(LIN, way))) == 2


def test_without_a_signing_secret_the_route_takes_nothing(socket_town: tuple[SlackTown, SocketGateway]) -> None:
    town, _gateway = socket_town
    http = SlackClient(town.stand_ins.slack_app, town.url, WORKSPACE)
    assert http.type(LIN, "contact add Mallory", secret="").status == 404
    http.close()


def test_what_cannot_be_stored_is_not_acknowledged_and_comes_again(
    socket_town: tuple[SlackTown, SocketGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    town, gateway = socket_town

    def full(_incoming: object) -> bool:
        raise OSError("disk full")

    assert town.service.slack is not None
    body = town.slack.envelope(
        {"type": "message", "channel_type": "im", "user": LIN, "channel": "D0LIN", "text": "contact add Ann"}
    )
    monkeypatch.setattr(town.service.slack, "_take_in", full)
    assert not gateway.push("events_api", body, envelope_id="e1", timeout_s=1.0)
    monkeypatch.undo()
    assert gateway.push("events_api", body, envelope_id="e2")
    assert gateway.ack("e2") == {"envelope_id": "e2"}
    assert "Ann" in town.answer("D0LIN")


def test_the_connection_is_made_anew_when_slack_asks_and_when_it_breaks(
    socket_town: tuple[SlackTown, SocketGateway],
) -> None:
    town, gateway = socket_town
    assert gateway.refresh()
    assert gateway.wait_opened(2, 20.0)
    assert "Ann" in town.asks("contact add Ann")
    gateway.cut()
    assert gateway.wait_opened(3, 20.0)
    assert "Bob" in town.asks("contact add Bob")


def test_frames_that_cannot_be_read_harm_nothing(socket_town: tuple[SlackTown, SocketGateway]) -> None:
    town, gateway = socket_town
    for frame in ("{", "[]", "null", {}, {"type": "events_api"}, {"envelope_id": "x", "payload": 5}):
        assert gateway.send(frame)
    assert gateway.push("events_api", {"type": "event_callback", "event": 5}), "it would be as wrong the next time"
    assert gateway.push("interactive", {"type": "view_submission", "view": {}})
    assert "Ann" in town.asks("contact add Ann")
    assert gateway.wait_opened(1, 0.0)
    assert not gateway.wait_opened(2, 0.1)
