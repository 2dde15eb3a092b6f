"""Slack: documents as Block Kit. Everything from outside is `plain_text`, which interprets nothing; links, which need
mrkdwn, are written by us with `verbatim`, so that Slack adds no mentions or links of its own.

https://api.slack.com/reference/surfaces/formatting, https://api.slack.com/reference/block-kit/blocks
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.markup.plain import MARK, block_lines, boundary, cut, one_line, unmentioned
from handlers.document import Block, Button, Document, Facts
from handlers.urls import safe_url

COLOURS = {
    "critical": "#D0021B",
    "warning": "#F5A623",
    "info": "#2F80ED",
    "resolved": "#27AE60",
    "neutral": "#8D8D8E",
}
DOTS = {"critical": "🔴", "warning": "🟠", "info": "🔵", "resolved": "🟢", "neutral": ""}

BLOCKS = 50
HEADER_CHARS = 150
SECTION_CHARS = 3000
FIELDS = 10
FIELD_CHARS = 2000
CONTEXT_ELEMENTS = 10
LINK_LABEL_CHARS = 80
ACTIONS = 25
BUTTON_CHARS = 75

ACTION = "callboard"
"""How the `action_id` of every button of ours begins, and the `callback_id` of our forms."""

_MARKS = str.maketrans({"*": "∗", "_": "＿", "~": "～", "`": "＇", "|": "｜", "\n": " "})


def escape(text: str) -> str:
    """The three characters that Slack wants escaped, and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def heading(document: Document) -> str:
    """Dot, badge, number and title as plain text of at most HEADER_CHARS."""
    dot = DOTS[document.tone]
    return cut(f"{dot} {document.heading()}" if dot else document.heading(), HEADER_CHARS) or MARK


def blocks(document: Document) -> list[dict[str, Any]]:
    """A localized, cleaned document as blocks. Not cut as a whole: no more than BLOCKS are wanted by Slack."""
    drawn: list[dict[str, Any]] = [{"type": "header", "text": plain(heading(document))}]
    drawn.extend(section for block in document.blocks for section in _sections(block))
    links = [_link(str(link.label), link.url) for link in document.links if safe_url(link.url)]
    for at in range(0, len(links), CONTEXT_ELEMENTS):
        drawn.append({"type": "context", "elements": links[at : at + CONTEXT_ELEMENTS]})
    drawn.extend(_actions([button for button in document.buttons if button.token]))
    if document.footer:
        drawn.append({"type": "context", "elements": [plain(cut(str(document.footer), FIELD_CHARS))]})
    return drawn


def _actions(buttons: list[Button]) -> Iterator[dict[str, Any]]:
    """Rows of buttons. What is in a card of a channel has no token, and so no button is drawn there."""
    drawn = [_button(button, f"{ACTION}-{at}") for at, button in enumerate(buttons, 1)]
    for at in range(0, len(drawn), ACTIONS):
        yield {"type": "actions", "elements": drawn[at : at + ACTIONS]}


def _button(button: Button, action_id: str) -> dict[str, Any]:
    label = plain(cut(one_line(str(button.label)), BUTTON_CHARS))
    drawn: dict[str, Any] = {"type": "button", "action_id": action_id, "text": label, "value": button.token}
    return drawn if button.style == "plain" else drawn | {"style": button.style}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text or MARK, "emoji": False}


def _sections(block: Block) -> Iterator[dict[str, Any]]:
    if isinstance(block, Facts):
        fields = [plain(cut(f"{label}: {value}", FIELD_CHARS)) for label, value in block.pairs]
        for at in range(0, len(fields), FIELDS):
            yield {"type": "section", "fields": fields[at : at + FIELDS]}
        return
    text = "\n".join(block_lines(block))
    while text.strip():
        end = boundary(text, SECTION_CHARS)
        yield {"type": "section", "text": plain(text[:end])}
        text = text[end:]


def _link(label: str, url: str) -> dict[str, Any]:
    shown = escape(unmentioned(cut(label, LINK_LABEL_CHARS)).translate(_MARKS))
    return {"type": "mrkdwn", "text": f"<{escape(url)}|{shown}>", "verbatim": True}
