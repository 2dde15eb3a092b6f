"""A document as a card that Lark takes: its size, and its number of elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.channels.fit import fitted
from bot.markup import lark_v2 as markup
from handlers.document import Document
from handlers.texts import Language

BODY_MAX_BYTES = 28_000
"""Of a request with a card; Lark takes 30 KB."""

BESIDE_BYTES = 4_000
"""What a form leaves for the words beside it."""


def card(
    document: Document, language: Language, size: Callable[[Mapping[str, Any]], int], limit: int = BODY_MAX_BYTES
) -> dict[str, Any]:
    """The localized document as a card with at most `limit` bytes; `size` measures a card as it will be sent."""
    bare = markup.card(replace(document, blocks=(), links=(), footer=""))
    choose = size(bare) <= limit - BESIDE_BYTES and markup.elements_of(bare) <= markup.ELEMENTS_MAX - 40
    whole = fitted(document, language, limit, lambda part: size(markup.card(part, choose=choose)))
    return markup.card(whole, choose=choose)
