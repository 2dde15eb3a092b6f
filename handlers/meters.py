"""The month meter: what a platform's free editions allow an organisation in a calendar month, and what is left of it.

Every message that counts is counted in the transaction that writes that it was sent. The admins are told at 50, 80 and
95 %. What is left then is a reserve: a message that can be done without becomes a dead letter. Waiting for the next month
would outlast nearly every alert, and a dead letter is seen, has its reason and can be sent again; the group's other
channels get the alert all the same.

Only what Callboard sends is counted. Webhooks of robots do not tell which organisation a robot belongs to, so all of a
platform's count together: with robots of several organisations the warnings come too early and never too late.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from handlers import examples, notices, outbox
from handlers.context import Rules
from handlers.document import Document, Examples, Facts, Paragraph
from handlers.errors import DeliveryError
from handlers.texts import Say, _
from handlers.times import local
from storage import crowds, meters
from storage.database import Tx
from storage.deliveries import DeliveryRow

WARN_AT = (50, 80, 95)
"""Percentages of the month at which the admins are told."""

RESERVE_AT = WARN_AT[-1]
"""From this percentage on only what cannot be done without is sent."""

ROBOTS_COUNT = frozenset({"dingtalk"})
"""Platforms that count what is posted to a robot's webhook as well as what the app says.

DingTalk counts both
(https://open.dingtalk.com/document/development/dingtalk-application-development-platform-billing-model), Lark only
the calls of apps (https://open.feishu.cn/document/platform-notices/platform-updates-/custom-app-api-call-limit).
"""


def platform_name(platform: str) -> Say:
    """What people call a platform."""
    names: dict[str, Say] = {"dingtalk": _("DingTalk"), "wecom": _("WeCom"), "lark": _("Lark"), "slack": "Slack"}
    return names.get(platform, platform)


def month_of(now: datetime, zone: tzinfo) -> str:
    """The calendar month in that zone: "2026-11"."""
    return f"{now.astimezone(zone):%Y-%m}"


def next_month(now: datetime, zone: tzinfo) -> datetime:
    """When the next calendar month begins in that zone: the count starts from nothing."""
    first = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    later = first + timedelta(days=32)
    return later.replace(day=1)


def share(used: int, limit: int) -> int:
    """Per cent of the month, rounded down: a threshold is reached when it is reached and not before."""
    return used * 100 // limit


def platform_of(lane: str) -> str:
    """The platform on whose meter a message in this lane counts; "" on none."""
    way, _colon, rest = lane.partition(":")
    if way in outbox.CHAT_LANES:
        return rest.partition(":")[0]
    return way if way in ROBOTS_COUNT else ""


ESSENTIAL = frozenset({"code", "answer"})
"""Kinds that are always sent; the warnings to admins are answers too."""

CRITICAL = ("firing", "critical")


def _critical(tx: Tx, row: DeliveryRow) -> bool:
    """Whether it is, or names, the alarm of a critical alert."""
    if row.kind == "digest":
        return any((one.status, one.severity) == CRITICAL for one in crowds.merged(tx, row.id))
    return (row.alert_status, row.alert_severity) == CRITICAL


def held_back(tx: Tx, row: DeliveryRow, rules: Rules, now: datetime) -> DeliveryError | None:
    """Why this message is not sent: it would be taken out of the reserve and may not be; None: it goes.

    Asked before the lane's budget is: what is held back uses up nothing of it.
    """
    platform = platform_of(row.lane)
    limit = rules.months.get(platform, 0)
    if not limit or row.kind in ESSENTIAL:
        return None
    used = meters.used(tx, platform, month_of(now, rules.zone))
    if share(used, limit) < RESERVE_AT or _critical(tx, row):
        return None
    return DeliveryError(
        "reserve",
        _(
            "{used} of {limit} messages of this month on {platform} are used;"
            " until {time} the rest is kept for critical alerts",
            used=used,
            limit=limit,
            platform=platform_name(platform),
            time=local(next_month(now, rules.zone), rules.zone),
        ),
        permanent=True,
    )


def sent(tx: Tx, row: DeliveryRow, rules: Rules, now: datetime) -> set[str]:
    """Counts a message that was sent, and tells the admins when that reaches a threshold; the lanes to wake."""
    platform = platform_of(row.lane)
    limit = rules.months.get(platform, 0)
    if not limit:
        return set()
    month = month_of(now, rules.zone)
    used = meters.count(tx, platform, month)
    reached = [percent for percent in WARN_AT if share(used, limit) >= percent]
    if not reached or not meters.warn(tx, platform, month, reached[-1]):
        return set()
    document = _warning(platform, used, limit, reached[-1], local(next_month(now, rules.zone), rules.zone))
    dedupe = f"month:{platform}:{month}:{reached[-1]}"
    return notices.tell(tx, notices.admins(tx, rules), document, rules, dedupe=dedupe, now=now)


def _warning(platform: str, used: int, limit: int, percent: int, time: str) -> Document:
    name = platform_name(platform)
    then = (
        _("Until then only critical alerts, codes and answers are sent there. What else is due becomes a dead letter.")
        if percent >= RESERVE_AT
        else _(
            "From {percent} % on only critical alerts, codes and answers are sent there until then.", percent=RESERVE_AT
        )
    )
    return Document(
        _("{platform}: {percent} % of this month's messages are used.", platform=name, percent=percent),
        (
            Facts(((_("Used"), _("{used} of {limit}", used=used, limit=limit)), (_("Counted anew from"), time))),
            Paragraph(then),
            Paragraph(
                _(
                    "If your edition of {platform} allows more, the operator sets {setting}.",
                    platform=name,
                    setting=f"{platform.upper()}_MONTH",
                )
            ),
            Examples((examples.QUOTA,)),
        ),
        tone="warning",
    )
