"""Who I am on several platforms: `link` joins chat identities of one human by a one-time code; and `home`, what is mine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from handlers import contacts as rules
from handlers import examples, names, outbox, people_names
from handlers.commands.contract import Answers, Command, confirm_first, said
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Block, Button, Document, Examples, Facts, Items, Paragraph
from handlers.errors import CommandError, VerificationError
from handlers.texts import Say, _, n_
from handlers.times import lasting
from handlers.verification import WRONG_A_DAY, known_language
from storage import codes, contacts, groups, identities, people

GOOD_FOR = timedelta(minutes=10)
DAY = timedelta(days=1)


def link(ctx: Context, request: Request) -> Answers:
    if request.rest.strip():
        return _other_side(ctx, request)
    code = ctx.rules.new_link_code()
    identities.issue(ctx.tx, ctx.person.id, code, ctx.now + GOOD_FOR)
    if not ctx.place.direct and ctx.place.platform not in ctx.rules.private:
        raise CommandError(
            _(
                "That needs a one-time code, which nobody else may see: please say “{link}” one-to-one.",
                link=examples.LINK,
            )
        )
    blocks: list[Block] = []
    if ctx.others:
        blocks.append(Facts(((_("Joined already"), ", ".join(one.id for one in ctx.others)),)))
    blocks += [
        Paragraph(_("Send this to me from your other platform within {wait}:", wait=lasting(GOOD_FOR))),
        Examples((examples.link_with(code),)),
        Paragraph(
            _(
                "Both will be one person then: the same contact, the same rights. Give the code to nobody;"
                " whoever sends it becomes you."
            )
        ),
    ]
    return [Answer(Document(_("Join my identities"), tuple(blocks)), "private")]


def _other_side(ctx: Context, request: Request) -> Answers:
    code = request.rest.strip().casefold()
    if codes.wrong_guesses(ctx.tx, ctx.identities, ctx.now - DAY) >= WRONG_A_DAY:
        raise VerificationError(_("Too many wrong codes today; please try again tomorrow."))
    other = identities.issued_by(ctx.tx, code, ctx.now)
    if other is None:
        codes.guessed_wrong(ctx.tx, ctx.person.id, ctx.now)
        return said(
            _("That code is unknown, used or too old."),
            Paragraph(_("Ask for a new one on your other platform:")),
            Examples((examples.LINK,)),
        )
    if other == ctx.person.id:
        raise CommandError(_("Send the code from your other platform, not from the one it was made on."))
    if other in ctx.identities:
        identities.end(ctx.tx, other)
        return said(_("You are joined with {person} already.", person=other))
    mine, theirs = _contacts(ctx, other)
    if mine and theirs and mine != theirs:
        raise CommandError(
            _(
                "You are “{mine}” here and “{theirs}” there. Remove one of the two contacts first.",
                mine=_name(ctx, mine),
                theirs=_name(ctx, theirs),
            )
        )
    identities.end(ctx.tx, other)
    return confirm_first(
        ctx,
        "link",
        _("Are you {person} too?", person=people_names.with_id(ctx.tx, other)),
        {"other": other},
        Paragraph(
            _(
                "With yes, both are one person: the same contact, the same rights. Say no if you did not ask for the code."
            )
        ),
    )


def _contacts(ctx: Context, other: str) -> tuple[int | None, int | None]:
    """The contact of each side, of whichever identity has one."""

    def of(person_ids: tuple[str, ...]) -> int | None:
        rows = people.by_ids(ctx.tx, person_ids).values()
        return next((row.contact_id for row in rows if row.contact_id is not None), None)

    return of(ctx.identities), of(identities.of(ctx.tx, other))


def _name(ctx: Context, contact_id: int) -> str:
    contact = contacts.by_id(ctx.tx, contact_id)
    return contact.name if contact else ""


def linked(ctx: Context, body: Mapping[str, Any]) -> Answers:
    other = str(body["other"])
    mine, theirs = _contacts(ctx, other)
    if mine and theirs and mine != theirs:
        raise CommandError(
            _("One of the two has another contact meanwhile. Please start again: {link}", link=examples.LINK)
        )
    identities.join(ctx.tx, ctx.person.id, other)
    everybody = identities.of(ctx.tx, ctx.person.id)
    for one in everybody:
        people.link(ctx.tx, one, mine or theirs)
    ctx.log("link", ctx.person.id, None, {"identities": list(everybody)})
    _tell(
        ctx,
        (one for one in everybody if one != ctx.person.id),
        _(
            "You are joined with {person} now. If that is not you: {unlink}",
            person=ctx.person.id,
            unlink=examples.unlink(ctx.person.id),
        ),
    )
    return said(_("Joined: all of these are you."), Items(everybody))


def unlink(ctx: Context, request: Request) -> Answers:
    """Parts one identity from the others: the one that is named, else the one that speaks. The others keep the contact."""
    if not ctx.others:
        raise CommandError(_("You have no other identity here. To join one: {link}", link=examples.LINK))
    parted = request.mentions[0] if request.mentions else ctx.person.id
    everybody = identities.of(ctx.tx, ctx.person.id)
    if parted not in everybody:
        raise CommandError(_("{person} is none of you. You are: {people}.", person=parted, people=", ".join(everybody)))
    identities.leave(ctx.tx, parted)
    people.link(ctx.tx, parted, None)
    ctx.log("unlink", parted, {"identities": list(everybody)}, None)
    told = _("{person} is a person of its own again, without a contact.", person=parted)
    _tell(ctx, (one for one in everybody if one != ctx.person.id), told)
    rest = ", ".join(one for one in everybody if one != parted)
    return said(told, Paragraph(_("The others stay as they are: {people}.", people=rest)))


def _tell(ctx: Context, person_ids: Iterable[str], what: Say) -> None:
    """Nobody is joined or parted without a word."""
    rows = []
    for person_id in person_ids:
        language = known_language(people.by_id(ctx.tx, person_id), ctx.rules.language)
        dedupe = f"identity:{person_id}:{ctx.now.timestamp():.6f}"
        rows.append(outbox.to_person(Document(what), language, person_id, dedupe=dedupe, now=ctx.now))
    ctx.wake |= outbox.owe(ctx.tx, rows)


def home(ctx: Context, request: Request) -> Answers:  # noqa: ARG001 (the shape of every command)
    """My contact, my groups and what I can do, on one page."""
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    blocks: list[Block] = []
    buttons: list[Button] = []
    if own is None:
        blocks.append(Paragraph(_("You have no contact yet. Add one, and alerts can reach you.")))
        blocks.append(Examples((examples.ME,)))
        buttons.append(Button(_("Add my contact"), examples.OPEN_ADD_CONTACT, "primary", once=False))
    else:
        mine = rules.contact_document(ctx, own)
        blocks += [Paragraph(_("My contact: {name}", name=own.name)), *mine.blocks]
        buttons.append(Button(_("Edit my contact"), examples.open_edit_contact(own.name), "primary", once=False))
        if any(method.state == "pending" for method in contacts.methods(ctx.tx, [own.id])):
            buttons.append(Button(_("Enter a code"), examples.ENTER_CODE, once=False))
    in_groups = contacts.groups_of(ctx.tx, own.id) if own else []
    for name in in_groups:
        group = groups.by_key(ctx.tx, names.key(name))
        members = groups.members(ctx.tx, group.id) if group else []
        told: Say = n_("{n} member", "{n} members", len(members))
        blocks.append(Facts(((_("Group “{name}”", name=name), told),)))
    if ctx.admin:
        if own is not None:
            buttons.append(Button(_("Add a contact"), examples.OPEN_ADD_CONTACT, once=False))
        buttons.append(Button(_("Create a group"), examples.OPEN_CREATE_GROUP, once=False))
    buttons.append(Button(_("Open alerts"), examples.ALERTS, once=False))
    return [Answer(Document(_("My page"), tuple(blocks), buttons=tuple(buttons)))]


COMMANDS = (
    Command(
        Form("link", en=("link me",), zh=("关联",)),
        link,
        "admin",
        _("join my identities on two platforms by a one-time code"),
        ("link [code]", "关联 [码]"),
        confirmed=linked,
    ),
    Command(
        Form("unlink", zh=("取消关联",)),
        unlink,
        "admin",
        _("make an identity of mine a person of its own again"),
        ("unlink [identity]", "取消关联 [身份]"),
    ),
    Command(
        Form("home", en=("my page",), zh=("主页",)),
        home,
        "contacts",
        _("my contact, my groups and what I can do"),
        ("home", "主页"),
    ),
)
