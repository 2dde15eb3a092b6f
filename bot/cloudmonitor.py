"""CloudMonitor's alert contacts and groups, read only.

2019-01-01: https://help.aliyun.com/zh/cms/developer-reference/api-cms-2019-01-01-describecontactlist and
…-describecontactgrouplist. Contacts have no id there, and robots of DingTalk only.
2024-03-30: ListContacts, ListContactGroups, ListAlertRobots of Cloud Monitor 2.0. Robots stand apart from the contacts
there: each becomes a contact of its own.
"""

from __future__ import annotations

from typing import Any, Literal

from bot.aliyun_reading import PAGE_SIZE, Account, text, texts, whole
from handlers.import_books import Book, Entry, Team, Value

URL = "https://metrics.cn-hangzhou.aliyuncs.com"
RIGHTS = {
    "2019-01-01": "cms:DescribeContactList, cms:DescribeContactGroupList",
    "2024-03-30": "cms:ListContacts, cms:ListContactGroups, cms:ListAlertRobots",
}

Kind = Literal["phone", "email", "webhook", ""]
KINDS: dict[str, Kind] = {"Mail": "email", "SMS": "phone", "AliIM": ""}
"""What the channels of the older API are to us; every other one that is an address is a robot's."""


def read(account: Account, version: str) -> Book:
    """All contacts and groups. Raises DeliveryError."""
    return _newer(account, version) if version == "2024-03-30" else _older(account, version)


def _older(account: Account, version: str) -> Book:
    def page(action: str, number: int) -> dict[str, Any]:
        query = {"PageNumber": str(number), "PageSize": str(PAGE_SIZE)}
        return account.rpc(URL, action, version, query)

    contacts = whole(lambda n: page("DescribeContactList", n), "Contacts", "Contact", total="Total")
    groups = whole(lambda n: page("DescribeContactGroupList", n), "ContactGroupList", "ContactGroup", total="Total")
    return Book(
        tuple(_entry(one) for one in contacts.entries),
        tuple(
            Team(text(one.get("Name")), text(one.get("Describe")), texts(one, "Contacts", "Contact"))
            for one in groups.entries
        ),
        contacts.complete and groups.complete,
    )


def _entry(one: dict[str, Any]) -> Entry:
    channels, states = one.get("Channels"), one.get("ChannelsState")
    states = states if isinstance(states, dict) else {}
    values = [
        Value(slot, kind_of(slot, text(address)), text(address), text(states.get(slot)))
        for slot, address in (channels if isinstance(channels, dict) else {}).items()
        if text(address)
    ]
    return Entry(text(one.get("Name")), tuple(values), texts(one, "ContactGroups", "ContactGroup"))


def kind_of(slot: str, address: str) -> Kind:
    """What a channel of CloudMonitor is to us."""
    if slot in KINDS:
        return KINDS[slot]
    return "webhook" if address.startswith(("https://", "http://")) else ""


def _newer(account: Account, version: str) -> Book:
    def page(path: str, action: str, number: int) -> dict[str, Any]:
        query = {"pageNumber": str(number), "pageSize": str(PAGE_SIZE)}
        return account.roa(URL, path, action, version, query)

    contacts = whole(lambda n: page("/contact", "ListContacts", n), "contacts", total="total")
    groups = whole(lambda n: page("/contactGroups", "ListContactGroups", n), "contactGroups", total="total")
    robots = whole(lambda n: page("/robots", "ListAlertRobots", n), "robots", total="total")
    names = {text(one.get("contactId")): text(one.get("name")) for one in contacts.entries}
    return Book(
        (*map(_newer_entry, contacts.entries), *map(_robot, robots.entries)),
        tuple(
            Team(text(one.get("name")), "", tuple(names.get(member, member) for member in texts(one, "contactIds")))
            for one in groups.entries
        ),
        contacts.complete and groups.complete and robots.complete,
    )


def _newer_entry(one: dict[str, Any]) -> Entry:
    values = (
        Value("phone", "phone", text(one.get("phone")), _verified(one.get("phoneVerify"))),
        Value("email", "email", text(one.get("email")), _verified(one.get("emailVerify"))),
    )
    return Entry(text(one.get("name")), tuple(value for value in values if value.text))


def _verified(flag: Any) -> str:
    return {True: "OK", False: "PENDING"}.get(flag, "") if isinstance(flag, bool) else ""


def _robot(one: dict[str, Any]) -> Entry:
    url = text(one.get("url"))
    value = Value("robot", "webhook", url, secret=text(one.get("robotSignKey")))
    return Entry(text(one.get("name")), (value,) if url else ())


def first(account: Account, version: str) -> None:
    """Reads as little as shows that it can be read. Raises DeliveryError."""
    if version == "2024-03-30":
        account.roa(URL, "/contact", "ListContacts", version, {"pageNumber": "1", "pageSize": "1"})
    else:
        account.rpc(URL, "DescribeContactList", version, {"PageNumber": "1", "PageSize": "1"})
