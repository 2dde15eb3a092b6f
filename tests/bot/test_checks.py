"""`check` against stand-ins: what is fine, what is not configured, and what to do about the rest."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bot import checks
from bot.checks import Finding
from bot.http import Http
from bot.settings import Settings
from storage.database import upgrade

DINGTALK = {"dingtalk_client_id": "dingapp01", "dingtalk_client_secret": "right-secret"}
WECOM = {"wecom_corp_id": "ww01", "wecom_secret": "right-secret", "wecom_agent_id": "1"}
LARK = {"lark_app_id": "cli_01", "lark_app_secret": "right-secret"}
SLACK = {"slack_bot_token": "xoxb-right-secret", "slack_signing_secret": "s"}
SMS = {
    "alibaba_cloud_access_key_id": "LTAI01",
    "alibaba_cloud_access_key_secret": "right-secret",
    "sms_sign_name": "x",
    "sms_template_code": "SMS_1",
    "sms_template_alert": "SMS_2",
}

WATCHING = {**SMS, "das_instances": "rm-1"}


class Platforms(BaseHTTPRequestHandler):
    """Answers the one call of each platform that a check makes, by the credentials given."""

    page = b""
    scopes = ""

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def answer(self, raw: bytes) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        routes: dict[str, Callable[[], tuple[int, object]]] = {
            "/v1.0/oauth2/accessToken": lambda: self.dingtalk(json.loads(raw)),
            "/cgi-bin/gettoken": lambda: self.wecom(query),
            "/open-apis/auth/v3/tenant_access_token/internal": lambda: self.lark(json.loads(raw)),
            "/api/auth.test": self.slack,
            "/api/apps.connections.open": self.slack_socket,
            "/open-apis/bot/v3/info": self.lark_bot,
            "/": self.aliyun,
        }
        status, body = routes[parts.path]()
        content = self.page or json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-OAuth-Scopes", self.scopes)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def dingtalk(self, said: dict[str, str]) -> tuple[int, object]:
        if said == {"appKey": "dingapp01", "appSecret": "right-secret"}:
            return 200, {"accessToken": "t0k", "expireIn": 7200}
        return 400, {"code": "invalidClientIdOrSecret", "message": "无效的clientId或者clientSecret"}

    def wecom(self, said: dict[str, str]) -> tuple[int, object]:
        if said == {"corpid": "ww01", "corpsecret": "right-secret"}:
            return 200, {"errcode": 0, "errmsg": "ok", "access_token": "t0k", "expires_in": 7200}
        return 200, {"errcode": 40001, "errmsg": "invalid credential"}

    def lark(self, said: dict[str, str]) -> tuple[int, object]:
        if said == {"app_id": "cli_01", "app_secret": "right-secret"}:
            return 200, {"code": 0, "msg": "ok", "tenant_access_token": "t0k", "expire": 7200}
        return 200, {"code": 10014, "msg": "app secret invalid"}

    def slack(self) -> tuple[int, object]:
        if self.headers["Authorization"] == "Bearer xoxb-right-secret":
            return 200, {"ok": True, "team_id": "T0001"}
        return 200, {"ok": False, "error": "invalid_auth"}

    def slack_socket(self) -> tuple[int, object]:
        if self.headers["Authorization"] == "Bearer xapp-right-secret":
            return 200, {"ok": True, "url": "wss://example.com/link"}
        return 200, {"ok": False, "error": "missing_scope"}

    def lark_bot(self) -> tuple[int, object]:
        if self.headers["Authorization"] == "Bearer t0k":
            return 200, {"code": 0, "msg": "ok", "bot": {"open_id": "ou_bot"}}
        return 400, {"code": 11205, "msg": "app do not have bot"}

    def aliyun(self) -> tuple[int, object]:
        answers: dict[str, dict[str, object]] = {
            "QuerySendDetails": {"Code": "OK", "TotalCount": "0", "SmsSendDetailDTOs": {"SmsSendDetailDTO": []}},
            "DescribeContactList": {"Code": "200", "Success": True, "Total": 0, "Contacts": {"Contact": []}},
            "GetAutonomousNotifyEventsInRange": {"Code": "200", "Success": "true", "Data": {"List": {"T": []}}},
        }
        answer = answers.get(self.headers["x-acs-action"])
        if answer is None:
            return 404, {"Code": "InvalidAction.NotFound"}
        if "Credential=LTAI03," in self.headers["Authorization"] and answer["Code"] != "OK":
            return 403, {
                "Code": "Forbidden.RAM",
                "Message": "User not authorized to operate on the specified resource.",
            }
        if "Credential=LTAI02," not in self.headers["Authorization"]:
            return 200, answer
        return 404, {"Code": "InvalidAccessKeyId.NotFound", "Message": "Specified access key is not found."}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
        """Quiet."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def platforms() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platforms)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    Platforms.page = b""
    Platforms.scopes = ""


