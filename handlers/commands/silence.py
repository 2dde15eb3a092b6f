"""Silences in chat: made for a while, listed, ended early."""

from __future__ import annotations

from datetime import timedelta

from handlers import alert_cards, due, examples, matchers, names, people_names
from handlers import silences as rules
from handlers.commands import several
from handlers.commands.contract import PAGE, Answers, Command, paged, said, whole
from handlers.commands.parser import duration
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Block, Button, Examples, Items, Paragraph, Table
from handlers.errors import CommandError
from handlers.matchers import Matcher
from handlers.texts import Say, _, n_
from handlers.times import lasting, local
from storage import alerts, groups, silences, sources
from storage.alerts import AlertRow
from storage.silences import SilenceRow

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)
BECAUSE_MAX_CHARS = 500


def silence(ctx: Context, request: Request) -> Answers:
    lasts = _lasting(request)
    conditions = _conditions(ctx, request)
    row = silences.add(
        ctx.tx,
        matchers=matchers.to_json(conditions),
        because=names.printable(request.keys.get("because", "").strip())[:BECAUSE_MAX_CHARS],
        person=ctx.person.id,
        conversation=ctx.place.id,
        language=ctx.language,
        created_at=ctx.now,
        ends_at=ctx.now + lasts,
    )
    hidden = rules.begun(ctx.tx, row, ctx.now)
    shown = matchers.shown(conditions)
    ctx.log("silence", f"{row.id}: {shown}", None, {"for_s": int(lasts.total_seconds()), "because": row.because})
    until = local(row.ends_at, ctx.rules.zone)
    title = _("Silence {number}: {what} is quiet until {time}.", number=row.id, what=shown, time=until)
    blocks = _what_it_means(row, conditions, hidden)
    if not hidden and not rules.hidden_by_others(ctx.tx, row):
        blocks.insert(0, Paragraph(_("No open alert matches now.")))
    if ctx.pressed and len(request.numbers) == 1:
        return list(alert_cards.changed(ctx, request.numbers[0], title, *blocks))
    return said(title, *blocks, buttons=(Button(_("End silence"), examples.end_silence(row.id), anyone=True),))


def _lasting(request: Request) -> timedelta:
    words = request.keys.get("for", "")
    if not words:
        raise CommandError(_("Say for how long. Example: {example}", example=examples.SILENCE_ALERT))
    lasts = duration(words)
    if lasts is None or not SHORTEST <= lasts <= LONGEST:
        raise CommandError(
            _(
                "“{words}” cannot be: a silence lasts from {shortest} to {longest}. Example: {example}",
                words=names.printable(words)[:40],
                shortest=lasting(SHORTEST),
                longest=lasting(LONGEST),
                example=examples.SILENCE_ALERT,
            )
        )
    return lasts


def _conditions(ctx: Context, request: Request) -> tuple[Matcher, ...]:
    """What is to be quiet. Raises CommandError, also for what would be nearly everything."""
    found: list[Matcher] = []
    for number in request.numbers:
        row = alerts.by_id(ctx.tx, number)
        if row is None:
            raise CommandError(_("There is no alert {number}. “alerts” shows what is open.", number=f"#{number}"))
        found.append(matchers.of_alert(row.id, row.source_id, row.fingerprint))
    if len(found) > 1:
        raise CommandError(_("One alert at a time. Example: {example}", example=examples.silence(request.numbers[0])))
    digits = {str(number) for number in request.numbers}
    words = [*request.words, *request.emails, *request.urls, *request.phones, *request.mentions]
    found += matchers.parse([word for word in words if word not in digits], examples.SILENCE)
    if not any(one.narrows for one in found):
        raise CommandError(
            _(
                "Say what is to be quiet: everything at once is not possible. Example: {example}",
                example=examples.SILENCE,
            )
        )
    for one in found:
        _known(ctx, one)
    return tuple(found)


