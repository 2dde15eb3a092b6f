"""Carrying out a request: its command runs, or the question that is open gets its yes, no, name or next page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from handlers.commands import COMMANDS
from handlers.commands.contract import Answers, as_request, said
from handlers.commands.request import Request
from handlers.context import Context
from handlers.errors import OnCallError
from handlers.texts import Language, Say, _
from storage import people, presses

WORDS: Mapping[str, Mapping[Language, str]] = {"yes": {"en": "yes", "zh": "是"}, "no": {"en": "no", "zh": "否"}}


def carry_out(ctx: Context, request: Request, failed: list[OnCallError] | None = None) -> Answers:
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


def named(ctx: Context, asked: Mapping[str, Any], name: str) -> Answers:
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
