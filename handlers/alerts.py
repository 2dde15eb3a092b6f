"""Accepting alerts: numbering, counting repeats, noticing changes, and owing the cards. All in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from handlers import outbox
from handlers.addresses import PHONE
from handlers.model import Alert
from handlers.routing import Target, targets
from handlers.silences import Change, hide
from storage import alerts, deliveries, silences
from storage.alerts import AlertRow
from storage.database import Tx
from storage.sources import SourceRow

MOST_AT_ONCE = 500
"""Alerts looked up and written with one statement."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Numbers of the alerts, in the order of the report, and the lanes to wake after the commit."""

    ids: tuple[int, ...]
    lanes: frozenset[str]


def accept(
    tx: Tx, source: SourceRow, report: Sequence[Alert], now: datetime, repeat: timedelta, *, calls: bool = False
) -> Accepted:
    """Writes what a source reports and owes the cards for what changed. The same report again changes nothing more.

    The source's row has to be locked (`sources.reporting`).
    `calls`: phones are called as well for what is critical.
    """
    to = targets(tx, source.group_id)
    group_name = source.group_name or ""
    quiet = silences.active(tx)
    outcomes: list[tuple[Alert, Outcome]] = []
    for part in _parts(report):
        outcomes += zip(part, _accept_part(tx, source, part, now, repeat), strict=True)
    hidden: set[tuple[int, int]] = set()
    if quiet:
        changes = [Change(number, version, alert) for alert, (number, version, *_) in outcomes if version is not None]
        hidden = hide(tx, quiet, source, group_name, changes)
    owed: list[dict[str, Any]] = []
    for alert, (number, version, severity, urgency) in outcomes:
        if version is not None and (number, version) not in hidden:
            owed += cards(number, version, alert.status, severity, to, group_name, now, urgency)
            if calls and urgency == outbox.CRITICAL and not alert.post:
                owed += calls_to(number, version, to, group_name, now)
    deliveries.owe(tx, owed)
    ids = tuple(number for _alert, (number, *_rest) in outcomes)
    return Accepted(ids, frozenset(str(row["lane"]) for row in owed))


Outcome = tuple[int, int | None, str, int]
"""An alert's number, the version that must be sent (None when nothing changed), severity and priority of that card."""


def _parts(report: Sequence[Alert]) -> Iterator[list[Alert]]:
    """The report in pieces in which no condition comes twice, so that each can be looked up and written at once."""
    part: list[Alert] = []
    seen: set[str] = set()
    for alert in report:
        if alert.fingerprint in seen or len(part) == MOST_AT_ONCE:
            yield part
            part, seen = [], set()
        part.append(alert)
        seen.add(alert.fingerprint)
    if part:
        yield part


def _accept_part(tx: Tx, source: SourceRow, part: Sequence[Alert], now: datetime, repeat: timedelta) -> list[Outcome]:
    known = alerts.newest(tx, source.id, [alert.fingerprint for alert in part])
    fresh = [alert for alert in part if _is_new(known.get(alert.fingerprint), alert, now, repeat)]
    numbers = alerts.add(tx, [_fresh(source, alert, now) for alert in fresh])
    for alert in fresh:
        if alert.fingerprint in known:  # the end of the incident before this one is told before its beginning
            deliveries.hurry(tx, known[alert.fingerprint].id, priority(alert.status, alert.severity), now)
    new = {alert.fingerprint: number for alert, number in zip(fresh, numbers, strict=True)}
    further = [(known[one.fingerprint], one) for one in part if one.fingerprint not in new]
    counted = {before.id for before, one in further if _is_repeat(before, one, now, repeat)}
    alerts.repeated(tx, counted, now)
    return [
        (new[one.fingerprint], 1, one.severity, priority(one.status, one.severity))
        if one.fingerprint in new
        else (known[one.fingerprint].id, None, known[one.fingerprint].severity, outbox.OTHER)
        if known[one.fingerprint].id in counted
        else _again(tx, known[one.fingerprint], one, now)
        for one in part
    ]


def _is_new(before: AlertRow | None, alert: Alert, now: datetime, repeat: timedelta) -> bool:
    """Whether the report is the first of its incident, and not about one that is open or was closed by it before."""
    if before is None:
        return True
    return before.status == "resolved" and not _is_old_news(before, alert, now, repeat)


def _is_repeat(known: AlertRow, alert: Alert, now: datetime, repeat: timedelta) -> bool:
    """Whether the report of an incident that has a number says nothing new, so that it is only counted."""
    same = alert.status == "firing" and alert.severity == known.severity and now - known.sent_at < repeat
    return known.status == "resolved" or same


