"""Messages for chat robots: what each type of each platform says. The bodies are those of the platforms' own pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import PayloadError
from handlers.model import Alert
from handlers.sources import SOURCES, robot
from handlers.sources.contract import Body
from handlers.sources.robot_parts import BODY_MAX_BYTES, from_markdown, from_mrkdwn
from tests.handlers.sources.conftest import NOW
from tests.handlers.sources.test_contract import JSON_VALUES, readable, within_limits

PAGE = "https://ops.example/a/991"


def posted(platform: str, body: Any, new_id: str = "1") -> Alert:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return robot.posted(platform, robot.message(platform, Body(raw)), NOW, new_id)


CARD_2 = {
    "schema": "2.0",
    "header": {"template": "red", "title": {"tag": "plain_text", "content": "[FIRING] disk 93%"}},
    "body": {
        "elements": [
            {"tag": "div", "text": {"tag": "plain_text", "content": "db-1: 93% used"}},
            {
                "tag": "button",
                "text": {"tag": "plain_text", "content": "Open"},
                "behaviors": [{"type": "open_url", "default_url": PAGE}],
            },
        ]
    },
}
CARD_1 = {
    "header": {"title": {"tag": "plain_text", "content": "[FIRING] disk 93% · db-1"}},
    "elements": [
        {"tag": "div", "fields": [{"is_short": True, "text": {"tag": "lark_md", "content": "**Service**: payments"}}]},
        {"tag": "markdown", "content": "On call: <at id=ou_0a1b></at>"},
        {"tag": "hr"},
        {
            "tag": "action",
            "actions": [{"tag": "button", "url": PAGE, "text": {"tag": "plain_text", "content": "Open"}}],
        },
    ],
}
NOTICE = {
    "card_type": "text_notice",
    "main_title": {"title": "P1 db-01 磁盘 95%", "desc": "2026-01-01 00:00 触发"},
    "emphasis_content": {"title": "95%", "desc": "/data"},
    "quote_area": {"type": 1, "url": PAGE, "title": "告警", "quote_text": "inode 剩余 2%"},
    "sub_title_text": "持续 12 分钟",
    "horizontal_content_list": [{"keyname": "集群", "value": "prod"}],
    "jump_list": [{"type": 1, "title": "查看事件", "url": PAGE}],
    "card_action": {"type": 1, "url": PAGE},
}
ATTACHMENT = {
    "fallback": "old",
    "pretext": "New",
    "title": "Ticket",
    "title_link": PAGE,
    "text": "Help &amp; more",
    "fields": [{"title": "Priority", "value": "High", "short": False}],
}


@pytest.mark.parametrize(
    ("platform", "body", "title", "text", "links"),
    [
        (
            "dingtalk",
            {"msgtype": "text", "text": {"content": "disk full on db-7\n@1380 now"}},
            "disk full on db-7",
            "@1380 now",
            [],
        ),
        (
            "dingtalk",
            {"msgtype": "link", "link": {"title": "Disk", "text": "db-7 full", "messageUrl": PAGE, "picUrl": ""}},
            *("Disk", "db-7 full", [("link", PAGE)]),
        ),
        (
            "dingtalk",
            {
                "msgtype": "markdown",
                "markdown": {"title": "db-7", "text": "### db-7  \n  - state: **firing**  \n> since 10:02"},
            },
            *("db-7", "- state: firing\nsince 10:02", []),
        ),
        (
            "dingtalk",
            {
                "msgtype": "actionCard",
                "actionCard": {"title": "db-7", "text": "down", "singleTitle": "Open", "singleURL": PAGE},
            },
            *("db-7", "down", [("Open", PAGE)]),
        ),
        (
            "dingtalk",
            {
                "msgtype": "actionCard",
                "actionCard": {"title": "a", "text": "b", "btns": [{"title": "Ack", "actionURL": PAGE}]},
            },
            *("a", "b", [("Ack", PAGE)]),
        ),
        (
            "dingtalk",
            {
                "msgtype": "feedCard",
                "feedCard": {
                    "links": [{"title": "One", "messageURL": PAGE}, {"title": "Two", "messageURL": PAGE + "2"}]
                },
            },
            *("One", "Two", [("One", PAGE), ("Two", PAGE + "2")]),
        ),
        (
            "wecom",
            {"msgtype": "text", "text": {"content": "# of P1 > 5\n<@zhangsan> **x**", "mentioned_list": ["@all"]}},
            "# of P1 > 5",
            "@zhangsan **x**",
            [],
        ),
        (
            "wecom",
            {
                "msgtype": "markdown",
                "markdown": {"content": f'**P1** <font color="warning">firing</font>\n> host: db-01\n[open]({PAGE})'},
            },
            *("P1 firing", "host: db-01\nopen", [("open", PAGE)]),
        ),
        (
            "wecom",
            {"msgtype": "markdown_v2", "markdown_v2": {"content": "# P1\n| host | disk |"}},
            "P1",
            "| host | disk |",
            [],
        ),
        (
            "wecom",
            {"msgtype": "news", "news": {"articles": [{"title": "P1", "description": "db-01", "url": PAGE}]}},
            *("P1", "db-01", [("P1", PAGE)]),
        ),
        ("wecom", {"msgtype": "image", "image": {"base64": "aGk=", "md5": "x"}}, "Picture for WeCom", "", []),
        (
            "wecom",
            {"msgtype": "file", "file": {"media_id": "M"}},
            *("File for WeCom", "It was uploaded for another robot and cannot be passed on.", []),
        ),
        (
            "wecom",
            {"msgtype": "template_card", "template_card": NOTICE},
            "P1 db-01 磁盘 95%",
            "2026-01-01 00:00 触发\n/data: 95%\n告警\ninode 剩余 2%\n持续 12 分钟\n集群: prod",
            [("查看事件", PAGE), ("link", PAGE)],
        ),
        (
            "lark",
            {"msg_type": "text", "content": {"text": '<at user_id="ou_1">Li Lei</at> disk 93%'}},
            "@Li Lei disk 93%",
            "",
            [],
        ),
        (
            "lark",
            {
                "msg_type": "post",
                "content": {
                    "post": {
                        "zh_cn": {
                            "title": "告警",
                            "content": [
                                [{"tag": "text", "text": "磁盘 "}, {"tag": "a", "text": "runbook", "href": PAGE}],
                                [{"tag": "at", "user_id": "all"}],
                            ],
                        }
                    }
                },
            },
            *("告警", "磁盘 runbook\n@all", [("runbook", PAGE)]),
        ),
        (
            "lark",
            {"msg_type": "interactive", "card": CARD_1},
            "[FIRING] disk 93% · db-1",
            "Service: payments\nOn call: @",
            [("Open", PAGE)],
        ),
        (
            "lark",
            {"msg_type": "interactive", "card": json.dumps(CARD_2)},
            "[FIRING] disk 93%",
            "db-1: 93% used",
            [("Open", PAGE)],
        ),
        ("lark", {"msg_type": "image", "content": {"image_key": "img_v2"}}, "Picture for Lark", "", []),
        ("lark", {"msg_type": "share_chat", "content": {"share_chat_id": "oc_0a1b"}}, "Card of a Lark group", "", []),
        (
            "slack",
            {"text": f"down: <{PAGE}|db-7> &lt;b&gt; <@U1> <!channel>"},
            "down: db-7 <b> @U1 @channel",
            "",
            [("db-7", PAGE)],
        ),
        (
            "slack",
            {
                "text": "x",
                "blocks": [
                    {"type": "header", "text": {"type": "plain_text", "text": "Disk"}},
                    {"type": "section", "fields": [{"type": "mrkdwn", "text": "db-7"}]},
                    {
                        "type": "actions",
                        "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}, "url": PAGE}],
                    },
                ],
            },
            *("Disk", "db-7", [("Go", PAGE)]),
        ),
        ("slack", {"attachments": [ATTACHMENT]}, "Ticket", "New\nHelp & more\nPriority: High", [("Ticket", PAGE)]),
        ("slack", b"payload=%7B%22text%22%3A%22from+a+form%22%7D", "from a form", "", []),
    ],
)
def test_a_message_is_shown_by_its_words(
    platform: str, body: Any, title: str, text: str, links: list[tuple[str, str]]
) -> None:
    alert = posted(platform, body)
    assert (alert.title, alert.description, list(alert.links)) == (title, text, links)
    assert (alert.severity, alert.status, alert.starts_at, alert.ends_at) == ("warning", "firing", NOW, NOW)
    assert alert.post is not None
    assert alert.post.platform == platform
    within_limits(alert)


@pytest.mark.parametrize(
    ("platform", "body", "path"),
    [
        ("dingtalk", {}, "$.msgtype"),
        ("dingtalk", {"msgtype": "song"}, "$.msgtype"),
        ("dingtalk", {"msgtype": "text"}, "$.text"),
        ("dingtalk", {"msgtype": "text", "text": {"content": " "}}, "$"),
        ("dingtalk", {"msgtype": "markdown", "markdown": {"text": 5}}, "$.markdown.text"),
        ("wecom", {"msgtype": "news", "news": {}}, "$"),
        ("wecom", {"msgtype": "template_card", "template_card": {"main_title": 5}}, "$.template_card.main_title"),
        (
            "lark",
            {"msg_type": "post", "content": {"post": {"zh_cn": {"content": [5]}}}},
            "$.content.post.zh_cn.content[0]",
        ),
        ("lark", {"msg_type": "interactive", "card": "{"}, "$.card"),
        ("slack", {"text": ["x"]}, "$.text"),
        ("slack", [], "$"),
        ("slack", {}, "$"),
    ],
)
def test_what_a_robot_would_not_say_is_refused_with_its_place(platform: str, body: Any, path: str) -> None:
    with pytest.raises(PayloadError) as caught:
        posted(platform, body)
    assert caught.value.path == path


def test_posts_differ_unless_their_sender_gives_them_one_name() -> None:
    text = {"msgtype": "text", "text": {"content": "x"}}
    assert posted("dingtalk", text, "1").fingerprint != posted("dingtalk", text, "2").fingerprint
    named = text | {"msgUuid": "run-7"}
    assert posted("dingtalk", named, "1").fingerprint == posted("dingtalk", named, "2").fingerprint


@pytest.mark.parametrize(
    ("platform", "body", "own"),
    [
        (
            "dingtalk",
            {
                "msgtype": "text",
                "text": {"content": "x\u0000"},
                "at": {"atMobiles": ["1", 2, {}], "isAtAll": "true"},
                "sign": 1,
            },
            {"msgtype": "text", "text": {"content": "x\ufffd"}, "at": {"atMobiles": ["1", "2"], "isAtAll": True}},
        ),
        (
            "dingtalk",
            {
                "msgtype": "text",
                "text": {"content": "x"},
                "at": {"atUserIds": [str(n) for n in range(60)], "atMobiles": 5},
            },
            {"msgtype": "text", "text": {"content": "x"}, "at": {"atUserIds": [str(n) for n in range(50)]}},
        ),
        ("wecom", {"msgtype": "voice", "voice": {"media_id": "M"}}, None),
        ("lark", {"msg_type": "image", "content": {"image_key": "k"}}, None),
        (
            "lark",
            {"msg_type": "text", "content": '{"text": "x"}', "sign": "s", "timestamp": "1"},
            {"msg_type": "text", "content": {"text": "x"}},
        ),
        ("slack", {"text": "x", "channel": "#other", "icon_emoji": ":x:"}, {"text": "x"}),
        ("slack", {"text": "x" * BODY_MAX_BYTES}, None),
    ],
)
def test_what_can_go_out_again_is_kept_without_what_belongs_to_the_sender(platform: str, body: Any, own: Any) -> None:
    post = posted(platform, body).post
    assert post is not None
    assert post.body == own


@pytest.mark.parametrize(
    ("markdown", "text", "links"),
    [
        ("# A\n\n\n\n## B", "A\n\nB", []),
        ("a<br>b<br/>c", "a\nb\nc", []),
        (
            "![graph](https://x.example/g.png) [**b**](https://x.example)",
            "graph b",
            [("image", "https://x.example/g.png"), ("b", "https://x.example")],
        ),
        ("---\n`code` ~~no~~", "code no", []),
        ("a < b and [not a link]", "a < b and [not a link]", []),
    ],
)
def test_words_and_links_of_markdown(markdown: str, text: str, links: list[tuple[str, str]]) -> None:
    assert from_markdown(markdown) == (text, tuple(links))


@pytest.mark.parametrize(
    "text", ["[" * 40_000, "[a](" * 10_000, "<" * 40_000, "<@" * 20_000, "![" * 20_000, "> " * 20_000, "\n \n" * 13_000]
)
def test_no_text_takes_long_to_read(text: str) -> None:
    for _time in range(3):
        from_markdown(text)
        from_mrkdwn(text)


def test_a_robot_source_has_the_paths_of_four_platforms_and_none_of_ours() -> None:
    urls = SOURCES["robot"].addresses("https://callboard.example.com/", "abc")
    assert urls == (
        "https://callboard.example.com/robot/send?access_token=abc",
        "https://callboard.example.com/cgi-bin/webhook/send?key=abc",
        "https://callboard.example.com/open-apis/bot/v2/hook/abc",
        "https://callboard.example.com/services/T0CALLBOARD/B0CALLBOARD/abc",
    )
    with pytest.raises(PayloadError):
        SOURCES["robot"].parse(Body(b"{}"), NOW)


WORDS = st.sampled_from(
    ("text", "markdown", "post", "interactive", "link", "news", "button", "plain_text", "section", PAGE)
)
NAMES = st.sampled_from(
    (
        *("content", "text", "title", "post", "zh_cn", "card", "header", "elements", "tag", "url", "blocks", "fields"),
        *(
            "attachments",
            "type",
            "links",
            "btns",
            "articles",
            "main_title",
            "jump_list",
            "card_action",
            "at",
            "atMobiles",
        ),
    )
)
PARTS = st.recursive(
    JSON_VALUES | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
TYPES = {
    "dingtalk": ("msgtype", ("text", "markdown", "link", "actionCard", "feedCard")),
    "wecom": ("msgtype", ("text", "markdown", "image", "news", "template_card")),
    "lark": ("msg_type", ("text", "post", "interactive")),
    "slack": ("text", ("x",)),
}


@pytest.mark.parametrize("platform", TYPES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_message_is_an_alert_or_refused(platform: str, data: st.DataObject) -> None:
    name, kinds = TYPES[platform]
    kind = data.draw(st.sampled_from(kinds))
    body = data.draw(st.dictionaries(NAMES | st.just(kind), PARTS, max_size=4)) | {name: kind}
    try:
        alert = posted(platform, body)
    except PayloadError as refusal:
        readable(refusal)
        return
    within_limits(alert)
    assert alert.post is not None
    json.dumps(alert.post.body, ensure_ascii=False).encode()
