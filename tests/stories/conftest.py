"""A town to tell stories in: the whole service on a real port, the strict stand-ins behind it, and people who type.

Everything goes over the real routes with real signatures; the clock is moved by the story.
"""

from __future__ import annotations

import functools
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from bot import runner
from bot.app import Service
from bot.sandbox.dingtalk_client import DingTalkClient, Posted
from bot.sandbox.server import SMS_SIGNATURE, StandIns
from bot.sandbox.world import Event, World
from storage.database import upgrade
from tests.conftest import Clock, Given
from tests.storage import seed

GROUP = "cidOncall=="
ADMIN, MEMBER, OTHER = "admin01", "member01", "other01"
CORP = "dingcorp01"
ROBOT = "robottoken01"
ROBOT_SECRET = "SECstory0000000000000000000000000000000000000000000000000000000000"
ROBOT_URL = f"https://oapi.dingtalk.com/robot/send?access_token={ROBOT}"
CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")
PATIENCE_S = 20.0
LOOK_S = 0.002
"""Between two looks whether all is at rest; what is waited for mostly takes one to five of these."""


def words(body: Any) -> str:
    """Every text in a message, one after the other, without the escapes of the platform's markdown."""
    if isinstance(body, str):
        return body
    if isinstance(body, dict):
        return "\n".join(words(value) for value in body.values())
    if isinstance(body, list | tuple):
        return "\n".join(words(value) for value in body)
    return str(body)


