"""The databases of `fixtures`."""

from tests.storage.fixtures import database, shared_postgres

__all__ = ["database", "shared_postgres"]
