"""What a card says to whom: the contact's language and zone, who is called, templates and what becomes of broken ones."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.channels import CHANNELS
from bot.channels.contract import Channel, Message, Outside, Receipt, Target
from bot.delivery.compose import Sender, TakesTime
from bot.http import Http
from bot.markup.plain import outline
from handlers.addresses import PHONE
from handlers.alerts import accept
from handlers.context import Rules
from handlers.mentions import Mention
from handlers.model import Alert
from storage import alerts, contacts, deliveries, identities, people, sources, templates
from storage.database import Database
from storage.schema import delivery
from tests.storage import seed
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["sqlite_template"]

WANG, LIN = "dingtalk:corp/0147", "dingtalk:corp/0200"
START = datetime.fromisoformat("2026-03-02T08:30:00+00:00")
ALERT = Alert("disk", "disk full", severity="critical", labels={"host": "db-7", "trace": "x" * 5000}, starts_at=START)


@dataclass
class Scene:
    """A group with one contact who has a robot, a mailbox and a phone; `sent` are the messages of one report."""

    database: Database
    source: int = 0
    contact: int = 0
    taken: list[Message] = field(default_factory=list)
    now: datetime = NOW

    def take(self, message: Message, _target: Target, _outside: Outside) -> Receipt:
        self.taken.append(message)
        return Receipt()

    def sent(self, alert: Alert) -> dict[str, Message]:
        """Channel -> the message that the report of this alert leads to."""
        channels = {name: Channel(name, self.take) for name in CHANNELS}
        sender = Sender(self.database, Rules(language="en"), Outside(Http()), channels, {}, {})
        with self.database.write() as tx:
            tx.conn.execute(delivery.delete())
            row = sources.by_id(tx, self.source)
            assert row is not None
            accept(tx, row, [alert], self.now, timedelta(0))
            owed = [deliveries.by_id(tx, one) for one in tx.conn.scalars(select(delivery.c.id))]
        found = {}
        for one in owed:
            assert one is not None
            sender.send(one, self.now)
            found[one.channel] = self.taken.pop()
        return found

    def card(self, alert: Alert) -> str:
        """The robot's card as text."""
        document = self.sent(alert)["dingtalk"].document
        return f"{document.heading()}\n{outline(document)}"


@pytest.fixture
def scene(sqlite_template: Path, tmp_path: Path) -> Iterator[Scene]:
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}", seed.KEY)
    scene = Scene(database)
    with database.write() as tx:
        scene.contact = seed.contact(tx, "Wang")
        seed.method(tx, scene.contact, "dingtalk")
        seed.method(tx, scene.contact, "email", "wang@example.com")
        seed.method(tx, scene.contact, PHONE, "+8613800138000")
        scene.source = seed.source(tx, seed.group(tx, "dba", scene.contact), name="prom").id
        for person, name in ((WANG, "Wang"), (LIN, "Lin")):
            people.seen(tx, person, name, NOW)
    yield scene
    database.close()


def test_a_contact_reads_its_own_language_and_zone(scene: Scene) -> None:
    assert "Since: 2026-03-02 16:30 (UTC+8)" in scene.card(ALERT)
    with scene.database.write() as tx:
        contacts.prefers(tx, scene.contact, language="zh", timezone="America/New_York")
    messages = scene.sent(ALERT)
    for channel in ("dingtalk", "email"):
        shown = outline(messages[channel].document)
        assert "开始时间: 2026-03-02 03:30 (UTC-5)" in shown
        assert messages[channel].language == "zh"
    summer = replace(ALERT, fingerprint="later", starts_at=START + timedelta(days=7))
    assert "2026-03-09 04:30 (UTC-4)" in scene.card(summer), "clocks went forward on the 8th"
    with scene.database.write() as tx:
        contacts.prefers(tx, scene.contact, timezone="Mars/Olympus")
    assert "2026-03-02 16:30 (UTC+8)" in scene.card(ALERT)


