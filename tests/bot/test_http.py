"""The one HTTP client: what goes over the wire, what is refused before it does, and what is told when it fails."""

from __future__ import annotations

import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.http import MAX_REPLY_BYTES, Http, HttpReply, Unreachable, public
from tests.bot.channels.loopback import Loopback, Says, Seen, loopback

VENDOR = "https://oapi.dingtalk.com"
TOKEN = "t0ps3cr3t"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback() as running:
        yield running


@pytest.fixture
def http(server: Loopback) -> Iterator[Http]:
    client = Http({VENDOR: server.url})
    yield client
    client.close()


def lookup(*addresses: str) -> Any:
    """A name server that gives these addresses for every name."""

    def resolve(host: str, port: int, *_: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


def test_json_goes_out_as_raw_utf8_without_blanks(server: Loopback, http: Http) -> None:
    http.post(f"{VENDOR}/robot/send?access_token=x", json={"text": "告警", "n": [1, 2]})
    assert server.seen[0].body == '{"text":"告警","n":[1,2]}'.encode()
    assert server.seen[0].headers["content-type"] == "application/json; charset=utf-8"


def test_an_override_replaces_scheme_host_and_port_and_nothing_else(server: Loopback, http: Http) -> None:
    http.post(f"{VENDOR}/robot/send?access_token=a%2Bb&x=%20", json={})
    assert server.seen[0].target == "/robot/send?access_token=a%2Bb&x=%20"
    assert server.seen[0].headers["host"] == server.url.removeprefix("http://")


@pytest.mark.parametrize("base", ["{}", "{}/"])
def test_an_override_may_end_with_a_slash(base: str, server: Loopback) -> None:
    http = Http({VENDOR: base.format(server.url)})
    http.get(f"{VENDOR}/a/b")
    http.close()
    assert server.seen[0].target == "/a/b"


def test_parameters_are_encoded_once(server: Loopback, http: Http) -> None:
    http.post(f"{VENDOR}/robot/send?access_token=x", params={"sign": "a+b/c= ~"}, json={})
    assert server.seen[0].target == "/robot/send?access_token=x&sign=a%2Bb%2Fc%3D%20~"
    assert server.seen[0].params["sign"] == "a+b/c= ~"


def test_forms_bytes_and_methods(server: Loopback, http: Http) -> None:
    http.post(f"{VENDOR}/f", form={"a": "1 2", "b": "中"})
    http.put(f"{VENDOR}/p", data="中", headers={"X-Acs-Action": "A"})
    http.get(f"{VENDOR}/g", params={"q": "1"})
    form, put, get = server.seen
    assert (form.method, form.body) == ("POST", b"a=1+2&b=%E4%B8%AD")
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert (put.method, put.body, put.headers["x-acs-action"]) == ("PUT", "中".encode(), "A")
    assert (get.method, get.target, get.body) == ("GET", "/g?q=1", b"")


def test_replies_are_read_in_any_form(server: Loopback, http: Http) -> None:
    server.answer = Says({"errcode": 0}, 200, {"Retry-After": "30"})
    reply = http.post(f"{VENDOR}/x", json={})
    assert (reply.status, reply.json(), reply.retry_after) == (200, {"errcode": 0}, 30.0)
    server.answer = Says('{"errcode": 1}', 503, {"Transfer-Encoding": "chunked"})
    assert http.post(f"{VENDOR}/x", json={}).json() == {"errcode": 1}


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_none(body: bytes) -> None:
    assert HttpReply(200, {}, body).json() is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5.0), ("1.5", 1.5), ("999999", 3600.0), ("", None), ("-1", None), ("soon", None), ("٣", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert HttpReply(429, {"Retry-After": value}).retry_after == seconds


@pytest.mark.parametrize(
    ("after", "date", "seconds"),
    [
        ("Mon, 23 Nov 2026 08:00:30 GMT", "Mon, 23 Nov 2026 08:00:00 GMT", 30.0),
        ("Mon, 23 Nov 2026 08:00:00 GMT", "Mon, 23 Nov 2026 08:00:30 GMT", 0.0),
        ("Wed, 25 Nov 2026 08:00:00 GMT", "Mon, 23 Nov 2026 08:00:00 GMT", 3600.0),
        ("Mon, 23 Nov 2026 08:00:30 GMT", "", 20.0),
        ("Mon, 23 Nov 2026 08:00:00 GMT", "", 0.0),
        ("Wed, 25 Nov 2026 08:00:00 GMT", "", 3600.0),
        ("Mon, 23 Nov 2026 08:00:30 GMT", "soon", 20.0),
        ("Mon, 99999999999999999999 Jan 2024 00:00:00 GMT", "Mon, 23 Nov 2026 08:00:00 GMT", None),
        ("Mon, 23 Nov 2026 08:00:30 GMT", "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT", 20.0),
        ("soon", "", None),
        ("Mon, 99 Nov 2026 08:00:30 GMT", "Mon, 23 Nov 2026 08:00:00 GMT", None),
    ],
)
def test_retry_after_as_a_date_is_measured_from_the_date_of_the_reply_or_else_by_our_clock(
    after: str, date: str, seconds: float | None
) -> None:
    received = datetime(2026, 11, 23, 8, 0, 10, tzinfo=UTC)
    assert HttpReply(429, {"Retry-After": after, "Date": date}, received=received).retry_after == seconds


DATE = st.from_regex(r"(Mon, )?[0-9]{1,25} (Jan|Foo) [0-9]{1,25} [0-9:]{1,25} (GMT|[+-][0-9]{1,25})", fullmatch=True)


@given(after=st.text() | DATE, date=st.text() | DATE)
def test_whatever_stands_in_the_headers_is_a_number_of_seconds_or_none(after: str, date: str) -> None:
    found = HttpReply(503, {"Retry-After": after, "Date": date}).retry_after
    assert found is None or 0 <= found <= 3600


def test_connections_are_used_again(server: Loopback, http: Http) -> None:
    ports = set()

    def answer(_: Seen) -> Says:
        ports.add(threading.get_ident())  # the server has one thread for each connection
        return Says("ok")

    server.answer = answer
    for _ in range(5):
        http.post(f"{VENDOR}/x", json={})
    assert len(ports) == 1


def test_many_threads_share_one_client(server: Loopback, http: Http) -> None:
    server.answer = lambda seen: Says(seen.body)
    wrong: list[object] = []

    def post(number: int) -> None:
        for at in range(10):
            said = http.post(f"{VENDOR}/x", json=[number, at]).json()
            if said != [number, at]:
                wrong.append(said)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(server.seen) == 160


def test_redirects_are_not_followed(server: Loopback, http: Http) -> None:
    server.answer = Says("", 302, {"Location": f"{server.url}/elsewhere"})
    assert http.post(f"{VENDOR}/x", json={}).status == 302
    assert len(server.seen) == 1


def test_an_endless_reply_is_cut(server: Loopback, http: Http) -> None:
    server.answer = Says(b"x" * (3 * MAX_REPLY_BYTES))
    assert len(http.get(f"{VENDOR}/x").body) == MAX_REPLY_BYTES
    server.answer = Says("ok")
    assert http.get(f"{VENDOR}/x").text == "ok"


def test_proxies_of_the_environment_are_not_used(server: Loopback, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert http.get(f"{VENDOR}/x").text == "ok"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.slack.com/services/T/B/x", "only https on port 443 is allowed"),
        ("https://hooks.slack.com:8443/services/T/B/x", "only https on port 443 is allowed"),
        ("http://127.0.0.1/", "only https on port 443 is allowed"),
        ("https://user:pass@hooks.slack.com/", "not an http address"),
        ("https://user@hooks.slack.com/", "not an http address"),
        ("https://hooks.slack.com\\@evil.example/", "not an http address"),
        ("https://hooks.slаck.com/", "not an http address"),
        ("https://hooks.slack.com:0/", "not an http address"),
        ("https://hooks.slack.com:99999/", "not an http address"),
        ("https://hooks.slack%2ecom/", "not an http address"),
        ("ftp://hooks.slack.com/", "not an http address"),
        ("file:///etc/passwd", "not an http address"),
        ("https:///x", "not an http address"),
        ("https://hooks.slack.com/ x", "not an http address"),
        ("https://hooks.slack.com/\r\nX: y", "not an http address"),
        ("", "not an http address"),
    ],
)
def test_addresses_that_are_refused_unseen(url: str, reason: str, http: Http) -> None:
    with pytest.raises(Unreachable) as caught:
        http.post(url, json={})
    assert (caught.value.sent, caught.value.reason) == (False, reason)


PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.100.100.200",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_names_that_lead_into_a_private_network_are_refused(address: str) -> None:
    http = Http(resolve=lookup(address))
    with pytest.raises(Unreachable) as caught:
        http.post("https://hooks.slack.com/services/T/B/x", json={})
    assert (caught.value.sent, caught.value.reason) == (False, "private address")
    assert not public(address)


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    http = Http(resolve=lookup("93.184.216.34", "127.0.0.1"))
    with pytest.raises(Unreachable, match="private address"):
        http.post("https://hooks.slack.com/services/T/B/x", json={})


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_public(address: str) -> None:
    assert public(address)


def test_the_address_that_was_checked_is_the_one_connected_to(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once: what a second look-up would say does not matter."""
    asked: list[str] = []

    def resolve(host: str, port: int, *_: Any) -> list[tuple[Any, ...]]:
        asked.append(host)
        return lookup("93.184.216.34" if len(asked) == 1 else "127.0.0.1")(host, port)  # type: ignore[no-any-return]

    connected: list[tuple[str, int]] = []

    def create_connection(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(Unreachable) as caught:
        Http(resolve=resolve).post("https://hooks.slack.com/services/T/B/x", json={})
    assert (caught.value.sent, connected, asked) == (False, [("93.184.216.34", 443)], ["hooks.slack.com"])


@pytest.mark.parametrize("form", ["http://127.0.0.1:{port}", "http://127.0.0.1:{port}/"])
def test_hosts_that_the_operator_opened_may_be_private(form: str, server: Loopback) -> None:
    http = Http(open_hosts=[form.format(port=server.url.rpartition(":")[2])])
    assert http.post(f"{server.url}/robot/send?access_token=x", json={}).text == "ok"
    with pytest.raises(Unreachable):
        http.post("http://127.0.0.1:9/", json={})
    http.close()


def test_an_address_from_the_settings_is_not_guarded(server: Loopback) -> None:
    http = Http()
    assert http.get(f"{server.url}/x", configured=True).text == "ok"
    with pytest.raises(Unreachable):
        http.get(f"{server.url}/x")
    http.close()


def failures(server: Loopback) -> dict[str, tuple[str, bool]]:
    return {"refused": ("http://127.0.0.1:9", False), "dropped": (server.url, True)}


@pytest.mark.parametrize("case", ["refused", "dropped"])
def test_failures_say_whether_the_request_may_have_arrived_and_nothing_of_the_url(
    case: str, server: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer = Says(drop=True)
    base, sent = failures(server)[case]
    http = Http({VENDOR: base})
    with pytest.raises(Unreachable) as caught:
        http.post(f"{VENDOR}/robot/send?access_token={TOKEN}", json={})
    http.close()
    assert caught.value.sent == sent
    assert caught.value.__context__ is None
    assert TOKEN not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_a_successful_call_logs_nothing_of_the_url(
    server: Loopback, http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http.post(f"{VENDOR}/robot/send?access_token={TOKEN}", json={})
    assert TOKEN not in caplog.text


def test_a_server_that_is_silent_is_left_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        http = Http({VENDOR: f"http://127.0.0.1:{silent.getsockname()[1]}"})
        started = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            http.post(f"{VENDOR}/x", json={}, timeout_s=0.1)
        http.close()
    assert caught.value.sent
    assert time.monotonic() - started < 3


def test_a_name_that_does_not_exist() -> None:
    def resolve(*_: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(Unreachable) as caught:
        Http(resolve=resolve).post("https://hooks.slack.com/services/T/B/x", json={})
    assert (caught.value.sent, caught.value.reason) == (False, "no such host")


def test_replies_show_neither_body_nor_headers() -> None:
    assert TOKEN not in repr(HttpReply(200, {"X": TOKEN}, TOKEN.encode()))


def test_the_host_header_of_an_override(server: Loopback, http: Http) -> None:
    assert http.host_header(f"{VENDOR}/x") == server.url.removeprefix("http://")
    assert http.host_header("https://hooks.slack.com/x") == "hooks.slack.com"
    assert http.host_header("http://[::1]:81/x") == "[::1]:81"
