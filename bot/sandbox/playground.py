"""The pretend world that people try Callboard in: four platforms, two people on each, their phones and mailboxes.

Robots and conversations are the same after every start, so that a webhook address or a group that the database
remembers still means the same place. The credentials of the app are new each time: they are all that keeps somebody
else on this machine from signing callbacks.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import requests

from bot.sandbox.cloudmonitor import CmsContact
from bot.sandbox.das import DasContact
from bot.sandbox.dingtalk_client import DingTalkClient
from bot.sandbox.lark_client import LarkClient
from bot.sandbox.server import SMS_SIGNATURE, SMS_TEMPLATES, VOICE_TEMPLATES, StandIns
from bot.sandbox.slack_app import SlackClient, Workspace
from bot.sandbox.wecom_client import Keys, WeComClient
from bot.sandbox.world import App, Event, World
from bot.settings import Settings
from handlers.texts import Language

CORPS = {"dingtalk": "dingsandbox", "wecom": "wwsandbox", "lark": "sandbox", "slack": "TSANDBOX1"}
"""What each platform calls the organisation."""

WECOM_AGENT = "1000002"
CARD_TEMPLATE = "sandbox.schema"
SLASH = "/callboard"

GROUPS = {
    "dingtalk": "cidSandboxOncall==",
    "wecom": "wrSandboxOncall",
    "lark": "oc_sandbox_oncall",
    "slack": "CSANDBOX1",
}
TITLES = {"dingtalk": "oncall", "wecom": "dba-wecom", "lark": "sre-lark", "slack": "alerts-slack"}

Chat = Literal["dingtalk", "wecom", "lark", "slack"]
Where = Literal["group", "direct"]
Sample = Literal["critical", "warning", "resolved", "storm"]
STORM = 30
TIMEOUT_S = 10.0

CREDENTIALS: dict[str, tuple[str, ...]] = {
    "dingtalk": ("dingtalk_client_id", "dingtalk_api_url", "dingtalk_oapi_url"),
    "wecom": ("wecom_corp_id", "wecom_agent_id", "wecom_secret", "wecom_token", "wecom_bot_token", "wecom_api_url"),
    "lark": ("lark_app_id", "lark_encrypt_key", "lark_verification_token", "lark_api_url"),
    "slack": ("slack_bot_token", "slack_signing_secret", "slack_app_token", "slack_api_url", "slack_hooks_url"),
    "mail": ("smtp_url",),
    "alibaba": (
        "alibaba_cloud_access_key_id",
        "aliyun_sms_url",
        "aliyun_voice_url",
        "cloudmonitor_url",
        "arms_url",
        "das_url",
    ),
}
"""Settings of which one is enough to make a platform a real one, which is never replaced.

"alibaba" is SMS, calls, ARMS, CloudMonitor and DAS together: they share one account.
"""

URLS: dict[str, tuple[str, ...]] = {
    "dingtalk": ("dingtalk_api_url", "dingtalk_oapi_url"),
    "wecom": ("wecom_api_url",),
    "lark": ("lark_api_url",),
    "slack": ("slack_api_url", "slack_hooks_url"),
    "mail": (),
    "alibaba": ("aliyun_sms_url", "aliyun_voice_url", "cloudmonitor_url", "arms_url", "das_url"),
}
"""The addresses of each platform that lead to the stand-ins instead."""

_ALERT_PATH = re.compile(r"/alerts/alertmanager/[A-Za-z0-9_-]+")
# What DingTalk's markdown may have put into an address so that nothing in it is markup.
_AS_TYPED = str.maketrans({"＿": "_", "∗": "*", "\u200b": None})


@dataclass(frozen=True, slots=True)
class Seat:
    """What one platform calls a player, and the one-to-one chat with the bot there."""

    person: str
    chat: str


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody a visitor of the page can be, on every platform at once.

    also  the name beside it for people who do not read Chinese
    """

    id: str
    name: str
    also: str
    admin: bool
    phone: str
    mailbox: str

    def on(self, platform: str) -> Seat:
        word = self.also.lower()
        return {
            "dingtalk": Seat(self.id, f"cidSandbox{self.also}=="),
            "wecom": Seat(word, f"wecom-sandbox-{word}"),
            "lark": Seat(f"ou_sandbox_{word}", f"oc_sandbox_{word}"),
            "slack": Seat(f"USANDBOX{word.upper()}", f"DSANDBOX{word.upper()}"),
        }[platform]


