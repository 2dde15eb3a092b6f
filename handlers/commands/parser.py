"""From what a person typed to the command that was meant: `parse`. Pure; needs no place, person or time.

    text -> cleaned, folded -> head (which command: `spellings`) -> tokens (`shapes`, quotes, keys, words) -> Request

Decisions that are not visible in the table of commands:

- A key needs a value before it where the command begins with a name: a contact may be called "To" (`contact add To
  138…`). With `:` or `=` behind it a key is one everywhere.
- A shape, a comma, a line break and a quote end a name; blanks do not.
- A quoted run is one name or word, whatever is in it. A quote that is never closed is an ordinary character.
- Phone, email and webhook values given by key are in `keys` and in `phones`, `emails`, `urls` alike, also malformed
  ones, so that one place refuses them all.
- `#42` is always a number. Bare digits are one only where the command takes numbers; elsewhere they also are part of a
  name (`group show Team 7`).
- `verify 123456`, without a name, is `code 123456`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from handlers.commands.request import Form, Request
from handlers.commands.shapes import shape_at
from handlers.commands.spellings import Head, Lexicon, is_chinese, lexicon, units
from handlers.commands.values import AFTER_HEAD, Values, free_text, unique
from handlers.commands.words import CODE_WORDS, WHOLE, cleaned, duration, folded, names_of, quoted
from handlers.errors import CommandError
from handlers.texts import Language, Say, _

__all__ = ["MAX_CHARS", "UnknownCommand", "duration", "names_of", "parse", "quoted"]

MAX_CHARS = 10_000
"""Longer messages are refused as a whole: cutting them would carry out half of what was said."""


# What chats and people leave before a command: a slash, the bot's name, a mention, a list mark, a please.
_LEAD = re.compile(
    r"(?:[\s/`>•,:;.!、。*]+|-\s|<@[^<>\n]{0,200}>|@callboard(?![a-z0-9_])|callboard(?=[\s:,]+\S)|@\S{1,100}(?:\s|$)"
    r"|please\b|请帮我|请|帮我|麻烦)*"
)
_BARE_CODE = re.compile(r"[\s\"'“”「」\[\]【】().。!,]*(\d{3})[\s-]?(\d{3})[\s\"'“”「」\[\]【】().。!,]*")
_INNER_CODE = re.compile(r"(?<![\w+.:/#-])(\d{3})[ -]?(\d{3})(?![\w/@-]|[.:]\d)", re.ASCII)
_SAYS_CODE = re.compile(r"\bcode\b|验证码|校验码")


class UnknownCommand(CommandError):
    """I do not know that command.

    suggestions  the nearest commands, spelled in `language`, best first; may be empty
    language     of what was typed
    """

    def __init__(self, suggestions: tuple[str, ...], language: Language, say: Say) -> None:
        self.suggestions = suggestions
        self.language: Language = language
        super().__init__(say)


def parse(text: str, forms: Sequence[Form], *, mentions: Sequence[str] = (), language: Language = "zh") -> Request:
    """The command and its values.

    mentions  person ids the platform delivered with the text
    language  of the conversation, for words that do not tell (`123456`, `ok`)

    Raises UnknownCommand, which names the nearest commands, and CommandError for a text that is too long; nothing else.
    """
    text = text.strip()
    if len(text) > MAX_CHARS:
        raise CommandError(
            _(
                "That message is too long ({n} characters, at most {most} work): please send it in parts.",
                n=len(text),
                most=MAX_CHARS,
            )
        )
    text = cleaned(text)
    fold = folded(text)
    table = lexicon(tuple(forms))
    lead = _LEAD.match(fold)
    start = lead.end() if lead else 0
    if "code" in table.forms and (match := _BARE_CODE.fullmatch(fold, start)):
        digits = match[1] + match[2]
        return Request("code", language, codes=(digits,), mentions=unique(mentions), rest=text[start:].strip())
    head = table.head(fold, start)
    if head is None:
        if (code := _code_in_sentence(fold[start:])) and "code" in table.forms:
            spoken: Language = "zh" if is_chinese(fold[start:]) else "en"
            return Request("code", spoken, codes=(code,), mentions=unique(mentions), rest=text[start:].strip())
        raise _unknown(table, fold, start, language)
    return _request(head, text, fold, mentions, head.language or language)


def _request(head: Head, text: str, fold: str, mentions: Sequence[str], language: Language) -> Request:
    """The request for a known command: everything behind its words, read as that command takes it."""
    after = AFTER_HEAD.match(fold, head.end)
    start = after.end() if after else head.end
    rest, rest_fold = text[start:].rstrip(), fold[start:]
    rest_fold = rest_fold[: len(rest)]
    form = head.form
    if form.name in WHOLE:
        return Request(form.name, language, mentions=unique(mentions))
    if form.text:
        return free_text(form, language, rest, rest_fold, unique(mentions))
    values = Values(form, rest, rest_fold)
    values.read()
    request = Request(
        form=form.name,
        language=language,
        names=tuple(values.names),
        words=tuple(values.words),
        phones=unique(values.phones),
        emails=unique(values.emails),
        urls=unique(values.urls),
        codes=unique(values.codes),
        numbers=tuple(dict.fromkeys(values.numbers)),
        mentions=unique((*mentions, *values.persons)),
        keys=values.keys,
        rest=rest,
    )
    return _as_code(request, rest_fold)


def _as_code(request: Request, rest_fold: str) -> Request:
    """The request with its code when it is `code`, or `verify` and `me` with nothing but digits; else as it is."""
    given = request.phones or request.emails or request.urls or request.keys
    spare = {word for name in request.names for word in folded(name).split()} <= CODE_WORDS
    if request.form != "code" and (request.form not in ("verify", "me") or not request.codes or given or not spare):
        return request
    found = _INNER_CODE.search(rest_fold)
    codes = (found[1] + found[2],) if found else request.codes
    return Request("code", request.language, codes=codes[:1], mentions=request.mentions, rest=request.rest)


def _code_in_sentence(fold: str) -> str:
    """The one six-digit number of a short text that speaks of a code (a copied message, say); "" when there is none."""
    if len(fold) > 300 or not _SAYS_CODE.search(fold):
        return ""
    found = {match[1] + match[2] for match in _INNER_CODE.finditer(fold)}
    return found.pop() if len(found) == 1 else ""


def _unknown(table: Lexicon, fold: str, start: int, language: Language) -> UnknownCommand:
    """The error for a text that is no command; names what was nearly said, or what its values are for."""
    names = _by_value(fold, start)
    if not names and (said := units(fold, start)):
        language = "zh" if is_chinese(said[0][0]) else "en"
    names = names or table.nearest(fold, start)
    suggestions = table.spelled(names, language)
    if not suggestions:
        return UnknownCommand(
            (),
            language,
            _("I did not find a command in that; say “{help}” to see what works here.", help=_help(language)),
        )
    shown = ("、" if language == "zh" else ", ").join(suggestions)
    return UnknownCommand(
        suggestions,
        language,
        _(
            "I do not know that command. Did you mean: {commands}? Say “{help}” to see what works here.",
            commands=shown,
            help=_help(language),
        ),
    )


def _help(language: Language) -> str:
    return "帮助" if language == "zh" else "help"


def _by_value(fold: str, start: int) -> tuple[str, ...]:
    """What a text without any command was probably for: an address for a contact, digits for an alert or a code."""
    value = fold[start:].strip()
    if not value:
        return ()
    shape = shape_at(value, value, 0, numbered=False, coded=False, timed=False)
    if shape and shape.kind in ("phone", "email", "url"):
        return ("me", "contact add")
    if re.fullmatch(r"\d{4,5}|\d{7,8}", value):
        return ("code",)
    if re.fullmatch(r"#?\s?\d{1,18}", value):
        return ("alert", "ack")
    return ()
