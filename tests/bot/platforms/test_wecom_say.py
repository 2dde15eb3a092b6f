"""Saying a document in WeCom: the robot's one answer, then the app, judged by the body of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.channels.contract import Receipt
from bot.http import Http
from bot.platforms import PLATFORMS
from bot.platforms.contract import Place, Speaker
from bot.platforms.wecom import APP_MAX_BYTES, APP_MAX_PARTS, Remembered, WeComApp, WeComCredentials
from bot.platforms.wecom_refusals import REFUSALS
from bot.platforms.wecom_token import HOLD_OFF_S, AppTokens
from handlers.document import Button, Document, Items, Paragraph
from handlers.errors import DeliveryError
from tests.bot.platforms.conftest import Answer, Vendor

NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
TOKEN, SEND, RESPOND = "/cgi-bin/gettoken", "/cgi-bin/message/send", "/cgi-bin/aibot/response"
URL = f"https://qyapi.weixin.qq.com{RESPOND}?response_code=RC1"

DOCUMENT = Document("Hello", (Paragraph("a *b* <@all> $userName=x$"),))

IN_GROUP = Place("wecom:ww01/wrA", "wecom:ww01/zhangsan", False, URL, NOW + timedelta(minutes=59))
IN_APP = Place("wecom:ww01/app/zhangsan", "wecom:ww01/zhangsan", True)
TO_PERSON = Place("", "wecom:ww01/zhangsan", True)

OK: Answer = (200, {"errcode": 0, "errmsg": "ok"})
SENT: Answer = (200, {"errcode": 0, "errmsg": "ok", "invaliduser": "", "unlicenseduser": "", "msgid": "M1"})


def given(code: object) -> Answer:
    return (200, {"errcode": code, "errmsg": "x, hint: [1]"})


def token(word: str) -> Answer:
    return (200, {"errcode": 0, "errmsg": "ok", "access_token": word, "expires_in": 7200})


class Mouth:
    """Says things; `at_s` is the seconds that the token's clock shows."""

    def __init__(self, vendor: Vendor, *, app: bool = True) -> None:
        self.at_s = 0.0
        self.http = Http({"https://qyapi.weixin.qq.com": vendor.url})
        tokens = AppTokens("ww01", "SECRET", clock=lambda: self.at_s)
        self.speaker = Speaker(self.http, NOW, "k1", WeComCredentials("ww01", WeComApp(7, tokens) if app else None))

    def say(self, place: Place, document: Document = DOCUMENT, key: str = "") -> Receipt:
        return PLATFORMS["wecom"].say(document, "en", place, replace(self.speaker, key=key or self.speaker.key))


@pytest.fixture
def mouth(vendor: Vendor) -> Iterator[Mouth]:
    vendor.script = {RESPOND: [OK], SEND: [SENT], TOKEN: [token("t1"), token("t2")]}
    one = Mouth(vendor)
    yield one
    one.http.close()


@pytest.fixture
def robot_only(vendor: Vendor) -> Iterator[Mouth]:
    vendor.script = {RESPOND: [OK]}
    one = Mouth(vendor, app=False)
    yield one
    one.http.close()


def paths(vendor: Vendor) -> list[str]:
    return [path.partition("?")[0] for path, _, _ in vendor.calls]


def test_the_robot_answers_in_the_group_in_plain_json_without_a_token(vendor: Vendor, mouth: Mouth) -> None:
    assert mouth.say(IN_GROUP) == Receipt()
    [(path, body, headers)] = vendor.calls
    assert path == f"{RESPOND}?response_code=RC1"
    assert body == {
        "msgtype": "markdown",
        "markdown": {"content": "### Hello\n\na ∗b∗ ＜＠all＞ ＄userName=x＄"},
    }
    assert headers["content-type"].startswith("application/json")


