"""Slack: what a client makes of messages, pages and forms that can be pressed, and of the answer to a form.

Pages: https://docs.slack.dev/reference/interaction-payloads, https://docs.slack.dev/surfaces/modals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bot.sandbox.slack_blocks import typed_well

MISSING = "Please complete this required field."
MALFORMED = "Please enter a valid value."


def controls(event_body: Any) -> list[dict[str, Any]]:
    """What can be pressed: its token, label, style, and the names of the fields that it submits."""
    if not isinstance(event_body, dict):
        return []
    if event_body.get("type") == "modal":
        fields = [block["block_id"] for block in _inputs(event_body)]
        label = event_body["submit"]["text"]
        return [{"token": _token_of(event_body), "label": label, "style": "primary", "fields": fields}]
    return [
        {
            "token": button["value"],
            "label": button["text"]["text"],
            "style": button.get("style", "plain"),
            "fields": [],
        }
        for button, _block_id in _buttons(event_body)
    ]


def button_with(event_body: Any, token: str) -> tuple[dict[str, Any], str]:
    """The button with that value, as it was sent, and the id of its block. Raises LookupError."""
    for button, block_id in _buttons(event_body):
        if button["value"] == token:
            return button, block_id
    raise LookupError("no such button in this message")


def is_form_with(event_body: Any, token: str) -> bool:
    return isinstance(event_body, dict) and event_body.get("type") == "modal" and _token_of(event_body) == token


def filled_in(view: Mapping[str, Any], values: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """`state.values` when these are typed or chosen over what stands there, and what Slack's client objects to.

    Raises LookupError for a field, or a choice, that is not there.
    """
    inputs = {block["block_id"]: block for block in _inputs(view)}
    if unknown := set(values) - set(inputs):
        raise LookupError(f"no field {min(unknown)!r} in this form")
    state: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, block in inputs.items():
        element = block["element"]
        if element["type"] == "multi_static_select":
            chosen = _chosen(name, element, values.get(name))
            state[name] = {element["action_id"]: {"type": element["type"], "selected_options": chosen}}
            empty = not chosen
        else:
            typed = values.get(name, element.get("initial_value", ""))
            state[name] = {element["action_id"]: {"type": element["type"], "value": typed or None}}
            empty = not typed
            if typed and not typed_well(element, typed):
                errors[name] = MALFORMED
        if empty and not block.get("optional", False):
            errors[name] = MISSING
    return state, errors


def _chosen(name: str, element: Mapping[str, Any], joined: str | None) -> list[dict[str, Any]]:
    if joined is None:
        return list(element.get("initial_options", []))
    offered = {option["value"]: option for option in element["options"]}
    wanted = [one for one in offered if f",{one}," in f",{joined},"]
    if sum(map(len, wanted)) + max(0, len(wanted) - 1) != len(joined):
        raise LookupError(f"not among the choices of {name!r}")
    return [offered[one] for one in wanted]


def errors_in(answer: bytes, view: Mapping[str, Any]) -> dict[str, str] | None:
    """What the answer to a form says is wrong, {} when the form closes, None when Slack does not understand it."""
    if not answer:
        return {}
    try:
        body = json.loads(answer)
    except ValueError:
        return None
    names = {block["block_id"] for block in _inputs(view)}
    errors = body.get("errors") if isinstance(body, dict) and body.get("response_action") == "errors" else None
    if not isinstance(errors, dict) or not errors or set(errors) - names:
        return None
    return errors if all(isinstance(one, str) and one for one in errors.values()) else None


def _buttons(event_body: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Buttons that call back, each with the id of its block."""
    body = event_body if isinstance(event_body, dict) else {}
    for at, block in enumerate(body.get("blocks") or ()):
        for element in block.get("elements", ()) if block.get("type") == "actions" else ():
            if element["type"] == "button" and "value" in element:
                yield element, block.get("block_id", f"block-{at}")


def _inputs(view: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [block for block in view["blocks"] if block["type"] == "input"]


def _token_of(view: Mapping[str, Any]) -> str:
    return str(view.get("private_metadata", "")).partition(" ")[0]
