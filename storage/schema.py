"""The tables. Times are epoch milliseconds in the database and aware UTC datetimes in Python."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime, rounded down: the last moment of the year 9999 stays in it."""
    return (moment - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of epoch milliseconds."""
    return EPOCH + timedelta(milliseconds=ms)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, kept as epoch milliseconds: sorts, compares and indexes the same on every database."""

    impl = BigInteger
    cache_ok = True

    # Instead of `process_bind_param` and `process_result_value`, which would be called through two functions more.
    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], int | None]:  # noqa: ARG002
        return _bound

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002
        return _read


def _bound(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _read(ms: Any) -> datetime | None:
    return None if ms is None else from_ms(ms)


Key = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in an INTEGER PRIMARY KEY."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

setting = Table(
    "setting", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)

contact = Table(
    "contact",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("name_key", String(256), nullable=False, unique=True),
    Column("created_by", String(255)),
    Column("created_at", Moment, nullable=False),
    Column("language", String(8)),  # of the cards it gets
    Column("timezone", String(64)),  # of the times on them, an IANA name
    Column("mention", String(8)),  # on, off; NULL = only by critical alerts
    sqlite_autoincrement=True,
)

method = Table(
    "method",
    metadata,
    Column("id", Key, primary_key=True),
    Column("contact_id", Key, ForeignKey("contact.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("channel", String(16), nullable=False),
    Column("address", Text, nullable=False),  # sealed
    Column("address_key", String(64), nullable=False, index=True),  # digest
    Column("masked", String(160), nullable=False),
    Column("secret", Text),  # sealed
    Column("state", String(16), nullable=False),  # pending, active, disabled
    Column("reason", Text),  # why disabled: a text of the catalogue as JSON
    Column("conversation", String(255)),  # the conversation a webhook was proven in
    Column("created_at", Moment, nullable=False),
    Column("verified_at", Moment),
    Column("verified_by", String(255)),
    UniqueConstraint("contact_id", "channel", "address_key"),
    sqlite_autoincrement=True,
)

contact_group = Table(
    "contact_group",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("name_key", String(256), nullable=False, unique=True),
    Column("note", Text, nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    sqlite_autoincrement=True,
)

member = Table(
    "member",
    metadata,
    Column("group_id", Key, ForeignKey("contact_group.id", ondelete="CASCADE"), nullable=False),
    Column("contact_id", Key, ForeignKey("contact.id", ondelete="CASCADE"), nullable=False, index=True),
    PrimaryKeyConstraint("group_id", "contact_id"),
)

person = Table(
    "person",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", String(255), nullable=False, default=""),
    Column("contact_id", Key, ForeignKey("contact.id", ondelete="SET NULL"), index=True),
    Column("admin", Boolean, nullable=False, default=False),
    Column("language", String(8)),
    Column("seen_at", Moment, nullable=False),
    Column("human", String(255), index=True),  # the same for all identities of one human; NULL = only this one
)

press = Table(
    "press",
    metadata,
    Column("nonce", String(64), primary_key=True),
    Column("person", String(255), nullable=False),
    Column("says", String(255), nullable=False),
    Column("at", Moment, nullable=False, index=True),
)

link_code = Table(
    "link_code",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("person", String(255), nullable=False, index=True),
    Column("expires_at", Moment, nullable=False),
)

conversation = Table(
    "conversation",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("platform", String(16), nullable=False),
    Column("direct", Boolean, nullable=False),
    Column("title", String(255), nullable=False, default=""),
    Column("language", String(8)),
    Column("reply_url", Text),  # sealed
    Column("reply_until", Moment),
    Column("seen_at", Moment, nullable=False),
    Column("person", String(255), index=True),  # with whom, of a one-to-one chat
)

inbound = Table(
    "inbound",
    metadata,
    Column("id", Key, primary_key=True),
    Column("platform", String(16), nullable=False),
    Column("message_id", String(255), nullable=False),
    Column("body", Text),  # sealed; emptied once handled
    Column("received_at", Moment, nullable=False),
    Column("tries", SmallInteger, nullable=False, default=0),
    Column("sender", String(64)),  # digest of who has to be answered in order
    UniqueConstraint("platform", "message_id"),
    Index(
        "ix_inbound_sender",
        "sender",
        "id",
        sqlite_where=text("body IS NOT NULL"),
        postgresql_where=text("body IS NOT NULL"),
    ),
    Index("ix_inbound_waiting", "id", sqlite_where=text("body IS NOT NULL"), postgresql_where=text("body IS NOT NULL")),
    sqlite_autoincrement=True,
)

question = Table(
    "question",
    metadata,
    Column("conversation", String(255), nullable=False),
    Column("person", String(255), nullable=False),
    Column("slot", String(16), nullable=False),  # "confirm", "name", "more"
    Column("body", Text, nullable=False),  # sealed
    Column("expires_at", Moment, nullable=False),
    PrimaryKeyConstraint("conversation", "person", "slot"),
)

code = Table(
    "code",
    metadata,
    Column("id", Key, primary_key=True),
    Column("method_id", Key, ForeignKey("method.id", ondelete="SET NULL"), index=True),
    Column("address_key", String(64), nullable=False),
    Column("person", String(255), nullable=False),
    Column("conversation", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # issued, confirmed, exhausted, replaced, refused, expired
    Column("tries_left", SmallInteger, nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("ix_code_address", "address_key", "issued_at"),
    Index("ix_code_person", "person", "issued_at"),
    sqlite_autoincrement=True,
)

wrong_code = Table(
    "wrong_code",
    metadata,
    Column("id", Key, primary_key=True),
    Column("person", String(255), nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_wrong_code_person", "person", "at"),
)

source = Table(
    "source",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("name_key", String(256), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("token_digest", String(64), nullable=False, unique=True),
    Column("group_id", Key, ForeignKey("contact_group.id", ondelete="SET NULL"), index=True),
    Column("created_by", String(255)),
    Column("created_at", Moment, nullable=False),
    Column("seen_at", Moment),
    Column("mapping", JSON(none_as_null=True)),  # field of an alert -> where it stands in a foreign body
    sqlite_autoincrement=True,
)

received_body = Table(
    "received_body",
    metadata,
    Column("id", Key, primary_key=True),
    Column("source_id", Key, ForeignKey("source.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("raw", Text, nullable=False),  # sealed
    Column("path", Text),  # where it was wrong; NULL = it was accepted
    Column("say", JSON(none_as_null=True)),  # what was wrong: a text of the catalogue
)

template = Table(
    "template",
    metadata,
    Column("source_id", Key, ForeignKey("source.id", ondelete="CASCADE"), nullable=False),
    Column("part", String(16), nullable=False),  # title, text
    Column("body", Text, nullable=False),
    Column("set_by", String(255), nullable=False),
    Column("set_at", Moment, nullable=False),
    Column("failed_at", Moment),
    Column("failure", String(255)),  # what its engine said then
    PrimaryKeyConstraint("source_id", "part"),
)

alert = Table(
    "alert",
    metadata,
    Column("id", Key, primary_key=True),
    Column("source_id", Key, ForeignKey("source.id", ondelete="SET NULL")),
    Column("source_name", String(64), nullable=False),
    Column("group_id", Key, ForeignKey("contact_group.id", ondelete="SET NULL"), index=True),
    Column("fingerprint", String(160), nullable=False),
    Column("status", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    Column("links", JSON, nullable=False),
    Column("starts_at", Moment),
    Column("ends_at", Moment),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("sent_at", Moment, nullable=False),
    Column("repeats", Integer, nullable=False, default=0),
    Column("version", Integer, nullable=False, default=1),
    Column("acked_by", String(255)),
    Column("acked_at", Moment),
    Column("resolved_by", String(255)),
    Column("post", JSON(none_as_null=True)),  # platform and body of a robot's message; NULL = a condition
    Column("silence_id", Key),  # the silence that hides it, or hid its end; NULL = none
    Column("shown", Integer),  # the version that its cards in chat show; NULL = it was never shown
    # At most one alert of a condition is open, and all of a condition are found. In one index: fingerprints come in no
    # order, and each index more is another page to be written for nearly every alert.
    Index(
        "uq_alert_incident",
        "source_id",
        "fingerprint",
        text("(CASE WHEN status = 'firing' THEN 0 ELSE id END)"),
        unique=True,
    ),
    Index(
        "ix_alert_silence",
        "silence_id",
        sqlite_where=text("silence_id IS NOT NULL"),
        postgresql_where=text("silence_id IS NOT NULL"),
    ),
    Index("ix_alert_stale", "id", sqlite_where=text("shown < version"), postgresql_where=text("shown < version")),
    sqlite_autoincrement=True,
)

note = Table(
    "note",
    metadata,
    Column("id", Key, primary_key=True),
    Column("alert_id", Key, ForeignKey("alert.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("person", String(255), nullable=False),
    Column("text", Text, nullable=False),
)

view = Table(
    "view",
    metadata,
    Column("alert_id", Key, ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    Column("conversation", String(255), nullable=False),
    Column("person", String(255), nullable=False),  # who asked for the card there
    Column("language", String(8), nullable=False),
    PrimaryKeyConstraint("alert_id", "conversation"),
)

silence = Table(
    "silence",
    metadata,
    Column("id", Key, primary_key=True),
    Column("matchers", JSON, nullable=False),  # name, operator, value
    Column("because", Text, nullable=False),
    Column("person", String(255), nullable=False),
    Column("conversation", String(255), nullable=False),  # where its end is told
    Column("language", String(8), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("ended_by", String(255)),  # NULL = its time was over
    Index(
        "ix_silence_active",
        "ends_at",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

batch = Table(
    "batch",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("body", Text, nullable=False),  # sealed: where to report, in which language
    Column("created_at", Moment, nullable=False),
    Column("done_at", Moment),
    sqlite_autoincrement=True,
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Key, primary_key=True),
    Column("lane", String(300), nullable=False),
    Column("kind", String(16), nullable=False),  # alert, code, test, notice, answer, digest
    Column("channel", String(16), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("state", String(16), nullable=False),  # ready, merged (into a digest that is ready), sent, dead, cancelled
    Column("dedupe", String(200), nullable=False, unique=True),
    Column("alert_id", Key, ForeignKey("alert.id", ondelete="CASCADE"), index=True),
    Column("alert_status", String(16)),
    Column("alert_severity", String(16)),
    Column("method_id", Key, ForeignKey("method.id", ondelete="SET NULL"), index=True),
    Column("contact_name", String(64), nullable=False, default=""),
    Column("group_name", String(64), nullable=False, default=""),
    Column("masked", String(160), nullable=False, default=""),
    Column("batch_id", Key, ForeignKey("batch.id", ondelete="SET NULL"), index=True),
    Column("code_id", Key, ForeignKey("code.id", ondelete="SET NULL"), index=True),
    Column("payload", Text),  # sealed; emptied once settled
    Column("due_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("begun_at", Moment),  # a try was begun and nothing is known of its end: it may have arrived
    Column("plain", Boolean, nullable=False, default=False),
    Column("reason", String(64), nullable=False, default=""),
    Column("say", JSON),  # the last failure in words: a text of the catalogue
    Column("receipt", String(255), nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
    Column("done_at", Moment),
    Column("digest_id", Key),  # the delivery that names this one among others
    Column("arrived_at", Moment),  # when it reached the phone, by the carrier's receipt
    Column("ask_at", Moment),  # when the provider is asked what became of it; NULL = nothing to ask
    Index(
        "ix_delivery_digest",
        "digest_id",
        sqlite_where=text("digest_id IS NOT NULL"),
        postgresql_where=text("digest_id IS NOT NULL"),
    ),
    Index(
        "ix_delivery_ask",
        "ask_at",
        sqlite_where=text("ask_at IS NOT NULL"),
        postgresql_where=text("ask_at IS NOT NULL"),
    ),
    Index(
        "ix_delivery_ready",
        "lane",
        "priority",
        "id",
        sqlite_where=text("state = 'ready'"),
        postgresql_where=text("state = 'ready'"),
    ),
    Index("ix_delivery_state", "state", "id"),
    sqlite_autoincrement=True,
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Key, primary_key=True),
    Column("delivery_id", Key, ForeignKey("delivery.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("outcome", String(16), nullable=False),  # sent, temporary, permanent, unknown
    Column("reason", String(64), nullable=False, default=""),
    Column("took_ms", Integer, nullable=False, default=0),
)

lane = Table(
    "lane",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("next_at", Moment),  # when it may be claimed; while leased the lease's end; NULL = idle
    Column("owner", String(64)),
    Column("token", BigInteger, nullable=False, default=0),
    Column("open_at", Moment),  # the gate: back-off, penalty, Retry-After
    Column("fails", Integer, nullable=False, default=0),
    Column("sent", JSON, nullable=False),  # epoch milliseconds of the last sends, oldest first
    Column("calm_at", Moment),  # until then what is no more urgent than `calm_for` is not looked at
    Column("calm_for", SmallInteger),  # the smallest priority that has to wait
    Column("cards", JSON),  # epoch milliseconds of the last cards that were sent ahead of a crowd
    Column("rules", JSON),  # rules that alerts were sent of, each with epoch milliseconds of the last time
    Column("urgent", Boolean, nullable=False, default=False, server_default=false()),  # goes before other lanes
    Column("asked", Boolean, nullable=False, default=False, server_default=false()),  # a person waits for what is in it
    Index(
        "ix_lane_asked",
        "next_at",
        sqlite_where=text("asked = 1 AND next_at IS NOT NULL"),
        postgresql_where=text("asked AND next_at IS NOT NULL"),
    ),
    Index(
        "ix_lane_urgent",
        "next_at",
        sqlite_where=text("urgent = 1 AND next_at IS NOT NULL"),
        postgresql_where=text("urgent AND next_at IS NOT NULL"),
    ),
    Index(
        "ix_lane_next",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Key, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("person", String(255), nullable=False),
    Column("conversation", String(255), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("before", JSON),
    Column("after", JSON),
    sqlite_autoincrement=True,
)

meter = Table(
    "meter",
    metadata,
    Column("platform", String(16), nullable=False),
    Column("month", String(7), nullable=False),  # "2026-11", in the time zone of the region
    Column("used", Integer, nullable=False),
    Column("warned", SmallInteger, nullable=False),  # the highest percentage that was told to the admins
    PrimaryKeyConstraint("platform", "month"),
)

imported = Table(
    "imported",
    metadata,
    Column("source", String(160), nullable=False),  # "cloudmonitor", "das:rm-uf6example000001"
    Column("kind", String(8), nullable=False),  # contact, group
    Column("name_key", String(256), nullable=False),
    Column("name", String(64), nullable=False),
    Column("contact_id", Key, ForeignKey("contact.id", ondelete="SET NULL"), index=True),
    Column("group_id", Key, ForeignKey("contact_group.id", ondelete="SET NULL")),
    Column("body", JSON, nullable=False),  # what it said when it was read last; addresses as digests and masked
    Column("gone_at", Moment),  # since when it is not there any more
    PrimaryKeyConstraint("source", "kind", "name_key"),
)

import_report = Table(
    "import_report",
    metadata,
    Column("delivery_id", Key, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # sealed: the lines of the answer
    Column("at", Moment, nullable=False),
)

reading = Table(
    "reading",
    metadata,
    Column("key", String(200), primary_key=True),  # "cloudmonitor", "das:…", or "events:…" of an instance
    Column("due_at", Moment),  # when it is read next; NULL = when somebody asks
    Column("read_to", Moment),  # events up to then were taken in
    Column("fails", Integer, nullable=False, default=0, server_default="0"),
    Column("run", Key),  # the delivery whose import was applied last
)

undo_step = Table(
    "undo_step",
    metadata,
    Column("id", Key, primary_key=True),
    Column("person", String(255), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("body", Text, nullable=False),  # sealed: the rows before and after the change
    sqlite_autoincrement=True,
)
