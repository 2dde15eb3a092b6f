"""Reading from Alibaba Cloud: one account, paged lists, and refusals in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.aliyun import AccessKey, AliyunError, call, get
from bot.http import Http, Unreachable
from handlers.errors import DeliveryError
from handlers.texts import Say, _

PAGE_SIZE = 100
MOST_PAGES = 40
"""Of one list: four thousand entries; what reads them has to be done before another process takes it for dead."""

FREE_CALLS = 4
PAUSE_S = 0.2
"""After a few calls one is made every so many seconds: below 5 a second, where the account may make 20 in all."""

WRONG_KEY = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidCredentials",
    "InvalidSecurity",
)
NOT_ALLOWED = ("Forbidden", "NoPermission", "AccessForbidden", "AccessDenied", "UnauthorizedOperation")
CLOCK = ("InvalidTimeStamp", "SignatureNonceUsed")


@dataclass(slots=True)
class Account:
    """The account that is read from, for one reading.

    name    what people call the service, for sentences
    rights  the actions its key has to be allowed
    pause   waits so many seconds
    """

    name: Say
    rights: str
    http: Http
    key: AccessKey = field(repr=False)
    now: datetime
    pause: Callable[[float], None]
    calls: int = 0

    def rpc(self, base: str, action: str, version: str, params: Mapping[str, str]) -> dict[str, Any]:
        """The answer of one call. Raises DeliveryError."""
        return self._asked(lambda: call(self.http, base, action, version, params, self.key, self.now))

    def roa(self, base: str, path: str, action: str, version: str, params: Mapping[str, str]) -> dict[str, Any]:
        """The answer of one call to a path. Raises DeliveryError."""
        return self._asked(lambda: get(self.http, base, path, action, version, params, self.key, self.now))

    def _asked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.calls += 1
        if self.calls > FREE_CALLS:
            self.pause(PAUSE_S)
        try:
            body = ask()
        except Unreachable as error:
            raise DeliveryError(
                "unreachable",
                _("{service} cannot be reached ({reason}).", service=self.name, reason=error.reason),
                permanent=False,
            ) from None
        except AliyunError as error:
            raise self.refused(error) from None
        # Refusals also arrive with HTTP 200, and Success is a text in some products.
        code = str(body.get("Code") or "200")
        if code != "200" or str(body.get("Success", "true")).lower() == "false":
            raise self.refused(AliyunError(code if code != "200" else "InternalError", 200))
        return body

    def refused(self, error: AliyunError) -> DeliveryError:
        """What the gateway or the service refused, in words for who has to do something about it."""
        code = error.code
        if code.startswith("Throttling") or error.status == 429:
            say = _("{service} gets too many requests from this account at the moment.", service=self.name)
            return DeliveryError("rate_limited", say, permanent=False, retry_after=error.retry_after)
        if code.startswith(WRONG_KEY):
            return _permanent(
                "key",
                _(
                    "Alibaba Cloud does not know the access key ({code}); the operator has to check {settings}.",
                    code=code,
                    settings="ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                ),
            )
        if code.startswith(NOT_ALLOWED) or error.status == 403:
            return _permanent(
                "permission",
                _(
                    "The access key may not read {service} ({code}); the operator has to allow its RAM user {rights}.",
                    service=self.name,
                    code=code or "403",
                    rights=self.rights,
                ),
            )
        if code.startswith(CLOCK):
            return _permanent(
                "clock", _("Alibaba Cloud says that the clock of this service is wrong; the operator has to set it.")
            )
        if error.temporary:
            say = _("{service} does not work at the moment ({code}).", service=self.name, code=code or error.status)
            return DeliveryError("busy", say, permanent=False, retry_after=error.retry_after)
        return _permanent("unreadable", _("{service} refuses to be read: {code}.", service=self.name, code=code[:60]))


def _permanent(reason: str, say: Say) -> DeliveryError:
    return DeliveryError(reason, say, permanent=True)


@dataclass(frozen=True, slots=True)
class Listed:
    """All entries of a list; `complete` False: the service has more than it gave."""

    entries: tuple[dict[str, Any], ...]
    complete: bool


def whole(page: Callable[[int], dict[str, Any]], *path: str, total: str) -> Listed:
    """The entries at that path of all pages, from 1 on.

    The greatest size of a page is not published, so what was gathered decides, not the number of pages.
    """
    found: list[dict[str, Any]] = []
    for number in range(1, MOST_PAGES + 1):
        body = page(number)
        entries = list(objects(body, *path))
        expected = whole_number(dig(body, *total.split(".")))
        if not entries or entries == found[-len(entries) :]:
            return Listed(tuple(found), expected is None or len(found) >= expected)
        found += entries
        if expected is not None and len(found) >= expected:
            return Listed(tuple(found), True)
    return Listed(tuple(found), False)


def dig(value: Any, *path: str) -> Any:
    """What stands there; None where something on the way is missing or no object."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def objects(value: Any, *path: str) -> Iterator[dict[str, Any]]:
    """The objects of the list that stands there; what is none is passed over."""
    found = dig(value, *path)
    yield from (one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict))


def texts(value: Any, *path: str) -> tuple[str, ...]:
    """The texts of the list that stands there."""
    found = dig(value, *path)
    return tuple(text(one) for one in found if text(one)) if isinstance(found, list) else ()


def text(value: Any) -> str:
    """A scalar as text, trimmed; "" for anything else."""
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def whole_number(value: Any) -> int | None:
    found = text(value)
    return int(found) if found.isascii() and found.isdecimal() and len(found) < 12 else None
