"""The sample alerts of the page, as Alertmanager posts them, and the source they go to."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from bot.sandbox.world import Event
from handlers.texts import Language

Severity = Literal["critical", "warning"]
Sample = Literal["critical", "warning", "resolved", "storm"]
STORM = 30

Words = tuple[str, str]

SAMPLES: dict[str, tuple[str, Words, Words]] = {
    "critical": (
        "MySQLDown",
        (
            "MySQL {instance} does not answer",
            "No ping of {instance} for 2 minutes, 214 connections refused.",
        ),
        ("MySQL {instance} 无响应", "{instance} 已有 2 分钟无法连接，拒绝了 214 个连接。"),
    ),
    "warning": (
        "DiskWillFillIn4Hours",
        ("Disk of {instance} fills up within 4 hours", "Filesystem /var/lib/mysql of {instance} has 8.1% left."),
        ("{instance} 的磁盘将在 4 小时内写满", "{instance} 的 /var/lib/mysql 仅剩 8.1%。"),
    ),
}
"""Rule, then summary and description in English and in Chinese."""

_ALERT_PATH = re.compile(r"/alerts/alertmanager/[A-Za-z0-9_-]+")
# What DingTalk's markdown may have put into an address so that nothing in it is markup.
_AS_TYPED = str.maketrans({"＿": "_", "∗": "*", "\u200b": None})


class Samples:
    """Makes alerts of new instances: the same one again would only be counted."""

    def __init__(self) -> None:
        self._raised: dict[str, Any] | None = None

    def alerts(self, sample: Sample, language: Language, now: float) -> list[dict[str, Any]]:
        """The alerts of one notification; "resolved" ends the last single one that was raised."""
        if sample == "storm":
            return [_firing(("warning", "critical")[n % 10 == 0], language, now) for n in range(STORM)]
        if sample == "resolved":
            ended, self._raised = self._raised or _firing("critical", language, now), None
            return [{**ended, "status": "resolved", "endsAt": _rfc3339(now)}]
        self._raised = _firing(sample, language, now)
        return [self._raised]


def _firing(severity: Severity, language: Language, now: float) -> dict[str, Any]:
    instance = f"rm-bp1{secrets.token_hex(4)}"
    rule, en, zh = SAMPLES[severity]
    summary, description = zh if language == "zh" else en
    return {
        "status": "firing",
        "labels": {
            "alertname": rule,
            "instance": instance,
            "cluster": "prod-hangzhou",
            "severity": severity,
        },
        "annotations": {
            "summary": summary.format(instance=instance),
            "description": description.format(instance=instance),
            "runbook_url": f"https://runbooks.example.com/{rule.lower()}",
        },
        "startsAt": _rfc3339(now),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": f"https://prometheus.example.com/graph?g0.expr=up%7Binstance%3D%22{instance}%22%7D",
        "fingerprint": secrets.token_hex(8),
    }


def notification(alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """A webhook body of Alertmanager, version 4: https://prometheus.io/docs/alerting/latest/configuration/"""
    first = alerts[0]
    common = {
        name: value
        for name, value in first["labels"].items()
        if all(alert["labels"].get(name) == value for alert in alerts)
    }
    rule = first["labels"]["alertname"]
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{rule}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "receiver": "callboard",
        "groupLabels": {"alertname": rule},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "https://alertmanager.example.com",
        "alerts": alerts,
    }


def _rfc3339(at: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def newest_source(events: Sequence[Event]) -> str | None:
    """Path of the last alert source that the bot told somebody about, None when it has told nobody of one."""
    for event in reversed(events):
        if event.kind in ("say", "update"):
            found = _ALERT_PATH.findall("\n".join(_strings(event.body)).translate(_AS_TYPED))
            if found:
                return str(found[-1])
    return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
