"""The sandbox page's routes: whom they serve, what they accept, and what they tell."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bot.sandbox import page, page_guard
from bot.sandbox.cast import GROUPS, PLAYERS, TITLES
from bot.sandbox.playground import Playground
from handlers.commands import COMMANDS
from handlers.commands.parser import parse

LIN, WANG = PLAYERS


@pytest.fixture
def playground() -> Iterator[Playground]:
    made = Playground().start()
    yield made
    made.stop()


@pytest.fixture
def client(playground: Playground) -> FlaskClient:
    app = Flask("test", static_folder=None)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.register_blueprint(page.blueprint(playground))
    return app.test_client()


def words(answer: Any) -> str:
    """The sentence of a refusal."""
    said = answer.get_json()["error"]
    assert isinstance(said, str)
    assert len(said) > 20
    return said


GETS = ("/", "/sandbox/state", "/sandbox/events", "/sandbox/static/page.js", "/sandbox/mail/1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_a_browser_on_this_machine_is_served(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 200
    assert b"<title>Callboard</title>" in answer.data


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize(
    "host", ["callboard.example.com", "127.0.0.1.evil.example", "localhost.evil.example:80", "evil@localhost", "", "["]
)
def test_another_host_name_is_refused_everywhere(client: FlaskClient, path: str, host: str) -> None:
    answer = client.get(path, headers={"Host": host})
    if host == "evil@localhost":  # user-info: the name is still a loopback one, so nothing was rebound
        assert answer.status_code in (200, 404)
        return
    assert answer.status_code == 403
    words(answer)


@pytest.mark.parametrize("path", GETS)
def test_another_machine_is_refused(client: FlaskClient, path: str) -> None:
    for address in ("192.0.2.7", "10.0.0.1", "", "not an address"):
        assert client.get(path, environ_overrides={"REMOTE_ADDR": address}).status_code == 403
    for header in ("X-Forwarded-For", "Forwarded"):
        assert client.get(path, headers={header: "192.0.2.7"}).status_code == 403


SAY = {"who": LIN.id, "platform": "dingtalk", "where": "direct", "text": "help"}
PRESS = {"who": LIN.id, "platform": "slack", "seq": 1, "token": "abc.def"}
HOME = {"who": LIN.id}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "https://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_can_post_nothing(client: FlaskClient, playground: Playground, headers: dict[str, str]) -> None:
    posts: list[tuple[str, dict[str, Any]]] = [
        ("/sandbox/say", SAY),
        ("/sandbox/press", PRESS),
        ("/sandbox/home", HOME),
        ("/sandbox/alert", {"sample": "critical"}),
    ]
    for path, body in posts:
        answer = client.post(path, json=body, headers={"Host": "localhost", **headers})
        assert answer.status_code == 403
    assert playground.world.events == ()


def test_other_sites_can_read_nothing(client: FlaskClient) -> None:
    for path in GETS[1:]:
        assert client.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200, (
        "a link to the page may be clicked"
    )


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_form_can_post_is_refused(client: FlaskClient, playground: Playground, kind: str) -> None:
    answer = client.post("/sandbox/say", data=json.dumps(SAY), headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert playground.world.events == ()


@pytest.mark.parametrize(
    ("body", "about"),
    [
        ("", "JSON object"),
        ("{", "JSON object"),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        ("[" * 5000, "JSON object"),
        ('"\\ud800"', "JSON object"),
        ({}, "“who”"),
        ({**SAY, "who": "somebody"}, "admin01, member01"),
        ({**SAY, "who": ["admin01"]}, "“who”"),
        ({**SAY, "platform": "sms"}, "dingtalk, wecom, lark, slack"),
        ({**SAY, "platform": None}, "“platform”"),
        ({**SAY, "where": "elsewhere"}, "group, direct"),
        ({**SAY, "where": None}, "“where”"),
        ({**SAY, "text": ""}, "“text”"),
        ({**SAY, "text": " \n"}, "“text”"),
        ({**SAY, "text": 1}, "“text”"),
        ({**SAY, "text": "x" * 4001}, "4000"),
    ],
)
def test_a_wrong_body_gets_a_sentence(client: FlaskClient, playground: Playground, body: Any, about: str) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/sandbox/say", data=raw, content_type="application/json")
    assert answer.status_code == 400
    assert about in words(answer)
    assert playground.world.events == ()


def test_a_body_that_is_too_long_is_not_read(client: FlaskClient) -> None:
    answer = client.post("/sandbox/say", data=b"{" + b" " * page_guard.BODY_MAX_BYTES, content_type="application/json")
    assert answer.status_code == 413


@pytest.mark.parametrize("sample", ["", "boom", None, 3])
def test_an_unknown_sample_gets_a_sentence(client: FlaskClient, sample: Any) -> None:
    answer = client.post("/sandbox/alert", json={"sample": sample})
    assert answer.status_code == 400
    assert "critical, warning, resolved, storm" in words(answer)


def test_a_sample_without_a_source_says_how_to_add_one(client: FlaskClient) -> None:
    answer = client.post("/sandbox/alert", json={"sample": "critical"})
    assert answer.status_code == 409
    assert "source add demo alertmanager to dba" in words(answer)


def test_a_service_that_cannot_be_reached_is_told(client: FlaskClient, playground: Playground) -> None:
    assert client.post("/sandbox/say", json=SAY).status_code == 502
    playground.service_url = "http://127.0.0.1:1"
    answer = client.post("/sandbox/say", json=SAY)
    assert answer.status_code == 502
    words(answer)


@pytest.mark.parametrize("platform", GROUPS)
def test_where_a_real_platform_is_connected_nobody_talks_here(
    client: FlaskClient, playground: Playground, platform: str
) -> None:
    playground.replaced -= {platform}
    for path, body in (("/sandbox/say", SAY), ("/sandbox/press", PRESS)):
        answer = client.post(path, json={**body, "platform": platform})
        assert answer.status_code == 409
        assert page.NAMES[platform] in words(answer)
    assert playground.world.events == ()


def test_the_home_page_is_that_of_the_stand_in_only(client: FlaskClient, playground: Playground) -> None:
    assert client.post("/sandbox/home", json={"who": "somebody"}).status_code == 400
    assert client.post("/sandbox/home", json=HOME).status_code == 502, "no service yet"
    playground.replaced -= {"slack"}
    assert client.post("/sandbox/home", json=HOME).status_code == 409


@pytest.mark.parametrize(
    ("body", "about"),
    [
        ({}, "“who”"),
        ({**PRESS, "platform": "mail"}, "“platform”"),
        ({**PRESS, "seq": "1"}, "“seq”"),
        ({**PRESS, "seq": True}, "“seq”"),
        ({**PRESS, "seq": 0}, "“seq”"),
        ({**PRESS, "seq": 10**16}, "“seq”"),
        ({**PRESS, "token": ""}, "“token”"),
        ({**PRESS, "token": 1}, "“token”"),
        ({**PRESS, "token": "x" * 2001}, "2000"),
        ({**PRESS, "values": []}, "“values”"),
        ({**PRESS, "values": {str(n): "" for n in range(101)}}, "“values”"),
        ({**PRESS, "values": {"phone": 1}}, "“phone”"),
        ({**PRESS, "values": {"note": "x" * 4001}}, "“note”"),
    ],
)
def test_a_wrong_press_gets_a_sentence(client: FlaskClient, body: dict[str, Any], about: str) -> None:
    answer = client.post("/sandbox/press", json=body)
    assert answer.status_code == 400
    assert about in words(answer)


@pytest.mark.parametrize("platform", GROUPS)
def test_only_what_is_really_there_can_be_pressed(client: FlaskClient, playground: Playground, platform: str) -> None:
    playground.service_url = "http://127.0.0.1:1"
    body = {**PRESS, "platform": platform}
    assert client.post("/sandbox/press", json=body).status_code == 404
    other = "lark" if platform == "slack" else "slack"
    playground.world.happen("say", other, GROUPS[other], {"text": "no button"})
    assert client.post("/sandbox/press", json=body).status_code == 404, "a message of another platform"
    playground.world.happen("typed", platform, GROUPS[platform], "no button", person=LIN.on(platform).person)
    answer = client.post("/sandbox/press", json={**body, "seq": 2})
    assert answer.status_code == 404
    words(answer)


@pytest.mark.parametrize("path", GETS)
def test_every_answer_carries_the_policy(client: FlaskClient, playground: Playground, path: str) -> None:
    mail = {"from": "a@example.com", "subject": "s", "plain": "p", "html": "<p>h</p>", "headers": {}, "raw": ""}
    playground.world.happen("mail", "mail", LIN.mailbox, mail)
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    if path == "/sandbox/mail/1":
        assert "script-src" not in policy
        assert policy.endswith("; sandbox")
        assert answer.data == b"<p>h</p>"


def test_refusals_carry_the_policy_too(client: FlaskClient) -> None:
    for answer in (client.get("/", headers={"Host": "evil.example"}), client.get("/sandbox/mail/99")):
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_page_needs_nothing_from_outside_and_no_inline_script(client: FlaskClient) -> None:
    html = client.get("/").text
    assert "http://" not in html
    assert "https://" not in html
    assert "<script type=" in html
    assert html.count("<script") == 1
    assert " on" + "click" not in html
    for name in ("page.css", "page.js", "cards.js", "words.js", "icon.svg"):
        found = client.get(f"/sandbox/static/{name}")
        assert found.status_code == 200
        assert not [ln for ln in found.text.splitlines() if "innerHTML" in ln or "eval(" in ln or "import(" in ln], name
        assert "javascript" in found.content_type or not name.endswith(".js")


def test_only_mails_can_be_opened_as_mails(client: FlaskClient, playground: Playground) -> None:
    playground.world.happen("sms", "sms", LIN.phone, {"text": "x"})
    for number in (0, 1, 2, 10**9):
        assert client.get(f"/sandbox/mail/{number}").status_code == 404


def test_every_command_that_the_tour_offers_is_understood(client: FlaskClient, playground: Playground) -> None:
    words_js = client.get("/sandbox/static/words.js").text
    values = {
        "me": LIN.name,
        "other": WANG.name,
        "mailbox": WANG.mailbox,
        "number": "12",
        "room": TITLES["dingtalk"],
        "webhook": playground.webhook_urls["dingtalk"],
    }
    forms = [command.form for command in COMMANDS.values()]
    offered = []
    for steps in re.findall(r"steps: \[(.*?)\n  \],", words_js, re.DOTALL):
        for template in re.findall(r'"([^"]+)"\],', steps):
            command = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)
            offered.append(parse(command, forms).form)
    assert offered == 2 * ["me", "group create", "contact add", "contact add", "source add", "ack"]


# -- news


def news(client: FlaskClient, after: int, run: str = "") -> Any:
    answer = client.get(f"/sandbox/events?after={after}&run={run}")
    assert answer.status_code == 200
    return answer.get_json()


def test_news_begin_with_everything_and_go_on_from_there(client: FlaskClient, playground: Playground) -> None:
    playground.world.happen("typed", "dingtalk", LIN.on("dingtalk").chat, "one", person=LIN.id)
    first = news(client, 0)
    assert [event["body"] for event in first["events"]] == ["one"]
    playground.world.happen("typed", "dingtalk", LIN.on("dingtalk").chat, "two", person=LIN.id)
    second = news(client, first["last"], first["run"])
    assert [event["body"] for event in second["events"]] == ["two"]
    assert second["run"] == first["run"]


def test_a_page_of_an_earlier_run_gets_everything_at_once(client: FlaskClient, playground: Playground) -> None:
    playground.world.happen("typed", "dingtalk", LIN.on("dingtalk").chat, "one", person=LIN.id)
    assert [event["body"] for event in news(client, 700, "another")["events"]] == ["one"]


def test_news_are_told_as_soon_as_they_happen(client: FlaskClient, playground: Playground) -> None:
    begun = news(client, 0)
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(news(client, begun["last"], begun["run"])))
    thread.start()
    playground.world.happen("sms", "sms", LIN.phone, {"text": "code"})
    thread.join(page.WAIT_S / 2)
    assert [event["kind"] for event in got[0]["events"]] == ["sms"]


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", "9" * 16, "１"])
def test_a_wrong_number_gets_a_sentence(client: FlaskClient, after: str) -> None:
    answer = client.get("/sandbox/events", query_string={"after": after})
    assert answer.status_code == 400
    words(answer)


def test_news_hold_no_tokens_and_not_what_was_refused(client: FlaskClient, playground: Playground) -> None:
    token = playground.webhook_urls["dingtalk"].partition("=")[2]
    world = playground.world
    world.happen("card", "dingtalk", GROUPS["dingtalk"], {"msgtype": "text"}, robot=token)
    world.happen("refused", "dingtalk", GROUPS["dingtalk"], {"secret": "s3cret"}, robot=token, note="310000")
    mail = {"from": "a", "subject": "s", "plain": "p", "html": "<p>", "headers": {"X": "h3ader"}, "raw": "r4w"}
    world.happen("mail", "mail", LIN.mailbox, mail)
    raw = json.dumps(news(client, 0))
    for hidden in (token, "s3cret", "h3ader", "r4w"):
        assert hidden not in raw
    assert [event["kind"] for event in json.loads(raw)["events"]] == ["card", "refused", "mail"]


def test_what_no_window_shows_is_not_sent_but_counted(client: FlaskClient, playground: Playground) -> None:
    playground.world.happen("repeat", "dingtalk", GROUPS["dingtalk"], {})
    assert news(client, 0)["events"] == []
    assert news(client, 0)["last"] == 1


def test_half_a_character_breaks_nothing(client: FlaskClient, playground: Playground) -> None:
    playground.world.happen("typed", "dingtalk", LIN.on("dingtalk").chat, "\ud83d", person=LIN.id)
    assert news(client, 0)["events"][0]["body"] == "\ud83d"


def test_a_page_opened_after_a_storm_gets_the_newest_only(client: FlaskClient, playground: Playground) -> None:
    for n in range(page.NEWEST + 7):
        playground.world.happen("card", "slack", GROUPS["slack"], {"text": str(n)})
    found = news(client, 0)
    assert len(found["events"]) == page.NEWEST
    assert found["events"][-1]["body"] == {"text": str(page.NEWEST + 6)}
    assert found["last"] == page.NEWEST + 7


def test_the_page_knows_when_there_is_a_source(client: FlaskClient, playground: Playground) -> None:
    assert news(client, 0)["source"] is False
    text = {"msgtype": "text", "text": {"content": "http://127.0.0.1:8000/alerts/alertmanager/tok-1"}}
    playground.world.happen("say", "dingtalk", LIN.on("dingtalk").chat, text, person=LIN.id)
    assert news(client, 0)["source"] is True


def test_many_polls_wait_less_so_that_threads_are_left() -> None:
    polls = page.Polls()
    with polls.one() as first:
        waits = [first]
        entered = [polls.one() for _ in range(page.CROWD)]
        waits += [poll.__enter__() for poll in entered]
        assert waits[: page.BUSY] == [page.WAIT_S] * page.BUSY
        assert set(waits[page.BUSY : page.CROWD]) == {page.BUSY_WAIT_S}
        assert waits[page.CROWD :] == [0.0]
        for poll in entered:
            poll.__exit__(None, None, None)
    with polls.one() as wait_s:
        assert wait_s == page.WAIT_S


def test_the_state_names_people_groups_and_what_is_real(client: FlaskClient, playground: Playground) -> None:
    state = client.get("/sandbox/state").get_json()
    assert [(one["id"], one["admin"]) for one in state["people"]] == [(LIN.id, True), (WANG.id, False)]
    assert {name: group["url"] for name, group in state["groups"].items()} == playground.webhook_urls
    assert state["groups"]["wecom"]["secret"] == ""
    assert len(state["replaced"]) == 6
    assert state["people"][0]["on"]["slack"] == {"id": LIN.on("slack").person, "chat": LIN.on("slack").chat}
    shown, app = json.dumps(state), playground.installed
    for secret in (
        app.dingtalk.client_secret,
        *(app.wecom.client_secret, app.wecom_keys.token, app.robot_keys.aes_key),
        *(app.lark.client_secret, app.lark_key, app.lark_token),
        *(app.slack.bot_token, app.slack.signing_secret),
    ):
        assert secret not in shown
