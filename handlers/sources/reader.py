"""Reads untrusted JSON and forms; every refusal is a `PayloadError` with the path and what was expected there.

`Node` is a value with its place. Missing and `null` are the same: whether that is allowed is said by the method asked.
Text comes out without the characters that databases, mails and terminals choke on (NUL, controls, lone surrogates).
"""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, KeysView
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from handlers.errors import PayloadError
from handlers.texts import Say, _
from handlers.urls import URL_MAX_CHARS, safe_url

FORM_FIELDS_MAX = 1_000
SHOWN_MAX_CHARS = 60

Word = TypeVar("Word", bound=str)

_MISSING: Final = object()
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_EPOCH = re.compile(r"[0-9]{1,16}(?:\.[0-9]*)?")
_FIRST_MS = 10**11
"""Epoch numbers from here on are milliseconds; as seconds it would be the year 5138."""


def clean(text: str) -> str:
    """The text with U+FFFD for NUL, other control characters (not tab and line breaks) and lone surrogates."""
    return text if text.isprintable() else _UNSAFE.sub("\ufffd", text)


def shortened(text: str, limit: int = SHOWN_MAX_CHARS) -> str:
    """The text as it may stand in an error."""
    return text if len(text) <= limit else text[:limit] + "…"


@dataclass(slots=True)  # not frozen: that makes each of them, and there are many, take three times as long
class Node:
    """A value from outside and where it stood; the path is only put together when somebody asks for it."""

    raw: object
    parent: Node | None = None
    key: str | int = ""

    @property
    def path(self) -> str:
        """JSONPath style: `$.alerts[0].labels["a b"]`."""
        steps: list[str] = []
        node = self
        while node.parent is not None:
            steps.append(_step(node.key))
            node = node.parent
        return "$" + "".join(reversed(steps))

    @property
    def missing(self) -> bool:
        return self.raw is _MISSING or self.raw is None

    def wrong(self, expected: Say) -> PayloadError:
        """The error "expected ..., got ..." for this place."""
        return PayloadError(self.path, _("expected {expected}, got {got}", expected=expected, got=self._shown()))

    def has(self, key: str) -> bool:
        """Whether this is an object with that key."""
        return isinstance(self.raw, dict) and key in self.raw

    def get(self, key: str) -> Node:
        """The field of this object, possibly missing."""
        if not isinstance(self.raw, dict):
            raise self.wrong(_("an object"))
        return Node(self.raw.get(key, _MISSING), self, key)

    def names(self) -> KeysView[str]:
        """The names of this object's fields, as they were sent: asking is cheaper than reading what is not there."""
        if not isinstance(self.raw, dict):
            raise self.wrong(_("an object"))
        return self.raw.keys()

    def fields(self) -> Iterator[tuple[str, Node]]:
        """Name and value of every field; none when missing."""
        if self.missing:
            return
        if not isinstance(self.raw, dict):
            raise self.wrong(_("an object"))
        for key, value in self.raw.items():
            yield clean(key), Node(value, self, key)

    def elements(self, at_most: int) -> list[Node]:
        """The elements of this list, which has to be there."""
        if not isinstance(self.raw, list):
            raise self.wrong(_("a list"))
        if len(self.raw) > at_most:
            raise PayloadError(
                self.path,
                _(
                    "expected at most {limit} elements, got {count}: send several bodies",
                    limit=at_most,
                    count=len(self.raw),
                ),
            )
        return [Node(value, self, index) for index, value in enumerate(self.raw)]

    def text(self) -> str:
        """A string; "" when missing."""
        if self.missing:
            return ""
        if not isinstance(self.raw, str):
            raise self.wrong(_("a text"))
        return clean(self.raw)

    def scalar(self) -> str:
        """A string, or a number or boolean as JSON writes it; "" when missing."""
        raw = self.raw
        if self.missing:
            return ""
        if isinstance(raw, str):
            return clean(raw)
        if isinstance(raw, bool | int | float):
            return json.dumps(raw)
        raise self.wrong(_("a text or a number"))

    def scalars(self) -> dict[str, str]:
        """An object of texts, numbers and booleans; {} when missing, without the fields that are null."""
        if self.missing:
            return {}
        if not isinstance(self.raw, dict):
            raise self.wrong(_("an object"))
        texts: dict[str, str] = {}
        for key, value in self.raw.items():
            if isinstance(value, str):  # nearly always: making a Node costs more than all the rest
                texts[clean(key)] = clean(value)
            elif value is not None:
                texts[clean(key)] = Node(value, self, key).scalar()
        return texts

    def is_scalar(self) -> bool:
        return isinstance(self.raw, str | bool | int | float)

    def compact(self) -> str:
        """Whatever it is, as JSON text."""
        try:
            return clean(json.dumps(self.raw, ensure_ascii=False, separators=(",", ":")))
        except RecursionError:
            raise _too_deep(self) from None

    def word(self, words: tuple[Word, ...], default: Word) -> Word:
        """One of the words, whatever its case; the default when missing."""
        if self.missing:
            return default
        said = self.raw.strip().casefold() if isinstance(self.raw, str) else None
        for word in words:
            if said == word:
                return word
        raise self.wrong(_("one of {words}", words=", ".join(words)))

    def url(self) -> str:
        """An http or https address; "" when missing, empty, or too long to be shown: no alert is lost for that."""
        text = self.text().strip()
        if len(text) > URL_MAX_CHARS:
            return ""
        if text and safe_url(text) is None:
            raise self.wrong(_("a web address such as {example}", example="https://example.com/runbook"))
        return text

    def time(self) -> datetime | None:
        """An RFC 3339 time, in UTC; None when missing, empty or of the year 1, which is how Go writes "never"."""
        if self.missing:
            return None
        text = self.text().strip()
        if not text:
            return None
        match = _TIME.fullmatch(text)
        if match is None:
            raise self.wrong(_("a time such as {example}", example="2026-03-28T01:00:00Z"))
        if match["date"].startswith("0001-"):
            return None
        if match["zone"] is None:
            raise self.wrong(_("a time with its zone such as {example}", example="2026-03-28T09:00:00+08:00"))
        fraction = (match["fraction"] or "")[:6].ljust(6, "0")
        try:
            stamp = datetime.fromisoformat(f"{match['date']}T{match['clock']}.{fraction}{match['zone'].upper()}")
            return stamp.astimezone(UTC)
        except (ValueError, OverflowError):  # the 31st of February; the last hours of the year 9999
            raise self.wrong(_("a time such as {example}", example="2026-03-28T01:00:00Z")) from None

    def epoch(self) -> datetime | None:
        """Seconds or milliseconds since 1970, as number or text; None when missing, empty, 0 or the text "null"."""
        text = self.scalar().strip()
        if text in ("", "null", "0"):
            return None
        if not _EPOCH.fullmatch(text):
            raise self.wrong(_("a time in milliseconds such as {example}", example="1774659600000"))
        number = int(text.partition(".")[0])
        milliseconds = number if number >= _FIRST_MS else round(float(text) * 1000)
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
        except OverflowError:
            raise self.wrong(_("a time in milliseconds such as {example}", example="1774659600000")) from None

    def unfolded(self) -> Node:
        """The same place with the value that its JSON text holds; itself when it is no text (form fields nest so)."""
        if not isinstance(self.raw, str):
            return self
        return Node(_loads(self.raw, self), self.parent, self.key)

    def _shown(self) -> Say:
        raw = self.raw
        if raw is _MISSING:
            return _("nothing")
        if isinstance(raw, str):
            return json.dumps(shortened(clean(raw)), ensure_ascii=False)
        if isinstance(raw, dict):
            return _("an object")
        if isinstance(raw, list):
            return _("a list")
        return shortened(json.dumps(raw))


