"""The other tables, one after the other: what goes in comes out, once, in the order that is promised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from storage import alerts, audit, codes, contacts, groups, inbound, people, schema, sources
from storage.database import Database, Tx
from storage.rows import insert_or_ignore, upsert
from storage.schema import from_ms, member, setting, to_ms
from tests.storage import seed
from tests.storage.seed import NOW

SOON = timedelta(seconds=5)
ODD = "quote \" ' and \\ and % and 坏 and 😀 and \x7f"


# --- times


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_survives_to_the_millisecond_and_keeps_its_order(moment: datetime) -> None:
    try:
        utc = moment.astimezone(UTC)
        back = from_ms(to_ms(moment))
    except OverflowError:
        return  # beyond the year 9999 or before the year 1 in UTC
    assert timedelta(0) <= utc - back < timedelta(milliseconds=1)
    assert back.utcoffset() == timedelta(0)


EDGES = (datetime(1, 1, 1, 8, tzinfo=timezone(timedelta(hours=8))), datetime(1970, 1, 1, tzinfo=UTC))
LAST = datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("moment", [*EDGES, LAST])
def test_times_at_the_edges_can_be_stored_and_read_again(database: Database, moment: datetime) -> None:
    with database.write() as tx:
        number = seed.alert(tx, "f", starts_at=moment)
        row = alerts.by_id(tx, number)
    assert row is not None
    assert row.starts_at == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert row.ends_at is None


# --- rows


def test_rows_that_are_there_are_left_alone_and_the_others_counted(database: Database) -> None:
    with database.write() as tx:
        assert insert_or_ignore(tx, setting, [{"name": "a", "value": "1"}]) == 1
        assert insert_or_ignore(tx, setting, [{"name": n, "value": "2"} for n in "abca"]) == 2
        assert insert_or_ignore(tx, setting, []) == 0
        upsert(tx, setting, ("name",), {"name": "b", "value": "3"})
        upsert(tx, setting, ("name",), {"name": "d", "value": "3"})
        found: dict[str, str] = {row.name: row.value for row in tx.conn.execute(select(setting))}
    assert found == {"a": "1", "b": "3", "c": "2", "d": "3"}


# --- alerts


def test_an_alert_comes_back_as_it_was_stored(database: Database) -> None:
    labels = {"host": ODD, "nul": "a\x00b", "half": "\ud800"}  # JSON columns keep what text columns cannot
    with database.write() as tx:
        number = seed.alert(tx, "f" * 128, title=ODD, labels=labels, links=[["graph", "https://x"]], ends_at=NOW)
        row = alerts.by_id(tx, number)
    assert row is not None
    assert (row.title, row.labels, row.links, row.ends_at) == (ODD, labels, [["graph", "https://x"]], NOW)
    assert (row.repeats, row.version, row.acked_by) == (0, 1, None)


def test_one_fingerprint_of_one_source_is_open_once(database: Database) -> None:
    with database.write() as tx:
        group_id = seed.group(tx, "ops")
        one, two = seed.source(tx, group_id, "one"), seed.source(tx, group_id, "two")
        first = seed.alert(tx, "f", source_id=one.id)
        elsewhere = seed.alert(tx, "f", source_id=two.id)
        assert {name: row.id for name, row in alerts.newest(tx, one.id, ["f", "g"]).items()} == {"f": first}
        assert {name: row.id for name, row in alerts.newest(tx, two.id, ["f"]).items()} == {"f": elsewhere}
    with pytest.raises(IntegrityError), database.write() as tx:
        seed.alert(tx, "f", source_id=one.id)
    with database.write() as tx:
        alerts.change(tx, first, status="resolved")
        assert alerts.newest(tx, one.id, ["f"])["f"].status == "resolved"
        second = seed.alert(tx, "f", source_id=one.id)
        assert alerts.newest(tx, one.id, ["f"])["f"].id == second
        assert alerts.newest(tx, one.id, []) == {}
        assert alerts.open_count(tx) == 2


def test_numbers_are_never_given_again(database: Database) -> None:
    """People write them down: `#42` must not become another alert after the newest were removed."""
    with database.write() as tx:
        first = seed.alert(tx, "a")
        tx.conn.execute(schema.alert.delete())
        assert seed.alert(tx, "b") > first


def test_alerts_are_listed_newest_first_with_their_group_also_when_it_is_gone(database: Database) -> None:
    with database.write() as tx:
        ops, dba = seed.group(tx, "ops"), seed.group(tx, "dba")
        one = seed.alert(tx, "1", group_id=ops)
        two = seed.alert(tx, "2", group_id=dba)
        over = seed.alert(tx, "3", group_id=ops, status="resolved")
        groups.remove(tx, dba)

        def page(group_id: int | None = None, only_open: bool = False) -> list[tuple[int, str | None]]:
            count, rows = alerts.page(tx, group_id=group_id, only_open=only_open, limit=99, offset=0)
            assert count == len(rows)
            return [(row.id, name) for row, name in rows]

        assert page() == [(over, "ops"), (two, None), (one, "ops")]
        assert page(only_open=True) == [(two, None), (one, "ops")]
        assert page(group_id=ops) == [(over, "ops"), (one, "ops")]
        assert alerts.page(tx, group_id=None, only_open=False, limit=1, offset=1)[1][0][0].id == two
        assert set(alerts.by_ids(tx, [one, over, 999])) == {one, over}
        assert alerts.by_ids(tx, []) == {}


@pytest.mark.parametrize("number", [0, -5, 2**63, 10**40])
def test_an_impossible_number_is_no_alert(database: Database, number: int) -> None:
    with database.read() as tx:
        assert alerts.by_id(tx, number) is None


def test_notes_are_kept_in_order(database: Database) -> None:
    with database.write() as tx:
        number, other = seed.alert(tx, "1"), seed.alert(tx, "2")
        alerts.add_note(tx, number, "p", ODD, NOW)
        alerts.add_note(tx, other, "p", "elsewhere", NOW)
        alerts.add_note(tx, number, "p", "second", NOW)
        assert [note.text for note in alerts.notes(tx, number)] == [ODD, "second"]


# --- the audit log


def test_the_audit_log_keeps_before_and_after_newest_first(database: Database) -> None:
    with database.write() as tx:
        audit.write(tx, NOW, "p", "c", "add", "s" * 400, None, {"name": ODD})
        audit.write(tx, NOW, "p", "c", "edit", "s", {"name": ODD}, None)
        count, rows = audit.page(tx, 1, 0)
        assert count == 2
        assert [(row.action, row.before, row.after) for row in rows] == [("edit", {"name": ODD}, None)]
        [first] = audit.page(tx, 9, 1)[1]
        assert (first.action, first.before, first.after) == ("add", None, {"name": ODD})


# --- codes


def issue(tx: Tx, method_id: int, person: str = "p", at: datetime = NOW, digits: str = "123456") -> int:
    return codes.issue(
        tx,
        method_id=method_id,
        address_key="address",
        person=person,
        conversation="c",
        digits=digits,
        tries=5,
        now=at,
        expires_at=at + timedelta(minutes=10),
    )


def test_a_new_code_replaces_the_old_and_is_live_until_it_expires(database: Database) -> None:
    with database.write() as tx:
        method, other = (seed.method(tx, seed.contact(tx)) for _ in range(2))
        old = issue(tx, method)
        elsewhere = issue(tx, other, person="q", at=NOW + SOON)
        new = issue(tx, method, at=NOW + SOON)

        def live(people: list[str], methods: list[int], at: datetime = NOW + SOON) -> list[int]:
            return [row.id for row in codes.live(tx, people, methods, at)]

        replaced = codes.by_id(tx, old)
        assert replaced is not None
        assert replaced.state == "replaced"
        assert live(["p"], []) == [new]
        assert live([], [method, other]) == [new, elsewhere]
        assert live(["p", "q"], []) == [new, elsewhere]
        assert live([], []) == []
        assert live(["p", "q"], [], NOW + SOON + timedelta(minutes=10)) == []
        newest = codes.latest(tx, ["p"], [other], NOW)
        assert newest is not None
        assert newest.id == new


def test_a_refused_code_counts_against_no_limit_and_a_lost_try_is_gone(database: Database) -> None:
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx))
        first, second = issue(tx, method), issue(tx, method, at=NOW + SOON)
        since = NOW - SOON
        assert codes.to_address(tx, "address", since) == codes.by_people(tx, ["p"], since) == [NOW, NOW + SOON]
        codes.set_state(tx, second, "refused")
        assert codes.to_address(tx, "address", since) == codes.by_people(tx, ["p"], since) == [NOW]
        codes.lose_try(tx, first)
        row = codes.by_id(tx, first)
        assert row is not None
        assert row.tries_left == 4


def test_a_code_outlives_its_method_for_the_limits_and_cannot_be_confirmed(database: Database) -> None:
    """Removing a contact and adding it again must not give more codes to the same address."""
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx))
        issue(tx, method)
        contacts.remove_method(tx, method)
        assert codes.to_address(tx, "address", NOW - SOON) == [NOW]
        assert codes.live(tx, ["p"], [method], NOW) == []


def test_wrong_guesses_are_counted_per_person_and_forgotten_in_time(database: Database) -> None:
    with database.write() as tx:
        method = seed.method(tx, seed.contact(tx))
        issue(tx, method)
        for person in ("p", "p", "q"):
            codes.guessed_wrong(tx, person, NOW)
        assert codes.wrong_guesses(tx, ["p"], NOW - SOON) == 2
        assert codes.wrong_guesses(tx, ["p", "q"], NOW - SOON) == 3, "two identities of one human"
        codes.forget(tx, NOW)
        assert codes.wrong_guesses(tx, ["p"], NOW - SOON) == 2
        codes.forget(tx, NOW + SOON)
        assert codes.wrong_guesses(tx, ["p"], NOW - SOON) == 0
        assert codes.to_address(tx, "address", NOW - SOON) == []


# --- contacts and groups


def test_contacts_are_found_by_any_part_of_the_name_or_the_whole_address_and_wildcards_are_text(
    database: Database,
) -> None:
    with database.write() as tx:
        for name in ("Zhang_Wei", "Zhang Wei", "100% Li"):
            seed.contact(tx, name)
        li = contacts.by_key(tx, "100% li")
        assert li is not None
        seed.method(tx, li.id, "email", "li@example.com")
        mail = contacts.address_key(tx, "email", "li@example.com")

        def found(text: str, digests: tuple[str, ...] = ()) -> list[str]:
            count, rows = contacts.search(tx, text, digests, 99, 0)
            assert count == len(rows)
            return [row.name for row in rows]

        assert found("") == ["100% Li", "Zhang Wei", "Zhang_Wei"]
        assert found("zhang") == ["Zhang Wei", "Zhang_Wei"]
        assert found("g_w") == ["Zhang_Wei"]
        assert found("%") == ["100% Li"]
        assert found("\\") == []
        assert found("li@example.com", (mail,)) == ["100% Li"]
        assert contacts.search(tx, "", (), 1, 1)[0] == 3


def test_a_contact_goes_with_its_methods_and_memberships_and_the_person_stays(database: Database) -> None:
    with database.write() as tx:
        who = seed.contact(tx, "Zhang")
        method = seed.method(tx, who)
        ops = seed.group(tx, "ops", who)
        people.seen(tx, "slack:T/U", "Zhang", NOW)
        people.link(tx, "slack:T/U", who)
        assert contacts.owner(tx, who) == ["slack:T/U"]
        assert contacts.groups_of(tx, who) == ["ops"]
        contacts.remove(tx, who)
        assert contacts.method_by_id(tx, method) is None
        assert groups.members(tx, ops) == []
        person = people.by_id(tx, "slack:T/U")
        assert person is not None
        assert person.contact_id is None


def test_a_method_is_there_once_per_contact_and_its_masked_form_always_fits(database: Database) -> None:
    mailbox = f"z@{'d' * 60}.{'e' * 60}.{'f' * 60}.example.com"
    with database.write() as tx:
        who = seed.contact(tx)
        method = contacts.add_method(tx, who, "email", mailbox, f"z***@{mailbox[2:]}", "", NOW)
        row = contacts.method_by_id(tx, method)
        assert row is not None
        assert row.address == mailbox
        assert row.masked.startswith("z***@ddd")
        assert contacts.states(tx, [who, 999]) == {who: [("email", row.masked, "pending")], 999: []}
        seed.method(tx, seed.contact(tx), "email", mailbox)  # somebody else may have it too
    with pytest.raises(IntegrityError), database.write() as tx:
        seed.method(tx, who, "email", mailbox)


def test_group_members_are_counted_as_they_change(database: Database) -> None:
    with database.write() as tx:
        a, b = seed.contact(tx, "A"), seed.contact(tx, "B")
        ops = seed.group(tx, "ops")
        assert groups.add_members(tx, ops, [b, a]) == 2
        assert groups.add_members(tx, ops, [a]) == 0
        assert [row.name for row in groups.members(tx, ops)] == ["A", "B"]
        assert groups.page(tx, 9, 0) == (1, [(groups.GroupRow(ops, "ops", ""), 2)])
        assert groups.remove_members(tx, ops, [a, 999]) == 1
        groups.change(tx, ops, name="Ops!", name_key="ops!", note=ODD)
        assert groups.by_key(tx, "ops!") == groups.GroupRow(ops, "Ops!", ODD)
        groups.remove(tx, ops)
        assert tx.conn.execute(select(member)).all() == []


# --- sources


def test_a_removed_group_leaves_its_source_without_target_and_a_removed_source_leaves_its_alerts(
    database: Database,
) -> None:
    with database.write() as tx:
        ops = seed.group(tx, "ops")
        source = seed.source(tx, ops, token="tok")
        assert (source.group_id, source.group_name) == (ops, "ops")
        assert groups.sources_of(tx, ops) == ["src"]
        number = seed.alert(tx, "f", source_id=source.id, group_id=ops)
        groups.remove(tx, ops)
        found = sources.by_token(tx, "tok")
        assert found is not None
        assert (found.id, found.group_id, found.group_name) == (source.id, None, None)
        sources.remove(tx, source.id)
        assert sources.by_token(tx, "tok") is None
        row = alerts.by_id(tx, number)
        assert row is not None
        assert (row.source_id, row.source_name) == (None, "src")


# --- chat messages taken in


def test_a_message_is_taken_in_once_per_platform_and_handled_in_order(database: Database) -> None:
    with database.write() as tx:
        assert inbound.take_in(tx, "slack", "m1", {"text": "a\x00\ud800"}, NOW)
        assert not inbound.take_in(tx, "slack", "m1", {"text": "again"}, NOW)
        assert inbound.take_in(tx, "lark", "m1", {"text": "other"}, NOW)
    with database.write() as tx:
        first = inbound.next_waiting(tx)
        assert first is not None
        assert (first.body, first.tries) == ({"text": "a\x00\ud800"}, 0)
        inbound.tried(tx, first.id)
        again = inbound.next_waiting(tx)
        assert again is not None
        assert (again.id, again.tries) == (first.id, 1)
        inbound.handled(tx, first.id)
        second = inbound.next_waiting(tx)
        assert second is not None
        assert second.body == {"text": "other"}
    with database.write() as tx:
        assert not inbound.take_in(tx, "slack", "m1", {"text": "much later"}, NOW)
        assert inbound.forget(tx, NOW + SOON) == 1  # what waits is kept however old it is
        assert inbound.take_in(tx, "slack", "m1", {"text": "after a week"}, NOW)


# --- people


def test_people_and_conversations_are_remembered_and_keep_what_was_not_said_again(database: Database) -> None:
    with database.write() as tx:
        people.set_admin(tx, "slack:T/U", True, NOW)
        people.speaks(tx, "slack:T/U", "en")
        person = people.seen(tx, "slack:T/U", "N" * 300, NOW)
        assert (person.name, person.admin, person.language) == ("N" * 255, True, "en")
        assert [admin.id for admin in people.admins(tx)] == ["slack:T/U"]
        people.set_admin(tx, "slack:T/U", False, NOW)
        assert people.admins(tx) == []
        people.heard(tx, "c", "slack", False, "ops", "https://reply", NOW, NOW)
        people.set_language(tx, "c", "en")
        place = people.heard(tx, "c", "slack", False, "", "", None, NOW + SOON)
        assert (place.title, place.language, place.reply_url, place.reply_until) == ("ops", "en", "https://reply", NOW)


def test_a_question_is_open_for_one_person_in_one_place_until_it_expires(database: Database) -> None:
    with database.write() as tx:
        people.ask(tx, "c", "p", "confirm", {"n": 1}, NOW + SOON)
        people.ask(tx, "c", "p", "confirm", {"n": 2}, NOW + SOON)
        people.ask(tx, "c", "p", "more", {"n": 3}, NOW + SOON)
        assert people.open_question(tx, "c", "p", "confirm", NOW) == {"n": 2}
        assert people.open_question(tx, "c", "q", "confirm", NOW) is None
        assert people.open_question(tx, "d", "p", "confirm", NOW) is None
        assert people.open_question(tx, "c", "p", "confirm", NOW + SOON) is None
        people.close_question(tx, "c", "p", "confirm")
        assert people.open_question(tx, "c", "p", "confirm", NOW) is None
        assert people.open_question(tx, "c", "p", "more", NOW) == {"n": 3}
        people.forget_expired(tx, NOW + 2 * SOON)
        assert people.open_question(tx, "c", "p", "more", NOW) is None
