"""Messages that go out again in the form in which they were posted: the strict stand-ins take them, the limits are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.channels import dingtalk, lark, slack, wecom
from bot.http import encoded
from bot.sandbox.dingtalk_messages import message_texts
from bot.sandbox.lark import check_message as check_lark
from bot.sandbox.slack_blocks import check_message as check_slack
from bot.sandbox.wecom import check_message as check_wecom
from handlers.sources import robot
from handlers.sources.contract import Body
from tests.bot.channels.messages import NOW, message
from tests.handlers.sources.test_robot import CARD_1, CARD_2, NOTICE, PAGE

KEYWORD = "DAS Alarm"


def posted(platform: str, body: Any) -> Any:
    """What is kept of a post, as it comes back from the database."""
    alert = robot.posted(platform, robot.message(platform, Body(json.dumps(body).encode())), NOW, "1")
    assert alert.post is not None
    return json.loads(json.dumps(alert.post.body))


@pytest.mark.parametrize(
    "body",
    [
        {"msgtype": "text", "text": {"content": "disk full @1380"}, "at": {"atMobiles": ["1380"], "isAtAll": True}},
        {"msgtype": "link", "link": {"title": "Disk", "text": "full", "messageUrl": PAGE}},
        {"msgtype": "markdown", "markdown": {"title": "Disk", "text": "### full\n- a"}},
        {
            "msgtype": "actionCard",
            "actionCard": {"title": "D", "text": "t", "btns": [{"title": "A", "actionURL": PAGE}]},
        },
        {"msgtype": "feedCard", "feedCard": {"links": [{"title": "One", "messageURL": PAGE, "picURL": PAGE}] * 2}},
    ],
    ids=lambda body: body["msgtype"],
)
def test_dingtalk_gets_its_own_message_with_the_keyword(body: dict[str, Any]) -> None:
    sent = dingtalk.card(message(post=posted("dingtalk", body)), KEYWORD)
    assert sent["msgtype"] == body["msgtype"]
    assert sent["msgUuid"] == "d-42-1"
    assert sent.get("at") == body.get("at")
    texts = message_texts(sent)
    assert all(KEYWORD in text for text in texts)
    assert dingtalk.card(message(post=posted("dingtalk", sent)), KEYWORD) == sent, "a keyword that is there stays alone"


@pytest.mark.parametrize(
    "body",
    [
        {"msgtype": "text", "text": {"content": "P1", "mentioned_list": ["@all"]}},
        {"msgtype": "markdown", "markdown": {"content": "**P1** <@zhangsan>"}},
        {"msgtype": "markdown_v2", "markdown_v2": {"content": "# P1"}},
        {"msgtype": "image", "image": {"base64": "aGk=", "md5": "49f68a5c8493ec2c0bf489821c21fc3b"}},
        {"msgtype": "news", "news": {"articles": [{"title": "P1", "url": PAGE}]}},
        {"msgtype": "template_card", "template_card": NOTICE},
    ],
    ids=lambda body: body["msgtype"],
)
def test_wecom_gets_its_own_message(body: dict[str, Any]) -> None:
    sent = wecom.card(message(post=posted("wecom", body)))
    assert sent == body
    check_wecom(sent)


@pytest.mark.parametrize(
    "body",
    [
        {"msg_type": "text", "content": {"text": '<at user_id="ou_1">Li</at> disk'}},
        {
            "msg_type": "post",
            "content": {"post": {"zh_cn": {"title": "告警", "content": [[{"tag": "text", "text": "x"}]]}}},
        },
        {"msg_type": "interactive", "card": CARD_1},
        {"msg_type": "interactive", "card": CARD_2},
        {"msg_type": "interactive", "card": {"i18n_elements": {"zh_cn": CARD_1["elements"]}}},
    ],
    ids=["text", "post", "card 1", "card 2", "card in languages"],
)
def test_lark_gets_its_own_message_with_the_keyword_signed(body: dict[str, Any]) -> None:
    sent = lark.card(message(post=posted("lark", body)), KEYWORD, "secret")
    assert sent["msg_type"] == body["msg_type"]
    assert sent["sign"]
    assert KEYWORD in json.dumps(sent)
    check_lark(sent)


@pytest.mark.parametrize(
    "body",
    [
        {"text": "disk <!here>"},
        {"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*disk*"}}]},
        {"attachments": [{"color": "#ff0000", "text": "disk", "fallback": "disk"}]},
    ],
    ids=["text", "blocks", "attachments"],
)
def test_slack_gets_its_own_message(body: dict[str, Any]) -> None:
    sent = slack.card(message(post=posted("slack", body)))
    assert sent == body
    check_slack(sent)


LONG = "磁盘 " * 6_000


@pytest.mark.parametrize(
    ("platform", "body"),
    [
        ("dingtalk", {"msgtype": "text", "text": {"content": LONG}}),
        ("wecom", {"msgtype": "text", "text": {"content": "x" * 2049}}),
        ("wecom", {"msgtype": "markdown", "markdown": {"content": "磁" * 1366}}),
        ("wecom", {"msgtype": "news", "news": {"articles": [{"title": LONG, "url": PAGE}]}}),
        ("lark", {"msg_type": "text", "content": {"text": LONG}}),
        ("slack", {"text": "x" * 40_001}),
        ("slack", {"text": "x", "blocks": [{"type": "divider"}] * 51}),
    ],
)
def test_what_its_platform_would_refuse_goes_out_as_a_card(platform: str, body: dict[str, Any]) -> None:
    post = posted(platform, body)
    assert post is not None
    drawn = {
        "dingtalk": lambda one: dingtalk.card(one, KEYWORD),
        "wecom": wecom.card,
        "lark": lambda one: lark.card(one, KEYWORD),
        "slack": slack.card,
    }[platform]
    assert drawn(message(post=post)) == drawn(message())
    assert len(encoded(drawn(message(post=post)))) < 20_000


def test_after_a_refusal_of_its_form_a_post_goes_out_as_plain_text() -> None:
    post = posted("dingtalk", {"msgtype": "feedCard", "feedCard": {"links": [{"title": "One", "messageURL": PAGE}]}})
    sent = dingtalk.card(message(post=post, plain=True), KEYWORD)
    assert sent["msgtype"] == "text"
