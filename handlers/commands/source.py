"""Alert sources in chat. The URL of a source is a secret: it is shown once, to the person alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from handlers import contacts as rules
from handlers import examples, mapping, names, undo
from handlers.cards import severity_name
from handlers.commands import several
from handlers.commands.assignments import assignments
from handlers.commands.contract import PAGE, Answers, Command, confirm_first, paged, said, whole
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Block, Document, Examples, Facts, Paragraph, Table
from handlers.errors import CommandError, PayloadError
from handlers.model import Alert
from handlers.sources import SOURCES
from handlers.sources.contract import Body, cut, one_line
from handlers.texts import Say, _, from_json, n_
from handlers.times import local
from storage import bodies, sources
from storage.sources import SourceRow

ADMIN = _("manage alert sources")

BODY_CHARS = 300
"""Of a body that could not be read, its beginning."""

PREVIEWED = 3
"""Alerts of a body that a preview shows."""

PREVIEW_CHARS = 300
SHOW_WORDS = ("", "show", "view", "查看", "显示")
PREVIEW_WORDS = ("preview", "try", "test", "预览", "试用")
CLEAR_WORDS = ("clear", "remove", "delete", "off", "清除", "删除", "取消")


def _find(ctx: Context, request: Request, example: Say) -> SourceRow:
    missing = _("The name of an alert source is missing. Example: {example}", example=example)
    name = several.one_name(request, "source", example, missing)
    row = sources.by_key(ctx.tx, names.key(name))
    if row is None:
        raise names.unknown("source", name, sources.names(ctx.tx))
    return row


def _need_private(ctx: Context) -> None:
    if not ctx.place.direct and ctx.place.platform not in ctx.rules.private:
        raise CommandError(_("The URL of a source is a secret. Send me this command again in a one-to-one chat."))


def _url(ctx: Context, title: Say, row: SourceRow, token: str) -> Answers:
    """The URL for the person alone, and in a group a word that it was sent."""
    urls = SOURCES[row.kind].addresses(ctx.rules.public_url, token)
    how: Say = _("Reports go to this URL, by POST. Whoever has it can raise alerts, so keep it like a password:")
    if len(urls) > 1:
        how = _(
            "Tools that post to a chat robot post to one of these instead, in the order DingTalk, WeCom, Lark, Slack. "
            "Whoever has one can raise alerts, so keep them like passwords:"
        )
    private = Document(
        title,
        (
            Paragraph(how),
            Examples(urls),
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
    undo.made(ctx, "source", source_id)
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


def _need_owner(ctx: Context, row: SourceRow) -> None:
    """What a source sent is for who added it, and for admins."""
    if row.created_by is None or row.created_by not in ctx.identities:
        ctx.need_admin(ADMIN)


def _alone(ctx: Context, document: Document) -> Answers:
    """The answer for the person alone, and in a group a word that it was sent: it shows what a source sent."""
    if not ctx.place.direct and ctx.place.platform not in ctx.rules.private:
        raise CommandError(_("This may show what the source sent. Send me this command again in a one-to-one chat."))
    answers = [Answer(document, "private")]
    if not ctx.place.direct:
        answers.append(Answer(Document(_("The answer comes to you alone, in our one-to-one chat."))))
    return answers


def show(ctx: Context, request: Request) -> Answers:
    row = _find(ctx, request, examples.SHOW_SOURCE)
    _need_owner(ctx, row)
    blocks: list[Block] = [
        Facts(
            (
                (_("Kind"), row.kind),
                (_("Group"), row.group_name or _("no group: its alerts reach nobody")),
                (_("Last report"), local(row.seen_at, ctx.rules.zone) if row.seen_at else _("never")),
            )
        )
    ]
    if row.mapping:
        blocks.append(_mapping_table(row.mapping))
    refused = bodies.refused(ctx.tx, row.id, ctx.now)
    if refused:
        blocks.append(Paragraph(_("These could not be read in the last 24 hours, the newest first:")))
        rows = tuple(
            (
                local(body.at, ctx.rules.zone),
                _("{path}: {why}", path=body.path or "$", why=from_json(body.say)),
                cut(one_line(body.raw), BODY_CHARS),
            )
            for body in refused
        )
        blocks.append(Table((_("Time"), _("Problem"), _("Body")), rows))
        if row.kind in mapping.KINDS and not row.mapping:
            blocks.append(Paragraph(_("If these are reports of another form, say where in them the alert stands:")))
            blocks.append(Examples((examples.map_source(row.name),)))
    else:
        blocks.append(Paragraph(_("Everything it sent in the last 24 hours could be read.")))
    return _alone(ctx, Document(_("Alert source “{name}”", name=row.name), tuple(blocks)))


def _mapping_table(mapped: Mapping[str, str]) -> Table:
    return Table((_("Field"), _("Read from")), tuple(sorted(mapped.items())))


def map_(ctx: Context, request: Request) -> Answers:
    """Sets, shows, tries or clears the mapping of a source, by what follows its name."""
    row = _find(ctx, request, examples.MAP_SOURCE)
    _need_owner(ctx, row)
    if row.kind not in mapping.KINDS:
        raise CommandError(
            _(
                "Source “{name}” is of the kind {kind}, whose form is known. A mapping is for the kind json.",
                name=row.name,
                kind=row.kind,
            )
        )
    word = request.text.strip().casefold()
    if word in SHOW_WORDS:
        return _mapping(row)
    if word in PREVIEW_WORDS:
        return _preview(ctx, row)
    if word in CLEAR_WORDS:
        undo.touch(ctx, "source", row.id)
        sources.set_mapping(ctx.tx, row.id, None)
        ctx.log("source map", row.name, {"mapping": row.mapping}, None)
        return said(_("Source “{name}” has no mapping any more: it takes our own form of JSON.", name=row.name))
    changed = {**(row.mapping or {}), **assignments(request.text)}
    mapped = {name: text for name, text in changed.items() if text}
    mapping.checked(mapped)
    undo.touch(ctx, "source", row.id)
    sources.set_mapping(ctx.tx, row.id, mapped)
    ctx.log("source map", row.name, {"mapping": row.mapping}, {"mapping": mapped})
    return said(
        _("What source “{name}” sends is read like this now.", name=row.name),
        _mapping_table(mapped),
        Paragraph(_("To try it on what came in last:")),
        Examples((examples.preview_mapping(row.name),)),
    )


def _mapping(row: SourceRow) -> Answers:
    if not row.mapping:
        return said(
            _("Source “{name}” has no mapping: it takes our own form of JSON.", name=row.name),
            Paragraph(_("For other JSON, say where in it the alert stands:")),
            Examples((examples.map_source(row.name),)),
        )
    return said(_("Mapping of source “{name}”", name=row.name), _mapping_table(row.mapping))


def _preview(ctx: Context, row: SourceRow) -> Answers:
    body = bodies.latest(ctx.tx, row.id, ctx.now)
    if body is None:
        raise CommandError(
            _("Source “{name}” has sent nothing in the last 24 hours that a mapping could be tried on.", name=row.name)
        )
    if not row.mapping:
        raise CommandError(
            _(
                "Source “{name}” has no mapping yet. Example: {example}",
                name=row.name,
                example=examples.map_source(row.name),
            )
        )
    at = local(body.at, ctx.rules.zone)
    try:
        alerts = mapping.alerts(Body(body.raw.encode()), row.mapping, ctx.now)
    except PayloadError as error:
        return _alone(
            ctx,
            Document(
                _("What came in at {time} cannot be read by this mapping.", time=at),
                (
                    Paragraph(_("{path}: {why}", path=error.path, why=error.say)),
                    Paragraph(cut(one_line(body.raw), BODY_CHARS)),
                ),
                tone="warning",
            ),
        )
    title = n_("What came in at {time} is {n} alert.", "What came in at {time} is {n} alerts.", len(alerts), time=at)
    return _alone(ctx, Document(title, tuple(_previewed(alerts))))


def _previewed(alerts: Sequence[Alert]) -> Iterator[Block]:
    """The first alerts, field by field."""
    for alert in alerts[:PREVIEWED]:
        facts: list[tuple[Say, Say]] = [
            (_("Title"), cut(alert.title, PREVIEW_CHARS)),
            (_("Status"), _("resolved") if alert.status == "resolved" else _("firing")),
            (_("Severity"), severity_name(alert.severity)),
        ]
        if alert.description:
            facts.append((_("Description"), cut(alert.description, PREVIEW_CHARS)))
        facts += [(_("Link"), url) for _label, url in alert.links]
        facts += [(name, cut(text, PREVIEW_CHARS)) for name, text in list(alert.labels.items())[:PAGE]]
        yield Facts(tuple(facts))
    if len(alerts) > PREVIEWED:
        rest = len(alerts) - PREVIEWED
        yield Paragraph(n_("and {n} more alert", "and {n} more alerts", rest))


def list_(ctx: Context, request: Request) -> Answers:
    count, page = sources.page(ctx.tx, PAGE, ctx.offset)
    if not count:
        return whole(
            ctx, _("There are no alert sources yet."), Paragraph(_("Add one:")), Examples((examples.ADD_SOURCE,))
        )
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
    undo.touch(ctx, "source", row.id)
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
    undo.touch(ctx, "source", row.id)
    sources.remove(ctx.tx, row.id)
    ctx.log("source remove", row.name, {"kind": row.kind, "group": row.group_name}, None)
    return said(_("Alert source “{name}” is removed.", name=row.name), undo.HINT)


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
        Form("source show", zh=("查看告警源",)),
        show,
        "sources",
        _("kind, group, mapping and what could not be read"),
        ("source show <name>", "查看告警源 <名>"),
    ),
    Command(
        Form("source map", zh=("告警源映射",), text=True, lead=1),
        map_,
        "sources",
        _("read other JSON: show, preview, clear, or field=place"),
        ("source map <name> <field>=<place> …", "告警源映射 <名> <字段>=<位置> …"),
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
