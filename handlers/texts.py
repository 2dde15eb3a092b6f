"""Texts for people, in two languages, from one catalogue.

A text is written in English where it is used, `_("Contact {name} is added.", name=name)`, and stays a `Text` (message and
values) until the language of the reader is known; `render` then looks it up in `locale/<language>.po`. A test fails for
every message that a catalogue lacks. Plurals: `n_("{n} contact", "{n} contacts", n)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from babel.messages.pofile import read_po

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

LOCALES = Path(__file__).parent / "locale"


@dataclass(frozen=True, slots=True)
class Text:
    """A message of the catalogue with its values; values may themselves be `Text`."""

    message: str
    values: Mapping[str, Any] = field(default_factory=dict)
    plural: str | None = None

    def __str__(self) -> str:
        return render(self, "en")


@dataclass(frozen=True, slots=True)
class Both:
    """Words that stand in neither catalogue, once in each language: commands to copy."""

    en: str
    zh: str

    def __str__(self) -> str:
        return self.en


Say = str | Text | Both
"""Something to say: a text of the catalogue, or words that are the same in every language (names, values)."""


def _(message: str, /, **values: Any) -> Text:
    """A message of the catalogue; `{name}` in it is replaced by the value of that name."""
    return Text(message, values)


def n_(one: str, many: str, n: int, /, **values: Any) -> Text:
    """A message that depends on a number; `{n}` in it is the number."""
    return Text(one, {"n": n, **values}, many)


@cache
def catalogue(language: Language) -> dict[str, str]:
    """Message -> translation, for plurals by the singular form (Chinese has one form)."""
    path = LOCALES / f"{language}.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        messages = read_po(file)
    table: dict[str, str] = {}
    for entry in messages:
        if not entry.id:
            continue
        key = entry.id if isinstance(entry.id, str) else entry.id[0]
        string = entry.string if isinstance(entry.string, str) else (entry.string or ("",))[0]
        if string:
            table[key] = string
    return table


def render(say: Say, language: Language) -> str:
    """The words in that language; English where the catalogue has no translation."""
    if isinstance(say, str):
        return say
    if isinstance(say, Both):
        return say.zh if language == "zh" else say.en
    message = say.message
    if say.plural is not None and language == "en" and say.values["n"] != 1:
        message = say.plural
    if language != "en":
        message = catalogue(language).get(say.message, message)
    values = {k: render(v, language) if isinstance(v, Text | Both) else v for k, v in say.values.items()}
    return message.format_map(values) if values else message


def to_json(say: Say) -> Any:
    """A text as JSON, for failures that are kept and read later in somebody else's language."""
    if isinstance(say, str):
        return say
    if isinstance(say, Both):
        return {"en": say.en, "zh": say.zh}
    values = {k: to_json(v) if isinstance(v, Text | Both) else v for k, v in say.values.items()}
    return {"message": say.message, "values": values, "plural": say.plural}


def from_json(stored: Any) -> Say:
    """The text that `to_json` wrote."""
    if not isinstance(stored, dict):
        return str(stored or "")
    if "message" not in stored:
        return Both(stored["en"], stored["zh"])
    return Text(
        stored["message"],
        {k: from_json(v) if isinstance(v, dict) else v for k, v in stored["values"].items()},
        stored["plural"],
    )
