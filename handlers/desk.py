"""One chat message becomes answers: who speaks, what is meant, which question was open, and what is owed afterwards.

Everything happens in the caller's transaction, together with the note that the message was handled: a crash either leaves
the message to be handled again, or everything it caused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from handlers import dialogs, dispatch, examples, exchange, outbox, presses
from handlers.buttons import drawn
from handlers.commands import COMMANDS, FORMS
from handlers.commands.contract import Answers, said
from handlers.commands.parser import UnknownCommand, parse
from handlers.commands.request import Request
from handlers.context import Answer, Context, Rules
from handlers.document import Block, Document, Examples, Paragraph
from handlers.errors import OnCallError
from handlers.exchange import Outcome, Said
from handlers.texts import Language, _
from storage import people
from storage.database import Tx


def handle(tx: Tx, message: Said, key: str, rules: Rules, now: datetime) -> Outcome:
    """Carries out what was said or pressed and owes the answers. `key` tells this message from all others.

    Raises ForgedButton for a press of what is no button of ours.
    """
    if message.press is not None:
        return presses.handle(tx, message, message.press, key, rules, now)
    place = exchange.heard(tx, message, now)
    default = exchange.default_language(place, rules)
    if not message.person:
        stranger = Document(
            _("I do not know who you are: your organisation's directory does not tell me."),
            (Paragraph(_("Only people of the organisation can give commands.")),),
        )
        language = _language_of(message.text, default)
        return Outcome(_owe(tx, rules, [Answer(stranger)], language, place, "", key, now), language)
    ctx = exchange.context(tx, message, place, rules, now)
    for mentioned, name in message.mentions:
        if people.by_id(ctx.tx, mentioned) is None:
            people.seen(ctx.tx, mentioned, name, now)
    answers = _answers(ctx, message)
    people.speaks(tx, ctx.person.id, ctx.language)
    return exchange.tell(ctx, message, answers, key)


def _language_of(text: str, default: Language) -> Language:
    """The language of what was said; the default where it does not tell."""
    try:
        return parse(text, FORMS, language=default).language
    except UnknownCommand as unknown:
        return unknown.language
    except OnCallError:
        return default


def _owe(
    tx: Tx,
    rules: Rules,
    answers: Answers,
    language: Language,
    place: people.ConversationRow,
    person: str,
    key: str,
    now: datetime,
) -> set[str]:
    return outbox.owe(
        tx,
        [
            outbox.answer(
                drawn(tx, rules, answer.document, language, place, person, now),
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
    guide = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, dialogs.SLOT, ctx.now)
    if guide and not message.addressed and not _counts_for(guide, message.text, ctx.language):
        guide = None
    try:
        if guide and (answer := _guided(ctx, guide, message.text)) is not None:
            return answer
        request = parse(message.text, FORMS, mentions=mentions, language=ctx.language)
    except UnknownCommand as unknown:
        if asked and message.addressed and message.text.strip():
            return dispatch.named(ctx, asked, message.text)
        if not message.addressed:
            return []
        ctx.language = unknown.language
        return said(unknown.say, *_first_steps(unknown))
    except OnCallError as error:
        return said(error.say) if message.addressed else []
    if not message.addressed and not _expected(ctx, request):
        return []
    neutral = message.text.strip().casefold() in ("y", "n", "ok")
    if message.spoken and (request.form not in ("yes", "no", "more", "code") or not neutral):
        ctx.language = request.language
    return dispatch.carry_out(ctx, request)


def _counts_for(guide: Mapping[str, Any], text: str, language: Language) -> bool:
    """Whether something said without a mention answers a form: what ends it, and digits where a code is asked for.

    All else may be meant for other people, whatever it looks like.
    """
    try:
        request = parse(text, FORMS, language=language)
    except OnCallError:
        return False
    return request.form == "no" or (bool(request.codes) and request.form == "code" == guide["command"])


def _guided(ctx: Context, guide: Mapping[str, Any], text: str) -> Answers | None:
    """The next question of a form that is asked line by line; None when something else was meant.

    A group may be called "Help Desk", and a note may begin with "ack": what begins with the one word of a command is an
    answer. A command of two words, or one alone, ends the questions. Digits are a code unless a code is asked for.
    """
    ask = COMMANDS[guide["command"]].ask
    assert ask is not None  # noqa: S101 (only commands with a form ask)
    try:
        request = parse(text, FORMS, language=ctx.language)
    except OnCallError:
        request = None
    form = request.form if request is not None else ""
    if form == "no":
        people.close_question(ctx.tx, ctx.place.id, ctx.person.id, dialogs.SLOT)
        ctx.language = "en" if guide["language"] == "en" else "zh"
        return said(_("All right, nothing is changed."))
    if request is not None and request.codes and form == "code" and guide["command"] != "code":
        return None
    if request is not None and form not in ("yes", "more", "code") and (" " in form or not request.rest):
        people.close_question(ctx.tx, ctx.place.id, ctx.person.id, dialogs.SLOT)
        return None
    ctx.language = "en" if guide["language"] == "en" else "zh"
    if form in ("yes", "more"):
        return dialogs.asked_again(ctx, ask, guide)
    savepoint = ctx.tx.conn.begin_nested()
    wake = set(ctx.wake)
    try:
        answers = dialogs.answered(ctx, ask, guide, text)
    except OnCallError as error:
        savepoint.rollback()
        ctx.wake = wake
        return said(error.say)
    savepoint.commit()
    return answers


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
    return False
