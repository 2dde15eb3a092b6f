"""The key behind every hash and every encrypted secret, made and kept in a file where no SECRET_KEY is set."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bot.settings import Settings, SettingsError

KEY_FILE = Path("data/secret_key")
"""Where the key made at first start is kept, below the working directory."""


def secret_key(settings: Settings) -> str:
    """SECRET_KEY, else the one made at first start.

    Two processes that start together agree on one: the file is written aside and then linked into place, and whoever
    comes second reads what the first has put there. Raises SettingsError when the file cannot be made or read.
    """
    if settings.secret_key:
        return settings.secret_key
    try:
        if not KEY_FILE.exists():
            _keep_new_key()
        key = KEY_FILE.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError([f"SECRET_KEY is not set and {KEY_FILE} cannot be used: {reason}"]) from None
    if len(key) < 32:
        raise SettingsError([f"SECRET_KEY is not set and {KEY_FILE} holds no whole key: restore it from a backup"])
    return key


def _keep_new_key() -> None:
    KEY_FILE.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = KEY_FILE.with_name(f".{KEY_FILE.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, KEY_FILE)
        except FileExistsError:
            return
    finally:
        aside.unlink()