def test_the_app_writes_to_one_person(vendor: Vendor, mouth: Mouth) -> None:
    assert mouth.say(IN_APP) == Receipt()
    assert paths(vendor) == [TOKEN, SEND]
    assert parse_qs(urlsplit(vendor.calls[0][0]).query) == {"corpid": ["ww01"], "corpsecret": ["SECRET"]}
    path, body, _ = vendor.calls[1]
    assert parse_qs(urlsplit(path).query) == {"access_token": ["t1"]}
    content = body.pop("markdown")["content"]
    assert content.startswith("### Hello\n")
    assert "<@all>" not in content
    assert body == {
        "touser": "zhangsan",
        "msgtype": "markdown",
        "agentid": 7,
        "enable_id_trans": 0,
        "enable_duplicate_check": 0,
    }


@pytest.mark.parametrize(
    "place",
    [
        TO_PERSON,
        replace(TO_PERSON, reply_url=URL),
        replace(IN_GROUP, reply_url=""),
        replace(IN_GROUP, reply_until=NOW + timedelta(seconds=20)),
        replace(IN_GROUP, reply_url="https://evil.example/cgi-bin/aibot/response?response_code=x"),
    ],
)
def test_where_no_answer_is_open_the_app_writes(vendor: Vendor, mouth: Mouth, place: Place) -> None:
    assert mouth.say(place) == Receipt()
    assert paths(vendor) == [TOKEN, SEND]


def test_an_address_is_used_once(vendor: Vendor, mouth: Mouth) -> None:
    mouth.say(IN_GROUP)
    mouth.say(IN_GROUP, key="k2")
    assert paths(vendor) == [RESPOND, TOKEN, SEND]


@pytest.mark.parametrize("code", [40058, 40035, 860000, "40058"])
def test_an_address_that_was_used_gives_way_to_the_app(vendor: Vendor, mouth: Mouth, code: object) -> None:
    vendor.script[RESPOND] = [given(code)]
    assert mouth.say(IN_GROUP) == Receipt()
    assert paths(vendor) == [RESPOND, TOKEN, SEND]


def test_without_the_app_a_second_answer_is_a_failure_that_says_why(vendor: Vendor, robot_only: Mouth) -> None:
    robot_only.say(IN_GROUP)
    for place in (IN_GROUP, replace(IN_GROUP, reply_until=NOW)):
        with pytest.raises(DeliveryError) as caught:
            robot_only.say(place)
        assert (caught.value.reason, caught.value.permanent) == ("answered", True)
        assert "once" in str(caught.value)
    vendor.script[RESPOND] = [given(40058)]
    with pytest.raises(DeliveryError) as caught:
        robot_only.say(replace(IN_GROUP, reply_url=URL + "2"))
    assert caught.value.reason == "answered"
    with pytest.raises(DeliveryError) as caught:
        robot_only.say(TO_PERSON)
    assert (caught.value.reason, caught.value.permanent) == ("not_configured", True)
    assert paths(vendor) == [RESPOND, RESPOND]


@pytest.mark.parametrize(
    ("answer", "reason", "unknown"),
    [
        (given(-1), "busy", False),
        (given(45009), "rate_limited", False),
        ((200, b"<html>sign in</html>"), "not_an_answer", False),
        ((200, {}), "not_an_answer", False),
        ((502, b"bad gateway"), "not_an_answer", False),
        ((0, b""), "no_answer", True),
    ],
)
def test_what_may_be_better_later_is_not_said_elsewhere(
    vendor: Vendor, mouth: Mouth, answer: Answer, reason: str, unknown: bool
) -> None:
    vendor.script[RESPOND] = [answer, OK]
    with pytest.raises(DeliveryError) as caught:
        mouth.say(IN_GROUP)
    assert (caught.value.reason, caught.value.permanent, caught.value.unknown) == (reason, False, unknown)
    assert "RC1" not in f"{caught.value} {caught.value!r}"
    mouth.say(IN_GROUP)
    assert paths(vendor) == [RESPOND, RESPOND]


