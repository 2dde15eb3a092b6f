"""Contacts and their methods: creating, changing, showing. Commands and imports use these rules, storage keeps the rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from handlers import addresses, examples, names, people_names, undo, verification
from handlers.addresses import Address, channel_name
from handlers.audit_log import Key
from handlers.context import Context
from handlers.document import Block, Document, Facts, Items, Paragraph
from handlers.errors import CommandError, VerificationError
from handlers.texts import Say, _, from_json, n_
from storage import contacts, groups, people
from storage.contacts import ContactRow, MethodRow
from storage.groups import GroupRow

if TYPE_CHECKING:  # the commands import these rules
    from handlers.commands.request import Request

MOST_METHODS = 100
"""A bound against abuse."""

SHOWN = 20
"""Addresses in one answer: the smallest of the chats takes no more."""


@dataclass(frozen=True, slots=True)
class Given:
    """The addresses somebody gave, checked, and the signing secret of the webhooks among them."""

    addresses: tuple[Address, ...]
    secret: str = ""


def given(ctx: Context, request: Request) -> Given:
    """The addresses in a command, by shape or by key. Raises CommandError for the first bad one."""
    found: dict[tuple[str, str], Address] = {}
    texts = (
        [("phone", one) for one in request.phones]
        + [("email", one) for one in request.emails]
        + [("webhook", one) for one in request.urls]
        + [(key, request.keys[key]) for key in ("phone", "email", "webhook") if request.keys.get(key)]
    )
    for kind, text in texts:
        address = checked(ctx, kind, text)
        found[address.channel, address.value] = address
    secret = request.keys.get("secret", "").strip()
    if secret and not any(address.channel in ("dingtalk", "lark") for address in found.values()):
        raise CommandError(
            _("A secret belongs to the webhook of a DingTalk or Lark robot, and there is none in this command.")
        )
    check_secret(secret)
    return Given(tuple(found.values()), secret)


def check_secret(secret: str) -> None:
    """Raises CommandError for what cannot be a robot's signing secret."""
    if len(secret) > 200 or any(ch.isspace() or not ch.isprintable() for ch in secret):
        raise CommandError(
            _("That is not a robot's secret: one word of at most {most} characters is expected.", most=200)
        )


def checked(ctx: Context, kind: str, text: str) -> Address:
    """The address of a kind ("phone", "email", "webhook"). Raises CommandError with the reason."""
    if kind == "phone":
        return addresses.phone(text, ctx.rules.region)
    if kind == "email":
        return addresses.email(text)
    return addresses.webhook(text, ctx.rules.webhook_hosts)


def find(ctx: Context, name: str) -> ContactRow:
    """The contact of that name. Raises CommandError with the nearest name."""
    row = contacts.by_key(ctx.tx, names.key(name))
    if row is None:
        raise names.unknown("contact", name, contacts.names(ctx.tx))
    return row


def find_group(ctx: Context, name: str) -> GroupRow:
    """The group of that name. Raises CommandError with the nearest name."""
    row = groups.by_key(ctx.tx, names.key(name))
    if row is None:
        raise names.unknown("group", name, groups.names(ctx.tx))
    return row


def need_own(ctx: Context, contact: ContactRow, what: Say) -> None:
    """Members may touch their own contact only."""
    if ctx.person.contact_id != contact.id:
        ctx.need_admin(what)


def check_free(ctx: Context, name: str, *, but: int | None = None) -> None:
    """Raises CommandError when another contact has the name."""
    taken = contacts.by_key(ctx.tx, names.key(name))
    if taken is not None and taken.id != but:
        raise CommandError(
            _(
                "There is already a contact “{name}”. To change it: {example}",
                name=taken.name,
                example=examples.edit_contact(taken.name),
            )
        )


def create(
    ctx: Context,
    name: str,
    what: Given,
    into: Sequence[GroupRow] = (),
    *,
    own: bool = False,
    linked: Sequence[str] = (),
) -> tuple[ContactRow, list[Say]]:
    """The new contact, in these groups, and what happened to each address (its code is on its way, or why not).

    own     it is the contact of the person who speaks
    linked  ids of other people whose contact it is
    """
    name = names.checked(name)
    check_free(ctx, name)
    contact_id = contacts.add(ctx.tx, name, names.key(name), ctx.person.id, ctx.now)
    undo.made(ctx, "contact", contact_id)
    contact = contacts.by_id(ctx.tx, contact_id)
    assert contact is not None  # noqa: S101 (just written)
    if own:
        people.link(ctx.tx, ctx.person.id, contact_id)
        ctx.person = replace(ctx.person, contact_id=contact_id)
    for person_id in linked:
        if people.by_id(ctx.tx, person_id) is None:
            people.seen(ctx.tx, person_id, "", ctx.now)
        people.link(ctx.tx, person_id, contact_id)
    for group in into:
        groups.add_members(ctx.tx, group.id, [contact_id])
    made: dict[Key, Any] = {
        "addresses": [one.masked for one in what.addresses],
        "groups": [group.name for group in into],
    }
    of = [*((ctx.person.id,) if own else ()), *linked]
    if of:
        made["person"] = of[0] if len(of) == 1 else of
    ctx.log("contact add", name, None, made)
    return contact, [add_address(ctx, contact, one, what.secret, logged=False) for one in what.addresses]


