"""Alibaba Cloud's signature ACS3-HMAC-SHA256, a call signed with it, and its verification.

https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature. All parameters travel in the query,
also phone numbers and codes: no URL of such a call may ever be shown or logged.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote

from bot.http import Http, HttpReply

ALGORITHM = "ACS3-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An AccessKey pair; the secret is never shown."""

    id: str
    secret: str = field(repr=False)


class AliyunError(Exception):
    """The gateway refused the call: `code` is its own word, "" when the answer is not its JSON.

    said  its sentence, in which a service names the limit that was reached; it may quote a number, so it is not shown
    """

    def __init__(self, code: str, status: int, retry_after: float | None = None, said: str = "") -> None:
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.said = said
        super().__init__(f"{code or 'no code'} (HTTP {status})")

    @property
    def temporary(self) -> bool:
        """May work later: throttled, an outage, or a page that is not the gateway's."""
        throttled = self.code.startswith(("Throttling", "ServiceUnavailable", "InternalError"))
        return throttled or not self.code or self.status == 429 or self.status >= 500


def call(
    http: Http,
    base: str,
    action: str,
    version: str,
    params: Mapping[str, str],
    key: AccessKey,
    now: datetime,
    *,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    """One RPC call (POST, parameters in the query); the answer of a 2xx, whose own `Code` is the caller's to judge.

    base  endpoint from the settings, "https://dysmsapi.aliyuncs.com"
    Raises AliyunError for a refusal of the gateway and `Unreachable` when no answer came.
    """
    url = base.rstrip("/") + "/"
    query = encode(list(params.items()))
    headers = signed(http.host_header(url), action, version, query, key, now)
    return answer(http.post(f"{url}?{query}", data=b"", headers=headers, timeout_s=timeout_s, configured=True))


def get(
    http: Http,
    base: str,
    path: str,
    action: str,
    version: str,
    params: Mapping[str, str],
    key: AccessKey,
    now: datetime,
    *,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    """One call of an API with paths of its own (ROA style, GET); otherwise like `call`."""
    url = base.rstrip("/") + path
    query = encode(list(params.items()))
    headers = signed(http.host_header(url), action, version, query, key, now, method="GET", path=path)
    return answer(http.get(f"{url}?{query}", headers=headers, timeout_s=timeout_s, configured=True))


def answer(reply: HttpReply) -> dict[str, Any]:
    """The JSON object of a 2xx answer; raises AliyunError for anything else."""
    body = reply.json()
    if not isinstance(body, dict):
        raise AliyunError("", reply.status, _wait_s(reply))
    if not 200 <= reply.status < 300:
        code = body.get("Code") or body.get("code")  # APIs with paths of their own write all names small
        said = body.get("Message") or body.get("message")
        raise AliyunError(str(code or ""), reply.status, _wait_s(reply), said if isinstance(said, str) else "")
    return body


def _wait_s(reply: HttpReply) -> float | None:
    """Seconds to stay away: the gateway's own header is in milliseconds."""
    value = (reply.headers.get("x-acs-retry-after") or "").strip()
    if value.isascii() and value.isdecimal() and len(value) < 9:
        return int(value) / 1000
    return reply.retry_after


def signed(
    host: str,
    action: str,
    version: str,
    query: str,
    key: AccessKey,
    now: datetime,
    *,
    method: str = "POST",
    path: str = "/",
) -> dict[str, str]:
    """Headers of a request with an empty body, `Authorization` included."""
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-version": version,
        "x-acs-date": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": secrets.token_hex(16),
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
    }
    names = sorted(headers)
    signature = _signature(method, path, query, headers, names, headers["x-acs-content-sha256"], key.secret)
    headers["Authorization"] = f"{ALGORITHM} Credential={key.id},SignedHeaders={';'.join(names)},Signature={signature}"
    headers["accept"] = "application/json"
    return headers


def verify(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether a request as it came over the wire is signed with that secret. Never raises.

    query    as sent, without `?`; decoded and encoded again, since clients may send `+` for a blank they sign as `%20`
    headers  names in any case
    """
    values = {name.lower(): value for name, value in headers.items()}
    scheme, _, rest = values.get("authorization", "").strip().partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    names = fields.get("SignedHeaders", "").split(";")
    needed = {name for name in values if name.startswith("x-acs-")} | {"host"}
    if "content-type" in values:
        needed.add("content-type")
    if scheme != ALGORITHM or names != sorted(set(names)) or not needed <= set(names) or not set(names) <= set(values):
        return False
    digest = hashlib.sha256(body).hexdigest()
    if not hmac.compare_digest(values.get("x-acs-content-sha256", "").encode("utf-8", "replace"), digest.encode()):
        return False
    pairs = parse_qsl(query, keep_blank_values=True)
    right = _signature(method.upper(), path, encode(pairs), values, names, digest, secret)
    return hmac.compare_digest(fields.get("Signature", "").encode("utf-8", "replace"), right.encode())


def encode(pairs: list[tuple[str, str]]) -> str:
    """The canonical query: sorted by name, RFC 3986."""

    def quoted(text: str) -> str:
        return quote(text, safe="-_.~", errors="replace")

    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in sorted(pairs))


def _signature(
    method: str, path: str, query: str, headers: Mapping[str, str], names: list[str], digest: str, secret: str
) -> str:
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    canonical = "\n".join((method, path, query, lines, ";".join(names), digest))
    text = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode('utf-8', 'replace')).hexdigest()}"
    return hmac.new(secret.encode("utf-8", "replace"), text.encode(), hashlib.sha256).hexdigest()
