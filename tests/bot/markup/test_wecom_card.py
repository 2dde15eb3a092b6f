"""A document as a card with buttons: what fits, what is left out, and that every such card may be sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.channels.fit import cleaned
from bot.markup.wecom_card import APP, DONE, MOST_BUTTONS, ROBOT, Room, labelled, pressable, summary, whole
from bot.sandbox.wecom_cards import Sender, check_card
from handlers.document import Button, Document, Facts, Items, Link, Paragraph, Table

BUTTONS = tuple(Button(f"Button {number}", "x", token=f"to.{number}") for number in range(8))
HOSTILE = "<@all> [x](javascript:alert(1)) ]]> $userName=x$ \x00\u202e</font>"

DOCUMENTS: dict[str, Document] = {
    "bare": Document("x"),
    "empty": Document(""),
    "hostile": Document(HOSTILE, (Paragraph(HOSTILE), Facts(((HOSTILE, HOSTILE),)))),
    "long": Document("磁盘" * 50, (Paragraph("字" * 500), Items(("a",) * 50)), footer="x" * 300),
    "an alert": Document("disk full", (Paragraph("x" * 200),), "critical", "CRITICAL", 42),
    "a table": Document("x", (Table(("a", "b"), (("1", ""),)),)),
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(("room", "sender"), [(APP, "app"), (ROBOT, "robot")])
@pytest.mark.parametrize("buttons", [(), BUTTONS])
def test_every_card_may_be_sent_and_keeps_to_what_is_shown(
    name: str, room: Room, sender: Sender, buttons: tuple[Button, ...]
) -> None:
    document = cleaned(replace(DOCUMENTS[name], buttons=buttons))
    cards = [summary(document, room, "en", "cb-1")] + ([labelled(document, room, "cb-1")] if buttons else [])
    for card in cards:
        check_card(card, sender)
        assert len(card["main_title"]["title"]) <= room.title
        assert len(card.get("sub_title_text", "")) <= room.text
        assert len(card["button_list"]) == (MOST_BUTTONS if buttons else 1)


def test_buttons_without_a_token_are_not_drawn_and_the_last_give_way() -> None:
    document = Document("x", buttons=(Button("no token", "x"), *BUTTONS))
    assert [one.token for one in pressable(document)] == [f"to.{number}" for number in range(6)]


def test_a_card_without_buttons_has_one_that_does_nothing_in_the_readers_language() -> None:
    [button] = summary(Document("x"), APP, "en")["button_list"]
    assert button == {"text": "Done", "style": 2, "key": DONE}


@pytest.mark.parametrize(
    ("document", "fits"),
    [
        (Document("x" * 36, (Paragraph("y" * 160),)), True),
        (Document("x" * 36, (Paragraph("y" * 161),)), False),
        (Document("x" * 37, (Paragraph("y" * 122),)), True),
        (Document("x" * 37, (Paragraph("y" * 123),)), False),
        (Document("x", links=(Link("a", "https://a.example"),)), False),
    ],
)
def test_what_a_card_has_room_for(document: Document, fits: bool) -> None:
    assert whole(document, APP) == fits
    if fits:
        card = summary(document, APP, "en")
        assert str(document.title) in card["main_title"]["title"] + card["sub_title_text"]
        assert "…" not in card["sub_title_text"]


def test_the_facts_of_an_alert_are_seen_behind_a_long_description() -> None:
    document = Document(
        "disk full", (Paragraph("x" * 300), Facts((("Acknowledged by", "Ann"),))), "critical", "CRITICAL", 7
    )
    card = summary(document, APP, "en")
    assert card["main_title"]["title"] == "🔴 [CRITICAL] #7 disk full"
    assert "Acknowledged by: Ann" in card["sub_title_text"]
