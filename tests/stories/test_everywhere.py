"""One conversation, the same on all four platforms and in both languages: typed, and where there are forms and buttons,
by these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.sandbox.lark_press import controls as lark_controls
from bot.sandbox.world import Event
from handlers.examples import quoted
from handlers.texts import LANGUAGES, Language
from tests.conftest import Clock
from tests.stories import lark_town, slack_town
from tests.stories.conftest import Town, words
from tests.stories.lark_town import LarkTown
from tests.stories.slack_town import SlackTown
from tests.stories.wecom_town import WeComTown

PHONE, MAIL = "+8613800138000", "zhang.wei@example.com"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the admin talks to the bot one-to-one.

    asks   types, and gives the words of the first answer
    place  what the world calls the conversation
    """

    town: Town
    asks: Callable[[str], str]
    place: str


def on_dingtalk(folder: Path, clock: Clock) -> Place:
    town = Town(folder, clock)
    return Place(town, town.say, town.chat("admin01"))


def on_wecom(folder: Path, clock: Clock) -> Place:
    town = WeComTown(folder, clock)
    return Place(town, town.said, town.place("app"))


def on_lark(folder: Path, clock: Clock) -> Place:
    town = LarkTown(folder, clock)
    return Place(town, town.tell, town.chat(lark_town.ADMIN))


def on_slack(folder: Path, clock: Clock) -> Place:
    town = SlackTown(folder, clock)
    return Place(town, town.asks, town.place(slack_town.LIN, "direct"))


PLATFORMS: dict[str, Callable[[Path, Clock], Place]] = {
    "dingtalk": on_dingtalk,
    "wecom": on_wecom,
    "lark": on_lark,
    "slack": on_slack,
}


@pytest.fixture(params=PLATFORMS)
def place(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Place]:
    made = PLATFORMS[request.param](tmp_path, clock)
    yield made
    made.town.end()


