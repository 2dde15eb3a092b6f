"""One chat message becomes answers: who speaks, what is meant, which question was open, and what is owed afterwards.

Everything happens in the caller's transaction, together with the note that the message was handled: a crash either leaves
the message to be handled again, or everything it caused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Any, Protocol

from handlers import dialogs, examples, outbox, people_names, undo
from handlers.buttons import Bound, drawn, opened
from handlers.commands import COMMANDS, FORMS
from handlers.commands.contract import Answers, as_request, said
from handlers.commands.parser import UnknownCommand, parse
from handlers.commands.request import Request
from handlers.context import Answer, Context, Rules
from handlers.document import Block, Document, Examples, Paragraph
from handlers.errors import FormError, OnCallError
from handlers.texts import Language, Say, _, render
from handlers.times import local
from handlers.verification import known_language
from storage import identities, people, presses
from storage.database import Tx

LINK = "link"
"""The platform of those who follow a link to our page instead of pressing a button."""

WORDS: Mapping[str, Mapping[Language, str]] = {"yes": {"en": "yes", "zh": "是"}, "no": {"en": "no", "zh": "否"}}


class Pressed(Protocol):
    """A button that was pressed, or a form with its values."""

    @property
    def token(self) -> str: ...
    @property
    def values(self) -> Mapping[str, str]: ...
    @property
    def handle(self) -> str: ...


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
    @property
    def press(self) -> Pressed | None: ...
    @property
    def spoken(self) -> bool: ...
    @property
    def trigger(self) -> str: ...
    @property
    def whisper(self) -> str: ...
    @property
    def within(self) -> str: ...
    @property
    def inline(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message.

    wake      lanes to which something was added
    language  of the answers
    told      the first answer, as it is drawn
    inline    `told` is not owed: the response to the callback shows it
    replaces  `told` takes the place of the message with the button; else, inline, it is for who pressed alone
    errors    name of the field -> what is wrong with it, when a form was not taken
    """

    wake: set[str]
    language: Language
    told: Document | None = None
    inline: bool = False
    replaces: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)


IN_PLACE = ("yes", "no", "ack", "unack", "resolve", "silence")
"""Forms whose answer to a button takes the place of the message with it."""


def handle(tx: Tx, message: Said, key: str, rules: Rules, now: datetime) -> Outcome:
    """Carries out what was said or pressed and owes the answers. `key` tells this message from all others.

    Raises ForgedButton for a press of what is no button of ours.
    """
    if message.press is not None:
        return _press(tx, message, message.press, key, rules, now)
    place = _heard(tx, message, now)
    default = _default(place, rules)
    if not message.person:
        stranger = Document(
            _("I do not know who you are: your organisation's directory does not tell me."),
            (Paragraph(_("Only people of the organisation can give commands.")),),
        )
        language = _language_of(message.text, default)
        return Outcome(_owe(tx, rules, [Answer(stranger)], language, place, "", key, now), language)
    ctx = _context(tx, message, place, rules, now)
    for mentioned, name in message.mentions:
        if people.by_id(ctx.tx, mentioned) is None:
            people.seen(ctx.tx, mentioned, name, now)
    answers = _answers(ctx, message)
    people.speaks(tx, ctx.person.id, ctx.language)
    return _told(ctx, message, answers, key)


def _default(place: people.ConversationRow, rules: Rules) -> Language:
    return "en" if place.language == "en" else "zh" if place.language == "zh" else rules.language


def _heard(tx: Tx, message: Said, now: datetime) -> people.ConversationRow:
    return people.heard(
        tx,
        message.conversation,
        message.platform,
        message.direct,
        message.title,
        message.reply_url,
        message.reply_until,
        now,
        message.person if message.direct else "",
    )


def _context(tx: Tx, message: Said, place: people.ConversationRow, rules: Rules, now: datetime) -> Context:
    """Who speaks, where, and in which language if the words do not tell."""
    person = people.seen(tx, message.person, message.name, now)
    # Bare digits and numbers have no language of their own.
    default = known_language(person, rules.language) if place.language is None else _default(place, rules)
    others = [one for one in identities.of(tx, person.id) if one != person.id]
    known = people.by_ids(tx, others) if others else {}
    return Context(
        tx,
        now,
        rules,
        person,
        place,
        default,
        others=tuple(known.values()),
        within=message.within,
        addressed=message.addressed,
    )


