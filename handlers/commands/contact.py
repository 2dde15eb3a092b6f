"""Contacts in chat: add, show, list, edit, remove."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

from handlers import contacts as rules
from handlers import dialogs, examples, names, reach, undo
from handlers.commands import contact_answers, contact_form, keys, several
from handlers.commands import contact_fields as fields
from handlers.commands.contract import (
    PAGE,
    Answers,
    Ask,
    Command,
    as_json,
    as_request,
    confirm_first,
    paged,
    said,
    whole,
)
from handlers.commands.request import Form, Request
from handlers.commands.words import names_of
from handlers.context import Answer, Context
from handlers.document import Block, Dialog, Examples, Paragraph, Table
from handlers.errors import CommandError, FormError
from handlers.texts import Say, _, n_
from storage import contacts, groups
from storage.contacts import ContactRow
from storage.groups import GroupRow

_FIELD = re.compile("(?<=.)[:：=＝]")
"""Where a field ends that a value follows."""


def _one_name(request: Request, example: Say) -> str:
    missing = _("A name is missing. Example: {example}", example=example)
    return several.one_name(request, "contact", example, missing)


def _groups(ctx: Context, request: Request) -> tuple[list[GroupRow], list[str]]:
    """The groups named after `to`, and the names of those that do not exist."""
    known, unknown = [], []
    for name in names_of(request.keys.get("to", "")):
        group = groups.by_key(ctx.tx, names.key(name))
        if group:
            known.append(group)
        else:
            unknown.append(names.checked(name))
    return known, unknown


def _adds_own(ctx: Context) -> bool:
    """Whether a contact that is added is that of the person who speaks. Raises CommandError when neither is allowed."""
    own = not ctx.admin and ctx.person.contact_id is None
    if not own:
        ctx.need_admin(_("add contacts of other people (your own is “me”)"))
    return own


def add(ctx: Context, request: Request) -> Answers:
    own = _adds_own(ctx)
    if not request.rest.strip() and not request.names and not request.mentions:
        return dialogs.begin(ctx, ADD, "", examples.ADD_CONTACT_TO)
    if request.keys.get("name", "").strip():  # `name` is a key; a name that begins so is still a name
        request = _named(request, " ".join((request.keys["name"].strip(), *request.names)))
    if not request.names and own and ctx.person.name:
        request = _named(request, ctx.person.name)
    keys.need_values(
        request, lambda key: examples.ADD_ROBOT if key in ("webhook", "secret") else examples.ADD_CONTACT_TO
    )
    name = names.checked(_one_name(request, examples.ADD_CONTACT_TO))
    rules.check_free(ctx, name)
    what = rules.given(ctx, request)
    into, unknown = _groups(ctx, request)
    if unknown:
        if not ctx.admin:
            raise names.unknown("group", unknown[0], groups.names(ctx.tx))
        return confirm_first(
            ctx,
            "contact add",
            n_(
                "There is no group {groups}. Create it and add “{name}” to it?",
                "There are no groups {groups}. Create them and add “{name}” to them?",
                len(unknown),
                groups=", ".join(f"“{one}”" for one in unknown),
                name=name,
            ),
            {"request": as_json(request), "create": unknown},
        )
    if into and not ctx.admin:
        ctx.need_admin(_("put contacts into groups"))
    for mention in request.mentions:
        fields.check_unlinked(ctx, mention)
    contact, sentences = rules.create(ctx, name, what, into, own=own, linked=request.mentions)
    title: Say = _("Contact “{name}” is added.", name=contact.name)
    if own:
        title = _("You are contact “{name}” now.", name=contact.name)
    if into:
        title = _(
            "Contact “{name}” is added, in {groups}.", name=contact.name, groups=", ".join(group.name for group in into)
        )
    hint: tuple[Block, ...] = ()
    if not sentences:
        hint = (
            Paragraph(_("It has no address yet. Add one:")),
            Examples((examples.edit_contact(contact.name),)),
        )
    return said(title, *rules.happened(sentences), *hint, buttons=contact_answers.code_button(sentences))


def new_form(ctx: Context, _subject: str) -> Dialog:
    return contact_form.new(ctx, own=_adds_own(ctx))


def _wrong(ctx: Context, dialog: Dialog, ask: Ask, values: Mapping[str, str]) -> None:
    """Raises FormError when a value cannot be taken; a secret without a webhook is none either."""
    errors = dialogs.checked(ask, ctx, dialog.subject, dialog.fields, values)
    if values.get("secret", "").strip() and not values.get("webhook", "").strip():
        errors.setdefault("secret", _("A secret belongs to a webhook, and there is none in this form."))
    if errors:
        raise FormError(errors)


def add_from_form(ctx: Context, subject: str, values: Mapping[str, str]) -> Answers:
    _wrong(ctx, new_form(ctx, subject), ADD, values)
    given = {name: value.strip() for name, value in values.items() if value.strip()}
    request = Request(
        form="contact add",
        language=ctx.language,
        names=(given["name"],),
        phones=(given["phone"],) if "phone" in given else (),
        emails=(given["email"],) if "email" in given else (),
        urls=(given["webhook"],) if "webhook" in given else (),
        keys={key: given[field] for key, field in (("to", "groups"), ("secret", "secret")) if field in given},
        rest=given["name"],
    )
    return add(ctx, request)


def _named(request: Request, name: str) -> Request:
    return as_request(as_json(request) | {"names": [name]})


def added_with_groups(ctx: Context, body: Mapping[str, Any]) -> Answers:
    for name in body["create"]:
        if groups.by_key(ctx.tx, names.key(name)) is None:
            undo.made(ctx, "group", groups.add(ctx.tx, name, names.key(name), "", ctx.now))
            ctx.log("group create", name, None, {"name": name})
    return add(ctx, as_request(body["request"]))


def show(ctx: Context, request: Request) -> Answers:
    contact = rules.find(ctx, _one_name(request, examples.SHOW_CONTACT))
    document = contact_answers.with_buttons(ctx, contact, pages=True)
    count = len(contacts.methods(ctx.tx, [contact.id]))
    if count <= rules.SHOWN:
        return [Answer(document)]
    addresses, *others = document.blocks
    [page] = paged(ctx, request, count, document.title, addresses, size=rules.SHOWN)
    blocks, buttons = (*page.document.blocks, *others), (*page.document.buttons, *document.buttons)
    return [replace(page, document=replace(document, blocks=blocks, buttons=buttons))]


def list_(ctx: Context, request: Request) -> Answers:
    text = " ".join(request.names) if request.names else ""
    try:
        wanted = rules.given(ctx, request).addresses
    except CommandError:  # part of an address: what is searched for then is a name
        wanted = ()
    digests = [contacts.address_key(ctx.tx, address.channel, address.value) for address in wanted]
    text = text or next(iter((*request.phones, *request.emails, *request.urls)), "")
    count, page = contacts.search(ctx.tx, names.key(text), digests, PAGE, ctx.offset)
    if not count:
        return whole(
            ctx,
            _("No contact matches “{text}”.", text=text) if text else _("There are no contacts yet."),
            Paragraph(_("Add one:")),
            Examples((examples.ADD_CONTACT,)),
        )
    states = contacts.states(ctx.tx, [contact.id for contact in page])
    rows = tuple((contact.name, rules.reachability(states[contact.id])) for contact in page)
    return paged(
        ctx,
        request,
        count,
        n_("{n} contact", "{n} contacts", count),
        Table((_("Name"), _("Reachable by")), rows),
    )


def _check_one_field(contact: ContactRow, request: Request) -> None:
    """Raises CommandError for several fields at once: only one of them would be changed."""
    shaped = {"phone": request.phones, "email": request.emails, "webhook": request.urls}
    named = [field for field in fields.FIELDS if field in request.keys or shaped.get(field)]
    words = [*(keys.WORDS[field] for field in named), *([_("person")] if request.mentions else [])]
    if named != ["webhook", "secret"] and len(words) > 1:
        raise CommandError(
            _(
                "One field at a time: {fields} are several. Example: {example}",
                fields=reduce(lambda first, other: _("{first}, {next}", first=first, next=other), words),
                example=examples.edit_contact(contact.name, named[0]),
            )
        )


def _field(request: Request) -> tuple[str, list[str]]:
    """Which field is to be changed, and the values given for it. Raises CommandError."""
    for field in fields.FIELDS:
        if field in request.keys:
            extra = {"phone": request.phones, "email": request.emails, "webhook": request.urls}.get(field, ())
            value = request.keys[field]
            return field, [*([value] if value and value not in extra else []), *extra]
    for field, values in (("phone", request.phones), ("email", request.emails), ("webhook", request.urls)):
        if values:
            return field, list(values)
    raise CommandError(
        _(
            "Say what to change: name, phone, email, webhook, secret, language, timezone or mention. Example: {example}",
            example=examples.EDIT_CONTACT,
        )
    )


def _of_whom(ctx: Context, request: Request) -> tuple[ContactRow, str]:
    """The contact that is named, and the word after its name, which is no field; "" when nothing is there."""
    name = _one_name(request, examples.EDIT_CONTACT)
    valued = request.mentions or request.keys or request.phones or request.emails or request.urls
    if not valued and not any(names.alike(name, one) for one in contacts.names(ctx.tx)):
        words = name.split()
        for length in range(min(len(words) - 1, names.LONGEST), 0, -1):
            contact = contacts.by_key(ctx.tx, names.key(" ".join(words[:length])))
            if contact is not None:
                return contact, _FIELD.split(words[length], maxsplit=1)[0]
    return rules.find(ctx, name), ""


def edit(ctx: Context, request: Request) -> Answers:
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    if own is not None and not request.rest.strip() and not request.names:
        return dialogs.begin(ctx, EDIT, own.name, examples.edit_contact(own.name))
    request = fields.whole_zone(request)
    contact, field = _of_whom(ctx, request)
    rules.need_own(ctx, contact, _("change contacts of other people"))
    if field:
        raise CommandError(
            _(
                "A contact has no field “{field}”. It has name, phone, email, webhook, secret, language, timezone and"
                " mention. Example: {example}",
                field=names.printable(field)[: names.LONGEST],
                example=examples.edit_contact(contact.name),
            )
        )
    if not (request.mentions or request.keys or request.phones or request.emails or request.urls):
        return dialogs.begin(ctx, EDIT, contact.name, examples.edit_contact(contact.name))
    keys.need_values(request, lambda key: examples.edit_contact(contact.name, key))
    _check_one_field(contact, request)
    undo.touch(ctx, "contact", contact.id)
    before = reach.of_contact(ctx.tx, contact.id)
    return _warned(ctx, before, _edited(ctx, contact, request))


def _warned(ctx: Context, before: reach.Before, answers: Answers) -> Answers:
    """The answers, and what groups lost by what was done."""
    lost = before.lost(ctx.tx)
    if not lost:
        return answers
    *others, last = answers
    blocks = (*(one for one in last.document.blocks if one is not undo.HINT), *map(Paragraph, lost), undo.HINT)
    return [*others, replace(last, document=replace(last.document, blocks=blocks))]


def _edited(ctx: Context, contact: ContactRow, request: Request) -> Answers:
    if request.mentions:
        return fields.link(ctx, contact, several.one_person(request, examples.EDIT_CONTACT))
    field, values = _field(request)
    if field == "name":
        return fields.rename(ctx, contact, values[0])
    if field == "secret":
        return fields.set_secret(ctx, contact, values[0])
    if field in fields.WISHES:
        return fields.set_wish(ctx, contact, field, values[0], examples.edit_contact(contact.name, field))
    return fields.set_address(ctx, contact, field, values, request.keys.get("secret", ""))


def edit_form(ctx: Context, subject: str) -> Dialog:
    contact = rules.find(ctx, subject)
    rules.need_own(ctx, contact, _("change contacts of other people"))
    return contact_form.edit(ctx, contact)


def edit_from_form(ctx: Context, subject: str, values: Mapping[str, str]) -> Answers:
    """Changes what differs from what the form showed; an emptied field takes its address away."""
    dialog = edit_form(ctx, subject)
    contact = rules.find(ctx, subject)
    before = {field.name: field.value for field in dialog.fields}
    after = {name: values.get(name, "").strip() for name in before}
    changed = {name for name in before if after[name] != before[name]}
    errors = dialogs.checked(EDIT, ctx, subject, dialog.fields, values)
    if errors:
        raise FormError(errors)
    undo.touch(ctx, "contact", contact.id)
    reached = reach.of_contact(ctx.tx, contact.id)
    sentences: list[Say] = []
    for field in ("phone", "email", "webhook"):
        if field in changed:
            answers = fields.set_address(ctx, contact, field, [after[field] or "none"], after["secret"])
            sentences += _sentences(answers)
    if after["secret"] and "webhook" not in changed:
        sentences += _sentences(fields.set_secret(ctx, contact, after["secret"]))
    if "groups" in changed:
        sentences.append(fields.set_groups(ctx, contact, names_of(after["groups"])))
    if "name" in changed:
        sentences += _sentences(fields.rename(ctx, contact, after["name"]))
    if not sentences:
        return said(_("Nothing is changed."))
    codes = changed & {"phone", "email", "webhook"} if any(after[one] for one in changed) else set()
    answers = said(
        _("“{name}” is changed.", name=after["name"]),
        *rules.happened(sentences),
        buttons=contact_answers.code_button(sentences) if codes else (),
    )
    return _warned(ctx, reached, answers)


def _sentences(answers: Answers) -> list[Say]:
    """What answers say: their paragraphs, or their titles where there are none."""
    told: list[Say] = []
    for answer in answers:
        paragraphs = [block.text for block in answer.document.blocks if isinstance(block, Paragraph)]
        told += paragraphs or [answer.document.title]
    return told


def remove(ctx: Context, request: Request) -> Answers:
    contact = rules.find(ctx, _one_name(request, examples.REMOVE_CONTACT))
    rules.need_own(ctx, contact, _("remove contacts of other people"))
    in_groups = contacts.groups_of(ctx.tx, contact.id)
    more: list[Block] = []
    if in_groups:
        more.append(Paragraph(_("It is in {groups}.", groups=", ".join(in_groups))))
    more += reach.without(ctx.tx, contact.id)
    return confirm_first(
        ctx,
        "contact remove",
        _("Remove contact “{name}” with all its addresses?", name=contact.name),
        {"id": contact.id, "name": contact.name},
        *more,
        danger=True,
    )


def removed(ctx: Context, body: Mapping[str, Any]) -> Answers:
    contact = contacts.by_id(ctx.tx, body["id"])
    if contact is None:
        return said(_("Contact “{name}” was removed by somebody else meanwhile.", name=body["name"]))
    undo.touch(ctx, "contact", contact.id)
    masked = [method.masked for method in contacts.methods(ctx.tx, [contact.id])]
    in_groups = contacts.groups_of(ctx.tx, contact.id)
    contacts.remove(ctx.tx, contact.id)
    ctx.log("contact remove", contact.name, {"addresses": masked, "groups": in_groups}, None)
    return said(_("Contact “{name}” is removed.", name=contact.name), undo.HINT)


ADD = Ask(new_form, contact_form.check, add_from_form)
EDIT = Ask(edit_form, contact_form.check, edit_from_form)

COMMANDS = (
    Command(
        Form(
            "contact add",
            zh=("添加联系人", "新增联系人"),
            keys=("to", "secret", "phone", "email", "webhook", "name"),
        ),
        add,
        "contacts",
        _("add a contact; a code goes to each address"),
        (
            "contact add <name> [phone] [email] [webhook] [secret <s>] [to <group>, …]",
            "添加联系人 <名> [电话] [邮箱] [机器人地址] [密钥 <s>] [加入 <组>, …]",
        ),
        confirmed=added_with_groups,
        ask=ADD,
    ),
    Command(
        Form("contact show", zh=("查看联系人",)),
        show,
        "contacts",
        _("one contact with the state of each address"),
        ("contact show <name>", "查看联系人 <名>"),
    ),
    Command(
        Form("contact list", en=("contacts",), zh=("联系人列表",)),
        list_,
        "contacts",
        _("search contacts"),
        ("contact list [text]", "联系人列表 [文字]"),
    ),
    Command(
        Form("contact edit", zh=("修改联系人",), keys=fields.FIELDS),
        edit,
        "contacts",
        _("change an address, which is verified again, or name, secret, language, timezone, mention"),
        ("contact edit <name> <field> <value>", "修改联系人 <名> <字段> <值>"),
        ask=EDIT,
    ),
    Command(
        Form("contact remove", zh=("删除联系人",)),
        remove,
        "contacts",
        _("remove a contact (asks first)"),
        ("contact remove <name>", "删除联系人 <名>"),
        confirmed=removed,
    ),
)
