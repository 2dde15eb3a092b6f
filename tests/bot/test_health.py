"""What judges whether we are ready must answer also when the database does not."""

from __future__ import annotations

import threading

import pytest

from bot.web.health import Probe


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
