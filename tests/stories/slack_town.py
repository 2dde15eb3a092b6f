"""The town, with a Slack workspace in it: people who mention the bot, write to it one-to-one, and type commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from bot.sandbox.slack_app import Posted, SlackClient, Workspace, controls
from bot.sandbox.world import Event
from tests.conftest import Clock
from tests.stories.conftest import Town, words

CHANNEL, ELSEWHERE = "C0ONCALL", "C0OTHER"
LIN, WANG, ZHAO = "U0LIN", "U0WANG", "U0ZHAO"
WORKSPACE = Workspace()
TEAM = WORKSPACE.team

Way = Literal["direct", "mention", "command", "command in chat"]


class SlackTown(Town):
    """`slack` types; an answer to it needs a second on the clock, as Slack's limit has it."""

    slack: SlackClient

    def __init__(self, folder: Path, clock: Clock, **settings: Any) -> None:
        values = {
            "slack_bot_token": WORKSPACE.bot_token,
            "slack_signing_secret": WORKSPACE.signing_secret,
            "admins": (f"slack:{TEAM}/{LIN}",),
        }
        super().__init__(folder, clock, **(values | settings))

    def open(self) -> None:
        app = self.stand_ins.slack_app
        if not app.workspaces:
            app.install(WORKSPACE)
            people = ((LIN, "Lin", "D0LIN"), (WANG, "Wang", "D0WANG"), (ZHAO, "Zhao", "D0ZHAO"))
            for person, name, chat in people:
                self.world.add_person("slack", person, name, TEAM, chat=chat)
            self.world.add_group("slack", CHANNEL, "oncall", [LIN, WANG, ZHAO])
            self.world.add_group("slack", ELSEWHERE, "elsewhere", [LIN, WANG], bot=False)
            self.world.add_robot("slack", CHANNEL, f"{TEAM}/B0002/slackhook02")
        super().open()
        self.slack = SlackClient(app, self.url, WORKSPACE)

    def close(self) -> None:
        self.slack.close()
        super().close()

    def place(self, person: str, way: Way) -> str:
        found = self.world.person("slack", person)
        assert found is not None
        return found.chat if way in ("direct", "command in chat") else CHANNEL

    def settle(self) -> None:
        """Returns when nothing waits for its second any more."""
        for _answer in range(2):
            self.forward(seconds=2)
            self.quiet()

    def types(self, text: str, *, person: str = LIN, way: Way = "direct", **more: Any) -> Posted:
        """Somebody types, when everything before it has been said."""
        self.settle()
        return self._typed(text, person, way, **more)

    def _typed(self, text: str, person: str, way: Way, **more: Any) -> Posted:
        group = "" if self.place(person, way) != CHANNEL else CHANNEL
        if way.startswith("command"):
            posted = self.slack.command(person, text, group=group, **more)
        else:
            posted = self.slack.type(person, text, group=group, **more)
        assert posted.status == 200 or self.slack.push, (posted.status, posted.answer)
        return posted

    def card(self, text: str, *, person: str = LIN, way: Way = "direct", **more: Any) -> Event:
        """Somebody types; the bot's first answer there, to press."""
        self.settle()
        after = self.world.last
        self._typed(text, person, way, **more)
        place = self.place(person, way)
        return self.expect(lambda e: e.kind == "say" and e.place == place, after=after)

    def form(self, text: str, *, person: str = LIN, way: Way = "command", **more: Any) -> Event:
        """Somebody types; the form that opens before them."""
        self.settle()
        after = self.world.last
        self._typed(text, person, way, **more)
        return self.expect(lambda e: e.kind == "form" and e.person == person, after=after)

    def presses(self, event: Event, label: str, *, person: str = LIN, **how: Any) -> Posted:
        """Somebody presses the button with that label, when everything before it has been said."""
        self.settle()
        (token,) = [one["token"] for one in controls(event.body) if one["label"] == label]
        return self.slack.press(person, event, token, **how)

    def submits(self, event: Event, values: Mapping[str, str], *, person: str = LIN, **how: Any) -> Posted:
        """Somebody fills in a form and sends it; what is not given stays as it stands there."""
        self.settle()
        (form,) = controls(event.body)
        return self.slack.press(person, event, form["token"], values, **how)

    def newest(self, event: Event) -> Event:
        """That message, form or page as it is now."""
        self.quiet()
        return [one for one in self.world.events if one.ref == event.ref and one.platform == "slack"][-1]

    def now_shows(self, event: Event) -> str:
        return words(self.newest(event).body)

    def told(self, place: str, after: int) -> list[str]:
        """What the bot said there, beside what it changed."""
        self.quiet()
        return [words(one.body) for one in self.world.said(place) if one.seq > after]

    def asks(self, text: str, *, person: str = LIN, way: Way = "direct", **more: Any) -> str:
        """Somebody types; the words of the bot's first answer there."""
        self.settle()
        after = self.world.last
        self._typed(text, person, way, **more)
        return self.answer(self.place(person, way), after=after)

    def whispered(self, person: str, after: int) -> list[str]:
        """What the bot said in the channel to that person alone."""
        self.settle()
        return [
            words(one.body)
            for one in self.world.said(CHANNEL)
            if one.seq > after and one.person == person and one.note == "ephemeral"
        ]


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., SlackTown]]:
    built: list[SlackTown] = []

    def town(**settings: Any) -> SlackTown:
        built.append(SlackTown(tmp_path, clock, **settings))
        return built[-1]

    yield town
    for one in built:
        one.end()


@pytest.fixture
def town(make: Callable[..., SlackTown]) -> SlackTown:
    return make()
