"""What all vendors share: scripted faults, unknown paths, connections, many at once."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from bot.sandbox.server import StandIns
from bot.sandbox.world import X5, Broken, Drop, Page, Refused, Slow, World
from tests.bot.sandbox.conftest import GOOD, PATHS, TOKENS


@pytest.mark.parametrize("platform", PATHS)
def test_a_good_message_reaches_the_group(
    platform: str, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    answer = http.post(stand_ins.url + PATHS[platform], json=GOOD[platform])
    assert answer.status_code == 200
    (event,) = world.cards(platform)
    assert event.body == GOOD[platform]
    assert event.robot == TOKENS[platform]
    assert not world.refusals()


@pytest.mark.parametrize("platform", PATHS)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"x"', b"[" * 100_000, b'{"msgtype":NaN}'])
def test_a_body_that_is_no_object_is_refused_in_the_platform_s_way(
    platform: str, body: bytes, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    answer = http.post(stand_ins.url + PATHS[platform], data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code < 500
    assert "Traceback" not in answer.text
    assert len(world.refusals(platform)) == 1
    assert not world.cards(platform)


@pytest.mark.parametrize("platform", PATHS)
def test_faults_replace_the_answer_and_nothing_arrives(
    platform: str, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    code = "no_service" if platform == "slack" else 45009
    world.fault(f"{platform}:{TOKENS[platform]}", Refused(code), Broken(503), Page(), X5(), X5(page=True))
    answers = [http.post(stand_ins.url + PATHS[platform], json=GOOD[platform]) for _ in range(5)]
    assert str(code) in answers[0].text
    assert answers[1].status_code == 503
    assert answers[2].headers["Content-Type"].startswith("text/html")
    assert json.loads(answers[3].text)["source"] == "x5"
    assert answers[4].headers["Content-Type"].startswith("text/html")
    assert not world.cards(platform)
    assert http.post(stand_ins.url + PATHS[platform], json=GOOD[platform]).status_code == 200
    assert len(world.cards(platform)) == 1


@pytest.mark.parametrize(("after", "arrived"), [(False, 0), (True, 1)])
def test_a_dropped_connection_loses_the_request_or_only_the_answer(
    after: bool, arrived: int, stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    world.fault("dingtalk", Drop(after))
    with pytest.raises(requests.ConnectionError):
        http.post(stand_ins.url + PATHS["dingtalk"], json=GOOD["dingtalk"])
    assert len(world.cards("dingtalk")) == arrived


def test_a_slow_answer_comes_after_the_message_arrived(
    stand_ins: StandIns, world: World, http: requests.Session
) -> None:
    gate = threading.Event()
    world.fault("dingtalk:tok1", Slow(gate))
    message = {**GOOD["dingtalk"], "msgUuid": "u-1"}
    with pytest.raises(requests.ReadTimeout):
        http.post(stand_ins.url + PATHS["dingtalk"], json=message, timeout=0.1)
    gate.set()
    again = http.post(stand_ins.url + PATHS["dingtalk"], json=message)
    assert again.json()["errcode"] == 0
    assert len(world.cards("dingtalk")) == 1
    assert [event.kind for event in world.events] == ["card", "repeat"]


def test_stopping_ends_answers_that_are_held_back(world: World) -> None:
    world.fault("slack", Slow(30.0))
    outcome: list[str] = []

    def post(url: str) -> None:
        try:
            requests.post(url, json={"text": "x"}, timeout=20)
        except requests.ConnectionError:
            outcome.append("cut")

    with StandIns(world) as running:
        thread = threading.Thread(target=post, args=(running.url + PATHS["slack"],))
        thread.start()
        assert world.wait_for(lambda event: event.kind == "card") is not None
    thread.join(5.0)
    assert outcome == ["cut"]


def test_the_servers_start_again_after_a_stop(world: World) -> None:
    stand_ins = StandIns(world)
    for _ in range(2):
        with stand_ins:
            assert requests.post(stand_ins.url + PATHS["arms"], json=GOOD["arms"], timeout=5).status_code == 200
    with pytest.raises(RuntimeError):
        _ = stand_ins.url
    stand_ins.stop()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/robot/unknown", 200),
        ("POST", "/v1.0/unknown", 404),
        ("POST", "/cgi-bin/unknown", 404),
        ("POST", "/open-apis/unknown", 404),
        ("POST", "/services/T1", 404),
        ("POST", "/api/v1/unknown", 404),
        ("DELETE", "/v1.0/robot/groupMessages/send", 405),
    ],
)
def test_unknown_paths_get_the_vendor_s_not_found(
    method: str, path: str, status: int, stand_ins: StandIns, http: requests.Session
) -> None:
    answer = http.request(method, stand_ins.url + path, json={})
    assert answer.status_code == status
    assert "404" in answer.text or "NotFound" in answer.text or "no_team" in answer.text or status == 405


def test_every_port_is_on_loopback_only(stand_ins: StandIns) -> None:
    for url in (stand_ins.url, stand_ins.smtp_url, stand_ins.stream.endpoint):
        assert urlsplit(url).hostname == "127.0.0.1"
    assert stand_ins.overrides()["DINGTALK_OAPI_URL"] == stand_ins.url
    assert stand_ins.overrides()["SMTP_URL"] == stand_ins.smtp_url


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: x", b"411"),
        (b"Content-Length: -1", b"411"),
        (b"Transfer-Encoding: chunked", b"411"),
        (b"Content-Length: 99999999", b"413"),
    ],
)
def test_a_request_without_a_usable_length_is_refused(head: bytes, status: bytes, stand_ins: StandIns) -> None:
    port = urlsplit(stand_ins.url).port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"POST /robot/send HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        assert raw.recv(100).split()[1] == status


def test_twenty_threads_get_exactly_the_limit_through(stand_ins: StandIns, world: World) -> None:
    def post(_: int) -> int:
        return int(requests.post(stand_ins.url + PATHS["wecom"], json=GOOD["wecom"], timeout=10).json()["errcode"])

    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(post, range(60)))
    assert codes.count(0) == 20
    assert codes.count(45009) == 40
    assert len(world.cards("wecom")) == 20
