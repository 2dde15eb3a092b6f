"""What the answers about a contact show: its wishes, and the buttons for what may be done next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from handlers import contacts as rules
from handlers import examples, import_reports
from handlers.context import Context
from handlers.document import Button, Document, Facts
from handlers.texts import Say, _
from storage import contacts
from storage.contacts import ContactRow


def with_buttons(ctx: Context, contact: ContactRow, *, pages: bool = False) -> Document:
    """The contact, and what this person may do with it; `pages` as in `contact_document`."""
    document = rules.contact_document(ctx, contact, pages=pages)
    document = replace(
        document, blocks=(*document.blocks, Facts((*wishes(contact), *import_reports.facts(ctx.tx, contact.id))))
    )
    if not ctx.admin and ctx.person.contact_id != contact.id:
        return document
    states = {method.state for method in contacts.methods(ctx.tx, [contact.id])}
    buttons = [Button(_("Edit"), examples.open_edit_contact(contact.name), once=False)]
    if states - {"active"}:
        buttons.append(Button(_("Send the codes again"), examples.verify(contact.name)))
    if "active" in states:
        buttons.append(Button(_("Test"), examples.test(contact.name)))
    buttons.append(Button(_("Remove"), examples.remove_contact(contact.name), "danger", once=False))
    return replace(document, buttons=tuple(buttons))


def wishes(contact: ContactRow) -> tuple[tuple[Say, Say], ...]:
    """What the contact wants its cards to be like, where that is not the usual."""
    languages: dict[str | None, Say] = {"en": _("English"), "zh": _("Chinese")}
    mentions: dict[str | None, Say] = {"on": _("in the cards of all alerts"), "off": _("in no card")}
    pairs: list[tuple[Say, Say]] = []
    if contact.language:
        pairs.append((_("Language"), languages.get(contact.language, contact.language)))
    if contact.timezone:
        pairs.append((_("Time zone"), contact.timezone))
    pairs.append((_("Mentioned"), mentions.get(contact.mention, _("in the cards of critical alerts"))))
    return tuple(pairs)


def code_button(sentences: Sequence[Say]) -> tuple[Button, ...]:
    """Where codes are on their way: a form to type one into."""
    return (Button(_("Enter a code"), examples.ENTER_CODE, once=False),) if sentences else ()
