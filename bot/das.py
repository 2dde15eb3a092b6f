"""DAS, read only: whom it notifies about an instance, and the events of an instance.

https://help.aliyun.com/document_detail/443003.html (GetAutonomousNotifyEventsInRange), GetAutonomousNotifyEventContent and
GetEventSubscription. All of it is at cn-shanghai, wherever the instance is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bot.aliyun_reading import MOST_PAGES, Account, dig, objects, text, texts, whole_number
from handlers.errors import DeliveryError
from handlers.import_books import Book, Entry, Team, Value
from storage.schema import to_ms

URL = "https://das.cn-shanghai.aliyuncs.com"
VERSION = "2020-01-16"
RIGHTS_TO_SUBSCRIPTION = "hdm:GetEventSubscription"
RIGHTS_TO_EVENTS = "hdm:GetAutonomousNotifyEventsInRange, hdm:GetAutonomousNotifyEventContent"
PAGE_SIZE = 30


def read(account: Account, instance: str) -> Book:
    """Contacts and groups of the instance's event subscription, the only ones that DAS tells of. Raises DeliveryError."""
    data = account.rpc(URL, "GetEventSubscription", VERSION, {"InstanceId": instance}).get("Data")
    data = _unfolded(data) if isinstance(data, str) else data
    return Book(
        tuple(_entry(one) for one in objects(data, "contacts")),
        tuple(
            Team(text(one.get("name")), text(one.get("description")), _names(one.get("contacts")))
            for one in objects(data, "contactGroups")
        ),
    )


def _entry(one: dict[str, Any]) -> Entry:
    values = (
        Value("phone", "phone", text(one.get("phone"))),
        Value("email", "email", text(one.get("email"))),
        Value("dingtalkHook", "webhook", text(one.get("dingtalkHook"))),
    )
    return Entry(text(one.get("name")), tuple(value for value in values if value.text), texts(one, "groups"))


def _names(value: Any) -> tuple[str, ...]:
    """The members of a group: a JSON text of a list, or a list, of names or of objects with one."""
    found = _unfolded(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        return ()
    named = (text(one.get("name")) if isinstance(one, dict) else text(one) for one in found)
    return tuple(name for name in named if name)


class TooMany(Exception):
    """There are more events in that time than are read at once."""


def _unfolded(value: str) -> Any:
    """The value of a JSON text, whose quotes may be escaped once too often; None when it is none."""
    for candidate in (value, value.replace('\\"', '"')):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return None


def events(
    account: Account, instance: str, start: datetime, end: datetime, level: str
) -> Iterator[str | dict[str, Any]]:
    """Each event of that time, as text where it is no JSON object. Raises DeliveryError, and TooMany behind the last
    event that it gives.

    instance  its id; of PolarDB `cluster/node`
    """
    cluster, _slash, node = instance.partition("/")
    query = {
        "InstanceId": cluster,
        "StartTime": str(to_ms(start)),
        "EndTime": str(to_ms(end)),
        "MinLevel": level,
        "PageSize": str(PAGE_SIZE),
    } | ({"NodeId": node} if node else {})
    found = 0
    for number in range(1, MOST_PAGES + 1):
        answer = account.rpc(URL, "GetAutonomousNotifyEventsInRange", VERSION, query | {"PageOffset": str(number)})
        listed = dig(answer, "Data", "List", "T")
        listed = listed if isinstance(listed, list) else []
        for one in listed:
            event = _unfolded(one) if isinstance(one, str) else one
            yield event if isinstance(event, dict) else text(one)
        found += len(listed)
        total = whole_number(dig(answer, "Data", "Total"))
        if not listed or (total is not None and found >= total):
            return
    raise TooMany


def body_of(event: str | dict[str, Any], content: str) -> bytes:
    """The event as an alert source of kind das takes it, with its details where DAS gave some."""
    if isinstance(event, str):
        return json.dumps({"Data": {"List": {"T": [event]}}}).encode()
    return json.dumps(event | ({"Data": content} if content else {})).encode()


def content(account: Account, instance: str, event: str | dict[str, Any]) -> str:
    """The details of an event as DAS gives them, "" when it has none. Raises DeliveryError."""
    span = text(event.get("SpanId")) if isinstance(event, dict) else ""
    if not span:
        return ""
    query = {"InstanceId": instance.partition("/")[0], "SpanId": span}
    try:
        data = account.rpc(URL, "GetAutonomousNotifyEventContent", VERSION, query).get("Data")
    except DeliveryError as error:
        if not error.permanent or error.reason in ("key", "clock"):
            raise
        return ""  # the event itself is worth an alert all the same
    return data if isinstance(data, str) else ""
