"""The forms that settings have: what is read from the text of each, and the sentence about one that is malformed.

The sentences go on after the name of the setting. They hold no value of a secret.
"""

from __future__ import annotations

import re
from email.utils import getaddresses
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from email_validator import validate_email
from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from handlers.webhooks import HOST, open_origin

PERSON = re.compile(r"(slack|dingtalk|wecom|lark):[^\s/,;]+/[^\s/,;]+")

MOST = 999_999_999
"""Of numbers that have no other limit; as seconds it is 31 years, and a time so long ago is still one."""


def _boolean(value: object) -> object:
    words = {"1": True, "true": True, "0": False, "false": False}
    if isinstance(value, str):
        if value.lower() not in words:
            raise ValueError("must be 0 or 1")
        return words[value.lower()]
    return value


def _whole(least: int, most: int, note: str = "") -> BeforeValidator:
    """Digits only: `int()` alone would also take `1_000` and `٣`."""

    def read(value: object) -> object:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value) else value
        if not isinstance(number, int) or not least <= number <= most:
            raise ValueError(f"must be a whole number from {least} to {most}{note}")
        return number

    return BeforeValidator(read)


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _url(value: str) -> str:
    """An http(s) URL, without the slash at its end."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"\s", value) or parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// address such as https://callboard.example.com")
    return value.rstrip("/")


def _origin(value: str) -> str:
    """Scheme, host and port of an http(s) URL: an override replaces these three only, so a path is dropped."""
    parts = urlsplit(_url(value))
    return f"{parts.scheme}://{parts.netloc}"


def _database(value: str) -> str:
    """`sqlite:///…` or PostgreSQL through psycopg, which is also what the common short forms mean."""
    for short in ("postgres://", "postgresql://"):
        if value.startswith(short):
            value = "postgresql+psycopg://" + value.removeprefix(short)
    if value.startswith("postgresql+psycopg://") and _port_is_sound(value):
        return value
    if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
        return value
    raise ValueError("must be sqlite:///path/to/file.db or postgresql+psycopg://user:password@host/name")


def _port_is_sound(url: str) -> bool:
    try:
        _ = urlsplit(url).port
    except ValueError:
        return False
    return True


def _smtp(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("smtp", "smtps") or not _port_is_sound(value) or not parts.hostname:
        raise ValueError("must be smtp://user:password@host:587?starttls=1 or smtps://user:password@host:465")
    if parse_qs(parts.query).get("starttls", ["0"])[-1] not in ("0", "1"):
        raise ValueError("must say starttls=1 or starttls=0")
    return value


def _region(value: str) -> str:
    if value.upper() not in SUPPORTED_REGIONS:
        raise ValueError("must be a two-letter region with a numbering plan, such as CN")
    return value.upper()


def _language(value: object) -> object:
    if isinstance(value, str):
        value = value.lower()
        if value not in ("en", "zh"):
            raise ValueError("must be en or zh")
    return value


def _people(value: tuple[str, ...]) -> tuple[str, ...]:
    for person in value:
        if not PERSON.fullmatch(person):
            raise ValueError(f"must list people like slack:T0001/U0001, and {person!r} is not one")
    return value


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    for entry in value:
        try:
            open_origin(entry)
        except ValueError:
            raise ValueError(
                f"must list entries like host, host:port or http://host:port, and {entry!r} is not one"
            ) from None
    return tuple(entry.rstrip("/") for entry in value)


def _span(value: object) -> object:
    """Seconds, or a number with its unit: `3600`, `90m`, `6h`, `1d`."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,9})\s*([smhd]?)", value.lower())
        if not found:
            raise ValueError("must be a number of seconds, or one like 90m, 6h, 1d")
        return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]
    return value


def _minute(value: int) -> int:
    if value and not 60 <= value <= 365 * 86_400:
        raise ValueError("must be at least one minute and at most a year (0: off)")
    return value


def _capital(value: object) -> object:
    return value.capitalize() if isinstance(value, str) else value


def _instances(value: tuple[str, ...]) -> tuple[str, ...]:
    for instance in value:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?", instance):
            raise ValueError(
                f"must list ids like rm-uf6example000001 (PolarDB: cluster/node), and {instance!r} is not one"
            )
    return value


def _host(value: str) -> str:
    if re.search(r"[\s/@]", value) or "://" in value:
        raise ValueError("must be an address or a host name such as 127.0.0.1")
    return value


def _aes_key(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+/]{43}", value):
        raise ValueError("must be the 43 characters (letters and digits) shown in the console")
    return value


def _agent_id(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise ValueError("must be the number of the app, such as 1000002")
    return value


def _keyword(value: str) -> str:
    if any(ord(ch) < 32 for ch in value) or len(value) > 100:
        raise ValueError("must be one line of at most 100 characters")
    return value


def _from(value: str) -> str:
    """The domain may be one of the own network (`localhost`, `corp.local`), which the library takes for a mistake."""
    found = getaddresses([value])
    local, _, domain = found[0][1].rpartition("@")
    try:
        sound = len(found) == 1 and value.isprintable() and HOST.fullmatch(domain.encode("idna").decode().lower())
        validate_email(f"{local}@example.com", check_deliverability=False)  # raises a ValueError
    except ValueError:
        sound = False
    if not sound or ":" in domain:
        raise ValueError("must be a mailbox such as alerts@example.com or Callboard <alerts@example.com>")
    return value


def _or_empty(check: Any) -> AfterValidator:
    """The check, for settings that may be left out (then "")."""
    return AfterValidator(lambda value: check(value) if value else value)


Name = Annotated[str, Field(default="")]
Secret = Annotated[str, Field(default="", repr=False)]
Bool = Annotated[bool, BeforeValidator(_boolean)]
Count = Annotated[int, _whole(0, MOST)]
Seconds = Annotated[int, _whole(1, MOST, " (seconds)")]
Span = Annotated[int, BeforeValidator(_span), AfterValidator(_minute)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]

Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, _whole(0, 65535, " (0 takes any free port)")]
Url = Annotated[str, _or_empty(_url)]
Origin = Annotated[str, _or_empty(_origin)]
DatabaseUrl = Annotated[str, AfterValidator(_database), Field(repr=False)]
SmtpUrl = Annotated[str, _or_empty(_smtp), Field(repr=False)]
Mailbox = Annotated[str, _or_empty(_from)]
Hosts = Annotated[Names, AfterValidator(_hosts)]

People = Annotated[Names, AfterValidator(_people)]
Region = Annotated[str, AfterValidator(_region)]
Language = Annotated[Literal["en", "zh"], BeforeValidator(_language)]
Keyword = Annotated[str, AfterValidator(_keyword)]

AesKey = Annotated[str, _or_empty(_aes_key), Field(default="", repr=False)]
AgentId = Annotated[Name, _or_empty(_agent_id)]
DasInstances = Annotated[Names, AfterValidator(_instances)]
DasLevel = Annotated[Literal["Notice", "Optimization", "Warn", "Critical"], BeforeValidator(_capital)]
