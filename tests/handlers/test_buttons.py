"""Buttons and forms at the desk: who may press what, until when, how often; and forms where there are none."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.platforms.contract import Incoming, Press
from handlers import buttons, desk, names
from handlers.buttons import Bound, ForgedButton
from handlers.context import Rules
from handlers.document import Button, Document
from handlers.texts import Both
from storage import audit, contacts, groups, people
from storage.database import Database
from storage.schema import alert as alert_table
from storage.schema import delivery
from tests.storage import seed
from tests.storage.seed import NOW

LIN, WANG = "slack:T1/LIN", "slack:T1/WANG"
CHANNEL = "slack:T1/C1"
ids = itertools.count(1)


@dataclass
class Desk:
    """Messages go in, what is owed comes out: (document, payload) of each new answer."""

    database: Database
    rules: Rules = field(
        default_factory=lambda: Rules(
            admins=frozenset({LIN, "dingtalk:D1/lin", "slack:T1/LIN"}),
            language="en",
            private=frozenset({"slack", "dingtalk"}),
            buttons={"slack": "press", "dingtalk": "link"},
            forms=frozenset({"slack"}),
            pages=True,
            public_url="https://callboard.example.com",
            new_link_code=lambda: "abcdefghjk",
        )
    )

    def hear(self, text: str = "", *, person: str = LIN, place: str = CHANNEL, later: float = 0.0, **more: Any) -> Any:
        number = next(ids)
        message = Incoming(
            place.partition(":")[0],
            f"m{number}",
            person,
            person.rpartition("/")[2].title(),
            place,
            more.pop("direct", place != CHANNEL),
            text,
            **more,
        )
        with self.database.write() as tx:
            before = [row.id for row in tx.conn.execute(delivery.select())]
            outcome = desk.handle(tx, message, str(number), self.rules, NOW + timedelta(seconds=later))
            rows = [row for row in tx.conn.execute(delivery.select()) if row.id not in before and row.kind == "answer"]
            payloads = [json.loads(tx.vault.open(row.payload)) for row in rows]
        return outcome, [payload for payload in payloads if "document" in payload]

    def press(self, token: str, values: dict[str, str] | None = None, handle: str = "C1/1.1", **more: Any) -> Any:
        return self.hear(press=Press(token, values or {}, handle), **more)

    def drawn(self, text: str, **more: Any) -> dict[str, Any]:
        """The first answer's document."""
        _outcome, owed = self.hear(text, **more)
        return dict(owed[0]["document"])

    def contact(self, name: str) -> Any:
        with self.database.read() as tx:
            return contacts.by_key(tx, names.key(name))


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    database = Database(f"sqlite:///{tmp_path / 'desk.db'}", "key")
    database.upgrade()
    with database.write() as tx:
        for name in ("Ann", "Zhang Wei"):
            contacts.add(tx, name, names.key(name), "", NOW)
        groups.add(tx, "dba", names.key("dba"), "", NOW)
    yield Desk(database)
    database.close()


def token(document: dict[str, Any], label: str) -> str:
    return next(str(token) for shown, _says, _style, token in document["buttons"] if shown == label)


def titles(owed: list[dict[str, Any]]) -> list[str]:
    return [payload["document"]["title"] for payload in owed]


def test_a_button_says_what_the_person_could_have_typed_and_its_answer_takes_its_place(at: Desk) -> None:
    question = at.drawn("contact remove Ann")
    assert [shown for shown, *_rest in question["buttons"]] == ["Yes", "No"]
    _outcome, owed = at.press(token(question, "Yes"))
    assert titles(owed) == ["Contact “Ann” is removed."]
    assert owed[0]["replaces"] == "C1/1.1"
    assert at.contact("Ann") is None