def test_the_app_writes_to_whose_chat_it_is(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[SEND] = [CARD_SENT]
    other = "wecom:ww01/lisi"
    assert mouth.say(replace(IN_APP, person=other), QUESTION) == Receipt("k1 RC0")
    group = replace(IN_GROUP, person=other, reply_url="")
    assert mouth.say(group, QUESTION, key="k2") == Receipt(), "not where the conversation is"
    assert [body["touser"] for body in vendor.asked(SEND)] == ["zhangsan", "lisi"]


@pytest.mark.parametrize("code", [40014, 42001, "42001"])
def test_a_worn_token_is_renewed_once(vendor: Vendor, mouth: Mouth, code: object) -> None:
    vendor.script[SEND] = [given(code), SENT]
    assert mouth.say(IN_APP) == Receipt()
    assert paths(vendor) == [TOKEN, SEND, TOKEN, SEND]
    assert [parse_qs(urlsplit(path).query)["access_token"] for path, _, _ in vendor.calls if SEND in path] == [
        ["t1"],
        ["t2"],
    ]


def test_a_token_that_is_refused_twice_is_a_failure_and_no_loop(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[SEND] = [given(40014)]
    with pytest.raises(DeliveryError) as caught:
        mouth.say(IN_APP)
    assert (caught.value.reason, caught.value.permanent) == ("no_token", False)
    assert paths(vendor) == [TOKEN, SEND, TOKEN, SEND]


def test_a_token_is_kept_until_shortly_before_its_end(vendor: Vendor, mouth: Mouth) -> None:
    for at_s, asked in ((0.0, 1), (6899.0, 1), (6901.0, 2)):
        mouth.at_s = at_s
        mouth.say(IN_APP, key=f"at {at_s}")
        assert paths(vendor).count(TOKEN) == asked


@pytest.mark.parametrize("code", [40001, 40013])
def test_wrong_credentials_are_not_asked_with_again_and_again(vendor: Vendor, mouth: Mouth, code: int) -> None:
    vendor.script[TOKEN] = [given(code)]
    for _try in range(5):
        with pytest.raises(DeliveryError) as caught:
            mouth.say(IN_APP)
        assert (caught.value.reason, caught.value.permanent) == ("credentials", True)
        assert "WECOM_SECRET" in str(caught.value)
    assert paths(vendor) == [TOKEN]
    mouth.at_s += HOLD_OFF_S
    vendor.script[TOKEN] = [token("t1")]
    assert mouth.say(IN_APP) == Receipt()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (given(-1), "busy"),
        (given(45009), "rate_limited"),
        ((200, {"errcode": 0, "errmsg": "ok"}), "no_token"),
        ((200, {"errcode": 0, "access_token": ""}), "no_token"),
        ((200, {"errcode": 0, "access_token": 5}), "no_token"),
        ((200, {"access_token": "t"}), "not_an_answer"),
        ((200, []), "not_an_answer"),
        ((500, b"<html>"), "not_an_answer"),
        ((0, b""), "unreachable"),
    ],
)
def test_without_a_token_nothing_was_sent_and_it_is_tried_again(
    vendor: Vendor, mouth: Mouth, answer: Answer, reason: str
) -> None:
    vendor.script[TOKEN] = [answer]
    with pytest.raises(DeliveryError) as caught:
        mouth.say(IN_APP)
    assert (caught.value.reason, caught.value.permanent, caught.value.unknown) == (reason, False, False)
    assert "SECRET" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    vendor.script[TOKEN] = [token("t1")]
    assert mouth.say(IN_APP) == Receipt()