PLAYERS = (
    Player("admin01", "林小满", "Lin", True, "+8613800138000", "lin@example.com"),
    Player("member01", "王磊", "Wang", False, "+8613900139000", "wang@example.com"),
)


CLOUD_CONTACTS = (
    CmsContact(
        "陈晨", {"Mail": "chen@example.com", "SMS": "13700137000"}, {"Mail": "OK", "SMS": "PENDING"}, ("cloud-dba",)
    ),
    CmsContact(
        "Zhao Min", {"Mail": "zhao@example.com", "SMS": "136****6000"}, {"Mail": "OK", "SMS": "OK"}, ("cloud-dba",)
    ),
)
"""What CloudMonitor knows: `sync cloudmonitor` imports them. A value with `*` is masked, as in the real one."""


INSTANCE = "rm-sandbox01"
DAS_CONTACTS = (DasContact("Sun Li", phone="13600136000", email="sun@example.com", groups=("das-dba",)),)
"""Whom DAS notifies about that instance: `sync das rm-sandbox01` imports them."""


@dataclass(frozen=True, slots=True)
class Raised:
    """What the service answered to sample alerts: HTTP status, and its words."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of something typed or pressed.

    status  what the service answered to the platform's callback, 0 when the platform passed nothing on
    """

    status: int

    @property
    def delivered(self) -> bool:
        return self.status != 0


class NoSource(Exception):
    """The bot has named no address for alerts yet: `source add demo alertmanager to dba` makes one."""


class NoService(Exception):
    """The service's own routes cannot be reached."""


class _World(World):
    """A world whose ids no earlier run has given out: the database remembers the messages it has seen."""

    def new_id(self, prefix: str) -> str:
        return prefix + secrets.token_hex(8)


