"""Times and durations as people read them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from babel.core import get_global
from rapidfuzz import fuzz, process

from handlers.errors import CommandError
from handlers.names import printable
from handlers.texts import Say, _, n_


def zone_of(region: str) -> tzinfo:
    """The time zone people of a region expect: its own where it has one, China's everywhere in China, else UTC."""
    if region == "CN":
        return ZoneInfo("Asia/Shanghai")
    zones = [zone for zone, territory in get_global("zone_territories").items() if territory == region]
    return ZoneInfo(zones[0]) if len(zones) == 1 else ZoneInfo("UTC")


_OFFSET = re.compile(r"(?:utc|gmt)?\s?([+-])0?(\d{1,2})(?::?00)?")
_NEAR = 75  # of 100; a town that is in no name (`Chengdu`) stays below


@cache
def _zones() -> dict[str, str]:
    """What people write for a zone, folded -> its name: the name itself, or the town in it, when there is but one."""
    names = sorted(name for name in available_timezones() if "/" in name)
    towns: dict[str, list[str]] = {}
    for name in names:
        if name.startswith("Etc/"):  # GMT-5 there is what people call UTC+5
            continue
        towns.setdefault(name.rpartition("/")[2].casefold(), []).append(name)
    return {
        **{town: found[0] for town, found in towns.items() if len(found) == 1},
        **{name.casefold(): name for name in names},
        "beijing": "Asia/Shanghai",
        "北京": "Asia/Shanghai",
        "上海": "Asia/Shanghai",
        "utc": "UTC",
        "gmt": "UTC",
    }


def zone_name(text: str) -> str:
    """The IANA name of the zone somebody means: `asia/shanghai`, `New York`, `UTC+8`. Raises CommandError with the nearest."""
    wanted = re.sub(r"[\s_]+", "_", text.strip()).casefold()
    known = _zones()
    if wanted in known:
        return known[wanted]
    offset = _OFFSET.fullmatch(wanted)
    if offset:  # the signs of these names are the other way round, as POSIX has them
        name = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{int(offset[2])}"
        if name.casefold() in known:
            return known[name.casefold()]
    close = process.extractOne(wanted, known.keys(), scorer=fuzz.ratio, score_cutoff=_NEAR)
    shown = printable(text)[:64]
    if close:
        raise CommandError(
            _("There is no time zone “{name}”. Did you mean “{close}”?", name=shown, close=known[close[0]])
        )
    raise CommandError(
        _("There is no time zone “{name}”. Zones are written like {example}.", name=shown, example="Asia/Shanghai")
    )


def zone_named(name: str | None, default: tzinfo) -> tzinfo:
    """The zone of that name; the default without one, and for a name that this system does not know (any more)."""
    if not name:
        return default
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return default


def minute(moment: datetime, zone: tzinfo) -> str:
    """`2026-11-23 21:05 (UTC+8)`: to the minute, for people in several zones who read the same card."""
    try:
        there = moment.astimezone(zone)
    except OverflowError:  # the last hours of the year 9999
        there = moment
    offset = there.utcoffset() or timedelta()
    hours, minutes = divmod(abs(round(offset.total_seconds() / 60)), 60)
    name = f"UTC{'-' if offset < timedelta() else '+'}{hours}" if hours or minutes else "UTC"
    return f"{there:%Y-%m-%d %H:%M} ({name}{f':{minutes:02}' if minutes else ''})"


def local(moment: datetime, zone: tzinfo) -> str:
    """`2026-03-28 09:00:00 +08:00`."""
    return moment.astimezone(zone).isoformat(sep=" ", timespec="seconds").replace("+", " +", 1)


def lasting(span: timedelta) -> Say:
    """`2 h 5 min`, in the two largest units that matter."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return n_("{n} second", "{n} seconds", seconds)
    minutes = round(seconds / 60)
    if minutes < 60:
        return n_("{n} minute", "{n} minutes", minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return (
            _("{hours} h {minutes} min", hours=hours, minutes=minutes)
            if minutes
            else n_("{n} hour", "{n} hours", hours)
        )
    days, hours = divmod(hours, 24)
    return _("{days} d {hours} h", days=days, hours=hours) if hours else n_("{n} day", "{n} days", days)
