"""What a person typed into Slack, from the form in which Slack passes it on.

https://docs.slack.dev/messaging/formatting-message-text: `&`, `<` and `>` of the person are escaped; what stands between
`<` and `>` was written by Slack: mentions, channels, and the links that it made of addresses.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from bot.markup.plain import clean

TEXT_MAX_CHARS = 20_000

USER_ID = re.compile(r"[UW][A-Za-z0-9_-]{0,63}")
_WRITTEN_BY_SLACK = re.compile(r"<([@#!][^<>\n]{1,8000}|[a-z][a-z0-9+.-]{1,20}:[^<>\n]{1,8000})>", re.IGNORECASE)
_BEFORE_COMMAND = " \t\n,:，：\u00a0"

Mentions = tuple[tuple[str, str], ...]


def mentioned(text: str) -> tuple[str, ...]:
    """The ids of the people mentioned, in order, one as often as it is there."""
    found = (_user(inner) for inner in _WRITTEN_BY_SLACK.findall(text))
    return tuple(user for user, _name in found if user)


def plain(text: str, own: Collection[str] = ()) -> tuple[str, Mentions]:
    """The text as it was typed, mentions of people taken out, and these: (user id, name or ""), each once.

    own  ids of the bot itself: their mentions are dropped
    """
    found: dict[str, str] = {}
    addressed = False

    def typed(token: re.Match[str]) -> str:
        nonlocal addressed
        user, name = _user(token[1])
        if user in own:
            addressed = addressed or not text[: token.start()].strip()
        elif user:
            found[user] = found.get(user) or name
        return " " if user else _shown(token[1])

    words = _WRITTEN_BY_SLACK.sub(typed, text)
    words = unescape(words).strip()
    if addressed:
        words = words.lstrip(_BEFORE_COMMAND)  # `@Callboard, help`
    names = tuple((user, clean(unescape(name))[:128]) for user, name in found.items())
    return clean(words).strip()[:TEXT_MAX_CHARS], names


def unescape(text: str) -> str:
    """The three characters that Slack escapes; `&amp;lt;` is `&lt;`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _user(inner: str) -> tuple[str, str]:
    """Id and name of `@U0001|wang`; ("", "") for anything else."""
    if not inner.startswith("@"):
        return "", ""
    user, _bar, name = inner[1:].partition("|")
    return (user, name) if USER_ID.fullmatch(user) else ("", "")


def _shown(inner: str) -> str:
    """What stood there before Slack made a link or a channel of it: `example.com`, `li@example.com`, `#ops`."""
    target, _bar, label = inner.partition("|")
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return label or "@" + target[1:].partition("^")[0]
    if target.startswith(("mailto:", "tel:")):
        scheme, _colon, address = target.partition(":")
        return label if scheme == "tel" and label else address
    if label and target in (f"http://{label}", f"https://{label}", f"http://{label}/"):
        return label
    return target