SAID: dict[Language, tuple[tuple[str, str], ...]] = {
    "en": (
        (f"contact add Zhang Wei 13800138000 {MAIL}", "Contact “Zhang Wei” is added."),
        ("<phone>", "is active"),
        ("<mail>", "is active"),
        ("group create dba members Zhang Wei", "Group “dba” is created with 1 member."),
        ("test dba", "Testing “dba” through 2 channels"),
        ("contact remove Zhang Wei", "Reply yes or no"),
        ("yes", "Contact “Zhang Wei” is removed."),
        ("contact show Zhang Wei", "There is no contact “Zhang Wei”"),
    ),
    "zh": (
        (f"添加联系人 张伟 13800138000 {MAIL}", "已添加联系人“张伟”。"),
        ("<phone>", "已生效"),
        ("<mail>", "已生效"),
        ("创建组 数据库 成员 张伟", "已创建联系组“数据库”，1 位成员。"),
        ("测试 数据库", "正在通过 2 个渠道测试“数据库”"),
        ("删除联系人 张伟", "请在 2 分钟内回复"),
        ("是", "已删除联系人“张伟”。"),
        ("查看联系人 张伟", "没有联系人“张伟”"),
    ),
}
"""What is typed, and what is in the answer. `<phone>`: the code that arrived there."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_contact_is_added_confirmed_tested_and_removed_by_typing(place: Place, language: Language) -> None:
    codes: dict[str, Any] = {}
    for said, answered in SAID[language]:
        if said == "<phone>":
            codes = {"<phone>": place.town.code_for(PHONE), "<mail>": place.town.code_for(MAIL)}
        assert answered in place.asks(codes.get(said, said)).replace("\u200b", "")
    report = "2 of 2 arrived" if language == "en" else "2 条中有 2 条送达"
    assert any(report in str(event.body) for event in place.town.world.said(place.place)), report


# ---- by forms and buttons


@dataclass(frozen=True, slots=True)
class Hands:
    """Somebody who presses instead of typing, one-to-one.

    opens   says which form is wanted, and gives the form
    fills   fills it in and sends it; what the platform says at the form, or the words of the answer
    shows   says what is to be shown, and gives the message with its buttons
    presses presses one of them, and gives the message that this leads to: the same one changed, or a new one
    """

    town: Town
    place: str
    opens: Callable[[str], Event]
    fills: Callable[[Event, dict[str, str]], str]
    shows: Callable[[str], Event]
    presses: Callable[[Event, str], Event]


def hands_on_slack(folder: Path, clock: Clock) -> Hands:
    town = SlackTown(folder, clock)
    place = town.place(slack_town.LIN, "direct")

    def fills(form: Event, values: dict[str, str]) -> str:
        town.settle()
        after = town.world.last
        posted = town.submits(form, values)
        if town.newest(form).note == "errors":
            return words(town.newest(form).body)
        assert posted.status == 200
        return town.answer(place, after=after)

    def presses(message: Event, label: str) -> Event:
        town.settle()
        after = town.world.last
        assert town.presses(message, label).status == 200
        return town.expect(lambda e: e.kind in ("say", "update", "form") and e.place == place, after=after)

    def opens(text: str) -> Event:
        return town.form(text, way="command in chat")

    return Hands(town, place, opens, fills, town.card, presses)


def hands_on_lark(folder: Path, clock: Clock) -> Hands:
    town = LarkTown(folder, clock)

    def fills(form: Event, values: dict[str, str]) -> str:
        town.forward(seconds=1)
        (submit,) = [one["label"] for one in lark_controls(form.body) if one["fields"]]
        posted = town.press(form, submit, values)
        return posted.toast[1] if posted.toast[0] == "error" else town.now_shows(form)

    def presses(message: Event, label: str) -> Event:
        town.forward(seconds=1)
        after = town.world.last
        assert town.press(message, label).status == 200
        return town.expect(lambda e: e.kind in ("say", "update") and e.place == town.chat(lark_town.ADMIN), after=after)

    return Hands(town, town.chat(lark_town.ADMIN), town.card, fills, town.card, presses)


HANDS: dict[str, Callable[[Path, Clock], Hands]] = {"slack": hands_on_slack, "lark": hands_on_lark}


@pytest.fixture(params=HANDS)
def hands(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Hands]:
    made = HANDS[request.param](tmp_path, clock)
    yield made
    made.town.end()


@dataclass(frozen=True, slots=True)
class Words:
    """What the same conversation says in one language."""

    add: str
    create: str
    code: str
    show_group: str
    show_contact: str
    name: str
    test: str
    remove: str
    yes: str
    wrong: str
    added: str
    active: str
    created: str
    tested: str
    asked: str
    removed: str


BY_HAND: dict[Language, Words] = {
    "en": Words(
        "contact add", "group create", "code", "group show dba", "contact show Zhang Wei", "Zhang Wei",
        "Test", "Remove", "Yes", "“1380013” is no", "Contact “Zhang Wei” is added.", "is active",
        "Group “dba” is created with 1 member.", "2 of 2 arrived", "Reply yes or no", "Contact “Zhang Wei” is removed.",
    ),
    "zh": Words(
        "添加联系人", "创建组", "验证码", "查看组 dba", "查看联系人 张伟", "张伟",
        "测试", "移除", "是", "1380013", "已添加联系人“张伟”。", "已生效",
        "已创建联系组“dba”，1 位成员。", "2 条中有 2 条送达", "请在 2 分钟内回复", "已删除联系人“张伟”。",
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_by_forms_and_buttons(hands: Hands, language: Language) -> None:
    told, town = BY_HAND[language], hands.town
    form = hands.opens(told.add)
    values = {"name": told.name, "phone": "1380013", "email": MAIL}
    assert told.wrong in hands.fills(form, values), "what is wrong is said at the form"
    assert told.added in hands.fills(form, values | {"phone": "13800138000"})
    for address in (PHONE, MAIL):
        assert told.active in hands.fills(hands.opens(told.code), {"code": town.code_for(address)})
    assert told.created in hands.fills(hands.opens(told.create), {"name": "dba", "members": quoted(told.name)})
    hands.presses(hands.shows(told.show_group), told.test)
    for _message in range(3):  # each has to wait for its second
        town.forward(seconds=2)
    town.expect(lambda e: e.kind == "say" and told.tested in words(e.body))
    question = hands.presses(hands.shows(told.show_contact), told.remove)
    assert told.asked in words(question.body)
    assert told.removed in words(hands.presses(question, told.yes).body)
