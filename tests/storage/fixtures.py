"""An open database of each kind, empty but for its tables; for every room whose tests need one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.database import Database
from storage.schema import metadata
from tests import postgres
from tests.storage import seed

EMPTIED = "; ".join(f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables))
"""All tables in one go: one statement for each would take five times as long, after every test."""


@pytest.fixture(scope="session")
def shared_postgres(postgres_server: postgres.Server) -> Iterator[Database]:
    """One PostgreSQL database for all tests: making one for each takes longer than most tests do."""
    url = postgres_server.fresh()
    with seed.opened(url) as opened:
        yield opened
    postgres_server.drop(url)


@pytest.fixture
def postgres_database(shared_postgres: Database) -> Iterator[Database]:
    yield shared_postgres
    with shared_postgres.write() as tx:
        tx.conn.exec_driver_sql(EMPTIED)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables and nothing else, to be copied."""
    file = tmp_path_factory.mktemp("template") / "callboard.db"
    with seed.opened(f"sqlite:///{file}"):
        pass
    return file


@contextmanager
def _copied(template: Path, folder: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{shutil.copy(template, folder)}", seed.KEY)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """For what does not depend on the database's SQL."""
    with _copied(sqlite_template, tmp_path) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        with _copied(sqlite_template, tmp_path) as opened:
            yield opened
    else:
        yield request.getfixturevalue("postgres_database")
