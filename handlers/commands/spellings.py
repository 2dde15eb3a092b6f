"""Which command the first words of a text are, and which ones they were nearly.

A spelling is a tuple of units: an English word, or one Chinese character, so that blanks, case and width do not matter
and both languages may mix (`联系人 list`). The longest spelling that begins the text wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz, process

from handlers.commands.request import Form
from handlers.commands.words import (
    APART,
    CJK,
    CODED,
    NEUTRAL,
    NOUNS,
    NUMBERED,
    SYNONYMS,
    VERBS,
    VERBS_OF_FORM,
    WHOLE,
    folded,
)
from handlers.texts import Language

Units = tuple[str, ...]

_UNIT = re.compile(rf"[\s_\-]*([a-z]+|\?|[{CJK}])")
_CJK = re.compile(f"[{CJK}]")
# What may follow an English word that ends a command: not the rest of another word, address or name (`me@`, `test-db`).
_AFTER_WORD = re.compile(rf"$|[\s:,;=#\"“”‘「『()<+!?。、…~`\[]|[.\-](?![a-z0-9])|[{CJK}]")
_AFTER_APART = re.compile(rf"(?![{CJK}])")
_END = re.compile(r"[\s.。!?~…,;、]*$")
_PARTICLES = re.compile(r"[的吧啊呀哦啦了]?[\s.。!?~…,;、]*$")

LONGEST = 10
"""Units of the longest spelling that is looked up."""

MAX_SUGGESTIONS = 3
_NEAR = 70  # of 100: `contcat ad` has 86, words that share only some letters stay below
_CLOSE = 12  # what is further behind the best one is no help


def units(fold: str, start: int = 0) -> list[tuple[str, int]]:
    """The first units of a folded text from `start`, each with the place where it ends."""
    found: list[tuple[str, int]] = []
    while len(found) < LONGEST and (match := _UNIT.match(fold, start)):
        start = match.end()
        found.append((match[1], start))
    return found


def is_chinese(spelling: Units | str) -> bool:
    """Whether any of it is written in Chinese."""
    return any(_CJK.match(char) for unit in spelling for char in unit)


@dataclass(frozen=True, slots=True)
class Head:
    """The command a text begins with; `end` is where its words end, `language` None when the words do not tell."""

    form: Form
    end: int
    language: Language | None


@dataclass(frozen=True, slots=True)
class _Spelling:
    form: Form
    documented: bool = False
    whole: bool = False
    apart: bool = False


class Lexicon:
    """Every way to write the given forms."""

    def __init__(self, forms: tuple[Form, ...]) -> None:
        self.forms = {form.name: form for form in forms}
        self.spellings: dict[Units, _Spelling] = {}
        # Earlier ones win: what a form documents, then the other order of its words, then synonyms.
        for form in forms:
            for text in (form.name, *form.en, *form.zh):
                self._add(text, form, documented=True)
        for form in forms:
            if form.name.count(" ") == 1:
                self._add(" ".join(reversed(form.name.split())), form)
        for form in forms:
            for text in _variants(form):
                self._add(text, form)
            for text in SYNONYMS.get(form.name, ()):
                self._add(text, form)
        for noun, (_singular, plural, chinese) in NOUNS.items():
            if form_of_list := self.forms.get(f"{noun} list"):
                for text in plural:
                    self._add(text, form_of_list)
                for text in chinese:
                    self._add(text, form_of_list, whole=True)
        self._english = _candidates(self.spellings, chinese=False)
        self._chinese = _candidates(self.spellings, chinese=True)

    def _add(self, text: str, form: Form, *, documented: bool = False, whole: bool = False) -> None:
        key = tuple(unit for unit, _end in units(folded(text)))
        if key:
            whole = whole or form.name in WHOLE
            self.spellings.setdefault(key, _Spelling(form, documented, whole, "".join(key) in APART))

    def head(self, fold: str, start: int) -> Head | None:
        """The longest spelling that stands at `start` of a folded text, None when there is none."""
        found = units(fold, start)
        for count in range(len(found), 0, -1):
            key = tuple(unit for unit, _end in found[:count])
            end = found[count - 1][1]
            if (spelling := self.spellings.get(key)) and _may_end(spelling, key, fold, end):
                neutral = len(key) == 1 and key[0] in NEUTRAL
                return Head(spelling.form, end, None if neutral else "zh" if is_chinese(key) else "en")
        return None

    def nearest(self, fold: str, start: int) -> tuple[str, ...]:
        """Names of the forms that are written most nearly like the beginning of the text, best first."""
        ends = units(fold, start)
        found = [unit for unit, _end in ends]
        if not found:
            return ()
        scores: dict[str, float] = {}
        chinese = is_chinese(found[0])
        table = self._chinese if chinese else self._english
        joint = "" if chinese else " "
        for length, candidates in table.items():
            for said in {
                joint.join(found[: length + more]) for more in ((-1, 0, 1) if chinese else (0,)) if length + more
            }:
                for spelled, score, _key in process.extract(
                    said, candidates.keys(), scorer=fuzz.ratio, score_cutoff=_NEAR, limit=5
                ):
                    name, documented = candidates[spelled]
                    # Of equally near ones, what is documented and what explains more of the text.
                    score += (0 if documented else -6) + (-6 if length == 1 < len(found) else min(len(spelled), 12) / 4)
                    if score >= _NEAR:
                        scores[name] = max(scores.get(name, 0), score)
        if chinese and not scores and (pair := self._pair(fold, ends)):
            return (pair,)
        ranked = sorted(scores, key=lambda name: -scores[name])
        ranked = [name for name in ranked if scores[name] > scores[ranked[0]] - _CLOSE]
        noun = _noun(found[0])
        begun = "".join(found) if chinese and len(found) > 1 else "\n"
        family = [
            form.name
            for form in self.forms.values()
            if form.name.split()[0] == noun
            or form.name.startswith(f"{found[0]} ")
            or any(one.startswith(begun) for one in form.zh)
        ]
        if not ranked or scores[ranked[0]] <= 80:
            ranked = [*ranked[:1], *family, *ranked[1:]]
        elif len(found) == 1 and not chinese:
            ranked = [*family, *ranked]
        return tuple(dict.fromkeys(ranked))[:MAX_SUGGESTIONS]

    def _pair(self, fold: str, ends: list[tuple[str, int]]) -> str:
        """The one form whose two characters differ in one from the first word, if that has two; "" for none or several.

        Half of a word is wrong then, which is too much for a ratio; and a longer word or sentence only begins like it.
        """
        if len(ends) < 2 or ends[1][1] - ends[0][1] != 1 or _CJK.match(fold, ends[1][1]):
            return ""
        (first, _), (second, _) = ends[:2]
        near = {
            name
            for spelled, (name, documented) in self._chinese.get(2, {}).items()
            if documented and (spelled[0] == first) != (spelled[1] == second)
        }
        return near.pop() if len(near) == 1 else ""

    def spelled(self, names: tuple[str, ...], language: Language) -> tuple[str, ...]:
        """The forms of those names as that language documents them; names without a form are left out."""
        forms = (self.forms[name] for name in names if name in self.forms)
        return tuple(form.zh[0] if language == "zh" and form.zh else form.name for form in forms)


@lru_cache(maxsize=8)
def lexicon(forms: tuple[Form, ...]) -> Lexicon:
    """The lexicon of a table of forms; built once."""
    return Lexicon(forms)


def _may_end(spelling: _Spelling, key: Units, fold: str, end: int) -> bool:
    """Whether the command can end there, rather than being the beginning of a longer word or sentence."""
    if spelling.whole:
        return (_PARTICLES if is_chinese(key) else _END).match(fold, end) is not None
    if spelling.apart:
        return _AFTER_APART.match(fold, end) is not None
    if is_chinese(key[-1]) or key[-1] == "?":
        return True
    if (spelling.form.name in NUMBERED or spelling.form.name in CODED) and fold[end : end + 1].isdecimal():
        return True  # ack42, code123456
    return _AFTER_WORD.match(fold, end) is not None


def _variants(form: Form) -> Iterator[str]:
    """Noun and verb of a two-word form in either order, number and language, and with their synonyms."""
    noun, _blank, verb = form.name.partition(" ")
    if noun not in NOUNS:
        return
    singular, plural, chinese = NOUNS[noun]
    english_verbs, chinese_verbs = VERBS_OF_FORM.get(form.name) or VERBS.get(verb, ((verb,), ()))
    verbs = (*english_verbs, *chinese_verbs)
    if verb == "list":
        for word in VERBS["show"][0]:
            yield from (f"{word} {many}" for many in plural)
        for word in (*VERBS["show"][1][:2], "所有", "全部"):
            yield from (f"{word}{one}列表" for one in chinese)
        yield from (f"{every}{one}" for every in ("所有", "全部") for one in chinese)
    for word in verbs:
        yield from (f"{one} {word}" for one in (*singular, *plural, *chinese))
        # "show contacts" is a list, and was given above.
        yield from (f"{word} {one}" for one in (*singular, *(() if verb == "show" else plural), *chinese))


def _candidates(spellings: dict[Units, _Spelling], *, chinese: bool) -> dict[int, dict[str, tuple[str, bool]]]:
    """For each number of units, the spellings as text with form and whether it is documented."""
    table: dict[int, dict[str, tuple[str, bool]]] = {}
    for key, spelling in spellings.items():
        length = sum(map(len, key))
        # One short word is near to anything: `me`, `ok`, 我.
        telling = length > 1 if chinese else length > 2
        if (
            telling
            and (spelling.documented or not spelling.whole)
            and (all(map(is_chinese, key)) if chinese else not is_chinese(key))
        ):
            table.setdefault(len(key), {}).setdefault(
                ("" if chinese else " ").join(key), (spelling.form.name, spelling.documented)
            )
    return table


def _noun(word: str) -> str:
    """The noun of our forms that an English word is, exactly or nearly; "" when it is none."""
    nouns = {spelled: noun for noun, (one, many, _zh) in NOUNS.items() for spelled in (*one, *many)}
    found = process.extractOne(word, nouns.keys(), scorer=fuzz.ratio, score_cutoff=75)
    return nouns[found[0]] if found else ""
