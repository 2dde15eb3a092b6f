"""`undo`: my own last change is taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers import audit_log, names, undo
from handlers.commands.contract import Answers, Command, confirm_first, said
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Items, Paragraph
from handlers.errors import CommandError
from handlers.texts import Say, _
from handlers.times import local

_PARTICLES = " \n.。!！?？~～…,，;；、吧啊呀哦啦了"


def ask_or_take_back(ctx: Context, request: Request) -> Answers:
    more = request.rest.strip(_PARTICLES)
    if more:
        raise CommandError(
            _(
                "“{text}” is not possible here: “undo” takes back the last change only, one at a time. Nothing is changed.",
                text=names.printable(more)[:40],
            )
        )
    skipped = undo.since_then(ctx)
    if skipped is None:
        return take_back(ctx, {})
    (later, of), (action, subject) = skipped
    question = _(
        "What you did last ({later} “{of}”) cannot be taken back. Take back {action} “{subject}” instead?",
        later=_command(ctx, later),
        of=of,
        action=_command(ctx, action),
        subject=subject,
    )
    return confirm_first(ctx, "undo", question, {}, danger=True)


def take_back(ctx: Context, body: Mapping[str, Any]) -> Answers:  # noqa: ARG001 (the shape of every confirmed one)
    step, did = undo.take_back(ctx)
    return said(
        _("Taken back: what you changed at {time}.", time=local(step.at, ctx.rules.zone)),
        Items(tuple(_("{done} “{subject}”", done=_command(ctx, action), subject=subject) for action, subject in did)),
        Paragraph(
            _(
                "What was sent cannot be taken back. An “undo” cannot be undone; another one takes back the change before."
            )
        ),
    )


def _command(ctx: Context, action: str) -> Say:
    """An action of the log as people type it; in words where it is no command."""
    from handlers.commands import COMMANDS  # here, since this command stands in the table as well

    known = COMMANDS.get(action)
    if known is None:
        return audit_log.action_words(action)
    return known.form.zh[0] if ctx.language == "zh" else action


COMMANDS = (
    Command(
        Form("undo", zh=("撤销", "撤消")),
        ask_or_take_back,
        "admin",
        _("take back my last change of a contact, group or source, for 10 minutes"),
        ("undo", "撤销"),
        confirmed=take_back,
    ),
)
