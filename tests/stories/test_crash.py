"""`kill -9` at random moments under load: every alert that was answered 200 arrives, none more than twice."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from handlers import names
from storage import contacts, groups, sources
from storage.database import Database
from tests.stories.conftest import words

ROOT = Path(__file__).parents[2]
ROUNDS = 20
ROBOTS = 12
A_ROUND = 24
PATIENCE_S = 60.0


class Starter:
    """The real service as a process of its own, on a port of its choice, time and again."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.pid = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.stories.crash_child"],
            cwd=folder,
            env=environment | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def start(self) -> str:
        """The URL of a new service."""
        assert self._process.stdin is not None
        self._process.stdin.write("another\n")
        self._process.stdin.flush()
        self.pid = int(self._line())
        url = self._line().split()[-1]
        assert url.startswith("http://"), "the service did not start"
        return url

    def end(self, number: signal.Signals) -> int:
        """The exit code of the service after that signal."""
        os.kill(self.pid, number)
        said = self._line()
        while not said.lstrip("-").isdigit():  # its last words
            assert said, "the service went without an exit code"
            said = self._line()
        self.pid = 0
        return int(said)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        self._process.communicate(timeout=10)  # the end of its stdin is what ends it


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def environment(world: World, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of a service with ROBOTS Lark robots, one group and one source for each."""
    url = f"sqlite:///{tmp_path / 'crash.db'}"
    with StandIns(world) as stand_ins:
        database = Database(url, "key of the crash test")
        database.upgrade()
        now = datetime.now(UTC)
        with database.write() as tx:
            for number in range(ROBOTS):
                world.add_group("lark", f"g{number}", f"group {number}")
                world.add_robot("lark", f"g{number}", f"hook{number}")
                contact = contacts.add(tx, f"robot {number}", names.key(f"robot {number}"), "", now)
                address = f"https://open.feishu.cn/open-apis/bot/v2/hook/hook{number}"
                method = contacts.add_method(tx, contact, "lark", address, "masked", "", now)
                contacts.change_method(tx, method, state="active")
                group = groups.add(tx, f"group {number}", names.key(f"group {number}"), "", now)
                groups.add_members(tx, group, [contact])
                sources.add(
                    tx, f"source {number}", names.key(f"source {number}"), "json", f"token{number}", group, "", now
                )
        database.close()
        clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        yield clean | stand_ins.overrides() | {"DATABASE_URL": url, "SECRET_KEY": "key of the crash test", "PORT": "0"}


@pytest.fixture
def starter(environment: dict[str, str], tmp_path: Path) -> Iterator[Starter]:
    built = Starter(environment, tmp_path)
    yield built
    built.close()


def test_kill_9_loses_nothing_and_repeats_little(world: World, starter: Starter) -> None:
    rng = random.Random(9)
    titles = itertools.count()
    accepted: set[str] = set()
    lock = threading.Lock()

    def load(url: str) -> None:
        """Reports alerts until the service is gone; remembers those that were answered 200."""
        with requests.Session() as session:
            session.trust_env = False
            for _alert in range(A_ROUND // 3):
                with lock:
                    number = next(titles)
                title = f"alert-{number:05d}-end"
                try:
                    answer = session.post(
                        f"{url}/alerts/json/token{number % ROBOTS}", json={"title": title}, timeout=10
                    )
                except requests.RequestException:
                    return
                if answer.status_code == 200:
                    with lock:
                        accepted.add(title)

    for _round in range(ROUNDS):
        url = starter.start()
        threads = [threading.Thread(target=load, args=(url,)) for _sender in range(3)]
        for thread in threads:
            thread.start()
        threading.Event().wait(rng.uniform(0.02, 0.35))
        assert starter.end(signal.SIGKILL) == -signal.SIGKILL
        for thread in threads:
            thread.join()
    starter.start()

    def all_there() -> bool:
        return accepted <= set(arrived(world))

    if not all_there():
        world.wait_for(lambda _event: all_there(), timeout_s=PATIENCE_S)
    assert starter.end(signal.SIGTERM) == 0
    counts = arrived(world)
    assert len(accepted) >= ROUNDS, "too little load for a test"
    assert not accepted - set(counts), "an alert that was answered 200 never arrived"
    assert max(counts.values()) <= 2, counts.most_common(3)


def arrived(world: World) -> Counter[str]:
    """How often each alert reached its robot."""
    found: Counter[str] = Counter()
    for event in world.cards("lark"):
        found.update(set(re.findall(r"alert-\d{5}-end", words(event.body))))
    return found
