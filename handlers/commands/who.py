"""Who would get an alert, through what, and what is in the way. Nothing is sent; addresses are always masked here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce

from handlers import alerts, examples, matchers, meters, names, outbox, people_names
from handlers import silences as rules
from handlers.addresses import PHONE, channel_name
from handlers.budgets import next_slot, past
from handlers.commands.contract import PAGE, Answers, Command, paged
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Paragraph, Table
from handlers.errors import CommandError
from handlers.matchers import Matcher, Subject
from handlers.routing import Member, members
from handlers.texts import Say, _, from_json, n_
from handlers.times import lasting, local
from storage import backlog, groups, silences, sources
from storage import meters as months
from storage.backlog import Line
from storage.contacts import MethodRow
from storage.schema import from_ms, to_ms
from storage.silences import SilenceRow

WORTH_SAYING = timedelta(seconds=10)
"""A shorter wait is none."""


@dataclass(frozen=True, slots=True)
class Way:
    """One row of the answer: a group's member and one way to reach them; `open`: the alert goes there."""

    group: str
    name: Say
    through: Say
    obstacles: tuple[Say, ...]
    open: bool


def who(ctx: Context, request: Request) -> Answers:
    words = [*request.words, *request.emails, *request.urls, *request.phones]
    given = {one.name: one for one in matchers.parse(words, examples.WHO)}
    for one in given.values():
        if one.operator != "=":
            raise CommandError(
                _("Say what the alert has, with {sign}. Example: {example}", sign="=", example=examples.WHO)
            )
    if "severity" not in given:
        raise CommandError(
            _("Say how severe the alert is: critical, warning or info. Example: {example}", example=examples.WHO)
        )
    severity = given["severity"].value
    ways: list[Way] = []
    hidden: list[SilenceRow] = []
    active = silences.active(ctx.tx)
    for group_id, group_name, source_name in _groups(ctx, given):
        subject = _subject(given, group_name, source_name)
        silence = rules.first_match(active, subject)
        if silence is not None and silence not in hidden:
            hidden.append(silence)
        ways += _ways(ctx, group_id, group_name, severity, silence)
    notes = [Paragraph(_hides(ctx, one)) for one in hidden]
    reached = sum(way.open for way in ways)
    title = (
        n_("{n} address would get such an alert", "{n} addresses would get such an alert", reached)
        if reached
        else _("Nobody would get such an alert")
    )
    rows = tuple((way.group, way.name, way.through, _listed(way)) for way in ways[ctx.offset : ctx.offset + PAGE])
    header: tuple[Say, ...] = (_("Group"), _("Contact"), _("Through"), _("In the way"))
    [answer] = paged(ctx, request, len(ways), title, Table(header, rows))
    document = replace(answer.document, blocks=(*notes, *answer.document.blocks))
    return [replace(answer, document=document)]


def _subject(given: dict[str, Matcher], group_name: str, source_name: str) -> Subject:
    values = {name: one.value for name, one in given.items()}
    known = ("severity", "title", "rule", "source", "group")
    return Subject(
        values["severity"],
        {name: value for name, value in values.items() if name not in known},
        values.get("title", ""),
        values.get("rule", ""),
        source_name,
        group_name,
    )


def _groups(ctx: Context, given: dict[str, Matcher]) -> list[tuple[int, str, str]]:
    """Id and name of the groups that are told, and the source that reports; of all sources where none is named.

    Raises CommandError for a source or group that does not exist.
    """
    source_name = given["source"].value if "source" in given else ""
    source = sources.by_key(ctx.tx, names.key(source_name)) if source_name else None
    if source_name and source is None:
        raise names.unknown("source", source_name, sources.names(ctx.tx))
    if "group" in given:
        group = groups.by_key(ctx.tx, names.key(given["group"].value))
        if group is None:
            raise names.unknown("group", given["group"].value, groups.names(ctx.tx))
        return [(group.id, group.name, source.name if source else "")]
    if source is not None:
        if source.group_id is None:
            raise CommandError(
                _(
                    "The alert source “{name}” has no group, so nobody is told. Example: {example}",
                    name=source.name,
                    example=examples.move_source(source.name),
                )
            )
        return [(source.group_id, source.group_name or "", source.name)]
    found = [(group.id, group.name, "") for group in groups.told(ctx.tx)]
    if not found:
        raise CommandError(_("No alert source reports to a group yet. Example: {example}", example=examples.ADD_SOURCE))
    return found


