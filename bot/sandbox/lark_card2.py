"""Feishu / Lark: cards of JSON 2.0, judged as strictly as they are documented.

Pages: https://open.feishu.cn/document/feishu-cards/card-json-v2-structure, …/card-json-v2-components/… and
…/card-json-v2-breaking-changes-release-notes. A property that is not known is an error there; which sub-code goes with
which mistake is documented for a few only, the others are 200621 here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

ELEMENTS_MAX = 200
DEPTH_MAX = 5
SHORT_CHARS = 100
INPUT_CHARS = 1000
OLD_TAGS = ("action", "note")
TEMPLATES = frozenset(
    (
        *("blue", "wathet", "turquoise", "green", "yellow", "orange", "red"),
        *("carmine", "violet", "purple", "indigo", "grey", "default"),
    )
)
BUTTON_TYPES = frozenset(
    (
        *("default", "primary", "danger", "text", "primary_text", "danger_text"),
        *("primary_filled", "danger_filled", "laser"),
    )
)
ELEMENT_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")

_ANY = {"tag", "element_id", "margin"}
_BOX = {
    *("direction", "padding", "horizontal_spacing", "horizontal_align", "vertical_spacing", "vertical_align"),
    "elements",
}
_ROOT = {"schema", "config", "card_link", "header", "body"}
_CONFIG = {
    *("streaming_mode", "streaming_config", "summary", "locales", "enable_forward", "update_multi", "width_mode"),
    *("use_custom_translation", "enable_forward_interaction", "style"),
}
_HEADER = {"title", "subtitle", "text_tag_list", "i18n_text_tag_list", "template", "icon", "padding"}
_TEXT = {"tag", "content", "i18n_content", "element_id", "text_size", "text_color", "text_align", "lines"}
_FIELD = {"name", "required", "disabled", "placeholder", "width", "behaviors", "confirm"}
_KNOWN = {
    "div": {"text", "icon", "width"},
    "markdown": {"content", "i18n_content", "text_align", "text_size", "icon"},
    "hr": set[str](),
    "img": {"img_key", "alt", "title", "size", "scale_type", "preview", "corner_radius", "transparent"},
    "column_set": {
        *("columns", "flex_mode", "background_style", "horizontal_spacing", "horizontal_align", "action"),
    },
    "column": {*_BOX, "width", "weight", "background_style", "action"},
    "form": {*_BOX, "name"},
    "button": {
        *("type", "size", "width", "text", "icon", "hover_tips", "disabled", "disabled_tips", "confirm", "behaviors"),
        *("name", "form_action_type"),
    },
    "input": {
        *_FIELD,
        *("default_value", "disabled_tips", "max_length", "input_type", "rows", "auto_resize", "max_rows"),
        *("show_icon", "label", "label_position"),
    },
    "multi_select_static": {*_FIELD, "type", "selected_values", "options"},
}


class BadCard(Exception):
    """Sub-code of 230099, and words."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(text)


def _bad(where: str, what: str) -> BadCard:
    return BadCard(200621, f"parse card json err, please check whether the card json is correct; {where}: {what}")


def check(card: Mapping[str, Any]) -> None:
    """Raises BadCard unless Lark would take this card of version 2.0."""
    _known(card, _ROOT, "ROOT")
    config = _object(card.get("config", {}), "config")
    _known(config, _CONFIG, "config")
    if config.get("update_multi", True) is not True:
        raise _bad("config.update_multi", "only true")
    if "header" in card:
        header = _object(card["header"], "header")
        _known(header, _HEADER, "header")
        _text(header.get("title"), "header.title", ("plain_text", "lark_md"))
        if header.get("template", "default") not in TEMPLATES:
            raise _bad("header.template", "unknown")
    body = _object(card.get("body"), "body")
    _known(body, _BOX, "body")
    _elements(body.get("elements"), "body.elements", depth=0, form=False)
    if _count(card) > ELEMENTS_MAX:
        raise BadCard(11310, "card element number exceeds the limit")
    names = [name for part in _parts(body) if part.get("tag") and (name := part.get("name"))]
    if len(names) != len(set(names)):
        raise BadCard(200530, "name is repeated")


