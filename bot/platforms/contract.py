"""What every chat platform is: decode a verified callback into `Incoming`, and say a `Document` in a conversation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bot.channels.contract import Receipt
from bot.http import Http
from handlers.budgets import Throttle
from handlers.document import Document
from handlers.texts import Language


@dataclass(frozen=True, slots=True)
class Incoming:
    """One chat message, verified and decoded, not yet acted on. Stored as JSON before the platform gets its answer.

    message_id    the platform's own, the key against duplicates together with `platform`
    event_id      a second such key, of the delivery; "" where the platform has none beside the message's
    person        `dingtalk:dingcorp01/0147123`; "" when the platform does not say who it was (outsiders)
    conversation  `dingtalk:cidAbC123==`
    direct        a one-to-one chat
    text          what was said, the bot's own mention removed, stripped
    mentions      other people mentioned: (person id, name), in order; in `text` they may or may not be visible
    reply_url     where an answer may be posted without a token until `reply_until`
    """

    platform: str
    message_id: str
    person: str
    name: str
    conversation: str
    direct: bool
    text: str
    addressed: bool = True
    title: str = ""
    mentions: tuple[tuple[str, str], ...] = ()
    reply_url: str = ""
    reply_until: datetime | None = None
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is to be said: a conversation (`direct` False or True), or a person one-to-one (conversation "")."""

    conversation: str
    person: str
    direct: bool
    reply_url: str = ""
    reply_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Platform:
    """One line of the table PLATFORMS.

    say      posts the document; returning means the platform's body said that it took it; raises DeliveryError
    private  can say something to one person without the others seeing it
    budgets  how often one conversation or person may be written to
    """

    name: str
    say: Callable[[Document, Language, Place, Speaker], Receipt]
    private: bool = True
    budgets: tuple[Throttle, ...] = ()


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a platform needs to speak; `key` is the same for every try of one answer."""

    http: Http
    now: datetime
    key: str
    credentials: object = None
