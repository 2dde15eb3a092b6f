"""`python -m bot check`: is each configured thing there, and does it know us? Nothing is sent to anybody.

Each check is one line of CHECKS and makes as few calls as it can, the cheapest of its platform that need the credentials.
Findings are for operators and hold no secret: of a platform's answer only its error code and a cut message are shown.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from bot import cloudmonitor, das
from bot.aliyun import AccessKey, AliyunError, call
from bot.aliyun_reading import Account
from bot.http import Http, HttpReply, Unreachable
from bot.imports import Cloud
from bot.key_file import KEY_FILE, secret_key
from bot.settings import Settings, overrides
from handlers.errors import DeliveryError
from storage.database import Database
from storage.vault import WrongKey

TIMEOUT_S = 10.0

SLACK_SCOPES = ("app_mentions:read", "chat:write", "commands", "im:history", "im:write")
"""Without one of these something that the bot promises does not work; `docs/slack-manifest.yaml` asks for them."""

State = Literal["ok", "missing", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. "missing" is not configured, which may be meant; "wrong" makes the check fail."""

    state: State
    name: str
    text: str


def everything(settings: Settings, http: Http | None = None) -> list[Finding]:
    """Every check of the table, in its order; a check that breaks is itself a finding."""
    client = http if http is not None else Http(overrides(settings))
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            found = check(settings, client)
        except Unreachable as error:
            found = [Finding("wrong", name, f"cannot be reached ({error.reason}): check the network and proxy rules")]
        findings.extend(found)
    return findings


def _settings(settings: Settings, _http: Http) -> list[Finding]:
    findings = [Finding("ok", "settings", "all values are well formed")]
    if not settings.admins:
        findings.append(Finding("missing", "ADMINS", "nobody is an admin: set ADMINS=slack:T0001/U0001 or similar"))
    if not settings.public_url:
        findings.append(Finding("missing", "PUBLIC_URL", "links and alert URLs name the address listened on"))
    if settings.secret_key and len(settings.secret_key) < 32:
        findings.append(Finding("wrong", "SECRET_KEY", "is short: use at least 32 random characters"))
    return findings


def _database(settings: Settings, _http: Http) -> list[Finding]:
    name = "database"
    file = settings.database_url.removeprefix("sqlite:///")
    if file != settings.database_url and not Path(file).exists():
        return [Finding("missing", name, "there is none yet: it is made at the first start")]
    keyed = bool(settings.secret_key) or KEY_FILE.exists()
    database = Database(settings.database_url, secret_key(settings) if keyed else "none yet")
    try:
        problem = database.problem()
        if problem == "migrations missing":
            return [Finding("wrong", name, "is of another version: run python -m bot db upgrade")]
        if problem == "unreachable":
            return [Finding("wrong", name, "unreachable: check DATABASE_URL and that the server runs")]
        if problem:
            return [Finding("wrong", name, f"cannot be used ({problem}): check DATABASE_URL")]
        if keyed:
            database.check_key()
    except WrongKey:
        return [Finding("wrong", name, "was written with another SECRET_KEY: restore that one")]
    except Exception as error:  # drivers' own errors, of libraries that only `storage` knows
        return [Finding("wrong", name, f"cannot be opened ({type(error).__name__}): check DATABASE_URL")]
    finally:
        database.close()
    return [Finding("ok", name, "open and of this version")]


def _answer(reply: HttpReply) -> dict[str, Any]:
    body = reply.json()
    return body if isinstance(body, dict) else {}


def _refused(name: str, status: int, code: object, what_to_do: str) -> Finding:
    said = f"answered {str(code)[:60]}" if code not in (None, "") else f"answered HTTP {status}"
    return Finding("wrong", name, f"{said}: {what_to_do}")