def test_a_recovery_tells_what_happened(scene: Scene) -> None:
    scene.sent(ALERT)
    with scene.database.write() as tx:
        alerts.change(tx, 1, acked_by=LIN, acked_at=NOW)
    scene.now = NOW + timedelta(minutes=35)
    shown = scene.card(replace(ALERT, status="resolved", ends_at=scene.now))
    for line in (
        "[RESOLVED] #1 disk full",
        "Since: 2026-03-02 16:30 (UTC+8)",
        "Ended: 2026-03-02 17:35 (UTC+8)",
        "Lasted: 1 h 5 min",
        "Acknowledged by: Lin, 2026-03-02 17:00 (UTC+8)",
    ):
        assert line in shown, shown


def test_only_mails_have_long_values_whole(scene: Scene) -> None:
    messages = scene.sent(ALERT)
    assert "x" * 5000 in outline(messages["email"].document)
    short = outline(messages["dingtalk"].document)
    assert "x" * 201 not in short
    assert "shortened: alert #1 shows all" in short


def test_the_contact_is_called_by_what_its_platform_knows(scene: Scene) -> None:
    def called(alert: Alert) -> Mention | None:
        return scene.sent(alert)["dingtalk"].mention

    assert called(ALERT) == Mention(phone="13800138000"), "all that is known is a number"
    with scene.database.write() as tx:
        people.seen(tx, "slack:T1/U1", "", NOW)
        people.link(tx, "slack:T1/U1", scene.contact)
        identities.join(tx, "slack:T1/U1", WANG)
    assert called(ALERT) == Mention("0147"), "another identity of the same human"
    assert scene.sent(ALERT)["email"].mention is None
    warning = replace(ALERT, fingerprint="w", severity="warning")
    assert called(warning) is None
    with scene.database.write() as tx:
        contacts.prefers(tx, scene.contact, mention="on")
    assert called(warning) == Mention("0147")
    with scene.database.write() as tx:
        alerts.change(tx, 1, acked_by=LIN, acked_at=NOW)
    assert called(ALERT) is None, "somebody has it"
    assert called(replace(ALERT, status="resolved")) is None


def test_templates_are_not_filled_in_while_others_wait_to_write(scene: Scene) -> None:
    scene.sent(ALERT)
    sender = Sender(scene.database, Rules(language="en"), Outside(Http()), {}, {}, {})
    with scene.database.write() as tx:
        row = deliveries.by_id(tx, tx.conn.scalars(select(delivery.c.id).where(delivery.c.channel == "dingtalk")).one())
        assert row is not None
        assert sender.composed(tx, row, NOW, quickly=True) == sender.composed(tx, row, NOW)
        templates.put(tx, scene.source, "title", "{{ labels.host }} is ill", WANG, NOW)
        with pytest.raises(TakesTime):
            sender.composed(tx, row, NOW, quickly=True)
        assert sender.composed(tx, row, NOW).message.document.title == "db-7 is ill"


def test_a_template_is_used_and_a_broken_one_is_noted_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "bot.delivery.compose")
    with scene.database.write() as tx:
        templates.put(tx, scene.source, "title", "{{ labels.host }} is ill", WANG, NOW)
        templates.put(tx, scene.source, "text", "{% if number < 5 %}x{% endif %}", WANG, NOW)
    for _time in range(2):
        shown = scene.card(ALERT)
        assert shown.startswith("[CRITICAL] #1 db-7 is ill\n")
        assert "Where: db-7" in shown, "the standard text"
    assert len(caplog.messages) == 1
    with scene.database.write() as tx:
        text, title = templates.of_source(tx, scene.source)
        assert (title.failed_at, text.failed_at) == (None, NOW)
        assert "not supported" in (text.failure or "")
        templates.put(tx, scene.source, "text", "Look at {{ labels.host }}\nsince {{ since }}", WANG, NOW)
    shown = scene.card(ALERT)
    assert "Look at db-7\nsince 2026-03-02 16:30 (UTC+8)\n\nSeverity: critical" in shown
    assert "Where" not in shown
    assert "shortened" not in shown
    assert shown.endswith("To Callboard: ack #1 · resolve #1 · alert #1")
