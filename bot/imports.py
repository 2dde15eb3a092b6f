"""Carrying out an import that is owed: reads all of it, then writes it in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bot import cloudmonitor, das
from bot.aliyun import AccessKey
from bot.aliyun_reading import Account
from bot.http import Http
from handlers import import_orders, import_reports
from handlers.context import Rules
from handlers.errors import DeliveryError
from handlers.import_books import Book
from handlers.import_wishes import system_name
from handlers.texts import Say, _
from storage import lanes
from storage.database import Database
from storage.deliveries import DeliveryRow


@dataclass(frozen=True, slots=True)
class Cloud:
    """The account at Alibaba Cloud.

    cloudmonitor_api  version of the API that contacts are read from
    pause             waits so many seconds between calls
    """

    http: Http
    key: AccessKey = field(repr=False)
    cloudmonitor_api: str = "2019-01-01"
    pause: Callable[[float], None] = time.sleep

    def account(self, name: Say, rights: str, now: datetime) -> Account:
        """Raises DeliveryError when there is no key."""
        if not self.key.id:
            raise DeliveryError(
                "not_set_up",
                _(
                    "{channel} is not set up here: {settings} missing.",
                    channel=name,
                    settings="ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                ),
                permanent=True,
            )
        return Account(name, rights, self.http, self.key, now, self.pause)

    def book(self, source: str, now: datetime) -> Book:
        """All contacts and groups of a source. Raises DeliveryError."""
        way, _colon, instance = source.partition(":")
        if way == "das":
            return das.read(self.account(system_name(source), das.RIGHTS_TO_SUBSCRIPTION, now), instance)
        rights = cloudmonitor.RIGHTS[self.cloudmonitor_api]
        return cloudmonitor.read(self.account(system_name(source), rights, now), self.cloudmonitor_api)


def carry_out(row: DeliveryRow, cloud: Cloud, database: Database, rules: Rules, now: datetime) -> str:
    """Reads and writes what the delivery was owed for; in a word, how much. Raises DeliveryError: nothing is changed."""
    with database.write() as tx:
        if import_reports.done(tx, row):
            return ""
    try:
        book = cloud.book((row.payload or {})["source"], now)
    except DeliveryError as error:
        if not error.permanent and row.attempts == 0:
            with database.write() as tx:
                lanes.wake(tx, import_orders.slow(tx, row, error, rules, now), now)
        raise
    with database.write() as tx:
        lanes.wake(tx, import_reports.apply(tx, row, book, rules, now), now)
    return f"{len(book.contacts)} contacts"
