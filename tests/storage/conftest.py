"""An open database of each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.database import Database
from tests.storage import seed


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with seed.opened(database_url) as opened:
        yield opened
