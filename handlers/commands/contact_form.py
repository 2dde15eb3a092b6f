"""The form of a contact: its fields, what they hold at first, and what may stand in them."""

from __future__ import annotations

from handlers import contacts as rules
from handlers import names
from handlers.addresses import PHONE, WEBHOOKS
from handlers.commands.words import names_of
from handlers.context import Context
from handlers.document import Dialog, Field
from handlers.errors import CommandError
from handlers.examples import quoted
from handlers.texts import _
from storage import contacts, groups
from storage.contacts import ContactRow

MOST_OPTIONS = 100
"""Platforms show no more choices; with more groups (or contacts) names are typed."""

CHANNELS: dict[str, tuple[str, ...]] = {"phone": (PHONE,), "email": ("email",), "webhook": WEBHOOKS}
"""Field -> the channels of the methods it stands for."""


def listed(values: list[str]) -> str:
    """Names as one value of a field: comma-separated, quoted where they need it."""
    return ",".join(quoted(value) for value in values)


def choices(known: list[str]) -> tuple[tuple[str, str], ...]:
    """Names to choose from; none where there are too many to show."""
    return tuple((quoted(name), name) for name in known) if len(known) <= MOST_OPTIONS else ()


def current(ctx: Context, contact: ContactRow, field: str) -> str:
    """The address that the field shows; "" where there is none, or several."""
    have = [method for method in contacts.methods(ctx.tx, [contact.id]) if method.channel in CHANNELS[field]]
    return ctx.shown(have[0]) if len(have) == 1 else ""


def several(ctx: Context, contact: ContactRow, field: str) -> bool:
    return sum(method.channel in CHANNELS[field] for method in contacts.methods(ctx.tx, [contact.id])) > 1


def new(ctx: Context, *, own: bool) -> Dialog:
    """For a contact that is not there yet; `own`: that of the person who speaks."""
    title = _("My contact") if own else _("Add a contact")
    return Dialog(title, "contact add", _fields(ctx, None, ctx.person.name if own else ""), _("Add"))


def edit(ctx: Context, contact: ContactRow) -> Dialog:
    return Dialog(_("Edit the contact"), "contact edit", _fields(ctx, contact, contact.name), _("Save"), contact.name)


def _fields(ctx: Context, contact: ContactRow | None, name: str) -> tuple[Field, ...]:
    def address(field: str) -> str:
        return current(ctx, contact, field) if contact else ""

    def kept(field: str) -> bool:
        return contact is None or not several(ctx, contact, field)

    fields = [
        Field("name", _("Full name"), _("What is the full name?"), required=True, value=name, max_chars=names.LONGEST),
        Field(
            "phone",
            _("Phone"),
            _("Which phone number?"),
            "phone",
            value=address("phone"),
            hint=_("A code is sent to it by SMS."),
            max_chars=40,
        ),
        Field(
            "email",
            _("Email"),
            _("Which email address?"),
            "email",
            value=address("email"),
            hint=_("A code is sent to it."),
            max_chars=254,
        ),
        Field(
            "webhook",
            _("Robot's webhook"),
            _("Which webhook of a DingTalk, WeCom, Lark or Slack robot, or of ARMS?"),
            "url",
            value=address("webhook"),
            hint=_("A card with a code is posted to the group behind it."),
            max_chars=1000,
        ),
        Field(
            "secret",
            _("Robot's secret"),
            _("The robot's signing secret, if it has one?"),
            hint=_("Only for DingTalk and Lark robots that sign."),
        ),
    ]
    shown = [field for field in fields if field.name in ("name", "secret") or kept(field.name)]
    if ctx.admin and groups.names(ctx.tx):
        shown.append(_groups(ctx, contact))
    return tuple(shown)


def _groups(ctx: Context, contact: ContactRow | None) -> Field:
    inside = contacts.groups_of(ctx.tx, contact.id) if contact else []
    options = choices(groups.names(ctx.tx))
    return Field(
        "groups",
        _("Contact groups"),
        _("In which contact groups? Several names with commas between them."),
        "choices" if options else "text",
        value=listed(inside),
        options=options,
        hint="" if options else _("Names with commas between them."),
        max_chars=1000,
    )


def check(ctx: Context, subject: str, field: str, value: str) -> None:
    """Raises CommandError when the value cannot stand in that field of the contact called `subject` ("": a new one)."""
    if field == "name":
        contact = contacts.by_key(ctx.tx, names.key(subject)) if subject else None
        rules.check_free(ctx, names.checked(value), but=contact.id if contact else None)
    elif field == "secret":
        rules.check_secret(value)
    elif field == "groups":
        for name in names_of(value):
            rules.find_group(ctx, name)
    elif field in CHANNELS:
        contact = contacts.by_key(ctx.tx, names.key(subject)) if subject else None
        if contact is None or value != current(ctx, contact, field):
            rules.checked(ctx, field, value)
    else:
        raise CommandError(_("This form has changed meanwhile. Please send the command again."))
