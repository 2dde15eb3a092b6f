"""One conversation, the same on all four platforms and in both languages: typed, and where there are forms and buttons,
by these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handlers.texts import LANGUAGES, Language
from tests.conftest import Clock
from tests.stories import lark_town, slack_town
from tests.stories.conftest import Town
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
