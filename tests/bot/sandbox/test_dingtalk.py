"""DingTalk: what its robots, session webhooks and app endpoints refuse and accept, and what a person's client sends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from bot.sandbox.dingtalk_cards import controls
from bot.sandbox.dingtalk_client import DingTalkClient
from bot.sandbox.dingtalk_robots import Style, robot_sign
from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from tests.bot.sandbox.conftest import NOW, PATHS, Clock

VECTORS = json.loads((Path(__file__).parents[2] / "fixtures/vectors/dingtalk.json").read_text("utf-8"))
SEND = PATHS["dingtalk"]
NOTE = "DAS Alarm db-7"
URL = "https://ops.example/a/1"


def markdown(**changes: Any) -> dict[str, Any]:
    return {"msgtype": "markdown", "markdown": {"title": NOTE, "text": f"### {NOTE}"}, **changes}


def action_card(**changes: Any) -> dict[str, Any]:
    return {"msgtype": "actionCard", "actionCard": {"title": NOTE, "text": NOTE, **changes}}


def feed_card(**changes: Any) -> dict[str, Any]:
    return {
        "msgtype": "feedCard",
        "feedCard": {"links": [{"title": NOTE, "messageURL": URL, "picURL": URL, **changes}]},
    }


def link(**changes: Any) -> dict[str, Any]:
    return {"msgtype": "link", "link": {"title": NOTE, "text": NOTE, "messageUrl": URL, **changes}}


BUTTON = {"title": "Ack", "actionURL": URL}

MESSAGES: list[tuple[str, Any, int]] = [
    ("text", {"msgtype": "text", "text": {"content": NOTE}}, 0),
    ("text without content", {"msgtype": "text", "text": {}}, 40035),
    ("text that is empty", {"msgtype": "text", "text": {"content": " "}}, 40035),
    ("text that is a string", {"msgtype": "text", "text": NOTE}, 40035),
    ("text without the keyword", {"msgtype": "text", "text": {"content": "das alarm"}}, 310000),
    ("keyword in bold pieces", {"msgtype": "text", "text": {"content": "**DAS** Alarm"}}, 310000),
    ("markdown", markdown(), 0),
    ("markdown without its key", {"msgtype": "markdown", "text": {"content": NOTE}}, 40035),
    ("markdown with the keyword in the title only", markdown(markdown={"title": NOTE, "text": "db-7"}), 310000),
    ("markdown with the keyword in the text only", markdown(markdown={"title": "db-7", "text": NOTE}), 310000),
    ("markdown without a title", markdown(markdown={"text": NOTE}), 40035),
    ("markdown under msgtype text", {**markdown(), "msgtype": "text"}, 40035),
    ("script link", markdown(markdown={"title": NOTE, "text": f"{NOTE} [x](javascript:alert(1))"}), 430101),
    ("at", markdown(at={"atMobiles": ["13800000001"], "atUserIds": ["0147"], "isAtAll": False}), 0),
    ("at with a bare string", markdown(at={"atMobiles": "13800000001"}), 40035),
    ("at with numbers", markdown(at={"atMobiles": [13800000001]}), 40035),
    ("at all as text", markdown(at={"isAtAll": "true"}), 40035),
    ("at of fifty", markdown(at={"atUserIds": [str(n) for n in range(50)]}), 0),
    ("at of fifty-one", markdown(at={"atUserIds": [str(n) for n in range(51)]}), 40035),
    ("msgUuid as a number", markdown(msgUuid=7), 40035),
    ("action card with one button", action_card(singleTitle="Open", singleURL=URL), 0),
    ("action card with buttons", action_card(btns=[BUTTON, BUTTON], btnOrientation="1"), 0),
    ("action card without buttons", action_card(), 40035),
    ("action card with no button in the list", action_card(btns=[]), 40035),
    ("action card with half a button", action_card(singleTitle="Open"), 40035),
    ("action card with actionUrl", action_card(btns=[{"title": "Ack", "actionUrl": URL}]), 40035),
    ("orientation as a number", action_card(btns=[BUTTON], btnOrientation=1), 40035),
    ("button that is a script", action_card(singleTitle="Open", singleURL="javascript:alert(1)"), 430101),
    (
        "button that sends text",
        action_card(singleTitle="Ack", singleURL="dtmd://dingtalkclient/sendMessage?content=a"),
        0,
    ),
    ("action card as action_card", {"msgtype": "action_card", "action_card": {}}, 400105),
    ("feed card", feed_card(), 0),
    ("feed card with messageUrl", feed_card(messageURL=None, messageUrl=URL), 40035),
    ("feed card without the keyword", feed_card(title="x"), 310000),
    ("link", link(), 0),
    ("link with messageURL", link(messageUrl=None, messageURL=URL), 40035),
    ("no msgtype", {"text": {"content": NOTE}}, 40035),
    ("msgtype as a list", {"msgtype": ["text"]}, 40035),
    ("unknown msgtype", {"msgtype": "image", "image": {}}, 400105),
    ("empty object", {}, 40035),
]


@pytest.mark.parametrize(("name", "message", "code"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_messages(
    name: str, message: Any, code: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    answer = http.post(stand_ins.url + SEND, json=message)
    assert answer.status_code == 200
    assert answer.json()["errcode"] == code
    assert [event.body for event in world.cards("dingtalk")] == ([] if code else [message])


@pytest.mark.parametrize(
    ("method", "path", "kind", "code"),
    [
        ("GET", SEND, "application/json", 43002),
        ("POST", SEND, "application/x-www-form-urlencoded", 43004),
        ("POST", SEND, "text/plain", 43004),
        ("POST", SEND, "application/json;charset=utf-8", 0),
        ("POST", "/robot/send", "application/json", 40035),
        ("POST", "/robot/send?access_token=nobody", "application/json", 300005),
        ("POST", "/robot/sendBySession", "application/json", 40035),
        ("POST", "/robot/sendBySession?session=unknown", "application/json", 300001),
    ],
)
def test_requests_that_reach_no_robot(
    method: str, path: str, kind: str, code: int, stand_ins: StandIns, http: requests.Session
) -> None:
    answer = http.request(method, stand_ins.url + path, data=json.dumps(markdown()), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["errcode"]) == (200, code)


@pytest.mark.parametrize(
    ("style", "words"), [("zh", "错误描述"), ("description", "description:"), ("en", "keywords not")]
)
def test_the_keyword_refusal_in_every_known_wording(
    style: Style, words: str, stand_ins: StandIns, http: requests.Session
) -> None:
    stand_ins.dingtalk.robots.style = style
    answer = http.post(stand_ins.url + SEND, json={"msgtype": "text", "text": {"content": "x"}}).json()
    assert answer["errcode"] == 310000
    assert words in answer["errmsg"]


@pytest.mark.parametrize(("changes", "code"), [({"enabled": False}, 400102), ({"group": "gone"}, 400013)])
def test_a_dead_robot_says_why(
    changes: dict[str, Any], code: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.change_robot("dingtalk", "tok1", **changes)
    assert http.post(stand_ins.url + SEND, json=markdown()).json()["errcode"] == code


def test_a_removed_robot_is_unknown(stand_ins: StandIns, world: World, http: requests.Session) -> None:
    world.remove_robot("dingtalk", "tok1")
    assert http.post(stand_ins.url + SEND, json=markdown()).json()["errcode"] == 300005


def test_size_is_counted_in_bytes_of_the_body(stand_ins: StandIns, http: requests.Session) -> None:
    empty = len(json.dumps(markdown(x="")).encode())
    fits, over = "x" * (20_000 - empty), "x" * (20_001 - empty)
    assert http.post(stand_ins.url + SEND, data=json.dumps(markdown(x=fits)), headers=JSON).json()["errcode"] == 0
    assert http.post(stand_ins.url + SEND, data=json.dumps(markdown(x=over)), headers=JSON).json()["errcode"] == 460101


JSON = {"Content-Type": "application/json"}


def test_the_address_list_lets_only_its_own_in(stand_ins: StandIns, world: World, http: requests.Session) -> None:
    world.change_robot("dingtalk", "tok1", addresses=("10.1.0.0/16",))
    answer = http.post(stand_ins.url + SEND, json=markdown()).json()
    assert (answer["errcode"], "127.0.0.1" in answer["errmsg"]) == (310000, True)
    world.change_robot("dingtalk", "tok1", addresses=("127.0.0.1",))
    assert http.post(stand_ins.url + SEND, json=markdown()).json()["errcode"] == 0


@pytest.mark.parametrize("vector", VECTORS["custom_robot_sign"]["vectors"], ids=lambda vector: vector["name"])
def test_a_right_signature_is_accepted(
    vector: dict[str, Any], stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    clock.now = vector["timestamp_ms"] / 1000
    world.add_robot("dingtalk", "dingtalk-group", "tok123", secret=vector["secret"])
    assert http.post(f"{stand_ins.url}/robot/send?{vector['query']}", json=markdown()).json()["errcode"] == 0
    assert robot_sign(vector["secret"], str(vector["timestamp_ms"])) == vector["sign_base64"]


@pytest.mark.parametrize(
    "mistake", VECTORS["custom_robot_sign"]["mistakes_to_reject"], ids=lambda row: row["name"][:40]
)
def test_a_classic_signature_mistake_is_refused(
    mistake: dict[str, Any], stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    stamp = str(mistake.get("timestamp_ms") or mistake["timestamp_s"])
    clock.now = int(stamp) / (1000 if "timestamp_ms" in mistake else 1)
    world.add_robot("dingtalk", "dingtalk-group", "tok123", secret=mistake["secret"].strip())
    url = f"{stand_ins.url}/robot/send?access_token=tok123&timestamp={stamp}"
    if "query_value" in mistake:
        url += f"&sign={mistake['query_value']}"
    elif "server_would_see" in mistake:
        url += f"&sign={mistake['right_sign_base64']}"
    else:
        url += "&sign=" + quote(mistake["wrong_sign_base64"], safe="")
    answer = http.post(url, json=markdown()).json()
    assert answer["errcode"] == 310000
    assert "签名" in answer["errmsg"]


@pytest.mark.parametrize(
    ("skew_ms", "code"), [(0, 0), (3_600_000, 0), (-3_600_000, 0), (3_600_001, 310000), (-3_600_001, 310000)]
)
def test_a_signature_is_good_for_one_hour(
    skew_ms: int, code: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.change_robot("dingtalk", "tok1", secret="SECabc")
    stamp = str(round(NOW * 1000) + skew_ms)
    signed = {"timestamp": stamp, "sign": robot_sign("SECabc", stamp)}
    assert http.post(stand_ins.url + SEND, params=signed, json=markdown()).json()["errcode"] == code


def test_a_signature_in_headers_or_none_at_all_is_refused(
    stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.change_robot("dingtalk", "tok1", secret="SECabc")
    stamp = str(round(NOW * 1000))
    headers = {"timestamp": stamp, "sign": robot_sign("SECabc", stamp)}
    for given in (headers, {}):
        assert http.post(stand_ins.url + SEND, headers=given, json=markdown()).json()["errcode"] == 310000


def test_the_twenty_first_message_of_a_minute_silences_the_robot_for_ten(
    stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    def send() -> int:
        return int(http.post(stand_ins.url + SEND, json=markdown()).json()["errcode"])

    assert [send() for _ in range(20)] == [0] * 20
    clock.move(59.9)
    assert send() == 130101
    clock.move(599.9)
    assert send() == 130101
    clock.move(0.1)
    assert send() == 0
    assert len(world.cards("dingtalk")) == 21


def test_the_window_slides(stand_ins: StandIns, clock: Clock, http: requests.Session) -> None:
    for _ in range(60):
        assert http.post(stand_ins.url + SEND, json=markdown()).json()["errcode"] == 0
        clock.move(3.0)


def test_the_organisation_s_month_runs_out_and_begins_anew(
    stand_ins: StandIns, clock: Clock, http: requests.Session
) -> None:
    stand_ins.dingtalk.robots.monthly = 2
    codes = [http.post(stand_ins.url + SEND, json=markdown()).json()["errcode"] for _ in range(3)]
    assert codes == [0, 0, 90030]
    clock.move(31 * 86_400)
    assert http.post(stand_ins.url + SEND, json=markdown()).json()["errcode"] == 0


def test_the_same_msg_uuid_is_shown_once(stand_ins: StandIns, world: World, http: requests.Session) -> None:
    for uuid in ("a", "a", "b"):
        assert http.post(stand_ins.url + SEND, json=markdown(msgUuid=uuid)).json()["errcode"] == 0
    assert [event.body["msgUuid"] for event in world.cards("dingtalk")] == ["a", "b"]


# -- the app


@pytest.fixture
def api(stand_ins: StandIns, http: requests.Session) -> requests.Session:
    """A session that carries the app's access token."""
    login = {"appKey": "dingapp01", "appSecret": "app secret"}
    answer = http.post(f"{stand_ins.url}/v1.0/oauth2/accessToken", json=login).json()
    assert answer["expireIn"] == 7200
    http.headers["x-acs-dingtalk-access-token"] = answer["accessToken"]
    return http


