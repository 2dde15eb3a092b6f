"""The log: one JSON object per line on stderr, or one readable line when stderr is a terminal. No secret gets into it.

Everything that is written goes through `redact`, the text of exceptions included: it happens in the formatter, the one
place where a record is whole. What it cannot know by its form (the values of our own settings) `configure` is told.
Fields come from `extra`: `log.info("alert accepted", extra={"number": 42})`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

HIDDEN = "[hidden]"

LEAST = 4
"""One of fewer characters hides nothing, as it is everywhere; and what is hidden in all sentences can be read from them."""

MAX_TEXT = 16_000
"""Characters of one text in the log; a traceback is cut in the middle, its last lines say most."""

QUIET: dict[str, int] = {
    "aiosmtpd": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "dingtalk_stream": logging.WARNING,  # INFO prints whole messages and the connection ticket
    "mail": logging.WARNING,  # aiosmtpd
    "slack_bolt": logging.WARNING,
    "slack_sdk": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "urllib3": logging.WARNING,  # DEBUG prints paths, which hold tokens
    "websockets": logging.WARNING,
    "werkzeug": logging.WARNING,
}
"""Libraries and the level from which they are heard."""

_SECRET_WORD = (
    r"[a-z_\-]{0,24}(?:token|secret|password|passwd|pwd|signature|credential|ticket|cookie|api_?key|access_?key(?:_?id)?|aes_?key)s?"
    r"|session_?webhook|response_?url|webhook(?:_?url)?|authorization|proxy-authorization|sign|key|code|auth|hook"
)
_SECRET_FIELD = re.compile(rf"(?:{_SECRET_WORD})", re.IGNORECASE)

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # `Authorization: Bearer x`, `'Authorization': 'Basic x'`
    (
        re.compile(
            r"(authorization['\"]?\s*[:=]\s*['\"]?)(?:(?:bearer|basic|acs3-[a-z0-9-]+)\s+)?[^\s'\"][^'\"\r\n]*", re.I
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{6,}", re.I), rf"\1 {HIDDEN}"),
    # Paths and queries that are a secret themselves, without their host (urllib3 writes them so).
    (
        re.compile(
            r"(/(?:robot/send\w*|cgi-bin/[a-z/_]+|open-apis/bot/v2/hook|services|receipts/(?:sms|voice)|alerts/\w+|api/v1/integrations/\w+"
            r"|api/v1/cm/callback|sendBySession)\b)[/?][^\s'\"<>)]*"
        ),
        r"\1/" + HIDDEN,
    ),
    # `token=x`, `"accessToken": "x"`, `key='x'`; the word itself stays.
    (
        re.compile(
            rf"(?<![a-z0-9])((?:{_SECRET_WORD})\\*['\"]?\s*(?:=>|=|:|%3D)\s*)"
            r"(?:[bru]?\\*'[^'\r\n]*'?|[bru]?\\*\"[^\"\r\n]*\"?|[^\s,;&'\"()\[\]{}]+)",
            re.I,
        ),
        rf"\1{HIDDEN}",
    ),
    # Vendors' own marks.
    (re.compile(r"\b(?:xox[a-z]|xapp|xwfp)-[A-Za-z0-9-]+", re.I), HIDDEN),
    (re.compile(r"\bSEC[0-9A-Za-z]{8,}"), HIDDEN),
    (re.compile(r"\bLTAI[0-9A-Za-z]{8,}"), HIDDEN),
    (re.compile(r"\bgAAAA[0-9A-Za-z_=-]{16,}"), HIDDEN),
    # Whatever is long and looks like chance: keys, signatures, tickets, hashes.
    (re.compile(r"(?<![A-Za-z0-9_+=-])(?=[A-Za-z_+=-]{0,63}[0-9])[A-Za-z0-9_+=-]{32,}"), HIDDEN),
)
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.\-]{1,30})://([^\s\"'<>\\]+)")
_MAIL = re.compile(
    r"([^\s@<>\"'(),:;=/\[\]])([^\s@<>\"'(),:;=/\[\]]{0,63})@([^\s@<>\"'(),:;=/\[\]]{1,253}\.[^\W\d_]{2,63})"
)
_PHONE = re.compile(r"(?<![\d.])(?:\+\d(?:[ \-()]{0,2}\d){6,14}|(?:(?:00)?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4})(?!\d)")
_NOT_IN_A_LINE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What JSON allows in a text and readers of lines, or UTF-8, do not."""
_CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")


def _bare_url(match: re.Match[str]) -> str:
    """Scheme and host stay, which is what helps; path, query and user-info may each be the secret."""
    try:
        parts = urlsplit(match[0])
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"{match[1]}://{HIDDEN}"
    host = f"[{host}]" if ":" in host else host
    more = "/…" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{match[1]}://{host}{f':{port}' if port else ''}{more}"


