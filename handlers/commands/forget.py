"""`forget me`: everything about a person is deleted, and in the log a pseudonym stands for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers import audit_log, reach
from handlers.commands.contract import Answers, Command, confirm_first, said
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Block, Facts, Items, Paragraph
from handlers.errors import CommandError
from handlers.texts import Say, _
from storage import contacts, forget


def ask(ctx: Context, request: Request) -> Answers:  # noqa: ARG001 (the shape of every command)
    if not ctx.place.direct:
        raise CommandError(_("Please say that to me in a one-to-one chat."))
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    facts: list[tuple[Say, Say]] = [(_("You are"), ", ".join(ctx.identities))]
    lost: tuple[Block, ...] = ()
    if own is not None:
        addresses = ", ".join(method.masked for method in contacts.methods(ctx.tx, [own.id]))
        in_groups = ", ".join(contacts.groups_of(ctx.tx, own.id))
        facts += [
            (_("Your contact"), own.name),
            (_("Addresses"), addresses or _("none")),
            (_("Groups"), in_groups or _("none")),
        ]
        lost = reach.without(ctx.tx, own.id)
    return confirm_first(
        ctx,
        "forget me",
        _("Delete everything I know about you?"),
        {},
        Facts(tuple(facts)),
        *lost,
        Items(
            (
                _("Your contact with its addresses, your joined identities and what waits for you are deleted."),
                _("In the log a pseudonym stands in place of your name: what was done stays, not who you are."),
                _role(ctx),
                _("This cannot be undone."),
            )
        ),
        danger=True,
    )


def _role(ctx: Context) -> Say:
    if any(one in ctx.rules.admins for one in ctx.identities):
        return _("You are an admin by the setting ADMINS and stay one; only the operator can change that.")
    if ctx.admin:
        return _("You are no admin any more then.")
    return _("When you write to me again, I only know you as somebody new.")


def forgotten(ctx: Context, body: Mapping[str, Any]) -> Answers:  # noqa: ARG001
    ids = ctx.identities
    kept = any(one in ctx.rules.admins for one in ids)
    gone = forget.forget(ctx.tx, ids, ctx.person.contact_id, ctx.now)
    ctx.touched.clear()
    ctx.gone = True
    audit_log.write(ctx.tx, ctx.now, gone.alias, "", "forget me", gone.alias, None, {"addresses": gone.addresses})
    blocks: list[Block] = [
        Paragraph(
            _("In the log you are “{alias}” from now on. This answer itself is deleted within a day.", alias=gone.alias)
        ),
        Paragraph(
            _("If CloudMonitor or DAS still has you, the next import adds you again: have it removed there as well.")
        ),
    ]
    if kept:
        blocks.append(
            Paragraph(_("You are an admin by the setting ADMINS and stay one; only the operator can change that."))
        )
    return said(_("Everything about you is deleted."), *blocks)


COMMANDS = (
    Command(
        Form("forget me", en=("delete my data",), zh=("忘记我", "删除我的数据")),
        ask,
        "admin",
        _("delete everything about me (asks first)"),
        ("forget me", "忘记我"),
        confirmed=forgotten,
    ),
)
