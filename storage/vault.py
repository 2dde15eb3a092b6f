"""Secrets at rest: what is sealed can be opened again with the key, what is digested can only be compared."""

from __future__ import annotations

import base64
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MOST_KEPT = 1000
KEPT_CHARS = 1000
"""Of what is opened again and again (the address that a robot is posted to), so much is kept open in memory."""


class WrongKey(Exception):
    """The database was written with another SECRET_KEY."""


def _derived(secret: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"callboard:{purpose}".encode()).derive(secret.encode())


class Vault:
    """Seals with the first key and opens with any, so that keys can be rotated.

    Give several keys separated by commas, the newest first.
    """

    def __init__(self, secret_key: str) -> None:
        keys = [key for key in (part.strip() for part in secret_key.split(",")) if key]
        if not keys:
            raise ValueError("SECRET_KEY is empty")
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key, "seal"))) for key in keys])
        self._digest_keys = [_derived(key, "digest") for key in keys]
        self._opened = lru_cache(MOST_KEPT)(self._decrypted)

    def seal(self, text: str) -> str:
        """The text, encrypted and authenticated; another result each time."""
        return self._fernet.encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text that was sealed. Raises WrongKey."""
        return self._decrypted(sealed) if len(sealed) > KEPT_CHARS else self._opened(sealed)

    def _decrypted(self, sealed: str) -> str:
        try:
            return self._fernet.decrypt(sealed.encode("ascii")).decode("utf-8", "surrogatepass")
        except InvalidToken as error:
            raise WrongKey from error

    def digest(self, purpose: str, text: str) -> str:
        """A keyed hash (hex); the same text has another one for another purpose."""
        return self.digests(purpose, text)[0]

    def digests(self, purpose: str, text: str) -> tuple[str, ...]:
        """The keyed hash under each key, for finding what was stored before a key was rotated."""
        message = f"{purpose}\0{text}".encode("utf-8", "surrogatepass")
        return tuple(hmac.digest(key, message, "sha256").hex() for key in self._digest_keys)
