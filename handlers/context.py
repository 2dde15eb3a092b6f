"""What the rules need to know besides the database: the settings that concern them, and who said what where."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Literal

from handlers import audit_log
from handlers.addresses import WEBHOOKS
from handlers.audit_log import Action, Key
from handlers.budgets import Throttle
from handlers.document import Document
from handlers.errors import CommandError
from handlers.texts import Language, Say, _
from handlers.times import zone_of
from storage import people
from storage.contacts import MethodRow
from storage.database import Tx
from storage.people import ConversationRow, PersonRow
from storage.undo import Rows


def new_code() -> str:
    """Six digits from a cryptographic source."""
    return f"{secrets.randbelow(1_000_000):06d}"


def new_token() -> str:
    """The secret part of an alert source's URL: 256 bits. Hex digits, since no chat's markup means anything by them."""
    return secrets.token_hex(32)


LETTERS = "abcdefghjkmnpqrstuvwxyz"
"""Without those that look like digits."""


def new_link_code() -> str:
    """Ten letters, 45 random bits; letters only, so that it is never taken for a number or a verification code."""
    return "".join(secrets.choice(LETTERS) for _place in range(10))


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings that concern the rules, made once when the service is put together.

    missing  channel -> names of the settings without which it cannot send; channels that can are absent
    private  platforms on which the bot can say something to one person alone
    buttons  platform -> "press": it calls us back and says who pressed; "link": a page of ours asks again; absent: none
    once     platforms where an address for answers takes one answer and no more
    forms    platforms that draw a `Dialog` as a form; on the others its fields are asked for one after the other
    pages    people reach our pages under `public_url`
    budgets  how often one destination may be written to; channel, or "chat:" and platform -> throttles
    months   platform -> messages its organisation may send in a calendar month; absent: not metered
    """

    admins: frozenset[str] = frozenset()
    region: str = "CN"
    language: Language = "zh"
    keyword: str = "DAS Alarm"
    public_url: str = "http://127.0.0.1:8000"
    webhook_hosts: tuple[str, ...] = ()
    repeat_interval: timedelta = timedelta(hours=4)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    private: frozenset[str] = frozenset({"dingtalk"})
    buttons: Mapping[str, Literal["press", "link"]] = field(default_factory=dict)
    once: frozenset[str] = frozenset()
    forms: frozenset[str] = frozenset()
    pages: bool = False
    budgets: Mapping[str, tuple[Throttle, ...]] = field(default_factory=dict)
    months: Mapping[str, int] = field(default_factory=dict)
    version: str = ""
    new_code: Callable[[], str] = new_code
    new_token: Callable[[], str] = new_token
    new_link_code: Callable[[], str] = new_link_code

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.region)


Audience = Literal["here", "private"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: said where the command came from, or to the person alone.

    alert  number of the alert whose card this is: it is drawn anew when the alert changes
    again  it answers a form that was not good enough: that stays open and says so
    interim  only says that the answer follows
    batch  by which that one finds it, to take its place
    """

    document: Document
    audience: Audience = "here"
    alert: int | None = None
    again: bool = False
    interim: bool = False
    batch: int | None = None


@dataclass(slots=True)
class Context:
    """One command being carried out: the transaction it runs in, who said it and where.

    wake    lanes to which something was added; woken after the commit
    offset  where a list goes on, when this is the answer to `more`
    pressed  a button was pressed, and its message can be changed
    handle   of that message
    others  further identities of the same human on other platforms
    within  id of the group conversation around `place`, where that is only this person's corner of it
    addressed  it was said to the bot: one-to-one or with a mention, and not just where it listens
    gone    the person asked to be forgotten, and was: nothing more is written down about them
    touched  rows of what the command changes, as they were before (see `handlers.undo`)
    waiting  method -> what waited for it then
    did     action and subject of each change it made
    """

    tx: Tx
    now: datetime
    rules: Rules
    person: PersonRow
    place: ConversationRow
    language: Language
    wake: set[str] = field(default_factory=set)
    offset: int = 0
    pressed: bool = False
    handle: str = ""
    others: tuple[PersonRow, ...] = ()
    within: str = ""
    addressed: bool = True
    gone: bool = False
    touched: dict[tuple[str, int | str], Rows] = field(default_factory=dict)
    waiting: dict[int, list[int]] = field(default_factory=dict)
    did: list[tuple[str, str]] = field(default_factory=list)

    @property
    def identities(self) -> tuple[str, ...]:
        """All ids of the human who speaks."""
        return (self.person.id, *(one.id for one in self.others))

    @property
    def admin(self) -> bool:
        return any(one.admin or one.id in self.rules.admins for one in (self.person, *self.others))

    def need_admin(self, what: Say) -> None:
        """Raises CommandError unless an admin speaks."""
        if not self.admin:
            raise CommandError(
                _(
                    "Only an admin may {what}. “admin list” names the admins; you are {person}.",
                    what=what,
                    person=self.person.id,
                )
            )

    def shown(self, method: MethodRow) -> str:
        """The address as this person may read it here: whole for admins and its own contact, one-to-one only.

        A webhook is a secret to everybody.
        """
        whole = self.place.direct and (self.admin or self.person.contact_id == method.contact_id)
        return method.address if whole and method.channel not in WEBHOOKS else method.masked

    def log(
        self,
        action: Action,
        subject: str,
        before: Mapping[Key, Any] | None = None,
        after: Mapping[Key, Any] | None = None,
    ) -> None:
        """Writes the audit log. Values must be masked already."""
        audit_log.write(self.tx, self.now, self.person.id, self.place.id, action, subject, before, after)
        self.did.append((action, subject))

    def ask(self, slot: str, body: dict[str, Any], *, lasting: timedelta) -> None:
        """Opens a question to this person in this conversation."""
        people.ask(self.tx, self.place.id, self.person.id, slot, body, self.now + lasting)
