"""The few calls that Lark's app needs: its access token, who the bot is, and one request with that token.

https://open.feishu.cn/document/server-docs/authentication-management/access-token/tenant_access_token_internal. The
international edition has the same paths on another host; the override of the address leads there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from bot.http import Http, HttpReply, Unreachable
from bot.platforms.access_token import AccessTokens
from bot.platforms.lark_refusals import NAME, TOKEN_REFUSED, code, refusal, token_refusal
from bot.refusals import unreachable
from handlers.errors import DeliveryError

log = logging.getLogger(__name__)

HOST = "https://open.feishu.cn"
TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"
BOT_PATH = "/open-apis/bot/v3/info"

LIFETIME_S = 7200.0
"""What an answer without `expire` is taken to mean."""

PATIENCE_S = 1.0
"""How long a callback, which must be answered within 3 s, waits to learn who the bot is."""

REST_S = 30.0
"""How long nobody asks again after that could not be learned."""


class TenantTokens(AccessTokens):
    """The `tenant_access_token` of one app; asked for once, kept until shortly before it expires."""

    def _ask(self, http: Http) -> tuple[str, float]:
        credentials = {"app_id": self._client_id, "app_secret": self._client_secret}
        try:
            reply = http.post(HOST + TOKEN_PATH, json=credentials)
        except Unreachable as error:
            # Whether it got there does not matter: nothing has been said to anybody yet.
            raise unreachable(NAME, Unreachable(False, error.reason)) from None
        body = reply.json()
        token = body.get("tenant_access_token") if isinstance(body, Mapping) else None
        if code(reply) == 0 and isinstance(body, Mapping) and isinstance(token, str) and token and token.isascii():
            expire = body.get("expire")
            sound = isinstance(expire, int) and not isinstance(expire, bool) and 0 < expire <= LIFETIME_S
            return token, float(expire) if isinstance(expire, int) and sound else LIFETIME_S
        raise token_refusal(reply)


def call(
    http: Http,
    tokens: AccessTokens,
    method: str,
    path: str,
    *,
    json: Any = None,
    params: Mapping[str, str] | None = None,
) -> HttpReply:
    """The answer to one request, asked again with a new token if this one is refused. Raises DeliveryError."""
    token = tokens.get(http)
    reply = _once(http, token, method, path, json, params)
    if code(reply) in TOKEN_REFUSED:
        tokens.drop(token)
        reply = _once(http, tokens.get(http), method, path, json, params)
    failure = refusal(reply)
    if failure is not None:
        raise failure
    return reply


def _once(http: Http, token: str, method: str, path: str, json: Any, params: Mapping[str, str] | None) -> HttpReply:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        return http.request(method, HOST + path, json=json, params=params, headers=headers)
    except Unreachable as error:
        raise unreachable(NAME, error) from None


class OwnId:
    """The `open_id` under which people mention the bot. Learned at the first need, by a thread of its own."""

    def __init__(self, tokens: AccessTokens, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: threading.Event | None = None
        self._rest_until = 0.0
        self._open_id = ""

    def get(self, http: Http, wait_s: float = PATIENCE_S) -> str:
        """The id, "" when it cannot be learned within that time; then it may be known the next time."""
        with self._lock:
            if self._open_id:
                return self._open_id
            if self._asked is None:
                if self._clock() < self._rest_until:
                    return ""
                self._asked = threading.Event()
                threading.Thread(target=self._ask, args=(http, self._asked), name="lark-bot-id", daemon=True).start()
            asked = self._asked
        asked.wait(wait_s)
        return self._open_id

    def _ask(self, http: Http, asked: threading.Event) -> None:
        found = ""
        try:
            body = call(http, self._tokens, "GET", BOT_PATH).json()
            bot = body.get("bot") if isinstance(body, Mapping) else None  # not under `data`, unlike everything else
            open_id = bot.get("open_id") if isinstance(bot, Mapping) else None
            found = open_id if isinstance(open_id, str) else ""
        except DeliveryError as error:
            log.warning("Lark does not say who the bot is (%s)", error.reason)
        finally:
            with self._lock:
                self._open_id = found
                self._rest_until = self._clock() + REST_S
                self._asked = None
            asked.set()
