"""Slack's stand-in: changed messages, forms, pages, and what a client lets people press."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.slack_app import SlackClient, Workspace, controls
from bot.sandbox.slack_blocks import refused_view
from bot.sandbox.slack_press import errors_in, filled_in
from bot.sandbox.world import Event, World
from tests.bot.sandbox.conftest import Clock

SPACE = Workspace()
Call = Callable[[str, dict[str, Any]], dict[str, Any]]


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


BUTTON = {"type": "button", "action_id": "a", "text": plain("Yes"), "value": "to.ken", "style": "primary"}
BLOCKS = [{"type": "actions", "elements": [BUTTON, {**BUTTON, "action_id": "b", "value": "other"}]}]
OPTIONS = [{"text": plain("dba"), "value": "dba"}, {"text": plain("a, b"), "value": '"a, b"'}]
VIEW: dict[str, Any] = {
    "type": "modal",
    "callback_id": "callboard",
    "private_metadata": "to.ken here",
    "title": plain("Add"),
    "submit": plain("Save"),
    "close": plain("Cancel"),
    "blocks": [
        {
            "type": "input",
            "block_id": "name",
            "label": plain("Name"),
            "element": {"type": "plain_text_input", "action_id": "v", "max_length": 5, "initial_value": "Ann"},
        },
        {
            "type": "input",
            "block_id": "mail",
            "optional": True,
            "label": plain("Mail"),
            "hint": plain("Why"),
            "element": {"type": "email_text_input", "action_id": "v"},
        },
        {
            "type": "input",
            "block_id": "groups",
            "optional": True,
            "label": plain("Groups"),
            "element": {
                "type": "multi_static_select",
                "action_id": "v",
                "options": OPTIONS,
                "initial_options": OPTIONS[:1],
            },
        },
    ],
}
HOME = {"type": "home", "blocks": BLOCKS}


@pytest.fixture(autouse=True)
def _workspace(stand_ins: StandIns, world: World) -> None:
    stand_ins.slack_app.install(SPACE)
    for number in (1, 2):
        world.add_person("slack", f"U{number}", f"Lin {number}", SPACE.team, chat=f"D{number}")
    world.add_group("slack", "C1", "oncall", ["U1", "U2"])


@pytest.fixture
def client(stand_ins: StandIns) -> Iterator[SlackClient]:
    client = SlackClient(stand_ins.slack_app, "http://127.0.0.1:9", SPACE)
    yield client
    client.close()


@pytest.fixture
def call(stand_ins: StandIns, http: requests.Session) -> Call:
    """Calls a method of the API."""

    def ask(method: str, body: dict[str, Any]) -> dict[str, Any]:
        bearer = {"Authorization": f"Bearer {SPACE.bot_token}"}
        answer: dict[str, Any] = http.post(f"{stand_ins.url}/api/{method}", json=body, headers=bearer).json()
        return answer

    return ask


def changed(**parts: Any) -> dict[str, Any]:
    """VIEW with other members (`...` removes one); `element` and `input` change the first input and its element."""
    view = copy.deepcopy(VIEW)
    view["blocks"][0] |= parts.pop("input", {})
    view["blocks"][0]["element"] |= parts.pop("element", {})
    return {name: value for name, value in (view | parts).items() if value is not ...}


# ---- chat.update


def test_a_message_is_changed_as_a_whole(call: Call, world: World) -> None:
    said = call("chat.postMessage", {"channel": "C1", "text": "x", "blocks": BLOCKS})
    answer = call("chat.update", {"channel": "C1", "ts": said["ts"], "text": "y"})
    assert (answer["ok"], answer["ts"]) == (True, said["ts"])
    first, now = world.events
    assert (now.kind, now.ref, now.body) == ("update", first.ref, {"text": "y"})
    assert first.ref == f"C1/{said['ts']}"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"ts": "1.2"}, "message_not_found"),
        ({"channel": "C9"}, "channel_not_found"),
        ({"channel": "U1"}, "channel_not_found"),
        ({"text": ""}, "no_text"),
        ({"text": "x" * 4001}, "msg_too_long"),
        ({"blocks": [{"type": "hr"}]}, "invalid_blocks"),
        ({"unfurl_links": False}, "invalid_arguments"),
    ],
)
def test_what_cannot_be_changed(call: Call, world: World, body: dict[str, Any], error: str) -> None:
    said = call("chat.postMessage", {"channel": "C1", "text": "x"})
    assert call("chat.update", {"channel": "C1", "ts": said["ts"], "text": "y", **body})["error"] == error
    assert [event.kind for event in world.events] == ["say", "refused"]


def test_what_one_person_sees_is_not_changed_by_the_api(call: Call) -> None:
    said = call("chat.postEphemeral", {"channel": "C1", "user": "U1", "text": "x"})
    body = {"channel": "C1", "ts": said["message_ts"], "text": "y"}
    assert call("chat.update", body)["error"] == "message_not_found"


def test_it_is_changed_by_the_address_that_came_with_its_button(
    call: Call, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    call("chat.postEphemeral", {"channel": "C1", "user": "U1", "text": "x"})
    (said,) = world.events
    url = stand_ins.slack_app.new_response(SPACE.team, "C1", "U1", said.ref)
    url = url.replace("https://hooks.slack.com", stand_ins.url)
    assert http.post(url, json={"text": "y", "replace_original": "yes"}).json()["error"] == "invalid_arguments"
    assert http.post(url, json={"text": "y", "replace_original": True}).text == "ok"
    now = world.events[-1]
    assert (now.kind, now.ref, now.person, now.note) == ("update", said.ref, "U1", "ephemeral")


# ---- forms and pages


def test_a_trigger_opens_one_form_within_three_seconds(
    call: Call, stand_ins: StandIns, clock: Clock, world: World
) -> None:
    trigger = stand_ins.slack_app.new_trigger("U1")
    assert call("views.open", {"trigger_id": trigger, "view": changed(title=...)})["error"] == "invalid_arguments"
    assert call("views.open", {"trigger_id": trigger, "view": VIEW})["ok"]
    assert call("views.open", {"trigger_id": trigger, "view": VIEW})["error"] == "exchanged_trigger_id"
    late = stand_ins.slack_app.new_trigger("U1")
    clock.move(3)
    assert call("views.open", {"trigger_id": late, "view": VIEW})["error"] == "expired_trigger_id"
    assert call("views.open", {"trigger_id": "1.2.x", "view": VIEW})["error"] == "invalid_trigger_id"
    (form,) = [event for event in world.events if event.kind == "form"]
    assert (form.person, form.place, form.body) == ("U1", "D1", VIEW)


@pytest.mark.parametrize(
    ("view", "good"),
    [
        (VIEW, True),
        (changed(title=plain("x" * 24)), True),
        (changed(title=plain("x" * 25)), False),
        (changed(title={"type": "mrkdwn", "text": "x"}), False),
        (changed(submit=...), False),
        (changed(submit=plain("x" * 25)), False),
        (changed(close=...), True),
        (changed(close=plain("x" * 25)), False),
        (changed(private_metadata="x" * 3000), True),
        (changed(private_metadata="x" * 3001), False),
        (changed(callback_id="x" * 256), False),
        (changed(channel="C1"), False),
        (changed(type="home"), False),
        (changed(blocks=[]), False),
        (changed(blocks=[{"type": "divider"}] * 100), True),
        (changed(blocks=[{"type": "divider"}] * 101), False),
        (changed(blocks=[VIEW["blocks"][0]] * 2), False),
        (changed(input={"label": plain("x" * 2001)}), False),
        (changed(input={"label": plain("")}), False),
        (changed(input={"hint": plain("x" * 2001)}), False),
        (changed(input={"optional": "no"}), False),
        (changed(input={"required": True}), False),
        (changed(element={"type": "number_input"}), False),
        (changed(element={"max_length": 0}), False),
        (changed(element={"max_length": 3001}), False),
        (changed(element={"initial_value": "longer"}), False),
        (changed(element={"initial_value": ""}), False),
        (changed(element={"options": []}), False),
        (changed(input={"element": {"type": "email_text_input", "initial_value": "x"}}), False),
        (changed(input={"element": {"type": "url_text_input", "initial_value": "x.cn"}}), False),
        (changed(input={"element": {"type": "url_text_input", "max_length": 5}}), False),
        (changed(input={"element": {"type": "multi_static_select", "options": []}}), False),
        (changed(input={"element": {"type": "multi_static_select", "options": OPTIONS * 2}}), False),
        (
            changed(
                input={
                    "element": {
                        "type": "multi_static_select",
                        "options": OPTIONS[:1],
                        "initial_options": OPTIONS[1:],
                    }
                }
            ),
            False,
        ),
        ([], False),
    ],
)
def test_the_form_of_forms(view: Any, good: bool) -> None:
    assert (refused_view(view, "modal") is None) is good


def test_a_page_is_drawn_for_a_person(call: Call, world: World) -> None:
    for user, view, error in (
        ("U9", HOME, "user_not_found"),
        ("U1", {**HOME, "title": plain("x")}, "invalid_arguments"),
        ("U1", {**HOME, "blocks": VIEW["blocks"]}, "invalid_arguments"),
        ("U1", VIEW, "invalid_arguments"),
        ("U1", HOME, None),
    ):
        assert call("views.publish", {"user_id": user, "view": view}).get("error") == error
    (page,) = [event for event in world.events if event.kind == "home"]
    assert (page.person, page.body) == ("U1", HOME)


# ---- a person's client


def test_controls_are_what_can_be_pressed() -> None:
    yes = {"token": "to.ken", "label": "Yes", "style": "primary", "fields": []}
    assert controls({"text": "x", "blocks": [{"type": "divider"}, *BLOCKS]}) == [yes, {**yes, "token": "other"}]
    assert controls(HOME) == controls({"blocks": BLOCKS})
    form = {"token": "to.ken", "label": "Save", "style": "primary", "fields": ["name", "mail", "groups"]}
    assert controls(VIEW) == [form]
    assert controls(None) == controls("typed") == controls({"text": "x"}) == []


SAID = Event(1, 0.0, "say", "slack", "C1", {"text": "x", "blocks": BLOCKS}, ref="C1/1.2")
WHISPERED = Event(1, 0.0, "say", "slack", "C1", {"text": "x", "blocks": BLOCKS}, person="U1", ref="C1/1.2")
FORM = Event(1, 0.0, "form", "slack", "D1", VIEW, person="U1", ref="V1")


@pytest.mark.parametrize(
    ("person", "event", "token", "values"),
    [
        ("U1", SAID, "gone", None),
        ("U1", SAID, "to.ken", {"name": "x"}),
        ("U2", WHISPERED, "to.ken", None),
        ("U2", FORM, "to.ken", {}),
        ("U9", SAID, "to.ken", None),
        ("U1", FORM, "other", {}),
        ("U1", FORM, "to.ken", {"phone": "1"}),
        ("U1", FORM, "to.ken", {"groups": "dba,gone"}),
    ],
)
def test_what_is_not_there_cannot_be_pressed(
    client: SlackClient, person: str, event: Event, token: str, values: dict[str, str] | None
) -> None:
    with pytest.raises(LookupError):
        client.press(person, event, token, values)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [({"name": ""}, "name"), ({"name": "longer"}, "name"), ({"name": "Li", "mail": "x"}, "mail")],
)
def test_slacks_client_objects_by_itself(client: SlackClient, world: World, values: dict[str, str], wrong: str) -> None:
    assert not client.press("U1", FORM, "to.ken", values).delivered
    (shown,) = world.events
    assert (shown.kind, shown.note, list(shown.body["errors"])) == ("form", "errors", [wrong])


def test_a_form_carries_every_input() -> None:
    state, wrong = filled_in(VIEW, {})
    assert wrong == {}
    assert state == {
        "name": {"v": {"type": "plain_text_input", "value": "Ann"}},
        "mail": {"v": {"type": "email_text_input", "value": None}},
        "groups": {"v": {"type": "multi_static_select", "selected_options": OPTIONS[:1]}},
    }
    state, _wrong = filled_in(VIEW, {"groups": 'dba,"a, b"'})
    assert state["groups"]["v"]["selected_options"] == OPTIONS
    assert filled_in(VIEW, {"groups": ""})[0]["groups"]["v"]["selected_options"] == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", {}),
        (b'{"response_action": "errors", "errors": {"name": "taken"}}', {"name": "taken"}),
        (b'{"response_action": "errors", "errors": {"phone": "x"}}', None),
        (b'{"response_action": "errors", "errors": {"name": ""}}', None),
        (b'{"response_action": "errors", "errors": {}}', None),
        (b'{"errors": {"name": "taken"}}', None),
        (b'"ok"', None),
        (b"ok", None),
    ],
)
def test_the_answer_to_a_form_is_read_as_slack_reads_it(answer: bytes, expected: dict[str, str] | None) -> None:
    assert errors_in(answer, VIEW) == expected
