"""Lists show 20 at a time; `more` continues the last one, and none where the last one is complete."""

from __future__ import annotations

import pytest

from handlers import names
from storage import contacts, groups
from storage.database import Database
from tests.handlers.commands.talk import said
from tests.storage.fixtures import sqlite_database, sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_database", "sqlite_template"]

OVER = "There is no list to continue"


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    with sqlite_database.write() as tx:
        people = [contacts.add(tx, f"P{n:02}", names.key(f"P{n:02}"), "", NOW) for n in range(45)]
        groups.add_members(tx, groups.add(tx, "all", "all", "", NOW), people)
        groups.add_members(tx, groups.add(tx, "few", "few", "", NOW), people[:2])
    return sqlite_database


def test_a_large_group_is_shown_page_by_page(database: Database) -> None:
    pages = [said(database, "group show all"), said(database, "more"), said(database, "more")]
    assert [sum(f"P{n:02}" in page for n in range(45)) for page in pages] == [20, 20, 5]
    assert all("Group “all”: 45 members" in page for page in pages)
    assert "25 more follow" in pages[0]
    assert "follow" not in pages[2]
    assert OVER in said(database, "more")


@pytest.mark.parametrize("complete", ["group show few", "group list", "alerts", "silence list", "queue", "admin list"])
def test_a_list_without_further_pages_ends_the_one_before(database: Database, complete: str) -> None:
    assert "25 more follow" in said(database, "contact list")
    said(database, complete)
    assert OVER in said(database, "more")


def test_what_is_no_list_leaves_it_open(database: Database) -> None:
    said(database, "contact list")
    said(database, "contact show P07")
    assert "P25" in said(database, "more")
