"""Contacts in chat: add, show, list, edit, remove; and `me`, my own one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from handlers import contacts as rules
from handlers import dialogs, examples, import_reports, names, reach, undo
from handlers.commands import contact_form
from handlers.commands.contract import (
    PAGE,
    QUESTION_LIFE,
    Answers,
    Ask,
    Command,
    as_json,
    as_request,
    confirm_first,
    paged,
    said,
)
from handlers.commands.request import Form, Request
from handlers.commands.words import LANGUAGES, MENTION, names_of
from handlers.context import Answer, Context
from handlers.document import Block, Button, Dialog, Document, Examples, Facts, Paragraph, Table
from handlers.errors import CommandError, FormError
from handlers.texts import Say, _, n_
from handlers.times import zone_name
from storage import contacts, groups, people
from storage.contacts import ContactRow, MethodRow
from storage.groups import GroupRow

NONE = frozenset({"none", "无", "-", "remove", "删除"})
"""Instead of a new value: take the old one away."""

FIELDS: dict[str, Say] = {
    "name": _("name"),
    "phone": _("phone"),
    "email": _("email"),
    "webhook": _("webhook"),
    "secret": _("secret"),
    "language": _("language"),
    "timezone": _("time zone"),
    "mention": _("mentions"),
}
"""What can be changed, by its key and in words."""

WISHES = ("language", "timezone", "mention")
"""Fields about the cards that a contact gets."""


SEPARATORS = frozenset(',，、;；\n"“”「」')


def _one_name(request: Request, example: Say) -> str:
    if len(request.names) > 1 and not SEPARATORS & set(request.rest):
        return " ".join(request.names)  # an address stood in the middle of the name
    if len(request.names) > 1:
        raise CommandError(
            _(
                "One contact at a time: “{names}” are several. Example: {example}",
                names=names.printable(", ".join(request.names)),
                example=example,
            )
        )
    if not request.names:
        raise CommandError(_("A name is missing. Example: {example}", example=example))
    return request.names[0]


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
        _check_unlinked(ctx, mention)
    contact, sentences = rules.create(ctx, name, what, into, own=own)
    for mention in request.mentions:
        if people.by_id(ctx.tx, mention) is None:
            people.seen(ctx.tx, mention, "", ctx.now)
        people.link(ctx.tx, mention, contact.id)
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
    return said(title, *rules.happened(sentences), *hint, buttons=_code_button(sentences))


def _code_button(sentences: Sequence[Say]) -> tuple[Button, ...]:
    """Where codes are on their way: a form to type one into."""
    return (Button(_("Enter a code"), examples.ENTER_CODE, once=False),) if sentences else ()


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


def _check_unlinked(ctx: Context, person_id: str) -> None:
    person = people.by_id(ctx.tx, person_id)
    if person and person.contact_id is not None:
        contact = contacts.by_id(ctx.tx, person.contact_id)
        raise CommandError(_("{person} is “{name}” already.", person=person_id, name=contact.name if contact else ""))


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
    return [Answer(_with_buttons(ctx, contact))]


def _with_buttons(ctx: Context, contact: ContactRow) -> Document:
    """The contact, and what this person may do with it."""
    document = rules.contact_document(ctx, contact)
    document = replace(
        document, blocks=(*document.blocks, Facts((*_wishes(contact), *import_reports.facts(ctx.tx, contact.id))))
    )
    if not ctx.admin and ctx.person.contact_id != contact.id:
        return document
    states = {method.state for method in contacts.methods(ctx.tx, [contact.id])}
    buttons = [Button(_("Edit"), examples.open_edit_contact(contact.name), once=False)]
    if states - {"active"}:
        buttons.append(Button(_("Send the codes again"), examples.verify(contact.name)))
    if "active" in states:
        buttons.append(Button(_("Test"), examples.test(contact.name)))
    buttons.append(Button(_("Remove"), examples.remove_contact(contact.name), "danger", once=False))
    return replace(document, buttons=tuple(buttons))


def _wishes(contact: ContactRow) -> tuple[tuple[Say, Say], ...]:
    """What the contact wants its cards to be like, where that is not the usual."""
    languages: dict[str | None, Say] = {"en": _("English"), "zh": _("Chinese")}
    mentions: dict[str | None, Say] = {"on": _("in the cards of all alerts"), "off": _("in no card")}
    pairs: list[tuple[Say, Say]] = []
    if contact.language:
        pairs.append((_("Language"), languages.get(contact.language, contact.language)))
    if contact.timezone:
        pairs.append((_("Time zone"), contact.timezone))
    pairs.append((_("Mentioned"), mentions.get(contact.mention, _("in the cards of critical alerts"))))
    return tuple(pairs)


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
        return said(
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


def _field(request: Request) -> tuple[str, list[str]]:
    """Which field is to be changed, and the values given for it. Raises CommandError."""
    for field in FIELDS:
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


def edit(ctx: Context, request: Request) -> Answers:
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    if own is not None and not request.rest.strip() and not request.names:
        return dialogs.begin(ctx, EDIT, own.name, examples.edit_contact(own.name))
    request = _whole_zone(request)
    contact = rules.find(ctx, _one_name(request, examples.EDIT_CONTACT))
    rules.need_own(ctx, contact, _("change contacts of other people"))
    if not (request.mentions or request.keys or request.phones or request.emails or request.urls):
        return dialogs.begin(ctx, EDIT, contact.name, examples.edit_contact(contact.name))
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
        return _link(ctx, contact, request.mentions[0])
    field, values = _field(request)
    if not values:
        raise CommandError(
            _(
                "A value for {field} is missing. Example: {example}",
                field=FIELDS[field],
                example=examples.edit_contact(contact.name, field),
            )
        )
    if field == "name":
        return _rename(ctx, contact, values[0])
    if field == "secret":
        return _set_secret(ctx, contact, values[0])
    if field in WISHES:
        return _set_wish(ctx, contact, field, values[0], examples.edit_contact(contact.name, field))
    return _set_address(ctx, contact, field, values, request.keys.get("secret", ""))


def _whole_zone(request: Request) -> Request:
    """The request with all words of a time zone in its value: `timezone new york`, where only one is read as it."""
    first, last = request.keys.get("timezone", ""), request.names[-1] if request.names else ""
    whole = f"{first} {last}"
    if not first or not last or not " ".join(request.rest.split()).endswith(whole):
        return request
    return replace(request, names=request.names[:-1], keys={**request.keys, "timezone": whole})


def _set_wish(ctx: Context, contact: ContactRow, field: str, value: str, example: Say) -> Answers:
    wish = None if value.casefold() in NONE else _wish(field, value, example)
    before = {"language": contact.language, "timezone": contact.timezone, "mention": contact.mention}[field]
    contacts.prefers(ctx.tx, contact.id, **{field: wish})
    ctx.log("contact edit", contact.name, {field: before}, {field: wish})
    changed = contacts.by_id(ctx.tx, contact.id)
    assert changed is not None  # noqa: S101 (just written)
    return said(_("The cards of “{name}” are changed.", name=contact.name), Facts(_wishes(changed)))


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
                field=FIELDS[field],
                example=example,
            )
        )
    return found


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
            answers = _set_address(ctx, contact, field, [after[field] or "none"], after["secret"])
            sentences += _sentences(answers)
    if after["secret"] and "webhook" not in changed:
        sentences += _sentences(_set_secret(ctx, contact, after["secret"]))
    if "groups" in changed:
        sentences.append(_set_groups(ctx, contact, names_of(after["groups"])))
    if "name" in changed:
        sentences += _sentences(_rename(ctx, contact, after["name"]))
    if not sentences:
        return said(_("Nothing is changed."))
    codes = changed & {"phone", "email", "webhook"} if any(after[one] for one in changed) else set()
    answers = said(
        _("“{name}” is changed.", name=after["name"]),
        *rules.happened(sentences),
        buttons=_code_button(sentences) if codes else (),
    )
    return _warned(ctx, reached, answers)


def _sentences(answers: Answers) -> list[Say]:
    """What answers say: their paragraphs, or their titles where there are none."""
    told: list[Say] = []
    for answer in answers:
        paragraphs = [block.text for block in answer.document.blocks if isinstance(block, Paragraph)]
        told += paragraphs or [answer.document.title]
    return told


def _set_groups(ctx: Context, contact: ContactRow, wanted: Sequence[str]) -> Say:
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


def _link(ctx: Context, contact: ContactRow, person_id: str) -> Answers:
    ctx.need_admin(_("say whose contact it is"))
    _check_unlinked(ctx, person_id)
    if people.by_id(ctx.tx, person_id) is None:
        people.seen(ctx.tx, person_id, "", ctx.now)
    people.link(ctx.tx, person_id, contact.id)
    ctx.log("contact edit", contact.name, None, {"person": person_id})
    return said(_("“{name}” is the contact of {person} now.", name=contact.name, person=person_id))


def _rename(ctx: Context, contact: ContactRow, to: str) -> Answers:
    name = names.checked(to)
    rules.check_free(ctx, name, but=contact.id)
    contacts.rename(ctx.tx, contact.id, name, names.key(name))
    ctx.log("contact edit", name, {"name": contact.name}, {"name": name})
    return said(_("“{old}” is called “{new}” now.", old=contact.name, new=name))


def _of_field(ctx: Context, contact: ContactRow, field: str) -> list[MethodRow]:
    channels = contact_form.CHANNELS[field]
    return [method for method in contacts.methods(ctx.tx, [contact.id]) if method.channel in channels]


def _set_secret(ctx: Context, contact: ContactRow, secret: str) -> Answers:
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
    contacts.change_method(ctx.tx, signed[0].id, secret=secret, state="pending", verified_at=None)
    ctx.log("contact edit", contact.name, None, {"secret of": signed[0].masked})
    return said(
        _("The secret of {address} is changed.", address=signed[0].masked),
        Paragraph(rules.send_code(ctx, contact, rules.refreshed(ctx, signed[0]))),
    )


def _set_address(ctx: Context, contact: ContactRow, field: str, values: list[str], secret: str) -> Answers:
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


def _platform_name(ctx: Context) -> str:
    """The name the platform gives, "" when it is none that a contact can have."""
    try:
        return names.checked(ctx.person.name)
    except CommandError:
        return ""


def me(ctx: Context, request: Request) -> Answers:
    request = _whole_zone(request)
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
    wish = next((field for field in WISHES if field in request.keys), None)
    if own is not None and wish is not None:
        if not request.keys[wish]:
            raise CommandError(
                _(
                    "A value for {field} is missing. Example: {example}",
                    field=FIELDS[wish],
                    example=examples.me_field(wish),
                )
            )
        return _set_wish(ctx, own, wish, request.keys[wish], examples.me_field(wish))
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
            return said(_("What is your full name?"))
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
        return said(title, *rules.happened(sentences), buttons=_code_button(sentences))
    if not what.addresses:
        if wanted and names.key(wanted) != names.key(own.name):
            return _rename(ctx, own, wanted)
        return [Answer(_with_buttons(ctx, own))]
    sentences = [rules.add_address(ctx, own, address, what.secret) for address in what.addresses]
    if len(sentences) == 1:
        return said(sentences[0], buttons=_code_button(sentences))
    return said(own.name, *rules.happened(sentences), buttons=_code_button(sentences))


def me_named(ctx: Context, body: Mapping[str, Any]) -> Answers:
    request = as_request(body["request"])
    return me(ctx, as_request(as_json(request) | {"keys": {**request.keys, "name": body["name"]}}))


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
        Form("contact edit", zh=("修改联系人",), keys=(*FIELDS,)),
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
    Command(
        Form("me", zh=("我",), keys=("phone", "email", "webhook", "secret", "name", *WISHES)),
        me,
        "contacts",
        _("my own contact; add or change my address, or language, timezone, mention"),
        ("me [phone or email or webhook]", "我 [电话或邮箱或机器人地址]"),
        confirmed=me_named,
    ),
)