@pytest.mark.parametrize(
    "login",
    [
        {"appKey": "dingapp01", "appSecret": "wrong"},
        {"appKey": "nobody", "appSecret": "app secret"},
        {"appkey": "dingapp01", "appsecret": "app secret"},
        {},
    ],
)
def test_bad_credentials_get_no_token(login: dict[str, str], stand_ins: StandIns, http: requests.Session) -> None:
    answer = http.post(f"{stand_ins.url}/v1.0/oauth2/accessToken", json=login)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalidClientIdOrSecret")


def test_a_token_is_the_same_until_it_ends(
    stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    def token() -> str:
        login = {"appKey": "dingapp01", "appSecret": "app secret"}
        return str(http.post(f"{stand_ins.url}/v1.0/oauth2/accessToken", json=login).json()["accessToken"])

    first = token()
    clock.move(7199)
    assert token() == first
    clock.move(7200)
    assert token() != first


SAMPLE = {"robotCode": "dingapp01", "msgKey": "sampleText", "msgParam": '{"content":"hello"}'}


def group_send(api: requests.Session, url: str, **changes: Any) -> requests.Response:
    body = {**SAMPLE, "openConversationId": "dingtalk-group", **changes}
    return api.post(f"{url}/v1.0/robot/groupMessages/send", json=body)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"msgKey": "sampleMarkdown", "msgParam": '{"title":"a","text":"b"}'}, ""),
        ({"msgKey": "sampleMarkdown", "msgParam": '{"title":"a"}'}, "invalidParameter.msgParam.invalid"),
        ({"msgKey": "sampleUnknown"}, "invalidParameter.msgKey.invalid"),
        ({"msgParam": {"content": "x"}}, "invalidParameter.msgParam.invalid"),
        ({"msgParam": '{"content":7}'}, "invalidParameter.msgParam.invalid"),
        ({"msgParam": json.dumps({"content": "x" * 15_000})}, "invalidParameter.msgParam.tooLong"),
        ({"robotCode": "other"}, "invalidParameter.robotCode.auth"),
        ({"openConversationId": "unknown"}, "invalid.openConversationId"),
    ],
)
def test_group_messages(
    changes: dict[str, Any], code: str, api: requests.Session, stand_ins: StandIns, world: World
) -> None:
    answer = group_send(api, stand_ins.url, **changes)
    assert answer.status_code == (400 if code else 200)
    assert answer.json().get("code", "") == code
    assert len(world.said("dingtalk-group")) == (0 if code else 1)


