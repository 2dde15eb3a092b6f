"""Saying a document in DingTalk: the session first, then the app's API, judged by the body of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.channels.contract import Receipt
from bot.http import Http
from bot.platforms import PLATFORMS
from bot.platforms.access_token import AccessTokens
from bot.platforms.contract import Place, Speaker
from bot.platforms.dingtalk_app import DingTalkCredentials
from bot.platforms.dingtalk_refusals import API_REFUSALS, SESSION_REFUSALS
from handlers.document import Document, Paragraph
from handlers.errors import DeliveryError
from tests.bot.platforms.conftest import Answer, Vendor

NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
SESSION = "/robot/sendBySession"
GROUP = "/v1.0/robot/groupMessages/send"
DIRECT = "/v1.0/robot/oToMessages/batchSend"
TOKEN = "/v1.0/oauth2/accessToken"
SESSION_URL = f"https://oapi.dingtalk.com{SESSION}?session=0123abcd"

DOCUMENT = Document("Hello", (Paragraph("a *b*"),))
MARKDOWN = {"title": "Hello", "text": "### Hello\n\na ∗b*"}

IN_GROUP = Place("dingtalk:cidA==", "dingtalk:corp/0147", False, SESSION_URL, NOW + timedelta(minutes=60))
IN_DIRECT = replace(IN_GROUP, direct=True)
TO_PERSON = Place("", "dingtalk:corp/0147", True)
LATE_IN_GROUP = replace(IN_GROUP, reply_url="")

OK: Answer = (200, {"errcode": 0, "errmsg": "ok"})
SENT: Answer = (200, {"processQueryKey": "q1", "invalidStaffIdList": [], "flowControlledStaffIdList": []})
EXPIRED: Answer = (200, {"errcode": 300001, "errmsg": "session 不存在"})
BAD_TOKEN: Answer = (400, {"code": "InvalidAuthentication", "message": "不合法的access_token"})

Say = Callable[[Place], Receipt]


@pytest.fixture
def say(vendor: Vendor) -> Any:
    """Says DOCUMENT somewhere; everything works unless a test scripts otherwise."""
    vendor.script = {
        SESSION: [OK],
        GROUP: [SENT],
        DIRECT: [SENT],
        TOKEN: [(200, {"accessToken": "t1", "expireIn": 7200}), (200, {"accessToken": "t2", "expireIn": 7200})],
    }
    http = vendor.http()
    credentials = DingTalkCredentials("app", "SECRET", AccessTokens("app", "SECRET"))
    speaker = Speaker(http=http, now=NOW, key="answer-1", credentials=credentials)
    yield lambda place: PLATFORMS["dingtalk"].say(DOCUMENT, "en", place, speaker)
    http.close()


def paths(vendor: Vendor) -> list[str]:
    return [path.partition("?")[0] for path, _, _ in vendor.calls]


def test_an_answer_goes_out_through_the_session(vendor: Vendor, say: Say) -> None:
    assert say(IN_GROUP) == Receipt()
    [(path, body, headers)] = vendor.calls
    assert path == f"{SESSION}?session=0123abcd"
    assert body == {"msgtype": "markdown", "markdown": MARKDOWN, "msgUuid": "answer-1"}
    assert headers["content-type"].startswith("application/json")


@pytest.mark.parametrize(
    ("place", "path", "address"),
    [
        (LATE_IN_GROUP, GROUP, {"openConversationId": "cidA=="}),
        (replace(IN_GROUP, reply_until=NOW + timedelta(seconds=20)), GROUP, {"openConversationId": "cidA=="}),
        (replace(IN_GROUP, reply_until=NOW - timedelta(days=1)), GROUP, {"openConversationId": "cidA=="}),
        (
            replace(IN_GROUP, reply_url="https://evil.example/robot/sendBySession?session=x"),
            GROUP,
            {"openConversationId": "cidA=="},
        ),
        (replace(IN_DIRECT, reply_url=""), DIRECT, {"userIds": ["0147"]}),
        (TO_PERSON, DIRECT, {"userIds": ["0147"]}),
        (replace(TO_PERSON, reply_url=SESSION_URL), DIRECT, {"userIds": ["0147"]}),
    ],
)
def test_without_a_session_it_goes_out_through_the_api(
    vendor: Vendor, say: Say, place: Place, path: str, address: dict[str, Any]
) -> None:
    assert say(place) == Receipt()
    assert paths(vendor) == [TOKEN, path]
    _, body, headers = vendor.calls[1]
    assert json.loads(body.pop("msgParam")) == MARKDOWN
    assert body == {"robotCode": "app", "msgKey": "sampleMarkdown", **address}
    assert headers["x-acs-dingtalk-access-token"] == "t1"


def test_a_session_without_a_known_end_is_used(vendor: Vendor, say: Say) -> None:
    say(replace(IN_GROUP, reply_until=None))
    assert paths(vendor) == [SESSION]


@pytest.mark.parametrize("code", [300001, "300001", 300005, 130101, 410100, 90030])
def test_a_session_that_takes_no_more_gives_way_to_the_api_in_the_same_call(
    vendor: Vendor, say: Say, code: object
) -> None:
    vendor.script[SESSION] = [(200, {"errcode": code, "errmsg": "session 不存在"})]
    assert say(IN_GROUP) == Receipt()
    assert paths(vendor) == [SESSION, TOKEN, GROUP]


def test_a_session_that_is_over_gives_way_to_the_person_one_to_one(vendor: Vendor, say: Say) -> None:
    vendor.script[SESSION] = [EXPIRED]
    say(IN_DIRECT)
    assert paths(vendor) == [SESSION, TOKEN, DIRECT]


def test_an_unknown_person_whose_session_is_over_is_told_apart(vendor: Vendor, say: Say) -> None:
    vendor.script[SESSION] = [EXPIRED]
    with pytest.raises(DeliveryError) as caught:
        say(replace(IN_DIRECT, person=""))
    assert caught.value.reason == "session_over"
    with pytest.raises(DeliveryError) as caught:
        say(replace(TO_PERSON, person=""))
    assert caught.value.reason == "no_recipient"
    assert paths(vendor) == [SESSION]


def test_without_an_app_only_the_session_speaks(vendor: Vendor) -> None:
    vendor.script = {SESSION: [OK, EXPIRED]}
    http = vendor.http()
    speaker = Speaker(http=http, now=NOW, key="")
    PLATFORMS["dingtalk"].say(DOCUMENT, "en", IN_GROUP, speaker)
    assert "msgUuid" not in vendor.calls[0][1]
    with pytest.raises(DeliveryError) as caught:
        PLATFORMS["dingtalk"].say(DOCUMENT, "en", IN_GROUP, speaker)
    assert (caught.value.reason, caught.value.permanent) == ("session_over", True)
    with pytest.raises(DeliveryError) as caught:
        PLATFORMS["dingtalk"].say(DOCUMENT, "en", TO_PERSON, speaker)
    assert caught.value.reason == "not_configured"
    http.close()


def test_a_refused_token_is_renewed_once(vendor: Vendor, say: Say) -> None:
    vendor.script[GROUP] = [BAD_TOKEN, SENT]
    assert say(LATE_IN_GROUP) == Receipt()
    assert paths(vendor) == [TOKEN, GROUP, TOKEN, GROUP]
    assert [headers["x-acs-dingtalk-access-token"] for path, _, headers in vendor.calls if path == GROUP] == [
        "t1",
        "t2",
    ]


def test_a_token_that_is_refused_twice_is_a_failure_and_no_loop(vendor: Vendor, say: Say) -> None:
    vendor.script[GROUP] = [BAD_TOKEN]
    with pytest.raises(DeliveryError) as caught:
        say(LATE_IN_GROUP)
    assert (caught.value.reason, caught.value.permanent) == ("no_token", False)
    assert paths(vendor) == [TOKEN, GROUP, TOKEN, GROUP]


def test_the_token_is_kept_between_answers(vendor: Vendor, say: Say) -> None:
    say(LATE_IN_GROUP)
    say(TO_PERSON)
    assert paths(vendor) == [TOKEN, GROUP, DIRECT]


X5 = {"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "u"}


@pytest.mark.parametrize(
    ("answer", "reason", "permanent", "retry_after"),
    [
        ((200, {"errcode": -1, "errmsg": "系统繁忙"}), "busy", False, None),
        ((200, {"errcode": "-1"}), "busy", False, None),
        ((200, {"errcode": 460101}), "too_long", True, None),
        ((200, {"errcode": 430102}), "content", True, None),
        ((200, {"errcode": 400013}), "gone", True, None),
        ((200, {"errcode": 660026}), "refused", False, None),
        ((200, {"errmsg": "ok"}), "no_answer", False, None),
        ((200, {"errcode": None}), "no_answer", False, None),
        ((200, {"errcode": False}), "no_answer", False, None),
        ((200, {"errcode": ""}), "no_answer", False, None),
        ((200, {"errcode": 0.0}), "no_answer", False, None),
        ((200, {"errcode": [0]}), "no_answer", False, None),
        ((200, []), "no_answer", False, None),
        ((200, b""), "no_answer", False, None),
        ((200, b"<html>login</html>"), "no_answer", False, None),
        ((502, b"bad gateway"), "no_answer", False, None),
        ((200, X5), "no_answer", False, 300.0),
    ],
)
def test_the_body_decides_whether_a_session_took_the_message(
    vendor: Vendor, say: Say, answer: Answer, reason: str, permanent: bool, retry_after: float | None
) -> None:
    vendor.script[SESSION] = [answer]
    with pytest.raises(DeliveryError) as caught:
        say(IN_GROUP)
    error = caught.value
    assert (error.reason, error.permanent, error.retry_after) == (reason, permanent, retry_after)
    assert not error.unknown
    assert "0123abcd" not in f"{error} {error!r}"
    assert paths(vendor) == [SESSION]


@pytest.mark.parametrize(
    ("answer", "reason", "permanent", "unknown"),
    [
        ((200, {"processQueryKey": "q", "invalidStaffIdList": ["0147"]}), "gone", True, False),
        ((200, {"processQueryKey": "q", "flowControlledStaffIdList": ["0147"]}), "rate_limited", False, False),
        ((200, {}), "no_answer", False, False),
        ((200, {"processQueryKey": ""}), "no_answer", False, False),
        ((200, X5), "no_answer", False, False),
        ((200, b"<html>"), "no_answer", False, False),
        ((500, {"processQueryKey": "q"}), "no_answer", False, False),
        ((200, {"code": "staffId.notExisted", "processQueryKey": "q"}), "gone", True, False),
        ((500, {"code": "unknown.send.result"}), "unknown", False, True),
        ((400, {"code": "brand.new"}), "refused", True, False),
        ((429, {"code": "brand.new"}), "refused", False, False),
        ((503, {"code": "brand.new"}), "refused", False, False),
        ((0, b""), "unreachable", False, True),
    ],
)
def test_the_body_decides_whether_the_api_sent_the_message(
    vendor: Vendor, say: Say, answer: Answer, reason: str, permanent: bool, unknown: bool
) -> None:
    vendor.script[DIRECT] = [answer]
    with pytest.raises(DeliveryError) as caught:
        say(TO_PERSON)
    error = caught.value
    assert (error.reason, error.permanent, error.unknown) == (reason, permanent, unknown)
    assert paths(vendor) == [TOKEN, DIRECT]


def test_a_session_without_an_answer_may_have_taken_the_message_and_nothing_is_sent_twice(
    vendor: Vendor, say: Say
) -> None:
    vendor.script[SESSION] = [(0, b"")]
    with pytest.raises(DeliveryError) as caught:
        say(IN_GROUP)
    assert (caught.value.reason, caught.value.unknown) == ("unreachable", True)
    assert paths(vendor) == [SESSION]


def test_a_vendor_that_cannot_be_reached_has_not_got_the_message() -> None:
    http = Http({"https://oapi.dingtalk.com": "http://127.0.0.1:1"})
    with pytest.raises(DeliveryError) as caught:
        PLATFORMS["dingtalk"].say(DOCUMENT, "en", IN_GROUP, Speaker(http=http, now=NOW, key="k"))
    assert (caught.value.reason, caught.value.permanent, caught.value.unknown) == ("unreachable", False, False)
    http.close()


@pytest.mark.parametrize("code", sorted(API_REFUSALS))
def test_each_documented_refusal_of_the_api_says_what_it_means(vendor: Vendor, say: Say, code: str) -> None:
    vendor.script[GROUP] = [(400, {"code": code, "message": "x", "requestid": "r"})]
    with pytest.raises(DeliveryError) as caught:
        say(LATE_IN_GROUP)
    assert caught.value.reason == API_REFUSALS[code].reason
    assert caught.value.permanent == API_REFUSALS[code].permanent
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("code", sorted(SESSION_REFUSALS))
def test_each_documented_refusal_of_a_session_says_what_it_means(vendor: Vendor, code: int) -> None:
    vendor.script = {SESSION: [(200, {"errcode": code, "errmsg": "x"})]}
    http = vendor.http()
    with pytest.raises(DeliveryError) as caught:
        PLATFORMS["dingtalk"].say(DOCUMENT, "en", IN_GROUP, Speaker(http=http, now=NOW, key="k"))
    assert caught.value.reason == SESSION_REFUSALS[code].reason
    assert caught.value.retry_after == (600.0 if code in (130101, 410100) else None)
    http.close()


def test_a_long_document_fits_both_ways(vendor: Vendor) -> None:
    vendor.script = {SESSION: [OK], GROUP: [SENT], TOKEN: [(200, {"accessToken": "t", "expireIn": 7200})]}
    http = vendor.http()
    speaker = Speaker(
        http=http, now=NOW, key="k", credentials=DingTalkCredentials("app", "S", AccessTokens("app", "S"))
    )
    document = Document('磁盘"\\' * 10_000, (Paragraph('磁盘"\\\n' * 30_000),))
    PLATFORMS["dingtalk"].say(document, "zh", IN_GROUP, speaker)
    PLATFORMS["dingtalk"].say(document, "zh", LATE_IN_GROUP, speaker)
    assert int(vendor.calls[0][2]["content-length"]) <= 18_000
    assert len(vendor.calls[2][1]["msgParam"].encode()) <= 15_000
    http.close()


def test_no_secret_is_shown() -> None:
    assert "SECRET" not in repr(DingTalkCredentials("app", "SECRET", AccessTokens("app", "SECRET")))