def _told(
    ctx: Context,
    message: Said,
    answers: Answers,
    key: str,
    *,
    replaces: str = "",
    here: bool = True,
    aside: bool = False,
) -> Outcome:
    """Owes the answers, but for a first one that the response to the callback shows.

    replaces  handle of the message whose place the first answer takes
    here      the first answer may take that place
    aside     it is for who pressed alone: where the response cannot show it to that person, it is owed in private
    """
    undo.remember(ctx)
    if not answers:
        return Outcome(ctx.wake, ctx.language)
    first, *rest = answers
    told = drawn(ctx.tx, ctx.rules, first.document, ctx.language, ctx.place, ctx.person.id, ctx.now)
    fits = first.audience == "here" and told.dialog is None
    in_place = fits and here and not aside
    inline = fits and (
        (message.inline == "always" and (in_place or aside or message.platform == LINK))
        or (message.inline == "replace" and in_place)
        or (message.inline == "buttons" and bool(told.buttons))
    )
    alone = aside and not inline and ctx.place.platform in ctx.rules.private
    place = ctx.place
    if alone and message.whisper:
        place = people.heard(ctx.tx, message.whisper, message.platform, True, "", "", None, ctx.now, ctx.person.id)
    # Of what was done on our page the conversation that the link stood in hears as well.
    aloud = message.platform == LINK and in_place and ctx.place.platform != LINK
    owed = [(first, told)] if aloud or not inline else []
    owed += [
        (one, drawn(ctx.tx, ctx.rules, one.document, ctx.language, ctx.place, ctx.person.id, ctx.now)) for one in rest
    ]
    rows = [
        outbox.answer(
            document,
            ctx.language,
            place,
            ctx.person.id,
            private=alone or answer.audience == "private",
            dedupe=f"answer:{key}:{number}"[:200],
            now=ctx.now,
            replaces=replaces if answer is first and in_place else "",
            trigger=message.trigger,
            alert_id=answer.alert,
        )
        for number, (answer, document) in enumerate(owed)
    ]
    return Outcome(ctx.wake | outbox.owe(ctx.tx, rows), ctx.language, told, inline, in_place and bool(message.press))


# ---- buttons and forms


def _press(tx: Tx, message: Said, press: Pressed, key: str, rules: Rules, now: datetime) -> Outcome:
    """Carries out what a button says, or what a form stands for."""
    bound = opened(tx.vault, press.token, link=message.platform == LINK)
    own = bound.person == "" or bound.person == message.person
    there = message.conversation or bound.conversation
    # What one person was shown is answered where it was shown, also when the platform does not say where it was pressed.
    # A conversation that is known is not heard anew: callbacks tell less of it than messages do.
    shown_here = own and (bound.person != "" or bound.conversation == there)
    found = people.conversation_by_id(tx, bound.conversation if shown_here else there)
    if found is not None and message.reply_url:
        found = replace(found, reply_url=message.reply_url, reply_until=message.reply_until)
    place = found or _heard(tx, message, now)
    ctx = _context(tx, message, place, rules, now)
    ctx.pressed = bool(press.handle) or message.inline != ""
    ctx.handle = press.handle
    used = presses.by_nonce(tx, bound.nonce) if bound.nonce else None
    if not own:
        answers = said(_("This is for {person} to press.", person=people_names.shown(tx, bound.person)))
    elif not shown_here:
        answers = said(_("This button belongs to another conversation."))
    elif used is not None:
        answers = said(pressed_before(tx, used, ctx.person.id, rules.zone))
    elif now > bound.until:
        answers = said(_("This button is too old. Please send the command again."))
    elif bound.form:
        return _form(ctx, message, press, bound, key)
    else:
        return _button(ctx, message, press, bound, key)
    return _told(ctx, message, answers, key, aside=True)


def pressed_before(tx: Tx, used: presses.PressRow, person: str, zone: tzinfo) -> Say:
    """Who was first, told to whoever comes second."""
    when = local(used.at, zone)
    # Those who follow a link that anybody may follow share one identity.
    if used.person == person and not person.startswith(f"{LINK}:"):
        return _("You did that already, at {time}: {command}", time=when, command=used.says)
    who = people_names.shown(tx, used.person)
    return _("{person} did that already, at {time}: {command}", person=who, time=when, command=used.says)


