"""Names of contacts, groups and sources: what is allowed, and when two are the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from rapidfuzz import fuzz, process

from handlers import examples
from handlers.errors import CommandError
from handlers.texts import Say, _

LONGEST = 64

_URL = re.compile(r"(?i)\S*(?:://|access_token=|/hook/|webhook/send|hooks\.slack)\S*")


def key(name: str) -> str:
    """Equal for names that differ only in case, width or blanks."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def checked(name: str) -> str:
    """The name, trimmed, blanks inside single. Raises CommandError when it is empty, too long or has control characters."""
    trimmed = " ".join(name.split())
    if not trimmed:
        raise CommandError(_("A name is missing. Example: {example}", example=examples.ADD_CONTACT))
    if len(trimmed) <= LONGEST and len(key(trimmed)) > 4 * LONGEST:  # letters that are whole sentences
        raise CommandError(
            _(
                "The name “{start}…” is too long: written out it has {length} characters, {most} are possible.",
                start=trimmed[:20],
                length=len(key(trimmed)),
                most=4 * LONGEST,
            )
        )
    if len(trimmed) > LONGEST:
        raise CommandError(
            _(
                "The name “{start}…” is too long: {length} characters, {most} are possible.",
                start=trimmed[:20],
                length=len(trimmed),
                most=LONGEST,
            )
        )
    if "@" in trimmed:  # an address that was not recognised, most likely; and it would look like a mention
        raise CommandError(
            _(
                "“{name}” cannot be a name, because it has an @. An email address looks like this: {example}",
                name=printable(trimmed),
                example="li.lei@example.com",
            )
        )
    if any(unicodedata.category(ch) in ("Cc", "Cs", "Cf", "Co", "Cn") for ch in trimmed):
        raise CommandError(_("The name “{name}” has characters that cannot be shown.", name=printable(trimmed)))
    return trimmed


def printable(text: str) -> str:
    """The text with what cannot be shown or stored replaced, and without URLs: a webhook's is a secret."""
    text = _URL.sub("…", text)
    return "".join("\ufffd" if unicodedata.category(ch) in ("Cc", "Cs") else ch for ch in text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody most likely meant."""
    found = process.extractOne(key(name), {one: key(one) for one in known}, score_cutoff=70)
    return str(found[2]) if found else None


def alike(one: str, other: str) -> bool:
    """Whether the one may be the other, as a whole, with a slip of the keyboard."""
    return fuzz.ratio(key(one), key(other)) >= 85


def unknown(what: str, name: str, known: Iterable[str]) -> CommandError:
    """The error for a contact, group or source that does not exist, with the nearest one that does."""
    shown = printable(name)[:LONGEST]
    close = nearest(name, known)
    sentences: dict[tuple[str, bool], Say] = {
        ("contact", True): _("There is no contact “{name}”. Did you mean “{close}”?", name=shown, close=close),
        ("contact", False): _("There is no contact “{name}”. “contact list” shows all.", name=shown),
        ("group", True): _("There is no group “{name}”. Did you mean “{close}”?", name=shown, close=close),
        ("group", False): _("There is no group “{name}”. “group list” shows all.", name=shown),
        ("source", True): _("There is no alert source “{name}”. Did you mean “{close}”?", name=shown, close=close),
        ("source", False): _("There is no alert source “{name}”. “source list” shows all.", name=shown),
        ("target", True): _("There is no contact or group “{name}”. Did you mean “{close}”?", name=shown, close=close),
        ("target", False): _("There is no contact or group “{name}”.", name=shown),
    }
    return CommandError(sentences[what, close is not None])
