"""Callbacks of Lark and Feishu: proven to come from there, opened, and fresh.

https://open.feishu.cn/document/server-docs/event-subscription-guide/overview

With an Encrypt Key a body is encrypted (AES-256-CBC) and signed (SHA-256 over timestamp, nonce, key and the raw, still
encrypted body); without one the Verification Token inside the body is the only proof. CBC can be tampered with unseen,
so the signature is looked at before anything is decrypted, and every failure is the same `Forged`: whoever tries learns
nothing from the answer. Only the check of the address (`url_verification`) may come without a signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

STALE = timedelta(hours=8)
"""Events are delivered again up to 7 h later, possibly with the first timestamp; older ones are replays."""

AHEAD = timedelta(hours=1)
"""How much the clocks may differ."""

BLOCK = 16


class Forged(Exception):
    """The request is not a fresh one of the platform's."""


def opened(
    raw: bytes, headers: Mapping[str, str], *, encrypt_key: str, verification_token: str, now: datetime
) -> dict[str, Any]:
    """The decrypted JSON object of a callback. Raises Forged, and nothing else, whatever the request holds.

    encrypt_key, verification_token   as set in the developer console, "" for the one that is not; with neither nothing
                                      can be proven and everything is refused
    """
    given = {str(name).lower(): value for name, value in headers.items()}
    sign = given.get("x-lark-signature", "")
    if encrypt_key and sign:
        timestamp, nonce = given.get("x-lark-request-timestamp", ""), given.get("x-lark-request-nonce", "")
        if not hmac.compare_digest(signature(timestamp, nonce, encrypt_key, raw).encode(), _bytes(sign)):
            raise Forged
        if not _fresh(timestamp, now):
            raise Forged
    try:
        body, sealed = _body(raw, encrypt_key)
    except (ValueError, RecursionError):
        raise Forged from None
    checking = body.get("type") == "url_verification"
    if encrypt_key and not sign and not checking:
        raise Forged
    if verification_token:
        if not _same(_token(body), verification_token):
            raise Forged
    elif not (encrypt_key and (sign or sealed)):
        raise Forged
    if not encrypt_key and not checking and not _fresh(_header(body).get("create_time", ""), now, missing=True):
        raise Forged
    return body


def signature(timestamp: str, nonce: str, encrypt_key: str, raw: bytes) -> str:
    """`X-Lark-Signature`: lower-case hex of a plain SHA-256, not an HMAC."""
    return hashlib.sha256(_bytes(timestamp + nonce + encrypt_key) + raw).hexdigest()


def decrypted(blob: str, encrypt_key: str) -> str:
    """The plain text of `encrypt`: base64 of IV and AES-256-CBC with PKCS#7. Raises ValueError."""
    sealed = base64.b64decode(_bytes(blob), validate=True)
    if len(sealed) < 2 * BLOCK or len(sealed) % BLOCK:
        raise ValueError("not whole blocks")
    key = hashlib.sha256(encrypt_key.encode()).digest()
    opener = Cipher(algorithms.AES256(key), modes.CBC(sealed[:BLOCK])).decryptor()
    padded = opener.update(sealed[BLOCK:]) + opener.finalize()
    count = padded[-1]
    if not 1 <= count <= BLOCK or padded[-count:] != bytes([count]) * count:
        raise ValueError("wrong padding")
    return padded[:-count].decode("utf-8")


def _body(raw: bytes, encrypt_key: str) -> tuple[dict[str, Any], bool]:
    """The object, and whether it was encrypted. Raises ValueError."""
    body = json.loads(raw.decode("utf-8"))
    sealed = isinstance(body, dict) and "encrypt" in body
    if sealed:
        blob = body["encrypt"]
        if not encrypt_key or not isinstance(blob, str):
            raise ValueError("cannot be decrypted")
        body = json.loads(decrypted(blob, encrypt_key))
    if not isinstance(body, dict):
        raise ValueError("not an object")
    return body, sealed


def _header(body: Mapping[str, Any]) -> Mapping[str, Any]:
    header = body.get("header")
    return header if isinstance(header, Mapping) else {}


def _token(body: Mapping[str, Any]) -> str:
    """The Verification Token as the body has it: at the top in old bodies, in `header` in new ones."""
    token = body.get("token") or _header(body).get("token")
    return token if isinstance(token, str) else ""


def _fresh(epoch: object, now: datetime, *, missing: bool = False) -> bool:
    """Whether that moment is neither too long ago nor yet to come; `missing` is the answer where there is none.

    Seconds in headers, milliseconds in messages, microseconds in cards: told apart by their size.
    """
    if missing and epoch in ("", None):
        return True
    if not isinstance(epoch, str) or not epoch.isascii() or not epoch.isdigit() or len(epoch) > 16:
        return False
    seconds = float(epoch)
    while seconds > 1e11:
        seconds /= 1000
    return -AHEAD.total_seconds() <= now.timestamp() - seconds <= STALE.total_seconds()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(text: str) -> bytes:
    # Headers and JSON strings may hold anything, also halves of surrogate pairs.
    return text.encode("utf-8", "surrogatepass")