def _known(ctx: Context, one: Matcher) -> None:
    """Raises CommandError for a source or group that does not exist: such a silence would hide nothing."""
    if one.operator != "=" or "*" in one.value:
        return
    if one.name == "source" and sources.by_key(ctx.tx, names.key(one.value)) is None:
        raise names.unknown("source", one.value, sources.names(ctx.tx))
    if one.name == "group" and groups.by_key(ctx.tx, names.key(one.value)) is None:
        raise names.unknown("group", one.value, groups.names(ctx.tx))


def _what_it_means(row: SilenceRow, conditions: tuple[Matcher, ...], hidden: list[AlertRow]) -> list[Block]:
    blocks: list[Block] = []
    critical = sum(one.severity == "critical" for one in hidden)
    if critical:
        blocks.append(
            Paragraph(
                n_(
                    "Careful: {n} critical alert is quiet now, and others that match will be.",
                    "Careful: {n} critical alerts are quiet now, and others that match will be.",
                    critical,
                )
            )
        )
    elif matchers.may_be(conditions, "critical") and not any(one.operator == "is" for one in conditions):
        add = "severity!=critical"
        blocks.append(
            Paragraph(_("Careful: critical alerts that match are quiet too. To except them add {add}.", add=add))
        )
    if hidden:
        blocks.append(Items(tuple(f"#{one.id} {one.title}" for one in hidden[: rules.MOST_NAMED])))
    if len(hidden) > rules.MOST_NAMED:
        blocks.append(Paragraph(_("and {n} more", n=len(hidden) - rules.MOST_NAMED)))
    blocks += [
        Paragraph(_("When it ends I say here what it hid, and send what is still firing. To end it now:")),
        Examples((examples.end_silence(row.id),)),
    ]
    return blocks


def list_(ctx: Context, request: Request) -> Answers:
    count, page = silences.page(ctx.tx, PAGE, ctx.offset)
    if not count:
        return whole(ctx, _("Nothing is silenced."))
    rows = tuple(
        (
            str(row.id),
            rules.shown(row),
            local(row.ends_at, ctx.rules.zone),
            str(hidden),
            people_names.shown(ctx.tx, row.person),
            row.because or "–",
        )
        for row, hidden in page
    )
    header: tuple[Say, ...] = (_("No."), _("What is quiet"), _("Until"), _("Alerts hidden"), _("Who"), _("Why"))
    return paged(ctx, request, count, n_("{n} silence", "{n} silences", count), Table(header, rows))


def end(ctx: Context, request: Request) -> Answers:
    if not request.numbers:
        raise CommandError(_("The number of a silence is missing. Example: {example}", example=examples.END_SILENCE))
    number = request.numbers[0]
    over = rules.ended(ctx.tx, number, ctx.person.id, ctx.now)
    if over is None:
        known = silences.by_id(ctx.tx, number)
        if known is None:
            raise CommandError(_("There is no silence {number}. “silence list” shows all.", number=number))
        time = local(known.ended_at or ctx.now, ctx.rules.zone)
        raise CommandError(_("Silence {number} was over at {time}.", number=number, time=time))
    ctx.log("silence end", f"{number}: {rules.shown(over.silence)}")
    ctx.wake |= due.told_again(ctx.tx, over, ctx.rules, ctx.now)
    if over.silence.conversation != ctx.place.id:
        ctx.wake |= due.report(ctx.tx, over, ctx.now)
    document = rules.document(over)
    return said(document.title, *document.blocks)


COMMANDS = (
    Command(
        Form("silence", zh=("静默",), keys=("for", "because")),
        silence,
        "alerts",
        _("alerts that match stay quiet for a while"),
        ("silence <#id or label=value …> for <2h> [because <text>]", "静默 <#编号或 标签=值 …> <2小时> [因为 <文字>]"),
    ),
    Command(
        Form("silence list", zh=("静默列表",)),
        list_,
        "alerts",
        _("what is quiet, until when and why"),
        ("silence list", "静默列表"),
    ),
    Command(
        Form("silence end", zh=("结束静默",)),
        several.each_number(end, lambda count: n_("{n} silence", "{n} silences", count), whole=True),
        "alerts",
        _("end a silence now"),
        ("silence end <number>", "结束静默 <编号>"),
    ),
)
