"""Events of Lark: who said what where, with whom mentioned."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.platforms import PLATFORMS
from bot.platforms.contract import Incoming
from bot.platforms.lark import credentials, decode, is_for
from bot.settings import Settings
from handlers.errors import PayloadError

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "vectors" / "lark.json").read_text(encoding="utf-8")
)
KNOWN = {row["name"]: row["plaintext"] for row in VECTORS["encryption"]["positive"]}
BOT, ANN, BOB = "ou_bot", "ou_ann", "ou_bob"
SENT_AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def knows() -> str:
    return BOT


def knows_not() -> str:
    return ""


def mention(number: int, open_id: str, kind: str | None = "user", **more: Any) -> dict[str, Any]:
    ids = {"open_id": open_id, "union_id": f"on_{number}", "user_id": ""}
    whole = {"key": f"@_user_{number}", "id": ids, "name": open_id.removeprefix("ou_"), "tenant_key": "t01"}
    return whole | ({"mentioned_type": kind} if kind else {}) | more


def body(content: Any = None, kind: str = "text", *mentions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A group message; `changes` are to the message."""
    content = {"text": "@_user_1 help"} if content is None else content
    message: dict[str, Any] = {
        "message_id": "om_1",
        "create_time": "1700000000000",
        "chat_id": "oc_1",
        "chat_type": "group",
        "message_type": kind,
        "content": json.dumps(content, ensure_ascii=False),
        "mentions": list(mentions or (mention(1, BOT, "bot"),)),
    }
    header = {"event_id": "e1", "event_type": "im.message.receive_v1", "tenant_key": "t01", "app_id": "cli_a1"}
    sender = {"sender_id": {"open_id": ANN, "union_id": "on_9"}, "sender_type": "user", "tenant_key": "t01"}
    return {"schema": "2.0", "header": header, "event": {"sender": sender, "message": message | changes}}


def said(*args: Any, own: Callable[[], str] = knows, **changes: Any) -> Incoming:
    found = decode(body(*args, **changes), own)
    assert found is not None
    return found


def test_the_platform_is_in_the_table() -> None:
    assert PLATFORMS["lark"].private
    assert PLATFORMS["lark"].budgets[0].count < 5, "five a second are shared by all bots of a group"