def test_only_one_button_of_a_question_can_be_pressed_and_the_second_press_is_told_who_was_first(at: Desk) -> None:
    question = at.drawn("contact remove Ann")
    at.press(token(question, "No"))
    for label in ("Yes", "No"):
        _outcome, owed = at.press(token(question, label))
        assert titles(owed) == ["You did that already, at 2026-03-02 17:00: no"] or "already" in titles(owed)[0]
        assert owed[0]["replaces"] == ""
    assert at.contact("Ann") is not None


def test_what_was_typed_ends_the_buttons_too(at: Desk) -> None:
    question = at.drawn("contact remove Ann")
    at.hear("no")
    _outcome, owed = at.press(token(question, "Yes"))
    assert "You did that already" in titles(owed)[0]
    assert at.contact("Ann") is not None


def test_nobody_else_can_press_and_it_is_told_to_that_person_alone(at: Desk) -> None:
    question = at.drawn("contact remove Ann")
    _outcome, owed = at.press(token(question, "Yes"), person=WANG)
    assert titles(owed) == ["This is for Lin to press."]
    assert (owed[0]["conversation"], owed[0]["person"], owed[0]["replaces"]) == ("", WANG, "")
    _outcome, owed = at.press(token(question, "Yes"))
    assert titles(owed) == ["Contact “Ann” is removed."], "and it still works for its person"


def test_a_question_that_is_over_or_another_one_is_not_answered_by_an_old_button(at: Desk) -> None:
    first = at.drawn("contact remove Ann")
    second = at.drawn("contact remove Zhang Wei")
    _outcome, owed = at.press(token(first, "Yes"))
    assert "This question is over" in titles(owed)[0]
    _outcome, owed = at.press(token(second, "Yes"), later=121)
    assert "This question is over" in titles(owed)[0]
    assert at.contact("Ann")
    assert at.contact("Zhang Wei")


def test_a_button_that_does_something_works_for_half_an_hour_and_one_that_only_opens_a_form_for_a_week(
    at: Desk,
) -> None:
    at.hear("contact edit Ann 13800138000")
    shown = at.drawn("contact show Ann")
    for label, good, late in (("Send the codes again", 29 * 60, 31 * 60), ("Edit", 6 * 86_400, 8 * 86_400)):
        _outcome, owed = at.press(token(shown, label), later=late)
        assert "too old" in titles(owed)[0]
        _outcome, owed = at.press(token(shown, label), later=good)
        assert "too old" not in titles(owed)[0]


def test_words_that_nobody_said_tell_nothing_of_the_language(at: Desk) -> None:
    at.hear("联系人列表", person=WANG, place="slack:T1/D2/WANG")
    _outcome, owed = at.hear("home", person=WANG, place="slack:T1/D2/WANG", spoken=False)
    assert titles(owed) == ["我的主页"]
    _outcome, owed = at.hear("home", person=WANG, place="slack:T1/D2/WANG")
    assert titles(owed) == ["My page"]


@pytest.mark.parametrize("change", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: "x" + t, lambda t: ""])
def test_a_changed_token_is_refused_and_changes_nothing(at: Desk, change: Any) -> None:
    question = at.drawn("contact remove Ann")
    with pytest.raises(ForgedButton):
        at.press(change(token(question, "Yes")))
    assert at.contact("Ann") is not None


def test_a_link_is_no_button_and_a_button_is_no_link(at: Desk) -> None:
    vault = at.database.vault
    bound = Bound("yes", LIN, CHANNEL, NOW, "n")
    with pytest.raises(ForgedButton):
        buttons.opened(vault, buttons.sealed(vault, bound), link=True)
    with pytest.raises(ForgedButton):
        buttons.opened(vault, buttons.sealed(vault, bound, "link"))


def test_a_token_outlives_the_rotation_of_the_key(tmp_path: Path) -> None:
    old, new, other = (Database(f"sqlite:///{tmp_path / 'k.db'}", key) for key in ("old", "new,old", "other"))
    bound = Bound("ack #1", "", CHANNEL, NOW, "n")
    sealed = buttons.sealed(old.vault, bound)
    assert buttons.opened(new.vault, sealed) == bound
    with pytest.raises(ForgedButton):
        buttons.opened(other.vault, sealed)
    for one in (old, new, other):
        one.close()


