"""The form of a contact group: its fields, what they hold at first, and what may stand in them."""

from __future__ import annotations

from handlers import contacts as rules
from handlers import examples, names
from handlers.commands.contact_form import choices, listed
from handlers.commands.words import names_of
from handlers.context import Context
from handlers.document import Dialog, Field
from handlers.errors import CommandError
from handlers.texts import _
from storage import contacts, groups
from storage.groups import GroupRow

NOTE_MAX_CHARS = 500


def new(ctx: Context) -> Dialog:
    """For a group that is not there yet."""
    return Dialog(_("Create a group"), "group create", _fields(ctx, None), _("Create"))


def edit(ctx: Context, group: GroupRow) -> Dialog:
    return Dialog(_("Edit the group"), "group edit", _fields(ctx, group), _("Save"), group.name)


def _fields(ctx: Context, group: GroupRow | None) -> tuple[Field, ...]:
    inside = [member.name for member in groups.members(ctx.tx, group.id)] if group else []
    known = contacts.names(ctx.tx)
    options = choices(known)
    fields = (
        Field(
            "name",
            _("Name of the group"),
            _("What is the group called?"),
            required=True,
            value=group.name if group else "",
            max_chars=names.LONGEST,
        ),
        Field(
            "note",
            _("Note"),
            _("A note, such as who is on call and when?"),
            "long",
            value=group.note if group else "",
            max_chars=NOTE_MAX_CHARS,
        ),
        Field(
            "members",
            _("Members"),
            _("Which contacts are its members? Several names with commas between them."),
            "choices" if options else "text",
            value=listed(inside),
            options=options,
            hint="" if options else _("Names with commas between them."),
            max_chars=2000,
        ),
    )
    return fields if known else fields[:-1]


def check(ctx: Context, subject: str, field: str, value: str) -> None:
    """Raises CommandError when the value cannot stand in that field of the group called `subject` ("": a new one)."""
    if field == "name":
        group = groups.by_key(ctx.tx, names.key(subject)) if subject else None
        check_free(ctx, names.checked(value), but=group.id if group else None)
    elif field == "note":
        checked_note(value)
    else:
        for name in names_of(value):
            rules.find(ctx, name)


def check_free(ctx: Context, name: str, *, but: int | None = None) -> None:
    """Raises CommandError when another group has the name."""
    taken = groups.by_key(ctx.tx, names.key(name))
    if taken is not None and taken.id != but:
        raise CommandError(
            _(
                "There is already a group “{name}”. To see it: {example}",
                name=taken.name,
                example=examples.show_group(taken.name),
            )
        )


def checked_note(note: str) -> str:
    """The note as it is kept. Raises CommandError when it is too long."""
    if len(note) > NOTE_MAX_CHARS:
        raise CommandError(
            _("The note is too long: {length} characters, {most} are possible.", length=len(note), most=NOTE_MAX_CHARS)
        )
    return names.printable(note.strip())
