"""Reports that are answered in the server's loop: who is told what, and when, and which reports are left to the route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from bot.intake import Intake
from bot.metrics import Heartbeats, Metrics
from bot.web import alerts as web
from bot.web.front import QUICK_BYTES, Answer
from storage import sources
from storage.database import Database
from storage.sources import SourceRow
from tests.conftest import Clock
from tests.storage import seed
from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]

TOKEN = "token-of-one"
PATH = f"/alerts/json/{TOKEN}"
PATIENCE_S = 20.0


class Asked:
    """Quick alerts over an intake, and what they tell."""

    def __init__(self, database: Database, **how: Any) -> None:
        heartbeats = Heartbeats()
        self.metrics = Metrics(heartbeats)
        self.intake = Intake(
            database,
            clock=Clock(NOW),
            repeat=timedelta(hours=4),
            wake_worker=lambda: None,
            metrics=self.metrics,
            heartbeats=heartbeats,
            **how,
        )
        assert self.intake.source_of(TOKEN) is not None  # from now on it is kept in mind
        self.quick = web.QuickAlerts(self.intake, self.metrics, Clock(NOW))
        self.told: list[Answer | None] = []
        self.news = asyncio.Event()

    def take(self, body: object, *, method: str = "POST", path: str = PATH) -> bool:
        before = len(self.told)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        taken = self.quick.take(method, path, "application/json", raw, self._tell)
        assert len(self.told) == before, "told before it was taken"
        return taken

    def _tell(self, answer: Answer | None) -> None:
        self.told.append(answer)
        self.news.set()

    async def answers(self, count: int) -> list[tuple[int, dict[str, Any]]]:
        """Status and body of the first so many answers, once they are there."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.told) < count:
                self.news.clear()
                await self.news.wait()
        return [(answer.status, json.loads(answer.body)) for answer in self.told if answer is not None]

    def counted(self, status: int) -> float:
        found = self.metrics.registry.get_sample_value(
            "callboard_http_requests_total", {"route": web.ROUTE, "status": str(status)}
        )
        return found or 0.0


@pytest.fixture
def source(database: Database) -> SourceRow:
    with database.write() as tx:
        return seed.told_source(tx, TOKEN)


@pytest.fixture
def build(database: Database, source: SourceRow) -> Iterator[Callable[..., Asked]]:
    made: list[Asked] = []

    def make(**how: Any) -> Asked:
        made.append(Asked(database, **how))
        return made[-1]

    yield make
    for one in made:
        one.intake.stop(PATIENCE_S)


def test_everybody_is_told_the_numbers_of_their_own_alerts(build: Callable[..., Asked]) -> None:
    async def course() -> None:
        asked = build()
        assert all(asked.take([{"title": f"{n} {part}"} for part in range(n)]) for n in range(4))
        asked.intake.start()
        said = await asked.answers(4)
        assert [status for status, _body in said] == [200] * 4
        assert sorted(body["accepted"] for _status, body in said) == [0, 1, 2, 3]
        assert all(len(body["alerts"]) == body["accepted"] for _status, body in said)
        assert len({number for _status, body in said for number in body["alerts"]}) == 6
        assert asked.counted(200) == 4
        for answer in asked.told:
            assert answer is not None
            assert (b"content-length", b"%d" % len(answer.body)) in answer.headers
            assert (b"content-type", b"application/json") in answer.headers

    asyncio.run(course())


def test_who_waits_too_long_is_told_to_come_again_and_who_comes_then_is_answered(
    build: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "PATIENCE_S", 0.02)

    async def course() -> None:
        asked = build()
        assert asked.take({"title": "one"})
        assert asked.take({"title": "two"})
        said = await asked.answers(2)
        assert said == [(503, {"error": "The alerts could not be stored; send them again."})] * 2
        assert asked.told[0] is not None
        assert (b"Retry-After", b"2") in asked.told[0].headers
        assert asked.take({"title": "three"})  # it is looked again, although nobody was left
        assert (await asked.answers(3))[2][0] == 503
        monkeypatch.setattr(web, "PATIENCE_S", PATIENCE_S)
        asked.intake.start()
        assert asked.take({"title": "four"})
        assert (await asked.answers(4))[3][0] == 200
        assert len(asked.told) == 4  # the first three are stored by now, and their senders not told again
        assert (asked.counted(503), asked.counted(200)) == (3, 1)

    asyncio.run(course())


def test_a_sender_that_cannot_be_told_costs_the_others_nothing(
    build: Callable[..., Asked], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_answer: Answer | None) -> None:
        raise RuntimeError("its connection is gone")

    async def course() -> None:
        asked = build()
        assert asked.quick.take("POST", PATH, "", b'{"title": "one"}', broken)
        assert asked.take({"title": "two"})
        asked.intake.start()
        assert (await asked.answers(1))[0][0] == 200

    asyncio.run(course())
    assert "an answer could not be given" in caplog.text


def test_an_overload_is_told_after_it_was_taken(build: Callable[..., Asked]) -> None:
    async def course() -> None:
        asked = build(most_waiting=1)
        assert asked.take({"title": "one"})
        assert asked.take({"title": "two"})
        assert await asked.answers(1) == [(429, {"error": "Too many alerts at once; try again in a moment."})]
        asked.intake.start()
        assert (await asked.answers(2))[1][0] == 200

    asyncio.run(course())


def test_a_token_that_is_no_longer_one_is_refused(
    build: Callable[..., Asked], database: Database, source: SourceRow
) -> None:
    async def course() -> None:
        asked = build()
        with database.write() as tx:
            sources.rotate(tx, source.id, "its new token")
        asked.intake.start()
        assert asked.take({"title": "one"})
        status, body = (await asked.answers(1))[0]
        assert status == 401
        assert TOKEN not in str(body)
        assert not asked.take({"title": "two"})  # nobody has it in mind any more

    asyncio.run(course())


@pytest.mark.parametrize(
    "other",
    [
        {"method": "GET"},
        {"path": PATH + "/"},
        {"path": "/" + PATH},
        {"path": f"/alerts/grafana/{TOKEN}"},
        {"path": "/alerts/json/another"},
        {"path": f"/others/json/{TOKEN}"},
        {"body": b""},
        {"body": b"{"},
        {"body": {"title": ""}},
        {"body": {"title": "x", "link": "javascript:"}},
        {"body": {"title": "x" * QUICK_BYTES}},
    ],
    ids=str,
)
def test_what_is_unusual_is_left_to_the_route(other: dict[str, Any], build: Callable[..., Asked]) -> None:
    async def course() -> None:
        assert not build().take(**({"body": {"title": "one"}} | other))

    asyncio.run(course())
