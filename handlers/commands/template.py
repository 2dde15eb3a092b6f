"""Templates in chat: an admin's own title or text for the cards of a source, and how a card looks with them."""

from __future__ import annotations

import re
from dataclasses import replace

from handlers import cards, examples, names, templates, undo
from handlers.commands.contract import Answers, Command, said
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Block, Examples, Facts, Paragraph
from handlers.errors import CommandError
from handlers.templates import PARTS, Occasion, Part, TemplateFailed
from handlers.texts import Say, _
from handlers.times import minute, zone_named
from storage import alerts, contacts, groups, sources
from storage import templates as kept
from storage.sources import SourceRow

WORDS: dict[str, Part] = {
    "title": "title",
    "标题": "title",
    "text": "text",
    "body": "text",
    "正文": "text",
    "文本": "text",
    "内容": "text",
}

_PART = re.compile(r"\s(title|text|body)(?![\w.])|\s*(标题|正文|文本|内容)", re.IGNORECASE)
_QUOTES = " \t\n\"'“”「」"


def _find(ctx: Context, name: str, example: Say) -> SourceRow:
    name = name.strip(_QUOTES)
    if not name:
        raise CommandError(_("The name of an alert source is missing. Example: {example}", example=example))
    row = sources.by_key(ctx.tx, names.key(name))
    if row is None:
        raise names.unknown("source", name, sources.names(ctx.tx))
    return row


def _read(ctx: Context, said: str, example: Say) -> tuple[SourceRow, Part | None, str]:
    """Source, part and what comes behind it. The name may have blanks in it, and be a word for a part itself."""
    found = list(_PART.finditer(said))
    for match in found:
        row = sources.by_key(ctx.tx, names.key(said[: match.start()].strip(_QUOTES)))
        if row is not None:
            return row, WORDS[(match[1] or match[2]).casefold()], said[match.end() :].lstrip(" \t:：").rstrip()
    whole = sources.by_key(ctx.tx, names.key(said.strip(_QUOTES)))
    return whole or _find(ctx, said[: found[0].start()] if found else said, example), None, ""


def set_(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(_("change how cards look"))
    source, part, body = _read(ctx, request.text, examples.SET_TEMPLATE)
    if part is None or not body:
        raise CommandError(
            _(
                "A template needs a source, title or text, and its words. Example: {example}",
                example=examples.SET_TEMPLATE,
            )
        )
    about = _occasion(ctx, source, None)
    templates.check(part, body, about)
    before = next((one.body for one in kept.of_source(ctx.tx, source.id) if one.part == part), None)
    undo.touch(ctx, "source", source.id)
    kept.put(ctx.tx, source.id, part, body, ctx.person.id, ctx.now)
    ctx.log("template set", source.name, {part: before} if before else None, {part: body})
    return _preview(
        ctx, source, about, _("The {part} of the cards of “{name}” is changed.", part=PARTS[part], name=source.name)
    )


def show(ctx: Context, request: Request) -> Answers:
    source = _find(ctx, " ".join(request.names), examples.SHOW_TEMPLATE)
    rows = kept.of_source(ctx.tx, source.id)
    if not rows:
        return said(
            _("“{name}” has no templates: its alerts have the standard card.", name=source.name),
            Paragraph(_("To change the title or the text of its cards:")),
            Examples((examples.set_template(source.name),)),
        )
    blocks: list[Block] = [Facts(tuple((PARTS[templates.part_of(row.part)], row.body) for row in rows))]
    blocks += [
        Paragraph(
            _(
                "The {part} could not be filled in at {time}, and the standard one was sent: {why}",
                part=PARTS[templates.part_of(row.part)],
                time=minute(row.failed_at, ctx.rules.zone),
                why=row.failure or "",
            )
        )
        for row in rows
        if row.failed_at
    ]
    return said(_("Templates of “{name}”", name=source.name), *blocks)


def preview(ctx: Context, request: Request) -> Answers:
    source = _find(ctx, " ".join(request.names), examples.PREVIEW_TEMPLATE)
    return _preview(ctx, source, _occasion(ctx, source, request.numbers[0] if request.numbers else None))


def _occasion(ctx: Context, source: SourceRow, number: int | None) -> Occasion:
    """The alert of that number, else the source's newest, else a made-up one. Raises CommandError."""
    row = alerts.by_id(ctx.tx, number) if number is not None else alerts.latest(ctx.tx, source.id)
    if number is not None and (row is None or row.source_id != source.id):
        raise CommandError(_("“{name}” has reported no alert {number}.", name=source.name, number=f"#{number}"))
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    group = groups.by_id(ctx.tx, row.group_id) if row and row.group_id else None
    return Occasion(
        cards.reported(row) if row else templates.SAMPLE,
        row.id if row else None,
        source=source.name,
        group=(group.name if group else "") if row else source.group_name or "",
        zone=zone_named(own.timezone if own else None, ctx.rules.zone),
        language=ctx.language,
        history=cards.history_of(ctx.tx, row) if row else cards.NOBODY,
    )


def _preview(ctx: Context, source: SourceRow, about: Occasion, *first: Say) -> Answers:
    """The card as it would go out, below what is said first."""
    document = cards.alert_document(
        about.alert,
        about.number,
        source=about.source,
        group=about.group,
        zone=about.zone,
        history=about.history,
    )
    remarks = list(first)
    for row in kept.of_source(ctx.tx, source.id):
        part = templates.part_of(row.part)
        try:
            document = templates.applied(document, part, row.body, about)
        except TemplateFailed as error:
            remarks.append(_("The {part} cannot be filled in: {why}", part=PARTS[part], why=error.say))
    if about.number is None:
        remarks.append(_("“{name}” has reported nothing yet: this alert is made up.", name=source.name))
    return [Answer(replace(document, blocks=(*map(Paragraph, remarks), *document.blocks)))]


def clear(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(_("change how cards look"))
    source, wanted, _rest = _read(ctx, request.text, examples.CLEAR_TEMPLATE)
    gone = [row for row in kept.of_source(ctx.tx, source.id) if wanted in (None, row.part)]
    if not gone:
        return said(_("“{name}” has no such template.", name=source.name))
    undo.touch(ctx, "source", source.id)
    for row in gone:
        kept.clear(ctx.tx, source.id, row.part)
    ctx.log("template clear", source.name, {templates.part_of(row.part): row.body for row in gone}, None)
    return said(_("The cards of “{name}” are the standard ones again.", name=source.name))


COMMANDS = (
    Command(
        Form("template set", zh=("设置模板", "模板设置"), text=True),
        set_,
        "sources",
        _("own words for the title or the text of a source's cards, in Jinja2"),
        ("template set <source> title or text <template>", "设置模板 <告警源> 标题 或 正文 <模板>"),
    ),
    Command(
        Form("template show", en=("templates",), zh=("查看模板", "模板查看", "模板")),
        show,
        "sources",
        _("the templates of a source, and whether they work"),
        ("template show <source>", "查看模板 <告警源>"),
    ),
    Command(
        Form("template preview", zh=("预览模板", "模板预览")),
        preview,
        "sources",
        _("how a card of the source looks"),
        ("template preview <source> [#number]", "预览模板 <告警源> [#编号]"),
    ),
    Command(
        Form("template clear", zh=("清除模板", "模板清除", "删除模板"), text=True),
        clear,
        "sources",
        _("the standard card instead of a template"),
        ("template clear <source> [title or text]", "清除模板 <告警源> [标题 或 正文]"),
    ),
)
