"""DAS (2020-01-16): the event subscription of an instance, and its events.

Pages: https://help.aliyun.com/document_detail/443003.html and the models of the vendor's SDK. `Success` is a text, times
are texts of epoch milliseconds, and each event is a JSON text whose inside is not published but for `SpanId`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.aliyun import Aliyun, Refusal
from bot.sandbox.world import World

VERSION = "2020-01-16"
LEVELS = ("Notice", "Optimization", "Warn", "Critical")
MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class DasContact:
    """A contact of an event subscription; what it lacks is "" there."""

    name: str
    phone: str = ""
    email: str = ""
    dingtalk_hook: str = ""
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DasEvent:
    """An event of an instance.

    at       epoch milliseconds
    content  what GetAutonomousNotifyEventContent says of it, as an object; None: it says that there is nothing
    """

    span: str
    at: int
    level: str = "Warn"
    fields: Mapping[str, Any] | None = None
    content: Mapping[str, Any] | None = None


class Das:
    """`das.cn-shanghai.aliyuncs.com`. Instances are those that have a subscription or events."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.contacts: dict[str, list[DasContact]] = {}
        self.groups: dict[str, dict[str, Iterable[str]]] = {}
        self.events: dict[str, list[DasEvent]] = {}

    def join(self, cloud: Aliyun) -> None:
        """Serves its actions at the account's address."""
        cloud.offer("GetEventSubscription", VERSION, self.subscription)
        cloud.offer("GetAutonomousNotifyEventsInRange", VERSION, self.in_range)
        cloud.offer("GetAutonomousNotifyEventContent", VERSION, self.content)

    def _instance(self, parameters: Mapping[str, str]) -> str:
        instance = parameters.get("InstanceId", "")
        if instance not in (self.contacts.keys() | self.events.keys()):
            raise Refusal("InvalidParams", "The instance does not exist.", 400)
        return instance

    def subscription(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """GetEventSubscription."""
        instance = self._instance(parameters)
        return self._answer(
            {
                "instanceId": instance,
                "userId": "1000000000000001",
                "active": 1,
                "level": "Warn",
                "minInterval": "60",
                "channelType": "hdm_alarm_sms,dingtalk",
                "contacts": [
                    {
                        "userId": "1000000000000001",
                        "name": one.name,
                        "phone": one.phone,
                        "email": one.email,
                        "dingtalkHook": one.dingtalk_hook,
                        "groups": list(one.groups),
                        "isCmsReduplicated": False,
                    }
                    for one in self.contacts.get(instance, ())
                ],
                "contactGroups": [
                    {
                        "userId": "1000000000000001",
                        "name": name,
                        "description": "",
                        "contacts": json.dumps(list(members)),
                    }
                    for name, members in self.groups.get(instance, {}).items()
                ],
            }
        )

    def in_range(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """GetAutonomousNotifyEventsInRange."""
        instance = self._instance(parameters)
        start, end = (parameters.get(name, "") for name in ("StartTime", "EndTime"))
        number, size = parameters.get("PageOffset", "1"), parameters.get("PageSize", "30")
        least = parameters.get("MinLevel", "Notice")
        numbers = (start, end, number, size)
        if not all(one.isdecimal() for one in numbers) or int(start) > int(end) or least not in LEVELS:
            raise Refusal("InvalidParams", "StartTime, EndTime, MinLevel or PageOffset is not valid.", 400)
        if int(number) < 1 or not 1 <= int(size) <= MAX_PAGE:
            raise Refusal("InvalidParams", "PageOffset or PageSize is not valid.", 400)
        found = [
            one
            for one in self.events.get(instance, ())
            if int(start) <= one.at <= int(end) and LEVELS.index(one.level) >= LEVELS.index(least)
        ]
        skip = (int(number) - 1) * int(size)
        listed = [json.dumps({"SpanId": one.span, **(one.fields or {})}) for one in found[skip : skip + int(size)]]
        page = {"Extra": "None", "PageNo": int(number), "PageSize": int(size), "Total": len(found)}
        return self._answer({**page, "List": {"T": listed}})

    def content(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """GetAutonomousNotifyEventContent: a JSON text with its quotes escaped once too often, as in the vendor's example."""
        instance = self._instance(parameters)
        span = parameters.get("SpanId", "")
        event = next((one for one in self.events.get(instance, ()) if one.span == span), None)
        if event is None or event.content is None:
            raise Refusal("InvalidParams", "There is no such event.", 400)
        return self._answer(json.dumps(event.content).replace('"', '\\"'))

    @staticmethod
    def _answer(data: Any) -> dict[str, Any]:
        return {"Message": "Successful", "Code": "200", "Success": "true", "Data": data}
