"""`POST /slack/events`: what is answered, and what is taken in before it is."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bot.platforms.contract import Incoming
from bot.platforms.slack_routing import SlackRouting, is_ssl_check
from bot.sandbox.slack_app import Workspace, signature
from bot.web.slack import blueprint
from handlers.buttons import ForgedButton
from handlers.exchange import Outcome
from tests.bot.platforms.conftest import Vendor

NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
SECRET = Workspace().signing_secret
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
COMMAND = {
    "command": "/callboard",
    "text": "contact add payload-svc",
    "team_id": "T0001",
    "channel_id": "C0001",
    "user_id": "U0001",
    "trigger_id": "1.2.abc",
}
EVENT = {
    "type": "event_callback",
    "team_id": "T0001",
    "event_id": "Ev1",
    "event": {"type": "message", "channel_type": "im", "user": "U0001", "channel": "D0001", "text": "help"},
}


class Desk:
    """The route alone, in front of a list."""

    def __init__(self, api_url: str = "") -> None:
        self.taken: list[Incoming] = []
        self.pressed: list[Incoming] = []
        self.outcome: Outcome | None = None
        self.failure: Exception | None = None
        routing = SlackRouting("xoxb-1", self._take_in, self._carry_out, lambda: NOW, api_url=api_url)
        app = Flask("test")
        app.register_blueprint(blueprint(SECRET, routing, lambda: NOW))
        self.client: FlaskClient = app.test_client()

    def _take_in(self, incoming: Incoming) -> None:
        if self.failure:
            raise self.failure
        self.taken.append(incoming)

    def _carry_out(self, incoming: Incoming) -> Outcome | None:
        if self.failure:
            raise self.failure
        self.pressed.append(incoming)
        return self.outcome

    def interact(self, payload: dict[str, Any], **more: Any) -> TestResponse:
        """A click, a form or a shortcut; what is missing in the payload is filled in."""
        whole = {"user": {"id": "U0001", "team_id": "T0001"}, "team": {"id": "T0001"}, "trigger_id": "1.2.a", **payload}
        return self.post({"payload": json.dumps(whole)}, FORM, **more)

    def post(self, raw: bytes | dict[str, Any], kind: str = JSON, secret: str = SECRET, **more: str) -> TestResponse:
        if isinstance(raw, dict):
            raw = urlencode(raw).encode() if kind == FORM else json.dumps(raw).encode()
        stamp = str(int(NOW.timestamp()))
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature(secret, stamp, raw), **more}
        return self.client.post("/slack/events", data=raw, headers={**headers, "Content-Type": kind})


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_events_and_commands_are_taken_in_and_answered_empty(desk: Desk) -> None:
    for answer in (desk.post(EVENT), desk.post(COMMAND, FORM)):
        assert (answer.status_code, answer.data) == (200, b"")
    assert [one.text for one in desk.taken] == ["help", "contact add payload-svc"]


def test_broken_json_is_looked_at_only_after_the_signature(desk: Desk) -> None:
    for raw, kind in ((b"{", JSON), (b"payload=%7B", FORM), (b"\xff", FORM)):
        assert desk.post(raw, kind, secret="another").status_code == 401
        assert desk.post(raw, kind).status_code == 400


@pytest.mark.parametrize("name", ["X-Slack-Request-Timestamp", "X-Slack-Signature"])
@pytest.mark.parametrize("value", ["", "soon", "1e9", "\u00e9", "-1", "9" * 400])
def test_odd_headers_are_refused(desk: Desk, name: str, value: str) -> None:
    assert desk.post(EVENT, **{name: value}).status_code == 401
    assert not desk.taken


def test_a_retry_is_taken_in_like_the_first(desk: Desk) -> None:
    """Whether it came before is known to the inbox; the first may never have arrived."""
    assert desk.post(EVENT, **{"X-Slack-Retry-Num": "1"}).status_code == 200
    assert len(desk.taken) == 1


def test_a_replayed_command_has_the_same_id_also_without_a_trigger(desk: Desk) -> None:
    bare = {name: value for name, value in COMMAND.items() if name != "trigger_id"}
    desk.post(bare, FORM)
    desk.post(bare, FORM)
    desk.post(bare | {"text": "help"}, FORM)
    first, again, other = (one.message_id for one in desk.taken)
    assert first == again != other


def test_what_is_not_stored_is_no_200(desk: Desk) -> None:
    desk.failure = OSError("disk full")
    desk.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    for answer in (desk.post(EVENT), desk.post(COMMAND, FORM)):
        assert answer.status_code == 500


def test_a_malformed_payload_is_refused_once_and_for_all(desk: Desk) -> None:
    answer = desk.post(EVENT | {"event": 5})
    assert (answer.status_code, answer.headers["X-Slack-No-Retry"]) == (400, "1")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"{", JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b"{}", JSON),
        (b"[" * 100_000, JSON),
        (b"", JSON),
        (b"", ""),
        (b"payload=5", FORM),
        (b"text=\xff\xfe", FORM),
        (b"command=%2Fcallboard&text=help", FORM),
        (b"command=%2Fcallboard&text=help&team_id=T1&user_id=U1&channel_id=a%2Fb&trigger_id=1", FORM),
        (b'{"type":"event_callback","authorizations":5,"event":{"type":"app_mention"}}', JSON),
        (b'{"type":"event_callback","event":{"type":5}}', JSON),
        (b'{"type":"event_callback","event":{"type":"app_mention","user":"U1","channel":"C1"}}', JSON),
    ],
)
def test_signed_bodies_that_say_nothing_are_refused(desk: Desk, raw: bytes, kind: str) -> None:
    assert desk.post(raw, kind).status_code == 400
    assert not desk.taken


ACKNOWLEDGED: list[dict[str, Any]] = [
    {"type": "block_actions", "actions": [{"type": "button", "action_id": "a"}, {"type": "button", "action_id": "b"}]},
    {"type": "view_submission", "view": {"type": "modal", "callback_id": "x", "state": {"values": {}}}},
    {"type": "view_submission", "view": {}},
    {"type": "view_closed", "view": {"type": "modal", "callback_id": "x"}},
    {"type": "shortcut", "callback_id": "x"},
    {"type": "message_action", "callback_id": "x", "channel": {"id": "C1"}, "message": {"ts": "1.2"}},
    {"type": "app_rate_limited", "team_id": "T0001"},
    {"type": "something_new"},
]


@pytest.mark.parametrize("payload", ACKNOWLEDGED, ids=str)
def test_clicks_and_forms_that_are_not_ours_are_acknowledged_empty(desk: Desk, payload: dict[str, Any]) -> None:
    answer = desk.interact(payload)
    assert (answer.status_code, answer.data) == (200, b"")
    assert not desk.taken
    assert not desk.pressed


CLICK: dict[str, Any] = {
    "type": "block_actions",
    "channel": {"id": "C0001", "name": "ops"},
    "container": {"type": "message", "channel_id": "C0001", "message_ts": "1700000000.000100"},
    "actions": [{"type": "button", "action_id": "callboard-1", "value": "abc.def"}],
}
SUBMITTED: dict[str, Any] = {
    "type": "view_submission",
    "view": {
        "type": "modal",
        "callback_id": "callboard",
        "private_metadata": "abc.def",
        "blocks": [{"type": "input", "block_id": "name"}, {"type": "input", "block_id": "phone"}],
        "state": {"values": {"phone": {"value": {"value": None}}, "name": {"value": {"value": "Ann"}}}},
    },
}
ACK: dict[str, Any] = {
    "type": "message_action",
    "callback_id": "acknowledge",
    "channel": {"id": "C0001"},
    "message": {"bot_id": "B1", "text": "[CRITICAL] #42 disk full"},
}


def test_clicks_and_forms_are_carried_out_and_acknowledged_empty(desk: Desk) -> None:
    for payload in (CLICK, SUBMITTED):
        answer = desk.interact(payload)
        assert (answer.status_code, answer.data) == (200, b"")
    assert [one.press.token for one in desk.pressed if one.press] == ["abc.def", "abc.def"]
    assert not desk.taken


def test_the_shortcut_is_taken_in(desk: Desk) -> None:
    answer = desk.interact(ACK)
    assert (answer.status_code, answer.data) == (200, b"")
    assert [one.text for one in desk.taken] == ["ack #42"]


def test_what_is_wrong_with_a_form_stands_at_its_fields(desk: Desk) -> None:
    desk.outcome = Outcome(set(), "en", errors={"phone": "no number", "": "not now", "gone": "what?"})
    assert desk.interact(SUBMITTED).get_json() == {
        "response_action": "errors",
        "errors": {"phone": "no number", "name": "not now what?"},
    }


@pytest.mark.parametrize("payload", [CLICK, SUBMITTED], ids=["click", "form"])
def test_what_is_not_one_of_our_buttons_is_refused(desk: Desk, payload: dict[str, Any]) -> None:
    desk.failure = ForgedButton()
    answer = desk.interact(payload)
    assert answer.status_code == 403
    assert b"abc" not in answer.data


@pytest.mark.parametrize("payload", [CLICK, SUBMITTED, ACK], ids=["click", "form", "shortcut"])
def test_what_cannot_be_carried_out_is_no_200(desk: Desk, payload: dict[str, Any]) -> None:
    desk.failure = OSError("disk full")
    desk.client.application.config["PROPAGATE_EXCEPTIONS"] = False
    assert desk.interact(payload).status_code == 500


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({**CLICK, "user": 5}, 400),
        ({**CLICK, "user": {"id": "U/1"}}, 400),
        ({**CLICK, "team": None, "user": {"id": "U1"}}, 400),
        ({**CLICK, "channel": None, "container": None}, 400),
        ({**CLICK, "trigger_id": "x" * 300}, 400),
        ({**CLICK, "actions": [{**CLICK["actions"][0], "value": None}]}, 403),
        ({**CLICK, "actions": [{**CLICK["actions"][0], "value": "a b"}]}, 403),
        ({**CLICK, "actions": [{**CLICK["actions"][0], "value": "\ud800"}]}, 403),
        ({**SUBMITTED, "view": {**SUBMITTED["view"], "private_metadata": None}}, 403),
        ({**SUBMITTED, "view": {**SUBMITTED["view"], "state": None}}, 400),
        ({**SUBMITTED, "view": {**SUBMITTED["view"], "state": {"values": {}}}}, 400),
        ({**ACK, "channel": None}, 400),
    ],
)
def test_a_malformed_click_or_form_does_nothing(desk: Desk, payload: dict[str, Any], status: int) -> None:
    assert desk.interact(payload).status_code == status
    assert not desk.pressed
    assert not desk.taken


@pytest.mark.parametrize("kind", ["app_home_opened", "reaction_added", "tokens_revoked", "new_one"])
def test_events_that_nobody_needs_are_acknowledged(desk: Desk, kind: str) -> None:
    assert desk.post(EVENT | {"event": {"type": kind, "user": "U0001"}}).status_code == 200
    assert not desk.taken


def test_the_address_can_be_verified_with_a_signature_only(desk: Desk) -> None:
    challenge = {"token": "deprecated", "challenge": "3eZbrw1aBm2r", "type": "url_verification"}
    assert desk.post(challenge).get_json() == {"challenge": "3eZbrw1aBm2r"}
    assert desk.post(challenge, secret="another").status_code == 401


@pytest.mark.parametrize(
    ("raw", "check"),
    [
        (b"ssl_check=1&token=x", True),
        (b"ssl_check=0", False),
        (b"text=ssl_check=1", False),
        (b"ssl_check=1&command=%2Fcallboard&text=help", False),
        (b"ssl_check=1&payload=%7B%7D", False),
        (b"ssl_check=1&" + b"x" * 5000, False),
        (b'{"ssl_check": "1"}', False),
    ],
)
def test_only_a_bare_check_of_the_certificate_needs_no_signature(desk: Desk, raw: bytes, check: bool) -> None:
    assert is_ssl_check(raw) is check
    assert desk.post(raw, FORM, secret="another").status_code == (200 if check else 401)
    assert not desk.taken


def test_too_large_a_body_is_refused_unread(desk: Desk) -> None:
    assert desk.post(b"x" * (1024 * 1024 + 1)).status_code == 413


def test_where_slack_is_not_set_up_the_route_says_so() -> None:
    app = Flask("test")
    app.register_blueprint(blueprint("", None, lambda: NOW))
    answer = app.test_client().post("/slack/events", data=b"{}")
    assert answer.status_code == 404
    assert "SLACK_SIGNING_SECRET" in answer.text


def test_nothing_of_slacks_is_called_while_a_message_is_taken_in(vendor: Vendor) -> None:
    """Not even `auth.test`, whose refusal Bolt would turn into lost events."""
    desk = Desk(api_url=vendor.url)
    assert desk.post(EVENT).status_code == 200
    assert desk.post(COMMAND, FORM).status_code == 200
    assert len(desk.taken) == 2
    assert not vendor.calls


@pytest.fixture
def _bolts_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-environment")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "another")
    monkeypatch.setenv("SLACK_CLIENT_ID", "1.2")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "client-secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_bolts_environment")
def test_what_bolt_would_take_from_the_environment_changes_nothing(vendor: Vendor) -> None:
    desk = Desk(api_url=vendor.url)
    assert desk.post(EVENT).status_code == 200
    assert desk.post(COMMAND, FORM).status_code == 200
    assert len(desk.taken) == 2
    assert not vendor.calls


def test_random_bodies_give_no_5xx(desk: Desk) -> None:
    rng = random.Random(20261123)
    clicks = [{"payload": json.dumps(one)} for one in (CLICK, SUBMITTED, ACK)]
    seeds = [
        json.dumps(EVENT).encode(),
        *(urlencode(form).encode() for form in (COMMAND, *clicks)),
        b"{}",
        b"ssl_check=1",
    ]
    statuses = set()
    for _number in range(3000):
        base = bytearray(rng.choice(seeds) + rng.randbytes(rng.choice((0, 0, 3, 40))))
        for _flip in range(rng.randrange(6)):
            base[rng.randrange(len(base))] = rng.randrange(256)
        answer = desk.post(bytes(base), rng.choice([JSON, FORM, "text/plain", "multipart/form-data; boundary=x", ""]))
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 400, 403), bytes(base)
    assert statuses >= {200, 400}