def _count(part: Any) -> int:
    if isinstance(part, dict):
        return ("tag" in part) + sum(map(_count, part.values()))
    return sum(map(_count, part)) if isinstance(part, list) else 0


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Every object in it."""
    if isinstance(part, dict):
        yield part
    for one in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _parts(one)


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _bad(where, "should be an object")
    return value


def _known(part: Mapping[str, Any], names: set[str], where: str) -> None:
    unknown = sorted(set(part) - names)
    if unknown:
        raise _bad(where, f"unknown property {unknown[0]!r}")


def _text(value: Any, where: str, tags: tuple[str, ...] = ("plain_text",), most: int = 0) -> None:
    part = _object(value, where)
    _known(part, _TEXT, where)
    if part.get("tag") not in tags or not isinstance(part.get("content"), str):
        raise _bad(where, f"should be a text of {tags}")
    if most and len(part["content"]) > most:
        raise _bad(where, f"more than {most} characters")


def _elements(value: Any, where: str, *, depth: int, form: bool) -> None:
    if not isinstance(value, list):
        raise _bad(where, "should be a list")
    if depth > DEPTH_MAX:
        raise _bad(where, "too deep")
    for number, one in enumerate(value):
        _element(_object(one, f"{where}[{number}]"), f"{where}[{number}]", depth=depth, form=form)


def _element(part: Mapping[str, Any], where: str, *, depth: int, form: bool) -> None:
    tag = part.get("tag")
    if tag in OLD_TAGS:
        raise BadCard(
            200861,
            f"ErrPath: ROOT -> {where}; ErrMsg: cards of schema V2 no longer support this capability; "
            f"ErrorValue: unsupported tag {tag}",
        )
    if not isinstance(tag, str) or tag not in _KNOWN or tag == "column":
        raise _bad(where, f"unknown tag {tag!r}")
    _known(part, _ANY | _KNOWN[tag], where)
    if "element_id" in part and not ELEMENT_ID.fullmatch(str(part["element_id"])):
        raise _bad(f"{where}.element_id", "malformed")
    match tag:
        case "div":
            _text(part.get("text"), f"{where}.text", ("plain_text", "lark_md"))
        case "markdown":
            if not isinstance(part.get("content"), str):
                raise _bad(f"{where}.content", "should be a text")
        case "img":
            if not part.get("img_key"):
                raise _bad(f"{where}.img_key", "missing")
        case "column_set":
            _columns(part, where, depth=depth, form=form)
        case "form":
            _form(part, where, depth=depth)
        case "button":
            _button(part, where, form=form)
        case "input":
            _input(part, where, form=form)
        case "multi_select_static":
            _choices(part, where, form=form)


def _columns(part: Mapping[str, Any], where: str, *, depth: int, form: bool) -> None:
    columns = part.get("columns")
    if not isinstance(columns, list) or not columns:
        raise _bad(f"{where}.columns", "should be a list with something in it")
    if part.get("flex_mode", "none") not in ("none", "stretch", "flow", "bisect", "trisect"):
        raise _bad(f"{where}.flex_mode", "unknown")
    for number, one in enumerate(columns):
        at = f"{where}.columns[{number}]"
        column = _object(one, at)
        _known(column, _ANY | _KNOWN["column"], at)
        if column.get("tag") != "column":
            raise _bad(f"{at}.tag", "should be column")
        _elements(column.get("elements"), f"{at}.elements", depth=depth + 1, form=form)


def _form(part: Mapping[str, Any], where: str, *, depth: int) -> None:
    if depth:
        raise _bad(where, "a form stands at the root of the card")
    _named(part, where)
    _elements(part.get("elements"), f"{where}.elements", depth=depth + 1, form=True)
    if not any(one.get("form_action_type") == "submit" for one in _parts(part.get("elements"))):
        raise _bad(where, "a form needs a button that submits it")


def _named(part: Mapping[str, Any], where: str) -> None:
    if not isinstance(part.get("name"), str) or not part["name"]:
        raise BadCard(200530, f"{where}: name is empty")


def _button(part: Mapping[str, Any], where: str, *, form: bool) -> None:
    if "text" in part:
        _text(part["text"], f"{where}.text", most=SHORT_CHARS)
    if part.get("type", "default") not in BUTTON_TYPES:
        raise _bad(f"{where}.type", "unknown")
    if form:
        _named(part, where)
    elif "form_action_type" in part:
        raise _bad(f"{where}.form_action_type", "outside of a form")
    if part.get("form_action_type", "submit") not in ("submit", "reset"):
        raise _bad(f"{where}.form_action_type", "unknown")
    if not form and not part.get("behaviors"):
        raise _bad(f"{where}.behaviors", "missing")
    _behaviors(part.get("behaviors", []), f"{where}.behaviors")


def _behaviors(value: Any, where: str) -> None:
    for number, one in enumerate(value if isinstance(value, list) else [value]):
        part = _object(one, f"{where}[{number}]")
        if part.get("type") == "callback":
            _known(part, {"type", "value"}, where)
            _object(part.get("value"), f"{where}[{number}].value")
        elif part.get("type") == "open_url":
            _known(part, {"type", "default_url", "android_url", "ios_url", "pc_url"}, where)
            address = urlsplit(str(part.get("default_url", "")))
            if address.scheme not in ("http", "https", "lark", "feishu") or not address.netloc:
                raise _bad(f"{where}[{number}].default_url", "is not a URL")
        else:
            raise _bad(f"{where}[{number}].type", "unknown")


def _field(part: Mapping[str, Any], where: str, *, form: bool) -> None:
    if form:
        _named(part, where)
    elif "required" in part:
        raise _bad(f"{where}.required", "outside of a form")
    if not isinstance(part.get("required", False), bool):
        raise _bad(f"{where}.required", "should be true or false")
    if "placeholder" in part:
        _text(part["placeholder"], f"{where}.placeholder", most=SHORT_CHARS)
    _behaviors(part.get("behaviors", []), f"{where}.behaviors")


def _input(part: Mapping[str, Any], where: str, *, form: bool) -> None:
    _field(part, where, form=form)
    if "label" in part:
        _text(part["label"], f"{where}.label")
    longest = part.get("max_length", INPUT_CHARS)
    if not isinstance(longest, int) or not 1 <= longest <= INPUT_CHARS:
        raise _bad(f"{where}.max_length", f"should be 1 to {INPUT_CHARS}")
    default = part.get("default_value", "")
    if not isinstance(default, str) or len(default) > longest:
        raise _bad(f"{where}.default_value", "should be a text that is not too long")
    if part.get("input_type", "text") not in ("text", "multiline_text", "password"):
        raise _bad(f"{where}.input_type", "unknown")


def _choices(part: Mapping[str, Any], where: str, *, form: bool) -> None:
    if not form:
        raise _bad(where, "stands in a form only")
    _field(part, where, form=form)
    options = part.get("options")
    if not isinstance(options, list) or not options:
        raise _bad(f"{where}.options", "should be a list with something in it")
    values = []
    for number, one in enumerate(options):
        option = _object(one, f"{where}.options[{number}]")
        _known(option, {"text", "icon", "value"}, f"{where}.options[{number}]")
        _text(option.get("text"), f"{where}.options[{number}].text")
        if not isinstance(option.get("value"), str) or not option["value"]:
            raise _bad(f"{where}.options[{number}].value", "should be a text")
        values.append(option["value"])
    if len(values) != len(set(values)):
        raise _bad(f"{where}.options", "a value is repeated")
    chosen = part.get("selected_values", [])
    if not isinstance(chosen, list) or set(chosen) - set(values):
        raise _bad(f"{where}.selected_values", "are not among the options")