def read_json(raw: bytes) -> Node:
    """The body as JSON, whatever its content type said."""
    root = Node(raw)
    try:
        text = raw.decode("utf-8-sig" if raw.startswith(BOM_UTF8) else "utf-8")  # the latter in a tenth of the time
    except UnicodeDecodeError as error:
        raise PayloadError(
            root.path, _("expected JSON in UTF-8, got a byte that is not at position {n}", n=error.start)
        ) from None
    return Node(_loads(text, root))


def read_form(raw: bytes) -> Node:
    """The body as a form: an object of texts; of several fields with one name the last one counts.

    Bytes that are not UTF-8 become U+FFFD: a garbled name in an alert is better than no alert.
    """
    try:
        pairs = parse_qsl(
            raw.decode("utf-8", "replace"), keep_blank_values=True, errors="replace", max_num_fields=FORM_FIELDS_MAX
        )
    except ValueError:
        raise PayloadError("$", _("expected a form of at most {n} fields", n=FORM_FIELDS_MAX)) from None
    return Node(dict(pairs))


def read_either(raw: bytes) -> Node:
    """JSON when the body begins like a JSON object or list, else a form; the content type is not asked."""
    looks_like_json = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    return read_json(raw) if looks_like_json else read_form(raw)


def _loads(text: str, at: Node) -> Any:
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise _too_deep(at) from None
    except json.JSONDecodeError as error:
        if not text.strip():
            raise PayloadError(at.path, _("expected JSON, got nothing")) from None
        raise PayloadError(
            at.path,
            _("expected JSON, got an error in line {line}, column {column}", line=error.lineno, column=error.colno),
        ) from None
    except ValueError:  # `_refuse`, `_finite`, and integers of more digits than Python converts
        raise PayloadError(at.path, _("expected JSON, got a number that is NaN, infinite or too long")) from None


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
"""Made once; `json.loads` would make it for every body."""


def _too_deep(at: Node) -> PayloadError:
    return PayloadError(at.path, _("expected flat data, got lists or objects nested too deeply"))


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if _PLAIN_KEY.fullmatch(key) and len(key) <= SHOWN_MAX_CHARS:
        return f".{key}"
    return f"[{json.dumps(shortened(clean(key)), ensure_ascii=False)}]"
