"""What goes over the wire to and from a stand-in, and the form every stand-in has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `headers` have lower-case names; `target` is path and query as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    client: str = "127.0.0.1"

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """Decoded once, as the platforms do; of a repeated name the first counts."""
        pairs: dict[str, str] = {}
        for name, value in self.pairs:
            pairs.setdefault(name, value)
        return pairs

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def content_type(self) -> str:
        """The media type alone, lower case; "" when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON; ValueError when it is not UTF-8 JSON (`NaN` and `Infinity` are not)."""
        try:
            return json.loads(self.body.decode("utf-8"), parse_constant=_no_constant)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def json_object(self) -> dict[str, Any] | None:
        """The body as a JSON object; None when it is anything else."""
        try:
            value = self.json()
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    @property
    def shown(self) -> Any:
        """The body for the log of refusals: as JSON where it is some, else as text."""
        try:
            return self.json()
        except ValueError:
            return self.body[:2000].decode("utf-8", "replace")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """The value as UTF-8 JSON."""
    return Answer(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), status, JSON_TYPE, headers)


def text_answer(text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Plain text."""
    return Answer(text.encode("utf-8"), status, "text/plain; charset=utf-8", headers)


def page_answer(status: int = 200) -> Answer:
    """An HTML page such as a proxy answers with."""
    page = b"<!DOCTYPE html><html><head><title>Notice</title></head><body><p>Please sign in.</p></body></html>"
    return Answer(page, status, "text/html; charset=utf-8")


class StandIn(Protocol):
    """One vendor.

    name     as in fault keys: "dingtalk", "wecom", ...
    owns     this request is for that vendor
    keys     fault keys that concern the request, most special first
    answer   what the real service would answer; called while the world's lock is held; never raises
    refusal  the answer of a scripted `Refused`
    """

    @property
    def name(self) -> str: ...
    def owns(self, request: Request) -> bool: ...
    def keys(self, request: Request) -> tuple[str, ...]: ...
    def answer(self, request: Request) -> Answer: ...
    def refusal(self, code: str | int, text: str) -> Answer: ...
