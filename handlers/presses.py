"""Buttons that were pressed and forms that were sent: who may press what, until when, how often, and what it does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, tzinfo

from handlers import dialogs, dispatch, exchange, people_names
from handlers.buttons import Bound, opened
from handlers.commands import COMMANDS, FORMS
from handlers.commands.contract import said
from handlers.commands.parser import parse
from handlers.context import Answer, Context, Rules
from handlers.errors import FormError, OnCallError
from handlers.exchange import Outcome, Pressed, Said
from handlers.places import LINK
from handlers.texts import Say, _, render
from handlers.times import local
from handlers.verification import known_language
from storage import people, presses
from storage.database import Tx

IN_PLACE = ("yes", "no", "ack", "unack", "resolve", "silence")
"""Forms whose answer to a button takes the place of the message with it."""


def handle(tx: Tx, message: Said, press: Pressed, key: str, rules: Rules, now: datetime) -> Outcome:
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
    place = found or exchange.heard(tx, message, now)
    ctx = exchange.context(tx, message, place, rules, now)
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
    return exchange.tell(ctx, message, answers, key, aside=True)


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
            return exchange.tell(ctx, message, over, key, replaces=press.handle)
    failed: list[OnCallError] = []
    answers = dispatch.carry_out(ctx, request, failed)
    done = not failed
    if done and bound.nonce and not ctx.gone:
        presses.note(ctx.tx, bound.nonce, ctx.person.id, bound.says, ctx.now)
    # An answered question and the card of an alert change where they are; everything else is a message of its own.
    here = done and request.form in IN_PLACE
    return exchange.tell(ctx, message, answers, key, replaces=press.handle, here=here, aside=not done)


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
        return exchange.tell(ctx, message, said(error.say), key, aside=True)
    savepoint.commit()
    return exchange.tell(ctx, message, answers, key, replaces=press.handle if press.values else "")
