"""Prometheus Alertmanager's webhook, version 4 and 3: one alert per element of `alerts`.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
Version 3 has no `fingerprint` and a number as `groupKey`; nothing but `alerts` is required of either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import quote

from handlers.model import Alert
from handlers.sources.contract import ALERTS_MAX, Body, Source, fitted
from handlers.sources.labelled import STATUSES, read, shown
from handlers.sources.reader import read_json
from handlers.urls import safe_url

NAME = "alertmanager"

_quoted = json.JSONEncoder(ensure_ascii=False).encode


def parse(body: Body, now: datetime) -> list[Alert]:
    """The alerts of one notification; an empty list when it has none."""
    top = read_json(body.raw)
    group_status = top.get("status").word(STATUSES, "firing")
    external_url = safe_url(top.get("externalURL").text()) or ""
    alerts = [read(NAME, node, group_status, now) for node in top.get("alerts").elements(ALERTS_MAX)]
    return [fitted(_with_silence(alert, external_url)) for alert in alerts]


def _with_silence(alert: Alert, external_url: str) -> Alert:
    if not external_url or not alert.labels:
        return alert
    return replace(alert, links=alert.links + shown(("silence", silence_url(external_url, alert.labels))))


def silence_url(external_url: str, labels: Mapping[str, str]) -> str:
    """The page of Alertmanager's own interface that silences exactly these labels."""
    matchers = ", ".join(f"{name}={_quoted(value)}" for name, value in sorted(labels.items()))
    return f"{external_url.rstrip('/')}/#/silences/new?filter={quote('{' + matchers + '}', safe='')}"


SOURCE = Source(NAME, parse)
