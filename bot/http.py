"""The one way out over HTTP: pooled, timed, size-limited, and guarded against being used to reach inside a network.

Webhook addresses come from people. Unless an origin is one the operator named (an override, `open_hosts`, or a call
with `configured=True`), only https on port 443 is spoken, and the very address that is connected to must be a public
one. It is looked up once and then connected to, so that a name cannot answer differently the second time.

The URL of a webhook is its password: it appears in no exception and in no log line of ours or of the library below.
"""

from __future__ import annotations

import ipaddress
import json as jsonlib
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from handlers.webhooks import Origin, open_origin, origin_of

MAX_REPLY_BYTES = 1024 * 1024
"""No platform answers with more; the rest of a longer reply is not read."""

LONGEST_WAIT_S = 3600.0
"""Platforms ask for seconds or minutes. What asks for a day is most likely wrong, and no alert may be lost for that."""

CONNECT_TIMEOUT_S = 5.0
POOLED = 32
JSON_TYPE = "application/json; charset=utf-8"
USER_AGENT = "Callboard"

_PLAIN = re.compile(r"[!-\[\]-~]*", re.ASCII)
"""No blanks, no control characters, no backslash."""

_ENCODER = jsonlib.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_ONCE = urllib3.Retry(False, redirect=False)

Resolve = Callable[..., list[tuple[Any, ...]]]

# urllib3 prints whole URLs at DEBUG, and at WARNING for a reply with broken headers.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class Unreachable(Exception):
    """No answer came. `sent`: the request may have arrived; `reason`: short words without any part of the URL."""

    def __init__(self, sent: bool, reason: str) -> None:
        self.sent = sent
        self.reason = reason
        super().__init__(reason)


class _PrivateAddress(Exception):
    """The name resolves to an address that is not on the public internet."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An answer of any status, and when it was `received`, by the clock of this machine.

    `headers` are case-insensitive; a body longer than MAX_REPLY_BYTES is cut there.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    received: datetime = field(default_factory=lambda: datetime.now(UTC), repr=False, compare=False)

    def json(self) -> Any:
        """The body as JSON, None when it is not JSON."""
        try:
            return jsonlib.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def date(self) -> datetime | None:
        """When the other side says it answered; None when it does not, or not in a form that can be read."""
        return _date(self.headers.get("Date") or "")

    @property
    def retry_after(self) -> float | None:
        """Seconds until the time in the header `Retry-After`, at most LONGEST_WAIT_S; None when it has none.

        A date is compared with the reply's own (RFC 9110, section 10.2.3), so that our clock does not matter, unless
        the reply has none.
        """
        value = (self.headers.get("Retry-After") or "").strip()
        if value.isascii() and value.replace(".", "", 1).isdigit():
            return min(float(value), LONGEST_WAIT_S)
        then = _date(value)
        if then is None:
            return None
        now = self.date or self.received
        return min(max(0.0, (then - now).total_seconds()), LONGEST_WAIT_S)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Http:
    """Sends requests; safe to share between threads.

    overrides   vendor's origin ("https://oapi.dingtalk.com") -> base that stands in for it; path and query stay
    open_hosts  `host`, `host:port` or `http://host:port` that may be private, plain or on another port
    resolve     looks up names; another one in tests
    """

    def __init__(
        self,
        overrides: Mapping[str, str] | None = None,
        *,
        open_hosts: Collection[str] = (),
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._overrides = {_origin(vendor): base.rstrip("/") for vendor, base in (overrides or {}).items() if base}
        self._open = frozenset(open_origin(entry) for entry in open_hosts)
        self._free = _pools(None)
        self._guarded = _pools(resolve)

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        configured: bool = False,
    ) -> HttpReply:
        """The answer to a GET; raises `Unreachable` when none came."""
        return self.request("GET", url, params=params, headers=headers, timeout_s=timeout_s, configured=configured)

    def post(
        self,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        data: bytes | str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        configured: bool = False,
    ) -> HttpReply:
        """The answer to a POST; raises `Unreachable` when none came."""
        return self.request(
            "POST",
            url,
            json=json,
            form=form,
            data=data,
            params=params,
            headers=headers,
            timeout_s=timeout_s,
            configured=configured,
        )

    def put(
        self,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        data: bytes | str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        configured: bool = False,
    ) -> HttpReply:
        """The answer to a PUT; raises `Unreachable` when none came."""
        return self.request(
            "PUT",
            url,
            json=json,
            form=form,
            data=data,
            params=params,
            headers=headers,
            timeout_s=timeout_s,
            configured=configured,
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        data: bytes | str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        configured: bool = False,
    ) -> HttpReply:
        """One request, redirects not followed.

        json        sent as raw UTF-8 without blanks
        params      added to the query, percent-encoded once
        configured  the address comes from the operator's settings and not from a person: it is not guarded
        """
        origin, target, trusted = self._address(url)
        if not (trusted or configured) and origin != Origin("https", origin.host, 443):
            raise Unreachable(False, "only https on port 443 is allowed")
        if params:
            target += ("&" if "?" in target else "?") + urlencode(params, quote_via=quote, safe="-_.~")
        body, content_type = _body(json, form, data)
        sent = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        if content_type:
            sent["Content-Type"] = content_type
        sent.update(headers or {})
        pools = self._free if trusted or configured else self._guarded
        return _exchange(pools, method, origin, target, body, sent, timeout_s)

    def host_header(self, url: str) -> str:
        """The `Host` that a request to this URL will carry, overrides applied; for signatures that cover it."""
        origin, _, _ = self._address(url)
        usual = {"http": 80, "https": 443}[origin.scheme]
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        return host if origin.port == usual else f"{host}:{origin.port}"

    def close(self) -> None:
        """Closes the pooled connections."""
        self._free.clear()
        self._guarded.clear()

    def _address(self, url: str) -> tuple[Origin, str, bool]:
        """Where to connect, what to ask for there, and whether the operator vouches for it."""
        origin, target = _split(url)
        base = self._overrides.get(origin)
        if base is None:
            return origin, target, origin in self._open
        stand_in, prefix = _split(base)
        return stand_in, prefix.rstrip("/") + target, True


def _origin(url: str) -> Origin:
    return _split(url)[0]


@lru_cache(1000)
def _split(url: str) -> tuple[Origin, str]:
    """Origin and request target; raises `Unreachable` for what is not a plain http(s) address."""
    try:
        if not _PLAIN.fullmatch(url):
            raise ValueError
        parts = urlsplit(url)
        origin = origin_of(parts)
    except ValueError:
        origin = None
    if origin is None:
        raise Unreachable(False, "not an http address")
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _body(json: Any, form: Mapping[str, str] | None, data: bytes | str | None) -> tuple[bytes | None, str]:
    """Bytes and content type; at most one of the three is given."""
    if json is not None:
        return encoded(json), JSON_TYPE
    if form is not None:
        return urlencode(form).encode("ascii"), "application/x-www-form-urlencoded"
    if data is not None:
        return (data.encode("utf-8") if isinstance(data, str) else data), ""
    return None, ""


def encoded(json: Any) -> bytes:
    """JSON as it goes over the wire: UTF-8 itself, not `\\uXXXX`, which doubles the size of Chinese."""
    return _ENCODER.encode(json).encode("utf-8")


def public(address: str) -> bool:
    """True for an IP address on the public internet, also when it is written inside an IPv6 one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in ipaddress.IPv6Network("64:ff9b::/96"):  # NAT64
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


