"""Where something was said or pressed: what people call it, and the cards that are no conversation but stand for one."""

from __future__ import annotations

from handlers import meters
from handlers.texts import Say, _
from storage import contacts, people
from storage.database import Tx

LINK = "link"
"""The platform of those who follow a link to our page instead of pressing a button."""

_CARD = f"{LINK}:callboard/"


def of_cards(method_id: int) -> str:
    """The conversation of the links in what a contact method is sent."""
    return f"{_CARD}{method_id}"


def method_of(place: str) -> int | None:
    """The contact method in whose cards the link stood; None where it is a real conversation."""
    return int(place.removeprefix(_CARD)) if place.startswith(_CARD) else None


def shown(tx: Tx, place: str) -> Say:
    """The name of a conversation, by its id."""
    method_id = method_of(place)
    if method_id is not None:
        method = contacts.method_by_id(tx, method_id)
        contact = contacts.by_id(tx, method.contact_id) if method else None
        return (
            _("a card sent to {contact}", contact=contact.name)
            if contact
            else _("a card of an address that was removed")
        )
    platform = meters.platform_name(place.partition(":")[0])
    known = people.conversation_by_id(tx, place)
    if known is None:
        return _("a conversation in {platform}", platform=platform)
    if known.direct:
        return _("a one-to-one chat in {platform}", platform=platform)
    if not known.title:
        return _("a group in {platform}", platform=platform)
    return _("{platform}: {title}", platform=platform, title=known.title)
