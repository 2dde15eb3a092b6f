"""The three-way merge of another system's contacts with ours, and its groups."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.context import Rules
from handlers.import_books import ACCEPTED, Book, Entry, Team, Value, teams
from handlers.import_results import Line
from handlers.import_wishes import Wish
from handlers.imports import carry_out
from handlers.texts import render
from storage import audit, contacts, groups
from storage import imports as kept
from storage.database import Database, Tx

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES = Rules()
WISH = Wish("cloudmonitor", person="dingtalk:corp/admin01")
OLD, NEW, OWN = "old@example.com", "new@example.com", "own@example.com"


class _Undo(Exception):
    """Nothing of a test stays."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    file: Path = tmp_path_factory.mktemp("imports") / "imports.db"
    opened = Database(f"sqlite:///{file}", "key-of-the-imports")
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def tx(database: Database) -> Iterator[Tx]:
    with contextlib.suppress(_Undo), database.write() as opened:
        yield opened
        raise _Undo


def mail(address: str, state: str = "OK") -> Value:
    return Value("Mail", "email", address, state)


def ann(*values: Value, groups: tuple[str, ...] = ()) -> Book:
    return Book((Entry("Ann", values, groups),))


def told(lines: tuple[Line, ...]) -> list[tuple[str, str, str]]:
    return [(render(line.name, "en"), line.result, render(line.what, "en")) for line in lines]


def results(tx: Tx, book: Book, wish: Wish = WISH) -> list[str]:
    return [f"{name}: {result}" for name, result, _what in told(carry_out(tx, book, wish, RULES, NOW).lines)]


def of(tx: Tx, name: str) -> dict[str, str]:
    """Address -> state of the contact of that name."""
    row = contacts.by_key(tx, name.casefold())
    return {one.address: one.state for one in contacts.methods(tx, [row.id])} if row else {}


def change(tx: Tx, *, remove: str = "", add: str = "", state: str = "") -> None:
    """Somebody edits Ann here."""
    row = contacts.by_key(tx, "ann")
    assert row is not None
    for method in contacts.methods(tx, [row.id]):
        if method.address == remove:
            contacts.remove_method(tx, method.id)
        elif state:
            contacts.change_method(tx, method.id, state=state)
    if add:
        contacts.add_method(tx, row.id, "email", add, add, "", NOW)


@dataclass(frozen=True)
class Case:
    """What was read first, what was done here, what is read then, and what Ann has in the end."""

    first: Book
    edit: Callable[[Tx], None]
    second: Book
    has: dict[str, str]
    said: list[str]
    wish: Wish = WISH


NOTHING: Callable[[Tx], None] = lambda _tx: None  # noqa: E731  (a row of a table)
TRUST = Wish("cloudmonitor", trust=True, person="dingtalk:corp/admin01")