@cache
def _trust() -> ssl.SSLContext:
    """The system's authorities and those of SSL_CERT_FILE, and a set of our own where the system has none."""
    trust = ssl.create_default_context()
    trust.load_verify_locations(certifi.where())
    return trust


def _pools(resolve: Resolve | None) -> urllib3.PoolManager:
    """Connection pools; with `resolve` they connect to public addresses only."""
    pools = urllib3.PoolManager(num_pools=64, maxsize=POOLED, block=False, ssl_context=_trust())
    if resolve is None:
        return pools
    look_up = resolve

    class GuardedConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            try:
                found = look_up(self._dns_host, self.port, 0, socket.SOCK_STREAM)
            except OSError as error:
                raise NameResolutionError(self.host, self, socket.gaierror(str(error))) from error
            addresses = [info[4][0] for info in found]
            if not addresses or not all(map(public, addresses)):
                raise _PrivateAddress
            failure: OSError = OSError("no address")
            for address in addresses:
                try:
                    connection = socket.create_connection(
                        (address, self.port), float(self.timeout or CONNECT_TIMEOUT_S)
                    )
                except TimeoutError as error:
                    failure = error
                except OSError as error:
                    failure = error
                else:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return connection
            raise NewConnectionError(self, type(failure).__name__)

    class GuardedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = GuardedConnection

    pools.pool_classes_by_scheme = {"https": GuardedPool}
    return pools


@cache
def _timeout(seconds: float) -> urllib3.Timeout:
    return urllib3.Timeout(connect=min(CONNECT_TIMEOUT_S, seconds), read=seconds)


def _exchange(
    pools: urllib3.PoolManager,
    method: str,
    origin: Origin,
    target: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout_s: float,
) -> HttpReply:
    """Sends and reads. What urllib3 raises is turned into `Unreachable` outside its handler, so that nothing that knows
    the URL stays attached to the exception."""
    deadline = time.monotonic() + 2 * timeout_s
    try:
        response = pools.connection_from_host(origin.host, origin.port, origin.scheme).urlopen(
            method,
            target,
            body=body,
            headers=headers,
            retries=_ONCE,
            redirect=False,
            timeout=_timeout(timeout_s),
            preload_content=False,
        )
        try:
            received = bytearray()
            while len(received) < MAX_REPLY_BYTES and (part := response.read1(65_536, decode_content=False)):
                received += part
                if time.monotonic() > deadline:
                    raise TimeoutError
            if len(received) < MAX_REPLY_BYTES:
                response.release_conn()
        finally:
            response.close()
        return HttpReply(response.status, response.headers, bytes(received[:MAX_REPLY_BYTES]))
    except _PrivateAddress:
        failure = Unreachable(False, "private address")
    except NameResolutionError:
        failure = Unreachable(False, "no such host")
    except (NewConnectionError, ConnectTimeoutError):
        failure = Unreachable(False, "no connection")
    except SSLError as error:
        distrusted = bool(error.args) and isinstance(error.args[0], ssl.SSLCertVerificationError)
        failure = Unreachable(not distrusted, "certificate not trusted" if distrusted else "TLS broke off")
    except (ReadTimeoutError, TimeoutError):
        failure = Unreachable(True, "no answer in time")
    except ProtocolError:
        failure = Unreachable(True, "connection broken off")
    except (HTTPError, OSError, ValueError):
        failure = Unreachable(True, "no usable answer")
    raise failure