def add_address(ctx: Context, contact: ContactRow, address: Address, secret: str, *, logged: bool = True) -> Say:
    """Adds a pending method and sends its code; the sentence that says what happens. An address it has is not added twice."""
    known = contacts.methods(ctx.tx, [contact.id])
    key = contacts.address_key(ctx.tx, address.channel, address.value)
    for method in known:
        if method.channel == address.channel and method.address_key == key:
            if secret and address.channel in ("dingtalk", "lark"):
                method = change_secret(ctx, contact, method, secret)
            if method.state == "active":
                known_as = ctx.shown(method)
                return _("{name} has {address} already, and it is active.", name=contact.name, address=known_as)
            return send_code(ctx, contact, method)
    if len(known) >= MOST_METHODS:
        raise CommandError(
            _("“{name}” has {n} addresses already; that is the most.", name=contact.name, n=MOST_METHODS)
        )
    method_id = contacts.add_method(
        ctx.tx,
        contact.id,
        address.channel,
        address.value,
        address.masked,
        secret if address.channel in ("dingtalk", "lark") else "",
        ctx.now,
    )
    if logged:
        ctx.log("contact edit", contact.name, None, {"added": address.masked})
    added = contacts.method_by_id(ctx.tx, method_id)
    assert added is not None  # noqa: S101 (just written)
    return send_code(ctx, contact, added)


def change_secret(ctx: Context, contact: ContactRow, method: MethodRow, secret: str) -> MethodRow:
    """The robot with another signing secret ("": with none); it has to be verified again."""
    contacts.change_method(ctx.tx, method.id, secret=secret, state="pending", verified_at=None)
    ctx.log("contact edit", contact.name, {"state": method.state}, {"secret of": method.masked, "state": "pending"})
    return refreshed(ctx, method)


def refreshed(ctx: Context, method: MethodRow) -> MethodRow:
    """The method as it is now."""
    found = contacts.method_by_id(ctx.tx, method.id)
    assert found is not None  # noqa: S101 (ids of this transaction stay)
    return found


def send_code(ctx: Context, contact: ContactRow, method: MethodRow) -> Say:
    """Sends a code; where that is not possible now, the sentence that says why. The method stays as it is."""
    try:
        return verification.start(ctx, contact.name, method)
    except VerificationError as error:
        return error.say


def happened(sentences: Iterable[Say]) -> tuple[Block, ...]:
    """What happened to several addresses, as a list; to one, as a paragraph."""
    said = tuple(sentences)
    if not said:
        return ()
    if len(said) == 1:
        return (Paragraph(said[0]),)
    rest = len(said) - SHOWN
    left = (Paragraph(n_("and {n} more address", "and {n} more addresses", rest)),) if rest > 0 else ()
    return (Items(said[:SHOWN]), *left)


def state_of(state: str, reason: str | None) -> Say:
    """The state of a method in words."""
    if state == "active":
        return _("active")
    if state == "pending":
        return _("not verified yet")
    why = from_json(json.loads(reason)) if reason else ""
    return _("disabled: {why}", why=why) if why else _("disabled")


def contact_document(ctx: Context, contact: ContactRow, *, pages: bool = False) -> Document:
    """One contact with the state of each address; of many the next ones.

    `pages`: whoever asks says how to go on, with the first block as the page.
    """
    pairs: list[tuple[Say, Say]] = []
    proven: list[Block] = []
    methods = contacts.methods(ctx.tx, [contact.id])
    for method in methods[ctx.offset :][:SHOWN]:
        state = state_of(method.state, method.reason)
        if method.conversation and method.state == "active":
            place = people.conversation_by_id(ctx.tx, method.conversation)
            title = (place.title if place else "") or method.conversation
            state = _("{state}, linked to the conversation “{title}”", state=state, title=title)
            who = people_names.shown(ctx.tx, method.verified_by) if method.verified_by else ""
            proven.append(
                Paragraph(
                    _(
                        "{person} answered the code in “{title}” itself. So it is proven that the address posts there,"
                        " that the keyword fits, that I hear what is said to me there, and who answers for it.",
                        person=who,
                        title=title,
                    )
                )
            )
        pairs.append((channel_name(method.channel), _("{address} ({state})", address=ctx.shown(method), state=state)))
    blocks: list[Block] = [Facts(tuple(pairs))] if pairs else [Paragraph(_("No address yet."))]
    rest = len(methods) - ctx.offset - SHOWN
    if rest > 0 and not pages:
        left = n_(
            "and {n} more address: {example}",
            "and {n} more addresses: {example}",
            rest,
            example=examples.show_contact(contact.name),
        )
        blocks.append(Paragraph(left))
    in_groups = contacts.groups_of(ctx.tx, contact.id)
    owners = contacts.owner(ctx.tx, contact.id)
    more: list[tuple[Say, Say]] = [(_("Groups"), ", ".join(in_groups) if in_groups else _("none"))]
    if owners:
        more.append((_("In chat"), ", ".join(people_names.with_id(ctx.tx, one) for one in owners)))
    return Document(contact.name, (*blocks, *proven, Facts(tuple(more))))


def reachability(states: Iterable[tuple[str, str, str]]) -> Say:
    """In a few words: through what a contact can be reached."""
    methods = list(states)
    active = [channel for channel, _masked, state in methods if state == "active"]
    if active:
        return joined(channel_name(channel) for channel in dict.fromkeys(active))
    if any(state == "pending" for _channel, _masked, state in methods):
        return _("nothing verified yet")
    return _("disabled") if methods else _("no address")


def joined(words: Iterable[Say]) -> Say:
    """Words with commas between them, each in the reader's language."""
    listed = list(words)
    if not listed:
        return ""
    whole = listed[0]
    for word in listed[1:]:
        whole = _("{first}, {next}", first=whole, next=word)
    return whole
