"""Tools that can only post to a chat robot: their address gets our host, and every group hears what they say."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.sources import SOURCES
from tests.stories.conftest import GROUP, ROBOT_SECRET, ROBOT_URL, Town, words

ROBOTS = {
    "wecom": ("wecom-group", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=wecomkey01"),
    "lark": ("lark-group", "https://open.feishu.cn/open-apis/bot/v2/hook/larkhook01 secret larksecret01"),
    "slack": ("slack-group", "https://hooks.slack.com/services/T0001/B0001/slackhook01"),
}
ASIDE = "https://callboard.example.com"
OK = {"errcode": 0, "errmsg": "ok"}
LARK_OK = {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}


def with_robots(town: Town) -> None:
    """A group dba with a robot of each platform."""
    town.say(f"contact add Ding {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    for name, (place, address) in ROBOTS.items():
        after = town.world.last
        town.say(f"contact add {name} {address}")
        town.say(town.code_for(place, after=after))
    town.say("group create dba members Ding, wecom, lark, slack")


def paths(answer: str) -> dict[str, str]:
    """The paths in the answer of `source add`, by platform."""
    found = [word.removeprefix(ASIDE) for word in answer.split() if word.startswith(ASIDE)]
    assert len(found) == 4, answer
    return dict(zip(("dingtalk", "wecom", "lark", "slack"), found, strict=True))


def cards(town: Town, after: int) -> dict[str, Any]:
    """What reached each robot."""
    town.quiet()
    named = ("dingtalk", *ROBOTS)
    return {name: [e.body for e in town.world.cards(name) if e.seq > after] for name in named}


POSTS: dict[str, dict[str, Any]] = {
    "dingtalk": {
        "msgtype": "markdown",
        "markdown": {"title": "Disk", "text": "### Disk of db7\n\n- **93 %** [graph](https://graph.example/d7)"},
        "at": {"atMobiles": ["13800000001"], "isAtAll": False},
    },
    "wecom": {
        "msgtype": "markdown",
        "markdown": {"content": '**Disk** <font color="warning">93 %</font>\n> of db7 <@zhangsan>'},
    },
    "lark": {
        "msg_type": "post",
        "content": {
            "post": {
                "zh_cn": {
                    "title": "Disk",
                    "content": [[{"tag": "text", "text": "93 % of db7 "}, {"tag": "at", "user_id": "all"}]],
                }
            }
        },
    },
    "slack": {
        "text": "Disk",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*93 %* of db7 <!here>"}}],
    },
}


def test_what_is_posted_for_a_robot_reaches_its_platform_as_it_is_and_the_others_as_a_card(town: Town) -> None:
    with_robots(town)
    to = paths(town.say("source add backup robot to dba"))
    for name, post in POSTS.items():
        town.forward(seconds=70)
        after = town.world.last
        answer = requests.post(town.url + to[name], json=post, timeout=20)
        assert answer.status_code == 200
        if name == "slack":
            assert answer.text == "ok"
        else:
            assert answer.json() == (LARK_OK if name == "lark" else OK)
        seen = cards(town, after)
        assert {other: len(found) for other, found in seen.items()} == dict.fromkeys(seen, 1), name
        for other, [body] in seen.items():
            for part in ("Disk", "93 %", "db7"):
                assert part in words(body), (name, other)
            if other != name:
                assert "backup" in words(body), "an ordinary card names the source"
                text = json.dumps(body)
                assert all(mark not in text for mark in ("<@zhangsan>", "<!here>", "13800000001", '"at":'))

    own = {name: [e.body for e in town.world.cards(name) if "backup" not in words(e.body)][-1] for name in POSTS}
    assert own["dingtalk"]["markdown"] == {
        "title": "DAS Alarm Disk",
        "text": "DAS Alarm\n\n" + POSTS["dingtalk"]["markdown"]["text"],
    }
    assert own["dingtalk"]["at"] == {"atMobiles": ["13800000001"]}
    assert own["wecom"] == POSTS["wecom"]
    assert own["lark"]["content"]["post"]["zh_cn"]["title"] == "DAS Alarm Disk"
    assert own["slack"] == POSTS["slack"]
    assert "No alert is open" in town.say("alerts")


def test_each_post_is_a_message_of_its_own_and_leaves_nothing_open(town: Town) -> None:
    town.say(f"contact add Ding {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    town.say("group create dba members Ding")
    to = paths(town.say("告警源添加 备份 robot 到 dba"))["dingtalk"]
    after = town.world.last
    post = {"msgtype": "text", "text": {"content": "backup of orders is done"}}
    for _time in range(2):
        assert requests.post(town.url + to, json=post, timeout=20).json() == OK
    assert len(cards(town, after)["dingtalk"]) == 2
    named = post | {"msgUuid": "run-77"}
    for _time in range(2):
        assert requests.post(town.url + to + "&timestamp=1&sign=x", json=named, timeout=20).json() == OK
    assert len(cards(town, after)["dingtalk"]) == 3, "a post that its sender repeats under one name is told once"

    shown = town.say("alert 1")
    assert "WARNING" in shown
    assert "backup of orders is done" in shown
    assert "RESOLVED" not in shown
    assert "No alert is open" in town.say("alerts")


REFUSED: tuple[tuple[str, int, Any], ...] = (
    ("/robot/send", 200, {"errcode": 40035}),
    ("/robot/send?access_token=wrong", 200, {"errcode": 300005}),
    ("/cgi-bin/webhook/send?key=wrong", 200, {"errcode": 93000}),
    ("/open-apis/bot/v2/hook/wrong", 200, {"code": 19001}),
    ("/services/T1/B1/wrong", 404, "no_service"),
)


def test_an_unknown_token_is_refused_as_the_platform_does(town: Town) -> None:
    client = town.service.app.test_client()
    for path, status, said in REFUSED:
        answer = client.post(path, json={"msgtype": "text", "text": {"content": "x"}})
        assert answer.status_code == status, path
        if isinstance(said, str):
            assert answer.text == said
        else:
            assert said.items() <= answer.get_json().items()


def test_a_post_that_cannot_be_stored_is_to_be_sent_again(town: Town) -> None:
    town.say("group create dba")
    to = paths(town.say("source add backup robot to dba"))
    town.service.intake.stop(5.0)
    client = town.service.app.test_client()
    answers = {name: client.post(to[name], json=POSTS[name]) for name in POSTS}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        **dict.fromkeys(("dingtalk", "wecom"), 200),
        **dict.fromkeys(("lark", "slack"), 503),
    }
    assert answers["dingtalk"].get_json()["errcode"] == answers["wecom"].get_json()["errcode"] == -1
    assert answers["lark"].get_json()["code"] == 11232
    assert answers["slack"].text == "service_unavailable"
    assert all(answer.headers["Retry-After"] == "2" for answer in answers.values())


def test_a_crowd_of_posts_is_named_in_digests(town: Town) -> None:
    town.say(f"contact add Ding {ROBOT_URL} secret {ROBOT_SECRET}")
    town.say(town.code_for(GROUP))
    town.say("group create dba members Ding")
    to = paths(town.say("source add backup robot to dba"))
    after = town.world.last
    client = town.service.app.test_client()
    for number in range(40):
        post = {"msgtype": "text", "text": {"content": f"job {number:02} failed"}}
        assert client.post(to["dingtalk"], json=post).get_json() == OK
    for _step in range(10):
        town.forward(seconds=10)
    texts = [words(body) for body in cards(town, after)["dingtalk"]]
    assert len(texts) < 20
    assert all(any(f"job {number:02}" in text for text in texts) for number in range(40))


def test_what_cannot_be_read_is_refused_in_the_platforms_form_and_shown_to_who_added_the_source(town: Town) -> None:
    town.say("group create dba")
    to = paths(town.say("source add backup robot to dba"))
    json_type = {"Content-Type": "application/json"}

    def post(name: str, raw: bytes | str, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.post(town.url + to[name], data=raw, headers=headers or json_type, timeout=20)

    assert post("dingtalk", "{").json()["errcode"] == 40035
    assert post("wecom", '{"msgtype":"text","text":{"content":5, "secret": [').json()["errcode"] == 40008
    refused = post("wecom", '{"msgtype":"song"}').json()
    assert refused["errcode"] == 40058
    assert "$.msgtype" in refused["errmsg"]
    lark = post("lark", "nonsense")
    assert (lark.status_code, lark.json()["code"]) == (400, 9499)
    assert post("lark", '{"msg_type":"text","content":{}}').json()["code"] == 19002
    slack = post("slack", "payload=%7B", {"Content-Type": "application/x-www-form-urlencoded"})
    assert (slack.status_code, slack.text) == (400, "invalid_payload")
    form = urlencode({"payload": json.dumps({"text": "from a form"})})
    assert post("slack", form, {"Content-Type": "application/x-www-form-urlencoded"}).text == "ok"
    large = "x" * (1024 * 1024 + 1)
    assert post("dingtalk", large).json()["errcode"] == 460101
    assert post("slack", large).status_code == 413

    shown = town.say("source show backup")
    for part in ("robot", "$.msgtype", '{"msgtype":"song"}', "nonsense"):
        assert part in shown, shown
    assert "song" not in town.say("source show backup", group=True), "never in a group"
    assert (
        requests.post(town.url + "/alerts/robot/" + to["lark"].rpartition("/")[2], json={}, timeout=20).status_code
        == 400
    )

    town.forward(hours=25)
    assert "song" not in town.say("source show backup")


def test_no_body_makes_a_path_of_any_kind_fail(town: Town) -> None:
    town.say("group create dba")
    to = paths(town.say("source add fuzz robot to dba"))
    to |= {kind: town.source("dba", kind, f"fuzz {kind}") for kind in SOURCES if kind != "robot"}
    to["mapped"] = town.source("dba", "json", "mapped")
    town.say("source map mapped title={{ title }} each=$.alerts severity=$..type starts_at=@.at")
    client = town.service.app.test_client()
    parts = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(("text", "post", "button")),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=12,
    )

    @given(
        st.sampled_from(sorted(to)), st.binary(max_size=40) | st.dictionaries(NAMES, parts, max_size=5).map(as_bytes)
    )
    @settings(max_examples=40, deadline=None)
    def post(name: str, raw: bytes) -> None:
        assert client.post(to[name], data=raw).status_code < 500

    post()


NAMES = st.sampled_from(
    (
        *(
            "msgtype",
            "msg_type",
            "text",
            "content",
            "markdown",
            "title",
            "at",
            "atMobiles",
            "card",
            "header",
            "elements",
        ),
        *("tag", "blocks", "attachments", "fields", "type", "news", "articles", "template_card", "main_title", "post"),
        *("alerts", "status", "labels", "startsAt", "alertState", "alert", "instanceId", "severity"),
        *("zh_cn", "actionCard", "btns", "feedCard", "links", "image", "base64", "interactive", "msgUuid", "url"),
    )
)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
