"""A database to test on, and the rows that most tests need."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, exists, or_, select

from handlers import names, outbox
from storage import alerts, contacts, deliveries, groups, lanes, sources
from storage.database import Database, Tx
from storage.lanes import ANY, Pick
from storage.schema import delivery, inbound, lane, metadata
from storage.sources import SourceRow

KEY = "the key of the tests"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)

_numbers = itertools.count(1)


@contextmanager
def opened(url: str, key: str = KEY) -> Iterator[Database]:
    """The database with its tables (those of the schema; that migrations make the same ones has its own test)."""
    database = Database(url, key)
    try:
        with database.write() as tx:
            metadata.create_all(tx.conn)
        yield database
    finally:
        database.close()


def url_of(database: Database) -> str:
    """For opening it once more."""
    return database.url.render_as_string(hide_password=False)


def contact(tx: Tx, name: str = "") -> int:
    name = name or f"Contact {next(_numbers)}"
    return contacts.add(tx, name, names.key(name), "slack:T/U", NOW)


def method(
    tx: Tx, contact_id: int, channel: str = "dingtalk", address: str = "", *, state: str = "active", secret: str = ""
) -> int:
    address = address or f"https://oapi.dingtalk.com/robot/send?access_token=robot{next(_numbers)}"
    method_id = contacts.add_method(tx, contact_id, channel, address, f"{channel} …{address[-4:]}", secret, NOW)
    contacts.change_method(tx, method_id, state=state)
    return method_id


def group(tx: Tx, name: str, *contact_ids: int) -> int:
    group_id = groups.add(tx, name, names.key(name), "", NOW)
    groups.add_members(tx, group_id, contact_ids)
    return group_id


def source(tx: Tx, group_id: int, name: str = "src", token: str = "") -> SourceRow:
    token = token or f"token-{next(_numbers)}"
    source_id = sources.add(tx, name, names.key(name), "json", token, group_id, "slack:T/U", NOW)
    found = sources.by_id(tx, source_id)
    assert found is not None
    return found


def told_source(tx: Tx, token: str = "") -> SourceRow:
    """A source whose group has one contact with one robot."""
    who = contact(tx)
    method(tx, who)
    return source(tx, group(tx, "ops", who), token=token)


def alert(tx: Tx, fingerprint: str, **values: Any) -> int:
    """The number of a new alert, firing, of no source and no group."""
    [number] = alerts.add(tx, [alert_values(fingerprint) | values])
    return number


def alert_values(fingerprint: str) -> dict[str, Any]:
    return {
        "source_id": None,
        "source_name": "src",
        "group_id": None,
        "fingerprint": fingerprint,
        "status": "firing",
        "severity": "warning",
        "title": "t",
        "description": "",
        "rule": "",
        "labels": {},
        "annotations": {},
        "links": [],
        "first_at": NOW,
        "last_at": NOW,
        "sent_at": NOW,
    }


def lane_of(tx: Tx, method_id: int) -> str:
    found = contacts.method_by_id(tx, method_id)
    assert found is not None
    return outbox.lane_of(found)


def owe(tx: Tx, lane: str, **values: Any) -> int:
    """The id of a new delivery in the lane, ready and due; the lane is not woken."""
    channel = lane.partition(":")[0]
    row = {
        "lane": lane,
        "kind": "test",
        "channel": channel,
        "priority": outbox.OTHER,
        "dedupe": f"test:{next(_numbers)}",
        "due_at": NOW,
        "expires_at": NOW + outbox.LIFE,
        "created_at": NOW,
    }
    assert deliveries.owe(tx, [outbox.row(**(row | values))]) == 1
    query = delivery.select().order_by(delivery.c.id.desc()).limit(1)
    return int(tx.conn.execute(query).one().id)


def next_due(tx: Tx, held: Collection[str] = (), pick: Pick = ANY, full: str = "") -> datetime | None:
    """When the next of these lanes may be claimed."""
    return lanes.next_of_each(tx, held, {pick: full}).get(pick)


_LANES_AT_WORK = exists().where(or_(lane.c.owner.is_not(None), lane.c.next_at <= bindparam("now")))
_AT_WORK = or_(exists().where(inbound.c.body.is_not(None)), _LANES_AT_WORK)


def lanes_at_work(tx: Tx, now: datetime) -> bool:
    """Whether a lane is leased or due. One statement: between two, PostgreSQL shows what was committed meanwhile."""
    return bool(tx.conn.scalar(select(_LANES_AT_WORK), {"now": now}))


def at_work(tx: Tx, now: datetime) -> bool:
    """Whether anything that came in is not handled yet, or a lane is leased or due. One statement, as above."""
    return bool(tx.conn.scalar(select(_AT_WORK), {"now": now}))
