"""Several processes on one PostgreSQL are one service to everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from bot.app import Service
from storage.database import upgrade
from tests import postgres
from tests.conftest import Clock
from tests.stories.conftest import ADMIN, GROUP, ROBOT_SECRET, ROBOT_URL, Town, words

NEVER_S = 3600.0
"""So long a process would not notice what it is not told."""

PATIENCE_S = 20.0


class WebTown(Town):
    """A town whose service only has the web part: what is to be done, others do."""

    def built(self) -> Service:
        return Service(self.settings, frozenset({"web"}), clock=self.clock)


@contextmanager
def running(town: Town, **how: Any) -> Iterator[Service]:
    """One more process of the town's service."""
    service = Service(town.settings, frozenset({"worker"}), clock=town.clock, **how)
    service.start()
    yield service
    service.stop(PATIENCE_S)


def with_a_source(town: Town) -> str:
    """A contact, a group, and where its alerts go."""
    town.say(f"contact add Team {ROBOT_URL} secret {ROBOT_SECRET}")
    assert "active" in town.say(town.code_for(GROUP), group=True)
    town.say("group create dba members Team")
    return town.source("dba")


def test_what_one_process_takes_in_another_does_at_once_because_it_is_told(
    tmp_path: Path, clock: Clock, postgres_url: str
) -> None:
    upgrade(postgres_url)
    town = WebTown(tmp_path, clock, database_url=postgres_url)
    with running(town, poll_s=NEVER_S), running(town, poll_s=NEVER_S):
        path = with_a_source(town)
        for number in range(5):
            after = town.world.last
            assert town.alert(path, {"title": f"disk {number}"}).status_code == 200
            card = town.expect(lambda event: event.kind == "card", after=after)
            assert f"disk {number}" in words(card.body)
    town.end()


def test_one_process_has_the_stream_and_another_takes_it_over(
    make_town: Callable[..., Town], postgres_url: str
) -> None:
    town = make_town(database_url=postgres_url, dingtalk_stream=True)
    stream = town.stand_ins.stream
    assert stream.wait_opened(1, PATIENCE_S)
    client = town.stand_ins.dingtalk_client(town.url, town.app, stream=True)

    def asks() -> str:
        after = town.world.last
        assert client.type(ADMIN, "help").delivered
        return town.answer(town.chat(ADMIN), after=after)

    with running(town, tend_s=0.05) as second:
        assert "contact add" in asks()
        assert (stream.opened, stream.connections) == (1, 1)
        assert town.service.replicas is not None
        town.service.replicas.stop(PATIENCE_S)
        assert stream.wait_opened(2, PATIENCE_S)
        assert "contact add" in asks()
        assert (stream.opened, stream.connections) == (2, 1)
        assert second.heartbeats.ages().keys() >= {"replicas", "dingtalk stream"}
    client.close()


def test_without_a_clock_of_its_own_a_process_goes_by_the_databases(
    make_town: Callable[..., Town], postgres_url: str
) -> None:
    service = Service(make_town(database_url=postgres_url).settings, frozenset({"worker"}))
    assert abs(service.clock() - service.database.now()) < timedelta(seconds=0.5)
    service.stop(PATIENCE_S)


def test_an_alert_that_did_not_reach_the_synchronous_standby_is_refused_and_is_the_same_when_it_comes_again(
    make_town: Callable[..., Town], postgres_server: postgres.Server, postgres_url: str
) -> None:
    if postgres_server.process is None:
        pytest.skip("the server of TEST_PG_URL is not ours to configure")
    with psycopg.connect(postgres_server.url, autocommit=True) as admin:
        name = urlsplit(postgres_url).path.lstrip("/")
        admin.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on'.encode())
        town = make_town(database_url=postgres_url)
        path = with_a_source(town)
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(town.alert, path, {"title": "disk full"})
                while not answer.done():  # somebody decides that it has taken long enough
                    admin.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            assert answer.result().status_code == 503
        finally:
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
        assert town.alert(path, {"title": "disk full"}).json() == {"accepted": 1, "alerts": [1]}
