"""The Stream gateway, met by the vendor's own client and by a bare WebSocket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import dingtalk_stream
import pytest
import requests
import websockets.exceptions
from websockets.sync.client import connect

from bot.sandbox.dingtalk_stream import CARDS, MESSAGES
from bot.sandbox.server import StandIns
from bot.sandbox.world import Page, Refused, World
from tests.bot.sandbox.conftest import Clock

OPEN = "/v1.0/gateway/connections/open"
SUBSCRIPTIONS = [{"type": "CALLBACK", "topic": MESSAGES}]
LOGIN = {"clientId": "dingapp01", "clientSecret": "app secret", "subscriptions": SUBSCRIPTIONS}
ACCEPT = {"Accept": "application/json"}


def ticket(stand_ins: StandIns) -> str:
    answer = requests.post(stand_ins.url + OPEN, json=LOGIN, headers=ACCEPT, timeout=5).json()
    return f"{answer['endpoint']}?ticket={answer['ticket']}"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"clientSecret": "wrong"}, 401),
        ({"clientId": "nobody"}, 401),
        ({"clientId": None}, 401),
        ({"subscriptions": []}, 400),
        ({"subscriptions": [{"type": "callback", "topic": MESSAGES}]}, 400),
    ],
)
def test_tickets(changes: dict[str, Any], status: int, stand_ins: StandIns) -> None:
    answer = requests.post(stand_ins.url + OPEN, json={**LOGIN, **changes}, headers=ACCEPT, timeout=5)
    assert answer.status_code == status
    assert ("ticket" in answer.json()) is (status == 200)


def test_without_accept_the_answer_is_xml(stand_ins: StandIns) -> None:
    answer = requests.post(stand_ins.url + OPEN, json=LOGIN, headers={"Accept": "*/*"}, timeout=5)
    assert answer.text.startswith("<")


def test_a_gateway_in_trouble(stand_ins: StandIns, world: World) -> None:
    world.fault(f"dingtalk:{OPEN}", Page(), Refused("authFailed"))
    assert requests.post(stand_ins.url + OPEN, json=LOGIN, timeout=5).headers["Content-Type"].startswith("text/html")
    assert requests.post(stand_ins.url + OPEN, json=LOGIN, timeout=5).status_code == 401


def refused_status(uri: str) -> int:
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        connect(uri, proxy=None)
    return int(caught.value.response.status_code)


def test_a_ticket_opens_one_connection(stand_ins: StandIns) -> None:
    uri = ticket(stand_ins)
    with connect(uri, proxy=None):
        assert refused_status(uri) == 401
    assert refused_status(stand_ins.stream.endpoint) == 401


def test_a_ticket_ends_after_ninety_seconds(stand_ins: StandIns, clock: Clock) -> None:
    uri = ticket(stand_ins)
    clock.move(90.1)
    assert refused_status(uri) == 401


def test_only_subscribed_topics_are_pushed_and_acks_are_kept(stand_ins: StandIns, world: World) -> None:
    stream = stand_ins.stream
    assert stream.push("dingapp01", {"msgId": "m"}) is None
    with connect(ticket(stand_ins), proxy=None) as line:
        assert stream.wait_opened()
        assert stream.push("other", {"msgId": "m"}) is None
        assert stream.frame("dingapp01", CARDS, {}) is None
        message_id = stream.push("dingapp01", {"msgId": "m"})
        assert message_id is not None
        frame = json.loads(line.recv(5))
        assert frame["headers"]["messageId"] == message_id
        assert json.loads(frame["data"]) == {"msgId": "m"}
        line.send("not json")
        line.send(json.dumps({"code": 200, "headers": {"messageId": message_id}, "data": {"response": None}}))
        line.send(json.dumps({"code": 200, "headers": {"messageId": message_id}, "data": '{"response": null}'}))
        ack = stream.wait_ack(message_id)
        assert ack is not None
        assert (ack.code, ack.data) == (200, {"response": None})
        assert [event.note for event in world.refusals()] == ["ack", "ack"]
    assert stream.wait_closed()


# -- the vendor's client


class Inbox(dingtalk_stream.ChatbotHandler):  # type: ignore[misc]  # the library has no types
    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[dict[str, Any]] = []

    async def process(self, callback: Any) -> tuple[int, str]:
        self.bodies.append(callback.data)
        return dingtalk_stream.AckMessage.STATUS_OK, "OK"


class Runner:
    """The vendor's client on a thread of its own."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.client = dingtalk_stream.DingTalkStreamClient(dingtalk_stream.Credential("dingapp01", "app secret"))
        self.client.register_callback_handler(dingtalk_stream.ChatbotMessage.TOPIC, self.inbox)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.task = self.loop.create_task(self.client.start())
        try:
            self.loop.run_until_complete(self.task)
        except asyncio.CancelledError:
            pass
        finally:
            rest = asyncio.all_tasks(self.loop)
            for task in rest:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            self.loop.close()

    def stop(self) -> None:
        for _ in range(50):  # the client swallows the first cancel
            if not self.thread.is_alive():
                return
            self.loop.call_soon_threadsafe(self.task.cancel)
            self.thread.join(0.1)
        raise AssertionError("the client did not stop")


@pytest.fixture
def runner(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    monkeypatch.setattr(dingtalk_stream.DingTalkStreamClient, "OPEN_CONNECTION_API", stand_ins.url + OPEN)
    runner = Runner()
    runner.thread.start()
    assert stand_ins.stream.wait_opened()
    yield runner
    runner.stop()


def test_the_vendor_s_client_takes_messages_pings_and_reconnects(
    runner: Runner, stand_ins: StandIns, world: World
) -> None:
    stream = stand_ins.stream
    app = world.app("dingtalk", "dingapp01")
    assert app is not None
    client = stand_ins.dingtalk_client("http://127.0.0.1:9", app, stream=True)
    posted = client.type("0147", "help", group="dingtalk-group")
    assert posted.delivered
    ping = stream.ping("dingapp01")
    assert ping is not None
    ack = stream.wait_ack(ping)
    assert ack is not None
    assert "opaque" in ack.data

    stream.disconnect()
    assert stream.wait_opened(2)
    first = stream.push("dingapp01", posted.body)
    assert first is not None
    second = stream.push("dingapp01", posted.body)
    assert second is not None
    for frame in (first, second):
        taken = stream.wait_ack(frame)
        assert taken is not None
        assert taken.code == 200
    assert [body["msgId"] for body in runner.inbox.bodies] == [posted.message_id] * 3
    client.close()


def test_a_cut_connection_is_gone(stand_ins: StandIns) -> None:
    with connect(ticket(stand_ins), proxy=None) as line:
        assert stand_ins.stream.wait_opened()
        stand_ins.stream.garbage()
        assert line.recv(5) == "<html>gateway</html>"
        stand_ins.stream.cut()
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            line.recv(5)
    assert stand_ins.stream.wait_closed()
    assert stand_ins.stream.connections == 0
