"""Cards of JSON 2.0 in the stand-in: what Lark would refuse is refused, with the documented code where there is one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.sandbox.lark import refused_card

TEXT: dict[str, Any] = {"tag": "plain_text", "content": "x"}
DIV = {"tag": "div", "text": TEXT}
CALL = {"type": "callback", "value": {"callboard": "t"}}
BUTTON = {"tag": "button", "text": TEXT, "behaviors": [CALL]}
SUBMIT = BUTTON | {"name": "submit", "form_action_type": "submit"}
INPUT = {"tag": "input", "name": "who", "label": TEXT, "required": True}
SELECT: dict[str, Any] = {"tag": "multi_select_static", "name": "which", "options": [{"text": TEXT, "value": "a"}]}
COLUMNS = {"tag": "column_set", "columns": [{"tag": "column", "elements": [BUTTON]}]}
FORM: dict[str, Any] = {"tag": "form", "name": "form", "elements": [INPUT, SELECT, SUBMIT]}


def card(*elements: Any, **more: Any) -> dict[str, Any]:
    return {"schema": "2.0", "body": {"elements": list(elements)}} | more


def form(*elements: Any) -> dict[str, Any]:
    return card(FORM | {"elements": list(elements)})


@pytest.mark.parametrize(
    "good",
    [
        card(DIV),
        card(DIV, {"tag": "hr"}, COLUMNS, BUTTON, FORM),
        card({"tag": "markdown", "content": "**x**"}, config={"update_multi": True, "summary": {"content": "x"}}),
        card(DIV, header={"template": "red", "title": {"tag": "lark_md", "content": "x"}}),
        card({"tag": "img", "img_key": "img_1", "alt": TEXT}),
        form({"tag": "column_set", "columns": [{"tag": "column", "elements": [INPUT]}]}, SUBMIT),
        card({"tag": "input"}),
        card(*[DIV] * 100),
        card(BUTTON | {"behaviors": [CALL, {"type": "open_url", "default_url": "https://a.example"}]}),
    ],
)
def test_what_is_documented_is_taken(good: Any) -> None:
    assert refused_card(good) is None


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        (200621, card(DIV) | {"elements": [DIV]}),
        (200621, {"schema": "2.0"}),
        (200621, {"schema": "2.0", "body": {}}),
        (200621, card(DIV, fallback={})),
        (200621, card(DIV, config={"update_multi": False})),
        (200621, card(DIV, config={"wide_screen_mode": True})),
        (200621, card(DIV, header={"template": "pink", "title": TEXT})),
        (200621, card(DIV, header={"template": "red"})),
        (200861, card({"tag": "action", "actions": [BUTTON]})),
        (200861, card({"tag": "note", "elements": [TEXT]})),
        (200861, card({"tag": "column_set", "columns": [{"tag": "column", "elements": [{"tag": "note"}]}]})),
        (200621, card({"tag": "marquee"})),
        (200621, card(TEXT)),
        (200621, card(DIV | {"colour": "red"})),
        (200621, card(DIV | {"fields": []})),
        (200621, card({"tag": "div", "text": "x"})),
        (200621, card(DIV | {"element_id": "1st"})),
        (200621, card(COLUMNS | {"columns": []})),
        (200621, card({"tag": "column", "elements": [DIV]})),
        (200621, card({"tag": "button", "text": TEXT})),
        (200621, card(BUTTON | {"value": {"callboard": "t"}})),
        (200621, card(BUTTON | {"text": {"tag": "plain_text", "content": "x" * 101}})),
        (200621, card(BUTTON | {"type": "huge"})),
        (200621, card(BUTTON | {"behaviors": [{"type": "callback", "value": "t"}]})),
        (200621, card(BUTTON | {"behaviors": [{"type": "open_url", "default_url": "javascript:x"}]})),
        (200621, card(BUTTON | {"form_action_type": "submit"})),
        (200621, card(INPUT)),
        (200621, card(SELECT)),
        (200621, form(INPUT)),
        (200621, card({"tag": "column_set", "columns": [{"tag": "column", "elements": [FORM]}]})),
        (200530, form(INPUT | {"name": ""}, SUBMIT)),
        (200530, form(INPUT, BUTTON | {"form_action_type": "submit"})),
        (200530, form(INPUT, INPUT, SUBMIT)),
        (200530, card(FORM | {"name": ""})),
        (200621, form(INPUT | {"max_length": 1001}, SUBMIT)),
        (200621, form(INPUT | {"max_length": 2, "default_value": "abc"}, SUBMIT)),
        (200621, form(INPUT | {"placeholder": {"tag": "plain_text", "content": "x" * 101}}, SUBMIT)),
        (200621, form(INPUT | {"input_type": "number"}, SUBMIT)),
        (200621, form(SELECT | {"options": []}, SUBMIT)),
        (200621, form(SELECT | {"options": SELECT["options"] * 2}, SUBMIT)),
        (200621, form(SELECT | {"selected_values": ["b"]}, SUBMIT)),
        (200621, form(SELECT | {"label": TEXT}, SUBMIT)),
        (11310, card(*[DIV] * 101)),
    ],
)
def test_what_is_not_is_refused(code: int, bad: Any) -> None:
    refused = refused_card(json.loads(json.dumps(bad)))
    assert refused is not None
    assert refused[0] == code, refused
