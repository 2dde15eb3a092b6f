"""The service as its users run it: a process of its own, with whatever stands in for the platforms behind it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.load import ROOT
from handlers import names
from storage import contacts, groups, sources
from storage.database import Database

KEY = "key of the benchmark"
ALERT = '{"title":"alert-NNNNNNNN-PP","severity":"warning"}'
"""One alert of the load generator, as our own JSON has it."""


@dataclass(frozen=True)
class Service:
    """A running service; `url` is "" of one without a web part."""

    url: str
    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def intake(self, source: str) -> str:
        """Where the alerts of a source go."""
        return f"{self.url}/alerts/json/token-{source}"


@dataclass(frozen=True)
class Robot:
    """Somebody to tell: a contact with one active way."""

    channel: str
    address: str


def fill(database_url: str, told: Mapping[str, Sequence[Robot]]) -> None:
    """A new database with a group and a source for each name, and its robots in the group; the token is `token-<name>`."""
    database = Database(database_url, KEY)
    database.upgrade()
    now = datetime.now(UTC)
    with database.write() as tx:
        for name, robots in told.items():
            members = []
            for number, robot in enumerate(robots):
                own = f"{name} {number}"
                contact = contacts.add(tx, own, names.key(own), "", now)
                method = contacts.add_method(tx, contact, robot.channel, robot.address, "", "", now)
                contacts.change_method(tx, method, state="active")
                members.append(contact)
            group = groups.add(tx, name, names.key(name), "", now)
            groups.add_members(tx, group, members)
            sources.add(tx, name, names.key(name), "json", f"token-{name}", group, "", now)
    database.close()


def environment(database_url: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """The settings of a service on any free port; nothing of this machine's own settings or proxies."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return clean | {"DATABASE_URL": database_url, "SECRET_KEY": KEY, "PORT": "0", "PYTHONPATH": str(ROOT), **overrides}


def start(settings: Mapping[str, str], *words: str, folder: str = "/") -> Service:
    """`python -m bot <words>`, when it says that it is there; its log is kept only until then. Raises RuntimeError."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", *words],
            cwd=folder,
            env=dict(settings),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        if not said:
            process.wait(10)
            log.seek(0)
            raise RuntimeError(f"the service did not start: {log.read()[-500:]}")
    return Service(said.split()[-1] if "http" in said else "", process)


def stop(service: Service) -> None:
    """SIGTERM, and the exit; SIGKILL where that takes longer than a service may take."""
    service.process.terminate()
    try:
        service.process.wait(15)
    except subprocess.TimeoutExpired:
        service.process.kill()
        service.process.wait()
    if service.process.stdout is not None:
        service.process.stdout.close()


@contextmanager
def running(database_url: str, overrides: Mapping[str, str]) -> Iterator[Service]:
    """The whole service in one process, ended at the end; the database has to be closed before."""
    service = start(environment(database_url, overrides))
    try:
        yield service
    finally:
        stop(service)