def test_what_would_be_too_long_for_a_button_is_left_out_and_the_words_stay(at: Desk) -> None:
    with at.database.write() as tx:
        place = people.heard(tx, CHANNEL, "slack", False, "", "", None, NOW)
        document = Document("x", buttons=(Button("a", Both("x" * 800, "x" * 800)), Button("b", Both("no", "否"))))
        drawn = buttons.drawn(tx, at.rules, document, "en", place, LIN, NOW)
    assert [one.label for one in drawn.buttons] == ["b"]


# ---- alerts


@pytest.fixture
def number(at: Desk) -> int:
    with at.database.write() as tx:
        return seed.alert(tx, "f1")


def test_everybody_in_the_conversation_may_take_an_alert_once(at: Desk, number: int) -> None:
    card = at.drawn(f"alert {number}")
    _outcome, owed = at.press(token(card, "Acknowledge"), person=WANG)
    assert owed[0]["replaces"] == "C1/1.1"
    assert owed[0]["document"]["blocks"][0]["paragraph"].startswith(f"Wang has alert #{number}")
    assert [label for label, *_rest in owed[0]["document"]["buttons"]] == ["Give back", "Resolve", "Silence 2 h"]
    _outcome, owed = at.press(token(card, "Acknowledge"), person=LIN)
    assert "Wang did that already" in titles(owed)[0]


def test_the_button_of_another_conversation_does_nothing(at: Desk, number: int) -> None:
    card = at.drawn(f"alert {number}")
    _outcome, owed = at.press(token(card, "Acknowledge"), place="slack:T1/C2", direct=False)
    assert titles(owed) == ["This button belongs to another conversation."]
    with at.database.read() as tx:
        assert tx.conn.execute(alert_table.select()).one().acked_by is None


def test_a_card_that_was_shown_elsewhere_is_drawn_anew_when_somebody_takes_the_alert(at: Desk, number: int) -> None:
    at.drawn(f"alert {number}")
    with at.database.write() as tx:
        tx.conn.execute(delivery.update().where(delivery.c.alert_id == number).values(state="sent", receipt="C1/9.9"))
    _outcome, owed = at.hear(f"ack {number}", person=WANG, place="slack:T1/D2/WANG")
    told = {payload["replaces"]: payload for payload in owed}
    assert set(told) == {"", "C1/9.9"}
    again = told["C1/9.9"]
    assert again["conversation"] == CHANNEL
    assert ["Acknowledged by", "Wang, 2026-03-02 17:00 (UTC+8)"] in again["document"]["blocks"][0]["facts"]
    _outcome, owed = at.press(token(again["document"], "Give back"), person=LIN, handle="C1/9.9")
    assert [payload["replaces"] for payload in owed] == ["C1/9.9"], "the pressed card is changed once"


# ---- forms


def test_a_command_without_values_opens_a_form_and_its_values_are_carried_out(at: Desk) -> None:
    dialog = at.drawn("contact add", trigger="t1")["dialog"]
    assert [one["name"] for one in dialog["fields"]] == ["name", "phone", "email", "webhook", "secret", "groups"]
    values = {"name": "Li Lei", "phone": "", "email": "li@example.com", "webhook": "", "secret": "", "groups": "dba"}
    outcome, owed = at.press(dialog["token"], values, place="", handle="")
    assert outcome.errors == {}
    assert titles(owed) == ["Contact “Li Lei” is added, in dba."]
    assert owed[0]["conversation"] == CHANNEL
    _outcome, owed = at.press(dialog["token"], values, place="", handle="")
    assert "You did that already" in titles(owed)[0], "a form is filled in once"


