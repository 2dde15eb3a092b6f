"""Finds the command in what was said to the smart robot in a group: the robot's @name stands in it as plain text.

WeCom marks no mention, tells nobody the name, and the name may hold blanks: `@Duty Desk contact list`,
`@Wang @值班机器人 verify 123456`, `help @值班机器人`
(https://developer.work.weixin.qq.com/document/path/100719 shows only the simplest). So the words behind the `@` are left
out one by one until a command begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable

NAME_WORDS = 3
"""So many words of a name, beside the first, are looked behind: further on it is a sentence, not a name."""

_BLANKS = str.maketrans(dict.fromkeys("\u3000\u00a0\u2005\u2006\u202f", " "))
_AT = re.compile(r"(?<!\S)@")
_FIRST = re.compile(r"(?:@\S*\s*)+")
_NOT_IN_NAMES = re.compile(r"[,.!?;:'’，。！？、；：]")
_VALUE = re.compile(r"[\d@:/#=]")


def without_mention(text: str, is_command: Callable[[str], bool]) -> str:
    """The text without the robot's name, as far as that can be told; `is_command` says that a command begins a text."""
    text = text.translate(_BLANKS).strip()
    if text.startswith("@"):
        return _behind(_FIRST.sub("", text, count=1).strip(), is_command)
    found = list(_AT.finditer(text))
    return _before(text, found[-1].start()) if found else text


def _behind(rest: str, is_command: Callable[[str], bool]) -> str:
    """What follows a mention whose first word is gone already."""
    candidate = rest
    for _word in range(NAME_WORDS + 1):
        if not candidate or is_command(candidate):
            return candidate or rest
        word, _blank, candidate = candidate.partition(" ")
        if _NOT_IN_NAMES.search(word):
            break
        candidate = _FIRST.sub("", candidate.lstrip(), count=1) if candidate.lstrip().startswith("@") else candidate
        candidate = candidate.strip()
    return rest


def _before(text: str, at: int) -> str:
    """What stands before a mention; and what stands behind it, where that cannot be part of a name."""
    _name, _blank, behind = text[at:].partition(" ")
    if any(_VALUE.search(word) for word in behind.split()):
        return f"{text[:at].rstrip()} {behind.strip()}"
    return text[:at].rstrip()
