"""DingTalk cards: what the template is given, how a card is made, changed and given up, what a press is decoded to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.contract import Receipt
from bot.http import Http
from bot.platforms import PLATFORMS
from bot.platforms.access_token import AccessTokens
from bot.platforms.contract import Incoming, Place, Press, Speaker
from bot.platforms.dingtalk import credentials
from bot.platforms.dingtalk_app import Cards, DingTalkCredentials, card_secret
from bot.platforms.dingtalk_cards import VALUE_MAX_BYTES, decode, pressed, track_of, variables
from bot.settings import Settings
from handlers.document import Button, Document, Facts, Link, Paragraph
from handlers.errors import DeliveryError, PayloadError
from handlers.exchange import Outcome
from tests.bot.platforms.conftest import Answer, Vendor

NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
SESSION, GROUP = "/robot/sendBySession", "/v1.0/robot/groupMessages/send"
CREATE, CARD, REGISTER = (
    "/v1.0/card/instances/createAndDeliver",
    "/v1.0/card/instances",
    "/v1.0/card/callbacks/register",
)
TOKEN = "/v1.0/oauth2/accessToken"
YES, NO = Button("Yes", "yes", "danger", token="t-yes"), Button("No", "no", token="t-no")
QUESTION = Document("Remove Ann?", (Paragraph("Reply yes or no."),), buttons=(YES, NO, Button("Never", "x")))
DONE = Document("Ann is removed.")
IN_GROUP = Place("dingtalk:cidA==", "dingtalk:corp/0147", False)
TO_PERSON = Place("", "dingtalk:corp/0147", True)
TRACK = track_of("answer-1")

SHOWN: Answer = (200, {"success": True, "result": {"outTrackId": TRACK, "deliverResults": [{"success": True}]}})
OK: Answer = (200, {"success": True, "result": True})
SENT: Answer = (200, {"processQueryKey": "q1"})


class Desk:
    """Says documents as cards; everything works unless a test scripts otherwise."""

    def __init__(self, vendor: Vendor, http: Http, callback_url: str) -> None:
        self.vendor = vendor
        cards = Cards("t.schema", callback_url, "api-secret")
        app = DingTalkCredentials("app", "SECRET", AccessTokens("app", "SECRET"), cards)
        self.speaker = Speaker(http=http, now=NOW, key="answer-1", credentials=app)

    def say(self, document: Document, place: Place = IN_GROUP) -> Receipt:
        return PLATFORMS["dingtalk"].say(document, "en", place, self.speaker)

    @property
    def paths(self) -> list[str]:
        return [path.partition("?")[0] for path, _body, _headers in self.vendor.calls if path != TOKEN]


@pytest.fixture(params=["", "https://callboard.example.com/dingtalk/cards"], ids=["Stream", "HTTP"])
def desk(request: pytest.FixtureRequest, vendor: Vendor) -> Iterator[Desk]:
    vendor.script = {
        TOKEN: [(200, {"accessToken": "t1", "expireIn": 7200})],
        REGISTER: [OK],
        CREATE: [SHOWN],
        CARD: [OK],
        SESSION: [(200, {"errcode": 0})],
        GROUP: [SENT],
        "/v1.0/robot/oToMessages/batchSend": [SENT],
    }
    http = vendor.http()
    yield Desk(vendor, http, request.param)
    http.close()


def test_buttons_become_a_card_whose_reference_can_be_changed_later(desk: Desk) -> None:
    assert desk.say(QUESTION) == Receipt(TRACK)
    [made] = desk.vendor.asked(CREATE)
    values = made["cardData"]["cardParamMap"]
    assert (values["title"], values["text"], values["status"]) == ("Remove Ann?", "Reply yes or no.", "open")
    assert [values[f"button{n}"] for n in range(1, 5)] == ["Yes", "No", "", ""], "one without a token is not drawn"
    assert [values[f"token{n}"] for n in range(1, 5)] == ["t-yes", "t-no", "", ""]
    assert (made["cardTemplateId"], made["outTrackId"], made["userIdType"]) == ("t.schema", TRACK, 1)
    assert made["openSpaceId"] == "dtv1.card//IM_GROUP.cidA=="
    assert made["imGroupOpenDeliverModel"] == {"robotCode": "app"}
    assert made["imGroupOpenSpaceModel"] == {"supportForward": False}


def test_one_to_one_the_card_names_the_robot(desk: Desk) -> None:
    desk.say(QUESTION, TO_PERSON)
    [made] = desk.vendor.asked(CREATE)
    assert made["openSpaceId"] == "dtv1.card//IM_ROBOT.0147"
    assert made["imRobotOpenDeliverModel"] == {"spaceType": "IM_ROBOT", "robotCode": "app"}


def test_the_address_for_presses_is_made_known_once_before_the_first_card(vendor: Vendor, desk: Desk) -> None:
    desk.say(QUESTION)
    desk.say(QUESTION)
    made = vendor.asked(CREATE)[0]
    if made["callbackType"] == "STREAM":
        assert vendor.asked(REGISTER) == []
        return
    [known] = vendor.asked(REGISTER)
    assert known == {
        "callbackRouteKey": made["callbackRouteKey"],
        "callbackUrl": "https://callboard.example.com/dingtalk/cards",
        "apiSecret": "api-secret",
        "forceUpdate": True,
    }
    assert desk.paths[:2] == [REGISTER, CREATE]


def test_answers_without_buttons_stay_words_and_have_no_reference(desk: Desk) -> None:
    assert desk.say(DONE) == Receipt()
    assert desk.paths == [GROUP]


def test_what_takes_the_place_of_a_card_changes_it(desk: Desk) -> None:
    assert desk.say(DONE, replace(IN_GROUP, replaces=TRACK)) == Receipt(TRACK)
    [change] = desk.vendor.asked(CARD)
    assert change["outTrackId"] == TRACK
    assert change["cardUpdateOptions"]["updateCardDataByKey"] is True
    assert change["cardData"]["cardParamMap"]["status"] == "done"
    assert change["cardData"]["cardParamMap"]["token1"] == "", "by key: what is not emptied would stay"
    assert desk.paths == [CARD]


@pytest.mark.parametrize(("document", "path"), [(DONE, GROUP), (QUESTION, CREATE)])
def test_a_card_that_is_gone_is_followed_by_a_new_message(desk: Desk, document: Document, path: str) -> None:
    desk.vendor.script[CARD] = [(400, {"code": "param.cardNotExist"})]
    desk.say(document, replace(IN_GROUP, replaces=track_of("older")))
    assert [one for one in desk.paths if one != REGISTER] == [CARD, path]


def test_what_is_no_card_is_not_changed(desk: Desk) -> None:
    desk.say(DONE, replace(IN_GROUP, replaces="some-other-id"))
    assert desk.paths == [GROUP]


def test_a_busy_platform_is_asked_again_later(desk: Desk) -> None:
    desk.vendor.script[CARD] = [(500, {"code": "system.busy"})]
    with pytest.raises(DeliveryError) as caught:
        desk.say(DONE, replace(IN_GROUP, replaces=TRACK))
    assert not caught.value.permanent
    desk.vendor.script[CREATE] = [(500, {"code": "system.busy"})]
    with pytest.raises(DeliveryError):
        desk.say(QUESTION)
    assert GROUP not in desk.paths


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"code": "param.templateNotExist"}),
        (403, {"code": "Forbidden.AccessDenied.AccessTokenPermissionDenied"}),
        (403, {"code": "Forbidden.AccessDenied.ApiCountLimitForOrg"}),
        (200, {"success": True, "result": {"deliverResults": [{"success": False, "errorMsg": "no"}]}}),
        (200, {"success": True}),
    ],
)
def test_a_card_that_is_refused_becomes_words(desk: Desk, answer: Answer) -> None:
    desk.vendor.script[CREATE] = [answer]
    assert desk.say(QUESTION) == Receipt()
    assert desk.paths[-1] == GROUP
    assert "Reply yes or no" in desk.vendor.asked(GROUP)[0]["msgParam"]


def test_a_card_that_an_earlier_try_made_is_taken_for_said(desk: Desk) -> None:
    desk.vendor.script[CREATE] = [(400, {"code": "param.cardAlreadyExist"})]
    assert desk.say(QUESTION) == Receipt(TRACK)


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, {"success": False}), (502, b"")])
def test_only_a_body_that_says_so_means_that_the_card_is_there(desk: Desk, answer: Answer) -> None:
    desk.vendor.script[CREATE] = [answer]
    with pytest.raises(DeliveryError) as caught:
        desk.say(QUESTION)
    assert (caught.value.reason, caught.value.permanent) == ("no_answer", False)


def test_words_that_do_not_fit_are_said_first_and_the_card_cannot_make_them_fail(desk: Desk) -> None:
    long = replace(QUESTION, blocks=(Paragraph("磁盘" * 1000), Paragraph("Reply yes or no.")))
    assert desk.say(long) == Receipt(TRACK)
    assert [one for one in desk.paths if one != REGISTER] == [GROUP, CREATE]
    desk.vendor.script[CREATE] = [(500, {"code": "system.busy"})]
    assert desk.say(long) == Receipt(), "they were said; trying again would repeat them"


@given(st.text(), st.text(), st.text())
def test_no_variable_is_longer_than_the_platform_takes(title: str, text: str, label: str) -> None:
    document = Document(
        title * 200,
        (Paragraph(text * 300), Facts(((label, text),))),
        links=(Link(label, "https://x.example/" + "a" * 900),),
        footer=text * 20,
        buttons=tuple(Button(label * 300, "x", token="t" * 900) for _number in range(7)),
    )
    values, _whole = variables(document)
    assert set(values) == {
        "title",
        "text",
        "status",
        *(f"{kind}{n}" for kind in ("button", "token") for n in range(1, 5)),
    }
    assert all(len(value.encode("utf-8", "replace")) <= VALUE_MAX_BYTES for value in values.values())


# ---- links instead


def test_links_to_our_page_are_drawn_as_buttons(desk: Desk) -> None:
    links = tuple(Link(name, f"https://c.example.com/confirm/{name}") for name in ("yes", "no"))
    other = Link("runbook", "https://ops.example/r")
    desk.say(Document("Remove?", links=(*links, other)))
    [said] = desk.vendor.asked(GROUP)
    assert said["msgKey"] == "sampleActionCard2"
    param = json.loads(said["msgParam"])
    assert (param["actionTitle1"], param["actionURL2"]) == ("yes", "https://c.example.com/confirm/no")
    assert "[runbook](https://ops.example/r)" in param["text"]
    place = replace(
        IN_GROUP,
        reply_url=f"https://oapi.dingtalk.com{SESSION}?session=1",
        reply_until=NOW + timedelta(hours=1),
    )
    desk.say(Document("Ack?", links=links[:1]), place)
    assert desk.vendor.asked(SESSION)[0]["actionCard"]["singleURL"] == "https://c.example.com/confirm/yes"


def test_more_links_than_buttons_stay_links(desk: Desk) -> None:
    desk.say(Document("x", links=tuple(Link(str(n), f"https://c.example.com/confirm/{n}") for n in range(6))))
    assert desk.vendor.asked(GROUP)[0]["msgKey"] == "sampleMarkdown"


# ---- settings


@pytest.mark.parametrize(
    ("more", "way", "url"),
    [
        ({}, "link", None),
        ({"dingtalk_card_template": "t", "dingtalk_stream": True}, "press", ""),
        (
            {"dingtalk_card_template": "t", "public_url": "https://c.example.com"},
            "press",
            "https://c.example.com/dingtalk/cards",
        ),
        ({"dingtalk_card_template": "t", "sandbox": True}, "press", "http://127.0.0.1:8000/dingtalk/cards"),
    ],
)
def test_the_settings_say_how_a_press_comes_back(more: dict[str, Any], way: str, url: str | None) -> None:
    settings = Settings(_env_file=None, **{"dingtalk_client_id": "app", "dingtalk_client_secret": "SECRET", **more})
    app = credentials(settings)
    assert app is not None
    assert PLATFORMS["dingtalk"].buttons(app) == way
    assert (app.cards.callback_url if app.cards else None) == url
    assert "SECRET" not in repr(app)
    assert card_secret("SECRET") not in repr(app)


# ---- presses


def press_body(**changes: Any) -> dict[str, Any]:
    content = {"cardPrivateData": {"actionIds": ["1"], "params": {"token": "a.b"}}}
    whole: dict[str, Any] = {
        "type": "actionCallback",
        "outTrackId": TRACK,
        "corpId": "dingcorp01",
        "userId": "0147123",
        "content": json.dumps(content),
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


BESIDE = json.dumps({"cardPrivateData": {"actionIds": ["1"]}, "params": {"token": "a.b"}})


@pytest.mark.parametrize(
    "body",
    [
        press_body(),
        press_body(content=..., value=BESIDE),
        press_body(content=BESIDE),
        press_body(content="", value=BESIDE),
    ],
    ids=["documented", "other page", "mixed", "both names"],
)
def test_both_documented_shapes_of_a_press_are_understood(body: dict[str, Any]) -> None:
    incoming = decode(body, "d1")
    assert incoming == Incoming(
        platform="dingtalk",
        message_id="d1",
        person="dingtalk:dingcorp01/0147123",
        name="",
        conversation="",
        direct=False,
        text="",
        press=Press("a.b", {}, TRACK),
        inline="replace",
    )
    assert "a.b" not in repr(incoming)


@pytest.mark.parametrize("name", ["outTrackId", "userId", "corpId"])
@pytest.mark.parametrize("value", [..., "", 5.0, ["x"], "a b", "x" * 300])
def test_a_press_without_its_ids_is_refused(name: str, value: Any) -> None:
    with pytest.raises(PayloadError):
        decode(press_body(**{name: value}), "d1")


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["content", "value", "params", "cardPrivateData", "token", "outTrackId"]), inner
            )
        ),
    )
)
def test_any_body_is_a_press_or_none_or_refused(body: Any) -> None:
    try:
        incoming = decode(body, "d")
    except PayloadError:
        return
    assert incoming is None or incoming.press is not None


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (None, None),
        (Outcome(set(), "en"), None),
        (Outcome(set(), "en", DONE), None),
        (Outcome(set(), "en", DONE, inline=True), "done"),
        (Outcome(set(), "en", QUESTION, inline=True), "open"),
    ],
)
def test_the_answer_to_a_press_is_the_card_as_it_is_then_or_nothing(outcome: Outcome | None, shown: str | None) -> None:
    answer = pressed(press_body(), "d1", lambda _incoming: outcome)
    if shown is None:
        assert answer == {}
    else:
        assert answer["cardUpdateOptions"]["updateCardDataByKey"] is True
        assert answer["cardData"]["cardParamMap"]["status"] == shown
