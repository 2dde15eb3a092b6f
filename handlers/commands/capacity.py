"""What waits, and how much may still be sent: `queue` and `quota`. Addresses are always masked here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial, reduce

from handlers import meters, outbox, places
from handlers.addresses import PHONE, channel_name
from handlers.budgets import Throttle, next_slot, past
from handlers.commands.contract import PAGE, Answers, Command, paged, whole
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Table
from handlers.texts import Say, _, from_json, n_
from handlers.times import lasting, local
from storage import backlog, people
from storage import meters as months
from storage.backlog import Waiting, Window
from storage.database import Tx
from storage.schema import from_ms, to_ms


def way_of(lane: str) -> str:
    """The key of the lane's budgets in `Rules.budgets`; "" for codes by phone and mail: they have limits of their own."""
    way, _colon, rest = lane.partition(":")
    if way in outbox.CHAT_LANES:
        return f"chat:{rest.partition(':')[0]}"
    return "" if rest.endswith(":code") else way


def within(sent_ms: Sequence[int], throttle: Throttle, now_ms: int) -> int:
    """How many of the sends lie in the window that ends now."""
    return sum(sent > now_ms - throttle.per_s * 1000 for sent in sent_ms)


def use(sent_ms: Sequence[int], budgets: Sequence[Throttle], now: datetime) -> Say:
    """What of each budget is used now, in words."""
    parts: list[Say] = [
        _(
            "{used} of {limit} in {span}",
            used=within(sent_ms, one, to_ms(now)),
            limit=one.count,
            span=lasting(timedelta(seconds=one.per_s)),
        )
        for one in budgets
    ]
    return reduce(lambda first, second: _("{first}; {second}", first=first, second=second), parts)


def why(waiting: Waiting, now: datetime) -> Say:
    """What the next message of the lane waits for."""
    if waiting.busy or waiting.next_at is None or waiting.next_at <= now:
        return _("it is being sent")
    if not waiting.say:
        return _("the limit of this address is reached")
    if not waiting.attempts:
        return from_json(waiting.say)
    return _("after {tries}: {why}", tries=n_("{n} try", "{n} tries", waiting.attempts), why=from_json(waiting.say))


def _destination(tx: Tx, lane: str, masked: str = "") -> Say:
    """The name of where a lane leads to; `masked` is the address, where it is known."""
    way, _colon, rest = lane.partition(":")
    if way == "person":
        person = people.by_id(tx, rest)
        return _("one-to-one chat with {person}", person=(person.name if person else "") or rest)
    if way == "chat":
        return places.shown(tx, rest)
    address = masked or backlog.masked(tx, PHONE if way == outbox.VOICE else way, rest.removesuffix(":code"))
    return _("{channel} {address}", channel=channel_name(way), address=address) if address else channel_name(way)


def queue(ctx: Context, request: Request) -> Answers:
    lanes, messages = backlog.sizes(ctx.tx)
    if not lanes:
        return whole(ctx, _("Nothing is waiting to be sent."))
    zone = ctx.rules.zone
    rows = tuple(
        (
            _destination(ctx.tx, one.lane, one.masked),
            str(one.count),
            local(one.since, zone),
            local(one.next_at, zone)
            if one.next_at is not None and one.next_at > ctx.now and not one.busy
            else _("now"),
            local(one.until, zone),
            why(one, ctx.now),
        )
        for one in backlog.page(ctx.tx, PAGE, ctx.offset)
    )
    header: tuple[Say, ...] = (_("Where to"), _("Messages"), _("Since"), _("Goes on"), _("Given up"), _("Why"))
    return paged(ctx, request, lanes, n_("{n} message waits", "{n} messages wait", messages), Table(header, rows))


def _month(ctx: Context, platform: str, limit: int) -> tuple[Say, ...]:
    zone = ctx.rules.zone
    used = months.used(ctx.tx, platform, meters.month_of(ctx.now, zone))
    return (
        _("{platform}, this month", platform=meters.platform_name(platform)),
        _("{used} of {limit} ({percent} %)", used=used, limit=limit, percent=meters.share(used, limit)),
        local(meters.next_month(ctx.now, zone), zone),
    )


def _window(ctx: Context, one: Window, budgets: Sequence[Throttle]) -> tuple[Say, ...]:
    now_ms = to_ms(ctx.now)
    slot = next_slot(one.sent, budgets, now_ms)
    free: Say = local(from_ms(slot), ctx.rules.zone) if slot > now_ms else _("now")
    if one.open_at is not None and one.open_at > max(from_ms(slot), ctx.now):
        free = _("paused until {time}", time=local(one.open_at, ctx.rules.zone))
    return (_destination(ctx.tx, one.lane), use(one.sent, budgets, ctx.now) if budgets else "–", free)


def _idle(ctx: Context, way: str, budgets: Sequence[Throttle]) -> tuple[Say, ...]:
    """What every destination of a kind of which none is in use may be sent."""
    chat, _colon, platform = way.partition(":")
    name = (
        _("each conversation in {platform}", platform=meters.platform_name(platform))
        if platform
        else _("each {channel}", channel=channel_name(chat))
    )
    return (name, use((), budgets, ctx.now), _("now"))


def quota(ctx: Context, request: Request) -> Answers:
    now_ms = to_ms(ctx.now)
    limits = {way: budgets for way, budgets in ctx.rules.budgets.items() if budgets}
    in_use = [
        one
        for one in (replace(one, sent=past(one.sent, now_ms)) for one in backlog.windows(ctx.tx))
        if (one.open_at is not None and one.open_at > ctx.now)
        or any(within(one.sent, limit, now_ms) for limit in limits.get(way_of(one.lane), ()))
    ]
    idle = limits.keys() - {way_of(one.lane) for one in in_use}
    lines: list[Callable[[], tuple[Say, ...]]] = [
        *(partial(_month, ctx, platform, limit) for platform, limit in ctx.rules.months.items()),
        *(partial(_window, ctx, one, limits.get(way_of(one.lane), ())) for one in in_use),
        *(partial(_idle, ctx, way, limits[way]) for way in limits if way in idle),
    ]
    if not lines:
        return whole(ctx, _("Nothing here has a limit."))
    rows = tuple(line() for line in lines[ctx.offset : ctx.offset + PAGE])
    header: tuple[Say, ...] = (_("What"), _("Used"), _("Free again"))
    return paged(ctx, request, len(lines), _("What may be sent, and what of it is used"), Table(header, rows))


COMMANDS = (
    Command(
        Form("queue", zh=("队列",)),
        queue,
        "alerts",
        _("what waits to be sent, since when and until when"),
        ("queue", "队列"),
    ),
    Command(
        Form("quota", zh=("配额",)),
        quota,
        "alerts",
        _("what may be sent in a minute and in a month, and what of it is used"),
        ("quota", "配额"),
    ),
)
