"""The access token of a WeCom app: asked for once, kept until shortly before it expires, shared by all threads.

https://developer.work.weixin.qq.com/document/path/91039: valid for 7,200 s, asking too often is throttled, and an address
that keeps asking with a wrong secret is shut out for an hour.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bot.http import Http, Unreachable
from bot.platforms.wecom_refusals import NAME, NO_TOKEN, code_in, refusal
from bot.refusals import unreachable
from handlers.errors import DeliveryError

TOKEN_URL = "https://qyapi.weixin.qq.com/cgi-bin/gettoken"
MARGIN_S = 300.0
"""A token is not used in its last minutes, so that none expires on its way."""
LIFETIME_S = 7200.0
"""What an answer without `expires_in` is taken to mean."""
HOLD_OFF_S = 600.0
"""So long nothing is asked again after the credentials were refused: it takes a person to change them."""


class AppTokens:
    """Hands out the token of one app. Threads that find none wait for the one that is asking."""

    def __init__(self, corp_id: str, secret: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._corp_id = corp_id
        self._secret = secret
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0
        self._refused: DeliveryError | None = None
        self._refused_until = 0.0

    def __repr__(self) -> str:
        return f"AppTokens({self._corp_id!r})"

    def get(self, http: Http) -> str:
        """A token that is good for some minutes; DeliveryError when none is to be had."""
        with self._lock:
            now = self._clock()
            if self._token and now < self._good_until:
                return self._token
            if self._refused is not None and now < self._refused_until:
                raise _like(self._refused)
            self._refused = None
            try:
                self._token, lifetime_s = self._ask(http)
            except DeliveryError as error:
                if error.permanent:
                    self._refused, self._refused_until = _like(error), now + HOLD_OFF_S
                raise
            self._good_until = now + max(lifetime_s - MARGIN_S, lifetime_s / 2)
            return self._token

    def drop(self, token: str) -> None:
        """Forget this token, which the platform refused; a newer one that another thread has got stays."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _ask(self, http: Http) -> tuple[str, float]:
        """A new token and its lifetime in seconds."""
        try:
            reply = http.get(TOKEN_URL, params={"corpid": self._corp_id, "corpsecret": self._secret})
        except Unreachable as error:
            # Whether it got there does not matter: nothing has been said to anybody yet.
            raise unreachable(NAME, Unreachable(False, error.reason)) from None
        failure = refusal(reply)
        if failure is not None:
            raise failure
        body = reply.json()
        token, lifetime = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not token or code_in(reply) != 0:
            raise NO_TOKEN.error()
        known = isinstance(lifetime, int) and not isinstance(lifetime, bool) and 0 < lifetime <= LIFETIME_S
        return token, float(lifetime) if known else LIFETIME_S


def _like(error: DeliveryError) -> DeliveryError:
    """The same failure once more, without the traceback of the first."""
    return DeliveryError(error.reason, error.say, permanent=error.permanent, retry_after=error.retry_after)
