"""What every test has: a clean environment, no way out of this machine, a clock to move, and a fresh database."""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import socket
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from sqlalchemy import Connection, Engine, event
from werkzeug.routing import Rule

from bot.settings import SECRETS, Settings
from tests import postgres

# How long an example takes says how busy the machine is. In CI the same examples each time: a red run is the change's.
settings.register_profile(
    "callboard", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("callboard")

FOREIGN = ("SLACK_", "DINGTALK_", "ALIBABA_", "WECOM_", "LARK_", "PGHOST", "PGPORT", "PGUSER", "PGPASS", "PGDATABASE")


MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 2**30
"""A container may have as little as 64 MB there, too little for the folders of all workers and a browser."""


def pytest_configure() -> None:
    """The settings of whoever runs the tests must not reach them: libraries read some of these by themselves.

    The folders of the tests are in memory where there is some: every commit waits for the disk, and none has to
    survive a power cut.
    """
    ours = {name.upper() for name in Settings.model_fields} | {f"{name.upper()}_FILE" for name in SECRETS}
    for name in list(os.environ):
        if name in ours or name.startswith(FOREIGN) or name.upper().endswith("_PROXY"):
            del os.environ[name]
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Half as many again as there are processors: browsers, processes and time-outs are waited for."""
    processors = yield
    return processors + (processors + 1) // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives as long as the tests: Python shall not look through all of it for garbage time and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class _Compiled(dict[Any, Any]):
    """SQL that was compiled once, for every database of its kind: a new one for each test would compile all of it again.

    SQLAlchemy asks by dialect and statement; the dialects of two engines are never the same, but as good as.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


_compiled = _Compiled()


@event.listens_for(Engine, "engine_connect")
def _share_compiled(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_compiled)


_compile_builder = Rule._compile_builder
_builders: dict[Any, Any] = {}


def _compile_builder_once(rule: Rule, append_unknown: bool = True) -> Any:
    key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


# For every route Werkzeug writes, compiles and runs a program; each test that has a service would do so for all of them.
Rule._compile_builder = _compile_builder_once  # type: ignore[assignment, method-assign]


class OutsideRefused(RuntimeError):
    """A test tried to reach another machine."""


def _local(host: Any) -> bool:
    if host is None or host in ("", "localhost", b"localhost"):
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _numeric(host: Any) -> bool:
    """An address in digits is not looked up; connecting to it is what is refused."""
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuses connections and name look-ups that would leave this machine, in every thread and event loop."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto
    getaddrinfo, gethostbyname = socket.getaddrinfo, socket.gethostbyname

    def checked(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _local(address[0]):
            sock.close()  # callers close it for an OSError only
            raise OutsideRefused(f"tests may not connect to {address[0]}")

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        checked(sock, address)
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        checked(sock, address)
        return connect_ex(sock, address)

    def guarded_sendto(sock: socket.socket, data: Any, *rest: Any) -> int:
        checked(sock, rest[-1])
        return sendto(sock, data, *rest)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not (_local(host) or _numeric(host)):
            raise OutsideRefused(f"tests may not look up {host}")
        return getaddrinfo(host, *args, **kwargs)

    def guarded_gethostbyname(host: str) -> str:
        if host == socket.gethostname():  # smtplib wants to know who it is
            return "127.0.0.1"
        if not (_local(host) or _numeric(host)):
            raise OutsideRefused(f"tests may not look up {host}")
        return gethostbyname(host)

    def no_reverse_lookup(host: str) -> Any:
        raise socket.herror(1, "no reverse look-up in tests")  # getfqdn() then takes the plain host name

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket.socket, "sendto", guarded_sendto)
    patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    patch.setattr(socket, "gethostbyname", guarded_gethostbyname)
    patch.setattr(socket, "gethostbyaddr", no_reverse_lookup)
    yield
    patch.undo()


class Given(Settings):
    """Settings that are exactly what is given: looking for each of them in the environment takes its time."""

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


class Clock:
    """`clock()` is the time, aware, UTC; it moves only by `forward`."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        self.now += timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    server = postgres.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    url = postgres_server.fresh()
    yield url
    postgres_server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database of each kind; a test that takes it runs once for each."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'callboard.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
