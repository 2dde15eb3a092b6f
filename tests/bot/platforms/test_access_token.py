"""The access token is asked for as rarely as possible."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from bot.platforms.access_token import AccessTokens
from handlers.errors import DeliveryError
from tests.bot.platforms.conftest import Vendor

PATH = "/v1.0/oauth2/accessToken"


@dataclass
class Seconds:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_asked_for_once_and_again_shortly_before_it_expires(vendor: Vendor) -> None:
    vendor.script[PATH] = [(200, {"accessToken": name, "expireIn": 7200}) for name in ("t1", "t2")]
    clock, http = Seconds(), vendor.http()
    tokens = AccessTokens("app", "s3cr3t", clock=clock)
    assert [tokens.get(http), tokens.get(http)] == ["t1", "t1"]
    clock.now += 6899
    assert tokens.get(http) == "t1"
    clock.now += 1
    assert tokens.get(http) == "t2"
    assert vendor.asked(PATH) == [{"appKey": "app", "appSecret": "s3cr3t"}] * 2
    http.close()


@pytest.mark.parametrize(
    ("lifetime", "good_for_s"),
    [("7200", 6900), (None, 6900), ("soon", 6900), (0, 6900), (-5, 6900), (10**9, 6900), (400, 200)],
)
def test_odd_lifetimes_do_no_harm(vendor: Vendor, lifetime: object, good_for_s: float) -> None:
    vendor.script[PATH] = [(200, {"accessToken": "t", "expireIn": lifetime})]
    clock, http = Seconds(), vendor.http()
    tokens = AccessTokens("app", "s3cr3t", clock=clock)
    tokens.get(http)
    clock.now += good_for_s - 1
    tokens.get(http)
    assert len(vendor.calls) == 1
    clock.now += 1
    tokens.get(http)
    assert len(vendor.calls) == 2
    http.close()


def test_only_the_token_that_was_refused_is_dropped(vendor: Vendor) -> None:
    vendor.script[PATH] = [(200, {"accessToken": name, "expireIn": 7200}) for name in ("t1", "t2")]
    http = vendor.http()
    tokens = AccessTokens("app", "s3cr3t")
    tokens.get(http)
    tokens.drop("t1")
    assert tokens.get(http) == "t2"
    tokens.drop("t1")
    assert tokens.get(http) == "t2"
    assert len(vendor.calls) == 2
    http.close()


def test_many_threads_ask_once(vendor: Vendor) -> None:
    vendor.script[PATH] = [(200, {"accessToken": "t", "expireIn": 7200})]
    http, got = vendor.http(), list[str]()
    tokens = AccessTokens("app", "s3cr3t")
    together = threading.Barrier(20)

    def ask() -> None:
        together.wait(5)
        got.append(tokens.get(http))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["t"] * 20
    assert len(vendor.calls) == 1
    http.close()


@pytest.mark.parametrize(
    ("status", "answer", "reason", "permanent"),
    [
        (400, {"code": "invalidClientIdOrSecret", "message": "x"}, "credentials", True),
        (500, {"code": "system.error"}, "no_token", False),
        (200, {}, "no_token", False),
        (200, {"accessToken": ""}, "no_token", False),
        (200, {"accessToken": 5}, "no_token", False),
        (200, [], "no_token", False),
        (200, b"<html>proxy</html>", "no_token", False),
        (200, {"status": 1111, "wait": 5, "source": "x5", "punish": "deny"}, "no_token", False),
        (0, b"", "unreachable", False),
    ],
)
def test_without_a_token_the_reason_is_told(
    vendor: Vendor, status: int, answer: object, reason: str, permanent: bool
) -> None:
    vendor.script[PATH] = [(status, answer), (200, {"accessToken": "t", "expireIn": 7200})]
    http = vendor.http()
    tokens = AccessTokens("app", "s3cr3t")
    with pytest.raises(DeliveryError) as caught:
        tokens.get(http)
    error = caught.value
    assert (error.reason, error.permanent, error.unknown) == (reason, permanent, False)
    assert "s3cr3t" not in f"{error!r} {error} {tokens!r}"
    assert tokens.get(http) == "t", "a failure is not remembered"
    http.close()
