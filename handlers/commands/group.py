"""Contact groups in chat."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from handlers import contacts as rules
from handlers import dialogs, examples, names, reach, undo
from handlers.commands import group_form, keys, several
from handlers.commands.contract import PAGE, Answers, Ask, Command, confirm_first, paged, said, whole
from handlers.commands.request import Form, Request
from handlers.commands.words import NONE, names_of
from handlers.context import Context
from handlers.document import Block, Button, Dialog, Examples, Facts, Paragraph, Table
from handlers.errors import CommandError, FormError
from handlers.texts import Say, _, n_
from storage import contacts, groups
from storage.contacts import ContactRow
from storage.groups import GroupRow

ADMIN = _("change contact groups")

_NAME_END = re.compile(r"[\s,，:：=]+|$")
"""Where a name may end that stands before running text."""


def _name(request: Request, example: Say) -> str:
    missing = _("The name of a group is missing. Example: {example}", example=example)
    return several.one_name(request, "group", example, missing)


def _split(ctx: Context, request: Request, example: Say) -> tuple[GroupRow, list[str]]:
    """The group that comes first, and the names after it: the longest run of words that is a group's name wins."""
    words = list(request.words)
    if not words:
        raise CommandError(_("The name of a group is missing. Example: {example}", example=example))
    first = request.names[0].split()
    for length in range(len(first), 0, -1):
        group = groups.by_key(ctx.tx, names.key(" ".join(first[:length])))
        if group is not None:
            rest = " ".join(first[length:])
            return group, [one for one in (rest, *request.names[1:]) if one]
    whole = groups.by_key(ctx.tx, names.key(words[0]))
    if whole is not None:
        return whole, [*request.names[1:]]
    raise names.unknown("group", words[0], groups.names(ctx.tx))


def _sorted_out(ctx: Context, wanted: Sequence[str]) -> tuple[list[ContactRow], list[str]]:
    """The contacts of these names, and the names nobody has."""
    known: list[ContactRow] = []
    unknown: list[str] = []
    for name in {names.key(one): one for one in wanted}.values():
        row = contacts.by_key(ctx.tx, names.key(name))
        if row:
            known.append(row)
        else:
            unknown.append(names.checked(name))
    return known, unknown


def _offer(ctx: Context, group: GroupRow, unknown: list[str], title: Say) -> Answers:
    """Offers to create the contacts nobody knows; what is said before that is done already."""
    close = names.nearest(unknown[0], contacts.names(ctx.tx))
    more: list[Block] = []
    if close:
        more.append(Paragraph(_("Did you mean “{close}”?", close=close)))
    question = n_(
        "There is no contact {names}. Create it, without an address, in group “{group}”?",
        "There are no contacts {names}. Create them, without an address, in group “{group}”?",
        len(unknown),
        names=", ".join(f"“{name}”" for name in unknown),
        group=group.name,
    )
    return confirm_first(
        ctx, "group add", title, {"group": group.id, "name": group.name, "create": unknown}, *more, Paragraph(question)
    )


