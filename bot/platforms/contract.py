"""What every chat platform is: decode a verified callback into `Incoming`, and say a `Document` in a conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bot.channels.contract import Receipt
from bot.http import Http
from handlers.budgets import Throttle
from handlers.document import Document
from handlers.texts import Language


@dataclass(frozen=True, slots=True)
class Press:
    """A button that was pressed or a form that was filled in, instead of a text.

    token   what the button or form carried; to be proven by `Inbox.carry_out`, which raises ForgedButton
    values  of a form: name of the field -> what stands in it; of "choices" the values, comma-separated
    handle  the platform's reference of the message it stood in, for replacing that; "" where there is none
    """

    token: str = field(repr=False)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    handle: str = ""


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
    press         a button or form; `text` is "" then, and `conversation` may be "" (that of the button counts)
    spoken        the person said these words; False: we put them there (a page was opened, a shortcut was chosen), so they
                  tell nothing of the person's language
    trigger       what lets a platform open a form in the next seconds (Slack's `trigger_id`), else ""
    whisper       conversation in which only this person hears what is said, where the platform has such a thing; what is
                  for who pressed alone is said there and not one-to-one
    within        the group conversation in which this was typed, where `conversation` is only this person's corner of it
    inline        which first answers the response to this very callback shows, so that they are not owed. "buttons": those
                  with buttons, and those that only say that another follows; "replace": those that take the place of the
                  message with the button; "always": also those that are for who pressed alone; "": none
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
    press: Press | None = None
    spoken: bool = True
    whisper: str = ""
    within: str = ""
    trigger: str = field(default="", repr=False)
    inline: Literal["", "buttons", "replace", "always"] = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is to be said: a conversation (`direct` False or True), or a person one-to-one (conversation "").

    replaces  handle of an own message (see `Press.handle`, `Receipt.reference`) that this takes the place of; where that
              cannot be any more, it is said as a new one
    trigger   opens a form while it is fresh
    """

    conversation: str
    person: str
    direct: bool
    reply_url: str = ""
    reply_until: datetime | None = None
    replaces: str = ""
    trigger: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Platform:
    """One line of the table PLATFORMS.

    say      posts the document; returning means the platform's body said that it took it; raises DeliveryError
    private  can say something to one person without the others seeing it
    budgets  how often one conversation or person may be written to
    once     a `reply_url` takes one answer and no more
    forms    draws a `Dialog` as a form; else its fields are asked for one after the other
    buttons  given the credentials: "press" when the platform tells us who pressed a button, "link" when a page of ours
             has to ask again, "" when neither is possible
    """

    name: str
    say: Callable[[Document, Language, Place, Speaker], Receipt]
    private: bool = True
    budgets: tuple[Throttle, ...] = ()
    once: bool = False
    forms: bool = False
    buttons: Callable[[object], Literal["press", "link", ""]] = lambda _credentials: ""


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a platform needs to speak; `key` is the same for every try of one answer."""

    http: Http
    now: datetime
    key: str
    credentials: object = None
