"""A town whose people are on WeCom: a self-built app and a smart robot, in a group and one-to-one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from bot.sandbox.wecom_app import robot_chat
from bot.sandbox.wecom_client import Keys, Posted, WeComClient
from tests.conftest import Clock
from tests.stories.conftest import Town

CORP, AGENT, SECRET = "ww01corp", "1000002", "secret-of-the-wecom-app"
ADMIN, MEMBER, OTHER = "zhangsan", "lisi", "wangwu"
GROUP = "wrGROUP1"

APP_KEYS = Keys("AppToken01", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", CORP)
BOT_KEYS = Keys("BotToken01", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg")

Where = Literal["app", "single", "group"]
"""The app one-to-one, the robot one-to-one, the robot in the group."""

WITHOUT_APP = {"wecom_agent_id": "", "wecom_secret": "", "wecom_token": "", "wecom_aes_key": ""}
"""Settings of a town with the robot only."""


class WeComTown(Town):
    """`said` types on WeCom and gives what the bot answered there."""

    def __init__(self, folder: Path, clock: Clock, **settings: Any) -> None:
        values: dict[str, Any] = {
            "admins": (f"wecom:{CORP}/{ADMIN}",),
            "wecom_corp_id": CORP,
            "wecom_agent_id": AGENT,
            "wecom_secret": SECRET,
            "wecom_token": APP_KEYS.token,
            "wecom_aes_key": APP_KEYS.aes_key,
            "wecom_bot_token": BOT_KEYS.token,
            "wecom_bot_aes_key": BOT_KEYS.aes_key,
        }
        super().__init__(folder, clock, **(values | settings))
        self.world.add_app("wecom", AGENT, SECRET, CORP)
        for person in (ADMIN, MEMBER, OTHER):
            self.world.add_person("wecom", person, person, CORP)
        self.world.add_group("wecom", GROUP, "oncall", [ADMIN, MEMBER, OTHER])

    def open(self) -> None:
        super().open()
        self.wecom = WeComClient(self.world, self.url, CORP, AGENT, APP_KEYS, BOT_KEYS)

    def close(self) -> None:
        self.wecom.close()
        super().close()

    def place(self, where: Where, person: str = ADMIN) -> str:
        """What the world calls that conversation."""
        found = self.world.person("wecom", person)
        assert found is not None
        return {"app": found.chat, "single": robot_chat(found), "group": GROUP}[where]

    def types(self, text: str, where: Where = "app", person: str = ADMIN, **how: Any) -> Posted:
        return self.wecom.type(
            person, text, via="app" if where == "app" else "bot", group=GROUP if where == "group" else "", **how
        )

    def said(self, text: str, where: Where = "app", person: str = ADMIN, **how: Any) -> str:
        """Somebody types; the words of the bot's first answer in that place."""
        self.quiet()
        after = self.world.last
        posted = self.types(text, where, person, **how)
        assert posted.status == 200
        return self.answer(self.place(where, person), after=after)


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., WeComTown]]:
    built: list[WeComTown] = []

    def town(**settings: Any) -> WeComTown:
        built.append(WeComTown(tmp_path, clock, **settings))
        return built[-1]

    yield town
    for one in built:
        one.end()


@pytest.fixture
def town(make: Callable[..., WeComTown]) -> WeComTown:
    return make()
