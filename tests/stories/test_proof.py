"""A group proves itself: the card with the code comes through its robot, and somebody answers it in that same group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Clock
from tests.stories import lark_town, slack_town, wecom_town
from tests.stories.conftest import GROUP, ROBOT_SECRET, ROBOT_URL, Town
from tests.stories.lark_town import LarkTown
from tests.stories.slack_town import SlackTown
from tests.stories.wecom_town import WeComTown

Asks = Callable[[str], str]
Built = tuple[Town, str, str, Asks, Asks]
"""A town, the webhook of a robot in a group with the bot, the group, and how to type one-to-one and in the group."""


def on_dingtalk(folder: Path, clock: Clock) -> Built:
    town = Town(folder, clock)
    return town, f"{ROBOT_URL} secret {ROBOT_SECRET}", GROUP, town.say, lambda text: town.say(text, group=True)


def on_wecom(folder: Path, clock: Clock) -> Built:
    town = WeComTown(folder, clock)
    town.world.add_robot("wecom", wecom_town.GROUP, "wecomkey02")
    webhook = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=wecomkey02"
    return town, webhook, wecom_town.GROUP, town.said, lambda text: town.said(text, "group")


def on_lark(folder: Path, clock: Clock) -> Built:
    town = LarkTown(folder, clock)
    town.world.add_robot("lark", lark_town.CHAT, "larkhook02")
    webhook = "https://open.feishu.cn/open-apis/bot/v2/hook/larkhook02"
    return town, webhook, lark_town.CHAT, town.tell, lambda text: town.tell(text, group=True)


def on_slack(folder: Path, clock: Clock) -> Built:
    town = SlackTown(folder, clock)
    webhook = f"https://hooks.slack.com/services/{slack_town.TEAM}/B0002/slackhook02"
    return town, webhook, slack_town.CHANNEL, town.asks, lambda text: town.asks(text, way="mention")


def on_slack_by_command(folder: Path, clock: Clock) -> Built:
    town, webhook, group, asks, _mentions = on_slack(folder, clock)
    assert isinstance(town, SlackTown)
    return town, webhook, group, asks, lambda text: town.asks(text, way="command")


@pytest.fixture(
    params=[on_dingtalk, on_wecom, on_lark, on_slack, on_slack_by_command],
    ids=["dingtalk", "wecom", "lark", "slack", "slack-command"],
)
def built(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Built]:
    made: Built = request.param(tmp_path, clock)
    yield made
    made[0].end()


def test_a_code_answered_in_the_group_of_the_robot_links_the_two(built: Built) -> None:
    town, webhook, group, alone, in_group = built
    alone(f"contact add Team {webhook}")
    answer = in_group(town.code_for(group))
    assert "is active" in answer
    assert "linked to this conversation" in answer
    shown = alone("contact show Team")
    assert "linked to the conversation" in shown
    assert "So it is proven that the address posts there" in shown


def test_where_the_bot_is_no_member_the_code_is_answered_anywhere(town: Town) -> None:
    town.say("contact add Team https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=wecomkey01")
    answer = town.say(town.code_for("wecom-group"))
    assert "is active" in answer
    assert "linked" not in answer + town.say("contact show Team")