def _dingtalk(settings: Settings, http: Http) -> list[Finding]:
    if not settings.dingtalk_client_id:
        return [Finding("missing", "dingtalk", "set DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET to use it")]
    reply = http.post(
        "https://api.dingtalk.com/v1.0/oauth2/accessToken",
        json={"appKey": settings.dingtalk_client_id, "appSecret": settings.dingtalk_client_secret},
        timeout_s=TIMEOUT_S,
    )
    body = _answer(reply)
    if body.get("accessToken"):
        knows = Finding("ok", "dingtalk", "knows the app")
        if settings.dingtalk_stream:
            return [knows]
        return [knows, *_public(settings, "dingtalk", "/dingtalk/messages", "DINGTALK_STREAM=1 needs none")]
    return [_refused("dingtalk", reply.status, body.get("code"), "check DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET")]


def _wecom(settings: Settings, http: Http) -> list[Finding]:
    if not (settings.wecom_corp_id and settings.wecom_secret):
        if settings.wecom_bot_token and not settings.wecom_corp_id:
            return [
                Finding("wrong", "WECOM_CORP_ID", "is not set: without it nobody who talks to the robot has a name")
            ]
        if settings.wecom_bot_token:
            nothing = Finding("ok", "wecom", "the robot's callback is configured; there is nothing to call")
            return [nothing, *_public(settings, "wecom", "/wecom/bot")]
        return [
            Finding("missing", "wecom", "set WECOM_CORP_ID, WECOM_AGENT_ID, WECOM_SECRET, WECOM_TOKEN, WECOM_AES_KEY")
        ]
    findings = [
        Finding("missing", name, "is needed to hear and answer people in the WeCom app")
        for name in ("WECOM_AGENT_ID", "WECOM_TOKEN")
        if not getattr(settings, name.lower())
    ]
    reply = http.get(
        "https://qyapi.weixin.qq.com/cgi-bin/gettoken",
        params={"corpid": settings.wecom_corp_id, "corpsecret": settings.wecom_secret},
        timeout_s=TIMEOUT_S,
    )
    body = _answer(reply)
    if body.get("errcode") == 0 and body.get("access_token"):
        return [Finding("ok", "wecom", "knows the app"), *findings, *_public(settings, "wecom", "/wecom/app")]
    return [_refused("wecom", reply.status, body.get("errcode"), "check WECOM_CORP_ID and WECOM_SECRET"), *findings]


def _lark(settings: Settings, http: Http) -> list[Finding]:
    if not settings.lark_app_id:
        return [Finding("missing", "lark", "set LARK_APP_ID and LARK_APP_SECRET to use it")]
    findings = []
    if not settings.lark_encrypt_key and not settings.lark_verification_token:
        findings.append(Finding("missing", "LARK_VERIFICATION_TOKEN", "is needed to hear people, or LARK_ENCRYPT_KEY"))
    elif not settings.lark_encrypt_key:
        findings.append(Finding("missing", "LARK_ENCRYPT_KEY", "requests are not signed: set one for production"))
    reply = http.post(
        "https://open.feishu.cn/open-apis/auth/v3/tenant_access_token/internal",
        json={"app_id": settings.lark_app_id, "app_secret": settings.lark_app_secret},
        timeout_s=TIMEOUT_S,
    )
    body = _answer(reply)
    token = body.get("tenant_access_token")
    if body.get("code") == 0 and isinstance(token, str) and token:
        knows = Finding("ok", "lark", "knows the app")
        return [knows, _lark_bot(token, http), *findings, *_public(settings, "lark", "/lark/events")]
    return [_refused("lark", reply.status, body.get("code"), "check LARK_APP_ID and LARK_APP_SECRET"), *findings]


def _lark_bot(token: str, http: Http) -> Finding:
    """Whether the app is a bot that is switched on: only then it hears and speaks."""
    bearer = {"Authorization": f"Bearer {token}"}
    reply = http.get("https://open.feishu.cn/open-apis/bot/v3/info", headers=bearer, timeout_s=TIMEOUT_S)
    body = _answer(reply)
    if body.get("code") == 0 and isinstance(body.get("bot"), dict):
        return Finding("ok", "lark bot", "the app has the bot capability")
    return _refused(
        "lark bot", reply.status, body.get("code"), "add the bot capability to the app and publish a version"
    )