def _again(tx: Tx, known: AlertRow, alert: Alert, now: datetime) -> Outcome:
    """A further report of an incident that has a number, with news."""
    changes: dict[str, Any] = {"version": known.version + 1, "last_at": now, "sent_at": now}
    if alert.status == "resolved":
        # The recovery keeps what the alarm said (severity, labels): many sources send less when it is over.
        severity: str = known.severity
        urgency = outbox.RECOVERY
        changes |= {"status": "resolved", "ends_at": alert.ends_at or now}
    else:
        severity = alert.severity
        urgency = outbox.REMINDER if severity == known.severity else priority("firing", severity)
        changes |= _contents(alert) | {"repeats": known.repeats + 1}
    if urgency < outbox.OTHER or known.version > 1:  # else nothing that waits of it can be less urgent
        deliveries.hurry(tx, known.id, urgency, now)
    alerts.change(tx, known.id, **changes)
    return known.id, known.version + 1, severity, urgency


def _is_old_news(before: AlertRow, alert: Alert, now: datetime, repeat: timedelta) -> bool:
    """True for a report about what is over: its recovery once more, a late copy of its alarm, a post told before.

    What a person called resolved and its source still reports after the repeat interval is not over.
    """
    if alert.status == "resolved" or alert.post:
        return True
    if before.resolved_by is not None and now - before.sent_at >= repeat:
        return False
    return alert.starts_at is not None and alert.starts_at == before.starts_at


def _contents(alert: Alert) -> dict[str, Any]:
    return {
        "severity": alert.severity,
        "title": alert.title,
        "description": alert.description,
        "rule": alert.rule,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "links": [list(link) for link in alert.links],
        "post": alert.post and {"platform": alert.post.platform, "body": alert.post.body},
    }


def _fresh(source: SourceRow, alert: Alert, now: datetime) -> dict[str, Any]:
    return _contents(alert) | {
        "source_id": source.id,
        "source_name": source.name,
        "group_id": source.group_id,
        "fingerprint": alert.fingerprint,
        # A post is told as an alarm, and nothing of it stays open.
        "status": "resolved" if alert.post else alert.status,
        "starts_at": alert.starts_at,
        "ends_at": (alert.ends_at or now) if alert.post or alert.status == "resolved" else None,
        "first_at": now,
        "last_at": now,
        "sent_at": now,
    }


def priority(status: str, severity: str) -> int:
    """Of what is new about an alert."""
    if status == "resolved":
        return outbox.RECOVERY
    return outbox.CRITICAL if severity == "critical" else outbox.OTHER


def cards(
    number: int,
    version: int,
    status: str,
    severity: str,
    to: Sequence[Target],
    group_name: str,
    now: datetime,
    urgency: int,
) -> list[dict[str, Any]]:
    """The deliveries of one version of an alert; within a lane they go in the order of their versions."""
    return [
        outbox.row(
            lane=target.lane,
            kind="alert",
            channel=target.method.channel,
            priority=urgency,
            dedupe=f"alert:{number}:v{version}:{target.lane}"[:200],
            alert_id=number,
            alert_status=status,
            alert_severity=severity,
            method_id=target.method.id,
            contact_name=target.method.contact_name,
            group_name=group_name,
            masked=target.method.masked,
            due_at=now,
            expires_at=now + outbox.LIFE,
            created_at=now,
        )
        for target in to
    ]


def owe(tx: Tx, rows: Sequence[dict[str, Any]], now: datetime) -> set[str]:
    """Owes what `cards` and `calls_to` made of alerts that people know already; the lanes to wake after the commit.

    What still waits of them goes before: nobody reads that something is over and then that it fires.
    """
    for number, urgency in sorted({(row["alert_id"], row["priority"]) for row in rows}):
        if urgency < outbox.REMINDER:  # nothing that waits of an alert is less urgent than that
            deliveries.hurry(tx, number, urgency, now)
    return outbox.owe(tx, rows)


def calls_to(number: int, version: int, to: Sequence[Target], group_name: str, now: datetime) -> list[dict[str, Any]]:
    """A call to each phone among the targets for a critical alarm, beside its SMS: in a lane and budget of its own."""
    phones = [target for target in to if target.method.channel == PHONE]
    rows = cards(number, version, "firing", "critical", phones, group_name, now, outbox.CRITICAL)
    for target, row in zip(phones, rows, strict=True):
        lane = outbox.call_lane(target.method)
        dedupe = f"alert:{number}:v{version}:{lane}"[:200]
        row.update(lane=lane, channel=outbox.VOICE, dedupe=dedupe, expires_at=now + outbox.CALL_LIFE)
    return rows