def test_messages_to_people_tell_who_did_not_get_them(api: requests.Session, stand_ins: StandIns, world: World) -> None:
    body = {**SAMPLE, "userIds": ["0147", "0148", "9999"]}
    answer = api.post(f"{stand_ins.url}/v1.0/robot/oToMessages/batchSend", json=body).json()
    assert answer["invalidStaffIdList"] == ["9999"]
    assert answer["flowControlledStaffIdList"] == ["0148"]
    (event,) = world.said("cidAnn==")
    assert event.body == {"msgKey": "sampleText", "msgParam": {"content": "hello"}}
    assert not world.said("cidBob==")


@pytest.mark.parametrize(
    ("people", "code"), [([], "staffId.notExisted"), ("0147", "staffId.notExisted"), (["x"] * 21, "too.many.people")]
)
def test_messages_to_nobody_or_too_many_are_refused(
    people: Any, code: str, api: requests.Session, stand_ins: StandIns
) -> None:
    answer = api.post(f"{stand_ins.url}/v1.0/robot/oToMessages/batchSend", json={**SAMPLE, "userIds": people})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_an_old_token_is_refused_until_a_new_one_is_fetched(
    api: requests.Session, stand_ins: StandIns, world: World, clock: Clock
) -> None:
    clock.move(7201)
    answer = group_send(api, stand_ins.url)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidAuthentication")
    stand_ins.dingtalk.expire_tokens()
    assert group_send(api, stand_ins.url).json()["code"] == "InvalidAuthentication"


