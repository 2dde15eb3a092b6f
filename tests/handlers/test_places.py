"""What the places of the audit log and the queue are called."""

from __future__ import annotations

from handlers import places
from handlers.texts import render
from storage import contacts, people
from storage.database import Database
from tests.handlers.commands.talk import said
from tests.storage import seed
from tests.storage.fixtures import sqlite_database as database
from tests.storage.fixtures import sqlite_template
from tests.storage.seed import NOW

__all__ = ["database", "sqlite_template"]


def test_conversations_have_the_names_that_people_know(database: Database) -> None:
    with database.write() as tx:
        people.heard(tx, "lark:oc_ops", "lark", False, "night watch", "", None, NOW)
        people.heard(tx, "slack:C1", "slack", False, "", "", None, NOW)
        people.heard(tx, "wecom:alone", "wecom", True, "not shown", "", None, NOW)
        names = {one: places.shown(tx, one) for one in ("lark:oc_ops", "slack:C1", "wecom:alone", "dingtalk:gone")}
    assert {key: (render(name, "en"), render(name, "zh")) for key, name in names.items()} == {
        "lark:oc_ops": ("Lark: night watch", "飞书：night watch"),
        "slack:C1": ("a group in Slack", "Slack中的一个群"),
        "wecom:alone": ("a one-to-one chat in WeCom", "企业微信中的单聊"),
        "dingtalk:gone": ("a conversation in DingTalk", "钉钉中的一个会话"),
    }


def test_a_card_is_named_by_whom_it_was_sent_to(database: Database) -> None:
    with database.write() as tx:
        contact_id = seed.contact(tx)
        method_id = seed.method(tx, contact_id)
        name = contacts.by_id(tx, contact_id)
        assert name is not None
        place = places.of_cards(method_id)
        assert render(places.shown(tx, place), "en") == f"a card sent to {name.name}"
        assert render(places.shown(tx, place), "zh") == f"发给 {name.name} 的卡片"
        contacts.remove(tx, contact_id)
        assert render(places.shown(tx, place), "en") == "a card of an address that was removed"


def test_the_audit_log_says_where(database: Database) -> None:
    said(database, "contact add Ann")
    assert "Conversation" in said(database, "audit")
    assert "a one-to-one chat in DingTalk · contact added · Ann" in said(database, "audit")
    assert "钉钉中的单聊 · 添加联系人 · Ann" in said(database, "审计", language="zh")
