"""Address books in chat: contacts out as CSV or vCards, and in as pasted text. One-to-one only, as addresses are whole."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from handlers import contacts as rules
from handlers import examples, names, sheets, undo, vcards
from handlers.address_books import Entry
from handlers.addresses import EMAIL, PHONE, Address
from handlers.audit_log import Key
from handlers.commands.contract import PAGE, Answers, Command, confirm_first, paged, said
from handlers.commands.request import Form, Request
from handlers.commands.words import LANGUAGES, MENTION, Wish
from handlers.context import Context
from handlers.document import Block, Examples, Paragraph, Table
from handlers.errors import CommandError
from handlers.import_results import RESULTS, Line, Result
from handlers.texts import Say, _, n_
from handlers.times import zone_name
from storage import contacts, groups
from storage.contacts import ContactRow, MethodRow

PAGE_BYTES = 1500
"""Of the text of one answer: with everything around it, it has to fit the smallest of the chats, WeCom's 2,048 bytes."""

FORMATS = {"csv": "csv", "vcard": "vcard", "vcf": "vcard", "vcards": "vcard", "名片": "vcard", "表格": "csv"}

WISHES: dict[Wish, Say] = {"language": _("language"), "timezone": _("time zone"), "mention": _("mentions")}
"""Fields about the cards that a contact gets, in words."""

OTHER_FORMATS = frozenset({"json", "xml", "yaml", "tsv", "txt", "xls", "xlsx", "excel", "pdf", "html"})

# What chats make of addresses that somebody pastes.
_ADDRESS = r"[^<>|()\s]*(?:@|://)[^<>|()\s]*|\+?\d[\d ()-]*"
_WRAPPED = re.compile(rf"<(?:mailto:|tel:)?({_ADDRESS})(?:\|[^<>\n]*)?>|\[[^\]\n]*\]\((?:mailto:|tel:)?({_ADDRESS})\)")
# Look-alikes that are shown in place of what some chats would take for markup; at the start of a line also others.
_SHOWN = str.maketrans("∗＿＼｀＇＜＞［］｜＄＆＠", "*_\\``<>[]|$&@")
_SHOWN_START = re.compile(r"^＃|^＝|^－|^＋|(?<=\d)[．）](?=\s|$)", re.MULTILINE)


def _need_direct(ctx: Context) -> None:
    if not ctx.place.direct:
        raise CommandError(_("This shows whole addresses. Please say it to me in a one-to-one chat."))


def export(ctx: Context, request: Request) -> Answers:
    _need_direct(ctx)
    first, *rest = request.text.split() or [""]
    form = FORMATS.get(first.casefold(), "")
    text = " ".join(rest if form else (first, *rest)).strip()
    count, page = _wanted(ctx, text)
    if text.casefold() in OTHER_FORMATS and not (ctx.admin and count):
        raise CommandError(
            _(
                "“{format}” cannot be written, only csv and vcard. Example: {example}",
                format=text,
                example=examples.EXPORT_CONTACT,
            )
        )
    if not count:
        none = _("There is no such contact.") if ctx.admin else _("You have no contact yet.")
        return said(none, Paragraph(_("For example:")), Examples((examples.EXPORT_CONTACT,)))
    lines = [] if form == "vcard" else [sheets.header(ctx.language)]
    size = 0
    for entry in _entries(ctx, page):
        line = vcards.written(entry) if form == "vcard" else sheets.written(entry)
        if size and len("\n".join((*lines, line)).encode()) > PAGE_BYTES:
            break
        lines.append(line)
        size += 1
    title = n_("{n} contact, to copy", "{n} contacts, to copy", count)
    return paged(ctx, request, count, title, Paragraph("\n".join(lines)), size=size)


def _wanted(ctx: Context, text: str) -> tuple[int, list[ContactRow]]:
    """How many contacts there are to export, and the next of them: all for admins, for others their own."""
    if ctx.admin:
        return contacts.search(ctx.tx, names.key(text), (), PAGE, ctx.offset)
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    return (1, [own]) if own else (0, [])


def _entries(ctx: Context, page: Iterable[ContactRow]) -> Iterator[Entry]:
    for contact in page:
        have = contacts.methods(ctx.tx, [contact.id])
        yield Entry(
            name=contact.name,
            phones=tuple(one.address for one in have if one.channel == PHONE),
            emails=tuple(one.address for one in have if one.channel == EMAIL),
            # Whoever has a robot's address can write to its group: it is masked, also here.
            webhooks=tuple(one.masked for one in have if one.channel not in (PHONE, EMAIL)),
            groups=tuple(contacts.groups_of(ctx.tx, contact.id)),
            language=contact.language or "",
            timezone=contact.timezone or "",
            mention=contact.mention or "",
        )