def settings_at(address: str, **values: str) -> Settings:
    chats = ("slack_api_url", "dingtalk_api_url", "wecom_api_url", "lark_api_url")
    urls = (*chats, "aliyun_sms_url", "cloudmonitor_url", "das_url")
    return Settings.model_validate({**dict.fromkeys(urls, address), "wecom_bot_token": "", **values})


def finding(settings: Settings, name: str) -> Finding:
    found = [finding for finding in checks.everything(settings) if finding.name == name]
    assert len(found) == 1
    return found[0]


def test_nothing_configured_is_missing_and_nothing_is_wrong() -> None:
    found = checks.everything(Settings())
    assert {f.name for f in found if f.state == "missing"} >= {"slack", "dingtalk", "wecom", "lark", "email", "sms"}
    assert not [f for f in found if f.state == "wrong"]


@pytest.mark.parametrize(
    ("name", "right", "wrong", "code"),
    [
        ("dingtalk", DINGTALK, {"dingtalk_client_secret": "other-secret"}, "invalidClientIdOrSecret"),
        ("wecom", {**WECOM, "wecom_token": ""}, {"wecom_secret": "other-secret"}, "40001"),
        ("lark", LARK, {"lark_app_secret": "other-secret"}, "10014"),
        ("slack", SLACK, {"slack_bot_token": "xoxb-other-secret"}, "invalid_auth"),
        ("sms", SMS, {"alibaba_cloud_access_key_id": "LTAI02"}, "InvalidAccessKeyId.NotFound"),
        ("cloudmonitor", SMS, {"alibaba_cloud_access_key_id": "LTAI02"}, "InvalidAccessKeyId.NotFound"),
        ("das rm-1", WATCHING, {"alibaba_cloud_access_key_id": "LTAI02"}, "InvalidAccessKeyId.NotFound"),
    ],
)
def test_each_platform_says_whether_it_knows_us(
    platforms: str, name: str, right: dict[str, str], wrong: dict[str, str], code: str
) -> None:
    assert finding(settings_at(platforms, **right), name).state == "ok"
    refused = finding(settings_at(platforms, **{**right, **wrong}), name)
    assert refused.state == "wrong"
    assert code in refused.text
    assert "check " in refused.text
    assert "right-secret" not in refused.text
    assert "other-secret" not in refused.text
    Platforms.page = b"<html>gateway</html>"
    assert finding(settings_at(platforms, **right), name).state == "wrong"


@pytest.mark.parametrize(
    ("name", "configured"), [("dingtalk", DINGTALK), ("wecom", WECOM), ("lark", LARK), ("slack", SLACK)]
)
def test_a_platform_that_is_down_is_wrong_and_the_others_are_still_looked_at(
    name: str, configured: dict[str, str]
) -> None:
    settings = settings_at("http://127.0.0.1:1", **configured)
    assert finding(settings, name).state == "wrong"
    assert "cannot be reached" in finding(settings, name).text
    assert finding(settings, "email").state == "missing"


