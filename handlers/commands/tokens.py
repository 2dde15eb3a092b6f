"""The values of a command, cut into pieces: shapes, quoted runs, keys, separators and words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from handlers.commands.request import Form
from handlers.commands.shapes import shape_at
from handlers.commands.words import CJK, CODED, KEYS, NUMBERED, OPENERS, SEPARATORS, SHAPE_OF_KEY, closing

_TRAIL = re.compile(r"[\s。!?~…、,;`]+$")
_WORD = re.compile(rf"(?:(?!加入)[{CJK}])+|加入|[^\s,;、“「『{CJK}]")
_LATIN = re.compile(rf"[^\s,;、“”「『\"'‘’=:(<{CJK}]+")
_AFTER_SHAPE = re.compile(r"[.!?)\]]+(?=[\s,;、]|$)")
_INITIAL = re.compile(r"(?:^|\s)(?:jr|sr|inc|ltd|co|corp|[a-z])\.$")


@dataclass(slots=True)
class Token:
    """A piece of the values.

    kind   a shape, or "word", "quote", "separator", "key"
    text   the value: a quote's inside, a key's canonical name, else as typed
    start, end   where it stands; two words that touch are one
    """

    kind: str
    text: str
    start: int
    end: int
    explicit: bool = False  # a key followed by `:` or `=`
    glued: bool = False  # a Chinese key followed by letters without a blank


@lru_cache(maxsize=1)
def _key_pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern for every spelling of a key, the longest first, and the canonical key of each."""
    canonical = {spelling: key for key, spellings in KEYS.items() for spelling in spellings}
    spelled = sorted(canonical, key=len, reverse=True)
    english = "|".join(re.escape(word) for word in spelled if word.isascii())
    chinese = "|".join(word for word in spelled if not word.isascii())
    return re.compile(rf"(?:(?:{english})(?![a-z0-9_'’.\-/@~])|(?:{chinese}))(?P<sep>\s*[:=](?![=~/]))?"), canonical


def tokens(form: Form, text: str, fold: str, stop: int) -> list[Token]:
    """The pieces of the values up to `stop`, in order. Linear: no character is looked at more than a few times."""
    found: list[Token] = []
    numbered, coded, timed = form.name in NUMBERED, form.name in CODED, "for" in form.keys
    unclosed: set[str] = set()
    at = 0
    while at < stop:
        char = fold[at]
        if char in SEPARATORS:
            found.append(Token("separator", char, at, at + 1))
            at += 1
        elif char.isspace():
            at += 1
        elif token := _quote(text, fold, at, unclosed) or _key_token(fold, at, found):
            found.append(token)
            at = token.end
        elif _begins(fold, at) and (shape := shape_at(text, fold, at, numbered=numbered, coded=coded, timed=timed)):
            _unlabel(found, shape.kind, at)
            found.append(Token(shape.kind, shape.text, at, shape.end))
            after = _AFTER_SHAPE.match(fold, shape.end)
            at = after.end() if after else shape.end
        else:
            at = _word(text, fold, at, stop, found)
    return found


def _unlabel(found: list[Token], kind: str, at: int) -> None:
    """Takes off the word before a shape what belongs to the shape: a bracket, the 手机 of 张伟手机."""
    last = found[-1] if found else None
    if last is None or last.kind != "word" or last.end != at:
        return
    if last.text[-1:] in "([（【":
        last.text, last.end = last.text[:-1], last.end - 1
        return
    for key, shape in SHAPE_OF_KEY.items():
        if shape == kind:
            label = max(
                (word for word in KEYS[key] if last.text.endswith(word) and not word.isascii()), key=len, default=""
            )
            last.text = last.text.removesuffix(label)
            last.end -= len(label)


def _begins(fold: str, at: int) -> bool:
    """Whether a shape may begin here: not inside a Latin word, so that `db-13800138000` stays one name."""
    previous = fold[at - 1] if at else " "
    return (
        previous.isspace()
        or previous in SEPARATORS
        or not (previous.isascii() or previous.isdecimal())
        or previous in ">\")('"
    )


def _quote(text: str, fold: str, at: int, unclosed: set[str]) -> Token | None:
    """The quoted run that begins here; `unclosed` remembers the quotes that are known not to close any more."""
    char = fold[at]
    if char not in OPENERS or char in unclosed:
        return None
    previous = fold[at - 1] if at else " "
    free = previous.isspace() or previous in SEPARATORS or previous in "=:~(<[{" or char in "“「『"
    if not free and ("'" in OPENERS[char] or previous.isascii()):
        return None
    end = closing(fold, at)
    if end < 0:
        unclosed.add(char)
        return None
    return Token("quote", text[at + 1 : end], at, end + 1)


def _key_token(fold: str, at: int, found: list[Token]) -> Token | None:
    """The key that stands here, if one may: at the beginning of a word, 加入 also right behind a Chinese name."""
    last = found[-1] if found else None
    inside = last is not None and last.end == at and last.kind == "word"
    if inside and not fold.startswith("加入", at):
        return None
    pattern, canonical = _key_pattern()
    match = pattern.match(fold, at)
    if not match:
        return None
    explicit = match["sep"] is not None
    spelling = match[0][: len(match[0]) - len(match["sep"])] if explicit else match[0]
    end = match.end()
    glued = not explicit and end < len(fold) and not spelling.isascii() and not fold[end].isspace()
    if glued and fold[end] not in OPENERS and len(spelling) == 1:
        return None  # 到家服务 is a name, 到 数据库组 is not
    return Token("key", canonical[spelling], at, end, explicit, glued)


def _word(text: str, fold: str, at: int, stop: int, found: list[Token]) -> int:
    """Adds the piece of a word that stands here; returns where it ends."""
    match = _LATIN.match(fold, at, stop) or _WORD.match(fold, at, stop)
    end = match.end() if match else at + 1
    found.append(Token("word", text[at:end], at, end))
    return end


def scan_end(fold: str) -> int:
    """Where the values end: before the punctuation of the sentence, but not before the dot of `Ann Lee Jr.`"""
    trail = _TRAIL.search(fold[-200:])
    end = len(fold) - (len(trail[0]) if trail else 0)
    if fold[:end].endswith(".") and not _INITIAL.search(fold[max(0, end - 8) : end]):
        end = len(fold[:end].rstrip("."))
    return end
