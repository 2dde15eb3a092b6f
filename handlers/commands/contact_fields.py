"""The fields of a contact that can be changed, and how each is; `contact edit`, its form and `me` share them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from handlers import contacts as rules
from handlers import examples, names, undo
from handlers.commands import contact_answers, contact_form, keys
from handlers.commands.contract import Answers, said
from handlers.commands.request import Request
from handlers.commands.words import LANGUAGES, MENTION, NONE, Wish
from handlers.context import Context
from handlers.document import Facts, Paragraph
from handlers.errors import CommandError
from handlers.texts import Say, _, n_
from handlers.times import zone_name
from storage import contacts, groups, people
from storage.contacts import ContactRow, MethodRow

FIELDS = ("name", "phone", "email", "webhook", "secret", "language", "timezone", "mention")
"""Keys of what can be changed."""

WISHES: tuple[Wish, ...] = get_args(Wish)
"""Fields about the cards that a contact gets."""


def whole_zone(request: Request) -> Request:
    """The request with all words of a time zone in its value: `timezone new york`, where only one is read as it."""
    first, last = request.keys.get("timezone", ""), request.names[-1] if request.names else ""
    whole = f"{first} {last}"
    if not first or not last or not " ".join(request.rest.split()).endswith(whole):
        return request
    return replace(request, names=request.names[:-1], keys={**request.keys, "timezone": whole})


def set_wish(ctx: Context, contact: ContactRow, field: Wish, value: str, example: Say) -> Answers:
    """Changes what the contact wants its cards to be like. Raises CommandError, which names the example."""
    wish = None if value.casefold() in NONE else _wish(field, value, example)
    before = {"language": contact.language, "timezone": contact.timezone, "mention": contact.mention}[field]
    contacts.prefers(ctx.tx, contact.id, **{field: wish})
    ctx.log("contact edit", contact.name, {field: before}, {field: wish})
    changed = contacts.by_id(ctx.tx, contact.id)
    assert changed is not None  # noqa: S101 (just written)
    return said(_("The cards of “{name}” are changed.", name=contact.name), Facts(contact_answers.wishes(changed)))


def _wish(field: str, value: str, example: Say) -> str:
    """What is stored for the value. Raises CommandError."""
    if field == "timezone":
        return zone_name(value)
    found = (LANGUAGES if field == "language" else MENTION).get(value.casefold())
    if found is None:
        raise CommandError(
            _(
                "“{value}” is not possible for {field}. Example: {example}",
                value=names.printable(value)[:40],
                field=keys.WORDS[field],
                example=example,
            )
        )
    return found


def set_groups(ctx: Context, contact: ContactRow, wanted: Sequence[str]) -> Say:
    """Makes these the groups of the contact; the sentence that says so. Raises CommandError for a name that no group has."""
    ctx.need_admin(_("put contacts into groups"))
    new = {group.id: group for group in (rules.find_group(ctx, name) for name in wanted)}
    before = contacts.groups_of(ctx.tx, contact.id)
    old = {group.id: group for group in (rules.find_group(ctx, name) for name in before)}
    for group_id in new.keys() - old.keys():
        groups.add_members(ctx.tx, group_id, [contact.id])
    for group_id in old.keys() - new.keys():
        groups.remove_members(ctx.tx, group_id, [contact.id])
    now = contacts.groups_of(ctx.tx, contact.id)
    ctx.log("contact edit", contact.name, {"groups": before}, {"groups": now})
    return _("Contact groups: {groups}", groups=", ".join(now)) if now else _("It is in no contact group now.")


def link(ctx: Context, contact: ContactRow, person_id: str) -> Answers:
    """Makes it the contact of that person. Raises CommandError when that person has one."""
    ctx.need_admin(_("say whose contact it is"))
    check_unlinked(ctx, person_id)
    if people.by_id(ctx.tx, person_id) is None:
        people.seen(ctx.tx, person_id, "", ctx.now)
    people.link(ctx.tx, person_id, contact.id)
    ctx.log("contact edit", contact.name, None, {"person": person_id})
    return said(_("“{name}” is the contact of {person} now.", name=contact.name, person=person_id))


def check_unlinked(ctx: Context, person_id: str) -> None:
    """Raises CommandError when the person has a contact already."""
    person = people.by_id(ctx.tx, person_id)
    if person and person.contact_id is not None:
        contact = contacts.by_id(ctx.tx, person.contact_id)
        raise CommandError(_("{person} is “{name}” already.", person=person_id, name=contact.name if contact else ""))


def rename(ctx: Context, contact: ContactRow, to: str) -> Answers:
    """Gives the contact another name. Raises CommandError when that is taken."""
    name = names.checked(to)
    rules.check_free(ctx, name, but=contact.id)
    contacts.rename(ctx.tx, contact.id, name, names.key(name))
    ctx.log("contact edit", name, {"name": contact.name}, {"name": name})
    return said(_("“{old}” is called “{new}” now.", old=contact.name, new=name))


def _of_field(ctx: Context, contact: ContactRow, field: str) -> list[MethodRow]:
    channels = contact_form.CHANNELS[field]
    return [method for method in contacts.methods(ctx.tx, [contact.id]) if method.channel in channels]


def set_secret(ctx: Context, contact: ContactRow, secret: str) -> Answers:
    """Changes the secret of the one robot that signs, which is verified again. Raises CommandError where there is not one."""
    rules.check_secret(secret)
    signed = [m for m in _of_field(ctx, contact, "webhook") if m.channel in ("dingtalk", "lark")]
    if len(signed) != 1:
        raise CommandError(
            _(
                "“{name}” has {n} DingTalk or Lark robots; to set a secret, say which webhook: {example}",
                name=contact.name,
                n=len(signed),
                example=examples.set_secret(contact.name),
            )
        )
    secret = "" if secret in NONE else secret
    changed = rules.change_secret(ctx, contact, signed[0], secret)
    return said(
        _("The secret of {address} is changed.", address=changed.masked),
        Paragraph(rules.send_code(ctx, contact, changed)),
    )


def set_address(ctx: Context, contact: ContactRow, field: str, values: list[str], secret: str) -> Answers:
    """Replaces the address, or the first of two values by the second, or takes all away. Raises CommandError."""
    have = _of_field(ctx, contact, field)
    if values[0].casefold() in NONE:
        for method in have:
            _remove_method(ctx, contact, method)
        return said(
            n_(
                "{n} address of “{name}” is removed.",
                "{n} addresses of “{name}” are removed.",
                len(have),
                name=contact.name,
            ),
            *((undo.HINT,) if have else ()),
        )
    fresh = [rules.checked(ctx, field, value) for value in values]
    rules.check_secret(secret)
    old: list[MethodRow]
    if len(fresh) == 2:  # the old one and the new one
        old = [method for method in have if method.address == fresh[0].value]
        if not old:
            raise CommandError(_("“{name}” has no {address}.", name=contact.name, address=fresh[0].masked))
    elif len(fresh) == 1 and len(have) <= 1:
        old = [method for method in have if method.address != fresh[0].value]
    elif len(fresh) == 1 and any(method.address == fresh[0].value for method in have):
        old = []
    else:
        raise CommandError(
            _(
                "“{name}” has {n} of these; say the old one and the new one: {example}",
                name=contact.name,
                n=len(have),
                example=examples.replace_address(contact.name, field),
            )
        )
    for method in old:
        _remove_method(ctx, contact, method)
    sentence = rules.add_address(ctx, contact, fresh[-1], secret)
    return said(_("“{name}” is changed.", name=contact.name), Paragraph(sentence))


def _remove_method(ctx: Context, contact: ContactRow, method: MethodRow) -> None:
    contacts.remove_method(ctx.tx, method.id)
    ctx.log("contact edit", contact.name, {"removed": method.masked}, None)
