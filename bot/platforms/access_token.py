"""The access token of a DingTalk app: asked for once, kept until shortly before it expires, shared by all threads.

https://open.dingtalk.com/document/development/obtain-the-access-token-of-an-internal-app: valid for 7,200 s; asking too
often is throttled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from bot.http import Http, Unreachable
from handlers.errors import DeliveryError
from handlers.texts import _

TOKEN_URL = "https://api.dingtalk.com/v1.0/oauth2/accessToken"
MARGIN_S = 300.0
"""A token is not used in its last minutes, so that none expires on its way."""
LIFETIME_S = 7200.0
"""What an answer without `expireIn` is taken to mean."""


class AccessTokens:
    """Hands out the token of one app. Threads that find none wait for the one that is asking."""

    def __init__(self, client_id: str, client_secret: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def __repr__(self) -> str:
        return f"AccessTokens({self._client_id!r})"

    def get(self, http: Http) -> str:
        """A token that is good for some minutes; DeliveryError when none is to be had."""
        with self._lock:
            if not self._token or self._clock() >= self._good_until:
                asked_at = self._clock()
                self._token, lifetime_s = self._ask(http)
                self._good_until = asked_at + max(lifetime_s - MARGIN_S, lifetime_s / 2)
            return self._token

    def drop(self, token: str) -> None:
        """Forget this token, which the platform refused; a newer one that another thread has got stays."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _ask(self, http: Http) -> tuple[str, float]:
        """A new token and its lifetime in seconds."""
        try:
            reply = http.post(TOKEN_URL, json={"appKey": self._client_id, "appSecret": self._client_secret})
        except Unreachable as error:
            # Whether it got there does not matter: nothing has been said to anybody yet.
            raise DeliveryError("unreachable", _("DingTalk could not be reached."), permanent=False) from error
        body = reply.json()
        if isinstance(body, Mapping):
            token, lifetime, code = body.get("accessToken"), body.get("expireIn"), body.get("code")
            if isinstance(token, str) and token:
                return token, _seconds(lifetime)
            if isinstance(code, str) and _credentials_are_wrong(code):
                raise DeliveryError(
                    "credentials",
                    _(
                        "DingTalk refuses the app's credentials; check DINGTALK_CLIENT_ID and DINGTALK_CLIENT_SECRET,"
                        " for example by “python -m bot check”."
                    ),
                    permanent=True,
                )
        raise DeliveryError("no_token", _("DingTalk gave out no access token."), permanent=False)


def _credentials_are_wrong(code: str) -> bool:
    return code.lower() in ("invalidclientidorsecret", "invalidparameter.clientid", "invalidclientid")


def _seconds(lifetime: object) -> float:
    """The lifetime of an answer, LIFETIME_S where it is missing or odd."""
    if isinstance(lifetime, str) and lifetime.isascii() and lifetime.isdigit() and len(lifetime) < 10:
        lifetime = int(lifetime)
    if isinstance(lifetime, int) and not isinstance(lifetime, bool) and 0 < lifetime <= LIFETIME_S:
        return float(lifetime)
    return LIFETIME_S