class Playground:
    """`start` it, take `settings` for the service, tell it the `service_url`, then `say` things.

    service_url  where the service listens (`http://127.0.0.1:8000`); set as soon as that is known
    replaced     the platforms that stand-ins stand for; all until `settings` was asked
    """

    def __init__(self, seed: str = "callboard", *, clock: Callable[[], float] = time.time) -> None:
        self.world: World = _World(clock)
        self.stand_ins = StandIns(self.world)
        self.service_url = ""
        self.replaced: frozenset[str] = frozenset(CREDENTIALS)
        self.stopping = threading.Event()
        self._seed = seed
        self._clients: Clients | None = None
        self._guard = threading.Lock()
        self._http = requests.Session()
        self._http.trust_env = False
        self._raised: dict[str, Any] | None = None
        self._furnish()

    def _furnish(self) -> None:
        world = self.world
        self.app: App = world.add_app("dingtalk", "dingsandboxbot", secrets.token_urlsafe(32), CORPS["dingtalk"])
        self.stand_ins.dingtalk.templates.add(CARD_TEMPLATE)
        self.wecom: App = world.add_app("wecom", WECOM_AGENT, secrets.token_urlsafe(32), CORPS["wecom"])
        self.wecom_keys = Keys(secrets.token_hex(12), _aes_key(), CORPS["wecom"])
        self.robot_keys = Keys(secrets.token_hex(12), _aes_key())
        self.lark: App = world.add_app("lark", "cli_sandbox", secrets.token_urlsafe(24), CORPS["lark"])
        self.lark_key, self.lark_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.slack: Workspace = self.stand_ins.slack_app.install(
            Workspace(
                team=CORPS["slack"],
                app_id="ASANDBOX1",
                bot="USANDBOXBOT",
                bot_token=f"xoxb-{secrets.token_hex(16)}",
                signing_secret=secrets.token_hex(16),
                app_token=f"xapp-{secrets.token_hex(16)}",
            )
        )
        self._cloud = world.add_app("sms", "LTAIsandbox", secrets.token_urlsafe(24))
        for platform, corp in CORPS.items():
            for player in PLAYERS:
                seat = player.on(platform)
                world.add_person(platform, seat.person, player.also, corp, chat=seat.chat)
        for platform, group in GROUPS.items():
            members = [player.on(platform).person for player in PLAYERS]
            world.add_group(platform, group, TITLES[platform], members)
            world.add_robot(
                platform,
                group,
                self._tokens[platform],
                name="Callboard",
                secret=self.robot_secrets.get(platform, ""),
                keywords=("DAS Alarm",) if platform == "dingtalk" else (),
            )

        self.stand_ins.cloudmonitor.contacts = list(CLOUD_CONTACTS)
        self.stand_ins.das.contacts[INSTANCE] = list(DAS_CONTACTS)
        self.stand_ins.das.groups[INSTANCE] = {"das-dba": [one.name for one in DAS_CONTACTS]}

    def _word(self, what: str) -> str:
        """64 hex digits that are the same after every start."""
        return hashlib.sha256(f"{self._seed}:{what}".encode()).hexdigest()

    @property
    def _tokens(self) -> dict[str, str]:
        return {
            "dingtalk": self._word("dingtalk"),
            "wecom": str(uuid.UUID(self._word("wecom")[:32])),
            "lark": str(uuid.UUID(self._word("lark")[:32])),
            "slack": f"{CORPS['slack']}/BSANDBOX1/{self._word('slack')[:24]}",
        }

    @property
    def robot_secrets(self) -> dict[str, str]:
        """What the settings page of a robot shows as its signing secret; robots without one are missing."""
        return {"dingtalk": "SEC" + self._word("dingtalk secret"), "lark": self._word("lark secret")[:22]}

    @property
    def webhook_urls(self) -> dict[str, str]:
        """The vendors' addresses of the robots, as people copy them."""
        tokens = self._tokens
        return {
            "dingtalk": f"https://oapi.dingtalk.com/robot/send?access_token={tokens['dingtalk']}",
            "wecom": f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={tokens['wecom']}",
            "lark": f"https://open.feishu.cn/open-apis/bot/v2/hook/{tokens['lark']}",
            "slack": f"https://hooks.slack.com/services/{tokens['slack']}",
        }

    def admins(self, platform: str) -> tuple[str, ...]:
        """People of the sandbox who may do everything there, as the setting ADMINS has them."""
        return tuple(f"{platform}:{CORPS[platform]}/{one.on(platform).person}" for one in PLAYERS if one.admin)

    # -- running

    def start(self) -> Playground:
        """Starts the stand-ins; returns when they accept connections."""
        self.stopping.clear()
        self.stand_ins.start()
        return self

    def stop(self) -> None:
        """Ends everything, also requests that wait for news."""
        self.stopping.set()
        self.world.happen("repeat", "sandbox", "", None)  # wakes who waits; the page does not show it
        self.stand_ins.stop()
        with self._guard:
            if self._clients is not None:
                self._clients.close()
                self._clients = None
        self._http.close()

    def settings(self, settings: Settings) -> Settings:
        """A copy in which every platform that is not configured leads to the stand-ins. Only while they run."""
        self.replaced = frozenset(
            platform for platform, names in CREDENTIALS.items() if not any(getattr(settings, name) for name in names)
        )
        update: dict[str, Any] = {
            name: self.stand_ins.url for platform in self.replaced for name in URLS[platform] if platform != "mail"
        }
        here = [one for platform in CORPS if platform in self.replaced for one in self.admins(platform)]
        update["admins"] = (*settings.admins, *(one for one in here if one not in settings.admins))
        for platform in CORPS:
            if platform in self.replaced:
                update |= self._credentials(platform)
        if "dingtalk" in self.replaced:
            self.world.change_robot("dingtalk", self._tokens["dingtalk"], keywords=(settings.das_keyword,))
        if "mail" in self.replaced:
            update |= {
                "smtp_url": self.stand_ins.smtp_url,
                "mail_from": settings.mail_from or "Callboard <callboard@example.com>",
            }
        if "alibaba" in self.replaced:
            code, alert = SMS_TEMPLATES
            update |= {
                "alibaba_cloud_access_key_id": self._cloud.client_id,
                "alibaba_cloud_access_key_secret": self._cloud.client_secret,
                "sms_sign_name": SMS_SIGNATURE,
                "sms_template_code": code.code,
                "sms_template_alert": alert.code,
                "voice_template": next(iter(VOICE_TEMPLATES)),
            }
        return settings.model_copy(update=update)

    def _credentials(self, platform: str) -> dict[str, Any]:
        """What the app is configured with on that platform, as settings; callbacks come by HTTP."""
        of_each: dict[str, dict[str, Any]] = {
            "dingtalk": {
                "dingtalk_client_id": self.app.client_id,
                "dingtalk_client_secret": self.app.client_secret,
                "dingtalk_stream": False,
                "dingtalk_card_template": CARD_TEMPLATE,
            },
            "wecom": {
                "wecom_corp_id": self.wecom.corp,
                "wecom_agent_id": self.wecom.client_id,
                "wecom_secret": self.wecom.client_secret,
                "wecom_token": self.wecom_keys.token,
                "wecom_aes_key": self.wecom_keys.aes_key,
                "wecom_bot_token": self.robot_keys.token,
                "wecom_bot_aes_key": self.robot_keys.aes_key,
            },
            "lark": {
                "lark_app_id": self.lark.client_id,
                "lark_app_secret": self.lark.client_secret,
                "lark_encrypt_key": self.lark_key,
                "lark_verification_token": self.lark_token,
            },
            "slack": {
                "slack_bot_token": self.slack.bot_token,
                "slack_signing_secret": self.slack.signing_secret,
            },
        }
        return of_each[platform]

    # -- what visitors do

    def say(self, who: str, platform: Chat, where: Where, text: str) -> Passed:
        """A player types to the bot: in the group, mentioning it, or one-to-one; on Slack also as a slash command.

        Raises LookupError, NoService.
        """
        clients, person = self._at_the_keys(), _player(who).on(platform).person
        group = GROUPS[platform] if where == "group" else ""
        try:
            match platform:
                case "dingtalk":
                    return Passed(clients.dingtalk.type(person, text, group=group).status)
                case "wecom":
                    return Passed(clients.wecom.type(person, text, via="bot" if group else "app", group=group).status)
                case "lark":
                    return Passed(clients.lark.type(person, text, group=group).status)
                case "slack":
                    word, _blank, rest = text.partition(" ")
                    if word == SLASH:
                        return Passed(clients.slack.command(person, rest.strip(), group=group).status)
                    return Passed(clients.slack.type(person, text, group=group).status)
        except requests.RequestException as error:
            raise NoService from error

    def press(self, who: str, platform: Chat, seq: int, token: str, values: Mapping[str, str] | None = None) -> Passed:
        """A player presses a button, or submits a form, of the message that event shows.

        Raises LookupError when there is no such control, NoService.
        """
        event = next((one for one in self.world.after(seq - 1) if one.seq == seq), None)
        if event is None or event.platform != platform:
            raise LookupError(f"event {seq} shows nothing to press")
        client, person = self._at_the_keys().of(platform), _player(who).on(platform).person
        try:
            return Passed(client.press(person, event, token, values).status)
        except requests.RequestException as error:
            raise NoService from error

    def open_home(self, who: str) -> Passed:
        """A player opens the app's own page in Slack. Raises LookupError, NoService."""
        try:
            return Passed(self._at_the_keys().slack.open_home(_player(who).on("slack").person).status)
        except requests.RequestException as error:
            raise NoService from error

    def _at_the_keys(self) -> Clients:
        """The clients that reach the service where it is now. Raises NoService."""
        if not self.service_url:
            raise NoService
        with self._guard:
            if self._clients is None or self._clients.service_url != self.service_url:
                self._clients = Clients(self, self.service_url)
            return self._clients

    def alert_path(self) -> str | None:
        """Path of the newest alert source that the bot told somebody about, None when it has told nobody of one."""
        for event in reversed(self.world.events):
            if event.kind in ("say", "update"):
                found = _ALERT_PATH.findall("\n".join(_strings(event.body)).translate(_AS_TYPED))
                if found:
                    return str(found[-1])
        return None

    def raise_alerts(self, sample: Sample, language: Language = "en") -> Raised:
        """Posts an Alertmanager notification to the newest source. Raises NoSource, NoService."""
        path = self.alert_path()
        if path is None:
            raise NoSource
        if not self.service_url:
            raise NoService
        with self._guard:
            if sample == "resolved":
                alerts = [_ended(self._raised or self._alert("critical", language), self.world.now())]
                self._raised = None
            elif sample == "storm":
                alerts = [self._alert(("warning", "critical")[n % 10 == 0], language) for n in range(STORM)]
            else:
                alerts = [self._alert(sample, language)]
                self._raised = alerts[0]
        try:
            answer = self._http.post(
                self.service_url.rstrip("/") + path,
                json=notification(alerts),
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise NoService from error
        return Raised(answer.status_code, answer.text[:500])

    def _alert(self, severity: Literal["critical", "warning"], language: Language) -> dict[str, Any]:
        """An alert of a new instance: the same one again would only be counted."""
        instance = f"rm-bp1{secrets.token_hex(4)}"
        rule, en, zh = SAMPLES[severity]
        summary, description = zh if language == "zh" else en
        return {
            "status": "firing",
            "labels": {
                "alertname": rule,
                "instance": instance,
                "cluster": "prod-hangzhou",
                "severity": severity,
            },
            "annotations": {
                "summary": summary.format(instance=instance),
                "description": description.format(instance=instance),
                "runbook_url": f"https://runbooks.example.com/{rule.lower()}",
            },
            "startsAt": _rfc3339(self.world.now()),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": f"https://prometheus.example.com/graph?g0.expr=up%7Binstance%3D%22{instance}%22%7D",
            "fingerprint": secrets.token_hex(8),
        }

    def polled(self, after: int, timeout_s: float) -> list[Event]:
        """Events newer than that number, waiting for some; at once while everything stops."""
        return self.world.wait(after, 0.0 if self.stopping.is_set() else timeout_s)


class Clients:
    """What the players have in their hands: each platform's client, passing on what they type and press."""

    def __init__(self, playground: Playground, service_url: str) -> None:
        world, stand_ins = playground.world, playground.stand_ins
        self.service_url = service_url
        self.dingtalk = stand_ins.dingtalk_client(service_url, playground.app)
        self.wecom = WeComClient(
            world,
            service_url,
            playground.wecom.corp,
            playground.wecom.client_id,
            playground.wecom_keys,
            playground.robot_keys,
            robot_name="Callboard",
        )
        self.lark = LarkClient(
            world,
            service_url,
            playground.lark,
            encrypt_key=playground.lark_key,
            verification_token=playground.lark_token,
        )
        self.slack = SlackClient(stand_ins.slack_app, service_url, playground.slack)

    def of(self, platform: Chat) -> DingTalkClient | WeComClient | LarkClient | SlackClient:
        match platform:
            case "dingtalk":
                return self.dingtalk
            case "wecom":
                return self.wecom
            case "lark":
                return self.lark
            case "slack":
                return self.slack

    def close(self) -> None:
        for client in (self.dingtalk, self.wecom, self.lark, self.slack):
            client.close()


def _player(who: str) -> Player:
    found = next((one for one in PLAYERS if one.id == who), None)
    if found is None:
        raise LookupError(f"nobody called {who!r} here")
    return found


def _aes_key() -> str:
    """43 characters, as WeCom's console makes them."""
    return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")


Words = tuple[str, str]

SAMPLES: dict[str, tuple[str, Words, Words]] = {
    "critical": (
        "MySQLDown",
        (
            "MySQL {instance} does not answer",
            "No ping of {instance} for 2 minutes, 214 connections refused.",
        ),
        ("MySQL {instance} 无响应", "{instance} 已有 2 分钟无法连接，拒绝了 214 个连接。"),
    ),
    "warning": (
        "DiskWillFillIn4Hours",
        ("Disk of {instance} fills up within 4 hours", "Filesystem /var/lib/mysql of {instance} has 8.1% left."),
        ("{instance} 的磁盘将在 4 小时内写满", "{instance} 的 /var/lib/mysql 仅剩 8.1%。"),
    ),
}
"""Rule, then summary and description in English and in Chinese."""


def notification(alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """A webhook body of Alertmanager, version 4: https://prometheus.io/docs/alerting/latest/configuration/"""
    first = alerts[0]
    common = {
        name: value
        for name, value in first["labels"].items()
        if all(alert["labels"].get(name) == value for alert in alerts)
    }
    rule = first["labels"]["alertname"]
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{rule}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "receiver": "callboard",
        "groupLabels": {"alertname": rule},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "https://alertmanager.example.com",
        "alerts": alerts,
    }


def _ended(alert: Mapping[str, Any], now: float) -> dict[str, Any]:
    return {**alert, "status": "resolved", "endsAt": _rfc3339(now)}


def _rfc3339(at: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
