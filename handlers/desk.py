"""One chat message becomes answers: who speaks, what is meant, which question was open, and what is owed afterwards.

Everything happens in the caller's transaction, together with the note that the message was handled: a crash either leaves
the message to be handled again, or everything it caused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from handlers import examples, outbox
from handlers.commands import COMMANDS, FORMS
from handlers.commands.contract import Answers, as_request, said
from handlers.commands.parser import UnknownCommand, parse
from handlers.commands.request import Request
from handlers.context import Answer, Context, Rules
from handlers.document import Block, Document, Examples, Paragraph
from handlers.errors import OnCallError
from handlers.texts import Language, Say, _
from handlers.verification import known_language
from storage import people
from storage.database import Tx


class Said(Protocol):
    """The part of an incoming message that matters here; `bot.platforms.contract.Incoming` has it."""

    @property
    def platform(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def conversation(self) -> str: ...
    @property
    def direct(self) -> bool: ...
    @property
    def text(self) -> str: ...
    @property
    def addressed(self) -> bool: ...
    @property
    def title(self) -> str: ...
    @property
    def mentions(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def reply_url(self) -> str: ...
    @property
    def reply_until(self) -> datetime | None: ...


def handle(tx: Tx, message: Said, key: str, rules: Rules, now: datetime) -> set[str]:
    """Carries out what was said and owes the answers; the lanes to wake. `key` tells this message from all others."""
    place = people.heard(
        tx,
        message.conversation,
        message.platform,
        message.direct,
        message.title,
        message.reply_url,
        message.reply_until,
        now,
    )
    default: Language = "en" if place.language == "en" else "zh" if place.language == "zh" else rules.language
    if not message.person:
        stranger = Document(
            _("I do not know who you are: your organisation's directory does not tell me."),
            (Paragraph(_("Only people of the organisation can give commands.")),),
        )
        return _owe(tx, [Answer(stranger)], _language_of(message.text, default), place, "", key, now)
    person = people.seen(tx, message.person, message.name, now)
    if place.language is None:  # bare digits and numbers have no language of their own
        default = known_language(person, rules.language)
    ctx = Context(tx, now, rules, person, place, default)
    for mentioned, name in message.mentions:
        if people.by_id(tx, mentioned) is None:
            people.seen(tx, mentioned, name, now)
    answers = _answers(ctx, message)
    people.speaks(tx, person.id, ctx.language)
    return ctx.wake | _owe(tx, answers, ctx.language, place, person.id, key, now)


def _language_of(text: str, default: Language) -> Language:
    """The language of what was said; the default where it does not tell."""
    try:
        return parse(text, FORMS, language=default).language
    except UnknownCommand as unknown:
        return unknown.language
    except OnCallError:
        return default


def _owe(
    tx: Tx, answers: Answers, language: Language, place: people.ConversationRow, person: str, key: str, now: datetime
) -> set[str]:
    return outbox.owe(
        tx,
        [
            outbox.answer(
                answer.document,
                language,
                place,
                person,
                private=answer.audience == "private",
                dedupe=f"answer:{key}:{number}"[:200],
                now=now,
            )
            for number, answer in enumerate(answers)
        ],
    )


def _answers(ctx: Context, message: Said) -> Answers:
    """The answers to a message; none where the bot has nothing to say."""
    mentions = tuple(person for person, _name in message.mentions)
    asked = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "name", ctx.now)
    try:
        request = parse(message.text, FORMS, mentions=mentions, language=ctx.language)
    except UnknownCommand as unknown:
        if asked and message.text.strip():
            return _named(ctx, asked, message.text)
        if not message.addressed:
            return []
        ctx.language = unknown.language
        return said(unknown.say, *_first_steps(unknown))
    except OnCallError as error:
        return said(error.say) if message.addressed else []
    if not message.addressed and not _expected(ctx, request):
        return []
    if request.form not in ("yes", "no", "more", "code") or message.text.strip().casefold() not in ("y", "n", "ok"):
        ctx.language = request.language
    return _carry_out(ctx, request)


def _first_steps(unknown: UnknownCommand) -> tuple[Block, ...]:
    if unknown.suggestions:
        return ()
    return (Examples((examples.HELP,)),)


def _expected(ctx: Context, request: Request) -> bool:
    """Whether something said without a mention answers a question that is still open here."""
    if request.form == "code":
        return bool(request.codes)
    if request.form in ("yes", "no"):
        return people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm", ctx.now) is not None
    if request.form == "more":
        return people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "more", ctx.now) is not None
    return False


def _carry_out(ctx: Context, request: Request) -> Answers:
    """Runs the command; when it raises, nothing of it stays but the sentence that says why."""
    savepoint = ctx.tx.conn.begin_nested()
    wake = set(ctx.wake)
    try:
        answers = _dispatch(ctx, request)
    except OnCallError as error:
        savepoint.rollback()
        ctx.wake = wake
        return said(error.say)
    except BaseException:
        savepoint.rollback()
        raise
    savepoint.commit()
    return answers


def _dispatch(ctx: Context, request: Request) -> Answers:
    if request.form == "yes":
        return _confirmed(ctx)
    if request.form == "no":
        asked = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm", ctx.now)
        people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm")
        return said(_("All right, nothing is changed.")) if asked else _nothing_open(ctx)
    if request.form == "more":
        return _more(ctx)
    people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "name")
    return COMMANDS[request.form].run(ctx, request)


def _nothing_open(ctx: Context) -> Answers:
    sentence: Say = _(
        "Nothing waits for a yes or no from you (a question lasts 2 minutes). Please send the command again."
    )
    return said(sentence) if ctx.place.direct else []


def _confirmed(ctx: Context) -> Answers:
    asked = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm", ctx.now)
    if asked is None:
        return _nothing_open(ctx)
    people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm")
    confirmed = COMMANDS[asked["command"]].confirmed
    assert confirmed is not None  # noqa: S101 (only commands with it ask)
    return confirmed(ctx, asked["body"])


def _named(ctx: Context, asked: Mapping[str, Any], name: str) -> Answers:
    """The answer to "what is your full name?"."""
    people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "name")
    confirmed = COMMANDS[asked["command"]].confirmed
    assert confirmed is not None  # noqa: S101 (only commands with it ask)
    savepoint = ctx.tx.conn.begin_nested()
    try:
        answers = confirmed(ctx, {**asked["body"], "name": name})
    except OnCallError as error:
        savepoint.rollback()
        return said(error.say)
    savepoint.commit()
    return answers


def _more(ctx: Context) -> Answers:
    asked = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "more", ctx.now)
    if asked is None:
        return said(_("There is no list to continue. Please ask for it again.")) if ctx.place.direct else []
    people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "more")
    request = as_request(asked["request"])
    ctx.language = request.language
    return COMMANDS[request.form].run(replace(ctx, offset=asked["offset"]), request)
