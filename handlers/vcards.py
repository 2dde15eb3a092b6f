"""vCards: read as phones, Outlook and Google write them, and written so that these can read them.

2.1 with quoted-printable (older Android), 3.0 (RFC 2426: iOS, macOS, Google) and 4.0 (RFC 6350) are read; 3.0 is written.
Only names, numbers, mailboxes, categories and the time zone matter here; photos, addresses and the rest are passed over.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass

from handlers.address_books import Entry

# A line that begins with a blank goes on with the one before it; but chats indent lines as well.
_FOLD = re.compile(r"\n[ \t](?!\s*(?:VERSION|FN|N|TEL|EMAIL|CATEGORIES|TZ|LANG|ORG|TITLE)[;:])")
_LINE = re.compile(r"(?:[\w-]+\.)?([A-Za-z][A-Za-z0-9-]*)((?:;(?:[^\":;]|\"[^\"]*\")*)*):(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)")
_CARD = re.compile(r"BEGIN:VCARD[ \t]*\n(.*?)(?:\n\s*END:VCARD|\Z)", re.IGNORECASE | re.DOTALL)
_LATIN = re.compile(r"[\x00-\u024f]*")

NO_PHONES = frozenset({"FAX", "PAGER", "VIDEO", "TEXTPHONE", "MODEM"})
MOBILE = frozenset({"CELL", "IPHONE"})


@dataclass(frozen=True, slots=True)
class _Property:
    """`types` are its parameters' words, in capitals; `value` is decoded but not unescaped."""

    name: str
    types: frozenset[str]
    value: str


def looks_like_one(text: str) -> bool:
    return _CARD.search(text) is not None


def read(text: str) -> list[Entry]:
    """The contacts in the text; a card without a name has the name ""."""
    return [_entry(list(_properties(match[1]))) for match in _CARD.finditer(text)]


def written(entry: Entry) -> str:
    """One vCard 3.0. Long lines are not folded: chats take the blank away that marks a folded one."""
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"FN:{_escaped(entry.name)}", f"N:{_escaped(entry.name)};;;;"]
    lines += [f"TEL;TYPE=CELL:{_escaped(one)}" for one in entry.phones]
    lines += [f"EMAIL:{_escaped(one)}" for one in entry.emails]
    if entry.groups:
        lines.append("CATEGORIES:" + ",".join(_escaped(one) for one in entry.groups))
    if entry.timezone:
        lines.append(f"TZ:{_escaped(entry.timezone)}")
    if entry.language:
        lines.append(f"LANG:{_escaped(entry.language)}")
    return "\n".join((*lines, "END:VCARD"))


def _properties(card: str) -> Iterator[_Property]:
    lines = _FOLD.sub("", card).split("\n")
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        parameters = [part.partition("=") for part in match[2].split(";")[1:]]
        words = frozenset(
            word.strip('" ').upper() for key, _is, value in parameters for word in (value or key).split(",")
        )
        value = match[3]
        if "QUOTED-PRINTABLE" in words:
            while value.endswith("=") and at < len(lines):  # a soft line break
                value = value[:-1] + lines[at].strip()
                at += 1
            charset = next((text for key, _is, text in parameters if key.upper() == "CHARSET"), "utf-8")
            value = _unquoted(value, charset)
        yield _Property(match[1].upper(), words, value)


def _unquoted(value: str, charset: str) -> str:
    raw = quopri.decodestring(value.encode("utf-8"))
    try:
        return raw.decode(charset.strip('" '), "replace")
    except LookupError:
        return raw.decode("utf-8", "replace")


def _entry(properties: list[_Property]) -> Entry:
    def texts(name: str) -> list[str]:
        return [_unescaped(one.value).strip() for one in properties if one.name == name and one.value.strip()]

    numbers = [one for one in properties if one.name == "TEL" and not one.types & NO_PHONES]
    mobile = [one for one in numbers if one.types & MOBILE]  # codes and alerts go by SMS
    name = next(iter(texts("FN")), "") or _of_parts(next((one.value for one in properties if one.name == "N"), ""))
    return Entry(
        name=" ".join(name.split()),
        phones=tuple(_number(one.value) for one in mobile or numbers if one.value.strip()),
        emails=tuple(text.removeprefix("mailto:") for text in texts("EMAIL")),
        groups=tuple(
            group
            for one in properties
            if one.name == "CATEGORIES"
            for part in re.split(r"(?<!\\),", one.value)
            if (group := _unescaped(part).strip())
        ),
        language=next(iter(texts("LANG")), ""),
        timezone=next((zone for zone in texts("TZ") if "/" in zone), ""),
    )


def _number(value: str) -> str:
    """Without the scheme and parameters that 4.0 writes: `tel:+86-138-0013-8000;ext=1`."""
    number = _unescaped(value).strip()
    return number[4:].partition(";")[0] if number[:4].lower() == "tel:" else number


def _of_parts(value: str) -> str:
    """The name of `N`: family name; given name; others. Chinese, Japanese and Korean ones begin with the family name."""
    family, given, *_others = [_unescaped(part).strip() for part in re.split(r"(?<!\\);", value)] + [""]
    if not _LATIN.fullmatch(family + given):
        return f"{family}{given}"
    return f"{given} {family}".strip()


def _escaped(text: str) -> str:
    return re.sub(r"([\\,;])", r"\\\1", text).replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], text)