def test_a_key_for_sms_alone_is_enough_unless_contacts_are_read_by_themselves(platforms: str) -> None:
    only_sms = {**WATCHING, "alibaba_cloud_access_key_id": "LTAI03"}
    found = finding(settings_at(platforms, **only_sms), "cloudmonitor")
    assert found.state == "missing"
    assert "cms:DescribeContactList" in found.text
    assert finding(settings_at(platforms, **only_sms, sync_every="6h"), "cloudmonitor").state == "wrong"
    assert finding(settings_at(platforms, **only_sms), "das rm-1").state == "wrong"


def test_sms_names_the_settings_it_still_needs(platforms: str) -> None:
    found = checks.everything(settings_at(platforms, **{**SMS, "sms_template_code": ""}))
    assert Finding("missing", "SMS_TEMPLATE_CODE", "is needed to send SMS") in found


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, "missing"),
        ({"voice_template": "TTS_1"}, "wrong"),
        (
            {
                "voice_template": "TTS_1",
                "alibaba_cloud_access_key_id": "k",
                "alibaba_cloud_access_key_secret": "s",
            },
            "ok",
        ),
    ],
)
def test_calls_need_a_template_and_the_access_key(values: dict[str, str], state: str) -> None:
    [found] = checks.CHECKS["voice"](Settings(_env_file=None).model_copy(update=values), Http())
    assert (found.name, found.state) == ("voice", state)


