"""The request bodies of `tests/fixtures/sources`, and a present moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.model import Alert
from handlers.sources import SOURCES
from handlers.sources.contract import Body

FIXTURES = Path(__file__).parents[2] / "fixtures" / "sources"
NOW = datetime(2026, 3, 28, 2, 0, tzinfo=UTC)

Parse = Callable[[str, bytes | str], list[Alert]]


@pytest.fixture
def parse() -> Parse:
    """`parse(kind, body)`: the alerts of a body of that kind, read at `NOW`."""

    def parse(kind: str, body: bytes | str) -> list[Alert]:
        raw = body.encode() if isinstance(body, str) else body
        return SOURCES[kind].parse(Body(raw), NOW)

    return parse


@pytest.fixture
def load(parse: Parse) -> Callable[[str], list[Alert]]:
    """`load("json/list.json")`: the alerts of a fixture, read by the source of its folder."""

    def load(name: str) -> list[Alert]:
        return parse(name.partition("/")[0], (FIXTURES / name).read_bytes())

    return load
