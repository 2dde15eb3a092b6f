"""The pretend world that people try Callboard in: four platforms, two people on each, their phones and mailboxes.

Robots and conversations are the same after every start, so that a webhook address or a group that the database
remembers still means the same place.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import requests

from bot.sandbox.cast import (
    CLOUD_CONTACTS,
    CORPS,
    DAS_CONTACTS,
    GROUPS,
    INSTANCE,
    PLAYERS,
    TITLES,
    Chat,
    player_called,
)
from bot.sandbox.clients import Clients
from bot.sandbox.installation import CREDENTIALS, Installation, not_configured
from bot.sandbox.sample_alerts import Sample, Samples, newest_source, notification
from bot.sandbox.server import StandIns
from bot.sandbox.world import Event, World
from bot.settings import Settings
from handlers.texts import Language

SLASH = "/callboard"
TIMEOUT_S = 10.0

Where = Literal["group", "direct"]


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

    installed    our app's credentials on every platform
    service_url  where the service listens (`http://127.0.0.1:8000`); set as soon as that is known
    replaced     the platforms that stand-ins stand for; all until `settings` was asked
    """

    def __init__(self, seed: str = "callboard", *, clock: Callable[[], float] = time.time) -> None:
        self.world: World = _World(clock)
        self.stand_ins = StandIns(self.world)
        self.installed = Installation(self.stand_ins)
        self.service_url = ""
        self.replaced: frozenset[str] = frozenset(CREDENTIALS)
        self.stopping = threading.Event()
        self._seed = seed
        self._clients: Clients | None = None
        self._guard = threading.Lock()
        self._http = requests.Session()
        self._http.trust_env = False
        self._samples = Samples()
        self._furnish()

    def _furnish(self) -> None:
        world = self.world
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
        self.replaced = not_configured(settings)
        if "dingtalk" in self.replaced:
            self.world.change_robot("dingtalk", self._tokens["dingtalk"], keywords=(settings.das_keyword,))
        return self.installed.applied_to(settings, self.replaced)

    # -- what visitors do

    def say(self, who: str, platform: Chat, where: Where, text: str) -> Passed:
        """A player types to the bot: in the group, mentioning it, or one-to-one; on Slack also as a slash command.

        Raises LookupError, NoService.
        """
        clients, person = self._at_the_keys(), player_called(who).on(platform).person
        group = GROUPS[platform] if where == "group" else ""
        with _reaching_the_service():
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

    def press(self, who: str, platform: Chat, seq: int, token: str, values: Mapping[str, str] | None = None) -> Passed:
        """A player presses a button, or submits a form, of the message that event shows.

        Raises LookupError when there is no such control, NoService.
        """
        event = next((one for one in self.world.after(seq - 1) if one.seq == seq), None)
        if event is None or event.platform != platform:
            raise LookupError(f"event {seq} shows nothing to press")
        client, person = self._at_the_keys().of(platform), player_called(who).on(platform).person
        with _reaching_the_service():
            return Passed(client.press(person, event, token, values).status)

    def open_home(self, who: str) -> Passed:
        """A player opens the app's own page in Slack. Raises LookupError, NoService."""
        client, person = self._at_the_keys().slack, player_called(who).on("slack").person
        with _reaching_the_service():
            return Passed(client.open_home(person).status)

    def _at_the_keys(self) -> Clients:
        """The clients that reach the service where it is now. Raises NoService."""
        if not self.service_url:
            raise NoService
        with self._guard:
            if self._clients is None or self._clients.service_url != self.service_url:
                self._clients = Clients(self.stand_ins, self.installed, self.service_url)
            return self._clients

    def alert_path(self) -> str | None:
        """Path of the newest alert source that the bot told somebody about, None when it has told nobody of one."""
        return newest_source(self.world.events)

    def raise_alerts(self, sample: Sample, language: Language = "en") -> Raised:
        """Posts an Alertmanager notification to the newest source. Raises NoSource, NoService."""
        path = self.alert_path()
        if path is None:
            raise NoSource
        if not self.service_url:
            raise NoService
        with self._guard:
            alerts = self._samples.alerts(sample, language, self.world.now())
        with _reaching_the_service():
            answer = self._http.post(
                self.service_url.rstrip("/") + path,
                json=notification(alerts),
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        return Raised(answer.status_code, answer.text[:500])

    def polled(self, after: int, timeout_s: float) -> list[Event]:
        """Events newer than that number, waiting for some; at once while everything stops."""
        return self.world.wait(after, 0.0 if self.stopping.is_set() else timeout_s)


@contextmanager
def _reaching_the_service() -> Iterator[None]:
    """Raises NoService when nothing answers there."""
    try:
        yield
    except requests.RequestException as error:
        raise NoService from error
