"""Reading ids and names out of Slack's payloads, which may hold anything where an id is expected."""

from __future__ import annotations

import re
from collections.abc import Mapping

from handlers.errors import PayloadError
from handlers.texts import _

NAME_MAX_CHARS = 128

MESSAGE_ID = re.compile(r"[!-~]{1,200}")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NOT_A_TITLE = ("directmessage", "privategroup")


def needed_id(values: Mapping[str, object], name: str, path: str = "") -> str:
    """Raises PayloadError where it is missing."""
    found = optional_id(values.get(name))
    if not found:
        raise PayloadError(path or f"$.{name}", _("an id is expected"))
    return found


def optional_id(value: object) -> str:
    """The id when it is one, else ""."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def string(value: object) -> str:
    return value if isinstance(value, str) else ""


def mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def title_of(channel: str, name: object) -> str:
    """The name of a channel; "" for what has none, whatever stands there instead."""
    title = string(name)
    return "" if title in _NOT_A_TITLE or channel.startswith("D") else title[:NAME_MAX_CHARS]
