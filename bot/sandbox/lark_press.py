"""Feishu / Lark: what a client makes of a card that can be pressed, and of the answer to the callback.

Pages: https://open.feishu.cn/document/feishu-cards/card-callback-communication and
…/card-json-v2-components/containers/form-container.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.lark import refused_card

CARD_MAX_BYTES = 30 * 1024
CHANGEABLE_S = 14 * 86_400.0
"""How long a card of version 2.0 can be pressed and changed."""

CALLBACK_S = 3.0
TOASTS = ("info", "success", "warning", "error")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of an app's bot; `schema` is that of its card."""

    app: str
    chat: str
    person: str
    kind: str
    schema: str
    at: float


def not_in_place_of(sent: Sent, card: Mapping[str, Any]) -> str:
    """Why this card cannot take the place of that one, "" when it can."""
    if sent.schema == "2.0" and card.get("schema") != "2.0":
        return "200830; ErrMsg: a card of schema V2 cannot be changed to V1"
    shared = card.get("config", {}).get("update_multi", card.get("schema") == "2.0")
    return "" if shared is True else "200621; ErrMsg: update_multi"


@dataclass(frozen=True, slots=True)
class Control:
    """A button that calls back; `form` is the container that it submits, if it does."""

    button: dict[str, Any]
    value: dict[str, Any]
    form: dict[str, Any] | None

    @property
    def token(self) -> str:
        return str(self.value.get("callboard", ""))

    @property
    def fields(self) -> list[dict[str, Any]]:
        found = _tagged(self.form or {}, ("input", "multi_select_static"))
        return [part for part, _form in found]


def _tagged(
    part: Any, tags: tuple[str, ...], form: dict[str, Any] | None = None
) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Components of these kinds in the order of the card, each with the form it stands in."""
    found: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
    if isinstance(part, dict):
        form = part if part.get("tag") == "form" else form
        if part.get("tag") in tags:
            found.append((part, form))
        part = list(part.values())
    for one in part if isinstance(part, list) else ():
        found += _tagged(one, tags, form)
    return found


def calling_back(event_body: Any) -> list[Control]:
    """The buttons of a card that call back, in order."""
    content = event_body.get("content") if isinstance(event_body, dict) else None
    body = content.get("body") if isinstance(content, dict) else None
    return [
        Control(button, behavior["value"], form if button.get("form_action_type") == "submit" else None)
        for button, form in _tagged(body, ("button",))
        for behavior in button.get("behaviors", [])
        if behavior["type"] == "callback"
    ]


def controls(event_body: Any) -> list[dict[str, Any]]:
    """The buttons of a card that call back: token, label, style, and the names of the fields that it submits."""
    styles = {"default": "plain", "primary_filled": "primary", "danger": "danger"}
    return [
        {
            "token": one.token,
            "label": one.button["text"]["content"],
            "style": styles.get(one.button.get("type", "default"), "plain"),
            "fields": [field["name"] for field in one.fields],
        }
        for one in calling_back(event_body)
    ]


def filled_in_of(control: Control, values: Mapping[str, str]) -> dict[str, Any]:
    """`form_value`: what stands in the form when these values are typed or chosen."""
    fields = {field["name"]: field for field in control.fields}
    if unknown := set(values) - set(fields):
        raise LookupError(f"no field {sorted(unknown)[0]!r} in this form")
    filled_in: dict[str, Any] = {}
    for name, part in fields.items():
        if part["tag"] == "input":
            typed = values.get(name, part.get("default_value", ""))
            if len(typed) > part.get("max_length", 1000):
                raise LookupError(f"too long for the field {name!r}")
            value: Any = typed
        else:
            offered = [option["value"] for option in part["options"]]
            chosen = values.get(name, ",".join(part.get("selected_values", [])))
            value = [one for one in offered if f",{one}," in f",{chosen},"]
            if sorted(",".join(value).split(",")) != sorted(chosen.split(",")):
                raise LookupError(f"not among the choices of {name!r}")
        if value:
            filled_in[name] = value
    return filled_in


def response_of(status: int, answer: bytes, sent: object) -> tuple[dict[str, Any], str]:
    """The answer to a callback as the client reads it, and the code that it shows when it cannot."""
    if status != 200:
        return {}, "200671"
    try:
        shown = json.loads(answer)
    except ValueError:
        return {}, "200672"
    if not isinstance(shown, dict) or set(shown) - {"toast", "card"}:
        return {}, "200672"
    toast = shown.get("toast", {"type": "info", "content": ""})
    if not isinstance(toast, dict) or toast.get("type") not in TOASTS or not isinstance(toast.get("content"), str):
        return {}, "200672"
    if "card" in shown:
        card = shown["card"]
        if not isinstance(card, dict) or card.get("type") != "raw" or refused_card(card.get("data")):
            return {}, "200673"
        if len(json.dumps(card["data"], ensure_ascii=False).encode()) > CARD_MAX_BYTES:
            return {}, "200673"
        if isinstance(sent, Sent) and not_in_place_of(sent, card["data"]):
            return {}, "200830"
    return shown, ""
