"""Lark's app endpoints and its typing client: what is refused with which code, and what a callback looks like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bot.sandbox.directory import App
from bot.sandbox.lark_app import LarkApp, bot_open_id
from bot.sandbox.lark_client import LarkClient
from bot.sandbox.lark_press import Sent, controls, response_of
from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import NOW, Clock

SEND, TOKEN, BOT = (
    "/open-apis/im/v1/messages",
    "/open-apis/auth/v3/tenant_access_token/internal",
    "/open-apis/bot/v3/info",
)
TEXT: dict[str, Any] = {"receive_id": "oc_1", "msg_type": "text", "content": '{"text":"hi"}'}
DIV = {"tag": "div", "text": {"tag": "plain_text", "content": "x"}}
CARD = {"elements": [DIV]}
CARD2: dict[str, Any] = {"schema": "2.0", "body": {"elements": [DIV]}}
TITLE_OF_30_KB = {"tag": "plain_text", "content": "x" * 30_720}


def _button(token: str, **more: Any) -> dict[str, Any]:
    text = {"tag": "plain_text", "content": "Go"}
    return {"tag": "button", "text": text, "behaviors": [{"type": "callback", "value": {"callboard": token}}]} | more


OPTIONS = [{"text": {"tag": "plain_text", "content": word.upper()}, "value": word} for word in "ab"]
FORM = [
    {"tag": "input", "name": "who", "required": True, "max_length": 10, "default_value": "me"},
    {"tag": "multi_select_static", "name": "which", "selected_values": ["a"], "options": OPTIONS},
    _button("a.1", type="primary_filled", name="go", form_action_type="submit"),
]
PRESSABLE = {
    "schema": "2.0",
    "body": {"elements": [{"tag": "form", "name": "form", "elements": FORM}, _button("a.2")]},
}


class Caller:
    """Calls the stand-in as an app does."""

    def __init__(self, stand_ins: StandIns, app: App) -> None:
        self.stand_ins, self.app = stand_ins, app
        self.http = requests.Session()
        self.http.trust_env = False

    @property
    def lark(self) -> LarkApp:
        return self.stand_ins.lark_app

    @property
    def world(self) -> World:
        return self.stand_ins.world

    def token(self, **more: Any) -> dict[str, Any]:
        body = {"app_id": self.app.client_id, "app_secret": self.app.client_secret} | more
        answer: dict[str, Any] = self.http.post(self.stand_ins.url + TOKEN, json=body, timeout=5).json()
        return answer

    def call(self, path: str, body: Any = None, *, method: str = "POST", **more: Any) -> requests.Response:
        word = more.pop("token", None) or self.token()["tenant_access_token"]
        headers = {"Authorization": f"Bearer {word}", "Content-Type": "application/json; charset=utf-8"}
        data = json.dumps(body).encode() if body is not None else None
        return self.http.request(method, self.stand_ins.url + path, data=data, headers=headers, timeout=5, **more)

    def send(self, body: Any, kind: str = "chat_id", **more: Any) -> int:
        code: int = self.call(f"{SEND}?receive_id_type={kind}", body, **more).json()["code"]
        return code


@pytest.fixture
def caller(clock: Clock) -> Iterator[Caller]:
    world = World(clock)
    world.add_group("lark", "oc_1", "oncall", ["ou_1"])
    world.add_group("lark", "oc_2", "without the bot", bot=False)
    world.add_person("lark", "ou_1", "Ann", "t01", chat="oc_p2p")
    world.add_person("lark", "ou_2", "Bob", "t01", reachable=False)
    app = world.add_app("lark", "cli_1", "s3cr3t", "t01")
    with StandIns(world) as stand_ins:
        one = Caller(stand_ins, app)
        yield one
        one.http.close()


def test_credentials_and_tokens_are_checked(caller: Caller, clock: Clock) -> None:
    first = caller.token()
    assert (first["code"], first["expire"]) == (0, 7200)
    assert caller.token()["tenant_access_token"] == first["tenant_access_token"], "it stays while it is good"
    assert caller.token(app_secret="x")["code"] == 10014
    assert caller.token(app_id="cli_2")["code"] == 10003
    assert caller.token(app_id=None)["code"] == 10003
    refused = caller.call(BOT, method="GET", token="t-x")
    assert (refused.status_code, refused.json()["code"]) == (400, 99991663)
    assert requests.get(caller.stand_ins.url + BOT, timeout=5).json()["code"] == 99991661
    clock.move(7201)
    assert caller.call(BOT, method="GET", token=first["tenant_access_token"]).json()["code"] == 99991663
    assert caller.token()["tenant_access_token"] != first["tenant_access_token"]
    caller.lark.expire_tokens()
    assert caller.send(TEXT) == 0, "a new one is given out"


def test_the_bot_says_who_it_is_at_the_top_level(caller: Caller) -> None:
    answer = caller.call(BOT, method="GET").json()
    assert answer["bot"]["open_id"] == bot_open_id(caller.app)
    assert "data" not in answer


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (TEXT, "chat_id", 0),
        (TEXT | {"receive_id": "oc_p2p"}, "chat_id", 0),
        (TEXT | {"receive_id": "ou_1"}, "open_id", 0),
        (TEXT | {"receive_id": "ou_1"}, "", 230001),
        (TEXT | {"receive_id": "ou_1"}, "chat_id", 230001),
        (TEXT | {"receive_id": "oc_2"}, "chat_id", 230002),
        (TEXT | {"receive_id": "oc_9"}, "chat_id", 230001),
        (TEXT | {"receive_id": "ou_9"}, "open_id", 230034),
        (TEXT | {"receive_id": "ou_2"}, "open_id", 230013),
        (TEXT | {"content": {"text": "hi"}}, "chat_id", 230001),
        (TEXT | {"content": "hi"}, "chat_id", 230001),
        (TEXT | {"content": "[]"}, "chat_id", 230001),
        (TEXT | {"content": '{"text":""}'}, "chat_id", 230001),
        (TEXT | {"msg_type": "markdown"}, "chat_id", 230001),
        (TEXT | {"uuid": "x" * 50}, "chat_id", 0),
        (TEXT | {"uuid": "x" * 51}, "chat_id", 230001),
        (TEXT | {"msg_type": "interactive", "content": json.dumps(CARD)}, "chat_id", 0),
        (TEXT | {"msg_type": "interactive", "content": json.dumps({"card": CARD})}, "chat_id", 230099),
        (TEXT | {"msg_type": "interactive", "content": json.dumps(CARD | {"schema": "2.0"})}, "chat_id", 230099),
        (TEXT | {"msg_type": "interactive", "content": json.dumps(CARD) + " " * 30_720}, "chat_id", 230025),
        (TEXT | {"content": json.dumps({"text": "x" * 153_600})}, "chat_id", 230025),
        (TEXT | {"msg_type": "post", "content": json.dumps({"zh_cn": {"content": []}})}, "chat_id", 0),
        (TEXT | {"msg_type": "post", "content": json.dumps({"post": {"zh_cn": {}}})}, "chat_id", 230001),
        ([], "chat_id", 230001),
    ],
)
def test_messages_are_judged_as_documented(caller: Caller, body: Any, kind: str, code: int) -> None:
    assert caller.send(body, kind) == code
    assert [event.note for event in caller.world.refusals("lark")] == ([str(code)] if code else [])
    assert len([event for event in caller.world.events if event.kind == "say"]) == (not code)


def test_the_same_uuid_is_one_message_for_an_hour(caller: Caller, clock: Clock) -> None:
    ids = {
        caller.call(f"{SEND}?receive_id_type=chat_id", TEXT | {"uuid": "u"}).json()["data"]["message_id"] for _ in "ab"
    }
    assert len(ids) == 1
    assert [event.kind for event in caller.world.events] == ["say", "repeat"]
    clock.move(3600)
    assert caller.send(TEXT | {"uuid": "u"}) == 0
    assert len(caller.world.said("oc_1")) == 2


def test_a_reply_needs_a_message_that_is_there(caller: Caller) -> None:
    client = _client(caller)
    posted = client.type("ou_1", "hi", group="oc_1")
    path = f"{SEND}/{posted.message_id}/reply"
    assert caller.call(path, {"msg_type": "text", "content": '{"text":"x"}'}).json()["code"] == 0
    assert caller.world.said("oc_1")[-1].note == f"reply:{posted.message_id}"
    caller.lark.withdrawn.add(posted.message_id)
    assert caller.call(path, TEXT).json()["code"] == 230011
    caller.lark.deleted.add("om_gone")
    assert caller.call(f"{SEND}/om_gone/reply", TEXT).json()["code"] == 230110
    assert caller.call(f"{SEND}/om_never/reply", TEXT).json()["code"] == 230001
    client.close()


def _client(caller: Caller, encrypt_key: str = "") -> LarkClient:
    """Posts to an address where nobody listens to callbacks; what it posted is what is looked at."""
    return LarkClient(
        caller.world, caller.stand_ins.url, caller.app, encrypt_key=encrypt_key, verification_token="vt_1"
    )


def test_limits_are_kept_and_say_when_to_come_back(caller: Caller, clock: Clock) -> None:
    codes = [caller.send(TEXT | {"receive_id": "oc_1"}) for _number in range(6)]
    assert codes == [0, 0, 0, 0, 0, 230020]
    assert caller.send(TEXT | {"receive_id": "ou_1"}, "open_id") == 0, "each chat has its own"
    clock.move(1)
    assert caller.send(TEXT) == 0
    clock.move(1)
    word = caller.token()["tenant_access_token"]
    answers = [caller.call(BOT, method="GET", token=word) for _number in range(51)]
    assert [answer.status_code for answer in answers] == [200] * 50 + [429]
    assert answers[-1].json()["code"] == 99991400
    assert answers[-1].headers["x-ogw-ratelimit-reset"] == "2"


def test_unknown_paths_are_not_found(caller: Caller) -> None:
    for path, method in (
        (SEND, "PUT"),
        (f"{SEND}/om_1", "PUT"),
        (f"{SEND}/om_1", "POST"),
        ("/open-apis/im/v1/chats", "GET"),
        (BOT, "POST"),
    ):
        assert caller.call(path, TEXT if method != "GET" else None, method=method).status_code == 404


def test_group_bots_beside_it_still_work(caller: Caller) -> None:
    caller.world.add_robot("lark", "oc_1", "hook1")
    body = {"msg_type": "text", "content": {"text": "hi"}}
    answer = requests.post(f"{caller.stand_ins.url}/open-apis/bot/v2/hook/hook1", json=body, timeout=5).json()
    assert answer["code"] == 0


def test_a_typed_message_is_the_documented_callback(caller: Caller) -> None:
    client = _client(caller, encrypt_key="k")
    posted = client.type("ou_1", "admin add", group="oc_1", others=("ou_2",))
    assert set(json.loads(posted.raw)) == {"encrypt"}
    assert set(posted.headers) == {
        *("Content-Type", "X-Lark-Request-Timestamp", "X-Lark-Request-Nonce", "X-Lark-Signature"),
    }
    assert posted.headers["X-Lark-Request-Timestamp"] == str(int(NOW))
    header, event = posted.body["header"], posted.body["event"]
    assert (header["token"], header["app_id"], header["tenant_key"]) == ("vt_1", "cli_1", "t01")
    assert json.loads(event["message"]["content"]) == {"text": "@_user_1 admin add @_user_2"}
    assert [one["id"]["open_id"] for one in event["message"]["mentions"]] == [bot_open_id(caller.app), "ou_2"]
    assert [one["mentioned_type"] for one in event["message"]["mentions"]] == ["bot", "user"]
    assert not client.type("ou_1", "hi", group="oc_1", mention=False).delivered
    assert not client.type("ou_1", "hi", group="oc_2").delivered
    direct = client.type("ou_1", "hi")
    assert direct.body["event"]["message"]["chat_type"] == "p2p"
    assert "mentions" not in direct.body["event"]["message"]
    with pytest.raises(LookupError):
        client.type("ou_9", "hi")
    client.close()


# ---- changes


def sent(caller: Caller, card: Any = None, **more: Any) -> str:
    """The id of a new card, of version 2.0 unless it is given."""
    body = {"receive_id": "oc_1", "msg_type": "interactive", "content": json.dumps(card or CARD2)} | more
    answer = caller.call(f"{SEND}?receive_id_type=chat_id", body).json()
    return str(answer["data"]["message_id"])


def change(caller: Caller, message_id: str, card: Any = None, **more: Any) -> int:
    body = {"content": json.dumps(card or CARD2)}
    code: int = caller.call(f"{SEND}/{message_id}", body, method="PATCH", **more).json()["code"]
    return code


def test_a_card_can_be_changed_for_two_weeks(caller: Caller, clock: Clock) -> None:
    message_id = sent(caller)
    assert change(caller, message_id, CARD2 | {"header": {"title": {"tag": "plain_text", "content": "new"}}}) == 0
    said, update = caller.world.events
    assert (said.ref, update.kind, update.ref, update.place) == (message_id, "update", message_id, "oc_1")
    assert update.body["content"]["header"]["title"]["content"] == "new"
    clock.move(14 * 86_400)
    assert change(caller, message_id) == 0
    clock.move(1)
    assert change(caller, message_id) == 230031


def test_only_own_cards_that_are_there_can_be_changed(caller: Caller) -> None:
    typed = _client(caller).type("ou_1", "hi", group="oc_1").message_id
    text = sent(caller, msg_type="text", content='{"text":"x"}')
    for strange in (typed, text, "om_never"):
        assert change(caller, strange) == 230001
    message_id = sent(caller)
    caller.world.add_app("lark", "cli_2", "other", "t01")
    theirs = caller.token(app_id="cli_2", app_secret="other")["tenant_access_token"]
    assert change(caller, message_id, token=theirs) == 230001
    caller.lark.withdrawn.add(message_id)
    assert change(caller, message_id) == 230011
    caller.lark.withdrawn.clear()
    caller.lark.deleted.add(message_id)
    assert change(caller, message_id) == 230110


def test_a_card_keeps_its_schema_and_is_shared(caller: Caller) -> None:
    message_id = sent(caller)
    assert change(caller, message_id, CARD | {"config": {"update_multi": True}}) == 230099
    assert change(caller, message_id, {"schema": "2.0", "elements": [DIV]}) == 230099
    old = sent(caller, CARD)
    assert change(caller, old, CARD) == 230099
    assert change(caller, old, CARD | {"config": {"update_multi": True}}) == 0


def test_a_message_is_changed_five_times_a_second(caller: Caller, clock: Clock) -> None:
    message_id, other = sent(caller), sent(caller)
    assert [change(caller, message_id) for _number in range(6)] == [0] * 5 + [230020]
    assert change(caller, other) == 0
    clock.move(1)
    assert change(caller, message_id) == 0


# ---- presses


def test_a_press_is_the_documented_callback(caller: Caller) -> None:
    sent(caller, PRESSABLE)
    event = caller.world.events[-1]
    assert controls(event.body) == [
        {"token": "a.1", "label": "Go", "style": "primary", "fields": ["who", "which"]},
        {"token": "a.2", "label": "Go", "style": "plain", "fields": []},
    ]
    client = _client(caller, encrypt_key="k")
    posted = client.press("ou_1", event, "a.1", {"who": "Ann", "which": "b"})
    header, pressed = posted.body["header"], posted.body["event"]
    assert header["event_type"] == "card.action.trigger"
    assert header["create_time"] == str(round(NOW * 1_000_000))
    assert pressed["operator"]["open_id"] == "ou_1"
    assert pressed["context"] == {"open_message_id": event.ref, "open_chat_id": "oc_1"}
    assert pressed["action"]["value"] == {"callboard": "a.1"}
    assert pressed["action"]["form_value"] == {"who": "Ann", "which": ["b"]}
    assert client.press("ou_1", event, "a.1").body["event"]["action"]["form_value"] == {"who": "me", "which": ["a"]}
    assert "form_value" not in client.press("ou_1", event, "a.2").body["event"]["action"]
    assert not client.press("ou_1", event, "a.1", {"who": ""}).delivered, "the client asks for it"
    client.close()


def test_only_what_is_shown_can_be_pressed(caller: Caller, clock: Clock) -> None:
    sent(caller, PRESSABLE)
    event = caller.world.events[-1]
    client = _client(caller)
    for person, token, values in (
        ("ou_1", "a.3", None),
        ("ou_1", "a.1", {"unknown": "x"}),
        ("ou_1", "a.1", {"which": "c"}),
        ("ou_1", "a.1", {"who": "x" * 11}),
        ("ou_1", "a.2", {"who": "x"}),
        ("ou_2", "a.2", None),
        ("ou_9", "a.2", None),
    ):
        with pytest.raises(LookupError):
            client.press(person, event, token, values)
    clock.move(14 * 86_400 + 1)
    assert not client.press("ou_1", event, "a.2").delivered
    client.close()


SHOWN = {"type": "raw", "data": CARD2}


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (200, b"{}", ""),
        (200, {"toast": {"type": "info", "content": "x"}}, ""),
        (200, {"toast": {"type": "success", "content": "x"}, "card": SHOWN}, ""),
        (403, {"error": "x"}, "200671"),
        (302, b"", "200671"),
        (200, b"", "200672"),
        (200, b"[]", "200672"),
        (200, {"msg": "success"}, "200672"),
        (200, {"toast": {"type": "danger", "content": "x"}}, "200672"),
        (200, {"toast": {"type": "info"}}, "200672"),
        (200, {"card": CARD2}, "200673"),
        (200, {"card": {"type": "raw", "data": {"schema": "2.0"}}}, "200673"),
        (200, {"card": {"type": "raw", "data": CARD2 | {"header": {"title": TITLE_OF_30_KB}}}}, "200673"),
        (200, {"card": {"type": "raw", "data": CARD}}, "200830"),
    ],
)
def test_the_answer_to_a_press_is_judged(status: int, answer: Any, why: str) -> None:
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    before = Sent("cli_1", "oc_1", "", "interactive", "2.0", NOW)
    shown, found = response_of(status, raw, before)
    assert found == why
    assert shown == ({} if why else json.loads(raw))
