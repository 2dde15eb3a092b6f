"""The databases of `fixtures`."""

from tests.storage.fixtures import database, postgres_database, shared_postgres, sqlite_template

__all__ = ["database", "postgres_database", "shared_postgres", "sqlite_template"]
