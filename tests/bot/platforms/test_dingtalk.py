"""DingTalk callbacks: signatures and bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.platforms import PLATFORMS
from bot.platforms.contract import Incoming
from bot.platforms.dingtalk import decode, verify, verify_card
from handlers.errors import PayloadError

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "vectors" / "dingtalk.json").read_text(encoding="utf-8")
)
CALLBACK = VECTORS["callback_sign"]
CARD = VECTORS["card_http_callback_sign"]
SIGNED = CALLBACK["vectors"][1]
SIGNED_AT = int(SIGNED["headers"]["timestamp"])

SESSION = "https://oapi.dingtalk.com/robot/sendBySession?session=0123abcd"


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


def test_the_platform_is_in_the_table() -> None:
    assert PLATFORMS["dingtalk"].name == "dingtalk"
    assert PLATFORMS["dingtalk"].private


# ---- signatures


@pytest.mark.parametrize("row", CALLBACK["vectors"], ids=names(CALLBACK["vectors"]))
def test_known_signatures_are_accepted(row: dict[str, Any]) -> None:
    assert verify(row["headers"], row["app_secret"], int(row["headers"]["timestamp"]))


@pytest.mark.parametrize("row", CALLBACK["verify_cases"], ids=names(CALLBACK["verify_cases"]))
def test_known_cases_are_judged_as_documented(row: dict[str, Any]) -> None:
    headers = {name: row[name] for name in ("timestamp", "sign") if row[name] is not None}
    assert verify(headers, row["app_secret"], row["now_ms"]) is row["accept"]


@pytest.mark.parametrize("shape", [str.upper, str.title, str.lower])
def test_header_names_may_be_written_in_any_case(shape: Any) -> None:
    headers = {shape(name): value for name, value in SIGNED["headers"].items()}
    assert verify(headers, SIGNED["app_secret"], SIGNED_AT)


@pytest.mark.parametrize(
    ("changed", "secret"),
    [
        ({"timestamp": "١٧٠٠٠٠٠٠٠٠٠٠٠"}, SIGNED["app_secret"]),
        ({"timestamp": " 1700000000000"}, SIGNED["app_secret"]),
        ({"timestamp": "+1700000000000"}, SIGNED["app_secret"]),
        ({"timestamp": "-1700000000000"}, SIGNED["app_secret"]),
        ({"timestamp": "1700000000000.0"}, SIGNED["app_secret"]),
        ({"timestamp": "0001700000000000"}, SIGNED["app_secret"]),
        ({"timestamp": "9" * 5000}, SIGNED["app_secret"]),
        ({"timestamp": ""}, SIGNED["app_secret"]),
        ({"sign": "é" * 44}, SIGNED["app_secret"]),
        ({"sign": "\udc80" * 44}, SIGNED["app_secret"]),
        ({"sign": SIGNED["headers"]["sign"] + "\n"}, SIGNED["app_secret"]),
        ({"sign": SIGNED["headers"]["sign"].lower()}, SIGNED["app_secret"]),
        ({}, ""),
        ({}, SIGNED["app_secret"] + "\n"),
        ({}, "\udc80"),
    ],
)
def test_odd_headers_and_secrets_are_refused(changed: dict[str, str], secret: str) -> None:
    assert verify(SIGNED["headers"], SIGNED["app_secret"], SIGNED_AT)
    assert not verify(SIGNED["headers"] | changed, secret, SIGNED_AT)


@given(st.dictionaries(st.sampled_from(["timestamp", "Sign", "sign", "x"]), st.text()), st.text(), st.integers())
def test_no_headers_at_all_make_the_check_fail_otherwise_than_with_no(
    headers: dict[str, str], secret: str, now_ms: int
) -> None:
    assert verify(headers, secret, now_ms) is False
    assert verify_card(headers, secret) is False


@pytest.mark.parametrize("row", CARD["vectors"], ids=names(CARD["vectors"]))
def test_known_signatures_of_cards_are_accepted_and_those_of_messages_are_not(row: dict[str, Any]) -> None:
    assert verify_card(row["headers"], row["api_secret"])
    assert not verify_card(row["headers"], row["api_secret"] + "x")
    later = {**row["headers"], "x-ddpaas-signature-timestamp": "1700000000001"}
    assert not verify_card(later, row["api_secret"])
    message = {
        f"x-ddpaas-signature{part}": SIGNED["headers"][name]
        for part, name in (("-timestamp", "timestamp"), ("", "sign"))
    }
    assert not verify_card(message, SIGNED["app_secret"])


# ---- bodies


def body(**changes: object) -> dict[str, Any]:
    """A group message as the platform sends it; a change to `...` removes a field."""
    whole: dict[str, Any] = {
        "msgtype": "text",
        "text": {"content": " add contact Ann 13800000001"},
        "msgId": "msgA1b2C3==",
        "createAt": 1708327204136,
        "conversationType": "2",
        "conversationId": "cidAbC123==",
        "conversationTitle": "oncall-db",
        "senderId": "$:LWCP_v1:$encSender",
        "senderNick": "Ann",
        "senderStaffId": "0147123",
        "senderUnionId": "uAbC",
        "senderCorpId": "dingcorp01",
        "senderPlatform": "Mac",
        "isAdmin": True,
        "isInAtList": True,
        "atUsers": [
            {"dingtalkId": "$:LWCP_v1:$encBot"},
            {"dingtalkId": "$:LWCP_v1:$encBob", "staffId": "0147999", "unionId": "uDeF"},
        ],
        "chatbotCorpId": "dingcorp01",
        "chatbotUserId": "$:LWCP_v1:$encBot",
        "robotCode": "dingrobot01",
        "sessionWebhook": SESSION,
        "sessionWebhookExpiredTime": 1708332604316,
    }
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def decoded(**changes: object) -> Incoming:
    incoming = decode(body(**changes))
    assert incoming is not None
    return incoming


def test_a_group_message_is_decoded_completely() -> None:
    assert decode(body()) == Incoming(
        platform="dingtalk",
        message_id="msgA1b2C3==",
        person="dingtalk:dingcorp01/0147123",
        name="Ann",
        conversation="dingtalk:cidAbC123==",
        direct=False,
        text="add contact Ann 13800000001",
        addressed=True,
        title="oncall-db",
        mentions=(("dingtalk:dingcorp01/0147999", ""),),
        reply_url=SESSION,
        reply_until=datetime(2024, 2, 19, 8, 50, 4, 316000, tzinfo=UTC),
    )


RICH = {"richText": [{"text": "@Callboard "}, {"type": "picture", "downloadCode": "x"}, {"text": "contact list"}]}


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"text": {"content": "\u2005 help \u200b\n"}}, "text", "help"),
        ({"text": {"content": "a\r\nb\x00c"}}, "text", "a\nbc"),
        ({"text": {"content": "half \ud83d"}}, "text", "half \ufffd"),
        ({"text": {"content": 5}}, "text", ""),
        ({"text": ..., "content": " help"}, "text", "help"),
        ({"text": ..., "content": {"x": 1}}, "text", ""),
        ({"text": None}, "text", ""),
        ({"text": {"content": "x" * 100_000}}, "text", "x" * 20_000),
        ({"msgtype": "richText", "text": ..., "content": RICH}, "text", "contact list"),
        (
            {"msgtype": "richText", "text": ..., "content": {"richText": [{"text": "help @Callboard"}]}},
            "text",
            "help @Callboard",
        ),
        (
            {"msgtype": "richText", "conversationType": "1", "content": {"richText": [{"text": "@Bob x"}]}},
            "text",
            "@Bob x",
        ),
        ({"msgtype": "richText", "content": {"richText": [7, None, {"text": 8}, {"text": "help"}]}}, "text", "help"),
        ({"msgtype": "richText", "content": {"richText": "help"}}, "text", ""),
        ({"msgtype": "richText", "content": "help"}, "text", ""),
        ({"msgtype": "audio", "content": {"recognition": " help "}}, "text", "help"),
        ({"msgtype": "picture", "content": {"downloadCode": "x"}}, "text", ""),
        ({"msgtype": "file", "content": {"fileName": "help"}}, "text", ""),
        ({"msgtype": "unknownMsgType"}, "text", ""),
        ({"msgtype": ...}, "text", ""),
        ({"msgtype": ["text"]}, "text", ""),
        ({"conversationType": "1"}, "direct", True),
        ({"conversationType": 1}, "direct", True),
        ({"conversationType": 2}, "direct", False),
        ({"conversationType": ...}, "direct", False),
        ({"conversationType": True}, "direct", False),
        ({"isInAtList": False}, "addressed", False),
        ({"isInAtList": "false"}, "addressed", False),
        ({"isInAtList": False, "conversationType": "1"}, "addressed", True),
        ({"isInAtList": ...}, "addressed", True),
        ({"senderStaffId": ...}, "person", ""),
        ({"senderStaffId": ""}, "person", ""),
        ({"senderStaffId": 147123}, "person", "dingtalk:dingcorp01/147123"),
        ({"senderStaffId": "a b"}, "person", ""),
        ({"senderStaffId": "x" * 300}, "person", ""),
        ({"senderCorpId": ...}, "person", "dingtalk:dingcorp01/0147123"),
        ({"senderCorpId": ..., "chatbotCorpId": ...}, "person", ""),
        ({"senderCorpId": "other"}, "person", "dingtalk:other/0147123"),
        ({"senderCorpId": "dingcorp01/0147000"}, "person", ""),
        ({"senderNick": ...}, "name", ""),
        ({"senderNick": " An\nn\x00 "}, "name", "An\nn"),
        ({"conversationTitle": ...}, "title", ""),
        ({"createAt": "1708327204136"}, "message_id", "msgA1b2C3=="),
        ({"createAt": "yesterday"}, "message_id", "msgA1b2C3=="),
        ({"msgId": 42}, "message_id", "42"),
        ({"robotCode": "another"}, "message_id", "msgA1b2C3=="),
        ({"isAdmin": ..., "openThreadId": "new"}, "message_id", "msgA1b2C3=="),
        ({"atUsers": ...}, "mentions", ()),
        ({"atUsers": "x"}, "mentions", ()),
        ({"atUsers": [1, None, {"staffId": ""}, {"dingtalkId": "o"}]}, "mentions", ()),
        (
            {
                "atUsers": [
                    {"dingtalkId": "b", "staffId": "2"},
                    {"dingtalkId": "a", "staffId": "1"},
                    {"dingtalkId": "b", "staffId": "2"},
                ]
            },
            "mentions",
            (("dingtalk:dingcorp01/2", ""), ("dingtalk:dingcorp01/1", "")),
        ),
        ({"atUsers": [{"dingtalkId": "$:LWCP_v1:$encBot", "staffId": "9"}]}, "mentions", ()),
        ({"sessionWebhook": ...}, "reply_url", ""),
        ({"sessionWebhook": 5}, "reply_url", ""),
        ({"sessionWebhook": "http://oapi.dingtalk.com/robot/sendBySession?session=x"}, "reply_url", ""),
        ({"sessionWebhook": "https://oapi.dingtalk.com.evil.example/robot/sendBySession?session=x"}, "reply_url", ""),
        ({"sessionWebhook": "https://evil.example/robot/sendBySession?session=x"}, "reply_url", ""),
        ({"sessionWebhook": "https://oapi.dingtalk.com@evil.example/robot/sendBySession?session=x"}, "reply_url", ""),
        ({"sessionWebhook": "https://x@oapi.dingtalk.com/robot/sendBySession?session=x"}, "reply_url", ""),
        ({"sessionWebhook": "https://oapi.dingtalk.com:8443/robot/sendBySession?session=x"}, "reply_url", ""),
        ({"sessionWebhook": "https://oapi.dingtalk.com/robot/send?access_token=x"}, "reply_url", ""),
        ({"sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession/../send?x=1"}, "reply_url", ""),
        ({"sessionWebhook": "https://oapi.dingtalk.com/robot/sendBySession"}, "reply_url", ""),
        ({"sessionWebhook": "https://oapi.dingtalk.com\\@evil.example/robot/sendBySession?session=x"}, "reply_url", ""),
        ({"sessionWebhook": SESSION + "#x"}, "reply_url", ""),
        ({"sessionWebhookExpiredTime": ...}, "reply_until", None),
        (
            {"sessionWebhookExpiredTime": "1708332604316"},
            "reply_until",
            datetime(2024, 2, 19, 8, 50, 4, 316000, tzinfo=UTC),
        ),
        ({"sessionWebhookExpiredTime": "soon"}, "reply_until", None),
        ({"sessionWebhookExpiredTime": 10**30}, "reply_until", None),
        ({"sessionWebhookExpiredTime": -1}, "reply_until", None),
    ],
)
def test_the_traps_of_the_body(changes: dict[str, object], field: str, expected: object) -> None:
    assert getattr(decoded(**changes), field) == expected


@pytest.mark.parametrize("name", ["errorCode", "errCode"])
def test_a_message_withheld_for_the_quota_is_no_message(name: str) -> None:
    assert decode({name: 20001, "errorMessage": "over quota"}) is None
    assert decode(body(text=..., **{name: 20001})) is None


@pytest.mark.parametrize("value", [..., None, "", 5.5, True, ["x"], "x" * 300, "a b", "a\x00", "\ud800"])
@pytest.mark.parametrize("name", ["msgId", "conversationId"])
def test_a_message_without_its_ids_is_refused_and_the_field_named(name: str, value: object) -> None:
    with pytest.raises(PayloadError) as caught:
        decode(body(**{name: value}))
    assert caught.value.path == f"$.{name}"


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_a_body_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(PayloadError):
        decode(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["text", "richText", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "richText", "text", "staffId", "dingtalkId"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(body())), JSON))
@example({"sessionWebhookExpiredTime": 10**6000, "msgId": 10**6000})
@example({"sessionWebhook": "https://[oapi.dingtalk.com/robot/sendBySession?x"})
def test_any_body_gives_a_message_or_a_payload_error(changes: Mapping[str, Any]) -> None:
    for whole in (dict(changes), body(**changes)):
        try:
            incoming = decode(whole)
        except PayloadError:
            continue
        assert incoming is None or incoming.conversation.startswith("dingtalk:")
