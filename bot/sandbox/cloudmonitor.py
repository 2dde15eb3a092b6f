"""CloudMonitor's alert contacts, read only: two paged lists (Cms 2019-01-01), or three with paths of their own (2024-03-30).

Pages: https://help.aliyun.com/zh/cms/developer-reference/api-cms-2019-01-01-describecontactlist,
…/api-cms-2019-01-01-describecontactgrouplist.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.aliyun import Aliyun, Refusal
from bot.sandbox.wire import Answer, Request, json_answer
from bot.sandbox.world import World

VERSION = "2019-01-01"
MAX_PAGE = 100
CALLS_PER_SECOND = 20
CREATED_MS = 1_552_356_159_000
NEWER_VERSION = "2024-03-30"


@dataclass(frozen=True, slots=True)
class CmsContact:
    """A contact as CloudMonitor has it.

    channels  `Mail`, `SMS`, `AliIM`, `DingWebHook` -> address; masked values hold `*`
    states    the same keys -> `OK` or `PENDING`; a key may be absent
    """

    name: str
    channels: Mapping[str, str]
    states: Mapping[str, str]
    groups: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class CmsRobot:
    """A robot as the newer API has it, apart from the contacts."""

    name: str
    url: str
    sign_key: str = ""
    kind: str = "DING"


class CloudMonitor:
    """`metrics.<region>.aliyuncs.com`. Contacts and the notes of groups are whatever was set last."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.contacts: list[CmsContact] = []
        self.group_notes: dict[str, str] = {}
        self.robots: list[CmsRobot] = []

    def contact_list(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """DescribeContactList."""
        name = parameters.get("ContactName", "")
        found = [self._contact(one) for one in self.contacts if name in one.name]
        return self._page("DescribeContactList", parameters, found, lambda page: {"Contacts": {"Contact": page}})

    def group_list(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """DescribeContactGroupList: whole groups, and their names alone once more."""
        names = list(dict.fromkeys([*self.group_notes, *(group for one in self.contacts for group in one.groups)]))
        return self._page(
            "DescribeContactGroupList",
            parameters,
            names,
            lambda page: {
                "ContactGroupList": {"ContactGroup": [self._group(name) for name in page]},
                "ContactGroups": {"ContactGroup": page},
            },
        )

    def _page(
        self,
        action: str,
        parameters: Mapping[str, str],
        found: list[Any],
        shape: Callable[[list[Any]], dict[str, Any]],
    ) -> dict[str, Any]:
        number, size = parameters.get("PageNumber", "1"), parameters.get("PageSize", "100")
        if not (number.isdecimal() and size.isdecimal() and int(number) >= 1 and 1 <= int(size) <= MAX_PAGE):
            raise Refusal("ParameterInvalid", "PageNumber or PageSize is not valid.", 400)
        if self.world.hits(f"cms:{action}", 1.0) >= CALLS_PER_SECOND:
            raise Refusal("Throttling.User", "Request was denied due to user flow control.", 400)
        self.world.hit(f"cms:{action}")
        start = (int(number) - 1) * int(size)
        head = {"RequestId": secrets.token_hex(16).upper(), "Success": True, "Code": "200", "Message": "success"}
        return {**head, "Total": len(found), **shape(found[start : start + int(size)])}

    @staticmethod
    def _contact(one: CmsContact) -> dict[str, Any]:
        contact: dict[str, Any] = {
            "Name": one.name,
            "Desc": one.note,
            "Lang": "zh-cn",
            "CreateTime": CREATED_MS,
            "UpdateTime": CREATED_MS,
            "Channels": dict(one.channels),
            "ContactGroups": {"ContactGroup": list(one.groups)},
        }
        return contact | ({"ChannelsState": dict(one.states)} if one.states else {})

    def _group(self, name: str) -> dict[str, Any]:
        return {
            "Name": name,
            "Describe": self.group_notes.get(name, ""),
            "EnableSubscribed": True,
            "EnabledWeeklyReport": False,
            "CreateTime": CREATED_MS,
            "UpdateTime": CREATED_MS,
            "Contacts": {"Contact": [one.name for one in self.contacts if name in one.groups]},
        }


class CloudMonitorPaths:
    """The same contacts by the newer API: real ids, verified flags, robots apart, all names small, and no `Code`."""

    name = "sms"

    def __init__(self, cloudmonitor: CloudMonitor, cloud: Aliyun) -> None:
        self._known = cloudmonitor
        self._cloud = cloud
        self._lists: dict[str, tuple[str, str, Callable[[], list[dict[str, Any]]]]] = {
            "/contact": ("ListContacts", "contacts", self._contacts),
            "/contactGroups": ("ListContactGroups", "contactGroups", self._groups),
            "/robots": ("ListAlertRobots", "robots", self._robots),
        }

    def owns(self, request: Request) -> bool:
        return request.path in self._lists

    def keys(self, request: Request) -> tuple[str, ...]:
        return self._cloud.keys(request)

    def refusal(self, code: str | int, text: str) -> Answer:
        return self._small(self._cloud.refusal(code, text))

    def answer(self, request: Request) -> Answer:
        action, member, entries = self._lists[request.path]
        try:
            self._cloud.check_signature(request, "GET")
            headers = request.headers
            if (headers["x-acs-action"], headers["x-acs-version"]) != (action, NEWER_VERSION):
                raise Refusal("InvalidAction.NotFound", "Specified api is not found.", 404)
            number, size = request.query.get("pageNumber", "1"), request.query.get("pageSize", "100")
            if not (number.isdecimal() and size.isdecimal() and int(number) >= 1 and 1 <= int(size) <= MAX_PAGE):
                raise Refusal("ParameterInvalid", "pageNumber or pageSize is not valid.", 400)
            if self._known.world.hits(f"cms:{action}", 1.0) >= CALLS_PER_SECOND:
                raise Refusal("Throttling.User", "Request was denied due to user flow control.", 400)
        except Refusal as bad:
            self._known.world.happen("refused", "sms", "", dict(request.query), note=bad.code)
            return json_answer({"requestId": secrets.token_hex(16), "code": bad.code, "message": bad.text}, bad.status)
        self._known.world.hit(f"cms:{action}")
        found = entries()
        start = (int(number) - 1) * int(size)
        page = {"pageNumber": int(number), "pageSize": int(size), "total": len(found)}
        return json_answer({"requestId": secrets.token_hex(16), **page, member: found[start : start + int(size)]})

    @staticmethod
    def _small(answer: Answer) -> Answer:
        body = json.loads(answer.body)
        return json_answer({name[0].lower() + name[1:]: value for name, value in body.items()}, answer.status)

    def _contacts(self) -> list[dict[str, Any]]:
        return [
            {
                "contactId": f"c-{number}",
                "name": one.name,
                "phone": one.channels.get("SMS", ""),
                "phoneVerify": one.states.get("SMS") == "OK",
                "email": one.channels.get("Mail", ""),
                "emailVerify": one.states.get("Mail") == "OK",
                "groupList": list(one.groups),
                "lang": "zh-cn",
                "updateTime": "2026-03-27 10:00:00",
            }
            for number, one in enumerate(self._known.contacts, 1)
        ]

    def _groups(self) -> list[dict[str, Any]]:
        members = list(enumerate(self._known.contacts, 1))
        names = list(dict.fromkeys([*self._known.group_notes, *(group for _n, one in members for group in one.groups)]))
        return [
            {
                "contactGroupId": f"g-{number}",
                "name": name,
                "contactIds": [f"c-{n}" for n, one in members if name in one.groups],
            }
            for number, name in enumerate(names, 1)
        ]

    def _robots(self) -> list[dict[str, Any]]:
        return [
            {"robotId": f"r-{n}", "name": one.name, "type": one.kind, "url": one.url, "robotSignKey": one.sign_key}
            for n, one in enumerate(self._known.robots, 1)
        ]
