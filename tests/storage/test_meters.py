"""Counting the messages of a month."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from storage import meters
from storage.database import Database


def test_each_platform_and_month_is_counted_for_itself(database: Database) -> None:
    with database.write() as tx:
        assert [meters.count(tx, "dingtalk", "2026-11") for _message in range(3)] == [1, 2, 3]
        assert meters.count(tx, "dingtalk", "2026-12") == 1
        assert meters.count(tx, "lark", "2026-11") == 1
    with database.read() as tx:
        assert meters.used(tx, "dingtalk", "2026-11") == 3
        assert meters.used(tx, "dingtalk", "2027-01") == 0


def test_none_is_lost_when_many_count_at_once(database: Database) -> None:
    start = threading.Barrier(4)

    def count(_thread: int) -> None:
        start.wait()
        for _message in range(5):
            with database.write() as tx:
                meters.count(tx, "dingtalk", "2026-11")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    with database.read() as tx:
        assert meters.used(tx, "dingtalk", "2026-11") == 20


def test_a_percentage_is_warned_of_once_and_a_smaller_one_not_after_it(database: Database) -> None:
    with database.write() as tx:
        assert not meters.warn(tx, "dingtalk", "2026-11", 50), "nothing was counted yet"
        meters.count(tx, "dingtalk", "2026-11")
        told = [meters.warn(tx, "dingtalk", "2026-11", percent) for percent in (50, 50, 95, 80)]
        assert told == [True, False, True, False]
        meters.count(tx, "dingtalk", "2026-11")
        assert not meters.warn(tx, "dingtalk", "2026-11", 95), "counting on does not forget it"
        meters.count(tx, "dingtalk", "2026-12")
        assert meters.warn(tx, "dingtalk", "2026-12", 50), "a new month begins anew"
