"""Template cards that call back, as the self-built app and the smart robot may send them.

Pages: https://developer.work.weixin.qq.com/document/path/90236 (app), …/101032 (smart robot), …/94888 and …/101031
(changes). The service ignores members it does not know, so that a card can be accepted and not be drawn; here they are
refused. How long texts may be is only suggested, and not checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from bot.sandbox.wecom import Bad, check_notice

Sender = Literal["app", "robot"]

MAX_BUTTONS = 6
MAX_OPTIONS = 10
MAX_CHOICES = 20
MAX_LISTS = 3
MAX_FACTS = 6
KEY_MAX_BYTES = 1024
OPTION_MAX_BYTES = 128

_TASK_ID = re.compile(r"[0-9A-Za-z_@-]{1,128}")
_NOTICES = ("text_notice", "news_notice")
_MEMBERS = {
    "button_interaction": {
        "card_type", "source", "action_menu", "main_title", "quote_area", "sub_title_text", "horizontal_content_list",
        "card_action", "button_selection", "button_list", "task_id",
    },
    "vote_interaction": {"card_type", "source", "main_title", "checkbox", "submit_button", "task_id"},
    "multiple_interaction": {"card_type", "source", "main_title", "select_list", "submit_button", "task_id"},
}  # fmt: skip


def check_card(card: Any, sender: Sender, *, change: bool = False) -> None:
    """Raise `Bad` unless such a card may be sent, or (`change`) may take the place of one."""
    if not isinstance(card, dict):
        raise _bad("template_card missing")
    kind = card.get("card_type")
    if kind in _NOTICES:
        check_notice(card)
        return
    if kind not in _MEMBERS:
        raise _bad("card_type not supported")
    unknown = set(card) - _MEMBERS[kind] - ({"replace_text"} if change and sender == "app" else set())
    if unknown:
        raise _bad(f"{sorted(unknown)[0]} is not drawn on this card")
    title = card.get("main_title")
    if not isinstance(title, dict) or not _word(title.get("title")) or not _word(title.get("desc", "x")):
        raise _bad("main_title missing")
    for name in ("sub_title_text", "replace_text"):
        if name in card and not _word(card[name]):
            raise _bad(f"{name} should be a string")
    task_id = card.get("task_id")
    optional = kind == "multiple_interaction" and sender == "robot"
    left_out = task_id is None and (optional or (change and sender == "app"))
    if not left_out and not (isinstance(task_id, str) and _TASK_ID.fullmatch(task_id)):
        raise _bad("task_id")
    _facts(card.get("horizontal_content_list", []))
    if kind == "button_interaction":
        _buttons(card.get("button_list"), sender)
        if "button_selection" in card:
            _selection(card["button_selection"], "option_list", MAX_OPTIONS)
        return
    submit = card.get("submit_button")
    if not isinstance(submit, dict) or not _word(submit.get("text")) or not _key(submit.get("key")):
        raise _bad("submit_button missing")
    if kind == "vote_interaction":
        _selection(card.get("checkbox"), "option_list", MAX_CHOICES)
        return
    for one in _list(card.get("select_list"), "select_list", 1, MAX_LISTS):
        _selection(one, "option_list", MAX_OPTIONS)


def _buttons(value: Any, sender: Sender) -> None:
    known = {"text", "style", "key"} | ({"type", "url"} if sender == "app" else set())
    keys = []
    for button in _list(value, "button_list", 1, MAX_BUTTONS):
        if set(button) - known or not _word(button.get("text")):
            raise _bad("button_list.text missing")
        if button.get("style", 1) not in (1, 2, 3, 4) or isinstance(button.get("style"), bool):
            raise _bad("button_list.style")
        if button.get("type", 0) == 1:
            if not str(button.get("url", "")).startswith(("http://", "https://")):
                raise Bad(45034)
            continue
        if not _key(button.get("key")):
            raise _bad("button_list.key missing")
        keys.append(button["key"])
    if len(set(keys)) != len(keys):
        raise _bad("button_list.key repeated")


def _selection(value: Any, name: str, most: int) -> None:
    if not isinstance(value, dict) or not _key(value.get("question_key")):
        raise _bad("question_key missing")
    options = _list(value.get(name), name, 1, most)
    ids = [option.get("id") for option in options]
    if not all(_word(one) and len(str(one).encode()) <= OPTION_MAX_BYTES for one in ids) or len(set(ids)) != len(ids):
        raise _bad(f"{name}.id")
    if not all(_word(option.get("text")) for option in options):
        raise _bad(f"{name}.text missing")


def _facts(value: Any) -> None:
    for fact in _list(value, "horizontal_content_list", 0, MAX_FACTS):
        if not _word(fact.get("keyname")) or not isinstance(fact.get("value", ""), str):
            raise _bad("horizontal_content_list.keyname missing")


def _list(value: Any, name: str, least: int, most: int) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _bad(f"{name} should be an array")
    if not least <= len(value) <= most:
        raise _bad(f"{name} has {len(value)} items")
    return value


def _word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _key(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.encode("utf-8", "surrogatepass")) <= KEY_MAX_BYTES


def _bad(what: str) -> Bad:
    return Bad(40058, f"template_card.{what}. invalid Request Parameter")


def controls(body: Any) -> list[dict[str, Any]]:
    """The buttons that a message shows and that call back; none on a card whose buttons were greyed."""
    card = body.get("template_card") if isinstance(body, dict) else None
    if not isinstance(card, dict) or "replace_text" in card:
        return []
    styles = {1: "primary", 3: "danger"}
    return [
        {
            "token": button["key"],
            "label": button["text"],
            "style": styles.get(button.get("style", 1), "plain"),
            "fields": [],
        }
        for button in card.get("button_list", [])
        if "key" in button
    ]