def _hides(ctx: Context, silence: SilenceRow) -> Say:
    return _(
        "Silence {number} of {who} hides it until {time}{why}.",
        number=silence.id,
        who=people_names.shown(ctx.tx, silence.person),
        time=local(silence.ends_at, ctx.rules.zone),
        why=_(" ({why})", why=silence.because) if silence.because else "",
    )


def _ways(ctx: Context, group_id: int, group: str, severity: str, silence: SilenceRow | None) -> list[Way]:
    found = members(ctx.tx, group_id)
    if not found:
        return [Way(group, "–", "–", (_("the group has no members"),), False)]
    lanes = [lane for member in found for method in member.methods for lane in _lanes(ctx, method, severity)]
    lines = backlog.lines(ctx.tx, lanes, alerts.priority("firing", severity))
    first: dict[str, str] = {}
    ways: list[Way] = []
    for member in found:
        if not member.methods:
            ways.append(Way(group, member.name, "–", (_("no address"),), False))
        ways += _of_member(ctx, group, member, severity, silence, lines, first)
    return ways


def _lanes(ctx: Context, method: MethodRow, severity: str) -> list[str]:
    """Where an alert goes through this method: phones are called as well for what is critical."""
    called = method.channel == PHONE and severity == "critical" and outbox.VOICE not in ctx.rules.missing
    return [outbox.lane_of(method), *([outbox.call_lane(method)] if called else [])]


def _of_member(
    ctx: Context,
    group: str,
    member: Member,
    severity: str,
    silence: SilenceRow | None,
    lines: dict[str, Line],
    first: dict[str, str],
) -> Iterator[Way]:
    """The ways to one member. `first`: lane -> whose it is already; an address gets one card."""
    for method in member.methods:
        for lane in _lanes(ctx, method, severity):
            channel = lane.partition(":")[0]
            closed = list(_closed(ctx, method, channel))
            if silence is not None:
                closed.append(_("silence {number}", number=silence.id))
            if not closed and lane in first:
                closed.append(_("the same address as of {name}, which gets it once", name=first[lane]))
            if not closed and _reserved(ctx, lane, severity):
                closed.append(_("this month's messages are used up to the reserve for critical alerts"))
            slow = _slow(ctx, channel, lines[lane]) if not closed else []
            if not closed:
                first[lane] = member.name
            through = _("{channel} {address}", channel=channel_name(channel), address=method.masked)
            yield Way(group, member.name, through, (*closed, *slow), not closed)


def _closed(ctx: Context, method: MethodRow, channel: str) -> Iterator[Say]:
    """Why nothing goes there at all."""
    if method.state == "pending":
        yield _("not verified yet")
    elif method.state == "disabled":
        why: Say = from_json(json.loads(method.reason)) if method.reason else ""
        yield _("disabled: {why}", why=why) if why else _("disabled")
    missing = ctx.rules.missing.get(channel)
    if missing:
        yield _("not set up here: {settings} missing", settings=", ".join(missing))


def _reserved(ctx: Context, lane: str, severity: str) -> bool:
    """Whether the month's meter keeps what is left for others."""
    platform = meters.platform_of(lane)
    limit = ctx.rules.months.get(platform, 0)
    if not limit or severity == "critical":
        return False
    used = months.used(ctx.tx, platform, meters.month_of(ctx.now, ctx.rules.zone))
    return meters.share(used, limit) >= meters.RESERVE_AT


def _slow(ctx: Context, channel: str, line: Line) -> list[Say]:
    """Why it arrives later."""
    found: list[Say] = []
    if line.count:
        found.append(n_("{n} message waits before it", "{n} messages wait before it", line.count))
    now_ms = to_ms(ctx.now)
    opens = from_ms(next_slot(past(line.sent, now_ms), ctx.rules.budgets.get(channel, ()), now_ms))
    if line.open_at is not None and line.open_at > max(opens, ctx.now):
        found.append(_("paused until {time}", time=local(line.open_at, ctx.rules.zone)))
    elif opens - ctx.now > WORTH_SAYING:
        found.append(_("its limit is reached; free again in {span}", span=lasting(opens - ctx.now)))
    return found


def _listed(way: Way) -> Say:
    return _joined(way.obstacles) if way.obstacles else _("no obstacle")


def _joined(parts: Sequence[Say]) -> Say:
    return reduce(lambda first, second: _("{first}; {second}", first=first, second=second), parts)


COMMANDS = (
    Command(
        Form("who", zh=("谁收到",)),
        who,
        "alerts",
        _("who would get such an alert, through what, and what is in the way"),
        (
            "who <severity> [label=value …] [source=<name> or group=<name>]",
            "谁收到 <级别> [标签=值 …] [source=<名> 或 group=<名>]",
        ),
    ),
)
