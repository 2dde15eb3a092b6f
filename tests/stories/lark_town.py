"""A town whose people talk in Lark: the service with a Lark app, and a client that types there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.lark_client import LarkClient, LarkPosted
from bot.sandbox.lark_press import controls
from bot.sandbox.world import Event
from tests.conftest import Clock
from tests.stories.conftest import Town, words

TENANT, CHAT = "t01", "oc_oncall"
ADMIN, MEMBER, OTHER = "ou_admin", "ou_member", "ou_other"
KEY, TOKEN = "encrypt-key-of-the-story", "vt_ofTheStory"


class LarkTown(Town):
    """`say` and `post` type in Lark. Time goes on by a second with each message: the budget of a chat counts them."""

    def __init__(self, folder: Path, clock: Clock, **settings: Any) -> None:
        self.typing: LarkClient
        app = {
            "admins": (f"lark:{TENANT}/{ADMIN}",),
            "lark_app_id": "cli_story",
            "lark_app_secret": "lark-secret-of-the-story",
            "lark_encrypt_key": KEY,
            "lark_verification_token": TOKEN,
        }
        super().__init__(folder, clock, **(app | settings))

    def open(self) -> None:
        self.lark = self.world.add_app("lark", "cli_story", "lark-secret-of-the-story", TENANT)
        for person, name in ((ADMIN, "Lin"), (MEMBER, "Wang"), (OTHER, "Zhao")):
            self.world.add_person("lark", person, name, TENANT, chat=f"oc_p2p_{person}")
        self.world.add_group("lark", CHAT, "oncall", [ADMIN, MEMBER, OTHER])
        super().open()
        self.typing = LarkClient(
            self.world,
            self.url,
            self.lark,
            encrypt_key=self.settings.lark_encrypt_key,
            verification_token=self.settings.lark_verification_token,
        )

    def close(self) -> None:
        self.typing.close()
        super().close()

    def chat(self, person: str) -> str:
        return f"oc_p2p_{person}"

    def tell(self, text: str, *, person: str = ADMIN, group: bool = False, **more: Any) -> str:
        """Somebody types; the words of the bot's first answer in that place."""
        self.forward(seconds=1)
        after = self.world.last
        assert self.type(text, person=person, group=group, **more).status == 200
        return self.answer(CHAT if group else self.chat(person), after=after)

    def type(self, text: str, *, person: str = ADMIN, group: bool = False, **more: Any) -> LarkPosted:
        return self.typing.type(person, text, group=CHAT if group else "", **more)

    def card(self, text: str, *, person: str = ADMIN, group: bool = False, **more: Any) -> Event:
        """Somebody types; the bot's first answer in that place, to press."""
        self.forward(seconds=1)
        after = self.world.last
        assert self.type(text, person=person, group=group, **more).status == 200
        place = CHAT if group else self.chat(person)
        event = self.expect(lambda e: e.kind == "say" and e.place == place, after=after)
        self.quiet()  # until it is written down which message that was
        return event

    def press(
        self, event: Event, label: str, values: Mapping[str, str] | None = None, *, person: str = ADMIN, **how: Any
    ) -> LarkPosted:
        """Somebody presses the button with that label."""
        (token,) = [one["token"] for one in controls(event.body) if one["label"] == label]
        return self.typing.press(person, event, token, values, **how)

    def now_shows(self, event: Event) -> str:
        """The words of that message as it is now."""
        return words(
            [one for one in self.world.events if one.ref == event.ref and one.kind in ("say", "update")][-1].body
        )

    def told(self, place: str, after: int = 0) -> list[str]:
        """Everything the bot said in that place."""
        self.quiet()
        return [words(event.body) for event in self.world.said(place) if event.seq > after]


@pytest.fixture
def lark(tmp_path: Path, clock: Clock) -> Iterator[LarkTown]:
    built = LarkTown(tmp_path, clock)
    yield built
    built.end()


@pytest.fixture
def make_lark(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., LarkTown]]:
    """For stories that need other settings."""
    built: list[LarkTown] = []

    def make(**settings: Any) -> LarkTown:
        built.append(LarkTown(tmp_path, clock, **settings))
        return built[-1]

    yield make
    for one in built:
        one.end()
