"""Accepting alerts: numbering, counting repeats, noticing changes, and owing the cards. All in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from handlers import outbox
from handlers.model import Alert
from handlers.routing import Target, targets
from storage import alerts, deliveries, groups, sources
from storage.alerts import AlertRow
from storage.database import Tx
from storage.sources import SourceRow


@dataclass(frozen=True, slots=True)
class Accepted:
    """Numbers of the alerts, in the order of the report, and the lanes to wake after the commit."""

    ids: tuple[int, ...]
    lanes: frozenset[str]


def accept(tx: Tx, source: SourceRow, report: Sequence[Alert], now: datetime, repeat: timedelta) -> Accepted:
    """Writes what a source reports and owes the cards for what changed. The same report again changes nothing more."""
    # First, because it locks the source: two processes that get the same alarm at once must not both find it new.
    sources.seen(tx, source.id, now)
    to = targets(tx, source.group_id)
    group = groups.by_id(tx, source.group_id) if source.group_id is not None else None
    ids: list[int] = []
    owed: list[dict[str, Any]] = []
    for alert in report:
        number, version, severity = _accept_one(tx, source, alert, now, repeat)
        ids.append(number)
        if version is not None:
            owed += cards(number, version, alert.status, severity, to, group.name if group else "", now)
    deliveries.owe(tx, owed)
    return Accepted(tuple(ids), frozenset(str(row["lane"]) for row in owed))


def _accept_one(
    tx: Tx, source: SourceRow, alert: Alert, now: datetime, repeat: timedelta
) -> tuple[int, int | None, str]:
    """The alert's number, the version that must be sent (None when nothing changed), and the severity of that card."""
    current = alerts.open_one(tx, source.id, alert.fingerprint)
    if current is None:
        before = alerts.latest(tx, source.id, alert.fingerprint)
        if before is not None and _is_old_news(before, alert):
            alerts.change(tx, before.id, repeats=before.repeats + 1, last_at=now)
            return before.id, None, before.severity
        return alerts.add(tx, **_fresh(source, alert, now)), 1, alert.severity
    if alert.status == "firing" and alert.severity == current.severity and now - current.sent_at < repeat:
        alerts.change(tx, current.id, repeats=current.repeats + 1, last_at=now)
        return current.id, None, current.severity
    changes: dict[str, Any] = {"version": current.version + 1, "last_at": now, "sent_at": now}
    if alert.status == "resolved":
        # The recovery keeps what the alarm said (severity, labels): many sources send less when it is over.
        severity: str = current.severity
        changes |= {"status": "resolved", "ends_at": alert.ends_at or now}
    else:
        severity = alert.severity
        changes |= _contents(alert) | {"repeats": current.repeats + 1}
        if priority(severity) < priority(current.severity):
            deliveries.hurry(tx, current.id, priority(severity), now)
    alerts.change(tx, current.id, **changes)
    return current.id, current.version + 1, severity


def _is_old_news(before: AlertRow, alert: Alert) -> bool:
    """True for a report that was answered before: the recovery of what is over, or a late copy of its alarm."""
    if before.status != "resolved":
        return False
    if alert.status == "resolved":
        return True
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
    }


def _fresh(source: SourceRow, alert: Alert, now: datetime) -> dict[str, Any]:
    return _contents(alert) | {
        "source_id": source.id,
        "source_name": source.name,
        "group_id": source.group_id,
        "fingerprint": alert.fingerprint,
        "status": alert.status,
        "starts_at": alert.starts_at,
        "ends_at": (alert.ends_at or now) if alert.status == "resolved" else None,
        "first_at": now,
        "last_at": now,
        "sent_at": now,
    }


def priority(severity: str) -> int:
    return outbox.CRITICAL if severity == "critical" else outbox.OTHER


def cards(
    number: int, version: int, status: str, severity: str, to: Sequence[Target], group_name: str, now: datetime
) -> list[dict[str, Any]]:
    """The deliveries of one version of an alert; within a lane they go in the order of their versions."""
    return [
        outbox.row(
            lane=target.lane,
            kind="alert",
            channel=target.method.channel,
            priority=priority(severity),
            dedupe=f"alert:{number}:v{version}:{target.lane}"[:200],
            alert_id=number,
            alert_status=status,
            alert_severity=severity,
            method_id=target.method.id,
            contact_name=target.contact_name,
            group_name=group_name,
            masked=target.method.masked,
            due_at=now,
            expires_at=now + outbox.LIFE,
            created_at=now,
        )
        for target in to
    ]