def test_the_known_event_is_read() -> None:
    found = decode(json.loads(KNOWN["im.message.receive_v1 with Chinese text"]), knows_not)
    assert found is not None
    assert found.text == "添加联系人 张三 13800000000"
    assert found.person == "lark:1a2b3c4d5e6f7081/ou_11112222333344445555666677778888"
    assert found.conversation == "lark:1a2b3c4d5e6f7081/oc_99998888777766665555444433332222"
    assert (found.message_id, found.event_id) == (
        "om_aaaabbbbccccddddeeeeffff00001111",
        "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    )
    assert (found.direct, found.addressed, found.mentions) == (False, True, ())


def test_the_known_click_is_ignored() -> None:
    assert decode(json.loads(KNOWN["card.action.trigger"]), knows) is None


def test_a_group_message_names_everything_an_answer_needs() -> None:
    assert said() == Incoming(
        platform="lark",
        message_id="om_1",
        event_id="e1",
        person="lark:t01/ou_ann",
        name="",
        conversation="lark:t01/oc_1",
        direct=False,
        text="help",
        addressed=True,
        reply_url="https://open.feishu.cn/open-apis/im/v1/messages/om_1/reply",
        reply_until=SENT_AT.replace(minute=23),
    )


def test_one_to_one_nobody_needs_to_mention_the_bot() -> None:
    found = said({"text": "help"}, chat_type="p2p", mentions=[])
    assert (found.direct, found.addressed, found.reply_url) == (True, True, "")
    assert said({"text": "help"}, mentions=[]).addressed is False


def test_the_tenant_of_a_guest_is_their_own() -> None:
    whole = body()
    whole["event"]["sender"]["tenant_key"] = "t99"
    found = decode(whole, knows)
    assert found is not None
    assert (found.person, found.conversation) == ("lark:t99/ou_ann", "lark:t01/oc_1")


# ---- mentions

PAIR = (mention(1, BOT, "bot"), mention(2, BOB))


@pytest.mark.parametrize(
    ("text", "mentions", "left", "people"),
    [
        ("@_user_1 verify 123456", PAIR[:1], "verify 123456", ()),
        ("@_user_1verify 123456", PAIR[:1], "verify 123456", ()),
        ("@_user_1添加联系人 张三", PAIR[:1], "添加联系人 张三", ()),
        ("admin add @_user_2 @_user_1", PAIR, "admin add", (("lark:t01/ou_bob", "bob"),)),
        ("@_user_1 @_user_1 help", PAIR[:1], "help", ()),
        ("@_user_1 who @_user_10", (*PAIR[:1], mention(10, BOB)), "who", (("lark:t01/ou_bob", "bob"),)),
        ("@_user_10 @_user_1 x", (mention(10, BOB), *PAIR[:1]), "x", (("lark:t01/ou_bob", "bob"),)),
        ("@_user_1 x @_user_10", PAIR[:1], "x @_user_10", ()),
        ("@_user_1 x @_user_2 @_user_3", (*PAIR, mention(3, BOB)), "x", (("lark:t01/ou_bob", "bob"),)),
        ("@_user_1 x @_user_2", (PAIR[0], mention(2, "ou_other_bot", "bot")), "x", ()),
        ("@_user_1 x @_user_2", (PAIR[0], mention(2, BOB, tenant_key="t99")), "x", (("lark:t99/ou_bob", "bob"),)),
        ("@_user_1 x @_user_2", (PAIR[0], mention(2, BOB, id="ou_bob")), "x", (("lark:t01/ou_bob", "bob"),)),
        ("@_user_1 @_all x", PAIR[:1], "x", ()),
        ("@_user_1 x @_allies y", PAIR[:1], "x @_allies y", ()),
    ],
)
def test_placeholders_become_people_and_leave_the_text(
    text: str, mentions: tuple[dict[str, Any], ...], left: str, people: tuple[tuple[str, str], ...]
) -> None:
    found = said({"text": text}, "text", *mentions)
    assert (" ".join(found.text.split()), found.mentions, found.addressed) == (left, people, True)


def test_everyone_is_not_the_bot() -> None:
    found = said({"text": "@_all dinner is ready"}, mentions=[])
    assert (found.addressed, found.text) == (False, "dinner is ready")


def test_somebody_else_mentioned_is_not_the_bot() -> None:
    found = said({"text": "@_user_1 help"}, "text", mention(1, BOB, None))
    assert (found.addressed, found.mentions) == (False, (("lark:t01/ou_bob", "bob"),))
    assert not said({"text": "@_user_1 help"}, "text", mention(1, "ou_other_bot", "bot")).addressed


@pytest.mark.parametrize(
    ("mentions", "addressed", "people"),
    [
        ((mention(1, BOB), mention(2, BOT, "bot")), True, ["lark:t01/ou_bob"]),
        ((mention(1, BOB),), False, ["lark:t01/ou_bob"]),
        ((mention(1, BOT, None), mention(2, BOB, None)), True, ["lark:t01/ou_bob"]),
        (
            (mention(1, BOB, None, id={"open_id": BOB, "user_id": "b1"}), mention(2, BOT, None)),
            True,
            ["lark:t01/ou_bob"],
        ),
    ],
    ids=["said to be a bot", "said to be a person", "the first", "the one without a user id"],
)
def test_while_it_does_not_know_itself_it_goes_by_what_lark_says(
    mentions: tuple[dict[str, Any], ...], addressed: bool, people: list[str]
) -> None:
    found = said({"text": "@_user_1 @_user_2 x"}, "text", *mentions, own=knows_not)
    assert (found.addressed, [person for person, _name in found.mentions]) == (addressed, people)


def test_one_to_one_a_mention_is_never_guessed_to_be_the_bot() -> None:
    found = said({"text": "admin add @_user_1"}, "text", mention(1, BOB, None), chat_type="p2p", own=knows_not)
    assert found.mentions == (("lark:t01/ou_bob", "bob"),)


def test_who_it_is_is_asked_only_where_somebody_is_mentioned() -> None:
    def asked() -> str:
        raise AssertionError("asked")

    assert said({"text": "123456"}, mentions=[], own=asked).text == "123456"


# ---- kinds of messages

LINE = [{"tag": "at", "user_id": "@_user_1", "user_name": "Callboard"}, {"tag": "text", "text": " contact add Ann "}]
URL = "https://oapi.dingtalk.com/robot/send?access_token=x"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"title": "", "content": [LINE]}, "contact add Ann"),
        ({"zh_cn": {"title": "", "content": [LINE]}}, "contact add Ann"),
        ({"title": "contact", "content": [[{"tag": "text", "text": "add Ann"}]]}, "contact\nadd Ann"),
        ({"content": [LINE, [{"tag": "text", "text": "13800138000"}]]}, "contact add Ann \n13800138000"),
        ({"content": [[*LINE, {"tag": "a", "text": URL, "href": URL}]]}, f"contact add Ann {URL}"),
        ({"content": [[*LINE, {"tag": "a", "text": "the robot", "href": URL}]]}, f"contact add Ann {URL}"),
        ({"content": [[*LINE, {"tag": "a", "text": "ann@b.cn", "href": "mailto:ann@b.cn"}]]}, "contact add Ann ann@b.cn"),
        ({"content": [[*LINE, {"tag": "img", "image_key": "k"}, {"tag": "emotion"}]]}, "contact add Ann"),
        ({"content": [[*LINE, {"tag": "md", "text": "**x**"}]]}, "contact add Ann **x**"),
        ({"content": [[*LINE, None, 5], "x", None]}, "contact add Ann"),
        ({"content": {}}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_rich_text_is_read(content: Any, text: str) -> None:
    assert said(content, "post").text == text


@pytest.mark.parametrize("kind", ["image", "file", "audio", "sticker", "interactive", "share_chat", "", 5])
def test_what_has_no_words_is_heard_without_any(kind: Any) -> None:
    assert said({"text": "no", "image_key": "k"}, kind).text == ""


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '"x"', '{"text":5}', '{"text":null}', "[" * 5000, 5, None, {}]
)
def test_content_that_is_not_the_documented_string_holds_no_words(content: Any) -> None:
    whole = body()
    whole["event"]["message"]["content"] = content
    found = decode(whole, knows)
    assert found is not None
    assert found.text == ""


