"""The migrations make exactly the tables of the schema, from any start, also when several processes run them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from storage.database import MIGRATIONS, Database
from storage.schema import metadata
from tests.storage.test_database import ROOT

pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
]


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    database = Database(database_url, "key")
    yield database
    database.close()


def comparable(_object: object, name: str | None, kind: str, _reflected: object, _compared: object) -> bool:
    """Not indexes with expressions: Alembic cannot read them back (`described` does)."""
    return kind != "index" or name != "uq_alert_incident"


def differences(database: Database) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True, "include_object": comparable}
    with database.write() as tx:
        context = MigrationContext.configure(tx.conn, opts=options)
        return list(compare_metadata(context, metadata))


def test_an_empty_database_gets_the_tables_of_the_schema_and_a_second_upgrade_changes_nothing(empty: Database) -> None:
    assert differences(empty) != []
    empty.upgrade()
    assert differences(empty) == []
    empty.upgrade()
    assert differences(empty) == []


INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
}


def test_indexes_and_foreign_keys_are_the_same_as_in_the_schema(empty: Database) -> None:
    """Autogenerate does not look at the conditions of partial indexes, and what it overlooks makes duplicates."""
    empty.upgrade()
    with empty.write() as tx:
        migrated = described(tx.conn), indexes(tx.conn)
        metadata.drop_all(tx.conn)
        metadata.create_all(tx.conn)
        assert migrated == (described(tx.conn), indexes(tx.conn))
        assert "WHEN" in indexes(tx.conn)["uq_alert_incident"].upper()


def indexes(connection: Connection) -> dict[str, str]:
    """Each index as the database says that it was made."""
    said = connection.exec_driver_sql(INDEXES[connection.dialect.name])
    return {name: " ".join(made.split()) for name, made in said if not name.startswith("alembic_version")}


def described(connection: Connection) -> dict[str, dict[str, list[str]]]:
    look = inspect(connection)
    return {
        table: {
            "keys": sorted(map(plain, look.get_foreign_keys(table))),
            "unique": sorted(map(plain, look.get_unique_constraints(table))),
        }
        for table in metadata.tables
    }


def plain(found: object) -> str:
    """Equal for equal things, in whatever order a database tells of them."""
    if isinstance(found, dict):
        return str(sorted((name, plain(value)) for name, value in found.items()))
    return str(found)


def test_the_way_back_leaves_nothing(empty: Database) -> None:
    empty.upgrade()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with empty.write() as tx:
        assert MigrationContext.configure(tx.conn).get_current_heads()  # asked first: else Alembic begins, and commits
        config.attributes["connection"] = tx.conn
        command.downgrade(config, "base")
    with empty.read() as tx:
        assert set(inspect(tx.conn).get_table_names()) <= {"alembic_version", "sqlite_sequence"}
    empty.upgrade()
    assert differences(empty) == []


def test_two_processes_may_upgrade_at_once(empty: Database, database_url: str) -> None:
    """Both wait for the same line, so that they start together."""
    program = (
        "import sys; from storage.database import upgrade; print('up', flush=True); sys.stdin.readline();"
        "upgrade(sys.argv[1]); upgrade(sys.argv[1])"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, database_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    assert differences(empty) == []
