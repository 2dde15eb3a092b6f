"""Chat messages that a platform delivers again, under the id of the message or that of the delivery."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import select

from storage import inbound
from storage.database import Database, Tx
from storage.schema import inbound as inbound_table
from tests.storage.seed import NOW


def test_a_message_is_known_by_its_own_id_and_by_that_of_its_delivery(database: Database) -> None:
    with database.write() as tx:
        assert inbound.take_in(tx, "lark", "om_1", {"text": "a"}, NOW, event_id="e1")
        assert not inbound.take_in(tx, "lark", "om_1", {"text": "a"}, NOW, event_id="e1")
        assert not inbound.take_in(tx, "lark", "om_1", {"text": "a"}, NOW, event_id="e2")
        assert not inbound.take_in(tx, "lark", "om_2", {"text": "b"}, NOW, event_id="e2")
        assert inbound.take_in(tx, "lark", "e3", {"text": "c"}, NOW, event_id="e3"), "the two kinds of ids do not mix"
        assert inbound.take_in(tx, "slack", "om_1", {"text": "d"}, NOW, event_id="e1")
    texts = []
    with database.write() as tx:
        while (waiting := inbound.next_waiting(tx)) is not None:
            texts.append(waiting.body["text"])
            inbound.handled(tx, waiting.id)
    assert texts == ["a", "c", "d"]


def test_what_one_person_writes_is_handled_in_order_also_by_two_processes(postgres_database: Database) -> None:
    db = postgres_database
    with db.write() as tx:
        for number, sender in enumerate(("lin", "lin", "wang", "", "")):
            assert inbound.take_in(tx, "lark", f"om_{number}", {"text": f"{number}"}, NOW, sender=sender)
        assert "lin" not in str(tx.conn.execute(select(inbound_table)).all()), "who it was is kept as a digest"

    def taken(tx: Tx) -> str | None:
        waiting = inbound.next_waiting(tx)
        if waiting is not None:
            inbound.handled(tx, waiting.id)
        return waiting.body["text"] if waiting else None

    with db.write() as one, ExitStack() as others:
        assert taken(one) == "0"
        # A write within a write is refused in one thread; what is at work here stands for another process.
        found = []
        for _ in range(4):
            other = others.enter_context(db.read())
            found.append(taken(other))
        assert found == ["2", "3", "4", None], "those who have no name wait for nobody"
    with db.write() as tx:
        assert taken(tx) == "1"
        assert taken(tx) is None
