"""Alert sources in chat. The URL of a source is a secret: it is shown once, to the person alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers import contacts as rules
from handlers import examples, names
from handlers.commands.contract import PAGE, Answers, Command, confirm_first, paged, said
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Document, Examples, Paragraph, Table
from handlers.errors import CommandError
from handlers.sources import SOURCES
from handlers.texts import Say, _, n_
from handlers.times import local
from storage import sources
from storage.sources import SourceRow

ADMIN = _("manage alert sources")


def _find(ctx: Context, request: Request, example: Say) -> SourceRow:
    if not request.names:
        raise CommandError(_("The name of an alert source is missing. Example: {example}", example=example))
    row = sources.by_key(ctx.tx, names.key(request.names[0]))
    if row is None:
        raise names.unknown("source", request.names[0], sources.names(ctx.tx))
    return row


def _need_private(ctx: Context) -> None:
    if not ctx.place.direct and ctx.place.platform not in ctx.rules.private:
        raise CommandError(_("The URL of a source is a secret. Send me this command again in a one-to-one chat."))


def _url(ctx: Context, title: Say, row: SourceRow, token: str) -> Answers:
    """The URL for the person alone, and in a group a word that it was sent."""
    url = f"{ctx.rules.public_url.rstrip('/')}/alerts/{row.kind}/{token}"
    private = Document(
        title,
        (
            Paragraph(
                _("Reports go to this URL, by POST. Whoever has it can raise alerts, so keep it like a password:")
            ),
            Examples((url,)),
            Paragraph(_("I cannot show it again. When it is lost or known to others:")),
            Examples((examples.rotate_source(row.name),)),
        ),
    )
    answers = [Answer(private, "private")]
    if not ctx.place.direct:
        answers.append(Answer(Document(title, (Paragraph(_("Its URL comes to you alone, in our one-to-one chat.")),))))
    return answers


def add(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    _need_private(ctx)
    words = [word for name in request.names for word in ([name] if name in request.words else name.split())]
    kinds = [word for word in words if word.casefold() in SOURCES]
    if len(words) >= 2 and not kinds:
        raise CommandError(
            _(
                "“{word}” is no kind of alert source; kinds are {kinds}. Example: {example}",
                word=names.printable(words[-1]),
                kinds=", ".join(SOURCES),
                example=examples.ADD_SOURCE,
            )
        )
    if len(words) < 2:
        raise CommandError(
            _(
                "A source needs a name, a kind and a group; kinds are {kinds}. Example: {example}",
                kinds=", ".join(SOURCES),
                example=examples.ADD_SOURCE,
            )
        )
    kind = kinds[-1].casefold()
    words.remove(kinds[-1])
    name = names.checked(" ".join(words))
    if not request.keys.get("to", "").strip():
        raise CommandError(_("Say which group gets its alerts. Example: {example}", example=examples.ADD_SOURCE))
    group = rules.find_group(ctx, request.keys["to"])
    taken = sources.by_key(ctx.tx, names.key(name))
    if taken and _never_used(ctx, taken, kind, group.id):
        return _new_url(ctx, taken)
    if taken:
        raise CommandError(
            _(
                "There is already a source “{name}”. For a new URL: {rotate}; for another group: {move}",
                name=taken.name,
                rotate=examples.rotate_source(taken.name),
                move=examples.move_source(taken.name, group.name),
            )
        )
    token = ctx.rules.new_token()
    source_id = sources.add(ctx.tx, name, names.key(name), kind, token, group.id, ctx.person.id, ctx.now)
    ctx.log("source add", name, None, {"kind": kind, "group": group.name})
    row = SourceRow(source_id, name, kind, group.id, group.name, ctx.person.id, None)
    return _url(
        ctx,
        _("Alert source “{name}” ({kind}) reports to group “{group}”.", name=name, kind=kind, group=group.name),
        row,
        token,
    )


def _never_used(ctx: Context, row: SourceRow, kind: str, group_id: int) -> bool:
    """Whether the same person says the same again before anything was reported: the URL never reached them."""
    return (row.kind, row.group_id, row.created_by, row.seen_at) == (kind, group_id, ctx.person.id, None)


def _new_url(ctx: Context, row: SourceRow) -> Answers:
    token = ctx.rules.new_token()
    sources.rotate(ctx.tx, row.id, token)
    ctx.log("source rotate", row.name)
    title = _("Alert source “{name}” has a new URL; the old one stopped working.", name=row.name)
    return _url(ctx, title, row, token)


def list_(ctx: Context, request: Request) -> Answers:
    count, page = sources.page(ctx.tx, PAGE, ctx.offset)
    if not count:
        return said(_("There are no alert sources yet."), Paragraph(_("Add one:")), Examples((examples.ADD_SOURCE,)))
    rows = tuple(
        (
            row.name,
            row.kind,
            row.group_name or _("no group: its alerts reach nobody"),
            local(row.seen_at, ctx.rules.zone) if row.seen_at else _("never"),
        )
        for row in page
    )
    return paged(
        ctx,
        request,
        count,
        n_("{n} alert source", "{n} alert sources", count),
        Table((_("Source"), _("Kind"), _("Group"), _("Last report")), rows),
    )


def move(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    row = _find(ctx, request, examples.MOVE_SOURCE)
    if not request.keys.get("to", "").strip():
        raise CommandError(_("Say which group gets its alerts. Example: {example}", example=examples.MOVE_SOURCE))
    group = rules.find_group(ctx, request.keys["to"])
    sources.retarget(ctx.tx, row.id, group.id)
    ctx.log("source move", row.name, {"group": row.group_name}, {"group": group.name})
    return said(
        _("Alert source “{name}” ({kind}) reports to group “{group}”.", name=row.name, kind=row.kind, group=group.name)
    )


def remove(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    row = _find(ctx, request, examples.REMOVE_SOURCE)
    return confirm_first(
        ctx,
        "source remove",
        _("Remove alert source “{name}”? Its URL stops working at once.", name=row.name),
        {"id": row.id, "name": row.name},
    )


def removed(ctx: Context, body: Mapping[str, Any]) -> Answers:
    ctx.need_admin(ADMIN)
    row = sources.by_key(ctx.tx, names.key(body["name"]))
    if row is None or row.id != body["id"]:
        return said(_("Alert source “{name}” was removed by somebody else meanwhile.", name=body["name"]))
    sources.remove(ctx.tx, row.id)
    ctx.log("source remove", row.name, {"kind": row.kind, "group": row.group_name}, None)
    return said(_("Alert source “{name}” is removed.", name=row.name))


def rotate(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    _need_private(ctx)
    return _new_url(ctx, _find(ctx, request, examples.ROTATE_SOURCE))


COMMANDS = (
    Command(
        Form("source add", zh=("告警源添加", "添加告警源"), keys=("to",)),
        add,
        "sources",
        _("let a monitoring system report alerts"),
        ("source add <name> <kind> to <group>", "告警源添加 <名> <类型> 到 <组>"),
    ),
    Command(
        Form("source list", en=("sources",), zh=("告警源列表", "告警源")),
        list_,
        "sources",
        _("all alert sources"),
        ("source list", "告警源列表"),
    ),
    Command(
        Form("source move", zh=("告警源改组",), keys=("to",)),
        move,
        "sources",
        _("report to another group"),
        ("source move <name> to <group>", "告警源改组 <名> 到 <组>"),
    ),
    Command(
        Form("source remove", zh=("告警源删除", "删除告警源")),
        remove,
        "sources",
        _("remove a source (asks first)"),
        ("source remove <name>", "告警源删除 <名>"),
        confirmed=removed,
    ),
    Command(
        Form("source rotate", zh=("告警源轮换", "轮换告警源")),
        rotate,
        "sources",
        _("a new URL instead of the old one"),
        ("source rotate <name>", "告警源轮换 <名>"),
    ),
)
