"""WeCom's cards that call back: what the app and the robot may send, change, and answer in a response."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bot.sandbox.wecom import Bad
from bot.sandbox.wecom_app import CODE_TTL_S, WeComApp, robot_chat
from bot.sandbox.wecom_cards import Sender, check_card, controls
from bot.sandbox.wecom_client import Keys, Posted, WeComClient, take_response
from bot.sandbox.wire import Request
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import Clock

CORP, AGENT, SECRET = "ww01", 1000002, "app-secret"
KEYS = Keys("token", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg")


def card(**changes: Any) -> dict[str, Any]:
    whole = {
        "card_type": "button_interaction",
        "main_title": {"title": "P1"},
        "button_list": [{"text": "ok", "style": 1, "key": "k"}],
        "task_id": "t1",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def buttons(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"text": "ok", "style": 1, "key": f"k{number}", **changes} for number in range(count)]


SELECTION = {"question_key": "q", "option_list": [{"id": "1", "text": "one"}]}
VOTE = card(
    card_type="vote_interaction", button_list=None, checkbox=SELECTION, submit_button={"text": "ok", "key": "s"}
)
MULTIPLE = card(
    card_type="multiple_interaction",
    button_list=None,
    select_list=[SELECTION],
    submit_button={"text": "ok", "key": "s"},
)
NOTICE = {
    "card_type": "text_notice",
    "main_title": {"title": "x"},
    "card_action": {"type": 1, "url": "https://a.example"},
}
CARDS: list[tuple[str, Any, bool, bool]] = [  # what, the card, the app may, the robot may
    ("plain", card(), True, True),
    ("six buttons", card(button_list=buttons(6)), True, True),
    ("seven buttons", card(button_list=buttons(7)), False, False),
    ("no button", card(button_list=[]), False, False),
    ("no list of buttons", card(button_list=None), False, False),
    ("a button without words", card(button_list=buttons(1, text="")), False, False),
    ("style 5", card(button_list=buttons(1, style=5)), False, False),
    ("key of 1024 bytes", card(button_list=buttons(1, key="k" * 1024)), True, True),
    ("key of 1024 bytes in Chinese", card(button_list=buttons(1, key="值" * 341 + "a")), True, True),
    ("key of 1025 bytes", card(button_list=buttons(1, key="值" * 341 + "ab")), False, False),
    ("a key twice", card(button_list=buttons(2, key="k")), False, False),
    ("a button that opens a page", card(button_list=[{"type": 1, "text": "x", "url": "https://a.example"}]), True, False),
    ("a page without scheme", card(button_list=[{"type": 1, "text": "x", "url": "a.example"}]), False, False),
    ("no title", card(main_title=None), False, False),
    ("an empty title", card(main_title={"title": ""}), False, False),
    ("text as a number", card(sub_title_text=5), False, False),
    ("no task id", card(task_id=None), False, False),
    ("a task id of 129", card(task_id="x" * 129), False, False),
    ("a task id with a dot", card(task_id="a.b"), False, False),
    ("links of a notice", card(jump_list=[]), False, False),
    ("greyed at once", card(replace_text="x"), False, False),
    ("an unknown kind", card(card_type="x"), False, False),
    ("seven facts", card(horizontal_content_list=[{"keyname": "a", "value": "b"}] * 7), False, False),
    ("a selection", card(button_selection=SELECTION), True, True),
    ("a selection of nothing", card(button_selection={**SELECTION, "option_list": []}), False, False),
    ("a vote", VOTE, True, True),
    ("a vote without its button", {**VOTE, "submit_button": {}}, False, False),
    ("several lists", MULTIPLE, True, True),
    ("several lists without a task id", {name: MULTIPLE[name] for name in MULTIPLE if name != "task_id"}, False, True),
    ("a notice", NOTICE, True, True),
    ("a notice that leads nowhere", {**NOTICE, "card_action": {}}, False, False),
    ("no card", "x", False, False),
]  # fmt: skip


def taken(one: Any, sender: Sender, *, change: bool = False) -> bool:
    try:
        check_card(one, sender, change=change)
    except Bad:
        return False
    return True


@pytest.mark.parametrize(("one", "app", "robot"), [case[1:] for case in CARDS], ids=[case[0] for case in CARDS])
def test_which_cards_may_be_sent(one: Any, app: bool, robot: bool) -> None:
    assert (taken(one, "app"), taken(one, "robot")) == (app, robot)


def test_a_changed_card_of_the_app_may_be_greyed_and_keeps_its_id() -> None:
    assert taken(card(task_id=None, replace_text="done"), "app", change=True)
    assert not taken(card(replace_text="done"), "robot", change=True)
    assert not taken(card(task_id=None), "robot", change=True)


def test_the_controls_are_what_can_be_pressed() -> None:
    shown = {"template_card": card(button_list=[*buttons(1, style=3), {"type": 1, "text": "x", "url": "https://a"}])}
    assert controls(shown) == [{"token": "k0", "label": "ok", "style": "danger", "fields": []}]
    assert controls({"template_card": card(replace_text="done")}) == []
    assert controls({"markdown": {"content": "x"}}) == controls("x") == []


@pytest.fixture
def app(world: World) -> WeComApp:
    world.add_app("wecom", str(AGENT), SECRET, CORP)
    for person in ("ann", "bob"):
        world.add_person("wecom", person, person, CORP)
    world.add_group("wecom", "wrG", "oncall", ["ann", "bob"])
    return WeComApp(world)


def asked(app: WeComApp, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    got = app.answer(Request("GET", f"/cgi-bin/gettoken?corpid={CORP}&corpsecret={SECRET}", {}, b""))
    word = json.loads(got.body)["access_token"]
    headers = {"content-type": "application/json"}
    answer = app.answer(Request("POST", f"{path}?access_token={word}", headers, json.dumps(body).encode()))
    found: dict[str, Any] = json.loads(answer.body)
    return found


def sent(app: WeComApp, one: Any = None) -> dict[str, Any]:
    message = {"touser": "ann", "msgtype": "template_card", "agentid": AGENT, "template_card": one or card()}
    return asked(app, "/cgi-bin/message/send", message)


def changed(app: WeComApp, code: str, **changes: Any) -> int:
    whole = {
        "userids": ["ann"],
        "agentid": AGENT,
        "response_code": code,
        "template_card": card(task_id=None),
        **changes,
    }
    body = {name: value for name, value in whole.items() if value is not None}
    return int(asked(app, "/cgi-bin/message/update_template_card", body)["errcode"])


def test_a_code_changes_a_card_once_within_three_days(app: WeComApp, world: World, clock: Clock) -> None:
    code = sent(app)["response_code"]
    assert [changed(app, code), changed(app, code)] == [0, 40058]
    [update] = [event for event in world.events if event.kind == "update"]
    assert (update.place, update.ref, update.body["template_card"]["task_id"]) == ("wecom-chat-ann", "t1", "t1")
    code = sent(app, card(task_id="t2"))["response_code"]
    clock.move(CODE_TTL_S)
    assert changed(app, code) == 40058
    assert "response_code" not in sent(app, NOTICE)


def test_a_task_id_names_one_card(app: WeComApp) -> None:
    assert [sent(app)["errcode"], sent(app)["errcode"]] == [0, 40058]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"button": {"replace_name": "done"}, "template_card": None}, 0),
        ({"button": {"replace_name": "done"}}, 40058),
        ({"button": {}, "template_card": None}, 40058),
        ({"template_card": None}, 40058),
        ({"userids": "ann"}, 40058),
        ({"userids": []}, 81012),
        ({"agentid": 7}, 301002),
        ({"agentid": "1000002"}, 40056),
        ({"response_code": "made-up"}, 40058),
        ({"template_card": card(task_id=None, button_list=buttons(7))}, 40058),
    ],
)
def test_how_a_card_is_changed(app: WeComApp, world: World, changes: dict[str, Any], code: int) -> None:
    given = sent(app)["response_code"]
    assert changed(app, given, **changes) == code
    updates = [event for event in world.events if event.kind == "update"]
    assert len(updates) == (0 if code else 1)
    if not code:
        assert controls(updates[0].body) == []
        return
    assert changed(app, given) == 0, "a change that was refused has not used the code up"


def test_who_has_not_got_the_card_is_named(app: WeComApp) -> None:
    body = {"userids": ["ann", "bob"], "agentid": AGENT, "response_code": sent(app)["response_code"]}
    answer = asked(app, "/cgi-bin/message/update_template_card", {**body, "button": {"replace_name": "x"}})
    assert (answer["errcode"], answer["invaliduser"]) == (0, ["bob"])


MESSAGE = {"msgtype": "text", "chatid": "wrG", "chattype": "group", "from": {"userid": "ann"}}
CLICK = MESSAGE | {
    "msgtype": "event",
    "event": {"eventtype": "template_card_event", "template_card_event": {"task_id": "t1", "event_key": "k"}},
}
ENTER = {"msgtype": "event", "chattype": "single", "from": {"userid": "ann"}, "event": {"eventtype": "enter_chat"}}
STREAM = {"msgtype": "stream", "stream": {"id": "s", "finish": True, "content": "x"}}
COMBINED = {**STREAM, "msgtype": "stream_with_template_card", "template_card": card()}
UPDATE = {"response_type": "update_template_card", "template_card": card()}


def response(answer: Any, **changes: Any) -> Posted:
    """As our service makes it, with what is changed."""
    encrypted = KEYS.encrypted(answer if isinstance(answer, str) else json.dumps(answer))
    body = {"encrypt": encrypted, "timestamp": 1700000000, "nonce": "n1", **changes}
    body.setdefault("msgsignature", KEYS.signature(str(body["timestamp"]), str(body["nonce"]), encrypted))
    return Posted(200, json.dumps(body).encode(), query={"nonce": "n1"}, content_type="text/plain; charset=utf-8")


RESPONSES: list[tuple[str, Any, Any, bool]] = [
    ("a stream to a message", MESSAGE, STREAM, True),
    ("a card to a message", MESSAGE, {"msgtype": "template_card", "template_card": card()}, True),
    ("both to a message", MESSAGE, COMBINED, True),
    ("text to a message", MESSAGE, {"msgtype": "text", "text": {"content": "x"}}, False),
    ("an update to a message", MESSAGE, UPDATE, False),
    ("a stream that is too long", MESSAGE, {**STREAM, "stream": {"id": "s", "content": "x" * 20_481}}, False),
    ("a stream that ends with nothing", MESSAGE, {**STREAM, "stream": {**STREAM["stream"], "content": " "}}, False),  # type: ignore[dict-item]
    ("a stream without an id", MESSAGE, {**STREAM, "stream": {"finish": True, "content": "x"}}, False),
    ("a stream to a refresh", MESSAGE | {"msgtype": "stream"}, STREAM, True),
    ("text to who enters", ENTER, {"msgtype": "text", "text": {"content": "x"}}, True),
    ("a stream to who enters", ENTER, STREAM, False),
    ("a stream to a button", CLICK, STREAM, False),
    ("an update of a card nobody has", CLICK, UPDATE, False),
    ("anything to feedback", MESSAGE | {"msgtype": "event", "event": {"eventtype": "feedback_event"}}, STREAM, False),
    ("a list", MESSAGE, [], False),
    ("no JSON", MESSAGE, "x", False),
]


@pytest.mark.parametrize(
    ("callback", "answer", "good"), [case[1:] for case in RESPONSES], ids=[case[0] for case in RESPONSES]
)
def test_what_the_robot_may_answer_in_a_response(
    app: WeComApp, world: World, callback: dict[str, Any], answer: Any, good: bool
) -> None:
    take_response(world, KEYS, "bot", callback, response(answer))
    assert bool(world.refusals("wecom")) != good
    assert len([e for e in world.events if e.kind == "say"]) == (good and callback["msgtype"] != "stream")


@pytest.mark.parametrize(
    "changes", [{"nonce": "n2"}, {"msgsignature": "0" * 40}, {"timestamp": "x"}, {"encrypt": "x"}, {"more": 1}]
)
def test_a_response_is_sealed_for_this_callback(app: WeComApp, world: World, changes: dict[str, Any]) -> None:
    take_response(world, KEYS, "bot", MESSAGE, response(STREAM, **changes))
    assert [event.kind for event in world.events] == ["refused"]


def test_the_card_of_a_group_is_changed_for_everybody_or_for_some(app: WeComApp, world: World) -> None:
    take_response(world, KEYS, "bot", MESSAGE, response(COMBINED))
    for answer in (UPDATE, {**UPDATE, "userids": ["bob"]}, {**UPDATE, "template_card": card(task_id="t2")}):
        take_response(world, KEYS, "bot", CLICK, response(answer))
    assert [(e.kind, e.person, e.ref) for e in world.events][1:] == [
        ("update", "", "t1"),
        ("update", "bob", "t1"),
        ("refused", "ann", ""),
    ]
    assert world.events[1].body["stream"]["content"] == "x", "the words stay"


def test_only_what_is_shown_can_be_pressed_and_only_by_who_sees_it(app: WeComApp, world: World) -> None:
    sent(app)
    [event] = world.said("wecom-chat-ann")
    client = WeComClient(world, "http://127.0.0.1:1", CORP, str(AGENT), KEYS, KEYS)
    for person, token, values in (
        ("ann", "x", None),
        ("bob", "k", None),
        ("nobody", "k", None),
        ("ann", "k", {"a": ""}),
    ):
        with pytest.raises(LookupError):
            client.press(person, event, token, values)
    client.close()
    assert robot_chat(world.people[-1]) != event.place
