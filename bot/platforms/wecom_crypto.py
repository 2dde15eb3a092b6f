"""WeCom's callback envelope: signature, AES and the frame inside, checked to the last byte.

https://developer.work.weixin.qq.com/document/path/90968. The app and the smart robot use the same one; the receiver in
the frame is the corp id for the app and empty for the robot. Common libraries skip the checks of padding and length,
and with an empty receiver nothing else would notice a frame that was cut or stretched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 32
"""Frames are padded to 32 bytes, not to the 16 of the cipher."""

HEAD = 20
"""16 random bytes and the length of the message."""

_KEY = re.compile(r"[A-Za-z0-9+/]{43}")


class Forged(Exception):
    """The envelope was not made with our token and key, or was changed since."""


def aes_key(encoding_aes_key: str) -> bytes:
    """The 32 bytes behind the 43 characters of the console; ValueError for anything else."""
    if not _KEY.fullmatch(encoding_aes_key):
        raise ValueError("an EncodingAESKey has 43 characters")
    # The last character may have bits that are not used, which a decoder for canonical base64 would refuse.
    return base64.b64decode(encoding_aes_key + "=")


def signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """`msg_signature` of one request; the four are sorted as text."""
    joined = "".join(sorted((token, timestamp, nonce, encrypted)))
    return hashlib.sha1(joined.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one callback address is configured with. `receiver`: the corp id for the app, "" for the smart robot."""

    token: str = field(repr=False)
    key: bytes = field(repr=False)
    receiver: str

    def opened(self, msg_signature: str, timestamp: str, nonce: str, encrypted: str) -> str:
        """The message inside. Raises Forged."""
        wanted = signature(self.token, timestamp, nonce, encrypted)
        if not hmac.compare_digest(wanted.encode(), msg_signature.encode("utf-8", "surrogatepass")):
            raise Forged("the signature does not match")
        message, receiver = _parted(_decrypted(self.key, encrypted))
        if not hmac.compare_digest(receiver, self.receiver.encode()):
            raise Forged("it is for another receiver")
        try:
            return message.decode()
        except UnicodeDecodeError:
            raise Forged("the message is not UTF-8") from None

    def sealed(self, message: str, *, random16: bytes = b"") -> str:
        """The message in a frame for the receiver, encrypted; `signature` goes with it."""
        text = message.encode()
        head = (random16 or secrets.token_bytes(16)) + len(text).to_bytes(4, "big")
        frame = head + text + self.receiver.encode()
        pad = BLOCK - len(frame) % BLOCK
        cipher = Cipher(algorithms.AES(self.key), modes.CBC(self.key[:16])).encryptor()
        return base64.b64encode(cipher.update(frame + bytes([pad]) * pad) + cipher.finalize()).decode("ascii")


def _decrypted(key: bytes, encrypted: str) -> bytes:
    try:
        sealed = base64.b64decode(encrypted, validate=True)
    except (binascii.Error, ValueError):
        raise Forged("it is not base64") from None
    if not sealed or len(sealed) % BLOCK:
        raise Forged("its length is not a multiple of 32")
    # The protocol's own recipe: the vector is the beginning of the key, and the signature was checked before.
    cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    return cipher.update(sealed) + cipher.finalize()


def _parted(padded: bytes) -> tuple[bytes, bytes]:
    """Message and receiver of a frame."""
    pad = padded[-1]
    if not 1 <= pad <= BLOCK or padded[-pad:] != bytes([pad]) * pad:
        raise Forged("the padding is wrong")
    frame = padded[:-pad]
    if len(frame) < HEAD:
        raise Forged("the frame is too short")
    end = HEAD + int.from_bytes(frame[16:HEAD], "big")
    if end > len(frame):
        raise Forged("the length is wrong")
    return frame[HEAD:end], frame[end:]