def _slack(settings: Settings, http: Http) -> list[Finding]:
    if not settings.slack_bot_token:
        return [Finding("missing", "slack", "set SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET to use it")]
    reply = http.post(
        "https://slack.com/api/auth.test",
        form={},
        headers={"Authorization": f"Bearer {settings.slack_bot_token}"},
        timeout_s=TIMEOUT_S,
    )
    body = _answer(reply)
    if body.get("ok") is not True:
        return [_refused("slack", reply.status, body.get("error"), "check SLACK_BOT_TOKEN, or install the app again")]
    findings = [Finding("ok", "slack", "knows the bot")]
    granted = {scope.strip() for scope in (reply.headers.get("X-OAuth-Scopes") or "").split(",")} - {""}
    lacking = [scope for scope in SLACK_SCOPES if scope not in granted]
    if granted and lacking:
        what = f"lacks {', '.join(lacking)}: add them under OAuth & Permissions and install the app again"
        findings.append(Finding("wrong", "slack scopes", what))
    if settings.slack_app_token:
        return [*findings, _slack_socket(settings, http)]
    return [*findings, *_public(settings, "slack", "/slack/events", "SLACK_APP_TOKEN needs none")]


def _slack_socket(settings: Settings, http: Http) -> Finding:
    """Asks for an address to connect to, and leaves it."""
    reply = http.post(
        "https://slack.com/api/apps.connections.open",
        form={},
        headers={"Authorization": f"Bearer {settings.slack_app_token}"},
        timeout_s=TIMEOUT_S,
    )
    body = _answer(reply)
    if body.get("ok") is True:
        return Finding("ok", "slack socket", "Slack gives the app a connection")
    return _refused(
        "slack socket", reply.status, body.get("error"), "check SLACK_APP_TOKEN and its scope connections:write"
    )


def _public(settings: Settings, name: str, path: str, instead: str = "") -> list[Finding]:
    """What calls us back needs to know where we are."""
    if settings.public_url:
        return [Finding("ok", f"{name} address", f"enter {settings.public_url.rstrip('/')}{path} in its console")]
    rest = f" ({instead})" if instead else ""
    return [Finding("missing", f"{name} address", f"it calls <PUBLIC_URL>{path}: set PUBLIC_URL{rest}")]


def _email(settings: Settings, _http: Http) -> list[Finding]:
    """Greets the mail server as a real send would, up to the login."""
    if not settings.smtp_url:
        return [Finding("missing", "email", "set SMTP_URL and MAIL_FROM to send mail")]
    if not settings.mail_from:
        return [Finding("wrong", "email", "MAIL_FROM is not set: mail needs a sender")]
    parts = urlsplit(settings.smtp_url)
    host = parts.hostname or ""
    try:
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_S)
        with server:
            server.ehlo()
            if parse_qs(parts.query).get("starttls") == ["1"]:
                server.starttls(context=context)
                server.ehlo()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
    except smtplib.SMTPAuthenticationError as error:
        return [
            Finding("wrong", "email", f"the login was refused ({error.smtp_code}): check user and password in SMTP_URL")
        ]
    except smtplib.SMTPNotSupportedError:
        return [Finding("wrong", "email", "the server does not offer what SMTP_URL asks for (starttls or login)")]
    except ssl.SSLError:
        return [Finding("wrong", "email", "no trusted TLS connection: check the port, starttls and the certificate")]
    except (OSError, smtplib.SMTPException) as error:
        return [
            Finding("wrong", "email", f"cannot be reached ({type(error).__name__}): check host and port of SMTP_URL")
        ]
    return [Finding("ok", "email", "the server takes our mail" if parts.username else "the server answers")]


