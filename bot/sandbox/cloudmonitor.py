"""CloudMonitor's alert contacts (Cms 2019-01-01), read only: two paged lists.

Pages: https://help.aliyun.com/zh/cms/developer-reference/api-cms-2019-01-01-describecontactlist,
…/api-cms-2019-01-01-describecontactgrouplist.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.aliyun import Refusal
from bot.sandbox.world import World

VERSION = "2019-01-01"
MAX_PAGE = 100
CALLS_PER_SECOND = 20
CREATED_MS = 1_552_356_159_000


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


class CloudMonitor:
    """`metrics.<region>.aliyuncs.com`. Contacts and the notes of groups are whatever was set last."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.contacts: list[CmsContact] = []
        self.group_notes: dict[str, str] = {}

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