@pytest.mark.parametrize(
    ("answer", "reason", "permanent", "unknown"),
    [
        ((200, {"errcode": 0, "invaliduser": "zhangsan"}), "gone", True, False),
        ((200, {"errcode": 0, "unlicenseduser": "zhangsan"}), "unlicensed", True, False),
        ((200, {"errcode": None}), "not_an_answer", False, False),
        ((200, {"errcode": True}), "not_an_answer", False, False),
        ((200, {"errmsg": "ok"}), "not_an_answer", False, False),
        ((200, b"<html>"), "not_an_answer", False, False),
        ((200, []), "not_an_answer", False, False),
        ((503, b""), "not_an_answer", False, False),
        (given(999999), "refused", True, False),
        ((0, b""), "no_answer", False, True),
    ],
)
def test_the_body_decides_whether_the_app_has_written(
    vendor: Vendor, mouth: Mouth, answer: Answer, reason: str, permanent: bool, unknown: bool
) -> None:
    vendor.script[SEND] = [answer]
    with pytest.raises(DeliveryError) as caught:
        mouth.say(IN_APP)
    error = caught.value
    assert (error.reason, error.permanent, error.unknown) == (reason, permanent, unknown)
    assert "t1" not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_each_documented_refusal_says_what_it_means(vendor: Vendor, mouth: Mouth, code: int) -> None:
    vendor.script[SEND] = [given(code)]
    with pytest.raises(DeliveryError) as caught:
        mouth.say(IN_APP)
    assert (caught.value.reason, caught.value.permanent) == (REFUSALS[code].reason, REFUSALS[code].permanent)
    assert not caught.value.disables
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("person", ["", "wecom:ww01/@all", "wecom:ww01/a|b", "wecom:ww02/zhangsan", "slack:T1/U1"])
def test_nobody_is_written_to_who_is_not_one_member_of_the_organisation(
    vendor: Vendor, mouth: Mouth, person: str
) -> None:
    with pytest.raises(DeliveryError) as caught:
        mouth.say(replace(TO_PERSON, person=person))
    assert (caught.value.reason, caught.value.permanent) == ("gone", True)
    assert vendor.calls == []


def contents(vendor: Vendor) -> list[str]:
    return [body["markdown"]["content"] for body in vendor.asked(SEND)]


def test_a_long_answer_takes_several_messages_and_a_second_try_goes_on_where_the_first_ended(
    vendor: Vendor, mouth: Mouth
) -> None:
    document = Document("Contacts", (Items(tuple(f"联系人{number:03}" * 8 for number in range(40))),))
    vendor.script[SEND] = [SENT, given(-1), SENT]
    with pytest.raises(DeliveryError):
        mouth.say(IN_APP, document)
    mouth.say(IN_APP, document)
    told = contents(vendor)
    assert told[1] == told[2], "the one that was refused is said again"
    assert len(told) == len(set(told)) + 1
    assert all(len(content.encode()) <= APP_MAX_BYTES for content in told)
    assert all(f"联系人{number:03}" in "".join(told) for number in range(40))
    mouth.say(IN_APP, document, key="k2")
    assert len(contents(vendor)) == 2 * len(told) - 1


def test_an_endless_answer_ends_with_a_mark(vendor: Vendor, mouth: Mouth) -> None:
    mouth.say(IN_APP, Document("x", (Items(tuple("word " * 30 for _ in range(500))),)))
    told = contents(vendor)
    assert len(told) == APP_MAX_PARTS
    assert told[-1].endswith("\n…")
    vendor.calls.clear()
    mouth.say(IN_GROUP, Document("x", (Items(tuple("字" * 100 for _ in range(500))),)))
    [(_, body, _)] = vendor.calls
    assert len(body["markdown"]["content"].encode()) <= 20_480
    assert "more lines" in body["markdown"]["content"]


def test_a_vendor_that_cannot_be_reached_has_not_got_the_message() -> None:
    http = Http({"https://qyapi.weixin.qq.com": "http://127.0.0.1:1"})
    speaker = Speaker(http, NOW, "k", WeComCredentials("ww01", WeComApp(7, AppTokens("ww01", "SECRET"))))
    for place in (IN_GROUP, IN_APP):
        with pytest.raises(DeliveryError) as caught:
            PLATFORMS["wecom"].say(DOCUMENT, "en", place, speaker)
        assert (caught.value.reason, caught.value.permanent, caught.value.unknown) == ("unreachable", False, False)
    http.close()


def test_without_credentials_nothing_is_said() -> None:
    http = Http({})
    with pytest.raises(DeliveryError) as caught:
        PLATFORMS["wecom"].say(DOCUMENT, "en", IN_GROUP, Speaker(http, NOW, "k"))
    assert caught.value.reason == "not_configured"
    http.close()


def test_only_the_last_things_are_remembered() -> None:
    memory = Remembered(most=2)
    for key in ("a", "b", "c"):
        memory.set(key, 1)
    assert [memory.count(key) for key in ("a", "b", "c")] == [0, 1, 1]
    assert "response_code" not in repr(vars(memory))