def _sms(settings: Settings, http: Http) -> list[Finding]:
    """Asks for the deliveries of a number nobody has: needs a valid signature and the right to use the service."""
    names = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "SMS_SIGN_NAME", "SMS_TEMPLATE_CODE", "SMS_TEMPLATE_ALERT")
    absent = [name for name in names if not getattr(settings, name.lower())]
    if names[0] in absent:
        return [Finding("missing", "sms", "set ALIBABA_CLOUD_ACCESS_KEY_ID and …_SECRET to use Alibaba Cloud")]
    findings = [Finding("missing", name, "is needed to send SMS") for name in absent]
    now = datetime.now(UTC)
    query = {"PhoneNumber": "13000000000", "SendDate": now.strftime("%Y%m%d"), "PageSize": "1", "CurrentPage": "1"}
    key = AccessKey(settings.alibaba_cloud_access_key_id, settings.alibaba_cloud_access_key_secret)
    try:
        body = call(http, "https://dysmsapi.aliyuncs.com", "QuerySendDetails", "2017-05-25", query, key, now)
    except AliyunError as error:
        said, status = error.code, error.status
    else:
        said, status = str(body.get("Code") or ""), 200
    if said == "OK":
        return [Finding("ok", "sms", "Alibaba Cloud knows the access key"), *findings]
    return [_refused("sms", status, said, "check the access key and its right to use SMS"), *findings]


def _readable(
    settings: Settings, http: Http, name: str, rights: str, read: Callable[[Account], object]
) -> DeliveryError | None:
    """Why something at Alibaba Cloud cannot be read; None: it can."""
    cloud = Cloud(
        http, AccessKey(settings.alibaba_cloud_access_key_id, settings.alibaba_cloud_access_key_secret), pause=_no_pause
    )
    try:
        read(cloud.account(name, rights, datetime.now(UTC)))
    except DeliveryError as error:
        return error
    return None


def _no_pause(_seconds: float) -> None:
    """One call needs none."""


def _cloudmonitor(settings: Settings, http: Http) -> list[Finding]:
    """Reads one contact. Who wants SMS only need not allow it."""
    name = "cloudmonitor"
    if not settings.alibaba_cloud_access_key_id:
        return [Finding("missing", name, "set ALIBABA_CLOUD_ACCESS_KEY_ID and …_SECRET to import contacts")]
    version = settings.cloudmonitor_api
    error = _readable(
        settings,
        http,
        "CloudMonitor",
        cloudmonitor.RIGHTS[version],
        lambda account: cloudmonitor.first(account, version),
    )
    if error is None:
        return [Finding("ok", name, "contacts can be imported")]
    optional = error.reason == "permission" and not settings.sync_every
    return [Finding("missing" if optional else "wrong", name, str(error.say))]


def _das(settings: Settings, http: Http) -> list[Finding]:
    """Asks for the events of the last minute of each instance that is watched."""
    name = "das"
    if not settings.das_instances:
        return [Finding("missing", name, "set DAS_INSTANCES to fetch events")]
    now = datetime.now(UTC)
    findings = []
    for instance in settings.das_instances:

        def read(account: Account, instance: str = instance) -> None:
            list(das.events(account, instance, now - timedelta(minutes=1), now, settings.das_level))

        error = _readable(settings, http, f"DAS {instance}", das.RIGHTS_TO_EVENTS, read)
        text = "its events can be read" if error is None else str(error.say)
        findings.append(Finding("ok" if error is None else "wrong", f"{name} {instance}", text))
    return findings


def _voice(settings: Settings, _http: Http) -> list[Finding]:
    """Calls nobody: the access key is that of SMS, and whether a template is accepted only a call tells."""
    if not settings.voice_template:
        return [Finding("missing", "voice", "set VOICE_TEMPLATE to have phones called for critical alerts")]
    if not settings.alibaba_cloud_access_key_id:
        return [Finding("wrong", "voice", "VOICE_TEMPLATE is set: it also needs ALIBABA_CLOUD_ACCESS_KEY_ID")]
    return [Finding("ok", "voice", "phones are called for critical alerts")]


CHECKS: dict[str, Callable[[Settings, Http], list[Finding]]] = {
    "settings": _settings,
    "database": _database,
    "slack": _slack,
    "dingtalk": _dingtalk,
    "wecom": _wecom,
    "lark": _lark,
    "email": _email,
    "sms": _sms,
    "voice": _voice,
    "cloudmonitor": _cloudmonitor,
    "das": _das,
}
