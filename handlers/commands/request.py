"""What the parser makes of a text: which command was meant, in which language, with which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from handlers.texts import Language


@dataclass(frozen=True, slots=True)
class Form:
    """How one command is written.

    name    the canonical English form, `contact add`; `<verb> <noun>` (`add contact`) is understood as well
    en      further English spellings ("contacts" for "contact list" ...)
    zh      Chinese spellings, the documented one first; a value may follow one without a blank (`添加联系人张伟`)
    keys    the canonical keys that may stand among its values (see `KEYS` in the parser): "to", "note", "members" ...
    text    True: after `lead` words everything is free text, kept as typed, not searched for shapes or keys
    lead    with `text`: how many words (quotes keep one together) come before the free text
    """

    name: str
    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    text: bool = False
    lead: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A command with its values.

    form      name of the form: "contact add"; also "code", "yes", "no", "more"
    language  of the words that were used
    names     what is left after shapes and keys, split at commas (, ， 、 ;): `Zhang Wei, Li Lei` are two; blanks inside kept
    words     the same, as single words (a quoted run is one word), commas gone
    phones    as typed, one string each ("+86 138 0013 8000" is one); emails, urls likewise
    codes     six-digit words (with form "code": the digits)
    numbers   alert or delivery numbers: `42`, `#42`
    mentions  person ids: typed `platform:workspace/user`, or those the platform delivered
    keys      canonical key -> its value as typed ("to" -> "dba, ops"); unquoted, trimmed
    text      free text of forms with `text`; "" else
    rest      everything after the words of the command, as typed
    """

    form: str
    language: Language
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    mentions: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    rest: str = ""
