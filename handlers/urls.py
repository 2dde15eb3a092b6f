"""Which addresses may be shown as links."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import SplitResult, urlsplit

URL_MAX_CHARS = 2000

_UNSAFE = re.compile(r"""[\x00-\x20\x7f<>"'`\\^{}|]""")
_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")


def safe_url(url: str) -> str | None:
    """The URL when it is plain http(s) with a host and without user-info, unseen characters or blanks; else None.

    A host that is not in ASCII is written as registrars do: people see that `xn--…` is not the name it looks like.
    """
    if len(url) > URL_MAX_CHARS or _UNSAFE.search(url):
        return None
    if not url.isascii() and any(ch > "\x7f" and unicodedata.category(ch)[0] in "CZ" for ch in url):
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            return None
        _ = parts.port  # raises ValueError for a bad one
        return url if parts.netloc.isascii() else _in_ascii(parts)
    except ValueError:  # UnicodeError, from a host that cannot be one, is a ValueError too
        return None


def host_of(url: str) -> str:
    """The host of a safe URL, with its port where it has one."""
    return urlsplit(url).netloc


def _in_ascii(parts: SplitResult) -> str:
    """The URL with its host in ASCII. Raises ValueError when that cannot be one."""
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if not _HOST.fullmatch(host):  # characters that only look like dots become some
        raise ValueError(host)
    return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()
