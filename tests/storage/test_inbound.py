"""Chat messages that a platform delivers again, under the id of the message or that of the delivery."""

from __future__ import annotations

from storage import inbound
from storage.database import Database
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