def create(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    if not request.rest.strip() and not request.names:
        return dialogs.begin(ctx, CREATE, "", examples.CREATE_GROUP_FULL)
    example = examples.CREATE_GROUP_FULL
    keys.need_values(request, lambda _key: example)
    name = names.checked(_name(request, example))
    group_form.check_free(ctx, name)
    known, unknown = _sorted_out(ctx, names_of(request.keys.get("members", "")))
    note = group_form.checked_note(request.keys.get("note", ""))
    group_id = groups.add(ctx.tx, name, names.key(name), note, ctx.now)
    undo.made(ctx, "group", group_id)
    groups.add_members(ctx.tx, group_id, [contact.id for contact in known])
    ctx.log("group create", name, None, {"note": note, "members": [contact.name for contact in known]})
    title = n_(
        "Group “{name}” is created with {n} member.",
        "Group “{name}” is created with {n} members.",
        len(known),
        name=name,
    )
    if unknown:
        return _offer(ctx, GroupRow(group_id, name, note), unknown, title)
    if known:
        return said(title, Paragraph(", ".join(contact.name for contact in known)))
    return said(
        title,
        Paragraph(_("Add members:")),
        Examples((examples.add_members(name),)),
    )


def show(ctx: Context, request: Request) -> Answers:
    group = rules.find_group(ctx, _name(request, examples.SHOW_GROUP))
    members = groups.members(ctx.tx, group.id)
    states = contacts.states(ctx.tx, [member.id for member in members])
    title = n_("Group “{name}”: {n} member", "Group “{name}”: {n} members", len(members), name=group.name)
    page = members[ctx.offset : ctx.offset + PAGE]
    rows = tuple((member.name, rules.reachability(states[member.id])) for member in page)
    listed: tuple[Block, ...] = (Table((_("Member"), _("Reachable by")), rows),) if members else ()
    document = paged(ctx, request, len(members), title, *listed)[0].document
    blocks: list[Block] = [*([Paragraph(group.note)] if group.note else []), *document.blocks]
    sources = groups.sources_of(ctx.tx, group.id)
    blocks.append(Facts(((_("Alert sources"), ", ".join(sources) if sources else _("none")),)))
    reachable = any(state == "active" for of in states.values() for _c, _m, state in of)
    if members and not reachable:
        blocks.append(Paragraph(_("Nobody in this group can be reached: no address is verified.")))
    if not ctx.admin:
        return said(title, *blocks, buttons=document.buttons)
    edit = Button(_("Edit"), examples.open_edit_group(group.name), once=False)
    test = (Button(_("Test"), examples.test(group.name)),) if reachable else ()
    remove = Button(_("Delete"), examples.delete_group(group.name), "danger", once=False)
    return said(title, *blocks, buttons=(*document.buttons, edit, *test, remove))


def new_form(ctx: Context, _subject: str) -> Dialog:
    ctx.need_admin(ADMIN)
    return group_form.new(ctx)


def edit_form(ctx: Context, subject: str) -> Dialog:
    ctx.need_admin(ADMIN)
    return group_form.edit(ctx, rules.find_group(ctx, subject))


def create_from_form(ctx: Context, subject: str, values: Mapping[str, str]) -> Answers:
    errors = dialogs.checked(CREATE, ctx, subject, new_form(ctx, subject).fields, values)
    if errors:
        raise FormError(errors)
    name = values["name"].strip()
    keys = {key: values[key].strip() for key in ("note", "members") if values.get(key, "").strip()}
    return create(ctx, Request("group create", ctx.language, names=(name,), keys=keys, rest=name))


def edit(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    group = rules.find_group(ctx, _name(request, examples.EDIT_GROUP))
    return dialogs.begin(ctx, EDIT, group.name, examples.NOTE_GROUP)


def edit_from_form(ctx: Context, subject: str, values: Mapping[str, str]) -> Answers:
    dialog = edit_form(ctx, subject)
    errors = dialogs.checked(EDIT, ctx, subject, dialog.fields, values)
    if errors:
        raise FormError(errors)
    group = rules.find_group(ctx, subject)
    name, note = names.checked(values.get("name", "")), group_form.checked_note(values.get("note", ""))
    undo.touch(ctx, "group", group.id)
    reached = reach.of_groups(ctx.tx, [group.id])
    before = {member.id: member.name for member in groups.members(ctx.tx, group.id)}
    after = {row.id: row.name for row in (rules.find(ctx, one) for one in names_of(values.get("members", "")))}
    groups.change(ctx.tx, group.id, name=name, name_key=names.key(name), note=note)
    groups.add_members(ctx.tx, group.id, [one for one in after if one not in before])
    groups.remove_members(ctx.tx, group.id, [one for one in before if one not in after])
    ctx.log(
        "group edit",
        name,
        {"name": group.name, "note": group.note, "members": list(before.values())},
        {"name": name, "note": note, "members": list(after.values())},
    )
    shown = show(ctx, Request("group show", ctx.language, names=(name,), rest=name))
    document = shown[0].document
    lost = tuple(Paragraph(one) for one in reached.lost(ctx.tx))
    return [replace(shown[0], document=replace(document, blocks=(*document.blocks, *lost)))]


def list_(ctx: Context, request: Request) -> Answers:
    count, page = groups.page(ctx.tx, PAGE, ctx.offset)
    if not count:
        return whole(
            ctx,
            _("There are no groups yet."),
            Paragraph(_("Create one:")),
            Examples((examples.CREATE_GROUP,)),
        )
    rows = tuple((group.name, n_("{n} member", "{n} members", size), group.note) for group, size in page)
    return paged(
        ctx,
        request,
        count,
        n_("{n} group", "{n} groups", count),
        Table((_("Group"), _("Members"), _("Note")), rows),
    )


def add(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    example = examples.ADD_TO_GROUP
    group, wanted = _split(ctx, request, example)
    if not wanted:
        raise CommandError(_("Say whom to add to “{group}”. Example: {example}", group=group.name, example=example))
    known, unknown = _sorted_out(ctx, wanted)
    undo.touch(ctx, "group", group.id)
    there = {member.id for member in groups.members(ctx.tx, group.id)}
    known = [contact for contact in known if contact.id not in there]
    new = groups.add_members(ctx.tx, group.id, [contact.id for contact in known])
    title = n_("{n} member added to “{group}”.", "{n} members added to “{group}”.", new, group=group.name)
    if known:
        ctx.log("group add", group.name, None, {"members": [contact.name for contact in known]})
    if unknown:
        return _offer(ctx, group, unknown, title)
    if not new:
        return said(_("They are in “{group}” already.", group=group.name))
    return said(title, Paragraph(", ".join(contact.name for contact in known)))


def added_unknown(ctx: Context, body: Mapping[str, Any]) -> Answers:
    ctx.need_admin(ADMIN)
    group = groups.by_id(ctx.tx, body["group"])
    if group is None:
        return said(_("Group “{name}” was deleted by somebody else meanwhile.", name=body["name"]))
    undo.touch(ctx, "group", group.id)
    known, unknown = _sorted_out(ctx, body["create"])  # somebody else may have added them meanwhile
    there = {member.id for member in groups.members(ctx.tx, group.id)}
    known = [contact for contact in known if contact.id not in there]
    fresh = [rules.create(ctx, name, rules.Given(()), [group])[0] for name in unknown]
    if known:
        groups.add_members(ctx.tx, group.id, [contact.id for contact in known])
        ctx.log("group add", group.name, None, {"members": [contact.name for contact in known]})
    added = [*known, *fresh]
    if not added:
        return said(_("They are in “{group}” already.", group=group.name))
    states = contacts.states(ctx.tx, [contact.id for contact in added])
    bare = [contact.name for contact in added if not states[contact.id]]
    title = n_("{n} member added to “{group}”.", "{n} members added to “{group}”.", len(added), group=group.name)
    if not bare:
        return said(title, Paragraph(", ".join(contact.name for contact in added)))
    return said(
        title,
        Paragraph(
            n_(
                "{names} has no address yet. Add one:",
                "{names} have no address yet. Add one:",
                len(bare),
                names=", ".join(bare),
            )
        ),
        Examples((examples.edit_contact(bare[0]),)),
    )


def remove(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    example = examples.TAKE_FROM_GROUP
    group, wanted = _split(ctx, request, example)
    if not wanted:
        raise CommandError(
            _(
                "Say whom to take out of “{group}”. Example: {example}. The whole group goes with: {delete}",
                group=group.name,
                example=example,
                delete=examples.delete_group(group.name),
            )
        )
    gone = [rules.find(ctx, name) for name in wanted]
    inside = {member.id for member in groups.members(ctx.tx, group.id)}
    for contact in gone:
        if contact.id not in inside:
            raise CommandError(_("“{name}” is not in “{group}”.", name=contact.name, group=group.name))
    undo.touch(ctx, "group", group.id)
    before = reach.of_groups(ctx.tx, [group.id])
    count = groups.remove_members(ctx.tx, group.id, [contact.id for contact in gone])
    ctx.log("group remove", group.name, {"members": [contact.name for contact in gone]}, None)
    return said(
        n_("{n} member taken out of “{group}”.", "{n} members taken out of “{group}”.", count, group=group.name),
        Paragraph(", ".join(contact.name for contact in gone)),
        *map(Paragraph, before.lost(ctx.tx)),
        undo.HINT,
    )


def rename(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    example = examples.RENAME_GROUP
    group = rules.find_group(ctx, _name(request, example))
    if not request.keys.get("to", "").strip():
        raise CommandError(_("The new name is missing. Example: {example}", example=example))
    name = names.checked(request.keys["to"])
    group_form.check_free(ctx, name, but=group.id)
    undo.touch(ctx, "group", group.id)
    groups.change(ctx.tx, group.id, name=name, name_key=names.key(name))
    ctx.log("group rename", name, {"name": group.name}, {"name": name})
    return said(_("Group “{old}” is called “{new}” now.", old=group.name, new=name))


def _noted(ctx: Context, request: Request) -> tuple[GroupRow, str]:
    """The group and the text: the longest beginning that is a group's name wins over a quoted or single word."""
    first = _name(request, examples.NOTE_GROUP)
    ends = [found.start() for found in _NAME_END.finditer(request.rest)]
    for end in reversed(ends[: names.LONGEST]):
        group = groups.by_key(ctx.tx, names.key(request.rest[:end]))
        if group is not None:
            return group, request.rest[end:].lstrip(" \t\n,，:：=")
    return rules.find_group(ctx, first), request.text


def note(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    group, text = _noted(ctx, request)
    if not text:
        missing = keys.no_value("note", examples.note_group(group.name)).say
        raise CommandError(_("{sentence}. To empty it: {none}", sentence=missing, none=examples.empty_note(group.name)))
    text = "" if text.casefold() in NONE else group_form.checked_note(text)
    undo.touch(ctx, "group", group.id)
    groups.change(ctx.tx, group.id, note=text)
    ctx.log("group note", group.name, {"note": group.note}, {"note": text})
    if not text:
        return said(_("Group “{group}” has no note any more.", group=group.name))
    return said(_("Note of “{group}”: {note}", group=group.name, note=text))


def delete(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    group = rules.find_group(ctx, _name(request, examples.DELETE_GROUP))
    sources = groups.sources_of(ctx.tx, group.id)
    lost: Say = _("No alert source reports to it.")
    if sources:
        lost = _("Alerts of these sources lose their target and reach nobody: {sources}.", sources=", ".join(sources))
    size = len(groups.members(ctx.tx, group.id))
    return confirm_first(
        ctx,
        "group delete",
        n_(
            "Delete group “{group}” ({n} member; the contact itself stays)?",
            "Delete group “{group}” ({n} members; the contacts themselves stay)?",
            size,
            group=group.name,
        ),
        {"id": group.id, "name": group.name},
        Paragraph(lost),
        danger=True,
    )


def deleted(ctx: Context, body: Mapping[str, Any]) -> Answers:
    ctx.need_admin(ADMIN)
    group = groups.by_id(ctx.tx, body["id"])
    if group is None:
        return said(_("Group “{name}” was deleted by somebody else meanwhile.", name=body["name"]))
    members = [member.name for member in groups.members(ctx.tx, group.id)]
    sources = groups.sources_of(ctx.tx, group.id)
    undo.touch(ctx, "group", group.id)
    groups.remove(ctx.tx, group.id)
    ctx.log("group delete", group.name, {"note": group.note, "members": members, "sources": sources}, None)
    if not sources:
        return said(_("Group “{group}” is deleted.", group=group.name), undo.HINT)
    return said(
        _("Group “{group}” is deleted.", group=group.name),
        Paragraph(
            _(
                "These sources have no group now and their alerts reach nobody: {sources}. Give them another group:",
                sources=", ".join(sources),
            )
        ),
        Examples((examples.move_source(sources[0]),)),
        undo.HINT,
    )


CREATE = Ask(new_form, group_form.check, create_from_form)
EDIT = Ask(edit_form, group_form.check, edit_from_form)

COMMANDS = (
    Command(
        Form("group create", zh=("创建组",), keys=("note", "members")),
        create,
        "groups",
        _("create a contact group"),
        ("group create <name> [note <text>] [members <a>, <b>]", "创建组 <名> [备注 <文字>] [成员 <甲>, <乙>]"),
        ask=CREATE,
    ),
    Command(
        Form("group show", zh=("查看组",)),
        show,
        "groups",
        _("members and how they can be reached"),
        ("group show <name>", "查看组 <名>"),
    ),
    Command(
        Form("group list", en=("groups",), zh=("组列表",)), list_, "groups", _("all groups"), ("group list", "组列表")
    ),
    Command(
        Form("group add", zh=("组添加",)),
        add,
        "groups",
        _("add members to a group"),
        ("group add <group> <contact>, …", "组添加 <组> <联系人>, …"),
        confirmed=added_unknown,
    ),
    Command(
        Form("group remove", zh=("组移除",)),
        remove,
        "groups",
        _("take members out of a group"),
        ("group remove <group> <contact>, …", "组移除 <组> <联系人>, …"),
    ),
    Command(
        Form("group edit", zh=("修改组",)),
        edit,
        "groups",
        _("name, note and members of a group in one form"),
        ("group edit <group>", "修改组 <组>"),
        ask=EDIT,
    ),
    Command(
        Form("group rename", zh=("组改名",), keys=("to",)),
        rename,
        "groups",
        _("rename a group"),
        ("group rename <old> to <new>", "组改名 <旧名> 到 <新名>"),
    ),
    Command(
        Form("group note", zh=("组备注",), text=True, lead=1),
        note,
        "groups",
        _("change the note of a group"),
        ("group note <group> <text>", "组备注 <组> <文字>"),
    ),
    Command(
        Form("group delete", zh=("删除组",)),
        delete,
        "groups",
        _("delete a group (asks first)"),
        ("group delete <name>", "删除组 <名>"),
        confirmed=deleted,
    ),
)
