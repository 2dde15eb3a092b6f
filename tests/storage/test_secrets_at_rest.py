"""What must not be readable in the database file, and is not: not in the tables, not in the write-ahead log."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from storage import batches, codes, contacts, deliveries, inbound, people, sources
from storage.database import Database
from storage.schema import metadata
from tests.storage import seed
from tests.storage.seed import NOW

SECRETS = {
    "phone number": "+8613800138000",
    "mailbox": "zhang.wei@example.com",
    "robot": "https://oapi.dingtalk.com/robot/send?access_token=robot-token-01",
    "robot's token": "robot-token-01",
    "signing secret": "SECsigning0001",
    "changed signing secret": "SECsigning0002",
    "source's token": "source-token-0001",
    "rotated source's token": "source-token-0002",
    "code": "471123",
    "message": "what somebody said",
    "session webhook": "https://oapi.dingtalk.com/robot/sendBySession?session=session-0001",
    "question": "delete Zhang Wei?",
    "message owed": "the words of an answer",
    "batch": "conversation of the batch",
}


def write_all(database: Database) -> tuple[int, int]:
    """The ids of the contact and of the batch."""
    s = SECRETS
    with database.write() as tx:
        who = seed.contact(tx, "Zhang Wei")
        phone = contacts.add_method(tx, who, "sms", s["phone number"], "138****8000", "", NOW)
        contacts.add_method(tx, who, "email", s["mailbox"], "z***@example.com", "", NOW)
        robot = contacts.add_method(tx, who, "dingtalk", s["robot"], "oapi.dingtalk.com…n-01", s["signing secret"], NOW)
        contacts.change_method(tx, robot, secret=s["changed signing secret"])
        source = seed.source(tx, seed.group(tx, "ops", who), token=s["source's token"])
        sources.rotate(tx, source.id, s["rotated source's token"])
        codes.issue(
            tx,
            method_id=phone,
            address_key="k",
            person="p",
            conversation="c",
            digits=s["code"],
            tries=5,
            now=NOW,
            expires_at=NOW,
        )
        assert inbound.take_in(tx, "dingtalk", "m1", {"text": s["message"]}, NOW)
        people.heard(tx, "dingtalk:cid", "dingtalk", True, "", s["session webhook"], NOW, NOW)
        people.ask(tx, "dingtalk:cid", "p", "confirm", {"what": s["question"]}, NOW)
        seed.owe(tx, "sms:x", kind="code", payload={"code": s["code"], "document": s["message owed"]})
        return who, batches.start(tx, "test", {"conversation": s["batch"]}, NOW)


def test_no_secret_can_be_read_in_the_database(database: Database) -> None:
    write_all(database)
    contents = contents_of(database)
    assert b"Zhang Wei" in contents  # we do look at the right bytes
    found = {name for name, secret in SECRETS.items() if secret.encode() in contents}
    assert found == set()


def contents_of(database: Database) -> bytes:
    """The bytes of the SQLite file and its write-ahead log, or every row of every table of PostgreSQL as text."""
    if database.sqlite:
        file = Path(database.url.database or "")
        contents = b"".join(part.read_bytes() for part in file.parent.iterdir() if part.name.startswith(file.name))
        assert file.with_name(file.name + "-wal").exists()
        return contents
    with database.read() as tx:
        return b"\n".join(
            str(tuple(row)).encode()
            for table in metadata.tables
            for row in tx.conn.execute(text(f'SELECT t::text FROM "{table}" AS t'))
        )


def test_everything_sealed_comes_back_as_it_was(database: Database) -> None:
    who, batch = write_all(database)
    with database.write() as tx:
        [phone, mailbox, robot] = contacts.methods(tx, [who])
        assert (phone.address, mailbox.address) == (SECRETS["phone number"], SECRETS["mailbox"])
        assert (robot.address, robot.secret) == (SECRETS["robot"], SECRETS["changed signing secret"])
        waiting = inbound.next_waiting(tx)
        assert waiting is not None
        assert waiting.body == {"text": SECRETS["message"]}
        place = people.conversation_by_id(tx, "dingtalk:cid")
        assert place is not None
        assert place.reply_url == SECRETS["session webhook"]
        [owed] = deliveries.ready(tx, "sms:x", NOW, 9)
        assert owed.payload == {"code": SECRETS["code"], "document": SECRETS["message owed"]}
        assert batches.close(tx, batch, NOW) == {"conversation": SECRETS["batch"]}


def test_a_settled_message_keeps_no_words(database: Database) -> None:
    with database.write() as tx:
        for state in ("sent", "cancelled"):
            one = seed.owe(tx, "sms:x", payload={"code": "471123"})
            deliveries.settle(tx, one, state=state, done_at=NOW)
            row = deliveries.by_id(tx, one)
            assert row is not None
            assert row.payload is None
