"""Slack: the form of messages, as every way into a channel wants it, and of views.

Pages: https://docs.slack.dev/reference/block-kit/blocks, .../reference/views.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_TEXT = 40_000
MAX_BLOCKS = 50
MAX_ATTACHMENTS = 100


class Bad(Exception):
    """Refused: the word that Slack answers with, and why."""

    def __init__(self, word: str, why: str = "") -> None:
        self.word = word
        self.why = why
        super().__init__(word)


def blocks_error(why: str) -> Bad:
    return Bad("invalid_blocks", why)


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise blocks_error(f"{where} should be an object")
    return value


def text_object(value: Any, where: str, most: int, *, plain: bool = False) -> None:
    part = mapping(value, where)
    if part.get("type") not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
        raise blocks_error(f"{where}.type {part.get('type')!r}")
    text = part.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= most:
        raise blocks_error(f"{where}.text must have 1 to {most} characters")
    allowed = {"type", "text", "emoji"} if part["type"] == "plain_text" else {"type", "text", "verbatim"}
    if set(part) - allowed:
        raise blocks_error(f"{where} has unknown members")
    for flag in ("emoji", "verbatim"):
        if not isinstance(part.get(flag, False), bool):
            raise blocks_error(f"{where}.{flag}")


def items(value: Any, where: str, most: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise blocks_error(f"{where} must have 1 to {most} items")
    return value


def short(part: Mapping[str, Any], name: str, where: str, most: int) -> None:
    value = part.get(name)
    if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= most):
        raise blocks_error(f"{where}.{name} must have 1 to {most} characters")


def _url(part: Mapping[str, Any], name: str, where: str) -> None:
    value = part.get(name)
    if not isinstance(value, str) or len(value) > 3000 or not re.match(r"https?://[^\s]", value):
        raise blocks_error(f"{where}.{name} is not a URL")


def _image(part: Mapping[str, Any], where: str) -> None:
    _url(part, "image_url", where)
    if not isinstance(part.get("alt_text"), str) or len(part["alt_text"]) > 2000:
        raise blocks_error(f"{where}.alt_text")


def _button(part: Mapping[str, Any], where: str) -> None:
    text_object(part.get("text"), f"{where}.text", 75, plain=True)
    short(part, "action_id", where, 255)
    short(part, "value", where, 2000)
    if "url" in part:
        _url(part, "url", where)
    if part.get("style", "primary") not in ("primary", "danger"):
        raise blocks_error(f"{where}.style")


def _element(value: Any, where: str) -> None:
    part = mapping(value, where)
    if part.get("type") != "button":
        raise blocks_error(f"{where}.type {part.get('type')!r}")
    _button(part, where)


def _block(value: Any, where: str) -> None:
    part = mapping(value, where)
    kind = part.get("type")
    short(part, "block_id", where, 255)
    if kind == "header":
        text_object(part.get("text"), f"{where}.text", 150, plain=True)
    elif kind == "section":
        if "text" not in part and "fields" not in part:
            raise blocks_error(f"{where} has neither text nor fields")
        if "text" in part:
            text_object(part["text"], f"{where}.text", 3000)
        for i, one in enumerate(items(part["fields"], f"{where}.fields", 10) if "fields" in part else []):
            text_object(one, f"{where}.fields[{i}]", 2000)
        if "accessory" in part:
            _element(part["accessory"], f"{where}.accessory")
    elif kind == "context":
        for i, one in enumerate(items(part.get("elements"), f"{where}.elements", 10)):
            if mapping(one, f"{where}.elements[{i}]").get("type") == "image":
                _image(one, f"{where}.elements[{i}]")
            else:
                text_object(one, f"{where}.elements[{i}]", 3000)
    elif kind == "actions":
        ids = []
        for i, one in enumerate(items(part.get("elements"), f"{where}.elements", 25)):
            _element(one, f"{where}.elements[{i}]")
            ids.append(one.get("action_id"))
        given = [one for one in ids if one is not None]
        if len(given) != len(set(given)):
            raise blocks_error(f"{where}: action_id twice")
    elif kind == "image":
        _image(part, where)
    elif kind == "markdown":
        text = part.get("text")
        if not isinstance(text, str) or not 1 <= len(text) <= 12_000:
            raise blocks_error(f"{where}.text must have 1 to 12000 characters")
    elif kind != "divider":
        raise blocks_error(f"{where}.type {kind!r} is unknown")


def check_blocks(
    value: Any, where: str, most: int = MAX_BLOCKS, check: Callable[[Any, str], None] | None = None
) -> None:
    """Raise `Bad` unless these are blocks of a message, or of whatever takes those that `check` takes."""
    ids = []
    for i, one in enumerate(items(value, where, most)):
        (check or _block)(one, f"{where}[{i}]")
        ids.append(one.get("block_id"))
    given = [one for one in ids if one is not None]
    if len(given) != len(set(given)):
        raise blocks_error(f"{where}: block_id twice")


def check_message(message: Mapping[str, Any]) -> None:
    """Raise `Bad` unless a webhook may post this."""
    text, blocks, attachments = message.get("text"), message.get("blocks"), message.get("attachments")
    if text is not None and not isinstance(text, str):
        raise Bad("invalid_payload", "text should be a text")
    if not text and not blocks and not attachments:
        raise Bad("no_text")
    if text is not None and len(text) > MAX_TEXT:
        raise Bad("msg_too_long")
    if blocks is not None:
        check_blocks(blocks, "blocks")
    if attachments is not None:
        if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
            raise Bad("invalid_payload", "attachments")
        if len(attachments) > MAX_ATTACHMENTS:
            raise Bad("too_many_attachments")
        for i, one in enumerate(attachments):
            if "blocks" in one:
                check_blocks(one["blocks"], f"attachments[{i}].blocks")
            elif not isinstance(one.get("text") or one.get("fallback"), str):
                raise Bad("no_text")
            if not isinstance(one.get("color", ""), str):
                raise Bad("invalid_payload", "color")


def refused_message(message: Mapping[str, Any]) -> tuple[str, str] | None:
    """Word and reason of a refusal, None when the message is well formed; for the other ways into a channel."""
    try:
        check_message(message)
    except Bad as bad:
        return bad.word, bad.why
    return None


# -- views


def _view_block(value: Any, where: str) -> None:
    part = mapping(value, where)
    if part.get("type") != "input":
        _block(part, where)
        return
    _only(part, where, ("type", "block_id", "label", "hint", "optional", "element"))
    short(part, "block_id", where, 255)
    text_object(part.get("label"), f"{where}.label", 2000, plain=True)
    if "hint" in part:
        text_object(part["hint"], f"{where}.hint", 2000, plain=True)
    if not isinstance(part.get("optional", False), bool):
        raise blocks_error(f"{where}.optional")
    _input(mapping(part.get("element"), f"{where}.element"), f"{where}.element")


def _input(part: Mapping[str, Any], where: str) -> None:
    kind = part.get("type")
    short(part, "action_id", where, 255)
    if kind == "multi_static_select":
        _only(part, where, ("type", "action_id", "options", "initial_options", "placeholder"))
        options = [_option(one, f"{where}.options") for one in items(part.get("options"), f"{where}.options", 100)]
        if len(options) != len(set(options)):
            raise blocks_error(f"{where}.options: value twice")
        if "initial_options" in part:
            first = items(part["initial_options"], f"{where}.initial_options", 100)
            if not all(one in part["options"] for one in first):
                raise blocks_error(f"{where}.initial_options are no options")
        return
    more = {"plain_text_input": ("multiline", "min_length", "max_length"), "email_text_input": (), "url_text_input": ()}
    if kind not in more:
        raise blocks_error(f"{where}.type {kind!r} is unknown")
    _only(part, where, ("type", "action_id", "initial_value", "placeholder", *more[kind]))
    most = part.get("max_length", 3000)
    if not isinstance(most, int) or not 1 <= most <= 3000:
        raise blocks_error(f"{where}.max_length")
    short(part, "initial_value", where, most)
    if "initial_value" in part and not typed_well(part, part["initial_value"]):
        raise blocks_error(f"{where}.initial_value is none")


def typed_well(element: Mapping[str, Any], value: str) -> bool:
    """Whether Slack's client lets this stand in that input; its checks are weak."""
    kind = element["type"]
    if kind == "email_text_input":
        return re.fullmatch(r"[^\s@]+@[^\s@]+", value) is not None
    if kind == "url_text_input":
        return re.fullmatch(r"[a-z]+://\S+", value) is not None
    return len(value) <= int(element.get("max_length", 3000))