def test_more_than_twenty_calls_a_second_are_refused(api: requests.Session, stand_ins: StandIns, clock: Clock) -> None:
    answers = [group_send(api, stand_ins.url) for _ in range(21)]
    assert {answer.status_code for answer in answers[:20]} == {200}
    assert answers[20].status_code == 403
    assert answers[20].json()["code"] == "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
    clock.move(1.0)
    assert group_send(api, stand_ins.url).status_code == 200


def card(**changes: Any) -> dict[str, Any]:
    return {
        "cardTemplateId": "t.schema",
        "outTrackId": "alert-1",
        "cardData": {"cardParamMap": {"title": "db-7", "status": "open"}},
        "openSpaceId": "dtv1.card//IM_GROUP.dingtalk-group",
        "imGroupOpenDeliverModel": {"robotCode": "dingapp01"},
        **changes,
    }


def test_a_card_lives_and_changes(api: requests.Session, stand_ins: StandIns, world: World) -> None:
    stand_ins.dingtalk.templates.add("t.schema")
    url = f"{stand_ins.url}/v1.0/card/instances"
    made = api.post(f"{url}/createAndDeliver", json=card()).json()
    assert made["result"]["deliverResults"][0]["success"] is True
    change = {"outTrackId": "alert-1", "cardData": {"cardParamMap": {"status": "acked"}}}
    api.put(url, json={**change, "cardUpdateOptions": {"updateCardDataByKey": True}})
    shown = [event for event in world.events if event.ref == "alert-1"]
    assert [event.kind for event in shown] == ["say", "update"]
    assert shown[-1].body["values"] == {"title": "db-7", "status": "acked"}
    api.put(url, json=change)
    assert world.events[-1].body["values"] == {"status": "acked"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cardTemplateId": "x"}, "param.templateNotExist"),
        ({"openSpaceId": "cid"}, "param.openSpaceIdInvalid"),
        ({"cardData": {"cardParamMap": {"n": 1}}}, "param.error"),
        ({"cardData": {"cardParamMap": {"n": "x" * 1025}}}, "param.error"),
    ],
)
def test_bad_cards_are_refused(changes: dict[str, Any], code: str, api: requests.Session, stand_ins: StandIns) -> None:
    stand_ins.dingtalk.templates.add("t.schema")
    answer = api.post(f"{stand_ins.url}/v1.0/card/instances/createAndDeliver", json=card(**changes))
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def register(api: requests.Session, url: str, **changes: Any) -> Any:
    body = {
        "callbackRouteKey": "r1",
        "callbackUrl": "https://c.example.com/dingtalk/cards",
        "apiSecret": "s",
        **changes,
    }
    return api.post(f"{url}/v1.0/card/callbacks/register", json=body).json()


