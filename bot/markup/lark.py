"""Lark and Feishu: documents as cards of JSON 1.0, which every client draws.

Every string goes into `plain_text`, where nothing is interpreted: no markdown, no `<at …>`
(https://open.feishu.cn/document/common-capabilities/message-card/message-cards-content/card-structure/card-content).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.markup.plain import MARK, block_lines, clean
from handlers.document import Block, Document, Facts
from handlers.urls import safe_url

TEMPLATES = {"critical": "red", "warning": "orange", "info": "blue", "resolved": "green", "neutral": "grey"}
SHORT_CHARS = 28
"""A fact up to this length shares its line with a neighbour."""

FIELDS = 10
BUTTONS = 4

_AT = re.compile(r"<(?=\s*/?\s*at\b)", re.IGNORECASE)


def escape(text: str) -> str:
    """Plain text for a text message, in which `<at …>` would be a mention; cards need no escape."""
    return _AT.sub("＜", clean(text))


def card(document: Document, note: str = "", calls: str = "") -> dict[str, Any]:
    """A localized, cleaned document as a card; `note` is added to its small print. Not cut.

    calls  open id of somebody in the group; the one thing that is not `plain_text`
    """
    elements = [element for block in document.blocks for element in _elements(block)]
    if calls:
        elements.append({"tag": "markdown", "content": f"<at id={calls}></at>"})
    buttons = [
        {"tag": "button", "type": "default", "url": link.url, "text": _plain(str(link.label))}
        for link in document.links
        if safe_url(link.url)
    ]
    if buttons:
        elements.append({"tag": "hr"})
    for at in range(0, len(buttons), BUTTONS):
        elements.append({"tag": "action", "actions": buttons[at : at + BUTTONS]})
    small = " · ".join(part for part in (str(document.footer), note) if part)
    if small:
        elements.append({"tag": "note", "elements": [_plain(small)]})
    if not elements:
        elements.append({"tag": "div", "text": _plain(document.heading())})
    return {
        "config": {"wide_screen_mode": True, "enable_forward": True},
        "header": {"template": TEMPLATES[document.tone], "title": _plain(document.heading())},
        "elements": elements,
    }


def _plain(text: str) -> dict[str, str]:
    return {"tag": "plain_text", "content": text or MARK}


def _elements(block: Block) -> Iterator[dict[str, Any]]:
    if isinstance(block, Facts):
        fields = []
        for label, value in block.pairs:
            text = f"{label}: {value}"
            fields.append({"is_short": len(text) <= SHORT_CHARS and "\n" not in text, "text": _plain(text)})
        for at in range(0, len(fields), FIELDS):
            yield {"tag": "div", "fields": fields[at : at + FIELDS]}
    else:
        text = "\n".join(block_lines(block))
        if text:
            yield {"tag": "div", "text": _plain(text)}
