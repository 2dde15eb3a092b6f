"""Verification in chat: send a code again, and confirm one."""

from __future__ import annotations

from handlers import contacts as rules
from handlers import examples, verification
from handlers.addresses import WEBHOOKS
from handlers.commands.contract import Answers, Command, said
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.errors import CommandError
from handlers.texts import _
from storage import contacts


def verify(ctx: Context, request: Request) -> Answers:
    if request.codes and not request.names:
        return code(ctx, request)
    if not request.names:
        if ctx.person.contact_id is None:
            raise CommandError(_("Say whose address. Example: {example}", example=examples.VERIFY))
        contact = contacts.by_id(ctx.tx, ctx.person.contact_id)
        assert contact is not None  # noqa: S101 (the reference is kept by the database)
    else:
        contact = rules.find(ctx, request.names[0])
    rules.need_own(ctx, contact, _("verify addresses of other people"))
    have = contacts.methods(ctx.tx, [contact.id])
    what = rules.given(ctx, request)
    wanted = have
    if what.addresses:
        values = {address.value for address in what.addresses}
        wanted = [method for method in have if method.address in values]
        if len(wanted) < len(values):
            missing = next(a for a in what.addresses if a.value not in {m.address for m in wanted})
            raise CommandError(
                _(
                    "“{name}” has no {address}. To add it: {example}",
                    name=contact.name,
                    address=missing.masked,
                    example=(
                        examples.edit_contact(
                            contact.name, "webhook"
                        )  # the token of the one that was typed is a secret
                        if missing.channel in WEBHOOKS
                        else examples.give_contact(contact.name, missing.value)
                    ),
                )
            )
    if not have:
        raise CommandError(
            _(
                "“{name}” has no address yet. Example: {example}",
                name=contact.name,
                example=examples.edit_contact(contact.name),
            )
        )
    waiting = [method for method in wanted if method.state != "active"]
    if not waiting:
        return said(_("Every address of “{name}” is active already.", name=contact.name))
    sentences = [rules.send_code(ctx, contact, method) for method in waiting]
    return said(_("Verifying “{name}”", name=contact.name), *rules.happened(sentences))


def code(ctx: Context, request: Request) -> Answers:
    if not request.codes:
        raise CommandError(_("A code has six digits. Example: {example}", example=examples.CODE))
    document = verification.confirm(ctx, request.codes[0])
    return [Answer(document)] if document else []


COMMANDS = (
    Command(
        Form("verify", zh=("验证",)),
        verify,
        "verify",
        _("send the code to an address (again)"),
        ("verify <name> [phone or email or webhook]", "验证 <名> [电话或邮箱或机器人地址]"),
    ),
    Command(
        Form("code", zh=("验证码",)),
        code,
        "verify",
        _("confirm: the bare six digits are enough"),
        ("code <code>", "验证码 <码>"),
    ),
)
