"""Which addresses may be shown as links."""

from __future__ import annotations

from urllib.parse import urlsplit

URL_MAX_CHARS = 2000


def safe_url(url: str) -> str | None:
    """The URL when it is plain http(s) with a host and without user-info, control characters or blanks; else None."""
    if len(url) > URL_MAX_CHARS or any(ch <= " " or ch == "\x7f" or ch in "<>\"'`\\^{}|" for ch in url):
        return None
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            return None
        _ = parts.port  # raises ValueError for a bad one
    except ValueError:
        return None
    return url
