"""Lark and Feishu: what the app says, as cards of JSON 2.0, which carry buttons and forms and can be changed in place.

https://open.feishu.cn/document/feishu-cards/card-json-v2-structure. A card keeps its schema for ever (200830), so every
answer has this one, with or without buttons. Clients before 7.20 show its title and ask for an update. Unlike in 1.0 a
property that is not known is an error.

Every string goes into `plain_text`, where nothing is interpreted: no markdown, no `<at …>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bot.markup.lark import BUTTONS, TEMPLATES
from bot.markup.plain import MARK, block_lines, clean, cut
from handlers.document import Button, Dialog, Document, Field, Link
from handlers.urls import safe_url

KEY = "callboard"
"""Member of a button's value that holds its token."""

FIELDS = "fields"
"""Member of a submit button's value: the names of the form's fields."""

ELEMENTS_MAX = 200
"""Components and texts in one card, those of options included."""

LABEL_CHARS = 100
"""Of a button, and of the words that stand in an empty field."""

INPUT_CHARS = 1000
OPTIONS_MAX = 120
"""Choices in one card: with their texts they have to leave room for everything else."""

STYLES = {"plain": "default", "primary": "primary_filled", "danger": "danger"}

Element = dict[str, Any]


def card(document: Document, *, choose: bool = True) -> dict[str, Any]:
    """A localized, cleaned document as a card. Not cut.

    choose  False: fields to choose from become fields to type in, where the choices would be too much for one card
    """
    elements: list[Element] = []
    if document.dialog is not None and document.dialog.token:
        elements.append(_form(document.dialog, choose))
    for block in document.blocks:
        text = "\n".join(block_lines(block))
        if text:
            elements.append({"tag": "div", "text": _plain(text)})
    elements += _rows(_press(button) for button in document.buttons if button.token)
    links = [_open(link) for link in document.links if safe_url(link.url)]
    if links:
        elements.append({"tag": "hr"})
        elements += _rows(links)
    if str(document.footer):
        elements.append(_small(str(document.footer)))
    if not elements:
        elements.append({"tag": "div", "text": _plain(document.heading())})
    return {
        "schema": "2.0",
        "config": {"update_multi": True},
        "header": {"template": TEMPLATES[document.tone], "title": _plain(document.heading())},
        "body": {"elements": elements},
    }


def elements_of(part: object) -> int:
    """How many components and texts there are in it, as Lark counts them."""
    if isinstance(part, dict):
        return ("tag" in part) + sum(map(elements_of, part.values()))
    return sum(map(elements_of, part)) if isinstance(part, list) else 0


def _plain(text: str) -> Element:
    return {"tag": "plain_text", "content": text or MARK}


def _small(text: str) -> Element:
    return {"tag": "div", "text": {**_plain(text), "text_size": "notation", "text_color": "grey"}}


def _rows(buttons: Iterable[Element]) -> Iterator[Element]:
    """Buttons beside each other; on narrow screens they flow into further rows."""
    columns = [{"tag": "column", "width": "auto", "elements": [button]} for button in buttons]
    for at in range(0, len(columns), BUTTONS):
        yield {"tag": "column_set", "flex_mode": "flow", "columns": columns[at : at + BUTTONS]}


def _press(button: Button) -> Element:
    return {
        "tag": "button",
        "type": STYLES[button.style],
        "text": _label(str(button.label)),
        "behaviors": [{"type": "callback", "value": {KEY: button.token}}],
    }


def _open(link: Link) -> Element:
    return {
        "tag": "button",
        "type": "default",
        "text": _label(str(link.label)),
        "behaviors": [{"type": "open_url", "default_url": link.url}],
    }


def _label(text: str) -> Element:
    return _plain(cut(text, LABEL_CHARS))


def _form(dialog: Dialog, choose: bool) -> Element:
    """https://open.feishu.cn/document/feishu-cards/card-json-v2-components/containers/form-container

    A form stands at the root of the card, and everything in it has a name of its own. A client that finds a required
    field empty says so itself and calls nobody.
    """
    elements: list[Element] = []
    room = OPTIONS_MAX
    for field in dialog.fields:
        if field.kind == "choices" and choose and 0 < len(field.options) <= room:
            room -= len(field.options)
            elements += _choices(field)
        else:
            elements += _input(field)
    # Which fields there are comes back with the values: whether an empty one is sent at all is not documented.
    value = {KEY: dialog.token, FIELDS: [field.name for field in dialog.fields]}
    elements.append(
        {
            "tag": "button",
            "type": "primary_filled",
            "text": _label(str(dialog.submit)),
            "name": f"{KEY}_submit",
            "form_action_type": "submit",
            "behaviors": [{"type": "callback", "value": value}],
        }
    )
    return {"tag": "form", "name": f"{KEY}_form", "elements": elements}


def _marked(field: Field) -> str:
    return f"{field.label} *" if field.required else str(field.label)


def _input(field: Field) -> Iterator[Element]:
    value = clean(field.value)[:INPUT_CHARS]
    whole: Element = {
        "tag": "input",
        "name": field.name,
        "label": _plain(_marked(field)),
        # Without one of ours Lark writes its own into the empty field, in Chinese.
        "placeholder": _label(str(field.label)),
        "required": field.required,
        "width": "fill",
        "max_length": min(max(field.max_chars, len(value), 1), INPUT_CHARS),
    }
    if field.kind == "long":
        whole |= {"input_type": "multiline_text", "rows": 3}
    if value:
        whole["default_value"] = value
    yield whole
    if str(field.hint):
        yield _small(str(field.hint))


def _choices(field: Field) -> Iterator[Element]:
    """The control has no label of its own."""
    # Values are names, quoted where a comma is in them: to look each one up needs no parser.
    chosen = f",{field.value},"
    yield {"tag": "div", "text": _plain(_marked(field))}
    yield {
        "tag": "multi_select_static",
        "name": field.name,
        "placeholder": _label(str(field.label)),
        "required": field.required,
        "width": "fill",
        "selected_values": [value for value, _text in field.options if f",{value}," in chosen],
        "options": [{"text": _label(str(text)), "value": value} for value, text in field.options],
    }
    if str(field.hint):
        yield _small(str(field.hint))
