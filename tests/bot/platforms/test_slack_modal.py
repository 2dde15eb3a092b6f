"""Forms as Slack modals: the right input for every field, within Slack's limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms.slack_modal import modal, selected
from bot.sandbox.slack_blocks import refused_view
from handlers.document import Dialog, Field

GROUPS = (("dba", "dba"), ('"a, b"', "a, b"), ("b", "b"))


def element(field: Field) -> dict[str, Any]:
    view = modal(Dialog("t", "c", (field,), "s", token="to.ken"), "en")
    assert refused_view(view, "modal") is None
    return dict(view["blocks"][0]["element"])


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Field("n", "l", "q"), {"type": "plain_text_input", "max_length": 200, "multiline": False}),
        (Field("n", "l", "q", "phone", value="138"), {"type": "plain_text_input", "initial_value": "138"}),
        (Field("n", "l", "q", "code", max_chars=6), {"type": "plain_text_input", "max_length": 6}),
        (Field("n", "l", "q", "long", max_chars=9000), {"multiline": True, "max_length": 3000}),
        (Field("n", "l", "q", value="x" * 300), {"initial_value": "x" * 300, "max_length": 300}),
        (Field("n", "l", "q", value="x" * 5000), {"max_length": 3000}),
        (Field("n", "l", "q", "email"), {"type": "email_text_input"}),
        (Field("n", "l", "q", "email", value="a@b.cn"), {"type": "email_text_input", "initial_value": "a@b.cn"}),
        (Field("n", "l", "q", "email", value="a***@b.cn"), {"type": "plain_text_input", "initial_value": "a***@b.cn"}),
        (Field("n", "l", "q", "url"), {"type": "url_text_input"}),
        (Field("n", "l", "q", "url", value="https://x.cn/a"), {"type": "url_text_input"}),
        (Field("n", "l", "q", "url", value="x.cn…ok02"), {"type": "plain_text_input", "initial_value": "x.cn…ok02"}),
        (Field("n", "l", "q", "choices", options=GROUPS), {"type": "multi_static_select"}),
        (Field("n", "l", "q", "choices"), {"type": "plain_text_input"}),
        (
            Field("n", "l", "q", "choices", options=tuple((str(n), "x") for n in range(101))),
            {"type": "plain_text_input"},
        ),
        (Field("n", "l", "q", "choices", options=(("v" * 151, "x"),)), {"type": "plain_text_input"}),
    ],
)
def test_every_kind_has_its_input(field: Field, expected: dict[str, Any]) -> None:
    drawn = element(field)
    assert {name: drawn[name] for name in expected} == expected
    assert ("initial_value" in drawn) is bool(field.value)


def test_what_is_chosen_already_is_marked() -> None:
    drawn = element(Field("n", "l", "q", "choices", value='dba,"a, b"', options=GROUPS))
    assert [one["value"] for one in drawn["initial_options"]] == ["dba", '"a, b"']
    assert "initial_options" not in element(Field("n", "l", "q", "choices", value="gone", options=GROUPS))


@pytest.mark.parametrize(
    ("joined", "found"),
    [
        ("", set()),
        ("b", {"b"}),
        ('"a, b"', {'"a, b"'}),
        ('b,"a, b"', {"b", '"a, b"'}),
        ("gone,dba", {"dba"}),
        ("dba,,b,", {"dba", "b"}),
        ("dbab", set()),
    ],
)
def test_values_with_commas_are_told_apart(joined: str, found: set[str]) -> None:
    assert selected(joined, [value for value, _label in GROUPS]) == found


def test_the_block_is_called_like_the_field_and_says_what_is_needed() -> None:
    fields = (Field("name", "Name", "q", required=True), Field("mail", "Mail", "q", hint="Why"))
    view = modal(Dialog("Add", "contact add", fields, "Save", token="to.ken"), "en", "here")
    assert [(one["block_id"], one["optional"]) for one in view["blocks"]] == [("name", False), ("mail", True)]
    assert [one.get("hint", {}).get("text") for one in view["blocks"]] == [None, "Why"]
    assert view["private_metadata"] == "to.ken here"
    assert (view["submit"]["text"], view["close"]["text"]) == ("Save", "Cancel")


FIELDS = st.builds(
    Field,
    name=st.uuids().map(str),
    label=st.text(),
    question=st.just("q"),
    kind=st.sampled_from(["text", "phone", "email", "url", "code", "long", "choices"]),
    required=st.booleans(),
    value=st.text(),
    options=st.lists(st.text(max_size=160), unique=True, max_size=5).map(
        lambda all_: tuple((one, one) for one in all_)
    ),
    hint=st.text(),
    max_chars=st.integers(1, 9000),
)


@given(st.text(), st.text(), st.lists(FIELDS, min_size=1, max_size=8))
def test_any_form_is_within_slacks_limits(title: str, submit: str, fields: list[Field]) -> None:
    dialog = Dialog(title, "c", tuple(fields), submit, token="t" * 900)
    assert refused_view(modal(dialog, "zh", "1700000000.000100"), "modal") is None
