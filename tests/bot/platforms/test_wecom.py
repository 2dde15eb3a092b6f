"""WeCom's messages decoded: the app's XML, the robot's JSON, and where in a text the robot is mentioned."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from bot.markup.wecom_card import DONE
from bot.platforms import wecom_app, wecom_robot
from bot.platforms.contract import Incoming, Press
from bot.platforms.wecom import WeComCredentials, app_envelope, buttons, credentials, private, robot_envelope
from bot.platforms.wecom_mention import without_mention
from bot.platforms.wecom_people import user_of
from bot.platforms.wecom_xml import fields
from bot.settings import Settings
from handlers.errors import PayloadError

VECTORS = json.loads((Path(__file__).parents[2] / "fixtures" / "vectors" / "wecom.json").read_text("utf-8"))
MESSAGES = {one["name"]: one["msg"] for one in VECTORS["positive"]}
CORP = "ww01"
NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
RESPONSE = "https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=RC1"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def app(**changes: str) -> Incoming | None:
    values = {
        "ToUserName": CORP,
        "FromUserName": "zhangsan",
        "CreateTime": "1700000000",
        "MsgType": "text",
        "Content": " help ",
        "MsgId": "7000000000000000001",
        "AgentID": "1000002",
        **changes,
    }
    return wecom_app.decode({name: value for name, value in values.items() if value != "-"}, CORP)


def robot(**changes: Any) -> Incoming | None:
    values = {
        "msgid": "CAIQ16HMjQYY",
        "aibotid": "AIB1",
        "chatid": "wrGROUP1",
        "chattype": "group",
        "from": {"userid": "zhangsan"},
        "response_url": RESPONSE,
        "msgtype": "text",
        "text": {"content": "@值班机器人 verify 123456"},
        **changes,
    }
    return wecom_robot.decode({name: value for name, value in values.items() if value is not None}, CORP, NOW)


def test_a_message_to_the_app() -> None:
    assert app() == Incoming(
        platform="wecom",
        message_id="7000000000000000001",
        person="wecom:ww01/zhangsan",
        name="",
        conversation="wecom:ww01/app/zhangsan",
        direct=True,
        text="help",
    )


def test_a_message_to_the_robot_in_a_group() -> None:
    assert robot() == Incoming(
        platform="wecom",
        message_id="CAIQ16HMjQYY",
        person="wecom:ww01/zhangsan",
        name="",
        conversation="wecom:ww01/wrGROUP1",
        direct=False,
        text="verify 123456",
        reply_url=RESPONSE,
        reply_until=NOW + timedelta(hours=1),
        inline="buttons",
    )


def test_a_message_to_the_robot_one_to_one_is_taken_as_it_is() -> None:
    found = robot(chattype="single", chatid=None, text={"content": "@all contact list"})
    assert found is not None
    assert (found.conversation, found.direct, found.text) == ("wecom:ww01/single/zhangsan", True, "@all contact list")


def test_the_documented_messages_are_understood() -> None:
    for name in ("ascii_app", "chinese_app"):
        message = fields(MESSAGES[name])
        found = wecom_app.decode(message, message["ToUserName"])
        assert found is not None
        assert found.text == message["Content"].strip()
    found = wecom_robot.decode(json.loads(MESSAGES["bot_text_json"]), CORP, NOW)
    assert found is not None
    assert found.conversation == "wecom:ww01/wrCHAT1"
    assert found.reply_url


@pytest.mark.parametrize("chattype", [None, "", "GROUP", 1])
def test_a_place_that_is_not_surely_one_to_one_is_a_group(chattype: object) -> None:
    found = robot(chattype=chattype)
    assert found is not None
    assert not found.direct
    assert robot(chattype=chattype, chatid=None) is None


@pytest.mark.parametrize("sender", ["sys", "@all", "a|b", "", "-", "x" * 65, "a b", "a/b", "用户"])
def test_senders_that_nobody_could_answer_are_left_out(sender: str) -> None:
    assert app(FromUserName=sender) is None
    assert robot(**{"from": {"userid": sender}}) is None
    assert user_of(f"wecom:{CORP}/{sender}") == ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"msgtype": "voice", "voice": {"content": "contact list"}}, "contact list"),
        ({"msgtype": "image", "image": {"url": "https://x"}, "text": None}, ""),
        (
            {
                "msgtype": "mixed",
                "mixed": {
                    "msg_item": [
                        {"msgtype": "text", "text": {"content": "contact"}},
                        {"msgtype": "image", "image": {"url": "x"}},
                        {"msgtype": "text", "text": {"content": "list"}},
                    ]
                },
            },
            "contact list",
        ),
        ({"msgtype": "mixed", "mixed": {"msg_item": "x"}}, ""),
        ({"text": {"content": 5}}, ""),
        ({"text": "help"}, ""),
        ({"quote": {"msgtype": "text", "text": {"content": "contact remove Ann"}}}, "verify 123456"),
        ({"text": {"content": "help\u0000"}}, "help"),
    ],
)
def test_what_was_said_by_the_kind_of_message(changes: dict[str, Any], text: str) -> None:
    found = robot(**changes)
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize(
    "url",
    [
        None,
        5,
        "",
        "http://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x",
        "https://qyapi.weixin.qq.com.evil.example/cgi-bin/aibot/response?response_code=x",
        "https://evil.example/cgi-bin/aibot/response?response_code=x",
        "https://qyapi.weixin.qq.com:8443/cgi-bin/aibot/response?response_code=x",
        "https://a@qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=x",
        "https://qyapi.weixin.qq.com/other?response_code=x",
        "https://qyapi.weixin.qq.com/cgi-bin/aibot/response",
    ],
)
def test_only_wecoms_own_address_is_an_address_for_the_answer(url: object) -> None:
    found = robot(response_url=url)
    assert found is not None
    assert found.reply_url == ""


def test_events_have_an_id_made_of_who_when_and_what() -> None:
    def click(**changes: str) -> str:
        found = app(**{"MsgType": "event", "Event": "click", "EventKey": "help", "MsgId": "-", **changes})
        assert found is not None
        assert found.text == changes.get("EventKey", "help")
        return found.message_id

    assert click() == click()
    assert len({click(), click(EventKey="me"), click(CreateTime="1700000001"), click(FromUserName="lisi")}) == 4
    assert app(MsgType="event", Event="subscribe", MsgId="-") is None
    assert robot(msgtype="event", event={"eventtype": "enter_chat"}) is None
    assert robot(msgtype="stream", stream={"id": "x"}) is None


def click(**changes: str) -> Incoming | None:
    values = {"EventKey": "to.ken", "TaskId": "cb-1-abc", "ResponseCode": "RC1", "CardType": "button_interaction"}
    return app(
        **{"MsgType": "event", "Event": "template_card_event", "MsgId": "-", "Content": "-", **values, **changes}
    )


def robot_click(**changes: Any) -> Incoming | None:
    inner = {"card_type": "button_interaction", "event_key": "to.ken", "task_id": "cb-1", **changes}
    inner = {name: value for name, value in inner.items() if value is not None}
    event = {"eventtype": "template_card_event", "template_card_event": inner}
    return robot(msgtype="event", text=None, event=event)


def test_a_button_of_the_apps_card_is_known_by_its_card_and_a_code_that_works_once() -> None:
    found = click()
    assert found is not None
    assert found.press == Press("to.ken", handle="cb-1-abc RC1")
    assert (found.conversation, found.direct, found.text, found.inline) == ("wecom:ww01/app/zhangsan", True, "", "")
    ids = {one.message_id for one in (click(), click(TaskId="x"), click(EventKey="y"), click(FromUserName="li")) if one}
    assert len(ids) == 4
    assert "to.ken" not in repr(found)


@pytest.mark.parametrize("changes", [{"TaskId": "-"}, {"ResponseCode": "-"}, {"ResponseCode": "a b"}, {"TaskId": "任"}])
def test_a_card_that_cannot_be_named_is_not_changed(changes: dict[str, str]) -> None:
    found = click(**changes)
    assert found is not None
    assert found.press is not None
    assert found.press.handle == ""


def test_a_button_of_the_robots_card_wants_its_answer_in_the_response() -> None:
    for found in (robot_click(), robot_click(event_key=None, eventkey="to.ken", task_id=None, taskid="cb-1")):
        assert found is not None
        assert found.press == Press("to.ken", handle="cb-1")
        assert (found.conversation, found.inline, found.reply_url) == ("wecom:ww01/wrGROUP1", "always", RESPONSE)


def test_the_button_that_does_nothing_is_no_press() -> None:
    event = {"FromUserName": "zhangsan", "MsgType": "event", "Event": "template_card_event", "CreateTime": "1700000000"}
    assert wecom_app.decode({**event, "EventKey": DONE, "TaskId": "t", "ResponseCode": "r"}, CORP) is None
    assert robot_click(event_key=DONE) is None
    with pytest.raises(PayloadError):
        robot_click(event_key=None)


@pytest.mark.parametrize("changes", [{"MsgType": "-"}, {"ToUserName": "ww02"}, {"MsgId": "-", "CreateTime": "-"}])
def test_a_broken_message_to_the_app_is_named(changes: dict[str, str]) -> None:
    with pytest.raises(PayloadError):
        app(**changes)


@pytest.mark.parametrize("changes", [{"msgtype": None}, {"msgid": None}, {"msgid": 5}, {"msgid": "a b"}])
def test_a_broken_message_to_the_robot_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(PayloadError):
        robot(**changes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@tried(deadline=None)
@given(JSON)
def test_any_json_is_a_message_or_nothing_or_named(value: Any) -> None:
    body = {"msgtype": "text", "from": {"userid": "a"}, "msgid": "m", "chattype": "group", "chatid": "c"}
    for changed in (value, *({**body, name: value} for name in (*body, "text", "response_url", "quote"))):
        with contextlib.suppress(PayloadError):
            wecom_robot.decode(changed, CORP, NOW)


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("@值班机器人 verify 123456", "verify 123456"),
        ("@值班机器人  verify 123456", "verify 123456"),
        ("@值班机器人\u2005verify 123456", "verify 123456"),
        ("@值班机器人\u3000帮助", "帮助"),
        ("@On Call Bot contact list", "contact list"),
        ("@On Call Bot 123456", "123456"),
        ("@On Call Bot yes", "yes"),
        ("@wang @值班机器人 ack 5", "ack 5"),
        ("help @值班机器人", "help"),
        ("help @On Call Bot", "help"),
        ("contact add @Bot Ann 13800138000", "contact add Ann 13800138000"),
        ("contact add Ann ann@example.com @Bot", "contact add Ann ann@example.com"),
        ("@Bot contact add Ann ann@example.com", "contact add Ann ann@example.com"),
        ("@Bot admin add @wang", "admin add @wang"),
        ("@Bot don't ack 5", "don't ack 5"),
        ("@Bot one two three four ack 5", "one two three four ack 5"),
        ("@Bot Zhang Wei", "Zhang Wei"),
        ("@Bot", ""),
        ("", ""),
        ("help", "help"),
    ],
)
def test_the_robots_name_is_found_without_being_known(said: str, command: str) -> None:
    found = robot(text={"content": said})
    assert found is not None
    assert found.text == command


@given(st.text(alphabet="@ a帮助help\u3000\u2005.", max_size=60))
def test_a_mention_is_looked_for_in_any_text(text: str) -> None:
    found = without_mention(text, lambda candidate: candidate.startswith("help"))
    assert len(found) <= len(text)


def settings(**values: str) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]  # text, as from the environment


def test_what_is_configured_decides_what_speaks_and_hears() -> None:
    heard = {"wecom_token": "t", "wecom_aes_key": KEY}
    robot_heard = {"wecom_bot_token": "t", "wecom_bot_aes_key": KEY}
    spoken = {"wecom_secret": "the-secret", "wecom_agent_id": "1000002"}
    corp = {"wecom_corp_id": CORP}
    assert credentials(settings(**heard, **robot_heard, **spoken)) is None, "nobody can be named without the corp id"
    assert credentials(settings(**corp)) is None
    whole = credentials(settings(**corp, **heard, **spoken))
    assert isinstance(whole, WeComCredentials)
    assert whole.app is not None
    assert whole.app.agent_id == 1000002
    assert private(whole) == {"wecom"}
    assert (whole.app.hears, whole.robot, buttons(whole)) == (True, False, "press")
    deaf = credentials(settings(**corp, **spoken))
    assert deaf is not None
    assert deaf.app is not None
    assert (deaf.app.hears, buttons(deaf), buttons(None)) == (False, "", "")
    assert "the-secret" not in repr(whole)
    alone = credentials(settings(**corp, **robot_heard))
    assert alone is not None
    assert alone.app is None
    assert buttons(alone) == "press"
    assert private(alone) == private(None) == frozenset()
    found = app_envelope(settings(**corp, **heard))
    assert found is not None
    assert found.receiver == CORP
    found = robot_envelope(settings(**corp, **robot_heard))
    assert found is not None
    assert found.receiver == ""
    assert app_envelope(settings(**corp)) is robot_envelope(settings(**robot_heard)) is None