def test_what_the_tokens_show_is_no_secret() -> None:
    shown: Any = AppTokens("ww01", "SECRET")
    assert "SECRET" not in repr(shown)


UPDATE = "/cgi-bin/message/update_template_card"
YES = Button("Yes", "yes", "danger", token="to.yes")
NO = Button("No", "no", token="to.no")
QUESTION = Document("Remove Ann?", (Paragraph("Reply yes or no within 2 minutes."),), buttons=(YES, NO))
CARD_SENT: Answer = (200, {"errcode": 0, "errmsg": "ok", "msgid": "M2", "response_code": "RC0"})
CHANGED: Answer = (200, {"errcode": 0, "errmsg": "ok", "invaliduser": []})


def cards(vendor: Vendor) -> list[dict[str, Any]]:
    return [body["template_card"] for body in vendor.asked(SEND) if body["msgtype"] == "template_card"]


def test_an_answer_with_buttons_is_one_card_where_its_words_fit(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[SEND] = [CARD_SENT]
    assert mouth.say(IN_APP, QUESTION) == Receipt("k1 RC0")
    [body] = vendor.asked(SEND)
    assert body == {
        "touser": "zhangsan",
        "msgtype": "template_card",
        "agentid": 7,
        "enable_id_trans": 0,
        "enable_duplicate_check": 0,
        "template_card": {
            "card_type": "button_interaction",
            "main_title": {"title": "Remove Ann?"},
            "sub_title_text": "Reply yes or no within 2 minutes.",
            "task_id": "k1",
            "button_list": [
                {"text": "Yes", "style": 3, "key": "to.yes"},
                {"text": "No", "style": 2, "key": "to.no"},
            ],
        },
    }


def test_longer_words_go_before_the_card_and_are_not_said_twice(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[SEND] = [SENT, given(-1), CARD_SENT]
    long = replace(QUESTION, blocks=(Paragraph("word " * 100),))
    with pytest.raises(DeliveryError):
        mouth.say(IN_APP, long)
    assert mouth.say(IN_APP, long) == Receipt("k1 RC0")
    assert [body["msgtype"] for body in vendor.asked(SEND)] == ["markdown", "template_card", "template_card"]
    assert all("sub_title_text" not in card for card in cards(vendor))


@pytest.mark.parametrize("code", [40058, 40008, 999999])
def test_a_card_that_is_refused_leaves_the_words(vendor: Vendor, mouth: Mouth, code: int) -> None:
    vendor.script[SEND] = [given(code), SENT, SENT, given(code)]
    assert mouth.say(IN_APP, QUESTION) == Receipt()
    long = replace(QUESTION, blocks=(Paragraph("word " * 100),))
    assert mouth.say(IN_APP, long, key="k2") == Receipt()
    assert [body["msgtype"] for body in vendor.asked(SEND)] == [
        "template_card",
        "markdown",
        "markdown",
        "template_card",
    ]


@pytest.mark.parametrize("code", [81013, 60020, 48002])
def test_a_card_that_nobody_could_be_sent_is_a_failure(vendor: Vendor, mouth: Mouth, code: int) -> None:
    vendor.script[SEND] = [given(code)]
    with pytest.raises(DeliveryError) as caught:
        mouth.say(IN_APP, QUESTION)
    assert caught.value.reason == REFUSALS[code].reason
    assert len(vendor.asked(SEND)) == 1


def test_without_callbacks_there_are_no_buttons_only_words(vendor: Vendor, mouth: Mouth) -> None:
    deaf = WeComCredentials("ww01", WeComApp(7, AppTokens("ww01", "SECRET"), hears=False))
    speaker = replace(mouth.speaker, credentials=deaf)
    assert PLATFORMS["wecom"].say(QUESTION, "en", IN_APP, speaker) == Receipt()
    assert [body["msgtype"] for body in vendor.asked(SEND)] == ["markdown"]


def test_in_a_group_a_later_answer_has_words_only(vendor: Vendor, mouth: Mouth) -> None:
    mouth.say(IN_GROUP, QUESTION)
    [body] = vendor.asked(RESPOND)
    assert body["msgtype"] == "markdown"
    assert "Reply yes or no" in body["markdown"]["content"]


def change(code: str = "RC1") -> Place:
    return replace(IN_APP, replaces=f"k0 {code}")


def test_an_answer_takes_the_place_of_the_card(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[UPDATE] = [CHANGED]
    assert mouth.say(change(), Document("Ann is removed.")) == Receipt()
    [body] = vendor.asked(UPDATE)
    assert body == {
        "userids": ["zhangsan"],
        "agentid": 7,
        "response_code": "RC1",
        "template_card": {
            "card_type": "button_interaction",
            "main_title": {"title": "Ann is removed."},
            "button_list": [{"text": "Done", "style": 2, "key": "-"}],
            "replace_text": "Done",
        },
    }
    assert vendor.asked(SEND) == []


def test_what_has_no_room_on_the_changed_card_is_a_message_behind_it(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[UPDATE] = [CHANGED]
    vendor.script[SEND] = [given(-1), SENT]
    long = Document("Ann is removed.", (Paragraph("word " * 100),))
    with pytest.raises(DeliveryError):
        mouth.say(change(), long)
    mouth.say(change(), long)
    assert len(vendor.asked(UPDATE)) == 1
    [card] = [body["template_card"] for body in vendor.asked(UPDATE)]
    assert len(card["sub_title_text"]) <= 160
    assert [body["msgtype"] for body in vendor.asked(SEND)] == ["markdown", "markdown"]
    vendor.calls.clear()
    mouth.say(change("RC2"), replace(long, number=42, buttons=(YES,)), key="k2")
    assert vendor.asked(SEND) == [], "the card of an alert is a summary"


@pytest.mark.parametrize(
    "answer", [given(40058), given(42017), given(999999), (200, {"errcode": 0, "invaliduser": ["zhangsan"]})]
)
def test_a_card_that_cannot_be_changed_gives_way_to_a_message_once(
    vendor: Vendor, mouth: Mouth, answer: Answer
) -> None:
    vendor.script[UPDATE] = [answer]
    vendor.script[SEND] = [given(-1), CARD_SENT]
    with pytest.raises(DeliveryError):
        mouth.say(change(), QUESTION)
    assert mouth.say(change(), QUESTION) == Receipt("k1 RC0")
    assert mouth.say(change(), QUESTION, key="k2") == Receipt(), (
        "the newer message shows it, and is changed from then on"
    )
    assert (len(vendor.asked(UPDATE)), len(vendor.asked(SEND))) == (1, 2)


def test_a_code_is_used_once(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[UPDATE] = [CHANGED]
    vendor.script[SEND] = [CARD_SENT]
    mouth.say(change(), QUESTION)
    assert mouth.say(change(), QUESTION, key="k2") == Receipt("k2 RC0")
    assert len(vendor.asked(UPDATE)) == 1


def test_what_is_no_card_of_the_app_is_not_changed(vendor: Vendor, mouth: Mouth) -> None:
    for replaces in ("M1", "cb-of-the-robot"):
        mouth.say(replace(IN_APP, replaces=replaces), key=replaces)
    assert vendor.asked(UPDATE) == []
    assert len(vendor.asked(SEND)) == 2


def test_a_worn_token_is_renewed_once_for_a_change_as_well(vendor: Vendor, mouth: Mouth) -> None:
    vendor.script[UPDATE] = [given(42001), CHANGED]
    mouth.say(change(), QUESTION)
    assert paths(vendor) == [TOKEN, UPDATE, TOKEN, UPDATE]
    vendor.calls.clear()
    vendor.script[UPDATE] = [given(40014)]
    with pytest.raises(DeliveryError) as caught:
        mouth.say(change("RC2"), QUESTION, key="k2")
    assert caught.value.reason == "no_token"
    assert paths(vendor) == [UPDATE, TOKEN, UPDATE]
    assert "RC2" not in f"{caught.value} {caught.value!r}"
