"""A person types, the message comes in through Stream, and the answer is seen: against the strict stand-ins."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.http import Http
from bot.platforms import PLATFORMS
from bot.platforms.access_token import AccessTokens
from bot.platforms.contract import Incoming, Place, Speaker
from bot.platforms.dingtalk import decode
from bot.platforms.dingtalk_app import DingTalkCredentials
from bot.platforms.dingtalk_stream import StreamRunner
from bot.sandbox.dingtalk_client import DingTalkClient
from bot.sandbox.server import StandIns
from bot.sandbox.world import World
from handlers.document import Document, Facts, Link
from handlers.errors import DeliveryError

CID = "cidOnCall=="
DOCUMENT = Document("Ann", (Facts((("phone", "138****5678"),)),), links=(Link("runbook", "https://ops.example/r"),))


@dataclass
class Desk:
    """Our side of the platform, connected to the stand-ins."""

    stand_ins: StandIns
    typing: DingTalkClient
    http: Http
    credentials: DingTalkCredentials
    arrived: queue.Queue[Mapping[str, Any]]

    def hears(self) -> Incoming:
        incoming = decode(self.arrived.get(timeout=5.0))
        assert incoming is not None
        return incoming

    def says(self, place: Place) -> None:
        speaker = Speaker(http=self.http, now=datetime.now(UTC), key="answer-1", credentials=self.credentials)
        PLATFORMS["dingtalk"].say(DOCUMENT, "en", place, speaker)


@pytest.fixture
def desk() -> Iterator[Desk]:
    world = World()
    world.add_group("dingtalk", CID, "on-call", ["0147", "0199"])
    world.add_person("dingtalk", "0147", "Ann", "dingcorp01", chat="cidAnn==")
    world.add_person("dingtalk", "0199", "Bob", "dingcorp01", reachable=False)
    app = world.add_app("dingtalk", "dingapp01", "s3cr3t", "dingcorp01")
    arrived: queue.Queue[Mapping[str, Any]] = queue.Queue()
    with StandIns(world) as stand_ins:
        http = Http({"https://oapi.dingtalk.com": stand_ins.url, "https://api.dingtalk.com": stand_ins.url})
        runner = StreamRunner(
            "dingapp01",
            "s3cr3t",
            arrived.put,
            api_url=stand_ins.url,
            clock=lambda: datetime.now(UTC),
            wait_s=lambda failures: 0.0,
        )
        runner.start()
        assert stand_ins.stream.wait_opened()
        typing = stand_ins.dingtalk_client("", app, stream=True)
        credentials = DingTalkCredentials("dingapp01", "s3cr3t", AccessTokens("dingapp01", "s3cr3t"))
        yield Desk(stand_ins, typing, http, credentials, arrived)
        assert runner.stop(5.0)
        typing.close()
        http.close()


def answer_to(incoming: Incoming) -> Place:
    return Place(incoming.conversation, incoming.person, incoming.direct, incoming.reply_url, incoming.reply_until)


def test_a_question_in_a_group_is_answered_through_its_session(desk: Desk) -> None:
    desk.typing.type("0147", "contact show Ann", group=CID, others=("0199",))
    incoming = desk.hears()
    assert (incoming.text, incoming.person, incoming.direct) == ("contact show Ann", "dingtalk:dingcorp01/0147", False)
    assert incoming.mentions == (("dingtalk:dingcorp01/0199", ""),)
    assert (incoming.name, incoming.title) == ("Ann", "on-call")
    desk.says(answer_to(incoming))
    [said] = desk.stand_ins.world.said(CID)
    assert "- **phone**: 138****5678" in said.body["markdown"]["text"]
    assert "[runbook](https://ops.example/r)" in said.body["markdown"]["text"]


@pytest.mark.parametrize("shape", ["content", "richText"])
def test_other_shapes_are_understood_too(desk: Desk, shape: Any) -> None:
    desk.typing.type("0147", "help", group=CID, shape=shape)
    assert desk.hears().text == "help"


def test_after_the_session_the_app_speaks(desk: Desk) -> None:
    desk.typing.type("0147", "help", group=CID, session=False)
    desk.says(answer_to(desk.hears()))
    desk.typing.type("0147", "help", session=False)
    direct = desk.hears()
    assert direct.direct
    desk.says(answer_to(direct))
    assert len(desk.stand_ins.world.said(CID)) == 1
    assert len(desk.stand_ins.world.said("cidAnn==")) == 1


def test_an_unknown_session_and_an_expired_token_are_got_over(desk: Desk) -> None:
    desk.typing.type("0147", "help", group=CID)
    place = replace(answer_to(desk.hears()), reply_url="https://oapi.dingtalk.com/robot/sendBySession?session=gone")
    desk.says(place)
    desk.stand_ins.dingtalk.expire_tokens()
    desk.says(place)
    assert len(desk.stand_ins.world.said(CID)) == 2


@pytest.mark.parametrize(("person", "reason", "permanent"), [("0199", "rate_limited", False), ("0000", "gone", True)])
def test_people_who_cannot_be_reached_are_told_apart(desk: Desk, person: str, reason: str, permanent: bool) -> None:
    with pytest.raises(DeliveryError) as caught:
        desk.says(Place("", f"dingtalk:dingcorp01/{person}", True))
    assert (caught.value.reason, caught.value.permanent) == (reason, permanent)