def test_unseen_characters_and_blanks_at_the_ends_go() -> None:
    assert said({"text": "@_user_1\u200b \x00help\u2060 \n"}).text == "help"


# ---- what is no message of a person


@pytest.mark.parametrize(
    "event_type",
    ["card.action.trigger", "im.chat.member.bot.added_v1", "im.message.message_read_v1", "", None, 5, [], {}],
)
def test_other_events_are_ignored(event_type: Any) -> None:
    whole = body()
    whole["header"]["event_type"] = event_type
    assert decode(whole, knows) is None


def test_events_of_the_old_form_are_ignored() -> None:
    assert decode({"uuid": "u", "type": "event_callback", "event": {"type": "message", "text": "help"}}, knows) is None


@pytest.mark.parametrize("kind", ["app", "bot", "anonymous"])
def test_what_bots_say_is_not_heard(kind: str) -> None:
    whole = body()
    whole["event"]["sender"]["sender_type"] = kind
    assert decode(whole, knows) is None


def test_a_person_without_an_id_is_nobody() -> None:
    for ids in ({}, {"open_id": ""}, {"open_id": 5}, {"open_id": "a/b"}, None, 5):
        whole = body()
        whole["event"]["sender"]["sender_id"] = ids
        found = decode(whole, knows)
        assert found is not None
        assert found.person == ""


@pytest.mark.parametrize(
    ("path", "name", "wrong"),
    [
        ("$.event.message.message_id", "message_id", [None, "", 5, "a/b", "x" * 101, "../x", "a b", "a?b"]),
        ("$.event.message.chat_id", "chat_id", [None, "", {}, "a/b", "x" * 101]),
    ],
)
def test_what_cannot_be_done_without_is_named(path: str, name: str, wrong: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(PayloadError) as caught:
            decode(body(**{name: value}), knows)
        assert caught.value.path == path
    whole = body()
    whole["header"]["tenant_key"] = whole["event"]["sender"]["tenant_key"] = ""
    with pytest.raises(PayloadError) as caught:
        decode(whole, knows)
    assert caught.value.path == "$.header.tenant_key"


def test_an_event_of_another_app_is_told_apart() -> None:
    assert is_for(body(), "cli_a1")
    assert not is_for(body(), "cli_a2")
    assert is_for({"uuid": "u"}, "cli_a2")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_any_value_anywhere_gives_a_message_nothing_or_a_payload_error(data: st.DataObject) -> None:
    whole = copy.deepcopy(body({"text": "@_user_1 help"}, "text", *PAIR))
    part: Any = whole
    while isinstance(part, dict | list) and part:
        keys = sorted(part) if isinstance(part, dict) else range(len(part))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(part[key], dict | list) or data.draw(st.booleans()):
            part[key] = data.draw(JSON)
            break
        part = part[key]
    try:
        found = decode(whole, knows)
    except PayloadError:
        return
    assert found is None or isinstance(found, Incoming)


# ---- settings


def test_credentials_come_from_the_settings_and_show_no_secret() -> None:
    values: dict[str, Any] = {"lark_app_id": "cli_a1", "lark_app_secret": "s3cr3t"}
    proofs: dict[str, Any] = {"lark_encrypt_key": "k3y", "lark_verification_token": "vt_1"}
    app = credentials(Settings(_env_file=None, **values, **proofs))
    assert app is not None
    assert (app.app_id, app.encrypt_key, app.verification_token) == ("cli_a1", "k3y", "vt_1")
    assert not any(secret in repr(app) for secret in ("s3cr3t", "k3y", "vt_1"))
    assert credentials(Settings(_env_file=None)) is None
