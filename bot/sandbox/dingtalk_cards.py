"""DingTalk: interactive cards, their variables, and what a client makes of one that can be pressed.

Pages: https://open.dingtalk.com/document/development/create-and-deliver-cards, …/interactive-card-update-interface and
…/instructions-for-filling-in-api-card-data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox.world import World

CARD_KEY_MAX_BYTES = 100
CARD_VALUE_MAX_BYTES = 1024
CARD_DEADLINE_S = 2.0
"""Within which the callback of a card has to be answered."""


@dataclass(frozen=True, slots=True)
class Card:
    """An interactive card as it is now.

    callback  "STREAM", "HTTP" (to the address registered as `route`), "": nobody is told of presses
    """

    track: str
    app: str
    place: str
    person: str
    values: dict[str, str]
    callback: str
    route: str

    @property
    def body(self) -> dict[str, Any]:
        return {"card": self.track, "values": self.values}


def card_values(data: Any) -> dict[str, str] | None:
    """`cardParamMap` when all of it is text within the limits, else None."""
    values = data.get("cardParamMap") if isinstance(data, dict) else None
    if not isinstance(values, dict):
        return None
    for key, value in values.items():
        if not isinstance(value, str) or len(key.encode()) > CARD_KEY_MAX_BYTES:
            return None
        if len(value.encode("utf-8", "replace")) > CARD_VALUE_MAX_BYTES:
            return None
    return values


def change_card(world: World, card: Card, change: Mapping[str, Any]) -> bool:
    """Applies an update, or the answer to a callback; False when it is not well formed."""
    new = card_values(change["cardData"]) if change.get("cardData") else {}
    if new is None:
        return False
    options = change.get("cardUpdateOptions")
    by_key = isinstance(options, dict) and options.get("updateCardDataByKey") is True
    values = {**card.values, **new} if by_key or not new else new
    changed = replace(card, values=values)
    world.remember(f"dingtalk:card:{card.track}", changed)
    world.happen("update", "dingtalk", card.place, changed.body, person=card.person, ref=card.track)
    return True


def controls(body: Any) -> list[dict[str, Any]]:
    """The buttons that the card of the template in docs/connect-dingtalk.md draws."""
    values = body.get("values") if isinstance(body, dict) else None
    if not isinstance(values, dict) or values.get("status") != "open":
        return []
    numbers = [name.removeprefix("button") for name in values if re.fullmatch(r"button[1-4]", name) and values[name]]
    return [
        {"token": values.get(f"token{n}", ""), "label": values[f"button{n}"], "style": "plain", "fields": []}
        for n in sorted(numbers)
    ]