CASES = {
    "nothing changed": Case(ann(mail(OLD)), NOTHING, ann(mail(OLD)), {OLD: "pending"}, ["Ann: unchanged"]),
    "changed there": Case(ann(mail(OLD)), NOTHING, ann(mail(NEW)), {NEW: "pending"}, ["Ann: changed"]),
    "changed there, verified here": Case(
        ann(mail(OLD)),
        lambda tx: change(tx, state="active"),
        ann(mail(NEW)),
        {OLD: "active", NEW: "pending"},
        ["Ann: changed"],
    ),
    "changed there and trusted": Case(
        ann(mail(OLD)), lambda tx: change(tx, state="active"), ann(mail(NEW)), {NEW: "active"}, ["Ann: changed"], TRUST
    ),
    "changed here": Case(
        ann(mail(OLD)), lambda tx: change(tx, remove=OLD, add=OWN), ann(mail(OLD)), {OWN: "pending"}, ["Ann: skipped"]
    ),
    "changed on both sides": Case(
        ann(mail(OLD)), lambda tx: change(tx, remove=OLD, add=OWN), ann(mail(NEW)), {OWN: "pending"}, ["Ann: skipped"]
    ),
    "removed here": Case(ann(mail(OLD)), lambda tx: change(tx, remove=OLD), ann(mail(OLD)), {}, ["Ann: skipped"]),
    "removed there": Case(ann(mail(OLD)), NOTHING, ann(), {OLD: "pending"}, ["Ann: changed"]),
    "added there": Case(ann(), NOTHING, ann(mail(NEW)), {NEW: "pending"}, ["Ann: changed"]),
    "added on both sides": Case(
        ann(), lambda tx: change(tx, add=OWN), ann(mail(NEW)), {OWN: "pending"}, ["Ann: skipped"]
    ),
    "the same added on both sides": Case(
        ann(), lambda tx: change(tx, add=NEW), ann(mail(NEW)), {NEW: "pending"}, ["Ann: unchanged"]
    ),
    "accepted later": Case(ann(mail(OLD, "PENDING")), NOTHING, ann(mail(OLD)), {OLD: "active"}, ["Ann: changed"], TRUST),
    "not accepted there": Case(
        ann(mail(OLD)), NOTHING, ann(mail(OLD, "PENDING")), {OLD: "pending"}, ["Ann: unchanged"], TRUST
    ),
    "out of use here": Case(
        ann(mail(OLD)), lambda tx: change(tx, state="disabled"), ann(mail(OLD)), {OLD: "disabled"}, ["Ann: unchanged"], TRUST
    ),
    "masked there later": Case(
        ann(mail(OLD)), NOTHING, ann(mail("o***@example.com")), {OLD: "pending"}, ["Ann: skipped"]
    ),
    "whole again": Case(ann(mail("n***@example.com")), NOTHING, ann(mail(NEW)), {NEW: "pending"}, ["Ann: changed"]),
    "no address": Case(ann(mail("not a mail")), NOTHING, ann(mail("not a mail")), {}, ["Ann: skipped"]),
    "not to be sent to": Case(
        ann(), NOTHING, ann(Value("AliIM", "", "wangwang01", "OK")), {}, ["Ann: skipped"]
    ),
    "a webhook of nobody we know": Case(
        ann(), NOTHING, ann(Value("DingWebHook", "webhook", "https://evil.example.com/robot/send?access_token=x")), {},
        ["Ann: skipped"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_taken_over_and_what_stays(tx: Tx, case: Case) -> None:
    carry_out(tx, case.first, WISH, RULES, NOW)
    case.edit(tx)
    preview = Wish(case.wish.source, preview=True, trust=case.wish.trust, person=case.wish.person)
    before = of(tx, "Ann")
    assert results(tx, case.second, preview) == case.said
    assert of(tx, "Ann") == before
    assert results(tx, case.second, case.wish) == case.said
    assert of(tx, "Ann") == case.has
    again = carry_out(tx, case.second, case.wish, RULES, NOW)
    assert not again.news
    assert of(tx, "Ann") == case.has


def test_a_refused_value_is_told_masked_and_with_its_reason(tx: Tx) -> None:
    bad = (Value("SMS", "phone", "138001380001111"), mail("zhang wei@example.com"), mail("x"))
    lines = told(carry_out(tx, Book((Entry("Ann", bad[:2]), Entry("Bob", bad[2:]))), WISH, RULES, NOW).lines)
    text = str(lines)
    assert "138****11" in text
    assert "z***@example.com" in text
    assert "138001380001111" not in text
    assert "too long" in text


def test_names_that_cannot_be_are_skipped_and_those_that_are_there_twice(tx: Tx) -> None:
    book = Book(tuple(Entry(name) for name in ("Ann", "ＡＮＮ", "a@b", "", "x" * 65)))
    assert sorted(results(tx, book)) == sorted(["Ann: added", "ＡＮＮ: skipped", "a@b: skipped",
                                               "–: skipped", f"{'x' * 64}: skipped"])  # fmt: skip


def test_groups_follow_and_what_was_changed_in_them_here_stays(tx: Tx) -> None:
    people = tuple(Entry(name) for name in ("Ann", "Bob", "Cat"))

    def book(*members: str, note: str = "", among: tuple[Entry, ...] = people) -> Book:
        return Book(among, (Team("DBA", note, members),))

    def there() -> tuple[str, set[str]]:
        row = groups.by_key(tx, "dba")
        assert row is not None
        return row.note, {one.name for one in groups.members(tx, row.id)}

    assert "group DBA: added" in results(tx, book("Ann", "Bob", "Nobody", note="duty"))
    assert there() == ("duty", {"Ann", "Bob"})
    assert "group DBA: changed" in results(tx, book("Ann", "Cat", note="night duty"))
    assert there() == ("night duty", {"Ann", "Cat"})
    row = groups.by_key(tx, "dba")
    cat = contacts.by_key(tx, "cat")
    assert row is not None
    assert cat is not None
    groups.remove_members(tx, row.id, [cat.id])
    groups.change(tx, row.id, note="ours")
    assert "group DBA: skipped" in results(tx, book("Ann", "Cat", note="day duty"))
    assert there() == ("ours", {"Ann"})
    # Ann is not there any more at all: she is flagged, and still in her group.
    lines = results(tx, book("Bob", among=people[1:]))
    assert "Ann: gone" in lines
    assert there() == ("ours", {"Ann", "Bob"})
    assert "group DBA: gone" in results(tx, Book(people))
    assert not carry_out(tx, Book(people), WISH, RULES, NOW).news
    groups.remove(tx, row.id)
    assert "group DBA: skipped" in results(tx, book("Ann"))
    assert groups.by_key(tx, "dba") is None


def test_what_a_cut_list_lacks_is_not_gone(tx: Tx) -> None:
    carry_out(tx, Book((Entry("Ann"), Entry("Bob"))), WISH, RULES, NOW)
    assert results(tx, Book((Entry("Bob"),), complete=False)) == ["Bob: unchanged"]


def test_two_systems_do_not_fight_over_a_contact(tx: Tx) -> None:
    das = Wish("das:rm-1", person=WISH.person)
    carry_out(tx, ann(mail(OLD)), WISH, RULES, NOW)
    assert results(tx, ann(Value("email", "email", NEW)), das) == ["Ann: skipped"]
    assert results(tx, ann(mail(OLD))) == ["Ann: unchanged"]
    assert of(tx, "Ann") == {OLD: "pending"}
    row = contacts.by_key(tx, "ann")
    assert row is not None
    assert [one.source for one in kept.of_contact(tx, row.id)] == ["cloudmonitor", "das:rm-1"]


def test_the_audit_log_says_what_was_done_without_whole_addresses(tx: Tx) -> None:
    wish = Wish("cloudmonitor", full=True, person=WISH.person, conversation="dingtalk:corp/chat")
    shown = told(carry_out(tx, ann(mail(OLD)), wish, RULES, NOW).lines)
    assert OLD in shown[0][2]
    _count, entries = audit.page(tx, 10, 0)
    assert [(one.action, one.subject, one.person) for one in entries] == [("sync", "Ann", WISH.person)]
    assert OLD not in str(entries)
    assert "o***@example.com" in str(entries)


@pytest.mark.parametrize(
    ("book", "expected"),
    [
        (Book((Entry("Ann", (), ("DBA",)),)), {"DBA": ("Ann",)}),
        (Book((Entry("Ann", (), ("dba",)),), (Team("DBA", "", ("Bob", "ann")),)), {"DBA": ("Bob", "Ann")}),
        (Book(groups=(Team("empty"), Team("Empty", "", ("Ann",)))), {"empty": ("Ann",)}),
    ],
)
def test_members_come_from_whichever_list_tells_them(book: Book, expected: dict[str, tuple[str, ...]]) -> None:
    assert {team.name: team.members for team in teams(book)} == expected


def test_a_value_shows_no_address_in_its_repr() -> None:
    assert OLD not in repr(mail(OLD))
    assert ACCEPTED in repr(mail(OLD))
