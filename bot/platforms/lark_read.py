"""Reading what Lark sends: ids, people and times out of JSON that may hold anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.markup.plain import clean
from bot.platforms.lark_api import HOST
from handlers.errors import PayloadError
from handlers.texts import _

MESSAGES_PATH = "/open-apis/im/v1/messages"

REPLY_FOR = timedelta(minutes=10)
"""How long an answer is attached to its question; later it would only dig up an old one."""

_ID = re.compile(r"(?!\.)[A-Za-z0-9_\-.=]{1,100}")
_BLANKS = "\u200b\u200c\u200d\u2060\ufeff"


def object_of(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def id_of(value: object) -> str:
    """The id when it is one, else ""."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def needed(part: Mapping[str, Any], name: str, path: str) -> str:
    found = id_of(part.get(name))
    if not found:
        raise PayloadError(path, _("an id of at most 100 characters is expected"))
    return found


def person_of(tenant: str, open_id: str) -> str:
    """`lark:tenant/ou_…`; "" where Lark does not say who it is."""
    return f"lark:{tenant}/{open_id}" if open_id else ""


def reply_url(message_id: str) -> str:
    """Where an answer to that message is posted."""
    return f"{HOST}{MESSAGES_PATH}/{message_id}/reply"


def words(value: object, max_chars: int) -> str:
    """What a person wrote, without control characters and blanks at its ends; "" for anything that is not text."""
    if not isinstance(value, str):
        return ""
    return clean(value).strip().strip(_BLANKS).strip()[:max_chars]


def moment(epoch: object) -> datetime | None:
    """The time in milliseconds (messages) or microseconds (cards), told apart by their size; None for anything else."""
    if not isinstance(epoch, str) or not epoch.isascii() or not epoch.isdigit() or len(epoch) > 17:
        return None
    at = int(epoch)
    return datetime.fromtimestamp(at / (1000 if at < 10**14 else 1_000_000), UTC)
