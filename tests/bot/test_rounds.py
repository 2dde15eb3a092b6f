"""A thread that does the same again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from bot.metrics import Heartbeats
from bot.rounds import Rounds

PATIENCE_S = 20.0


class Steps:
    """Counts what it is asked to do; `hold` is called in each step."""

    def __init__(self) -> None:
        self.done = threading.Semaphore(0)
        self.hold: Callable[[], object] = lambda: None

    def __call__(self) -> None:
        self.done.release()
        self.hold()

    def come(self) -> bool:
        return self.done.acquire(timeout=PATIENCE_S)

    def more(self) -> bool:
        return self.done.acquire(blocking=False)


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def heartbeats() -> Heartbeats:
    return Heartbeats()


@pytest.fixture
def build(steps: Steps, heartbeats: Heartbeats) -> Iterator[Callable[[float], Rounds]]:
    made: list[Rounds] = []

    def make(pause_s: float) -> Rounds:
        made.append(Rounds("rounds", steps, heartbeats, pause_s=pause_s, trouble="a step broke"))
        made[-1].start()
        return made[-1]

    yield make
    for rounds in made:
        rounds.stop(PATIENCE_S)


def test_it_comes_again_after_the_pause(build: Callable[[float], Rounds], steps: Steps) -> None:
    build(0.001)
    assert all(steps.come() for _ in range(3))


def test_it_comes_at_once_when_it_is_woken_also_in_the_middle_of_a_step(
    build: Callable[[float], Rounds], steps: Steps
) -> None:
    rounds = build(2 * PATIENCE_S)
    assert steps.come()
    may_end = threading.Event()
    steps.hold = lambda: may_end.wait(PATIENCE_S)
    rounds.wake()
    assert steps.come()
    rounds.wake()  # the step that it is in may have looked already
    may_end.set()
    assert steps.come()
    assert not steps.more()


def test_a_step_that_breaks_ends_nothing(
    build: Callable[[float], Rounds], steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ValueError

    steps.hold = broken
    with caplog.at_level(logging.ERROR):
        rounds = build(0.001)
        assert all(steps.come() for _ in range(3))
        rounds.stop(PATIENCE_S)
    assert "a step broke" in caplog.text


def test_it_lives_as_long_as_it_is_not_stopped(
    build: Callable[[float], Rounds], steps: Steps, heartbeats: Heartbeats
) -> None:
    rounds = build(2 * PATIENCE_S)
    assert steps.come()
    assert list(heartbeats.ages()) == ["rounds"]
    rounds.stop(PATIENCE_S)
    assert (rounds.stopping, heartbeats.ages()) == (True, {})
    assert not steps.more()


def test_what_was_never_started_can_be_stopped(steps: Steps, heartbeats: Heartbeats) -> None:
    Rounds("rounds", steps, heartbeats, pause_s=1.0, trouble="").stop(PATIENCE_S)
    assert heartbeats.ages() == {}