class OneUser:
    def __call__(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        return AuthResult(success=isinstance(data, LoginPassword) and data.password == b"right secret", handled=False)


class OnAnyPort(Controller):
    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # the library's own


@pytest.fixture
def mail_server() -> Iterator[str]:
    controller = OnAnyPort(object(), "127.0.0.1", 0, authenticator=OneUser(), auth_require_tls=False)
    controller.start()
    yield f"127.0.0.1:{controller.port}"
    controller.stop()


@pytest.mark.parametrize(
    ("url", "sender", "state", "words"),
    [
        ("smtp://{}", "a@example.com", "ok", "answers"),
        ("smtp://robot:right%20secret@{}", "a@example.com", "ok", "takes our mail"),
        ("smtp://robot:wrong@{}", "a@example.com", "wrong", "login was refused"),
        ("smtp://{}?starttls=1", "a@example.com", "wrong", "does not offer"),
        ("smtps://{}", "a@example.com", "wrong", "TLS"),
        ("smtp://127.0.0.1:1", "a@example.com", "wrong", "cannot be reached"),
        ("smtp://{}", "", "wrong", "MAIL_FROM"),
        ("", "", "missing", "SMTP_URL"),
    ],
)
def test_the_mail_server_is_greeted_up_to_the_login(
    mail_server: str, url: str, sender: str, state: str, words: str
) -> None:
    found = finding(Settings(smtp_url=url.format(mail_server), mail_from=sender), "email")
    assert found.state == state
    assert words in found.text


def test_the_database_is_opened_and_its_version_and_key_compared(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x' / 'callboard.db'}"
    assert finding(Settings(database_url=url), "database").state == "missing"
    assert not (tmp_path / "x").exists()
    upgrade(url)
    assert finding(Settings(database_url=url, secret_key="k" * 40), "database").state == "ok"
    other = finding(Settings(database_url=url, secret_key="o" * 40), "database")
    assert (other.state, "SECRET_KEY" in other.text) == ("wrong", True)


def test_a_database_of_another_version_or_out_of_reach_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    empty = finding(Settings(database_url=f"sqlite:///{tmp_path / 'empty.db'}"), "database")
    assert (empty.state, "db upgrade" in empty.text) == ("wrong", True)
    away = Settings(database_url="postgresql://u:hunter2@127.0.0.1:1/x")
    assert finding(away, "database").state == "wrong"
    assert "hunter2" not in finding(away, "database").text


def test_a_file_that_is_no_database_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("a diary, and not a short one. " * 100, "utf-8")
    found = finding(Settings(database_url=f"sqlite:///{tmp_path / 'x.db'}"), "database")
    assert (found.state, found.text) == ("wrong", "cannot be used (not a database): check DATABASE_URL")


def test_a_short_key_is_wrong() -> None:
    assert finding(Settings(secret_key="short"), "SECRET_KEY").state == "wrong"


def test_the_wecom_robot_needs_to_know_its_organisation() -> None:
    robot = {"wecom_bot_token": "t", "wecom_bot_aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}
    alone = settings_at("http://127.0.0.1:1", **robot)
    assert finding(alone, "WECOM_CORP_ID").state == "wrong"
    whole = settings_at("http://127.0.0.1:1", **robot, wecom_corp_id="ww01")
    assert finding(whole, "wecom").state == "ok"


def test_what_lark_needs_to_be_heard_is_named(platforms: str) -> None:
    keys = ("LARK_VERIFICATION_TOKEN", "LARK_ENCRYPT_KEY")
    cases: tuple[tuple[dict[str, str], list[str]], ...] = (
        ({}, ["LARK_VERIFICATION_TOKEN"]),
        ({"lark_verification_token": "vt_1"}, ["LARK_ENCRYPT_KEY"]),
        ({"lark_encrypt_key": "k"}, []),
        ({"lark_verification_token": "vt_1", "lark_encrypt_key": "k"}, []),
    )
    for given, named in cases:
        found = checks.everything(settings_at(platforms, **LARK, **given))
        assert [one.name for one in found if one.name in keys and one.state == "missing"] == named


def test_slack_names_the_scopes_it_lacks(platforms: str) -> None:
    Platforms.scopes = "app_mentions:read,chat:write,im:history,im:write"
    lacking = finding(settings_at(platforms, **SLACK), "slack scopes")
    assert lacking.state == "wrong"
    assert "lacks commands:" in lacking.text
    Platforms.scopes = "commands, " + Platforms.scopes
    assert "slack scopes" not in [one.name for one in checks.everything(settings_at(platforms, **SLACK))]


def test_the_manifest_asks_for_every_scope_that_is_checked() -> None:
    manifest = (Path(__file__).parents[2] / "docs" / "slack-manifest.yaml").read_text("utf-8")
    assert [scope for scope in checks.SLACK_SCOPES if f"- {scope}\n" not in manifest] == []


def test_the_token_for_slacks_socket_is_tried(platforms: str) -> None:
    bot = {"slack_bot_token": SLACK["slack_bot_token"]}
    right = finding(settings_at(platforms, **bot, slack_app_token="xapp-right-secret"), "slack socket")
    wrong = finding(settings_at(platforms, **bot, slack_app_token="xapp-other-secret"), "slack socket")
    assert (right.state, wrong.state) == ("ok", "wrong")
    assert "missing_scope" in wrong.text
    assert "other-secret" not in wrong.text


@pytest.mark.parametrize(
    ("name", "configured", "path"),
    [
        ("slack", SLACK, "/slack/events"),
        ("dingtalk", DINGTALK, "/dingtalk/messages"),
        ("lark", LARK, "/lark/events"),
        ("wecom", {**WECOM, "wecom_token": ""}, "/wecom/app"),
    ],
)
def test_what_calls_us_back_is_told_where_we_are(
    platforms: str, name: str, configured: dict[str, str], path: str
) -> None:
    assert finding(settings_at(platforms, **configured), f"{name} address").state == "missing"
    known = finding(settings_at(platforms, **configured, public_url="https://call.example.com/"), f"{name} address")
    assert known == Finding("ok", f"{name} address", f"enter https://call.example.com{path} in its console")


def test_stream_and_socket_need_no_address(platforms: str) -> None:
    stream = checks.everything(settings_at(platforms, **DINGTALK, dingtalk_stream="1"))
    socket = checks.everything(settings_at(platforms, **SLACK, slack_app_token="xapp-right-secret"))
    assert [one.name for one in (*stream, *socket) if one.name.endswith(" address")] == []


def test_a_lark_app_without_a_bot_is_wrong(platforms: str) -> None:
    assert finding(settings_at(platforms, **LARK), "lark bot").state == "ok"