def _option(value: Any, where: str) -> str:
    part = mapping(value, where)
    _only(part, where, ("text", "value"))
    text_object(part.get("text"), f"{where}.text", 75, plain=True)
    if not isinstance(part.get("value"), str):
        raise blocks_error(f"{where}.value")
    short(part, "value", where, 150)
    return str(part["value"])


def _only(part: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    if unknown := set(part) - set(names):
        raise blocks_error(f"{where}.{min(unknown)} is unknown")


def refused_view(view: Any, kind: str) -> tuple[str, str] | None:
    """Word and reason of a refusal, None when it is a well-formed `modal` or `home`."""
    try:
        _check_view(view, kind)
    except Bad as bad:
        return "invalid_arguments" if bad.word == "invalid_blocks" else bad.word, bad.why
    return None


def _check_view(value: Any, kind: str) -> None:
    view = mapping(value, "view")
    about = ("type", "blocks", "callback_id", "private_metadata")
    _only(view, "view", (*about, "title", "submit", "close") if kind == "modal" else about)
    if view.get("type") != kind:
        raise blocks_error(f"view.type {view.get('type')!r}")
    if len(json.dumps(value)) > 250_000:
        raise Bad("view_too_large")
    short(view, "callback_id", "view", 255)
    short(view, "private_metadata", "view", 3000)
    check_blocks(view.get("blocks"), "view.blocks", 100, _view_block)
    asks = any(block["type"] == "input" for block in view["blocks"])
    if kind == "modal":
        for name in (
            "title",
            *(("submit",) if asks or "submit" in view else ()),
            *(("close",) if "close" in view else ()),
        ):
            text_object(view.get(name), f"view.{name}", 24, plain=True)
    elif asks:
        raise blocks_error("view.blocks: an input needs a form")