def test_a_card_that_calls_back_by_http_needs_a_registered_route(api: requests.Session, stand_ins: StandIns) -> None:
    stand_ins.dingtalk.templates.add("t.schema")
    url = f"{stand_ins.url}/v1.0/card/instances/createAndDeliver"
    wanted = card(callbackType="HTTP", callbackRouteKey="r1")
    assert api.post(url, json=wanted).json()["code"] == "param.callbackRouteKeyNotExist"
    assert register(api, stand_ins.url)["success"] is True
    assert register(api, stand_ins.url, apiSecret="other")["code"] == "param.callbackRouteKeyExist"
    assert register(api, stand_ins.url, apiSecret="other", forceUpdate=True)["success"] is True
    assert api.post(url, json=wanted).json()["success"] is True
    assert api.post(url, json=card(outTrackId="2", callbackType="http")).json()["code"] == "param.error"
    assert api.post(url, json=card(outTrackId="3", userIdType="1")).json()["code"] == "param.error"


@pytest.mark.parametrize(
    "changes",
    [{"callbackRouteKey": ""}, {"callbackUrl": "c.example.com"}, {"apiSecret": 5}, {"forceUpdate": "true"}],
)
def test_bad_routes_are_refused(changes: dict[str, Any], api: requests.Session, stand_ins: StandIns) -> None:
    assert register(api, stand_ins.url, **changes)["code"] == "param.error"


