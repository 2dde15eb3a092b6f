"""Whom a card calls by name: the contact whose address it goes to, where they are known on the address's platform.

The group behind a robot is shared, so a card never calls anybody but that contact; and nothing that an alert says can
become a mention: ids come from the people who spoke to the bot, phone numbers from verified addresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from handlers.model import Alert

Wish = Literal["on", "off"]
WISHES: tuple[Wish, ...] = ("on", "off")

IDS = {
    "dingtalk": re.compile(r"[A-Za-z0-9_$.\-]{1,64}"),
    "wecom": re.compile(r"[A-Za-z0-9_.@\-]{1,64}"),
    "lark": re.compile(r"ou_[A-Za-z0-9]{1,64}"),
    "slack": re.compile(r"[UW][A-Z0-9]{2,20}"),
}
"""Platform -> ids of one person that can be called. What else stands in for a person there is none: `all`, an open id
of another app."""

PHONES = frozenset({"dingtalk", "wecom"})
"""Platforms on which a phone number calls whoever uses it; both are documented with Chinese numbers only."""

_CHINESE = re.compile(r"\+86(1\d{10})")
_SLACK_TEAM = re.compile(r"/services/(T[A-Z0-9]+)/")


@dataclass(frozen=True, slots=True)
class Mention:
    """One person in the group a card goes to: their id on the platform, or where that is not known their number."""

    user: str = ""
    phone: str = field(default="", repr=False)


def wanted(wish: str | None, alert: Alert, *, acknowledged: bool) -> bool:
    """Whether the card of this alert calls the contact: one that is over, or that somebody has, never does."""
    if alert.status != "firing" or alert.post or acknowledged or wish == "off":
        return False
    return wish == "on" or alert.severity == "critical"


def of_contact(channel: str, address: str, identities: Sequence[str], phones: Sequence[str]) -> Mention | None:
    """How a card that goes to `address` calls the contact; None when the platform does not know them.

    identities  of the contact's people: `slack:T0001/U0001`
    phones      the contact's verified numbers, E.164
    """
    pattern = IDS.get(channel)
    if pattern is None:
        return None
    for identity in identities:
        platform, _colon, rest = identity.partition(":")
        workspace, _slash, user = rest.partition("/")
        if platform != channel or user.casefold() in ("all", "@all") or not pattern.fullmatch(user):
            continue
        if channel == "slack" and not _is_in(workspace, address):
            continue
        return Mention(user=user)
    for phone in phones if channel in PHONES else ():
        if number := _CHINESE.fullmatch(phone):
            return Mention(phone=number[1])
    return None


def _is_in(workspace: str, webhook: str) -> bool:
    """Whether the webhook belongs to the workspace; in another one the id is somebody else's or nobody's."""
    found = _SLACK_TEAM.search(webhook)
    return found is not None and found[1] == workspace
