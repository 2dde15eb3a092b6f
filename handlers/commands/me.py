"""`me`: the contact of the person who speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers import contacts as rules
from handlers import dialogs, examples, names, undo
from handlers.commands import contact_answers, keys
from handlers.commands import contact_fields as fields
from handlers.commands.contract import QUESTION_LIFE, Answers, Command, as_json, as_request, said
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Button, Examples, Paragraph
from handlers.errors import CommandError
from handlers.texts import _
from storage import contacts


def _platform_name(ctx: Context) -> str:
    """The name the platform gives, "" when it is none that a contact can have."""
    try:
        return names.checked(ctx.person.name)
    except CommandError:
        return ""


def me(ctx: Context, request: Request) -> Answers:
    request = fields.whole_zone(request)
    keys.need_values(request, examples.me_field)
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    if own is not None:
        undo.touch(ctx, "contact", own.id)
    what = rules.given(ctx, request)
    wanted = request.keys.get("name", "").strip()
    if request.names and (ctx.person.contact_id is not None or not what.addresses):
        raise CommandError(
            _(
                "“{text}” is no address. Your own contact: {example}; another name for it: {rename}",
                text=names.printable(" ".join(request.names)),
                example=examples.ME,
                rename=examples.me_named("Zhang Wei"),
            )
        )
    wanted = wanted or (request.names[0] if request.names else "")
    wish = next((field for field in fields.WISHES if field in request.keys), None)
    if own is not None and wish is not None:
        return fields.set_wish(ctx, own, wish, request.keys[wish], examples.me_field(wish))
    if own is None:
        if not what.addresses and not wanted:
            return said(
                _("You have no contact yet."),
                Paragraph(_("Say how you can be reached:")),
                Examples((examples.ME, examples.ME_EMAIL)),
                buttons=() if ctx.admin else (Button(_("Fill in a form"), examples.OPEN_ADD_CONTACT, once=False),),
            )
        name = wanted or _platform_name(ctx)
        if not name:
            ctx.ask("name", {"command": "me", "body": {"request": as_json(request)}}, lasting=QUESTION_LIFE)
            return said(_("What is your full name?"), *dialogs.to_me(ctx))
        if contacts.by_key(ctx.tx, names.key(name)):
            raise CommandError(
                _(
                    "There is already a contact “{name}”. If that is you, ask an admin for: {link}. Otherwise: {other}",
                    name=name,
                    link=examples.link_contact(name, ctx.person.id),
                    other=examples.me_named(f"{name} 2"),
                )
            )
        contact, sentences = rules.create(ctx, name, what, own=True)
        title = _("You are contact “{name}” now.", name=contact.name)
        return said(title, *rules.happened(sentences), buttons=contact_answers.code_button(sentences))
    if not what.addresses:
        if wanted and names.key(wanted) != names.key(own.name):
            return fields.rename(ctx, own, wanted)
        return [Answer(contact_answers.with_buttons(ctx, own))]
    sentences = [rules.add_address(ctx, own, address, what.secret) for address in what.addresses]
    if len(sentences) == 1:
        return said(sentences[0], buttons=contact_answers.code_button(sentences))
    return said(own.name, *rules.happened(sentences), buttons=contact_answers.code_button(sentences))


def me_named(ctx: Context, body: Mapping[str, Any]) -> Answers:
    request = as_request(body["request"])
    return me(ctx, as_request(as_json(request) | {"keys": {**request.keys, "name": body["name"]}}))


COMMANDS = (
    Command(
        Form("me", zh=("我",), keys=("phone", "email", "webhook", "secret", "name", *fields.WISHES)),
        me,
        "contacts",
        _("my own contact; add or change my address, or language, timezone, mention"),
        ("me [phone or email or webhook]", "我 [电话或邮箱或机器人地址]"),
        confirmed=me_named,
    ),
)