@functools.cache
def migrated() -> bytes:
    """An SQLite file as the migrations leave it: running them for every town takes longer than many a story."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "migrated.db"
        upgrade(f"sqlite:///{file}")
        return file.read_bytes()


class Town:
    """One world, one service. `say` types and gives what the bot answered there."""

    def __init__(self, folder: Path, clock: Clock, *, database_url: str = "", **settings: Any) -> None:
        self.clock = clock
        self.world = World(clock=lambda: clock().timestamp())
        self.app = self.world.add_app("dingtalk", "dingapp01", "app-secret-of-the-story", CORP)
        self.cloud = self.world.add_app("sms", "LTAIstory", "cloud-secret-of-the-story")
        for person, name in ((ADMIN, "Lin"), (MEMBER, "Wang"), (OTHER, "Zhao")):
            self.world.add_person("dingtalk", person, name, CORP)
        self.world.add_group("dingtalk", GROUP, "oncall", [ADMIN, MEMBER, OTHER])
        self.world.add_robot("dingtalk", GROUP, ROBOT, secret=ROBOT_SECRET, keywords=("DAS Alarm",))
        self.world.add_group("wecom", "wecom-group", "wecom ops", bot=False)
        self.world.add_robot("wecom", "wecom-group", "wecomkey01")
        self.world.add_group("lark", "lark-group", "lark ops", bot=False)
        self.world.add_robot("lark", "lark-group", "larkhook01", secret="larksecret01")
        self.world.add_group("slack", "slack-group", "slack ops", bot=False)
        self.world.add_robot("slack", "slack-group", "T0001/B0001/slackhook01")
        self.world.add_robot("arms", "armskey01", "armskey01")
        self.stand_ins = StandIns(self.world).start()
        self.folder = folder
        if not database_url:
            (folder / "story.db").write_bytes(migrated())
        values: dict[str, Any] = {
            "database_url": database_url or f"sqlite:///{folder / 'story.db'}",
            "secret_key": "key-of-the-story",
            "admins": (f"dingtalk:{CORP}/{ADMIN}",),
            "default_language": "en",
            "dingtalk_client_id": self.app.client_id,
            "dingtalk_client_secret": self.app.client_secret,
            "mail_from": "Callboard <callboard@example.com>",
            "alibaba_cloud_access_key_id": self.cloud.client_id,
            "alibaba_cloud_access_key_secret": self.cloud.client_secret,
            "sms_sign_name": SMS_SIGNATURE,
            "sms_template_code": "SMS_CODE",
            "sms_template_alert": "SMS_ALERT",
            "public_url": "https://callboard.example.com",
        }
        values |= {name.lower(): value for name, value in self.stand_ins.overrides().items()}
        self.settings = Given(**(values | settings))
        self.client: DingTalkClient
        self.open()

    def open(self) -> None:
        """Starts the service; after `close` it is a restart on the same database."""
        self.service = self.built()
        sock = runner.listen("127.0.0.1", 0)
        self.url = runner.address_of(sock)
        self.server = runner.Server(self.service.front)
        self._thread = threading.Thread(target=self.server.serve_on, args=(sock,), daemon=True)
        self._thread.start()
        self.service.start()
        self.client = self.stand_ins.dingtalk_client(self.url, self.app)

    def built(self) -> Service:
        """The service that people and platforms reach."""
        return Service(self.settings, clock=self.clock)

    def close(self) -> None:
        """Stops the service; the world goes on."""
        self.client.close()
        self.service.stop(5.0)
        self.server.stop()
        self._thread.join(5.0)
        assert not self._thread.is_alive(), "the web server does not stop"

    def end(self) -> None:
        self.close()
        self.stand_ins.stop()

    def chat(self, person: str) -> str:
        """Conversation id of a person's one-to-one chat."""
        found = self.world.person("dingtalk", person)
        assert found is not None
        return found.chat

    def say(self, text: str, *, person: str = ADMIN, group: bool = False, others: tuple[str, ...] = ()) -> str:
        """Somebody types; the words of the bot's first answer in that place."""
        place = GROUP if group else self.chat(person)
        self.quiet()
        after = self.world.last
        self.post(text, person=person, group=group, others=others)
        return self.answer(place, after=after)

    def post(self, text: str, *, person: str = ADMIN, group: bool = False, others: tuple[str, ...] = ()) -> Posted:
        posted = self.client.type(person, text, group=GROUP if group else "", others=others)
        assert posted.status == 200, posted.body
        return posted

    def answer(self, place: str, *, after: int = 0) -> str:
        """What the bot says next in that place."""
        event = self.expect(lambda e: e.kind == "say" and e.place == place, after=after)
        return words(event.body)

    def expect(self, wanted: Callable[[Event], bool], *, after: int = 0) -> Event:
        """The first event of that kind after number `after`; fails when none comes."""
        event = self.world.wait_for(wanted, after=after, timeout_s=PATIENCE_S)
        happened = [(e.kind, e.place, e.note) for e in self.world.after(after)]
        assert event is not None, f"it did not happen; what did: {happened}"
        return event

    def quiet(self) -> None:
        """Returns when nothing is being handled or sent any more."""
        pause = threading.Event()
        for _try in range(int(PATIENCE_S / LOOK_S)):
            with self.service.database.read() as tx:
                if not seed.at_work(tx, self.clock()):
                    return
            pause.wait(LOOK_S)
        raise AssertionError("the service does not come to rest")

    def code_for(self, place: str, *, after: int = 0) -> str:
        """The code that reached a phone, mailbox or group (the only six digits in that message)."""
        event = self.expect(lambda e: e.kind in ("sms", "mail", "card") and e.place == place, after=after)
        text = event.body["text"] if event.kind == "sms" else words(event.body)
        found = set(CODE.findall(text))
        assert len(found) == 1, f"not one six-digit number: {found}"
        return str(found.pop())

    def source(self, group: str, kind: str = "json", name: str = "src") -> str:
        """A new alert source; the path of its URL."""
        answer = self.say(f"source add {name} {kind} to {group}")
        found = re.search(rf"https://callboard\.example\.com(/alerts/{kind}/[A-Za-z0-9_-]+)", answer)
        assert found, answer
        return found[1]

    def alert(self, path: str, body: Any, **more: Any) -> requests.Response:
        """Posts a report."""
        return requests.post(self.url + path, json=body, timeout=20, **more)

    def forward(self, **span: float) -> datetime:
        """Moves the clock, once all that was begun is done, and lets the service notice."""
        self.quiet()
        self.clock.forward(**span)
        self.service.worker.wake()
        return self.clock()


@pytest.fixture
def town(tmp_path: Path, clock: Clock) -> Iterator[Town]:
    built = Town(tmp_path, clock)
    yield built
    built.end()


@pytest.fixture
def make_town(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Town]]:
    """For stories that need other settings or several services."""
    built: list[Town] = []

    def make(**settings: Any) -> Town:
        built.append(Town(tmp_path, clock, **settings))
        return built[-1]

    yield make
    for one in built:
        one.end()
