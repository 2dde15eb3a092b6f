"""Documents as Lark's cards of JSON 2.0: every button and form, nothing in a value alive, and within the limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.fit import cleaned
from bot.http import encoded
from bot.markup.lark_v2 import ELEMENTS_MAX, FIELDS, KEY, card, elements_of
from bot.platforms import lark_cards
from bot.platforms.lark_cards import BODY_MAX_BYTES
from bot.sandbox.lark import refused_card
from bot.sandbox.lark_press import controls
from handlers.document import Button, Dialog, Document, Examples, Facts, Field, Items, Link, Paragraph, Table
from tests.bot.markup.test_dingtalk import HOSTILE

ASKED = Document(
    "Remove Ann?",
    (Paragraph("Reply yes or no within 2 minutes."),),
    buttons=(
        Button("Yes", "yes", "danger", token="a.1"),
        Button("No", "no", token="a.2"),
        Button("Test", "test", "primary", token="a.3"),
        Button("Left out", "x"),
    ),
)
FORM = Dialog(
    "Add a contact",
    "contact add",
    (
        Field("name", "Full name", "What is the name?", required=True, max_chars=64),
        Field("phone", "Phone", "Which number?", "phone", value="+8613800138000", hint="With its country code"),
        Field("note", "Note", "What else?", "long", max_chars=5000),
        Field(
            "groups",
            "Groups",
            "Which groups?",
            "choices",
            value='dba,"a, b"',
            options=(("dba", "dba"), ("web", "web"), ('"a, b"', "a, b")),
        ),
    ),
    "Add",
    token="f.1",
)


def texts(part: Any) -> Iterator[dict[str, Any]]:
    """Every text object in it."""
    if isinstance(part, dict):
        if isinstance(part.get("content"), str):
            yield part
        part = list(part.values())
    for one in part if isinstance(part, list) else ():
        yield from texts(one)


def form_of(drawn: dict[str, Any]) -> list[dict[str, Any]]:
    first = drawn["body"]["elements"][0]
    assert first["tag"] == "form"
    return list(first["elements"])


def test_every_answer_can_be_changed_in_place() -> None:
    drawn = card(Document("Hello"))
    assert drawn["schema"] == "2.0"
    assert drawn["config"] == {"update_multi": True}
    assert refused_card(drawn) is None


def test_buttons_carry_their_tokens_and_those_without_are_not_drawn() -> None:
    drawn = card(ASKED)
    assert refused_card(drawn) is None
    assert controls({"content": drawn}) == [
        {"token": "a.1", "label": "Yes", "style": "danger", "fields": []},
        {"token": "a.2", "label": "No", "style": "plain", "fields": []},
        {"token": "a.3", "label": "Test", "style": "primary", "fields": []},
    ]
    (row,) = [one for one in drawn["body"]["elements"] if one["tag"] == "column_set"]
    assert row["columns"][0]["elements"][0]["behaviors"] == [{"type": "callback", "value": {KEY: "a.1"}}]


def test_links_open_and_unsafe_ones_are_left_out() -> None:
    drawn = card(Document("x", links=(Link("Runbook", "https://wiki.example/1"), Link("Bad", "javascript:alert(1)"))))
    assert refused_card(drawn) is None
    assert controls({"content": drawn}) == []
    assert '"default_url": "https://wiki.example/1"' in json.dumps(drawn)
    assert "javascript" not in json.dumps(drawn)


def test_a_form_has_every_field_and_says_which_there_are() -> None:
    drawn = card(Document(FORM.title, dialog=FORM))
    assert refused_card(drawn) is None
    name, phone, hint, note, label, groups, submit = form_of(drawn)
    assert (name["name"], name["required"], name["max_length"], name["label"]["content"]) == (
        "name", True, 64, "Full name *",
    )  # fmt: skip
    assert "default_value" not in name
    assert phone["default_value"] == "+8613800138000"
    assert hint["text"]["content"] == "With its country code"
    assert (note["input_type"], note["max_length"]) == ("multiline_text", 1000)
    assert label["text"]["content"] == "Groups"
    assert groups["selected_values"] == ["dba", '"a, b"']
    assert [one["text"]["content"] for one in groups["options"]] == ["dba", "web", "a, b"]
    assert groups["required"] is False, "what is not said is taken as required there"
    assert submit["form_action_type"] == "submit"
    assert submit["behaviors"][0]["value"] == {KEY: "f.1", FIELDS: ["name", "phone", "note", "groups"]}


def test_without_a_token_there_is_no_form() -> None:
    drawn = card(Document("x", dialog=Dialog("x", "contact add", FORM.fields, "Add")))
    assert refused_card(drawn) is None
    assert "form" not in json.dumps(drawn)


def test_the_words_beside_a_form_follow_it() -> None:
    drawn = card(Document("x", (Paragraph("Or in one line:"), Examples(("contact add Ann",))), dialog=FORM))
    assert [one["tag"] for one in drawn["body"]["elements"]] == ["form", "div", "div"]


@pytest.mark.parametrize("count", [1, 99, 100, 121, 400])
@pytest.mark.parametrize("char", ["x", "长", '"'])
def test_a_form_fits_however_much_there_is_to_choose_from(count: int, char: str) -> None:
    options = tuple((f"{char * 60}{number:03}", f"{char * 60}{number:03}") for number in range(count))
    choices = Field("groups", "Groups", "Which?", "choices", value=options[0][0], options=options)
    dialog = Dialog("x", "contact add", (*FORM.fields[:3], choices), "Add", token="f." + "t" * 898)
    document = Document("x", (Paragraph(char * 50_000),), dialog=dialog, footer="y")

    def size(part: Any) -> int:
        return len(encoded({"content": encoded(part).decode()}))

    drawn = lark_cards.card(document, "en", size)
    assert size(drawn) <= BODY_MAX_BYTES
    assert elements_of(drawn) <= ELEMENTS_MAX
    assert refused_card(drawn) is None
    (field,) = [one for one in form_of(drawn) if one.get("name") == "groups"]
    assert field["tag"] == ("multi_select_static" if count < 90 or (count < 101 and char == "x") else "input")
    assert drawn["header"]["title"]["content"] == "x"


@given(st.sampled_from(HOSTILE) | st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_every_word_is_plain_text_wherever_it_comes_from(text: str) -> None:
    field = Field("name", text, text, value=text, hint=text, options=((text or "x", text),), kind="choices")
    whole = Document(
        text,
        (
            Paragraph(text),
            Facts(((text, text),)),
            Items((text,)),
            Table((text,), ((text,),)),
            Examples((text,)),
        ),
        links=(Link(text, "https://a.example/"),),
        footer=text,
        buttons=(Button(text, "yes", token="a.1"),),
        dialog=Dialog(text, "contact add", (field, Field("other", text, text, value=text)), text, token="f.1"),
    )
    drawn = card(cleaned(whole))
    assert refused_card(drawn) is None
    assert {part["tag"] for part in texts(drawn)} == {"plain_text"}
