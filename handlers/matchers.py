"""Which alerts are meant: `source=prod severity!=info host=db-1 title~disk`. Pure.

All conditions have to hold. Case and width do not matter, and a label that an alert lacks is empty. `~` means "has it in
it"; with `*` in the value, which stands for any characters, the whole has to look like that, whichever sign is used.
There are no regular expressions: they cannot be read by everybody, and some of them never end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from handlers import names
from handlers.errors import CommandError
from handlers.model import SEVERITIES
from handlers.texts import Say, _

MOST = 8
VALUE_MAX_CHARS = 200

_CONDITION = re.compile(r"([^\s=!~:<>]+)\s*(=~|==|!=|!~|=|~|:)\s*(.*)", re.DOTALL)
_BARE = re.compile(r"[^\s,;，；、。\"'“”‘’「」『』<>()\[\]{}]+")
_OPERATOR = re.compile(r"=~|==|!=|!~|=|~|:")
_SEVERITY_WORDS: dict[str, str] = {
    "critical": "critical",
    "warning": "warning",
    "info": "info",
    **dict.fromkeys(("严重", "紧急", "危急"), "critical"),
    **dict.fromkeys(("警告", "告警"), "warning"),
    **dict.fromkeys(("提示", "信息", "通知"), "info"),
}
_NAMES: dict[str, str] = {
    **{name: name for name in ("source", "group", "severity", "title", "rule")},
    "告警源": "source",
    "来源": "source",
    "组": "group",
    "级别": "severity",
    "标题": "title",
    "规则": "rule",
}
"""What every alert has besides its labels."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What conditions are asked about; `condition` is what the alerts of one source about one thing have in common."""

    severity: str
    labels: Mapping[str, str]
    title: str = ""
    rule: str = ""
    source: str = ""
    group: str = ""
    condition: str = ""

    def value(self, name: str) -> str:
        """What the alert has under that name; a label of that very name goes before one in other letters."""
        if name in _NAMES.values():
            return str(getattr(self, name))
        if name in self.labels:
            return self.labels[name]
        wanted = name.casefold()
        return next((value for label, value in self.labels.items() if label.casefold() == wanted), "")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition; `operator` is "=", "!=", "~", "!~", or "is" for the condition of one alert, named `#42`."""

    name: str
    operator: str
    value: str

    def matches(self, subject: Subject) -> bool:
        if self.operator == "is":
            return subject.condition == self.value
        return self.holds(subject.value(self.name))

    def holds(self, value: str) -> bool:
        """Whether the condition, which is not that of one alert, holds for the value."""
        found, wanted = names.key(value), names.key(self.value)
        like = _like(found, wanted) if "~" in self.operator or "*" in wanted else found == wanted
        return like != self.operator.startswith("!")

    @property
    def narrows(self) -> bool:
        """Whether most alerts are not meant."""
        return self.operator == "is" or (self.operator in ("=", "~") and self.value.strip("*") != "")

    def __str__(self) -> str:
        if self.operator == "is":
            return self.name
        opener, closer = ("「", "」") if '"' in self.value else ('"', '"')
        protected = _BARE.fullmatch(self.value) is None
        return (
            f"{self.name}{self.operator}{opener}{self.value}{closer}"
            if protected
            else f"{self.name}{self.operator}{self.value}"
        )


def condition(source_id: int | None, fingerprint: str) -> str:
    """What the alerts of one source about one thing have in common."""
    return f"{source_id}:{fingerprint}"


def of_alert(number: int, source_id: int | None, fingerprint: str) -> Matcher:
    return Matcher(f"#{number}", "is", condition(source_id, fingerprint))


def all_match(matchers: Iterable[Matcher], subject: Subject) -> bool:
    return all(one.matches(subject) for one in matchers)


def may_be(matchers: Iterable[Matcher], severity: str) -> bool:
    """Whether an alert of that severity can be meant."""
    return all(one.matches(Subject(severity, {})) for one in matchers if one.name == "severity")


def shown(matchers: Sequence[Matcher]) -> str:
    """As it can be typed."""
    return " ".join(map(str, matchers))


def to_json(matchers: Iterable[Matcher]) -> list[list[str]]:
    return [[one.name, one.operator, one.value] for one in matchers]


def from_json(stored: Iterable[Sequence[str]]) -> tuple[Matcher, ...]:
    return tuple(Matcher(name, operator, value) for name, operator, value in stored)


def parse(words: Sequence[str], example: Say) -> tuple[Matcher, ...]:
    """The conditions in the words of a command. Raises CommandError, with the example, for what is none."""
    found = tuple(dict.fromkeys(_matcher(word, example) for word in _joined(words)))
    if len(found) > MOST:
        raise CommandError(_("At most {most} conditions at once.", most=MOST))
    for exact in (one for one in found if one.operator == "=" and "*" not in one.value):
        for other in found:
            if other.name == exact.name and not other.holds(exact.value):
                raise CommandError(
                    _(
                        "No alert can be both {first} and {second}: all conditions have to hold.",
                        first=_printed(min(exact, other, key=found.index)),
                        second=_printed(max(exact, other, key=found.index)),
                    )
                )
    return found


def _printed(one: Matcher) -> str:
    return names.printable(str(one))[:60]


def _joined(words: Sequence[str]) -> list[str]:
    """One word for each condition: `host = db-1` and `host: db-1` are one, and so is `severity warning`."""
    joined: list[str] = []
    for word in (word.strip("{}") for word in words):
        last = joined[-1] if joined else ""
        open_end = _OPERATOR.search(last[-2:]) is not None and last.endswith(("=", "~", ":"))
        if last and (open_end or (_OPERATOR.match(word) and not _OPERATOR.search(last))):
            joined[-1] = last + word
        elif last and last.casefold() in _NAMES and not _OPERATOR.search(word):
            joined[-1] = f"{last}={word}"
        elif word:
            joined.append(word)
    return joined


def _matcher(word: str, example: Say) -> Matcher:
    severity = _SEVERITY_WORDS.get(word.casefold())
    if severity:
        return Matcher("severity", "=", severity)
    parts = _CONDITION.fullmatch(word)
    printed = names.printable(word)[:60]
    if parts is None:
        raise CommandError(
            _(
                "“{word}” is no condition, and no severity ({severities}). Example: {example}",
                word=printed,
                severities=", ".join(SEVERITIES),
                example=example,
            )
        )
    name, operator, value = parts[1], {"==": "=", ":": "="}.get(parts[2], parts[2]), parts[3].strip().strip("\"'“”「」")
    if operator == "=~":
        raise CommandError(
            _(
                "“{word}”: regular expressions are not possible. {contains} means “has it in it”,"
                " and {star} stands for any characters: {glob}",
                word=printed,
                contains="~",
                star="*",
                glob="host~db-*",
            )
        )
    if not value:
        raise CommandError(_("“{word}” lacks a value. Example: {example}", word=printed, example=example))
    if len(value) > VALUE_MAX_CHARS or len(name) > VALUE_MAX_CHARS:
        raise CommandError(
            _("“{start}…” is too long: {most} characters are possible.", start=printed[:20], most=VALUE_MAX_CHARS)
        )
    name = _NAMES.get(name.casefold(), name)
    if name == "severity" and "~" not in operator:
        value = _severity(value)
    return Matcher(name, operator, value)


def _severity(value: str) -> str:
    known = _SEVERITY_WORDS.get(value.casefold())
    if known is None:
        raise CommandError(
            _(
                "“{word}” is no severity. There are {severities}.",
                word=names.printable(value)[:40],
                severities=", ".join(SEVERITIES),
            )
        )
    return known


def _like(text: str, pattern: str) -> bool:
    """Whether the text looks like the pattern, or has it in it when there is no `*`. Linear."""
    if "*" not in pattern:
        return pattern in text
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
