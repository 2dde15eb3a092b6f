"""Cards of alerts that wait together, as the memory hands them out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from handlers import outbox
from storage.crowds import Waiting
from tests.storage.seed import NOW

PAST = NOW - timedelta(seconds=30)


def waiting(number: int, title: str = "", **values: Any) -> Waiting:
    """The card of a warning of an ordinary rule, which came a while ago."""
    usual: dict[str, Any] = {
        "id": number + 1000,
        "priority": outbox.OTHER,
        "alert_id": number,
        "status": "firing",
        "severity": "warning",
        "title": title or f"disk full on host-{number}",
        "rule": "disk",
        "source_id": 1,
        "group_name": "ops",
        "reason": "",
        "created_at": PAST,
        "expires_at": NOW + timedelta(days=1),
    }
    return Waiting(**(usual | values))


def many(count: int, start: int = 1) -> list[Waiting]:
    return [waiting(number) for number in range(start, start + count)]


def critical(number: int, **values: Any) -> Waiting:
    return waiting(number, severity="critical", priority=outbox.CRITICAL, **values)


def recovery(number: int, **values: Any) -> Waiting:
    return waiting(number, status="resolved", priority=outbox.RECOVERY, **values)