def test_only_what_a_card_shows_can_be_pressed(api: requests.Session, stand_ins: StandIns, world: World) -> None:
    stand_ins.dingtalk.templates.add("t.schema")
    values = {"status": "open", "button1": "Yes", "token1": "t1", "button2": "", "token2": "t2"}
    api.post(
        f"{stand_ins.url}/v1.0/card/instances/createAndDeliver", json=card(cardData={"cardParamMap": values})
    ).json()
    shown = world.events[-1]
    assert controls(shown.body) == [{"token": "t1", "label": "Yes", "style": "plain", "fields": []}]
    assert controls({"values": {**values, "status": "done"}}) == []
    assert controls({"msgtype": "text"}) == []
    app = world.app("dingtalk", "dingapp01")
    assert app is not None
    client = stand_ins.dingtalk_client("http://127.0.0.1:1", app)
    for person, token, given in (
        ("0147", "t2", {}),
        ("0147", "", {}),
        ("nobody", "t1", {}),
        ("0147", "t1", {"a": "b"}),
    ):
        with pytest.raises(LookupError):
            client.press(person, shown, token, given)
    assert not client.press("0147", shown, "t1").delivered, "it was made without callbackType: nobody is told"
    client.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"openSpaceId": "dtv1.card//IM_GROUP.unknown"},
        {"imGroupOpenDeliverModel": {"robotCode": "other"}},
        {"openSpaceId": "dtv1.card//IM_ROBOT.9999", "imRobotOpenDeliverModel": {"robotCode": "dingapp01"}},
    ],
)
def test_a_card_that_reaches_nobody_is_a_success_outside_only(
    changes: dict[str, Any], api: requests.Session, stand_ins: StandIns, world: World
) -> None:
    stand_ins.dingtalk.templates.add("t.schema")
    answer = api.post(f"{stand_ins.url}/v1.0/card/instances/createAndDeliver", json=card(**changes)).json()
    assert answer["success"] is True
    assert answer["result"]["deliverResults"][0]["success"] is False
    assert not [event for event in world.events if event.kind == "say"]


# -- the client


