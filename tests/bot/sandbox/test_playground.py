"""The playground: what it sets up, which settings it replaces, and what visitors can make happen."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bot.app import credentials_of
from bot.platforms.dingtalk import decode
from bot.sandbox import dingtalk_cards, lark_press, slack_app, wecom_cards
from bot.sandbox.cast import GROUPS, PLAYERS, Chat, admins_on
from bot.sandbox.dingtalk_robots import robot_sign
from bot.sandbox.playground import NoService, NoSource, Playground
from bot.sandbox.sample_alerts import STORM
from bot.settings import Settings
from handlers.sources import SOURCES
from handlers.sources.contract import Body
from handlers.webhooks import channel_of
from tests.browser.service import Sandbox

LIN, WANG = PLAYERS
CONTROLS = {
    "dingtalk": dingtalk_cards.controls,
    "wecom": wecom_cards.controls,
    "lark": lark_press.controls,
    "slack": slack_app.controls,
}


class Service:
    """Stands for our own routes: keeps what is posted, answers with `status`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.got.append((self.path, headers, body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture
def playground(service: Service) -> Iterator[Playground]:
    made = Playground().start()
    made.service_url = service.url
    yield made
    made.stop()


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def tell_source(playground: Playground, url: str, person: str = LIN.id) -> None:
    message = {"msgtype": "markdown", "markdown": {"title": "x", "text": f"> {url}"}}
    playground.world.happen("say", "dingtalk", LIN.on("dingtalk").chat, message, person=person)


def secrets_of(playground: Playground) -> list[str]:
    app = playground.installed
    return [
        app.dingtalk.client_secret,
        *(app.wecom.client_secret, app.wecom_keys.token, app.wecom_keys.aes_key),
        *(app.robot_keys.token, app.robot_keys.aes_key),
        *(app.lark.client_secret, app.lark_key, app.lark_token),
        *(app.slack.bot_token, app.slack.signing_secret),
    ]


def test_addresses_of_robots_are_the_same_after_every_start_and_credentials_are_not() -> None:
    one, two = Playground(), Playground()
    assert one.webhook_urls == two.webhook_urls
    assert one.robot_secrets == two.robot_secrets
    assert Playground("another").webhook_urls != one.webhook_urls
    assert not set(secrets_of(one)) & set(secrets_of(two))


def test_every_address_is_a_webhook_that_can_be_added_as_a_contact() -> None:
    urls = Playground().webhook_urls
    assert {name: channel_of(url).channel for name, url in urls.items()} == {name: name for name in urls}
    assert set(urls) == {"dingtalk", "wecom", "lark", "slack"}


def test_ids_of_messages_are_new_after_every_start() -> None:
    # The service remembers the ids it has seen in its database, which outlives the playground.
    assert Playground().world.new_id("msg") != Playground().world.new_id("msg")


def test_settings_lead_every_platform_to_the_stand_ins(playground: Playground) -> None:
    made = playground.settings(settings(sandbox=True, das_keyword="My Alarm"))
    url = playground.stand_ins.url
    assert {
        name: getattr(made, name)
        for name in type(made).model_fields
        if name.endswith("_url") and name not in ("database_url", "public_url", "smtp_url")
    } == dict.fromkeys(
        (
            *("slack_api_url", "slack_hooks_url", "dingtalk_api_url", "dingtalk_oapi_url", "wecom_api_url"),
            *("lark_api_url", "aliyun_sms_url", "aliyun_voice_url", "cloudmonitor_url", "arms_url", "das_url"),
        ),
        url,
    )
    assert made.smtp_url == playground.stand_ins.smtp_url
    assert made.mail_from
    assert made.dingtalk_client_secret == playground.installed.dingtalk.client_secret
    assert made.alibaba_cloud_access_key_id
    assert (made.sms_sign_name, made.sms_template_code, made.sms_template_alert) == (
        "Callboard",
        "SMS_CODE",
        "SMS_ALERT",
    )
    assert made.admins == (
        "dingtalk:dingsandbox/admin01",
        "wecom:wwsandbox/lin",
        "lark:sandbox/ou_sandbox_lin",
        "slack:TSANDBOX1/USANDBOXLIN",
    )
    assert set(credentials_of(made)) == {"dingtalk", "wecom", "lark", "slack"}
    assert Settings.model_validate(made.model_dump()) == made, "what is made up would also be taken from outside"
    (robot,) = [robot for robot in playground.world.robots if robot.platform == "dingtalk"]
    assert robot.keywords == ("My Alarm",)


DINGTALK = {"dingtalk_client_id": "real", "dingtalk_client_secret": "real"}
KEYS = {"alibaba_cloud_access_key_id": "real", "alibaba_cloud_access_key_secret": "real"}


@pytest.mark.parametrize(
    ("platform", "given", "untouched"),
    [
        ("dingtalk", DINGTALK, ("dingtalk_client_id", "dingtalk_api_url", "dingtalk_oapi_url")),
        ("dingtalk", {"dingtalk_oapi_url": "http://127.0.0.1:9"}, ("dingtalk_oapi_url", "dingtalk_client_id")),
        ("wecom", {"wecom_corp_id": "ww1"}, ("wecom_api_url",)),
        ("wecom", {"wecom_api_url": "http://127.0.0.1:9"}, ("wecom_api_url",)),
        ("lark", {"lark_app_id": "cli", "lark_app_secret": "x"}, ("lark_api_url",)),
        ("slack", {"slack_hooks_url": "http://127.0.0.1:9"}, ("slack_hooks_url", "slack_api_url")),
        ("slack", {"slack_bot_token": "x", "slack_signing_secret": "y"}, ("slack_hooks_url", "slack_api_url")),
        ("slack", {"slack_api_url": "http://127.0.0.1:9"}, ("slack_bot_token", "slack_api_url")),
        ("mail", {"smtp_url": "smtp://mail.example.com:587?starttls=1"}, ("smtp_url", "mail_from")),
        ("alibaba", KEYS, ("alibaba_cloud_access_key_id", "aliyun_sms_url", "cloudmonitor_url", "arms_url", "das_url")),
        ("alibaba", {"arms_url": "http://127.0.0.1:9"}, ("arms_url", "alibaba_cloud_access_key_id", "sms_sign_name")),
    ],
)
def test_a_platform_that_is_configured_is_never_replaced(
    playground: Playground, platform: str, given: dict[str, str], untouched: tuple[str, ...]
) -> None:
    before = settings(**given)
    after = playground.settings(before)
    assert {name: getattr(after, name) for name in untouched} == {name: getattr(before, name) for name in untouched}
    assert platform not in playground.replaced
    assert len(playground.replaced) == 5, "the others are"
    changed = {name for name in type(before).model_fields if getattr(before, name) != getattr(after, name)}
    assert not any(name.startswith(platform) for name in changed)
    assert not any(admin.startswith(f"{platform}:") for admin in after.admins)


def test_admins_that_are_set_stay_admins(playground: Playground) -> None:
    lin = admins_on("slack")[0]
    made = playground.settings(settings(admins=f"slack:T1/U1,{lin}")).admins
    assert made[:2] == ("slack:T1/U1", lin)
    assert len(made) == len(set(made)) == 5


@pytest.mark.parametrize(("where", "direct"), [("group", False), ("direct", True)])
def test_what_is_said_arrives_signed_and_whole(
    playground: Playground, service: Service, where: Any, direct: bool
) -> None:
    passed = playground.say(WANG.id, "dingtalk", where, "me 13900139000")
    ((path, headers, body),) = service.got
    assert passed.status == 200
    assert path == "/dingtalk/messages"
    assert headers["sign"] == robot_sign(playground.installed.dingtalk.client_secret, headers["timestamp"])
    incoming = decode(json.loads(body))
    assert incoming is not None
    assert (incoming.text, incoming.direct) == ("me 13900139000", direct)
    assert incoming.person == f"dingtalk:dingsandbox/{WANG.id}"
    assert json.loads(body)["conversationId"] == (WANG.on("dingtalk").chat if direct else GROUPS["dingtalk"])


def test_saying_something_without_a_service_is_told(playground: Playground, service: Service) -> None:
    playground.service_url = ""
    with pytest.raises(NoService):
        playground.say(LIN.id, "dingtalk", "direct", "help")
    playground.service_url = "http://127.0.0.1:1"
    with pytest.raises(NoService):
        playground.say(LIN.id, "dingtalk", "direct", "help")
    with pytest.raises(LookupError):
        playground.say("nobody", "dingtalk", "direct", "help")


def test_alerts_go_to_the_newest_source_on_our_own_address(playground: Playground, service: Service) -> None:
    with pytest.raises(NoSource):
        playground.raise_alerts("critical")
    tell_source(playground, "https://callboard.example.com/alerts/alertmanager/old")
    tell_source(playground, "https://elsewhere.example.com/alerts/alertmanager/a_b-c__d")
    assert playground.raise_alerts("critical").status == 200
    assert [path for path, *_ in service.got] == ["/alerts/alertmanager/a_b-c__d"]


def test_an_address_is_found_also_where_markdown_made_it_harmless(playground: Playground) -> None:
    tell_source(playground, "http://127.0.0.1/alerts/alertmanager/a-＿b\u200b＿-c")
    assert playground.alert_path() == "/alerts/alertmanager/a-_b_-c"


def test_what_people_type_is_no_source(playground: Playground) -> None:
    playground.world.happen(
        "typed", "dingtalk", LIN.on("dingtalk").chat, "http://h/alerts/alertmanager/x", person=LIN.id
    )
    playground.world.happen("card", "slack", "C", {"text": "http://h/alerts/alertmanager/y"})
    assert playground.alert_path() is None


def test_the_answer_of_a_source_is_passed_on(playground: Playground, service: Service) -> None:
    tell_source(playground, "http://h/alerts/alertmanager/x")
    service.status = 401
    assert playground.raise_alerts("warning").status == 401


def raised(playground: Playground, service: Service, sample: Any, language: Any = "en") -> Any:
    service.got.clear()
    playground.raise_alerts(sample, language)
    ((_, headers, body),) = service.got
    assert headers["content-type"] == "application/json"
    return body


def test_samples_are_what_alertmanager_sends(playground: Playground, service: Service) -> None:
    tell_source(playground, "http://h/alerts/alertmanager/x")
    parse = SOURCES["alertmanager"].parse
    now = datetime.now(UTC)

    def alerts(sample: Any, language: Any = "en") -> Any:
        return parse(Body(raised(playground, service, sample, language)), now)

    (critical,) = alerts("critical")
    assert (critical.severity, critical.status) == ("critical", "firing")
    (again,) = alerts("critical")
    assert again.fingerprint != critical.fingerprint, "a repeat would only be counted"
    (resolved,) = alerts("resolved")
    assert (resolved.status, resolved.fingerprint) == ("resolved", again.fingerprint)
    (warning,) = alerts("warning", "zh")
    assert warning.severity == "warning"
    assert "磁盘" in warning.title
    storm = alerts("storm")
    assert len({alert.fingerprint for alert in storm}) == STORM
    assert {alert.severity for alert in storm} == {"warning", "critical"}


def test_stopping_ends_a_wait_for_news_at_once() -> None:
    playground = Playground().start()
    ended = threading.Event()

    def wait() -> None:
        while not playground.stopping.is_set():
            playground.polled(playground.world.last, 30.0)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    playground.stop()
    assert ended.wait(5)
    thread.join(5)
    playground.stop()  # twice is as good as once


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    made = Sandbox(tmp_path)
    yield made
    made.stop()


CHATS: tuple[Chat, ...] = ("dingtalk", "wecom", "lark", "slack")


def test_what_is_typed_anywhere_is_answered_there_by_the_real_service(sandbox: Sandbox) -> None:
    playground = sandbox.playground
    for platform in CHATS:
        for where, place in (("group", GROUPS[platform]), ("direct", LIN.on(platform).chat)):
            after = playground.world.last
            passed = playground.say(LIN.id, platform, where, "group list")  # type: ignore[arg-type]
            assert passed.status == 200, (platform, where)
            sandbox.answer(place, after=after, containing="no groups")
    assert playground.world.refusals() == []


def test_a_slash_command_is_answered_to_its_person_alone(sandbox: Sandbox) -> None:
    playground = sandbox.playground
    assert playground.say(WANG.id, "slack", "group", "/callboard group list").status == 200
    event = sandbox.answer(GROUPS["slack"], containing="no groups")
    assert (event.person, event.note) == (WANG.on("slack").person, "ephemeral")


def test_the_admin_is_one_on_every_platform_and_the_member_on_none(sandbox: Sandbox) -> None:
    playground = sandbox.playground
    for platform in CHATS:
        for player in PLAYERS:
            after = playground.world.last
            playground.say(player.id, platform, "direct", f"group create {player.also}-{platform}")
            containing = f"{player.also}-{platform}" if player.admin else "admin"
            sandbox.answer(player.on(platform).chat, after=after, containing=containing)


@pytest.mark.parametrize("platform", CHATS)
def test_a_button_is_pressed_as_the_platform_passes_it_on(sandbox: Sandbox, platform: Chat) -> None:
    playground = sandbox.playground
    chat = LIN.on(platform).chat
    for text in ("group create dba", "group delete dba"):
        after = playground.world.last
        playground.say(LIN.id, platform, "direct", text)
        asked = sandbox.answer(chat, after=after, containing="dba")
    (yes,) = [one for one in CONTROLS[platform](asked.body) if one["label"] == "Yes"]
    with pytest.raises(LookupError):
        playground.press(LIN.id, platform, asked.seq, f"{yes['token']}x")
    after = playground.world.last
    assert playground.press(LIN.id, platform, asked.seq, yes["token"]).status == 200
    sandbox.answer(chat, after=after, containing="deleted")
    assert playground.world.refusals() == []
