"""Saying a document in Lark: reply, chat or person, judged by the body of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.channels.contract import Receipt
from bot.http import Http, encoded
from bot.markup.lark_v2 import card
from bot.platforms import PLATFORMS
from bot.platforms.contract import Place, Speaker
from bot.platforms.lark import TEXT_MAX_BYTES, LarkCredentials, credentials
from bot.platforms.lark_api import HOST, TOKEN_PATH, OwnId, TenantTokens
from bot.platforms.lark_cards import BODY_MAX_BYTES
from bot.platforms.lark_refusals import REFUSALS
from bot.sandbox.server import StandIns
from bot.sandbox.world import Broken, Drop, Refused, World
from bot.settings import Settings, overrides
from handlers.document import Button, Document, Facts, Paragraph
from handlers.errors import DeliveryError
from tests.bot.platforms.conftest import Answer, Vendor

NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
SEND = "/open-apis/im/v1/messages"
REPLY = f"{SEND}/om_q1/reply"

DOCUMENT = Document("Hello", (Paragraph("a *b* <at id=all></at>"),))
IN_GROUP = Place(
    "lark:t01/oc_1", "lark:t01/ou_ann", False, f"https://open.feishu.cn{REPLY}", NOW + timedelta(minutes=5)
)
IN_CHAT = replace(IN_GROUP, reply_url="")
IN_DIRECT = Place("lark:t01/oc_p2p", "lark:t01/ou_ann", True)
TO_PERSON = Place("", "lark:t01/ou_ann", True)

SENT: Answer = (200, {"code": 0, "msg": "success", "data": {"message_id": "om_a1"}})
OVER: Answer = (400, {"code": 99991663, "msg": "Invalid access token for authorization."})

Say = Callable[..., Receipt]


def refused(code: object, status: int = 400) -> Answer:
    return status, {"code": code, "msg": "no", "data": {}}


def token(word: str, **more: Any) -> Answer:
    return 200, {"code": 0, "msg": "ok", "tenant_access_token": word, "expire": 7200} | more


@pytest.fixture
def say(vendor: Vendor) -> Iterator[Say]:
    """Says DOCUMENT somewhere; everything works unless a test scripts otherwise."""
    vendor.script = {SEND: [SENT], REPLY: [SENT], TOKEN_PATH: [token("t-1"), token("t-2")]}
    http = Http({"https://open.feishu.cn": vendor.url})
    tokens = TenantTokens("cli_a1", "s3cr3t")
    speaker = Speaker(http, NOW, "cb-1-abc", LarkCredentials("cli_a1", tokens, OwnId(tokens)))

    def one(place: Place, document: Document = DOCUMENT) -> Receipt:
        return PLATFORMS["lark"].say(document, "en", place, speaker)

    yield one
    http.close()


def paths(vendor: Vendor) -> list[str]:
    return [path for path, _, _ in vendor.calls]


def failure(say: Say, place: Place = IN_CHAT) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        say(place)
    return caught.value


@pytest.mark.parametrize(
    ("place", "path", "address"),
    [
        (IN_GROUP, REPLY, {}),
        (replace(IN_GROUP, reply_until=None), REPLY, {}),
        (IN_CHAT, f"{SEND}?receive_id_type=chat_id", {"receive_id": "oc_1"}),
        (replace(IN_GROUP, reply_until=NOW), f"{SEND}?receive_id_type=chat_id", {"receive_id": "oc_1"}),
        (
            replace(IN_GROUP, reply_url="https://evil.example/open-apis/im/v1/messages/om_q1/reply"),
            f"{SEND}?receive_id_type=chat_id",
            {"receive_id": "oc_1"},
        ),
        (IN_DIRECT, f"{SEND}?receive_id_type=chat_id", {"receive_id": "oc_p2p"}),
        (TO_PERSON, f"{SEND}?receive_id_type=open_id", {"receive_id": "ou_ann"}),
    ],
    ids=["reply", "reply without an end", "no question", "old question", "not Lark's", "direct", "person"],
)
def test_an_answer_goes_where_it_belongs(
    vendor: Vendor, say: Say, place: Place, path: str, address: dict[str, str]
) -> None:
    assert say(place) == Receipt("om_a1")
    assert paths(vendor) == [TOKEN_PATH, path]
    _, body, headers = vendor.calls[1]
    assert isinstance(body["content"], str), "content is a string that holds JSON"
    assert json.loads(body.pop("content")) == card(DOCUMENT)
    assert body == {"msg_type": "interactive", "uuid": "cb-1-abc", **address}
    assert headers["authorization"] == "Bearer t-1"
    assert headers["content-type"] == "application/json; charset=utf-8"


def test_the_token_is_asked_for_once(vendor: Vendor, say: Say) -> None:
    say(IN_CHAT)
    say(IN_CHAT)
    assert paths(vendor).count(TOKEN_PATH) == 1
    assert vendor.asked(TOKEN_PATH) == [{"app_id": "cli_a1", "app_secret": "s3cr3t"}]


@pytest.mark.parametrize("code", [99991661, 99991663, 99991664])
def test_a_refused_token_is_replaced_once(vendor: Vendor, say: Say, code: int) -> None:
    vendor.script[SEND] = [refused(code), SENT]
    assert say(IN_CHAT) == Receipt("om_a1")
    assert [headers.get("authorization") for path, _, headers in vendor.calls if path.startswith(SEND)] == [
        "Bearer t-1",
        "Bearer t-2",
    ]


def test_a_token_that_is_refused_again_is_no_loop(vendor: Vendor, say: Say) -> None:
    vendor.script[SEND] = [OVER]
    error = failure(say)
    assert (error.reason, error.permanent) == ("no_token", False)
    assert len(vendor.calls) == 4


@pytest.mark.parametrize(
    ("answer", "reason", "permanent"),
    [
        (refused(10014, 200), "credentials", True),
        (refused(10003, 200), "credentials", True),
        (refused(99991400), "rate_limited", False),
        (refused(1, 200), "no_token", False),
        (token(""), "no_token", False),
        (token("é"), "no_token", False),
        ((200, b"<html>"), "not_an_answer", False),
        ((0, None), "unreachable", False),
    ],
)
def test_why_there_is_no_token_is_told_apart(
    vendor: Vendor, say: Say, answer: Answer, reason: str, permanent: bool
) -> None:
    vendor.script[TOKEN_PATH] = [answer]
    error = failure(say)
    assert (error.reason, error.permanent, error.unknown) == (reason, permanent, False)
    assert "s3cr3t" not in str(error.say)
    assert paths(vendor) == [TOKEN_PATH]


@pytest.mark.parametrize("expire", [7200, 60, 0, -1, None, "7200", True, 10**9])
def test_any_lifetime_of_a_token_is_got_along_with(vendor: Vendor, say: Say, expire: object) -> None:
    vendor.script[TOKEN_PATH] = [token("t-1", expire=expire)]
    say(IN_CHAT)
    say(IN_CHAT)
    assert paths(vendor).count(TOKEN_PATH) == 1


@pytest.mark.parametrize("code", [code for code in REFUSALS if REFUSALS[code].reason not in ("card", "too_long")])
@pytest.mark.parametrize("status", [200, 400])
def test_a_refusal_is_read_from_the_body_whatever_the_status(vendor: Vendor, say: Say, code: int, status: int) -> None:
    vendor.script[SEND] = [refused(code, status)]
    error, wanted = failure(say), REFUSALS[code]
    assert (error.reason, error.permanent, error.say) == (wanted.reason, wanted.permanent, wanted.say)
    assert not error.unknown


TEMPORARY = {230020, 99991400, 99991661, 99991663, 99991664}


def test_only_limits_and_tokens_are_worth_another_try() -> None:
    assert {code for code, refusal in REFUSALS.items() if not refusal.permanent} == TEMPORARY


@pytest.mark.parametrize(
    ("answer", "reason", "permanent"),
    [
        (refused(230020), "rate_limited", False),
        (refused("230020"), "rate_limited", False),
        (refused(1, 429), "rate_limited", False),
        (refused(123456), "refused", True),
        (refused(123456, 200), "refused", True),
        (refused(123456, 500), "refused", False),
        (refused(0, 500), "not_an_answer", False),
        ((200, {"msg": "success"}), "not_an_answer", False),
        ((200, []), "not_an_answer", False),
        ((200, b"<html>please sign in</html>"), "not_an_answer", False),
        ((502, b"bad gateway"), "not_an_answer", False),
    ],
)
def test_unknown_answers_are_judged_with_care(
    vendor: Vendor, say: Say, answer: Answer, reason: str, permanent: bool
) -> None:
    vendor.script[SEND] = [answer]
    error = failure(say)
    assert (error.reason, error.permanent, error.unknown) == (reason, permanent, False)


def test_no_answer_may_have_arrived_and_the_next_try_carries_the_same_key(vendor: Vendor, say: Say) -> None:
    vendor.script[SEND] = [(0, None), SENT]
    assert failure(say).unknown
    say(IN_CHAT)
    assert [body["uuid"] for body in vendor.asked(SEND)] == ["cb-1-abc", "cb-1-abc"]


@pytest.mark.parametrize("code", [230011, 230110])
def test_the_answer_to_a_withdrawn_question_goes_to_the_chat(vendor: Vendor, say: Say, code: int) -> None:
    vendor.script[REPLY] = [refused(code)]
    assert say(IN_GROUP) == Receipt("om_a1")
    assert paths(vendor) == [TOKEN_PATH, REPLY, f"{SEND}?receive_id_type=chat_id"]


def test_any_other_refusal_of_a_reply_is_final(vendor: Vendor, say: Say) -> None:
    vendor.script[REPLY] = [refused(230002)]
    assert failure(say, IN_GROUP).reason == "not_in_group"
    assert paths(vendor) == [TOKEN_PATH, REPLY]


@pytest.mark.parametrize("code", [230099, 230025])
@pytest.mark.parametrize(("place", "path"), [(IN_GROUP, REPLY), (IN_CHAT, SEND)])
def test_a_refused_card_is_said_as_plain_text(vendor: Vendor, say: Say, code: int, place: Place, path: str) -> None:
    vendor.script[path] = [refused(code), SENT]
    assert say(place) == Receipt("om_a1")
    first, second = vendor.asked(path)
    assert (first["msg_type"], second["msg_type"]) == ("interactive", "text")
    assert json.loads(second["content"]) == {"text": "Hello\na *b* ＜at id=all>＜/at>"}
    assert second["uuid"] == first["uuid"]


def test_a_text_that_is_refused_too_is_not_tried_again(vendor: Vendor, say: Say) -> None:
    vendor.script[SEND] = [refused(230099)]
    assert failure(say).reason == "card"
    assert len(vendor.asked(SEND)) == 2


@pytest.mark.parametrize("char", ["x", "告", "\U0001f6a8", '"', "\\", "\n"])
def test_what_is_said_stays_within_the_limits(vendor: Vendor, say: Say, char: str) -> None:
    long = Document("Hello", (Paragraph(char * 60_000), Facts(tuple((f"k{n}", char * 500) for n in range(100)))))
    vendor.script[SEND] = [refused(230025), SENT]
    say(IN_CHAT, long)
    drawn, plain = vendor.asked(SEND)
    assert len(encoded(drawn)) <= BODY_MAX_BYTES
    assert len(encoded(plain)) <= TEXT_MAX_BYTES
    assert json.loads(drawn["content"])["header"]["title"]["content"] == "Hello"


def test_who_has_no_id_cannot_be_written_to(vendor: Vendor, say: Say) -> None:
    assert failure(say, replace(TO_PERSON, person="")).reason == "no_recipient"
    assert vendor.calls == []


def test_without_an_app_nothing_is_said(vendor: Vendor) -> None:
    with pytest.raises(DeliveryError) as caught:
        PLATFORMS["lark"].say(DOCUMENT, "en", IN_CHAT, Speaker(Http(), NOW, "k"))
    assert (caught.value.reason, caught.value.permanent) == ("not_configured", True)


def test_the_international_edition_is_another_host() -> None:
    settings = Settings(_env_file=None, lark_api_url="https://open.larksuite.com")
    assert Http().host_header(HOST + SEND) == "open.feishu.cn"
    assert Http(overrides(settings)).host_header(HOST + SEND) == "open.larksuite.com"


# ---- in the place of an own message


@pytest.fixture
def lark() -> Iterator[tuple[StandIns, Say]]:
    """The strict stand-in, and a way to speak there."""
    world = World(NOW.timestamp)
    world.add_group("lark", "oc_1", "oncall", ["ou_ann"])
    world.add_app("lark", "cli_a1", "s3cr3t", "t01")
    with StandIns(world) as stand_ins:
        http = Http({"https://open.feishu.cn": stand_ins.url})
        tokens = TenantTokens("cli_a1", "s3cr3t")
        app = LarkCredentials("cli_a1", tokens, OwnId(tokens))

        def one(replaces: str, document: Document, key: str = "k") -> Receipt:
            place = replace(IN_CHAT, replaces=replaces)
            return PLATFORMS["lark"].say(document, "en", place, Speaker(http, NOW, key, app))

        yield stand_ins, one
        http.close()


def kinds(stand_ins: StandIns) -> list[str]:
    return [event.kind for event in stand_ins.world.events]


def test_an_own_message_is_changed_in_place(lark: tuple[StandIns, Say]) -> None:
    stand_ins, say = lark
    first = say("", DOCUMENT)
    assert say(first.reference, Document("Done", buttons=(Button("Again", "x", token="t"),))) == first
    said, update = stand_ins.world.events
    assert (said.kind, update.kind, update.ref, update.place) == ("say", "update", first.reference, "oc_1")
    assert update.body["content"] == card(Document("Done", buttons=(Button("Again", "x", token="t"),)))


@pytest.mark.parametrize("code", [230011, 230110, 230031, 230001, 230099, 230025, 777])
def test_what_cannot_be_changed_is_said_anew(lark: tuple[StandIns, Say], code: int) -> None:
    stand_ins, say = lark
    first = say("", DOCUMENT)
    stand_ins.world.fault("lark:update", Refused(code))
    second = say(first.reference, Document("Done"), "k2")
    assert second.reference not in ("", first.reference)
    assert kinds(stand_ins) == ["say", "say"]


@pytest.mark.parametrize("handle", ["om_unknown", "../../x", "a/b", "é"])
def test_a_message_that_is_not_ours_is_left_alone(lark: tuple[StandIns, Say], handle: str) -> None:
    stand_ins, say = lark
    say(handle, DOCUMENT)
    assert kinds(stand_ins)[-1] == "say"


@pytest.mark.parametrize(
    "fault", [Refused(230020), Refused(99991400), Broken(500), Broken(502), Drop(), Drop(after=True)]
)
def test_what_may_work_later_is_not_said_twice(lark: tuple[StandIns, Say], fault: Any) -> None:
    stand_ins, say = lark
    first = say("", DOCUMENT)
    stand_ins.world.fault("lark:update", fault)
    with pytest.raises(DeliveryError) as caught:
        say(first.reference, Document("Done"))
    assert not caught.value.permanent
    assert say(first.reference, Document("Done")) == first
    assert set(kinds(stand_ins)[1:]) == {"update"}


def test_buttons_are_drawn_only_where_presses_can_be_proven() -> None:
    assert PLATFORMS["lark"].forms
    settings = Settings(_env_file=None, lark_app_id="cli_a1", lark_app_secret="s3cr3t")
    assert PLATFORMS["lark"].buttons(credentials(settings)) == ""
    for proof in ("lark_encrypt_key", "lark_verification_token"):
        assert PLATFORMS["lark"].buttons(credentials(settings.model_copy(update={proof: "x"}))) == "press"
