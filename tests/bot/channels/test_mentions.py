"""How each robot calls the one contact a card is for, and that nothing else in the card calls anybody."""

from __future__ import annotations

from typing import Any

import pytest

from bot.channels import CHANNELS, dingtalk, lark, slack, wecom
from bot.channels.contract import Message, Outside
from bot.http import encoded
from handlers.document import Document
from handlers.errors import DeliveryError
from handlers.mentions import Mention
from handlers.retries import Simplify, decide
from tests.bot.channels.loopback import Loopback, Says
from tests.bot.channels.messages import DOCUMENT, NOW, enormous, message
from tests.bot.channels.test_every_channel import CASES, KEYWORD, texts_of_type, words
from tests.bot.channels.test_stand_ins import TARGETS, Scene, scene

__all__ = ["scene"]

USER, PHONE = "0147123", "13800138000"
BY_ID = {"dingtalk": USER, "wecom": "zhangsan", "lark": "ou_0a1b", "slack": "U0001"}
HOSTILE = Document("<@zhangsan> @0147123 <@U0001> <at id=ou_0a1b></at> @13800138000", tone="critical", badge="CRITICAL")


def called(user: str = "", phone: str = "", **changes: Any) -> Message:
    return message(mention=Mention(user, phone), **changes)


def test_dingtalk_needs_the_words_and_the_list() -> None:
    card = dingtalk.card(called(USER), KEYWORD)
    assert card["msgtype"] == "actionCard"
    assert card["at"] == {"atUserIds": [USER], "isAtAll": False}
    assert card["actionCard"]["text"].endswith(f"\n\n@{USER}")
    assert USER not in card["actionCard"]["title"]
    plain = dingtalk.card(called(USER, plain=True), KEYWORD)
    assert plain["at"] == {"atUserIds": [USER], "isAtAll": False}
    assert plain["text"]["content"].endswith(f"\n@{USER}")


def test_dingtalk_calls_a_number_only_in_messages_that_are_documented_to_and_keeps_the_links() -> None:
    card = dingtalk.card(called(phone=PHONE), KEYWORD)
    assert card["msgtype"] == "markdown"
    assert card["at"] == {"atMobiles": [PHONE], "isAtAll": False}
    assert card["markdown"]["text"].endswith(f"\n\n@{PHONE}")
    assert "](https://runbook.example/disk)" in card["markdown"]["text"]
    assert card["markdown"]["title"].startswith(KEYWORD)


def test_wecom_calls_by_id_in_markdown_and_by_list_in_text() -> None:
    card = wecom.card(called("zhangsan"))
    assert card["markdown"]["content"].endswith("\n<@zhangsan>")
    assert card["markdown"].keys() == {"content"}, "markdown has no lists beside it"
    assert wecom.card(called("zhangsan", plain=True))["text"]["mentioned_list"] == ["zhangsan"]
    assert wecom.card(called(phone=PHONE, plain=True))["text"]["mentioned_mobile_list"] == [PHONE]
    assert PHONE not in words(wecom.card(called(phone=PHONE))), "in markdown a number calls nobody, and would be shown"


def test_lark_calls_in_the_one_element_that_is_markdown() -> None:
    card = lark.card(called("ou_0a1b"), KEYWORD)["card"]
    assert [e for e in card["elements"] if e["tag"] == "markdown"] == [
        {"tag": "markdown", "content": "<at id=ou_0a1b></at>"}
    ]
    assert "<at" not in words(lark.card(called("ou_0a1b", plain=True), KEYWORD))


def test_slack_calls_above_the_bar() -> None:
    card = slack.card(called("U0001"))
    header, section = card["blocks"]
    assert header["text"]["type"] == "plain_text"
    assert section["text"] == {"type": "mrkdwn", "text": "<@U0001>", "verbatim": True}
    assert header not in card["attachments"][0]["blocks"]
    assert "<@" not in card["text"]
    assert "<@" not in words(slack.card(called("U0001", plain=True)))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", BY_ID)
def test_what_an_alert_says_still_calls_nobody(name: str, plain: bool) -> None:
    mark = {"dingtalk": "@", "wecom": "<@", "lark": "<at ", "slack": "<@"}[name]
    for mention in (None, Mention(BY_ID[name])):
        card = CASES[name].card(message(HOSTILE, plain=plain, mention=mention))
        read = [words(card)]
        if name in ("slack", "lark") and not plain:  # in `plain_text` nothing is interpreted
            kind = {"slack": "mrkdwn", "lark": "markdown"}[name]
            read = [found.get("text") or found["content"] for found in texts_of_type(card, kind)]
            read.append(card.get("text", ""))
        marks = "\n".join(read).replace("@\u200b", "").count(mark)
        assert marks == (0 if mention is None or (plain and name != "dingtalk") else 1), read


@pytest.mark.parametrize("mention", [Mention("x" * 64), Mention(phone=PHONE)])
@pytest.mark.parametrize("name", ["dingtalk", "wecom"])
def test_a_long_card_still_calls_and_keeps_its_limit(name: str, mention: Mention) -> None:
    card = CASES[name].card(message(enormous("磁盘 "), mention=mention))
    assert len(encoded(card)) <= CASES[name].limit
    if name == "wecom":
        assert len(card["markdown"]["content"].encode()) <= wecom.MARKDOWN_MAX_BYTES
    if mention.user:
        assert words(card).count("x" * 64) == (2 if name == "dingtalk" else 1)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", BY_ID)
def test_the_stand_ins_take_cards_that_call(scene: Scene, name: str, plain: bool) -> None:
    CHANNELS[name].send(called(BY_ID[name], plain=plain), TARGETS[name], scene.outside)
    assert scene.came(name) == 1


def test_a_card_that_lark_refuses_for_its_mention_is_sent_once_more_without(server: Loopback, outside: Outside) -> None:
    server.answer = Says({"code": 230099, "msg": "unknown person", "data": {}})
    with pytest.raises(DeliveryError) as refused:
        CHANNELS["lark"].send(called("ou_0a1b"), TARGETS["lark"], outside)
    decision = decide(refused.value, attempts=1, plain=False, expires_at=NOW, now=NOW, chance=0.5)
    assert decision == Simplify()
    with pytest.raises(DeliveryError) as again:
        CHANNELS["lark"].send(message(DOCUMENT), TARGETS["lark"], outside)
    assert again.value.reason == "refused"


def test_who_is_called_on_other_channels_changes_nothing() -> None:
    for name in CASES.keys() - BY_ID.keys() - {"email"}:
        assert CASES[name].card(called("U0001", PHONE)) == CASES[name].card(message())
