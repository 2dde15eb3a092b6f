"""Times and durations as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from babel.core import get_global

from handlers.texts import Say, _, n_


def zone_of(region: str) -> tzinfo:
    """The time zone people of a region expect: its own where it has one, China's everywhere in China, else UTC."""
    if region == "CN":
        return ZoneInfo("Asia/Shanghai")
    zones = [zone for zone, territory in get_global("zone_territories").items() if territory == region]
    return ZoneInfo(zones[0]) if len(zones) == 1 else ZoneInfo("UTC")


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
