"""The values of one known command, sorted into the fields of a `Request`.

Free text is taken as typed; everything else is read token by token, each by what stands next to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from handlers.commands.request import Form, Request
from handlers.commands.tokens import Token, scan_end, tokens
from handlers.commands.words import (
    CJK,
    DURATION,
    LISTS,
    NUMBERED,
    OPENERS,
    SEPARATORS,
    SHAPE_OF_KEY,
    TEXTS,
    closing,
    folded,
    names_of,
)
from handlers.texts import Language

_LEAD_WORD = re.compile(rf"#?\d+(?=[{CJK}:=])|(?:(?!:[{CJK}])[^\s,;、])+")
_BLANK = re.compile(r"[^\S\n]+")
_RAW_WORD = re.compile(r"[\s,;]*([^\s，；、]+)")
AFTER_HEAD = re.compile(r"[\s:;,=!?。、…~`]*")
_STOPPERS = frozenset({"phone", "email", "url", "person", "mention", "secret"})
"""Shapes that end the value of a key; numbers, codes and durations may be part of it."""


def free_text(form: Form, language: Language, rest: str, fold: str, mentions: tuple[str, ...]) -> Request:
    """A request whose values are `lead` words and then text as typed."""
    words: list[str] = []
    numbers: list[int] = []
    at = 0
    while len(words) < form.lead:
        while at < len(fold) and (fold[at].isspace() or fold[at] in SEPARATORS):
            at += 1
        if at >= len(fold):
            break
        if fold[at] in OPENERS and (end := closing(fold, at)) >= 0:
            words.append(rest[at + 1 : end].strip())
            at = end + 1
            continue
        match = _LEAD_WORD.match(fold, at)
        end = match.end() if match else at + 1
        if (colon := rest.find("：", at + 1, end)) >= 0:  # no blank is typed around it
            end = colon
        word = fold[at:end].rstrip(":=")
        digits = word.removeprefix("#")
        if digits.isdecimal() and len(digits) <= 18:
            numbers.append(int(digits))
        words.append(rest[at : at + len(word)])
        at = end
    after = AFTER_HEAD.match(fold, at) if form.lead else None
    text = rest[after.end() if after else at :].strip()
    digits_are_names = form.name not in NUMBERED
    names = tuple(word for word in words if digits_are_names or not folded(word).removeprefix("#").isdecimal())
    return Request(
        form.name,
        language,
        names=names,
        words=tuple(words),
        numbers=tuple(numbers),
        mentions=mentions,
        text=text,
        rest=rest,
    )


@dataclass(slots=True)
class Values:
    """Reads the values of one command: first into tokens, then by what each one is next to."""

    form: Form
    text: str
    fold: str
    tokens: list[Token] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    persons: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    named: bool = False  # a value was read already, so that keys may follow

    def read(self) -> None:
        self.tokens = tokens(self.form, self.text, self.fold, scan_end(self.fold))
        timed = any(token.kind == "key" and token.text == "for" for token in self.tokens)
        at = 0
        while at < len(self.tokens):
            at = self._key(at) if self._is_key(at) else self._values(at, timed=timed)

    # keys

    def _is_key(self, at: int, *, within: str = "", empty: bool = False) -> bool:
        """Whether the token is a key here.

        within  the key whose value it would end, "" outside of one
        empty   that value has not begun yet
        """
        token = self.tokens[at]
        if token.kind != "key":
            return False
        following = self._behind(at)
        shaped = following is not None and following.kind == SHAPE_OF_KEY.get(token.text)
        if token.text not in self.form.keys:
            return shaped and not within  # "verify Ann phone 138…": the word only says what follows
        if token.explicit:
            # `silence reason=OOMKilled for 2h`: what comes first is a label, not the reason.
            return self.named or " " in self.form.name or token.text not in TEXTS
        typed = self.text[token.start : token.end]
        if token.glued and (empty or (token.text in SHAPE_OF_KEY and not shaped)):
            return False  # 加入 备注组, 电话组
        if typed.istitle() and typed == "Robot":
            return False  # a contact may well be called "DB Robot"
        if folded(typed).startswith("group"):
            return (within == "to" and empty) or (self._names_contact(following) and not within)
        if token.text == "for" and within in TEXTS:
            return DURATION.match(self.fold, self._skip_blank(token.end)) is not None
        if within or self.named or " " not in self.form.name:
            return True
        # The first value of a two-word command is a name, unless the key cannot be meant as one.
        return shaped or (
            token.text == "name" and following is not None and self.form.name.endswith((" add", " create"))
        )

    def _behind(self, at: int) -> Token | None:
        """What follows the key; behind a name also past a comma, where that has the key's shape (`电话，138…`)."""
        following, after = (self.tokens[one] if one < len(self.tokens) else None for one in (at + 1, at + 2))
        past = self.named and following is not None and following.text == ","
        return after if past and after and after.kind == SHAPE_OF_KEY.get(self.tokens[at].text) else following

    def _names_contact(self, following: Token | None) -> bool:
        """Whether `group x` may be short for `to x`: for contacts only, where "group" is not the noun."""
        plain = following is not None and following.kind in ("word", "quote")
        return self.form.name.startswith("contact") and self.named and "to" not in self.keys and plain

    def _key(self, at: int) -> int:
        """Takes the key at `at` with its value; returns where to go on."""
        token = self.tokens[at]
        if token.text not in self.form.keys:
            return at + 1
        if token.text in TEXTS:
            value, at = self._text_value(at)
        elif token.text in ("secret", "language", "timezone", "mention", "for"):
            value, at = self._word_value(at)
        elif token.text in SHAPE_OF_KEY:
            value, at = self._shape_value(at)
        else:
            value, at = self._run_value(at)
        if value and token.text in LISTS and self.keys.get(token.text):
            value = f"{self.keys[token.text]}, {value}"
        # A second one without a value is told as well: it would be left out otherwise.
        if not value or token.text not in SHAPE_OF_KEY or not self.keys.get(token.text):
            self.keys[token.text] = value
        self.named = True
        return at

    def _text_value(self, at: int) -> tuple[str, int]:
        """Running text up to the next key, shapes and separators included."""
        start, end = self.tokens[at].end, at + 1
        while end < len(self.tokens) and not self._is_key(end, within=self.tokens[at].text, empty=end == at + 1):
            end += 1
        if end == at + 2 and self.tokens[at + 1].kind == "quote":
            return self.tokens[at + 1].text.strip(), end
        if end == len(self.tokens):
            return self.text[start:].strip(), end
        return self.text[start : self.tokens[end].start].strip(" \n\t,，;；、"), end

    def _word_value(self, at: int) -> tuple[str, int]:
        """One word as typed, or a duration; nothing in it is a shape or a key (secrets look like anything)."""
        token = self.tokens[at]
        start = self._skip_blank(token.end)
        if at + 1 < len(self.tokens) and self.tokens[at + 1].kind == "quote" and self.tokens[at + 1].start == start:
            return self.tokens[at + 1].text.strip(), at + 2
        if token.text == "for" and (match := DURATION.match(self.fold, start)):
            value, end = self.text[start : match.end()], match.end()
        elif (word := _RAW_WORD.match(self.text, start)) and start < len(self.text):
            value, end = word[1].rstrip(",;" if token.text == "secret" else ",;.。!！?？"), word.end()
        else:
            return "", at + 1
        at += 1
        while at < len(self.tokens) and self.tokens[at].start < end:
            at += 1
        return value, at

    def _shape_value(self, at: int) -> tuple[str, int]:
        """A phone number, address or URL; when none follows, the words that were given for one."""
        token = self.tokens[at]
        following = self._behind(at)
        into = {"phone": self.phones, "email": self.emails, "webhook": self.urls}[token.text]
        if following is None or following.kind == "separator":
            return "", at + 1
        if following is not self.tokens[at + 1]:
            at += 1
        if following.kind in (SHAPE_OF_KEY[token.text], "quote"):
            value, end = following.text.strip(), at + 2
        else:
            end = at + 1
            while (
                end < len(self.tokens)
                and self.tokens[end].kind not in _STOPPERS | {"separator", "quote"}
                and not self._is_key(end, within=token.text)
            ):
                end += 1
            value = self.text[token.end : self.tokens[end - 1].end].strip() if end > at + 1 else ""
        if value:
            into.append(value)
        return value, end

    def _run_value(self, at: int) -> tuple[str, int]:
        """Names up to the next key or shape that cannot be part of them."""
        token = self.tokens[at]
        if at + 1 < len(self.tokens) and self.tokens[at + 1].text == token.text:
            at += self._is_key(at + 1, within=token.text, empty=True)  # to group dba
        end = at + 1
        while (
            end < len(self.tokens)
            and self.tokens[end].kind not in _STOPPERS
            and not self._is_key(end, within=token.text, empty=end == at + 1)
        ):
            end += 1
        given = self.tokens[at + 1 : end]
        while given and given[-1].kind == "separator":
            given.pop()
        while given and given[0].kind == "separator":
            given.pop(0)
        if not given:
            return "", end
        if len(given) == 1 and given[0].kind == "quote":
            inside = given[0].text.strip()
            is_list = token.text in LISTS and not self.form.name.endswith(" rename")
            if not is_list or names_of(inside) == (inside,):
                return inside, end
        value = self.text[given[0].start : given[-1].end]
        if token.text in LISTS and not self.form.name.endswith(" rename"):
            return value.strip(), end
        return " ".join(value.split()), end

    def _skip_blank(self, at: int) -> int:
        match = _BLANK.match(self.fold, at)
        return match.end() if match else at

    # names, words and shapes

    def _values(self, at: int, *, timed: bool) -> int:
        """Takes what is no key, up to the next key or the end of a name; returns where to go on."""
        token = self.tokens[at]
        if token.kind == "quote":
            self._name(token.text.strip())
            return at + 1
        kinds = {"word", "key"} | ({"duration"} if timed or "for" in self.keys else set())
        if token.kind not in kinds:
            self._shape(token)
            return at + 1
        name: list[str] = []
        previous = token.start
        while at < len(self.tokens):
            token = self.tokens[at]
            touching = bool(name) and token.start == previous
            if token.kind == "quote" and touching and name[-1].endswith(("=", "~", ":")):
                name[-1] += token.text  # label="a value with blanks"
            elif token.kind not in kinds or (name and self._is_key(at)):
                break
            elif touching:
                name[-1] += self.text[token.start : token.end].rstrip()
            else:
                name.extend(self.text[token.start : token.end].split())
            self.named = True
            previous = token.end
            at += 1
        self._plain(name)
        return at

    def _plain(self, words: list[str]) -> None:
        """A name of unquoted words; digits among them are also noted as numbers and codes."""
        for word in words:
            digits = folded(word)
            if digits.isdecimal() and len(digits) <= 18:
                self.numbers.append(int(digits))
                if len(digits) == 6:
                    self.codes.append(digits)
        self.words.extend(words)
        if words:  # a lone bracket is none
            self.names.append(" ".join(words))

    def _name(self, name: str) -> None:
        if name:
            self.named = True
            self.names.append(name)
            self.words.append(name)

    def _shape(self, token: Token) -> None:
        lists = {
            "phone": self.phones,
            "email": self.emails,
            "url": self.urls,
            "code": self.codes,
            "person": self.persons,
        }
        self.named = self.named or token.kind != "separator"
        if token.kind in lists:
            lists[token.kind].append(token.text)
        elif token.kind == "number":
            self.numbers.append(int(token.text))
            if len(token.text) == 6 and self.text[token.start] not in "#＃":
                self.codes.append(token.text)
        elif token.kind == "secret" and "secret" in self.form.keys:
            self.keys.setdefault("secret", token.text)
        elif token.kind == "duration":
            self.keys.setdefault("for", token.text)


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """The values in their order, each once."""
    return tuple(dict.fromkeys(values))