def import_(ctx: Context, request: Request) -> Answers:
    _need_direct(ctx)
    entries = _read(request.text)
    if not entries:
        # On a line of its own: a title has no line ends, and the example has one.
        return said(
            _("I find no contacts in that. Paste vCards, or a table whose first line names its columns, such as:"),
            Paragraph(examples.IMPORT_CONTACT),
        )
    savepoint = ctx.tx.conn.begin_nested()
    lines = list(_carried_out(ctx, entries))
    savepoint.rollback()  # so that a preview cannot say anything else than the import does
    ctx.touched.clear()
    ctx.did.clear()
    came = _counts(lines)
    if not came["added"] + came["changed"]:
        return said(_("There is nothing to import: nothing would be added or changed."), *_shown(lines))
    return confirm_first(
        ctx,
        "contact import",
        _(
            "Import this? {added} added, {changed} changed, {unchanged} unchanged, {skipped} skipped.",
            added=came["added"],
            changed=came["changed"],
            unchanged=came["unchanged"],
            skipped=came["skipped"],
        ),
        {"text": request.text},
        *_shown(lines),
        Paragraph(_("No code is sent by an import: an address gets no alerts before “verify” has proven it.")),
    )


def imported(ctx: Context, body: Mapping[str, Any]) -> Answers:
    _need_direct(ctx)
    lines = list(_carried_out(ctx, _read(body["text"])))
    came = _counts(lines)
    new = [str(line.name) for line in lines if line.result in ("added", "changed")]
    return said(
        _(
            "Imported: {added} added, {changed} changed, {unchanged} unchanged, {skipped} skipped.",
            added=came["added"],
            changed=came["changed"],
            unchanged=came["unchanged"],
            skipped=came["skipped"],
        ),
        Paragraph(_("No code was sent. To verify them, one after the other:")),
        Examples(tuple(examples.verify(name) for name in new[:3])),
        undo.HINT,
    )


def _read(text: str) -> list[Entry]:
    """The contacts in a pasted text; none when it is no address book."""
    text = _as_meant(_WRAPPED.sub(lambda match: match[1] or match[2], text))
    return vcards.read(text) if vcards.looks_like_one(text) else sheets.read(text) or []


def _as_meant(text: str) -> str:
    """What was exported, when it is copied from a chat that shows look-alikes of some signs.

    A sign of full width that somebody really wrote becomes the plain one as well: of names, that is the same name.
    """
    text = text.replace("～～", "~~").translate(_SHOWN)
    return _SHOWN_START.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)


def _counts(lines: Iterable[Line]) -> dict[str, int]:
    found: dict[str, int] = dict.fromkeys(RESULTS, 0)
    for line in lines:
        found[line.result] += 1
    return found


def _shown(lines: list[Line]) -> tuple[Block, ...]:
    words: dict[Result, Say] = {
        "added": _("added"),
        "changed": _("changed"),
        "skipped": _("skipped"),
        "unchanged": _("unchanged"),
    }
    order = sorted(lines, key=lambda line: RESULTS.index(line.result))
    rows = tuple((line.name, words[line.result], line.what) for line in order[:PAGE])
    table = Table((_("Name"), _("Result"), _("What")), rows)
    rest = len(lines) - PAGE
    return (table, Paragraph(n_("and {n} more line", "and {n} more lines", rest))) if rest > 0 else (table,)


def _carried_out(ctx: Context, entries: Iterable[Entry]) -> Iterator[Line]:
    """Takes over the contacts, one after the other; what became of each."""
    seen: set[str] = set()
    for entry in entries:
        try:
            name = names.checked(entry.name)
        except CommandError as error:
            yield Line(names.printable(entry.name)[: names.LONGEST] or "–", "skipped", error.say)
            continue
        if names.key(name) in seen:
            yield Line(name, "skipped", _("the name is there twice"))
            continue
        seen.add(names.key(name))
        contact = contacts.by_key(ctx.tx, names.key(name))
        if not ctx.admin and (contact is None or contact.id != ctx.person.contact_id):
            yield Line(name, "skipped", _("only an admin may import other contacts than their own"))
            continue
        yield from _taken_over(ctx, entry, name, contact)


