"""One exchange: what comes in, who speaks where and in which language, and what goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from handlers import outbox, undo
from handlers.buttons import drawn
from handlers.commands.contract import Answers
from handlers.context import Context, Rules
from handlers.document import Document
from handlers.places import LINK
from handlers.texts import Language
from handlers.verification import known_language
from storage import identities, people
from storage.database import Tx


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


def default_language(place: people.ConversationRow, rules: Rules) -> Language:
    """The language of the conversation, where one was chosen for it, else that of the service."""
    return "en" if place.language == "en" else "zh" if place.language == "zh" else rules.language


def heard(tx: Tx, message: Said, now: datetime) -> people.ConversationRow:
    """The conversation, noted as one in which something was said."""
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


def context(tx: Tx, message: Said, place: people.ConversationRow, rules: Rules, now: datetime) -> Context:
    """Who speaks, where, and in which language if the words do not tell."""
    person = people.seen(tx, message.person, message.name, now)
    # Bare digits and numbers have no language of their own.
    default = known_language(person, rules.language) if place.language is None else default_language(place, rules)
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


def tell(
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
        or (message.inline == "buttons" and (bool(told.buttons) or first.interim))
    )
    # An address that takes one answer is kept for the one that follows.
    unsaid = first.interim and not inline and bool(message.reply_url) and message.platform in ctx.rules.once
    alone = aside and not inline and ctx.place.platform in ctx.rules.private
    place = ctx.place
    if alone and message.whisper:
        place = people.heard(ctx.tx, message.whisper, message.platform, True, "", "", None, ctx.now, ctx.person.id)
    # Of what was done on our page the conversation that the link stood in hears as well.
    aloud = message.platform == LINK and in_place and ctx.place.platform != LINK
    owed = [(first, told)] if aloud or not (inline or unsaid) else []
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
            batch_id=answer.batch,
        )
        for number, (answer, document) in enumerate(owed)
    ]
    return Outcome(ctx.wake | outbox.owe(ctx.tx, rows), ctx.language, told, inline, in_place and bool(message.press))
