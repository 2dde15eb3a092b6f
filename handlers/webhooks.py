"""Which robot a pasted webhook address belongs to, and which addresses are refused.

An address is accepted only in the exact form that its vendor documents: a look-alike host, a port or a user name in it
sends alerts to somebody else. What is stored is written anew from its checked parts, never the text that was pasted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

from handlers.errors import CommandError
from handlers.texts import _

EXAMPLES = {
    "dingtalk": "https://oapi.dingtalk.com/robot/send?access_token=…",
    "wecom": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…",
    "lark": "https://open.feishu.cn/open-apis/bot/v2/hook/…",
    "slack": "https://hooks.slack.com/services/T…/B…/…",
    "arms": "https://alerts.aliyuncs.com/api/v1/integrations/custom/…",
}
"""What an address looks like, for the sentences people read."""

VENDORS = {
    "oapi.dingtalk.com": "dingtalk",
    "qyapi.weixin.qq.com": "wecom",
    "open.feishu.cn": "lark",
    "open.larksuite.com": "lark",
    "hooks.slack.com": "slack",
    "alerts.aliyuncs.com": "arms",
}
"""Documented hosts and the channel behind each."""

MAX_CHARS = 1000
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|[0-9a-f:]*:[0-9a-f:.]*", re.ASCII)


class Origin(NamedTuple):
    """Scheme, host and port of an address, each written out and in lower case."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """An accepted address. `url` is canonical and is a secret: it is its own password."""

    channel: str
    url: str = field(repr=False)
    host: str


def origin_of(parts: SplitResult) -> Origin | None:
    """The origin of a split http(s) URL; None for user-info or a strange host, ValueError for a bad port."""
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not HOST.fullmatch(host):
        return None
    port = parts.port  # raises ValueError for a bad one
    if port == 0 or parts.netloc.endswith(":"):
        return None
    return Origin(parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme])


def open_origin(entry: str) -> Origin:
    """The origin that an entry of WEBHOOK_HOSTS allows: `host`, `host:port` (both https) or `http://host:port`.

    Raises ValueError for an entry of another form.
    """
    entry = entry.strip().removesuffix("/")
    parts = urlsplit(entry if "://" in entry else f"https://{entry}")
    origin = origin_of(parts) if entry.isprintable() else None  # a line end would be left out by `urlsplit`
    if origin is None or parts.path or parts.query or parts.fragment:
        raise ValueError(f"{entry!r} is not host, host:port or http://host:port")
    return origin


def channel_of(text: str, extra_hosts: Collection[str] = ()) -> Webhook:
    """The webhook that a pasted address is; raises CommandError with one sentence about what is wrong with it.

    `extra_hosts` are entries of WEBHOOK_HOSTS: there the port is that of the entry, and the path decides the channel.
    """
    parts, origin = _taken_apart(text.strip(), frozenset(open_origin(entry) for entry in extra_hosts))
    vendor = VENDORS.get(origin.host) if origin == Origin("https", origin.host, 443) else None
    channel, path = _channel_and_path(parts)
    if vendor is not None and channel != vendor:
        raise CommandError(
            _("This address is not the webhook of a robot, it should look like {example}.", example=EXAMPLES[vendor])
        )
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    port = "" if origin.port == {"http": 80, "https": 443}[origin.scheme] else f":{origin.port}"
    return Webhook(channel, f"{origin.scheme}://{host}{port}{path}", f"{host}{port}")


def masked(url: str) -> str:
    """What may be shown of a webhook: its host and its last four characters."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return f"{host}…{url[-4:]}"


def _taken_apart(text: str, extra: frozenset[Origin]) -> tuple[SplitResult, Origin]:
    """The parts of the address, after everything before its path has been accepted."""
    if len(text) > MAX_CHARS:
        raise CommandError(_("This webhook address is too long, please copy it again from the robot's settings."))
    if not text.isascii() or any(ch <= " " or ch == "\x7f" or ch in "\\<>\"'`^{}|" for ch in text):
        raise CommandError(
            _("This webhook address has characters that do not belong there, please copy it again from the settings.")
        )
    try:
        parts = urlsplit(text)
        host = parts.hostname
        port = parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise CommandError(_("This is not a webhook address, one looks like {example}.", example=EXAMPLES["dingtalk"]))
    if "@" in parts.netloc:
        raise CommandError(
            _("A webhook address has no user name in it, please copy it again from the robot's settings.")
        )
    if "#" in text:
        raise CommandError(_("A webhook address has no # in it, please copy it again from the robot's settings."))
    try:
        origin = origin_of(parts)
    except ValueError:
        origin = None
    if origin is not None and origin in extra:
        return parts, origin
    if origin is None or host not in VENDORS:
        raise CommandError(
            _(
                "Webhooks to {host} are not accepted, only those of DingTalk, WeCom, Lark, Slack and ARMS: {example}.",
                host=host[:80],
                example=EXAMPLES["dingtalk"],
            )
        )
    if parts.scheme == "http":
        raise CommandError(
            _("A webhook address starts with https://, as in {example}.", example=EXAMPLES[VENDORS[host]])
        )
    if port is not None or parts.netloc.lower() != host:
        raise CommandError(_("A webhook address has no port in it, as in {example}.", example=EXAMPLES[VENDORS[host]]))
    return parts, origin


def _channel_and_path(parts: SplitResult) -> tuple[str, str]:
    """The channel whose documented path this is, and the path with its token, written anew."""
    path = parts.path.rstrip("/")
    if path in BY_PARAMETER:
        channel, name = BY_PARAMETER[path]
        tokens = {value for key, value in parse_qsl(parts.query, keep_blank_values=True) if key == name}
        token = tokens.pop() if len(tokens) == 1 else ""
        if not TOKEN.fullmatch(token):
            raise CommandError(
                _(
                    "The {parameter} of this webhook is missing or damaged, it should look like {example}.",
                    parameter=name,
                    example=EXAMPLES[channel],
                )
            )
        return channel, f"{path}?{name}={token}"
    for prefix, count, channel in BY_PATH:
        rest = path.removeprefix(prefix)
        if rest != path or path == prefix.rstrip("/"):
            steps = rest.split("/") if rest != path else []
            if len(steps) != count or not all(map(TOKEN.fullmatch, steps)):
                raise CommandError(
                    _(
                        "The token of this webhook is missing or damaged, it should look like {example}.",
                        example=EXAMPLES[channel],
                    )
                )
            return channel, path
    raise CommandError(
        _("This address is not the webhook of a robot, it should look like {example}.", example=_example_for(parts))
    )


BY_PARAMETER: dict[str, tuple[str, str]] = {
    "/robot/send": ("dingtalk", "access_token"),
    "/cgi-bin/webhook/send": ("wecom", "key"),
}
"""Path -> channel and the parameter that is its token. Other parameters (an old `timestamp` and `sign`) are dropped."""

BY_PATH: tuple[tuple[str, int, str], ...] = (
    ("/open-apis/bot/v2/hook/", 1, "lark"),
    ("/services/", 3, "slack"),
    ("/api/v1/integrations/custom/", 1, "arms"),
    ("/api/v1/events/", 1, "arms"),
    ("/api/v1/cm/callback/", 1, "arms"),
)
"""Path before the token, how many parts the token has, channel."""


def _example_for(parts: SplitResult) -> str:
    return EXAMPLES[VENDORS.get(parts.hostname or "", "dingtalk")]