def _masked_phone(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    if len(digits) > 11:
        digits = digits.removeprefix("00").removeprefix("86")
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) >= 10 else f"{digits[:2]}***"


def redact(text: str, known: Collection[str] = ()) -> str:
    """The text without tokens, keys, signatures, paths of URLs and codes; phone numbers and mailboxes masked.

    `known` are values that are hidden wherever they stand, also in a longer word: behind an escape nobody can tell.
    """
    for value in known:
        if len(value) >= LEAST and value in text:
            text = text.replace(value, HIDDEN)
    text = _URL.sub(_bare_url, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _MAIL.sub(r"\1***@\3", text)
    text = _PHONE.sub(_masked_phone, text)
    return _CODE.sub("******", text)


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]} … {text[-half:]}"


_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class _Formatter(logging.Formatter):
    def __init__(self, known: Collection[str] = ()) -> None:
        super().__init__()
        # The longest first: one secret may be part of another.
        both = {*known, *(quote(value, safe="") for value in known if len(value) >= LEAST)}
        self.known = tuple(sorted(both, key=len, reverse=True))

    def clean(self, text: str) -> str:
        return _cut(redact(text, self.known))

    def event(self, record: logging.LogRecord) -> str:
        try:
            return self.clean(record.getMessage())
        except (TypeError, ValueError, KeyError):  # a wrong format string must not cost the line
            return self.clean(str(record.msg))

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What was given as `extra`, cleaned, in the order given."""
        return {
            name: self.value(value, name)
            for name, value in record.__dict__.items()
            if name not in _STANDARD and not name.startswith("_")
        }

    def value(self, value: object, name: str = "", depth: int = 0) -> Any:
        if name and _SECRET_FIELD.fullmatch(name):
            return HIDDEN
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, int):
            # A number with as many digits as a telephone number is one, or might be.
            return value if abs(value) < 10**9 else self.clean(str(value))
        if isinstance(value, datetime):
            return value.isoformat()
        if depth < 4 and isinstance(value, Mapping):
            return {self.clean(str(k)): self.value(v, str(k), depth + 1) for k, v in value.items()}
        if depth < 4 and isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(item, "", depth + 1) for item in value]
        return self.clean(str(value))

    def exception(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        elif record.exc_text:
            parts.append(record.exc_text)
        if record.stack_info:
            parts.append(record.stack_info)
        return self.clean("\n".join(parts))

    def time(self, record: logging.LogRecord) -> datetime:
        return datetime.fromtimestamp(record.created, UTC)


class JsonLines(_Formatter):
    """`{"time": …, "level": …, "logger": …, "event": …, <fields>, "exception": …}`, one object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self.event(record),
        }
        for name, value in self.fields(record).items():
            line.setdefault(name, value)
        exception = self.exception(record)
        if exception:
            line["exception"] = exception
        whole = json.dumps(line, ensure_ascii=False, default=str)
        return _NOT_IN_A_LINE.sub(lambda match: f"\\u{ord(match[0]):04x}", whole)


class Readable(_Formatter):
    """`12:00:00 INFO    bot.web: alert accepted number=42`, for a person; tracebacks follow on lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        clock = self.time(record).astimezone().strftime("%H:%M:%S")
        words = [f"{clock} {record.levelname:<7} {record.name}: {_printable(self.event(record))}"]
        words += [f"{name}={_printable(str(value))}" for name, value in self.fields(record).items()]
        exception = self.exception(record)
        lines = [_printable(line) for line in exception.splitlines()]
        return "\n".join([" ".join(words), *lines])


def _printable(text: str) -> str:
    """Without line ends and terminal codes, so that nobody's text can look like a line of ours."""
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)


def configure(known: Collection[str] = (), *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sends all logging, also of libraries and uncaught exceptions, to the stream (stderr). `known`: secret values."""
    out = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(Readable(known) if out.isatty() else JsonLines(known))
    handler.addFilter(_wanted)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, quiet in QUIET.items():
        library = logging.getLogger(name)
        library.setLevel(max(quiet, level))  # asked before a record is made
        library.handlers.clear()
        library.propagate = True
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _wanted(record: logging.LogRecord) -> bool:
    """Not the chatter of libraries: some set the level of their own loggers when they are used first."""
    name = record.name
    while name:
        if name in QUIET:
            return record.levelno >= QUIET[name]
        name = name.rpartition(".")[0]
    return True


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("bot").critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if issubclass(args.exc_type, SystemExit) or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    logging.getLogger("bot").critical(
        "uncaught exception in a thread",
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        extra={"thread_name": name},
    )
