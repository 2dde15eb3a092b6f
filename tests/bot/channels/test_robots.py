"""What is particular to each robot: signatures, keys of the body, limits, looks."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from bot.channels import CHANNELS, dingtalk, lark, slack, wecom
from bot.channels.contract import Outside, Target
from bot.http import encoded
from handlers.document import Document, Facts, Link, Paragraph
from tests.bot.channels.loopback import Loopback, Says
from tests.bot.channels.messages import DOCUMENT, NOW, enormous, message
from tests.bot.channels.test_every_channel import CASES, words

VECTORS = Path(__file__).parents[2] / "fixtures" / "vectors"
DINGTALK = json.loads((VECTORS / "dingtalk.json").read_text("utf-8"))
LARK = json.loads((VECTORS / "lark.json").read_text("utf-8"))["webhook_sign"]
KEYWORD = "DAS Alarm"
ROBOT = "https://oapi.dingtalk.com/robot/send?access_token=tok123"
TAKEN = Says({"errcode": 0, "errmsg": "ok", "code": 0})


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


@pytest.mark.parametrize("vector", named(DINGTALK["custom_robot_sign"]["vectors"]))
def test_dingtalk_signatures(vector: dict[str, Any]) -> None:
    right = dingtalk.sign(vector["secret"], vector["timestamp_ms"])
    assert right == vector["sign_base64"]
    assert quote_plus(right) == vector["sign_urlencoded"]


@pytest.mark.parametrize(
    "vector", named([v for v in DINGTALK["custom_robot_sign"]["mistakes_to_reject"] if "wrong_sign_base64" in v])
)
def test_mistakes_in_dingtalk_signatures_are_not_made(vector: dict[str, Any]) -> None:
    timestamp_ms = vector.get("timestamp_ms") or vector["timestamp_s"] * 1000
    right = dingtalk.sign(vector["secret"].strip(), timestamp_ms)
    assert right == vector["right_sign_base64"]
    assert right != vector["wrong_sign_base64"]


@pytest.mark.parametrize("vector", named(DINGTALK["custom_robot_sign"]["vectors"]))
def test_dingtalk_gets_time_and_signature_encoded_once(
    vector: dict[str, Any], server: Loopback, outside: Outside
) -> None:
    server.answer = TAKEN
    now = NOW + timedelta(milliseconds=vector["timestamp_ms"] - 1_700_000_000_000)
    CHANNELS["dingtalk"].send(message(now=now), Target(ROBOT, vector["secret"]), outside)
    assert server.seen[0].params["sign"] == vector["sign_base64"]
    assert server.seen[0].query == vector["query"]


def test_every_try_is_signed_anew_and_keeps_its_key(server: Loopback, outside: Outside) -> None:
    server.answer = TAKEN
    for minutes in (0, 90):
        now = NOW + timedelta(minutes=minutes)
        CHANNELS["dingtalk"].send(message(now=now), Target(ROBOT, "SECx"), outside)
    first, second = server.seen
    assert first.params["sign"] != second.params["sign"]
    assert first.json()["msgUuid"] == second.json()["msgUuid"] == "d-42-1"


def test_without_a_secret_nothing_is_signed(server: Loopback, outside: Outside) -> None:
    server.answer = TAKEN
    CHANNELS["dingtalk"].send(message(), Target(ROBOT), outside)
    CHANNELS["lark"].send(message(), Target("https://open.feishu.cn/open-apis/bot/v2/hook/x"), outside)
    assert server.seen[0].query == "access_token=tok123"
    assert not server.seen[1].json().keys() & {"timestamp", "sign"}


def test_bodies_are_counted_and_sent_as_raw_utf8() -> None:
    vector = DINGTALK["body_bytes"]
    raw = json.dumps(vector["payload"], ensure_ascii=False).encode()
    assert len(raw) == vector["json_dumps_ensure_ascii_false_bytes"]
    assert len(encoded(vector["payload"])) <= len(raw)
    assert json.loads(encoded(vector["payload"])) == vector["payload"]


KEYWORDS = ["DAS Alarm", "报警", "**a** [x](y) @all <b>", "#1 _x_"]


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", ["alert", "code", "test", "notice"])
def test_the_keyword_is_in_title_and_text_of_every_dingtalk_message(kind: str, plain: bool, keyword: str) -> None:
    documents = [
        DOCUMENT,
        replace(DOCUMENT, links=()),
        replace(DOCUMENT, links=DOCUMENT.links[:1]),
        replace(DOCUMENT, links=DOCUMENT.links * 5),
        Document(""),
        Document("DAS Alarm: CPU", (Paragraph("DAS Alarm"),)),
        Document("x" * 119 + " DAS Alarm"),
        enormous("磁盘 "),
    ]
    for document in documents:
        body = dingtalk.card(message(document, kind=kind, plain=plain, code="135790"), keyword)
        part = body[body["msgtype"]]
        if plain:
            assert body["msgtype"] == "text"
            assert keyword in part["content"]
        else:
            assert keyword in part["title"]
            assert keyword in part["text"]
        assert len(encoded(body)) <= 18_000


def test_links_of_an_alert_become_buttons_in_dingtalk() -> None:
    one = dingtalk.card(message(replace(DOCUMENT, links=DOCUMENT.links[:1])), KEYWORD)
    assert one["msgtype"] == "actionCard"
    assert one["actionCard"]["singleURL"] == "https://runbook.example/disk"
    assert "btns" not in one["actionCard"]
    two = dingtalk.card(message(), KEYWORD)["actionCard"]
    assert [button["actionURL"] for button in two["btns"]] == [link.url for link in DOCUMENT.links]
    assert "singleURL" not in two
    many = dingtalk.card(message(replace(DOCUMENT, links=DOCUMENT.links * 3)), KEYWORD)["actionCard"]
    assert len(many["btns"]) == 3
    assert "(https://graph.example/" in many["text"]
    none = dingtalk.card(message(replace(DOCUMENT, links=())), KEYWORD)
    assert none.keys() == {"msgtype", "markdown", "msgUuid"}
    assert none["markdown"].keys() == {"title", "text"}


@pytest.mark.parametrize("vector", named(LARK["positive"]))
def test_lark_signatures(vector: dict[str, Any]) -> None:
    assert lark.sign(vector["secret"], int(vector["timestamp"])) == vector["sign"]


@pytest.mark.parametrize("vector", named(LARK["negative"]))
def test_mistakes_in_lark_signatures_are_not_made(vector: dict[str, Any]) -> None:
    right = lark.sign(vector["secret"], int(vector["timestamp"]))
    assert right != vector["wrong_sign"]
    assert len(base64.b64decode(right)) == 32


def test_lark_gets_time_and_signature_in_the_body(server: Loopback, outside: Outside) -> None:
    server.answer = TAKEN
    expected = LARK["signed_request_body"]
    vector = next(v for v in LARK["positive"] if v["timestamp"] == expected["timestamp"])
    target = Target("https://open.feishu.cn/open-apis/bot/v2/hook/x", vector["secret"])
    CHANNELS["lark"].send(message(), target, outside)
    CHANNELS["lark"].send(message(plain=True), target, outside)
    card, text = (seen.json() for seen in server.seen)
    assert {key: card[key] for key in ("timestamp", "sign")} == {key: expected[key] for key in ("timestamp", "sign")}
    assert card.keys() == {"timestamp", "sign", "msg_type", "card"}
    assert text.keys() == expected.keys()
    assert server.seen[0].query == ""


def test_a_signed_lark_body_stays_within_its_limit() -> None:
    assert 17_000 < len(encoded(lark.card(message(enormous("磁盘 ")), KEYWORD, "secret"))) <= 19_000


TONES = ("critical", "warning", "info", "resolved", "neutral")


def test_every_tone_has_its_own_colour() -> None:
    for channel in ("lark", "slack", "wecom", "dingtalk"):
        colours = {tone: colour(channel, replace(DOCUMENT, tone=tone)) for tone in TONES}  # type: ignore[arg-type]
        assert len(set(colours.values())) == len(TONES), colours


def colour(channel: str, document: Document) -> str:
    sent = message(document)
    match channel:
        case "lark":
            return str(lark.card(sent, KEYWORD)["card"]["header"]["template"])
        case "slack":
            return str(slack.card(sent)["attachments"][0]["color"])
        case "wecom":
            return str(wecom.card(sent)["markdown"]["content"].split("[")[0])
        case _:
            return str(dingtalk.card(sent, KEYWORD)["actionCard"]["text"].split("DAS")[0])


@pytest.mark.parametrize("words", ["disk ", "磁盘", "& < > ", "🔥"])
def test_slack_cards_keep_every_limit_of_block_kit(words: str) -> None:
    card = slack.card(message(enormous(words)))
    assert len(card["text"]) >= 1
    blocks = card["attachments"][0]["blocks"]
    assert len(blocks) <= 50
    for block in blocks:
        match block["type"]:
            case "header":
                assert 1 <= len(block["text"]["text"]) <= 150
            case "section":
                assert len(block.get("fields", [])) <= 10
                assert all(1 <= len(field["text"]) <= 2000 for field in block.get("fields", []))
                assert 1 <= len(block.get("text", {"text": "x"})["text"]) <= 3000
                assert block.keys() & {"text", "fields"}
            case "context":
                assert 1 <= len(block["elements"]) <= 10
            case other:
                raise AssertionError(other)


def test_slack_texts_are_escaped_once_and_never_empty() -> None:
    document = Document(
        "a & b <c>", (Paragraph(""), Facts((("", ""),))), links=(Link("a|b>c & d", "https://x.example/?a=1&b=2"),)
    )
    card = slack.card(message(document))
    assert "a &amp; b &lt;c&gt;" in card["text"]
    blocks = card["attachments"][0]["blocks"]
    assert all(block["type"] != "header" for block in blocks), "the title would be shown twice"
    assert blocks[-1]["elements"][0]["text"] == "<https://x.example/?a=1&amp;b=2|a｜b&gt;c &amp; d>"
    assert all(texts for texts in [block.get("text", {"text": "x"})["text"] for block in blocks])
    assert (card["unfurl_links"], card["unfurl_media"]) == (False, False)


@pytest.mark.parametrize("words", ["disk ", "磁盘", "🔥", "<font color=red>"])
def test_wecom_content_is_counted_in_bytes(words: str) -> None:
    rich = wecom.card(message(enormous(words)))["markdown"]["content"]
    plain = wecom.card(message(enormous(words), plain=True))["text"]["content"]
    assert len(rich.encode()) <= 4096
    assert len(plain.encode()) <= 2048
    assert rich.count("<font color=") == rich.count("</font>")


def test_a_verification_card_has_one_six_digit_number(outside: Outside) -> None:
    document = Document("Your code", (Paragraph("135790 is your code, good for 10 minutes."),))
    for name, case in CASES.items():
        for plain in (False, True):
            shown = words(
                case.card(message(document, kind="code", code="135790", plain=plain, alert=None, number=None))
            )
            if name not in ("sms", "voice"):
                assert set(re.findall(r"\b\d{6}\b", shown, re.ASCII)) == {"135790"}, name
