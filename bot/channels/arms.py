"""ARMS alert integrations: https://help.aliyun.com/zh/arms/alarm-operation-center/custom-integration

An integration takes any JSON and maps it by rules that somebody sets in the console. Which ones is not known here, so
the main fields are sent twice, flat and within `labels` and `annotations`, the two forms that the documentation shows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.channels.fit import cleaned
from bot.http import HttpReply, Unreachable
from bot.markup.plain import clean, cut, one_line, outline
from bot.refusals import Refusal, code_of, dead, page, temporary, unknown_code, unreachable
from handlers.errors import DeliveryError
from handlers.model import Alert
from handlers.texts import _
from handlers.urls import safe_url

NAME = "ARMS"
NAME_CHARS = 200
MESSAGE_CHARS = 4_000
"""ARMS keeps 15,000; nobody reads so far."""

VALUE_CHARS = 500
PAIRS = 60
OBJECTS = ("instance", "instanceId", "instance_id", "host", "hostname", "pod", "node", "service", "job")
"""Labels that name what an alert is about, the most exact first."""

MAPPING = Refusal(
    "mapping",
    _("ARMS has no field mapping for these events yet; map alertname, severity and message in the integration."),
)
GONE = dead("gone", _("ARMS does not know this integration any more; copy its address again and set it."))
FORM = Refusal("form", _("ARMS did not accept the event."))

REFUSALS: dict[int, Refusal] = {
    400: FORM,
    401: GONE,
    403: GONE,
    404: GONE,
    410: GONE,
    413: Refusal("too_long", _("The event was too long for ARMS.")),
    429: temporary("rate_limited", _("ARMS takes no more events at the moment.")),
    601: MAPPING,
}
"""By the `code` of the body, else the HTTP status."""


def card(message: Message, keyword: str) -> dict[str, Any]:
    """The message as an ARMS event. The name of the event carries the title, because ARMS merges events of one name."""
    document = cleaned(message.document)
    alert = message.alert
    name = cut(f"{keyword}: {document.title}" if keyword else str(document.title), NAME_CHARS)
    text = cut(f"{document.heading()}\n{outline(document)}".strip(), MESSAGE_CHARS)
    severity = alert.severity if alert else "info"
    status = alert.status if alert else "firing"
    labels = _pairs(alert.labels if alert else {})
    started = alert.starts_at if alert and alert.starts_at else message.now
    event: dict[str, Any] = {
        "alertname": name,
        "severity": severity,
        "message": text,
        "status": status,
        "instance": next((labels[key] for key in OBJECTS if labels.get(key)), ""),
        "region": labels.get("region") or labels.get("regionId") or labels.get("region_id") or "",
        "value": _value(alert),
        "startTime": _ms(started),
        "url": next((link.url for link in document.links if safe_url(link.url)), ""),
        "group": cut(one_line(message.group), VALUE_CHARS),
    }
    if status == "resolved":
        event["endTime"] = _ms(alert.ends_at if alert and alert.ends_at else message.now)
    if message.number is not None:
        event["number"] = f"#{message.number}"
    kept = {key: event[key] for key in ("alertname", "severity", "instance") if event[key]}
    event["labels"] = {**labels, **kept}
    event["annotations"] = {**_pairs(alert.annotations if alert else {}), "message": text}
    return event


def _pairs(found: dict[str, str]) -> dict[str, str]:
    short = ((cut(one_line(key), VALUE_CHARS), cut(clean(value), VALUE_CHARS)) for key, value in found.items())
    return dict(list(short)[:PAIRS])


def _value(alert: Alert | None) -> str:
    """The measured value, where a source gave one."""
    for pairs in (alert.annotations, alert.labels) if alert else ():
        for key in ("value", "curValue", "current_value"):
            if pairs.get(key):
                return cut(one_line(pairs[key]), VALUE_CHARS)
    return ""


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def refusal(reply: HttpReply) -> DeliveryError | None:
    """What went wrong, None when ARMS took the event: a 2xx whose body has no `code` of 400 or more."""
    body = reply.json()
    code = code_of(body.get("code")) if isinstance(body, dict) else None
    if code is not None and code >= 400:
        status = code
    elif 200 <= reply.status < 300:
        return page(NAME, reply) if body is None and reply.text.lstrip().startswith("<") else None
    else:
        status = reply.status
        if body is None and status != 429:
            return page(NAME, reply)
    if status in REFUSALS:
        return REFUSALS[status].error(reply.retry_after)
    return unknown_code(NAME, status, retry_after=reply.retry_after)


def send(message: Message, target: Target, outside: Outside) -> Receipt:
    try:
        reply = outside.http.post(target.address, json=card(message, outside.keyword))
    except Unreachable as error:
        raise unreachable(NAME, error) from None
    failure = refusal(reply)
    if failure is not None:
        raise failure
    return Receipt()


CHANNEL = Channel("arms", send)
