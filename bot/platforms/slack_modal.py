"""A form as a Slack modal: https://docs.slack.dev/surfaces/modals, .../reference/block-kit/blocks/input-block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bot.markup.plain import cut, one_line
from bot.markup.slack import ACTION, plain
from handlers.document import Dialog, Field
from handlers.texts import Language, Say, _, render

TITLE_CHARS = 24
"""Also of the two buttons below the form."""
LABEL_CHARS = 2000
INPUT_CHARS = 3000
OPTIONS = 100
OPTION_CHARS, OPTION_VALUE_CHARS = 75, 150

INPUT = "value"
"""The `action_id` of every input; the block is called like the field."""

# What Slack takes as the first value of these two; anything else, such as a masked address, stands in a plain line.
_FITS = {"email": re.compile(r"[^\s@*]+@[^\s@*]+\.[^\s@*]+"), "url": re.compile(r"https?://[^\s*…]+")}


def modal(dialog: Dialog, language: Language, way: str = "") -> dict[str, Any]:
    """A localized form. `way`: what it needs to know of where its answer belongs (see `slack_say.way_back`)."""
    return {
        "type": "modal",
        "callback_id": ACTION,
        "private_metadata": f"{dialog.token} {way}".strip(),
        "title": plain(cut(one_line(str(dialog.title)), TITLE_CHARS)),
        "submit": plain(cut(one_line(str(dialog.submit)), TITLE_CHARS)),
        "close": plain(cut(render(_("Cancel"), language), TITLE_CHARS)),
        "blocks": [_input(field) for field in dialog.fields],
    }


def _input(field: Field) -> dict[str, Any]:
    hint = {"hint": plain(cut(str(field.hint), LABEL_CHARS))} if field.hint else {}
    return {
        "type": "input",
        "block_id": field.name,
        "optional": not field.required,
        "label": plain(cut(one_line(str(field.label)), LABEL_CHARS)),
        "element": {"action_id": INPUT, **_element(field)},
        **hint,
    }


def _element(field: Field) -> dict[str, Any]:
    if field.kind == "choices" and _can_be_chosen(field.options):
        chosen = selected(field.value, [value for value, _label in field.options])
        first = {"initial_options": [_option(*one) for one in field.options if one[0] in chosen]} if chosen else {}
        return {"type": "multi_static_select", "options": [_option(*one) for one in field.options], **first}
    written = {"initial_value": cut(field.value, INPUT_CHARS)} if field.value else {}
    if field.kind in _FITS and (not field.value or _FITS[field.kind].fullmatch(field.value)):
        return {"type": f"{field.kind}_text_input", **written}
    most = min(max(field.max_chars, len(field.value)), INPUT_CHARS)
    return {"type": "plain_text_input", "multiline": field.kind == "long", "max_length": most, **written}


def _can_be_chosen(options: Sequence[tuple[str, Say]]) -> bool:
    return 0 < len(options) <= OPTIONS and all(0 < len(value) <= OPTION_VALUE_CHARS for value, _label in options)


def _option(value: str, label: Say) -> dict[str, Any]:
    return {"text": plain(cut(one_line(str(label)), OPTION_CHARS)), "value": value}


def selected(joined: str, known: Sequence[str]) -> set[str]:
    """Which of the known values these comma-separated ones are; a value may hold commas itself."""
    found: set[str] = set()
    rest = joined
    while rest:
        longest = max((one for one in known if rest == one or rest.startswith(f"{one},")), key=len, default=None)
        if longest is not None:
            found.add(longest)
        rest = rest.partition(",")[2] if longest is None else rest[len(longest) + 1 :]
    return found