def _taken_over(ctx: Context, entry: Entry, name: str, known: ContactRow | None) -> Iterator[Line]:
    """Adds to the contact what it lacks; nothing that it has is taken away."""
    if known is None:
        contact_id = contacts.add(ctx.tx, name, names.key(name), ctx.person.id, ctx.now)
        undo.made(ctx, "contact", contact_id)
    else:
        contact_id = known.id
        undo.touch(ctx, "contact", contact_id)
    skipped: list[Say] = []
    changes: list[Say] = []
    logged: dict[Key, Any] = {"added": []}
    for address in _new_addresses(ctx, entry, contacts.methods(ctx.tx, [contact_id]), skipped):
        contacts.add_method(ctx.tx, contact_id, address.channel, address.value, address.masked, "", ctx.now)
        changes.append(address.masked)
        logged["added"].append(address.masked)
    for group_id, group in _new_groups(ctx, entry, contact_id, skipped):
        groups.add_members(ctx.tx, group_id, [contact_id])
        changes.append(_("group {name}", name=group))
        logged.setdefault("groups", []).append(group)
    for field, wish in _new_wishes(entry, known, skipped):
        contacts.prefers(ctx.tx, contact_id, **{field: wish})
        changes.append(wish)
        logged[field] = wish
    if known is None or changes:
        ctx.log("contact import", name, None, logged)
        yield Line(name, "added" if known is None else "changed", rules.joined(changes))
    elif not skipped:
        yield Line(name, "unchanged")
    for why in skipped:
        yield Line(name, "skipped", why)


def _new_addresses(ctx: Context, entry: Entry, have: list[MethodRow], skipped: list[Say]) -> list[Address]:
    found: list[Address] = []
    given = [("phone", one) for one in entry.phones] + [("email", one) for one in entry.emails]
    given += [("webhook", one) for one in entry.webhooks]
    for kind, text in given:
        if any(text in (method.masked, method.address) for method in have):  # as it was exported
            continue
        if "*" in text or "…" in text:
            skipped.append(_("{address} is masked and cannot be used", address=names.printable(text)[:80]))
            continue
        try:
            address = rules.checked(ctx, kind, text)
        except CommandError as error:
            skipped.append(error.say)
            continue
        if address in found or any((m.channel, m.address) == (address.channel, address.value) for m in have):
            continue
        if len(have) + len(found) >= rules.MOST_METHODS:
            skipped.append(_("it has {n} addresses already; that is the most.", n=rules.MOST_METHODS))
            break
        found.append(address)
    return found


def _new_groups(ctx: Context, entry: Entry, contact_id: int, skipped: list[Say]) -> list[tuple[int, str]]:
    inside = {names.key(one) for one in contacts.groups_of(ctx.tx, contact_id)}
    found: list[tuple[int, str]] = []
    for name in dict.fromkeys(entry.groups):
        group = groups.by_key(ctx.tx, names.key(name))
        if names.key(name) in inside:
            continue
        if group is None:
            skipped.append(_("there is no group “{name}”", name=names.printable(name)[: names.LONGEST]))
        elif not ctx.admin:
            skipped.append(_("only an admin may put contacts into groups"))
        else:
            found.append((group.id, group.name))
    return found


def _new_wishes(entry: Entry, known: ContactRow | None, skipped: list[Say]) -> list[tuple[Wish, str]]:
    found: list[tuple[Wish, str]] = []
    for field in WISHES:
        text = str(getattr(entry, field))
        if not text:
            continue
        try:
            tables = {"language": LANGUAGES, "mention": MENTION}
            wish = zone_name(text) if field == "timezone" else tables[field].get(text.casefold())
        except CommandError as error:
            skipped.append(error.say)
            continue
        if wish is None:
            skipped.append(
                _("“{value}” is not possible for {field}.", value=names.printable(text)[:40], field=WISHES[field])
            )
        elif known is None or wish != getattr(known, field):
            found.append((field, wish))
    return found


COMMANDS = (
    Command(
        Form("contact export", zh=("导出联系人",), text=True),
        export,
        "contacts",
        _("contacts as text to copy, as a CSV table or vCards (one-to-one)"),
        ("contact export [csv or vcard] [text]", "导出联系人 [csv 或 vcard] [文字]"),
    ),
    Command(
        Form("contact import", zh=("导入联系人",), text=True),
        import_,
        "contacts",
        _("add contacts from a pasted CSV table or vCards (one-to-one, asks first)"),
        ("contact import <text>", "导入联系人 <文字>"),
        confirmed=imported,
    ),
)