def test_every_wrong_field_of_a_form_is_named_and_nothing_is_kept(at: Desk) -> None:
    dialog = at.drawn("contact add")["dialog"]
    wrong = {"name": "ann", "phone": "12", "email": "no mail", "webhook": "http://x", "secret": "a b", "groups": "nope"}
    outcome, owed = at.press(dialog["token"], wrong, place="", handle="")
    assert set(outcome.errors) == set(wrong)
    assert "already a contact" in outcome.errors["name"]
    assert owed == []
    outcome, _owed = at.press(dialog["token"], {"name": " "}, place="", handle="")
    assert outcome.errors == {"name": "Something is missing here."}
    outcome, _owed = at.press(dialog["token"], {"name": "Li Lei", "secret": "SECx"}, place="", handle="")
    assert set(outcome.errors) == {"secret"}
    assert at.contact("Li Lei") is None


def test_a_form_shows_what_is_there_and_changes_what_was_changed(at: Desk) -> None:
    at.hear("contact edit Ann 13800138000", place="slack:T1/D1/LIN")
    dialog = at.drawn("contact edit Ann", place="slack:T1/D1/LIN")["dialog"]
    shown = {one["name"]: one["value"] for one in dialog["fields"]}
    assert (shown["name"], shown["phone"], shown["groups"]) == ("Ann", "+8613800138000", "")
    _outcome, owed = at.press(
        dialog["token"], shown | {"name": "Anna", "phone": "", "groups": "dba"}, place="", handle=""
    )
    assert titles(owed) == ["“Anna” is changed."]
    with at.database.read() as tx:
        anna = contacts.by_key(tx, "anna")
        assert anna is not None
        assert contacts.methods(tx, [anna.id]) == []
        assert contacts.groups_of(tx, anna.id) == ["dba"]


def test_in_a_group_a_form_shows_masked_addresses_and_keeps_them(at: Desk) -> None:
    at.hear("contact edit Ann 13800138000", place="slack:T1/D1/LIN")
    dialog = at.drawn("contact edit Ann")["dialog"]
    shown = {one["name"]: one["value"] for one in dialog["fields"]}
    assert "0013" not in shown["phone"]
    assert "*" in shown["phone"]
    outcome, owed = at.press(dialog["token"], shown | {"name": "Anna"})
    assert (outcome.errors, titles(owed)) == ({}, ["“Anna” is changed."])


def test_the_form_of_a_group_makes_and_changes_it(at: Desk) -> None:
    dialog = at.drawn("group create")["dialog"]
    _outcome, owed = at.press(dialog["token"], {"name": "ops", "note": "nights", "members": "Ann"})
    assert titles(owed) == ["Group “ops” is created with 1 member."]
    dialog = at.drawn("group edit ops")["dialog"]
    assert {one["name"]: one["value"] for one in dialog["fields"]} == {
        "name": "ops",
        "note": "nights",
        "members": "Ann",
    }
    _outcome, owed = at.press(dialog["token"], {"name": "op", "note": "", "members": '"Zhang Wei"'})
    assert titles(owed) == ["Group “op”: 1 member"]
    outcome, _owed = at.press(at.drawn("group create")["dialog"]["token"], {"name": "OP", "note": "", "members": "X"})
    assert set(outcome.errors) == {"name", "members"}


def test_a_form_that_comes_back_empty_is_shown_again(at: Desk) -> None:
    dialog = at.drawn("group create")["dialog"]
    _outcome, owed = at.press(dialog["token"], trigger="t2")
    assert owed[0]["document"]["dialog"]["command"] == "group create"
    assert owed[0]["trigger"] == "t2"


def test_members_get_no_form_for_what_they_may_not_do(at: Desk) -> None:
    for text in ("group create", "group edit dba", "contact edit Ann"):
        document = at.drawn(text, person=WANG)
        assert document["dialog"] is None
        assert "Only an admin" in document["title"]
    assert at.drawn("contact add", person=WANG)["dialog"]["title"] == "My contact"


# ---- where there are no forms


