"""A document as one of WeCom's template cards with buttons (`button_interaction`): a title, a few words, six buttons.

https://developer.work.weixin.qq.com/document/path/90236 for the app, …/101032 for the smart robot. Nothing in a card is
markup. How much of a text is shown is only "suggested" there; whether more would be refused is not said, so no more is
sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from bot.markup.plain import MARK, cut, one_line, outline
from bot.markup.wecom import DOTS
from handlers.document import Block, Button, Document, Paragraph
from handlers.texts import Language, _, render

MOST_BUTTONS = 6
LABEL_CHARS = 20
"""WeCom suggests 10 characters, Chinese ones."""

STYLES = {"primary": 1, "plain": 2, "danger": 3}
"""Filled, grey, red letters."""

DONE = "-"
"""Key of the button of a card that has none: a card of this kind must have one. No token looks like it."""

SUMMARY_CHARS = 80
"""Of each paragraph, where only a part of the document is shown, so that the facts behind it are seen as well."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many characters of title and text are shown."""

    title: int
    text: int


APP = Room(title=36, text=160)
ROBOT = Room(title=26, text=112)


def pressable(document: Document) -> tuple[Button, ...]:
    """The buttons that a card can show."""
    return tuple(button for button in document.buttons if button.token)[:MOST_BUTTONS]


def whole(document: Document, room: Room) -> bool:
    """Whether a card shows all of the localized, cleaned document. Links cannot be opened there."""
    return not document.links and len(_text(document, room)) <= room.text


def labelled(document: Document, room: Room, task_id: str) -> dict[str, Any]:
    """A card with the document's heading and buttons, for beside its words."""
    return _card(document, room, task_id) | {"button_list": _keys(pressable(document))}


def summary(document: Document, room: Room, language: Language, task_id: str = "") -> dict[str, Any]:
    """A card with as much of the document as there is room for, and its buttons or one that does nothing."""
    text = _text(document, room)
    if len(text) > room.text:
        shortened = replace(document, blocks=tuple(map(_shortened, document.blocks)), links=(), footer="")
        text = cut(_text(shortened, room), room.text)
    buttons = _keys(pressable(document)) or [{"text": render(_("Done"), language), "style": 2, "key": DONE}]
    return _card(document, room, task_id) | ({"sub_title_text": text} if text else {}) | {"button_list": buttons}


def _card(document: Document, room: Room, task_id: str) -> dict[str, Any]:
    card = {"card_type": "button_interaction", "main_title": {"title": cut(_heading(document), room.title)}}
    return card | ({"task_id": task_id} if task_id else {})


def _heading(document: Document) -> str:
    heading = one_line(document.heading()) or MARK
    return " ".join(part for part in (DOTS[document.tone], heading) if part)


def _text(document: Document, room: Room) -> str:
    """The words below the title; with the heading once more where that is too long for a title."""
    heading = _heading(document)
    parts = (heading if len(heading) > room.title else "", outline(document).replace("\n\n", "\n"))
    return "\n".join(part for part in parts if part)


def _shortened(block: Block) -> Block:
    return Paragraph(cut(str(block.text), SUMMARY_CHARS)) if isinstance(block, Paragraph) else block


def _keys(buttons: Iterable[Button]) -> list[dict[str, Any]]:
    return [
        {"text": cut(one_line(str(one.label)), LABEL_CHARS), "style": STYLES[one.style], "key": one.token}
        for one in buttons
    ]
