"""What judges whether we are ready must answer also when the database does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from bot.metrics import Heartbeats, Metrics
from bot.web import health
from bot.web.health import Probe
from storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'callboard.db'}", "key")
    opened.upgrade()
    yield opened
    opened.close()


def test_ready_is_who_can_write_to_the_disk_and_who_cannot_says_why(database: Database, tmp_path: Path) -> None:
    app = Flask("test")
    heartbeats = Heartbeats()
    app.register_blueprint(health.blueprint(database, Metrics(heartbeats), heartbeats))

    def ready() -> tuple[int, list[str]]:
        response = app.test_client().get("/readyz")
        return response.status_code, response.get_json()["problems"]

    with database.write() as tx:
        tx.conn.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite makes it as many as there are
    assert ready() == (503, ["database: disk full"])
    with database.write() as tx:
        tx.conn.exec_driver_sql("PRAGMA max_page_count=100000")
    assert ready() == (200, [])
    (tmp_path / "callboard.db").unlink()
    assert ready() == (503, ["database: file taken away"])


def test_what_never_answers_is_waited_for_once_and_not_for_ever() -> None:
    release = threading.Event()
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        release.wait(10)
        return ""

    probe = Probe(ask, "no answer")
    assert [probe.answer(0.01) for _turn in range(3)] == ["no answer"] * 3
    assert len(asked) == 1
    release.set()
    assert probe.answer(10) == ""


def test_an_error_while_asking_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    def ask() -> str:
        raise RuntimeError("broken")

    assert Probe(ask, "no answer").answer(10) == "unreachable"
    assert "could not be asked" in caplog.text