def question_over() -> Say:
    return _(
        "This question is over: it was open for 2 minutes, or another one followed. Please send the command again."
    )


def _button(ctx: Context, message: Said, press: Pressed, bound: Bound, key: str) -> Outcome:
    request = parse(bound.says, FORMS, language=ctx.language)
    ctx.language = request.language
    slot = {"yes": "confirm", "no": "confirm", "more": "more"}.get(request.form)
    if slot:
        asked = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, slot, ctx.now)
        if asked is None or asked.get("nonce") != bound.nonce:
            over = said(question_over())
            return _told(ctx, message, over, key, replaces=press.handle)
    failed: list[OnCallError] = []
    answers = _carry_out(ctx, request, failed)
    done = not failed
    if done and bound.nonce and not ctx.gone:
        presses.note(ctx.tx, bound.nonce, ctx.person.id, bound.says, ctx.now)
    # An answered question and the card of an alert change where they are; everything else is a message of its own.
    here = done and request.form in IN_PLACE
    return _told(ctx, message, answers, key, replaces=press.handle, here=here, aside=not done)


def _form(ctx: Context, message: Said, press: Pressed, bound: Bound, key: str) -> Outcome:
    """The form itself when it comes back without values (a button stood for it), else what becomes of the values."""
    ctx.language = known_language(ctx.person, ctx.language)
    ask = COMMANDS[bound.says].ask
    assert ask is not None  # noqa: S101 (only commands with a form make its token)
    savepoint = ctx.tx.conn.begin_nested()
    wake = set(ctx.wake)
    try:
        if not press.values:
            answers = [Answer(dialogs.document(ask.build(ctx, bound.subject)))]
        else:
            answers = ask.submit(ctx, bound.subject, press.values)
            if answers and answers[0].again:
                savepoint.commit()
                return Outcome(ctx.wake, ctx.language, errors={"": render(answers[0].document.title, ctx.language)})
            presses.note(ctx.tx, bound.nonce, ctx.person.id, bound.says, ctx.now)
    except FormError as error:
        savepoint.rollback()
        errors = {name: render(why, ctx.language) for name, why in error.errors.items()}
        return Outcome(wake, ctx.language, errors=errors)
    except OnCallError as error:
        savepoint.rollback()
        if press.values:
            return Outcome(wake, ctx.language, errors={"": render(error.say, ctx.language)})
        ctx.wake = wake
        return _told(ctx, message, said(error.say), key, aside=True)
    savepoint.commit()
    return _told(ctx, message, answers, key, replaces=press.handle if press.values else "")


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
    try:
        if guide and (answer := _guided(ctx, guide, message.text)) is not None:
            return answer
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
    neutral = message.text.strip().casefold() in ("y", "n", "ok")
    if message.spoken and (request.form not in ("yes", "no", "more", "code") or not neutral):
        ctx.language = request.language
    return _carry_out(ctx, request)


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
    if request.form == "more":
        return people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "more", ctx.now) is not None
    return False


def _carry_out(ctx: Context, request: Request, failed: list[OnCallError] | None = None) -> Answers:
    """Runs the command; when it raises, nothing of it stays but the sentence that says why. `failed` takes the error."""
    savepoint = ctx.tx.conn.begin_nested()
    wake = set(ctx.wake)
    try:
        answers = _dispatch(ctx, request)
    except OnCallError as error:
        savepoint.rollback()
        ctx.wake = wake
        if failed is not None:
            failed.append(error)
        return said(error.say)
    except BaseException:
        savepoint.rollback()
        raise
    savepoint.commit()
    return answers


def _dispatch(ctx: Context, request: Request) -> Answers:
    if request.form == "yes":
        return _confirmed(ctx, request)
    if request.form == "no":
        asked = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm", ctx.now)
        people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm")
        _answered(ctx, asked, request)
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


def _answered(ctx: Context, asked: Mapping[str, Any] | None, request: Request) -> None:
    """Remembers who answered, for when a button of that question is pressed later."""
    if asked and asked.get("nonce"):
        presses.note(ctx.tx, asked["nonce"], ctx.person.id, WORDS[request.form][ctx.language], ctx.now)


def _confirmed(ctx: Context, request: Request) -> Answers:
    asked = people.open_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm", ctx.now)
    if asked is None:
        return _nothing_open(ctx)
    people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "confirm")
    _answered(ctx, asked, request)
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
