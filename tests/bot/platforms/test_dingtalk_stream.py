"""DingTalk Stream against a gateway on loopback that does all that has been seen to go wrong."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.sync.server import ServerConnection, serve

from bot.platforms.backoff import backoff_s
from bot.platforms.dingtalk_stream import BOT_TOPIC, CARD_TOPIC, StreamRunner
from tests.bot.platforms.conftest import Answer, Vendor

OPEN = "/v1.0/gateway/connections/open"
TICKET = "7f0c0f7e-ticket/+="
NOW = datetime(2026, 3, 28, 1, 0, tzinfo=UTC)
WAIT_S = 5.0


@dataclass
class Gateway:
    vendor: Vendor
    answer: Answer = (0, b"")
    connections: queue.Queue[ServerConnection] = field(default_factory=queue.Queue)

    def connection(self) -> ServerConnection:
        return self.connections.get(timeout=WAIT_S)


@pytest.fixture
def gateway(vendor: Vendor) -> Iterator[Gateway]:
    gateway, over = Gateway(vendor), threading.Event()

    def stay(connection: ServerConnection) -> None:
        gateway.connections.put(connection)
        over.wait()

    with serve(stay, "127.0.0.1", 0) as server:
        port = server.socket.getsockname()[1]
        gateway.answer = (200, {"endpoint": f"ws://127.0.0.1:{port}/connect", "ticket": TICKET})
        vendor.script[OPEN] = [gateway.answer]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            over.set()
            server.shutdown()
            thread.join()


@dataclass
class Store:
    """What was taken in, in order. `broken` are ids that cannot be stored now; a `gate` holds every storing up."""

    broken: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    taken: queue.Queue[Mapping[str, Any]] = field(default_factory=queue.Queue)
    threads: set[str] = field(default_factory=set)

    def take_in(self, body: Mapping[str, Any]) -> None:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(WAIT_S)
        if body["msgId"] in self.broken:
            raise OSError("disk full, secret text")
        self.taken.put(body)

    def next(self) -> Mapping[str, Any]:
        return self.taken.get(timeout=WAIT_S)


@pytest.fixture
def store() -> Store:
    store = Store()
    store.gate.set()
    return store


Start = Callable[..., StreamRunner]


@pytest.fixture
def start(gateway: Gateway, store: Store) -> Iterator[Start]:
    runners: list[StreamRunner] = []

    def make(**changes: Any) -> StreamRunner:
        settings = {"wait_s": lambda failures: 0.0, **changes}
        runner = StreamRunner("app", "s3cr3t", store.take_in, api_url=gateway.vendor.url, clock=lambda: NOW, **settings)
        runners.append(runner)
        runner.start()
        return runner

    yield make
    store.gate.set()
    for runner in runners:
        assert runner.stop(WAIT_S)


def message(msg_id: str, frame_id: str = "f1", **headers: str) -> str:
    return json.dumps(
        {
            "specVersion": "1.0",
            "type": "CALLBACK",
            "headers": {
                "topic": BOT_TOPIC,
                "messageId": frame_id,
                "contentType": "application/json",
                "time": "1690362102194",
                **headers,
            },
            "data": json.dumps({"msgId": msg_id, "msgtype": "text", "text": {"content": " help"}}),
        }
    )


def system(topic: str, data: object = None, **headers: str) -> str:
    return json.dumps(
        {
            "specVersion": "1.0",
            "type": "SYSTEM",
            "headers": {"topic": topic, "contentType": "application/json", **headers},
            "data": json.dumps(data),
        }
    )


def received(connection: ServerConnection) -> dict[str, Any]:
    """The next acknowledgement, its data decoded."""
    ack: dict[str, Any] = json.loads(connection.recv(timeout=WAIT_S))
    return {**ack, "data": json.loads(ack["data"])}


def assert_only_ping_is_answered(connection: ServerConnection) -> None:
    """Everything sent before has been dealt with, without an acknowledgement."""
    connection.send(system("ping", {"opaque": "fence"}, messageId="fence"))
    assert received(connection)["data"] == {"opaque": "fence"}


def test_a_connection_is_asked_for_as_documented_and_its_ticket_used(gateway: Gateway, start: Start) -> None:
    runner = start()
    connection = gateway.connection()
    assert connection.request is not None
    assert parse_qs(urlsplit(connection.request.path).query) == {"ticket": [TICKET]}
    [(_, body, headers)] = gateway.vendor.calls
    assert (body["clientId"], body["clientSecret"]) == ("app", "s3cr3t")
    assert body["subscriptions"] == [{"type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get"}]
    assert headers["accept"] == "application/json"
    assert_only_ping_is_answered(connection)
    assert runner.alive()
    assert runner.connected()
    assert runner.last_frame_at() == NOW


def test_a_message_is_stored_and_then_acknowledged(gateway: Gateway, start: Start, store: Store) -> None:
    start()
    connection = gateway.connection()
    store.gate.clear()
    connection.send(message("m1", "f1"))
    assert_only_ping_is_answered(connection)  # a slow store delays neither pings nor anything else
    store.gate.set()
    assert received(connection) == {
        "code": 200,
        "headers": {"messageId": "f1", "contentType": "application/json"},
        "message": "",
        "data": {"response": None},
    }
    assert store.next()["msgId"] == "m1"
    assert "dingtalk-stream" not in store.threads


def test_a_press_is_answered_in_its_acknowledgement_while_messages_wait(
    gateway: Gateway, start: Start, store: Store
) -> None:
    presses: list[tuple[Mapping[str, Any], str]] = []

    def pressed(body: Mapping[str, Any], frame: str) -> Mapping[str, Any]:
        presses.append((body, frame))
        if body.get("outTrackId") == "bad":
            raise OSError("disk full, secret text")
        return {"cardData": {"cardParamMap": {"status": "done"}}}

    start(pressed=pressed)
    connection = gateway.connection()
    assert [one["topic"] for one in gateway.vendor.calls[0][1]["subscriptions"]] == [BOT_TOPIC, CARD_TOPIC]
    store.gate.clear()
    connection.send(message("m1", "f1"))
    for track, frame in (("bad", "f2"), ("card", "f3")):
        headers = {"topic": CARD_TOPIC, "messageId": frame, "contentType": "application/json"}
        data = json.dumps({"outTrackId": track})
        connection.send(json.dumps({"specVersion": "1.0", "type": "CALLBACK", "headers": headers, "data": data}))
    ack = received(connection)
    assert (ack["code"], ack["headers"]["messageId"]) == (200, "f3"), "what failed is not acknowledged"
    assert ack["data"] == {"response": {"cardData": {"cardParamMap": {"status": "done"}}}}
    assert ({"outTrackId": "card"}, "f3") in presses


def test_a_message_that_could_not_be_stored_is_not_acknowledged_and_comes_again(
    gateway: Gateway, start: Start, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    start()
    connection = gateway.connection()
    store.broken = {"m1"}
    connection.send(message("m1", "f1"))
    connection.send(message("m2", "f2"))
    assert received(connection)["headers"]["messageId"] == "f2"
    store.broken = set()
    connection.send(message("m1", "f3"))
    assert received(connection)["headers"]["messageId"] == "f3"
    assert [store.next()["msgId"], store.next()["msgId"]] == ["m2", "m1"]
    assert "OSError" in caplog.text
    assert "secret text" not in caplog.text


def test_messages_are_stored_in_the_order_in_which_they_were_written(
    gateway: Gateway, start: Start, store: Store
) -> None:
    start()
    connection = gateway.connection()
    store.gate.clear()
    for n in range(50):
        connection.send(message(f"m{n}", f"f{n}"))
    assert_only_ping_is_answered(connection)
    store.gate.set()
    assert [store.next()["msgId"] for _ in range(50)] == [f"m{n}" for n in range(50)]
    assert [received(connection)["headers"]["messageId"] for _ in range(50)] == [f"f{n}" for n in range(50)]
    assert len(store.threads) == 1


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        "5",
        "{}",
        '{"type":"CALLBACK"}',
        '{"type":"CALLBACK","headers":[]}',
        '{"type":"NEWS","headers":{"topic":"x"},"data":"{}"}',
        json.dumps({"type": "CALLBACK", "headers": {"topic": BOT_TOPIC, "messageId": "x"}, "data": "not json"}),
        json.dumps({"type": "CALLBACK", "headers": {"topic": BOT_TOPIC, "messageId": "x"}, "data": {"a": 1}}),
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
def test_a_frame_that_cannot_be_read_costs_nothing_but_itself(
    gateway: Gateway, start: Start, store: Store, frame: str | bytes
) -> None:
    start()
    connection = gateway.connection()
    connection.send(frame)
    connection.send(message("m1", "f1"))
    assert received(connection)["headers"]["messageId"] == "f1"
    assert store.next()["msgId"] == "m1"


@pytest.mark.parametrize("headers", [{"time": "soon"}, {"appId": "u-1", "connectionId": "c-1", "new": "x"}])
def test_odd_headers_do_not_cost_the_message(
    gateway: Gateway, start: Start, store: Store, headers: dict[str, str]
) -> None:
    start()
    connection = gateway.connection()
    connection.send(message("m1", "f1", **headers))
    assert received(connection)["headers"]["messageId"] == "f1"


@pytest.mark.parametrize(
    ("frame", "code", "data"),
    [
        (system("ping", {"opaque": "123-x"}, messageId="f1"), 200, {"opaque": "123-x"}),
        (system("KEEPALIVE", {"x": 1}, messageId="f1"), 200, {"x": 1}),
        (
            json.dumps(
                {"type": "EVENT", "headers": {"topic": "*", "messageId": "f1", "eventBornTime": "x"}, "data": '{"a":1}'}
            ),
            200,
            {"status": "SUCCESS"},
        ),
        (
            json.dumps({"type": "EVENT", "header": {"topic": "*", "messageId": "f1"}, "data": "{}"}),
            200,
            {"status": "SUCCESS"},
        ),
        (
            json.dumps({"type": "CALLBACK", "headers": {"topic": "/v1.0/other", "messageId": "f1"}, "data": "{}"}),
            404,
            {},
        ),
        (
            json.dumps({"type": "CALLBACK", "headers": {"topic": BOT_TOPIC, "messageId": "f1"}, "data": "[]"}),
            400,
            {"response": None},
        ),
    ],
)
def test_other_frames_are_answered_in_their_own_form(
    gateway: Gateway, start: Start, store: Store, frame: str, code: int, data: object
) -> None:
    start()
    connection = gateway.connection()
    connection.send(frame)
    ack = received(connection)
    assert (ack["code"], ack["headers"]["messageId"], ack["data"]) == (code, "f1", data)
    assert store.taken.empty()


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>proxy</html>"),
        (200, {"status": 1111, "wait": 5, "source": "x5", "punish": "deny"}),
        (200, {"endpoint": "ws://127.0.0.1:1/connect"}),
        (200, {"endpoint": 5, "ticket": "t"}),
        (200, {"endpoint": "http://127.0.0.1:1/connect", "ticket": "t"}),
        (200, {"endpoint": "ws://127.0.0.1:1/connect", "ticket": "t"}),
        (200, []),
        (401, {"code": "authFailed", "message": "x"}),
        (500, b""),
        (0, b""),
    ],
)
def test_an_answer_of_the_gateway_that_is_none_is_followed_by_another_try(
    gateway: Gateway, start: Start, answer: Answer
) -> None:
    gateway.vendor.script[OPEN] = [answer, gateway.answer]
    waited: list[int] = []

    def wait_s(failures: int) -> float:
        waited.append(failures)
        return 0.0

    runner = start(wait_s=wait_s)
    gateway.connection()
    assert waited == [1]
    assert runner.alive()


def test_the_waits_grow_with_each_failure(gateway: Gateway, start: Start) -> None:
    gateway.vendor.script[OPEN] = [(500, b"")] * 4 + [gateway.answer]
    waited: list[int] = []

    def wait_s(failures: int) -> float:
        waited.append(failures)
        return 0.0

    start(wait_s=wait_s)
    gateway.connection()
    assert waited == [1, 2, 3, 4]


@pytest.mark.parametrize(("failures", "longest"), [(1, 1), (2, 2), (5, 16), (7, 60), (10_000, 60)])
def test_a_wait_is_between_half_of_its_length_and_all_of_it(failures: int, longest: float) -> None:
    waits = [backoff_s(failures) for _ in range(200)]
    assert longest / 2 <= min(waits) < max(waits) <= longest


@pytest.mark.parametrize("end", ["disconnect", "close", "drop"])
def test_a_connection_that_ends_is_replaced(gateway: Gateway, start: Start, store: Store, end: str) -> None:
    start()
    first = gateway.connection()
    match end:
        case "disconnect":
            first.send(system("disconnect", {"reason": "connection is expired"}))
        case "close":
            first.close()
        case "drop":
            first.socket.close()
    second = gateway.connection()
    second.send(message("m1", "f1"))
    assert received(second)["headers"]["messageId"] == "f1"
    assert len(gateway.vendor.asked(OPEN)) == 2


def test_a_message_under_way_is_acknowledged_on_its_own_connection_before_the_next_is_opened(
    gateway: Gateway, start: Start, store: Store
) -> None:
    start()
    first = gateway.connection()
    store.gate.clear()
    first.send(message("m1", "f1"))
    first.send(system("disconnect", {"reason": "connection is expired"}))
    store.gate.set()
    assert received(first)["headers"]["messageId"] == "f1"
    assert_only_ping_is_answered(gateway.connection())


def test_a_connection_that_has_fallen_silent_is_replaced(
    gateway: Gateway, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    start(silence_s=0.05)
    gateway.connection()
    gateway.connection()
    assert "nothing came" in caplog.text


def test_proxies_of_the_environment_are_not_asked(
    gateway: Gateway, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "WSS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    start()
    assert_only_ping_is_answered(gateway.connection())


def test_an_unencrypted_address_is_refused_when_the_gateway_is_the_real_one(gateway: Gateway) -> None:
    runner = StreamRunner("app", "s3cr3t", lambda body: None, clock=lambda: NOW)
    runner._http = gateway.vendor.http()  # the real gateway's address, answered from loopback
    with pytest.raises(Exception, match="not encrypted"):
        runner._open()
    runner._http.close()


def test_neither_ticket_nor_secret_nor_message_is_logged(
    gateway: Gateway, start: Start, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway.vendor.script[OPEN] = [
        (400, {"code": "x", "message": "s3cr3t"}),
        (200, {"endpoint": "ws://127.0.0.1:1/connect", "ticket": TICKET}),
        gateway.answer,
    ]
    runner = start()
    connection = gateway.connection()
    connection.send(message("m1", "f1"))
    connection.send(json.dumps({"type": "CALLBACK", "headers": {"topic": "/x"}, "data": '"private words"'}))
    connection.send('{"type":"NEWS","headers":{},"data":"private words"}')
    connection.send("private words")
    connection.send(message("m2", "f2"))
    connection.close()
    gateway.connection()
    runner.stop()
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets.server")]
    everything = "\n".join([*ours, *capfd.readouterr(), repr(runner)])
    assert "connected" in everything
    for secret in (TICKET, "7f0c0f7e", "s3cr3t", "private words", "help"):
        assert secret not in everything


def test_starting_and_stopping_twice_is_the_same_as_once(gateway: Gateway, start: Start) -> None:
    runner = start()
    runner.start()
    gateway.connection()
    assert len(gateway.vendor.asked(OPEN)) == 1
    assert runner.stop(WAIT_S)
    assert runner.stop(WAIT_S)
    assert not runner.alive()
    assert not runner.connected()
    runner.start()
    assert_only_ping_is_answered(gateway.connection())


def test_a_runner_that_was_never_started_stops() -> None:
    runner = StreamRunner("app", "s3cr3t", lambda body: None, clock=lambda: NOW)
    assert not runner.alive()
    assert runner.stop()


def test_stopping_lets_a_message_under_way_be_stored_and_acknowledged(
    gateway: Gateway, start: Start, store: Store
) -> None:
    runner = start()
    connection = gateway.connection()
    store.gate.clear()
    connection.send(message("m1", "f1"))
    assert_only_ping_is_answered(connection)
    stopping = threading.Thread(target=runner.stop, args=(WAIT_S,))
    stopping.start()
    store.gate.set()
    assert received(connection)["headers"]["messageId"] == "f1"
    stopping.join()
    assert not runner.alive()


def test_a_runner_that_waits_to_connect_again_stops_at_once(gateway: Gateway, start: Start) -> None:
    gateway.vendor.script[OPEN] = [(500, b"")]
    waiting = threading.Event()

    def wait_s(failures: int) -> float:
        waiting.set()
        return 3600.0

    runner = start(wait_s=wait_s)
    assert waiting.wait(WAIT_S)
    assert runner.stop(WAIT_S)


def test_whatever_breaks_inside_the_thread_lives_on(gateway: Gateway, start: Start) -> None:
    beats: list[int] = []

    def wait_s(failures: int) -> float:
        beats.append(failures)
        if len(beats) == 1:
            raise ValueError("a bug")
        return 0.0

    gateway.vendor.script[OPEN] = [(500, b""), gateway.answer]
    runner = start(wait_s=wait_s)
    gateway.connection()
    assert runner.alive()


def test_the_thread_beats(start: Start) -> None:
    beaten = threading.Event()
    start(beat=beaten.set)
    assert beaten.wait(WAIT_S)