ROOM = "dingtalk:chat"
LIN_D = "dingtalk:D1/lin"


def test_without_forms_the_fields_are_asked_for_one_after_the_other(at: Desk) -> None:
    def say(text: str) -> str:
        return str(at.drawn(text, person=LIN_D, place=ROOM)["title"])

    assert say("contact add") == "What is the full name?"
    assert "already a contact" in say("Ann"), "what cannot be taken is said, and asked for again"
    assert say("Li Lei") == "Which phone number?"
    assert say("skip") == "Which email address?"
    assert say("li@example.com").startswith("Which webhook")
    assert say("跳过").startswith("The robot's signing secret")
    assert say("skip").startswith("In which contact groups")
    assert say("dba") == "Contact “Li Lei” is added, in dba."


def test_whatever_is_said_is_the_answer_but_a_mere_command(at: Desk) -> None:
    """A group may be called like the beginning of a command, and a note must not acknowledge an alert."""

    def say(text: str) -> str:
        return str(at.drawn(text, person=LIN_D, place=ROOM)["title"])

    say("group create")
    assert say("是") == "What is the group called?", "a yes that nobody asked for asks again"
    assert say("Help Desk").startswith("A note")
    assert say("ack within 1 minute").startswith("Which contacts")
    assert say("skip") == "Group “Help Desk” is created with 0 members."
    say("创建组")
    assert say("帮助台") == "备注是什么？例如谁在何时值班。"
    assert say("解决 1 次后通知").startswith("成员有哪些")


def test_a_code_may_be_confirmed_in_between(at: Desk) -> None:
    at.hear("group create", person=LIN_D, place=ROOM)
    assert at.drawn("123456", person=LIN_D, place=ROOM)["title"] == "No code is expected from you right now."
    assert at.drawn("night watch", person=LIN_D, place=ROOM)["title"].startswith("A note")


def test_a_wrong_code_leaves_its_form_open_and_costs_a_try(at: Desk) -> None:
    at.hear("me name Wang 13800138000", person=WANG, place="slack:T1/D2/WANG")
    dialog = at.drawn("code", person=WANG, place="slack:T1/D2/WANG")["dialog"]
    for left in (4, 3):
        outcome, owed = at.press(dialog["token"], {"code": "000000"}, person=WANG, place="", handle="")
        assert outcome.errors == {"": f"That code is wrong. {left} tries left."}
        assert owed == []


def test_what_is_for_one_person_is_whispered_where_the_platform_can(at: Desk) -> None:
    question = at.drawn("contact remove Ann")
    _outcome, owed = at.press(token(question, "Yes"), person=WANG, whisper="slack:T1/C1/WANG")
    assert titles(owed) == ["This is for Lin to press."]
    assert owed[0]["conversation"] == "slack:T1/C1/WANG"


def test_the_questions_end_with_cancel_and_with_another_command(at: Desk) -> None:
    def say(text: str) -> str:
        return str(at.drawn(text, person=LIN_D, place=ROOM)["title"])

    say("group create")
    assert say("cancel") == "All right, nothing is changed."
    say("group create")
    assert "group" in say("group list")
    assert "I did not find a command" in say("night watch"), "no question is open any more"
    say("创建组")
    assert say("夜班") == "备注是什么？例如谁在何时值班。"


def test_where_nobody_calls_back_a_button_becomes_a_link_one_to_one_and_only_words_in_a_group(at: Desk) -> None:
    document = at.drawn("contact remove Ann", person=LIN_D, place=ROOM)
    assert [label for label, _url in document["links"]] == ["Yes", "No"]
    assert all(url.startswith("https://callboard.example.com/confirm/") for _label, url in document["links"])
    document = at.drawn("contact remove Ann", person=LIN_D, place=ROOM, direct=False)
    assert document["links"] == []
    assert document["buttons"] == []
    assert "Reply yes or no" in str(document["blocks"])


# ---- identities


