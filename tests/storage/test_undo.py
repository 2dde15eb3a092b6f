"""Rows are brought back, and people forgotten, on both databases."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from storage import deliveries, forget, groups, people, sources, undo
from storage.database import Database
from storage.schema import alert, code, contact, contact_group, delivery, lane, member, method, source
from tests.storage import seed
from tests.storage.seed import NOW

PERSON = "slack:T/U"


def test_a_group_and_a_contact_come_back_with_everything_that_pointed_to_them(database: Database) -> None:
    tables = (contact, method, contact_group, member, source, alert)

    def rows() -> list[Any]:
        return [tx.conn.execute(select(table).order_by(*table.primary_key.columns)).all() for table in tables]

    with database.write() as tx:
        ann = seed.contact(tx, "Ann")
        seed.method(tx, ann, "sms", "+8613800138000", state="pending", secret="s")
        group = seed.group(tx, "dba", ann)
        reporting = seed.source(tx, group)
        sources.set_mapping(tx, reporting.id, {"title": "$.name"})
        seed.alert(tx, "f", source_id=reporting.id, group_id=group)
        before = rows()
        images = [
            undo.image(tx, "contact", ann),
            undo.image(tx, "group", group),
            undo.image(tx, "source", reporting.id),
        ]
        tx.conn.execute(contact.delete())
        sources.remove(tx, reporting.id)
        groups.remove(tx, group)
        together = {key: values for image in images for key, values in image.items()}
        stored = json.loads(json.dumps([[*key, values] for key, values in together.items()]))
        for part in undo.PARTS:
            for name, key, values in stored:
                if name == part and name not in ("target", "imported"):
                    undo.write(tx, name, key, values, new=name not in undo.LINKS)
        assert rows() == before
        found = undo.current(tx, [("contact", json.dumps([ann])), ("method", "[99]")])
        assert list(found) == [("contact", json.dumps([ann]))]


def test_messages_are_given_back_to_a_method_that_is_back(database: Database) -> None:
    with database.write() as tx:
        ann = seed.contact(tx, "Ann")
        phone = seed.method(tx, ann, "sms", "+8613800138000")
        usual = {"kind": "alert", "method_id": phone, "alert_id": seed.alert(tx, "f")}
        waits, asked, sent = (seed.owe(tx, "sms:a", **usual) for _ in range(3))
        for one, ask_at in ((asked, NOW), (sent, None)):
            deliveries.settle(tx, one, state="sent", done_at=NOW, ask_at=ask_at)
        owed = undo.waiting(tx, ann)
        assert owed == {phone: [waits, asked]}
        rows = undo.image(tx, "contact", ann)
        tx.conn.execute(contact.delete())
        deliveries.settle(tx, waits, state="dead", reason="gone")
        tx.conn.execute(delivery.update().values(ask_at=None))
        for name, key in rows:
            undo.write(tx, name, key, rows[name, key], new=True)
        assert undo.attach(tx, phone, owed[phone], NOW, asked={"sms"}) == {"sms:a"}
        found = tx.conn.execute(select(delivery).order_by(delivery.c.id)).all()
        assert [(row.method_id, row.state, row.ask_at) for row in found] == [
            (phone, "ready", None),
            (phone, "sent", NOW),
            (None, "sent", None),
        ]


def test_a_person_is_forgotten_and_what_is_left_of_chats_swept(database: Database) -> None:
    with database.write() as tx:
        ann = seed.contact(tx, "Ann")
        people.seen(tx, PERSON, "Ann", NOW)
        people.link(tx, PERSON, ann)
        people.heard(tx, "slack:T/D", "slack", True, "Ann", "https://reply", NOW, NOW, PERSON)
        phone = seed.method(tx, ann, "sms", "+8613800138000")
        seed.owe(tx, f"person:{PERSON}", kind="answer", payload={"a": 1})
        seed.owe(
            tx,
            seed.lane_of(tx, phone),
            method_id=phone,
            contact_name="Ann",
            say={"message": "x", "values": {"n": "Ann"}},
        )
        tx.conn.execute(lane.insert().values(key="chat:slack:T/D", token=0, fails=0, sent=[]))
        gone = forget.forget(tx, [PERSON], ann, NOW)
        assert gone.alias.startswith(people.NOBODY)
        rows = tx.conn.execute(select(delivery).order_by(delivery.c.id)).all()
        assert {row.state for row in rows} == {"cancelled"}
        assert rows[1].contact_name == gone.alias
        assert rows[1].say["values"]["n"] == gone.alias
        assert not tx.conn.execute(select(code)).all()
        assert people.by_id(tx, PERSON) is None
        forget.sweep(tx)
        assert people.conversation_by_id(tx, "slack:T/D") is None
        assert not tx.conn.execute(select(lane).where(lane.c.key.like("chat:%"))).all()
