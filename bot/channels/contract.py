"""What every channel is: pure rendering, and one send that says what happened.

A channel never loops, sleeps, counts or writes rows; the delivery worker does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

from bot.http import Http
from handlers.budgets import Throttle
from handlers.document import Document
from handlers.mentions import Mention
from handlers.model import Alert
from handlers.receipts import Report
from handlers.texts import Language

Kind = Literal["alert", "code", "test", "notice", "digest"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message owed to one address, ready to be rendered.

    document  localized; what people see
    language  of the document, for the few words a channel adds itself
    key       the same for every try of this delivery, unique otherwise (`msgUuid`, Message-ID, OutId); at most 64
              characters of [A-Za-z0-9-]
    now       when this try happens (signatures, Date headers)
    alert     for kind "alert" and "test": the facts behind the card, for channels that do not send text (ARMS, SMS)
    number    the alert's number
    group     name of the contact group the alert went to
    code      for kind "code": the six digits, for the SMS template
    thread    mails with the same thread belong together (one per alert)
    plain     the last try was refused for its form: send the simplest form the channel has
    again     an earlier try may have arrived: nobody knows what became of it
    post      the body that was posted for a robot of this very platform: it goes out in its own form where it fits
    mention   who of the group is called by name, where the platform can
    """

    document: Document
    language: Language
    kind: Kind
    key: str
    now: datetime
    alert: Alert | None = None
    number: int | None = None
    group: str = ""
    code: str = field(default="", repr=False)
    thread: str = ""
    plain: bool = False
    again: bool = False
    post: Mapping[str, Any] | None = None
    mention: Mention | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: a full webhook URL, a mailbox or an E.164 number, and the robot's signing secret if it has one."""

    address: str = field(repr=False)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the platform gave back for a message it took: its own id of it, where it has one."""

    reference: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a channel may use to reach the world. Frozen: made once when the service is put together."""

    http: Http
    keyword: str = "DAS Alarm"
    zone: tzinfo = UTC
    smtp_url: str = field(default="", repr=False)
    mail_from: str = ""
    access_key_id: str = ""
    access_key_secret: str = field(default="", repr=False)
    sms_sign_name: str = ""
    sms_template_code: str = ""
    sms_template_alert: str = ""
    sms_url: str = "https://dysmsapi.aliyuncs.com"
    voice_template: str = ""
    voice_shown_number: str = ""
    voice_url: str = "https://dyvmsapi.aliyuncs.com"


@dataclass(frozen=True, slots=True)
class Question:
    """About a message that a provider took: what became of it.

    key        that it was sent with (`Message.key`)
    reference  what the provider gave back for it, "" when that answer was lost
    """

    key: str
    reference: str
    address: str = field(repr=False)
    sent_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Channel:
    """One line of the table CHANNELS.

    send     raises DeliveryError; returning means the platform's *body* said that it took the message
    budgets  what may be sent to one address; kept by the worker before it sends
    missing  names of the settings without which this channel cannot work, empty when it can
    fill     the part of a message that this one takes when nothing of it is cut, 1 is full; None: no digests here
    brief    a message holds a few words only: a digest is a number of alerts
    look_up  what became of a message, None while the provider does not know; raises Unreachable, AliyunError
    """

    name: str
    send: Callable[[Message, Target, Outside], Receipt]
    budgets: tuple[Throttle, ...] = ()
    missing: Callable[[Outside], tuple[str, ...]] = lambda _outside: ()
    fill: Callable[[Message, Outside], float] | None = None
    brief: bool = False
    look_up: Callable[[Question, Outside], Report | None] | None = None
