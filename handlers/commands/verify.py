"""Verification in chat: send a code again, and confirm one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from handlers import contacts as rules
from handlers import dialogs, examples, verification
from handlers.addresses import WEBHOOKS
from handlers.commands import several
from handlers.commands.contract import Answers, Ask, Command, said
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Dialog, Document, Field
from handlers.errors import CommandError, FormError
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
        whose = _("Say whose address. Example: {example}", example=examples.VERIFY)
        contact = rules.find(ctx, several.one_name(request, "contact", examples.VERIFY, whose))
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
    if not request.codes and not request.rest.strip():
        return dialogs.begin(ctx, CODE, "", examples.CODE)
    if not request.codes:
        raise CommandError(_("A code has six digits. Example: {example}", example=examples.CODE))
    document = verification.confirm(ctx, request.codes[0])
    return [Answer(document)] if document else []


def code_form(_ctx: Context, _subject: str) -> Dialog:
    field = Field(
        "code", _("Verification code"), _("Which six digits did you get?"), "code", required=True, max_chars=20
    )
    return Dialog(_("Enter a code"), "code", (field,), _("Confirm"))


def check_code(_ctx: Context, _subject: str, _field: str, value: str) -> None:
    if not SIX_DIGITS.fullmatch(value.strip()):
        raise CommandError(_("A code is six digits, such as {digits}.", digits="123456"))


def code_from_form(ctx: Context, subject: str, values: Mapping[str, str]) -> Answers:
    errors = dialogs.checked(CODE, ctx, subject, code_form(ctx, subject).fields, values)
    if errors:
        raise FormError(errors)
    digits = "".join(ch for ch in values["code"] if ch.isdigit())
    good = verification.accepts(ctx, digits)
    document = verification.confirm(ctx, digits) or Document(_("No code is expected from you right now."))
    return [Answer(document, again=not good)]


CODE = Ask(code_form, check_code, code_from_form)
SIX_DIGITS = re.compile(r"\d{3}[ -]?\d{3}", re.ASCII)

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
        ask=CODE,
    ),
)
