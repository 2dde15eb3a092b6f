"""Presses on Lark's cards: who pressed what where, and what the answer shows."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.http import encoded
from bot.platforms.contract import Incoming, Press
from bot.platforms.lark_press import decode, is_press, response
from bot.sandbox.lark_press import response_of
from handlers.document import Button, Dialog, Document, Paragraph
from handlers.errors import PayloadError
from handlers.exchange import Outcome
from tests.bot.platforms.test_lark import KNOWN

PRESSED_AT = datetime(2023, 11, 14, 22, 13, 25, tzinfo=UTC)
TOKEN = "abc.def"


def body(value: Any = None, form: Any = None) -> dict[str, Any]:
    """The known callback, with that value and what stands in its form."""
    whole: dict[str, Any] = json.loads(KNOWN["card.action.trigger"])
    action = whole["event"]["action"]
    action["value"] = {"callboard": TOKEN} if value is None else value
    if form is not None:
        action["form_value"] = form
    return whole


def pressed(*args: Any) -> Incoming:
    found = decode(body(*args))
    assert found is not None
    assert found.press is not None
    return found


def values(*args: Any) -> dict[str, str]:
    press = pressed(*args).press
    assert press is not None
    return dict(press.values)


def test_the_known_callback_is_read() -> None:
    assert is_press(body())
    assert pressed() == Incoming(
        platform="lark",
        message_id="card0001card0001card0001card0001",
        person="lark:1a2b3c4d5e6f7081/ou_11112222333344445555666677778888",
        name="",
        conversation="",
        direct=False,
        text="",
        reply_url="https://open.feishu.cn/open-apis/im/v1/messages/om_aaaabbbbccccddddeeeeffff00002222/reply",
        reply_until=PRESSED_AT + timedelta(minutes=10),
        press=Press(TOKEN, {}, "om_aaaabbbbccccddddeeeeffff00002222"),
        inline="always",
    )


def test_a_card_of_somebody_else_is_ignored() -> None:
    assert decode(json.loads(KNOWN["card.action.trigger"])) is None


def test_the_value_may_come_as_a_text() -> None:
    assert pressed(json.dumps({"callboard": TOKEN})).press == pressed().press


FIELDS = {"callboard": TOKEN, "fields": ["name", "phone", "groups"]}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (None, {"name": "", "phone": "", "groups": ""}),
        ({}, {"name": "", "phone": "", "groups": ""}),
        ({"name": " Ann\u200b ", "phone": ""}, {"name": "Ann", "phone": "", "groups": ""}),
        ({"name": "A\nB\x00", "groups": ["a", '"b, c"']}, {"name": "A\nB", "phone": "", "groups": 'a,"b, c"'}),
        ({"name": None, "phone": 5, "groups": []}, {"name": "", "phone": "", "groups": ""}),
        ("nonsense", {"name": "", "phone": "", "groups": ""}),
        ({"a field of\ud800": "x", "": "x"}, {"name": "", "phone": "", "groups": ""}),
    ],
)
def test_every_field_has_a_value(form: Any, expected: dict[str, str]) -> None:
    assert values(FIELDS, form) == expected


def test_a_button_in_no_form_has_no_values() -> None:
    assert values() == {}
    assert values({"callboard": TOKEN, "fields": "nonsense"}) == {}


@pytest.mark.parametrize(
    "path", ["$.header.event_id", "$.event.operator.open_id", "$.event.context.open_message_id", "$.header.tenant_key"]
)
def test_what_is_missing_is_named(path: str) -> None:
    broken = body()
    if path == "$.header.tenant_key":
        del broken["event"]["operator"]["tenant_key"]
    *before, last = path.removeprefix("$.").split(".")
    part = broken
    for name in before:
        part = part[name]
    part[last] = "../x"
    with pytest.raises(PayloadError) as caught:
        decode(broken)
    assert caught.value.path == path


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("{" * 5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["header", "event", "operator", "action", "context", "value", "form_value", "fields"]), ANY)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_read_or_refused(name: str, value: Any) -> None:
    whole = copy.deepcopy(body(FIELDS, {"name": "x"}))
    for part in (whole, whole["event"], whole["event"]["action"], whole["event"]["action"]["value"]):
        if name in part:
            part[name] = value
            break
    try:
        found = decode(whole)
    except PayloadError:
        return
    assert found is None or found.press is not None


def test_a_token_is_in_no_log_and_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    found = pressed(FIELDS, {"name": "Ann Smith"})
    assert TOKEN not in caplog.text + repr(found)
    assert "Ann Smith" not in repr(found)


DONE = Outcome(set(), "en", Document("Ann is removed.", (Paragraph("x"),)), inline=True, replaces=True)


def shown(outcome: Outcome | None) -> dict[str, Any]:
    """The answer, after the client has found nothing wrong with it."""
    answer = response(outcome)
    read, why = response_of(200, json.dumps(answer).encode(), None)
    assert (read, why) == (answer, "")
    return answer


def test_what_takes_the_place_of_the_card_is_in_the_answer() -> None:
    answer = shown(DONE)
    assert answer["toast"] == {"type": "success", "content": "Ann is removed."}
    assert answer["card"]["type"] == "raw"
    assert answer["card"]["data"]["header"]["title"]["content"] == "Ann is removed."


@pytest.mark.parametrize("change", [{"inline": False}, {"replaces": False}, {"inline": False, "replaces": False}])
def test_what_is_said_elsewhere_is_a_toast_only(change: dict[str, Any]) -> None:
    assert shown(replace(DONE, **change)) == {"toast": {"type": "info", "content": "Ann is removed."}}


def test_errors_are_a_toast_and_the_card_stays() -> None:
    errors = {"phone": "That is no number.", "email": "That is no address.", "": "That is no number."}
    assert shown(Outcome(set(), "en", errors=errors)) == {
        "toast": {"type": "error", "content": "That is no number. That is no address."}
    }


def test_nothing_to_tell_changes_nothing() -> None:
    assert shown(None) == {}
    assert shown(Outcome(set(), "en")) == {}


def test_an_answer_stays_within_the_limits() -> None:
    long = Document(
        "T" * 500,
        tuple(Paragraph("告" * 5_000) for _ in range(20)),
        buttons=tuple(Button("b" * 200, "yes", token="t" * 900) for _ in range(3)),
        dialog=Dialog("x", "contact add", (), "Add"),
    )
    answer = shown(replace(DONE, told=long))
    assert len(encoded(answer["card"])) <= 30 * 1024
    assert len(answer["toast"]["content"]) <= 200
