"""Links to our own page, where no platform tells who pressed a button: in whose name they act, and what they would do.

A link of one person was sent to that person alone and acts as that person. Any other acts in the name of where it was
shown: a conversation, or the contact whose alert card it stood in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from handlers import places
from handlers.buttons import Bound, opened
from handlers.commands import FORMS
from handlers.commands.parser import parse
from handlers.context import Rules
from handlers.places import LINK
from handlers.presses import pressed_before, question_over
from handlers.silences import shown
from handlers.texts import Language, Say, _, from_json
from storage import alerts, contacts, people, presses, silences
from storage.database import Tx

ID_MAX_CHARS = 255


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody follows a link.

    person, name  in whose name it acts
    about         the question it answers, or the alert it is about
    over          why it does nothing any more, None while it works
    """

    bound: Bound
    person: str
    name: str
    language: Language
    about: Say
    over: Say | None


def visit(tx: Tx, rules: Rules, token: str, now: datetime) -> Visit:
    """What a link would do; nothing is changed. Raises ForgedButton."""
    bound = opened(tx.vault, token, link=True)
    place = bound.conversation
    person = bound.person or (place if place.startswith(f"{LINK}:") else f"{LINK}:{place}")[:ID_MAX_CHARS]
    used = presses.by_nonce(tx, bound.nonce) if bound.nonce else None
    over: Say | None = None
    if used is not None:
        over = pressed_before(tx, used, person, rules.zone)
    elif now > bound.until:
        over = _("This button is too old. Please send the command again.")
    request = parse(bound.says, FORMS, language=rules.language)
    about: Say = ""
    if request.form in ("yes", "no"):
        asked = people.open_question(tx, place, bound.person, "confirm", now)
        if asked is not None and asked.get("nonce") == bound.nonce:
            about = from_json(asked["about"])
        elif over is None:
            over = question_over()
    elif request.form == "silence end":
        silence = silences.by_id(tx, request.numbers[0])
        about = shown(silence) if silence else ""
    elif request.numbers:
        alert = alerts.by_id(tx, request.numbers[0])
        about = f"#{alert.id} {alert.title}" if alert else ""
    return Visit(bound, person, _name(tx, bound) or person, request.language, about, over)


def _name(tx: Tx, bound: Bound) -> str:
    if bound.person:
        person = people.by_id(tx, bound.person)
        return person.name if person else ""
    method_id = places.method_of(bound.conversation)
    if method_id is not None:
        method = contacts.method_by_id(tx, method_id)
        contact = contacts.by_id(tx, method.contact_id) if method else None
        return contact.name if contact else ""
    place = people.conversation_by_id(tx, bound.conversation)
    return place.title if place else ""