class Service(ThreadingHTTPServer):
    """Keeps what it is sent, answers `reply`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Keeper)
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.raw_names: list[list[str]] = []
        self.reply: tuple[int, bytes] = (200, b"")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Keeper(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        service = self.server
        assert isinstance(service, Service)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        service.got.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
        service.raw_names.append(list(self.headers.keys()))
        status, answer = service.reply
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's name)
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        yield service
        service.shutdown()
        thread.join()


@pytest.fixture
def client(stand_ins: StandIns, service: Service, world: World) -> Iterator[DingTalkClient]:
    app = world.app("dingtalk", "dingapp01")
    assert app is not None
    client = stand_ins.dingtalk_client(service.url, app)
    yield client
    client.close()


def test_what_is_typed_in_a_group_arrives_signed_and_complete(client: DingTalkClient, service: Service) -> None:
    posted = client.type("0147", "contact list", group="dingtalk-group", others=("0148",))
    assert (posted.delivered, posted.status) == (True, 200)
    ((headers, body),) = service.got
    assert headers["sign"] == robot_sign("app secret", headers["timestamp"])
    assert headers["timestamp"] == str(round(NOW * 1000))
    assert body["text"] == {"content": " contact list"}
    assert (body["conversationType"], body["conversationId"]) == ("2", "dingtalk-group")
    assert (body["senderCorpId"], body["senderStaffId"]) == ("dingcorp01", "0147")
    assert [one.get("staffId") for one in body["atUsers"]] == [None, "0148"]
    assert body["atUsers"][0]["dingtalkId"] == body["chatbotUserId"]
    assert body["sessionWebhookExpiredTime"] - body["createAt"] == 5_400_000


def test_one_to_one_needs_no_mention(client: DingTalkClient, service: Service) -> None:
    client.type("0147", "help", mention=False)
    body = service.got[0][1]
    assert (body["conversationType"], body["conversationId"], body["text"]["content"]) == ("1", "cidAnn==", "help")
    assert "atUsers" not in body


def test_without_a_mention_a_group_s_talk_stays_in_the_group(
    client: DingTalkClient, service: Service, world: World
) -> None:
    assert not client.type("0147", "123456", group="dingtalk-group", mention=False).delivered
    world.add_group("dingtalk", "dingtalk-group", "without the bot", bot=False)
    assert not client.type("0147", "help", group="dingtalk-group").delivered
    assert not service.got
    assert [event.body for event in world.events] == ["123456", "help"]


@pytest.mark.parametrize("vector", VECTORS["callback_sign"]["vectors"], ids=lambda vector: vector["name"])
def test_callbacks_are_signed_like_the_known_answers(
    vector: dict[str, Any], client: DingTalkClient, service: Service, clock: Clock
) -> None:
    clock.now = int(vector["headers"]["timestamp"]) / 1000
    client.type("0147", "help", secret=vector["app_secret"])
    assert service.got[0][0]["sign"] == vector["headers"]["sign"]
    assert service.got[0][0]["timestamp"] == vector["headers"]["timestamp"]


def test_forged_and_stale_callbacks(client: DingTalkClient, service: Service) -> None:
    client.type("0147", "a", skew_ms=-3_600_001)
    client.type("0147", "b", sign="bm90IGEgc2lnbmF0dXJl", header_case="upper")
    (stale, _), (forged, _) = service.got
    assert int(stale["timestamp"]) == round(NOW * 1000) - 3_600_001
    assert stale["sign"] == robot_sign("app secret", stale["timestamp"])
    assert forged["sign"] == "bm90IGEgc2lnbmF0dXJl"
    assert "SIGN" in service.raw_names[1]


def test_strange_bodies(client: DingTalkClient, service: Service) -> None:
    client.type("0147", "a", staff_id=False, number_type=True, session=False)
    client.type("0147", "b", shape="richText")
    client.type("0147", "c", shape="errorCode")
    client.type("0147", "d", shape="content")
    client.type("0147", "e", shape="picture")
    plain, rich, quota, top, picture = (body for _, body in service.got)
    assert plain["conversationType"] == 1
    assert not {"senderStaffId", "sessionWebhook"} & set(plain)
    assert rich["content"]["richText"][0] == {"text": "b"}
    assert quota["errorCode"] == 20001
    assert "text" not in quota
    assert "msgtype" not in quota
    assert top["content"] == "d"
    assert "text" not in picture


def test_a_second_delivery_is_the_same_message(client: DingTalkClient, service: Service, clock: Clock) -> None:
    first = client.type("0147", "contact list")
    clock.move(16)
    client.again(first)
    assert service.got[0][1] == service.got[1][1]
    assert service.got[0][0]["sign"] != service.got[1][0]["sign"]


def test_an_answer_to_the_callback_is_said_in_the_conversation(
    client: DingTalkClient, service: Service, world: World
) -> None:
    service.reply = (200, json.dumps({"msgtype": "text", "text": {"content": "hello"}}).encode())
    assert client.type("0147", "help").status == 200
    service.reply = (200, b'{"msgtype":"empty"}')
    client.type("0147", "help")
    service.reply = (403, json.dumps({"msgtype": "text", "text": {"content": "no"}}).encode())
    assert client.type("0147", "help").status == 403
    assert [event.body["text"]["content"] for event in client.answers("cidAnn==")] == ["hello"]
    service.reply = (200, b'{"msgtype":"text"}')
    client.type("0147", "help")
    assert [event.note for event in world.refusals()] == ["40035"]


def test_the_session_webhook_works_until_it_ends(
    client: DingTalkClient, stand_ins: StandIns, world: World, clock: Clock, http: requests.Session
) -> None:
    body = client.type("0147", "help").body
    url = body["sessionWebhook"].replace("https://oapi.dingtalk.com", stand_ins.url)
    message = {"msgtype": "text", "text": {"content": "no keyword needed"}}
    assert http.post(url, json=message).json()["errcode"] == 0
    assert http.post(url, json={"msgtype": "text"}).json()["errcode"] == 40035
    clock.move(5400)
    gone = http.post(url, json=message).json()
    assert (gone["errcode"], gone["errmsg"]) == (300001, "session 不存在")
    assert [event.body for event in world.said("cidAnn==")] == [message]


def test_nobody_can_type_who_is_not_there(client: DingTalkClient) -> None:
    with pytest.raises(LookupError):
        client.type("9999", "help")
    with pytest.raises(LookupError):
        client.type("0147", "help", group="unknown")