def test_two_identities_become_one_person_with_one_contact_and_the_same_rights(at: Desk) -> None:
    wang, other = WANG, "dingtalk:D1/wang"
    at.hear("me name Wang 13800138000", person=wang, place="slack:T1/D2/WANG")
    assert "Join my identities" in titles(at.hear("link", person=wang, place="slack:T1/D2/WANG")[1])
    asked = at.drawn("link abcdefghjk", person=other, place=ROOM)
    assert asked["title"] == f"Are you Wang ({wang}) too?"
    assert "Joined: all of these are you." in titles(at.hear("yes", person=other, place=ROOM)[1])
    assert at.drawn("me", person=other, place=ROOM)["title"] == "Wang"
    with at.database.read() as tx:
        assert any(row.action == "link" for row in audit.page(tx, 20, 0)[1])
    assert "unknown, used" in at.drawn("link abcdefghjk", person="dingtalk:D1/eve", place="dingtalk:chat2")["title"]
    assert "none of you" in at.drawn("unlink slack:T1/EVE", person=other, place=ROOM)["title"]
    _outcome, owed = at.hear(f"unlink {other}", person=WANG, place="slack:T1/D2/WANG")
    assert {payload["person"] for payload in owed} == {other, WANG}, "who is parted is told"
    assert at.drawn("me", person=WANG, place="slack:T1/D2/WANG")["title"] == "Wang", "and the others keep the contact"
    assert at.drawn("me", person=other, place=ROOM)["title"] == "You have no contact yet."


def test_an_admin_on_one_platform_is_one_on_the_other(at: Desk) -> None:
    assert "Only an admin" in at.drawn("group create x", person="dingtalk:D1/boss", place=ROOM)["title"]
    at.hear("link", place="slack:T1/D1/LIN")
    at.hear("link abcdefghjk", person="dingtalk:D1/boss", place=ROOM)
    at.hear("yes", person="dingtalk:D1/boss", place=ROOM)
    assert "is created" in at.drawn("group create x", person="dingtalk:D1/boss", place=ROOM)["title"]


def test_a_link_code_is_for_one_person_once_ten_minutes_and_private(at: Desk) -> None:
    _outcome, owed = at.hear("link")
    assert (owed[0]["conversation"], owed[0]["person"]) == ("", LIN), "nobody else in the channel sees it"
    assert "not from the one" in at.drawn("link abcdefghjk")["title"]
    late = at.hear("link abcdefghjk", person="dingtalk:D1/eve", place=ROOM, later=601)[1]
    assert "too old" in titles(late)[0]
    at.rules = replace(at.rules, private=frozenset())
    assert "one-to-one" in at.drawn("link")["title"]


def test_two_people_with_contacts_of_their_own_are_not_joined(at: Desk) -> None:
    at.hear("me name One 13800138000", person=WANG, place="slack:T1/D2/WANG")
    at.hear("me name Two 13900139000", person="dingtalk:D1/two", place=ROOM)
    at.hear("link", person=WANG, place="slack:T1/D2/WANG")
    answer = at.drawn("link abcdefghjk", person="dingtalk:D1/two", place=ROOM)["title"]
    assert answer == "You are “Two” here and “One” there. Remove one of the two contacts first."


def test_my_page_shows_my_contact_my_groups_and_what_i_can_do(at: Desk) -> None:
    page = at.drawn("home", person=WANG, place="slack:T1/D2/WANG")
    assert [label for label, *_rest in page["buttons"]] == ["Add my contact", "Open alerts"]
    at.hear("me name Wang 13800138000", person=WANG, place="slack:T1/D2/WANG")
    at.hear("group add dba Wang")
    page = at.drawn("home", person=WANG, place="slack:T1/D2/WANG")
    assert [label for label, *_rest in page["buttons"]] == ["Edit my contact", "Enter a code", "Open alerts"]
    assert "+8613800138000" in str(page["blocks"])
    assert "dba" in str(page["blocks"])
