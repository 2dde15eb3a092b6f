"""Whom a card calls: a table of wishes, and one of identities."""

from __future__ import annotations

from dataclasses import replace

import pytest

from handlers.mentions import Mention, of_contact, wanted
from handlers.model import Alert, Post, Severity

ALERT = Alert("f", "t", severity="critical")
SLACK = "https://hooks.slack.com/services/T0001/B0001/x"


@pytest.mark.parametrize(
    ("wish", "severity", "called"),
    [
        (None, "critical", True),
        (None, "warning", False),
        (None, "info", False),
        ("on", "info", True),
        ("on", "critical", True),
        ("off", "critical", False),
    ],
)
def test_critical_alarms_call_unless_the_contact_wishes_otherwise(
    wish: str | None, severity: Severity, called: bool
) -> None:
    alert = replace(ALERT, severity=severity)
    assert wanted(wish, alert, acknowledged=False) is called
    assert not wanted(wish, alert, acknowledged=True), "somebody has it"
    assert not wanted(wish, replace(alert, status="resolved"), acknowledged=False)
    assert not wanted(wish, replace(alert, post=Post("dingtalk", None)), acknowledged=False), "a tool's own words"


@pytest.mark.parametrize(
    ("channel", "address", "identities", "phones", "mention"),
    [
        ("dingtalk", "", ["dingtalk:corp/0147123"], ["+8613800138000"], Mention("0147123")),
        ("dingtalk", "", ["slack:T0001/U0001"], ["+8613800138000"], Mention(phone="13800138000")),
        ("dingtalk", "", ["dingtalk:corp/ALL"], [], None),
        ("dingtalk", "", [], ["+85261234567"], None),
        ("dingtalk", "", [], [], None),
        ("wecom", "", ["wecom:ww1/zhang.san"], [], Mention("zhang.san")),
        ("wecom", "", ["wecom:ww1/@all"], [], None),
        ("wecom", "", ["wecom:ww1/x><@all"], [], None),
        ("wecom", "", [], ["+8613800138000"], Mention(phone="13800138000")),
        ("lark", "", ["lark:t1/ou_0a1b"], ["+8613800138000"], Mention("ou_0a1b")),
        ("lark", "", ["lark:t1/all"], [], None),
        ("lark", "", ["lark:t1/on_union"], [], None),
        ("slack", SLACK, ["slack:T0002/U0002", "slack:T0001/U0001"], [], Mention("U0001")),
        ("slack", SLACK, ["slack:T0002/U0002"], ["+8613800138000"], None),
        ("slack", SLACK, ["slack:T0001/U0001|x"], [], None),
        ("email", "a@example.com", ["slack:T0001/U0001"], ["+8613800138000"], None),
    ],
)
def test_a_contact_is_called_only_by_an_id_of_that_very_platform_or_a_chinese_number(
    channel: str, address: str, identities: list[str], phones: list[str], mention: Mention | None
) -> None:
    assert of_contact(channel, address, identities, phones) == mention


def test_a_number_is_in_no_log() -> None:
    assert "138" not in repr(Mention(phone="13800138000"))
