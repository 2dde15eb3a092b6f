"""Who of a group can still be reached: the rule as a table, and where it is said."""

from __future__ import annotations

import pytest

from handlers import outcomes, reach
from handlers.context import Rules
from handlers.document import from_json
from handlers.reach import Loss
from storage import deliveries, groups, people
from storage.database import Database
from storage.reach import Way
from tests.handlers.commands.talk import ADMIN, said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database as database
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "sqlite_template"]


def ways(*channels: str, group: int = 1) -> list[Way]:
    return [Way(group, f"g{group}", number, number, channel) for number, channel in enumerate(channels)]


@pytest.mark.parametrize(
    ("before", "after", "reporting", "lost"),
    [
        (ways("sms", "email"), ways("sms", "email"), [], []),
        (ways("sms", "sms"), ways("sms"), [], []),
        (ways("sms", "email"), ways("email"), [], [Loss("g1", "sms")]),
        (ways("dingtalk", "wecom", "sms"), ways("wecom", "sms"), [], []),
        (ways("dingtalk", "email", "sms"), ways("sms"), [], [Loss("g1", "email"), Loss("g1", "robot")]),
        (ways("sms", "email"), [], [], [Loss("g1")]),
        ([], [], [], []),
        ([], [], [(1, "g1")], [Loss("g1")]),
        (ways("email"), ways("email"), [(1, "g1")], []),
        (ways("sms") + ways("sms", group=2), ways("sms"), [], [Loss("g2")]),
    ],
)
def test_what_a_group_loses(
    before: list[Way], after: list[Way], reporting: list[tuple[int, str]], lost: list[Loss]
) -> None:
    assert list(reach.losses(before, after, reporting)) == lost


@pytest.fixture
def ann(database: Database) -> int:
    """Ann gets SMS and mail, and Bob mail, in the group dba."""
    with database.write() as tx:
        ann, bob = seed.contact(tx, "Ann"), seed.contact(tx, "Bob")
        seed.method(tx, bob, "email", "bob@example.com")
        seed.method(tx, ann, "email", "ann@example.com")
        seed.group(tx, "dba", ann, bob)
        return seed.method(tx, ann, "sms", "+8613800138000")


def test_a_question_says_what_would_be_lost_and_an_answer_what_is(database: Database, ann: int) -> None:
    assert "Group dba would have nobody reachable by SMS." in said(database, "contact remove Ann")
    said(database, "no")
    assert "Group dba has nobody reachable by SMS now." in said(database, "contact edit Ann phone none")
    assert "nobody reachable" not in said(database, "contact edit Ann email none")
    assert "Group dba has nobody reachable now." in said(database, "contact edit Bob email robert@example.com")
    said(database, "undo")
    assert "Group dba has nobody reachable now." in said(database, "group remove dba Bob")


def test_whoever_is_told_of_a_disabled_address_is_told_what_its_groups_lost(database: Database, ann: int) -> None:
    with database.write() as tx:
        people.seen(tx, ADMIN, "", NOW)
        outcomes.disable(tx, ann, "no such number", Rules(language="en", admins=frozenset({ADMIN})), NOW)
        waiting = deliveries.by_id(tx, 1)
        assert waiting is not None
        assert groups.names(tx) == ["dba"]
    document = from_json((waiting.payload or {})["document"])
    assert "Group dba has nobody reachable by SMS now." in str(document)
