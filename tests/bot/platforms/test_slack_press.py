"""Slack's clicks, forms and shortcuts: what was pressed, by whom, where, and which alerts a message is about."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.contract import Incoming, Press
from bot.platforms.slack_press import decode_click, decode_form, decode_shortcut, numbers_in, shown_errors
from handlers.buttons import ForgedButton
from handlers.errors import PayloadError

NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=30)
API = "https://slack.com/api/chat.postMessage"
HOOK = "https://hooks.slack.com/actions/T0001/1/x"
TS = "1700000000.000100"


def click(**changes: object) -> dict[str, Any]:
    """A button in a message of a channel; a change to `...` removes a member, `container__x` changes the container."""
    container = {"type": "message", "message_ts": TS, "channel_id": "C0001", "is_ephemeral": False}
    container |= {name.removeprefix("container__"): v for name, v in changes.items() if name.startswith("container__")}
    whole: dict[str, Any] = {
        "type": "block_actions",
        "user": {"id": "U0001", "username": "wang", "team_id": "T0001"},
        "team": {"id": "T0001", "domain": "acme"},
        "container": {name: value for name, value in container.items() if value is not ...},
        "trigger_id": "1.2.abc",
        "channel": {"id": "C0001", "name": "ops"},
        "message": {"ts": TS, "text": "x"},
        "response_url": HOOK,
        "actions": [
            {"type": "button", "action_id": "callboard-1", "block_id": "b", "value": "to.ken", "action_ts": "5.6"}
        ],
    }
    whole |= {name: value for name, value in changes.items() if not name.startswith("container__")}
    return {name: value for name, value in whole.items() if value is not ...}


HOME = {"container": {"type": "view", "view_id": "V1"}, "view": {"type": "home"}, "channel": ..., "message": ...}
DIRECT = {"container__channel_id": "D0001", "channel": {"id": "D0001", "name": "directmessage"}}
WHISPERED = {"container__is_ephemeral": True, "message": ...}


def test_a_click_is_decoded_completely() -> None:
    assert decode_click(click(), NOW) == Incoming(
        platform="slack",
        message_id="1.2.abc",
        person="slack:T0001/U0001",
        name="wang",
        conversation="slack:T0001/C0001",
        direct=False,
        text="",
        title="ops",
        reply_url=API,
        press=Press("to.ken", {}, f"C0001/{TS}"),
        trigger="1.2.abc",
        whisper="slack:T0001/C0001/U0001",
    )


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        (WHISPERED, "conversation", "slack:T0001/C0001/U0001"),
        (WHISPERED, "direct", True),
        (WHISPERED, "reply_url", HOOK),
        (WHISPERED, "reply_until", SOON),
        (WHISPERED, "press", Press("to.ken", {}, "response")),
        ({**WHISPERED, "response_url": "https://evil.example.com/x"}, "reply_url", API),
        ({**WHISPERED, "response_url": "https://evil.example.com/x"}, "press", Press("to.ken")),
        (DIRECT, "conversation", ""),
        (DIRECT, "direct", True),
        (DIRECT, "title", ""),
        (DIRECT, "press", Press("to.ken", {}, f"D0001/{TS}")),
        (HOME, "conversation", "slack:T0001/home/U0001"),
        (HOME, "direct", True),
        (HOME, "reply_url", API),
        (HOME, "press", Press("to.ken")),
        ({"container__thread_ts": "1700000000.000001"}, "reply_url", f"{API}?thread_ts=1700000000.000001"),
        ({"message": {"ts": TS, "thread_ts": "1.2"}}, "reply_url", f"{API}?thread_ts=1.2"),
        ({"container": {"type": "message_attachment"}}, "press", Press("to.ken", {}, f"C0001/{TS}")),
        ({"user": {"id": "U0001", "team_id": "T0009"}}, "person", "slack:T0009/U0001"),
        ({"user": {"id": "U0001", "team_id": "T0009"}, "team": None}, "conversation", "slack:T0009/C0001"),
        ({"trigger_id": ...}, "message_id", "5.6.U0001"),
        ({"trigger_id": ...}, "trigger", ""),
    ],
)
def test_clicks_are_decoded(changes: dict[str, Any], field: str, expected: object) -> None:
    incoming = decode_click(click(**changes), NOW)
    assert incoming is not None
    assert getattr(incoming, field) == expected


@pytest.mark.parametrize("actions", [[], None, 5, [{"action_id": "other", "value": "to.ken"}], [{"value": "to.ken"}]])
def test_a_control_that_is_not_ours_is_nothing(actions: object) -> None:
    assert decode_click(click(actions=actions), NOW) is None


@pytest.mark.parametrize("value", [None, "", 5, "a b", "x" * 901, "\ud800"])
def test_what_cannot_be_a_token_is_forged(value: object) -> None:
    with pytest.raises(ForgedButton):
        decode_click(click(actions=[{"action_id": "callboard-1", "value": value}]), NOW)


def test_the_token_is_not_in_the_repr() -> None:
    assert "to.ken" not in repr(decode_click(click(), NOW))


# ---- forms


def form(metadata: str = "to.ken here", **values: Any) -> dict[str, Any]:
    return {
        "type": "view_submission",
        "team": {"id": "T0001"},
        "user": {"id": "U0001", "username": "wang", "team_id": "T0001"},
        "trigger_id": "1.3.abc",
        "view": {
            "type": "modal",
            "callback_id": "callboard",
            "private_metadata": metadata,
            "blocks": [{"type": "section"}, *({"type": "input", "block_id": name} for name in values)],
            "state": {"values": {name: {"value": value} for name, value in values.items()}},
        },
    }


SELECTED = {"type": "multi_static_select", "selected_options": [{"value": "dba"}, {"value": '"a, b"'}]}


def test_a_form_is_decoded_completely() -> None:
    typed = {"type": "plain_text_input", "value": " Li\u200b \ud83d"}
    submitted = form(name=typed, phone={"value": None}, groups=SELECTED, none={"selected_options": []}, odd=5)
    incoming = decode_form(submitted)
    assert incoming == Incoming(
        platform="slack",
        message_id="1.3.abc",
        person="slack:T0001/U0001",
        name="wang",
        conversation="",
        direct=True,
        text="",
        reply_url=API,
        press=Press("to.ken", {"name": " Li \ufffd", "phone": "", "groups": 'dba,"a, b"', "none": "", "odd": ""}),
        trigger="1.3.abc",
    )


@pytest.mark.parametrize(
    ("metadata", "url"),
    [("to.ken", ""), ("to.ken here", API), ("to.ken 1.2", f"{API}?thread_ts=1.2"), ("to.ken x y", API)],
)
def test_a_form_is_answered_where_it_was_opened(metadata: str, url: str) -> None:
    incoming = decode_form(form(metadata, name={"value": "Li"}))
    assert incoming is not None
    assert incoming.reply_url == url


def test_a_form_that_is_not_ours_is_nothing() -> None:
    other = form(name={"value": "Li"})
    other["view"]["callback_id"] = "another"
    assert decode_form(other) is None
    assert decode_form({"view": None}) is None


def test_errors_stand_at_inputs_that_are_there() -> None:
    submitted = form(phone={"value": None}, name={"value": "x"})
    assert shown_errors(submitted, {"name": "taken", "": "not now", "gone": "?"}) == {
        "name": "taken",
        "phone": "not now ?",
    }
    del submitted["view"]["blocks"]
    assert shown_errors(submitted, {"": "not now"}) == {"phone": "not now"}


# ---- the shortcut


def plain(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text}}


CARD = {"text": "🔴 [CRITICAL] #42 disk of PR #7 full", "attachments": [{"blocks": [plain("also #43")]}]}
LIST = {"text": "2 open alerts", "blocks": [plain("No. · Title\n#41 · CRITICAL · as in #7\n#40 · WARNING · x")]}
SAID = {"text": "Lin has alert #42: disk full #43", "blocks": [plain("Lin has alert #42: disk full #43")]}
DIGEST = {
    "text": "🔴 [CRITICAL] 6 alerts in a digest",
    "attachments": [{"blocks": [plain("CRITICAL: 6\n• PR #7 broken #9\n• disk full ×4: #12–#14 #20\n• … #21 #22")]}],
}


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        (CARD, ("42",)),
        ({"text": "#42 disk full"}, ("42",)),
        ({"text": "[测试] #42"}, ("42",)),
        (LIST, ("41", "40")),
        (SAID, ("42",)),
        (DIGEST, ("9", "12", "13", "14", "20", "21", "22")),
        ({"text": "2 alerts", "blocks": [plain("#3 #5\n#8–#9")]}, ("3", "5", "8", "9")),
        ({"text": "2 alerts", "blocks": [plain("of #3 and #5, also #3 too")]}, ("3", "5")),
        ({"text": "all", "blocks": [plain("#1–#999999999")]}, tuple(map(str, range(1, 21)))),
        ({"text": "x", "blocks": [{"type": "actions", "elements": [{"value": "#9", "text": {"text": "Ack"}}]}]}, ()),
        ({"text": "nothing &#39; a#1 #x #1234567890"}, ()),
        ({"text": "\n".join(f"#{n} x" for n in range(30)), "attachments": 5}, ("0",)),
        ({"text": "all", "blocks": [plain("\n".join(f"#{n} x" for n in range(30)))]}, tuple(map(str, range(20)))),
        ({}, ()),
    ],
)
def test_which_alerts_a_message_is_about(message: dict[str, Any], numbers: tuple[str, ...]) -> None:
    assert numbers_in({**message, "bot_id": "B1"}) == numbers
    assert numbers_in(message) == (), "what people write is not about alerts"


def test_the_shortcut_is_a_command_of_that_person_in_that_channel() -> None:
    payload = {**click(), "type": "message_action", "callback_id": "acknowledge", "message": {**LIST, "bot_id": "B1"}}
    incoming = decode_shortcut(payload, NOW)
    assert incoming == Incoming(
        platform="slack",
        message_id="1.2.abc",
        person="slack:T0001/U0001",
        name="wang",
        conversation="slack:T0001/C0001/U0001",
        direct=True,
        text="ack #41 #40",
        spoken=False,
        title="ops",
        reply_url=HOOK,
        reply_until=SOON,
        trigger="1.2.abc",
    )
    assert decode_shortcut({**payload, "callback_id": "another"}, NOW) is None
    assert decode_shortcut({**payload, "type": "shortcut"}, NOW) is None


LEAVES: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=10), x, max_size=3), max_leaves=8
)
NAMES = ("user", "team", "container", "channel", "message", "view", "actions", "trigger_id", "response_url")


@given(st.dictionaries(st.sampled_from(NAMES), JSON), st.dictionaries(st.sampled_from(["blocks", "state"]), JSON))
def test_any_payload_is_decoded_or_refused(changes: dict[str, Any], view: dict[str, Any]) -> None:
    shortcut = {"type": "message_action", "callback_id": "acknowledge"}
    submitted = form(name={"value": "x"})
    submitted["view"] |= view
    decodings: tuple[Callable[[], object], ...] = (
        lambda: decode_click(click(**changes), NOW),
        lambda: decode_form({**form(name={"value": "x"}), **changes}),
        lambda: decode_form(submitted) and shown_errors(submitted, {"": "x"}),
        lambda: decode_shortcut({**click(**changes), **shortcut}, NOW),
    )
    for decode in decodings:
        try:
            decode()
        except (PayloadError, ForgedButton):
            continue
