"""`undo`: my own last change is taken back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from handlers import undo
from handlers.commands.contract import Answers, Command, confirm_first, said
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Items, Paragraph
from handlers.texts import _
from handlers.times import local


def ask_or_take_back(ctx: Context, request: Request) -> Answers:  # noqa: ARG001 (the shape of every command)
    skipped = undo.since_then(ctx)
    if skipped is None:
        return take_back(ctx, {})
    (later, of), (action, subject) = skipped
    question = _(
        "What you did last ({later} “{of}”) cannot be taken back. Take back {action} “{subject}” instead?",
        later=later,
        of=of,
        action=action,
        subject=subject,
    )
    return confirm_first(ctx, "undo", question, {}, danger=True)


def take_back(ctx: Context, body: Mapping[str, Any]) -> Answers:  # noqa: ARG001 (the shape of every confirmed one)
    step, did = undo.take_back(ctx)
    return said(
        _("Taken back: what you changed at {time}.", time=local(step.at, ctx.rules.zone)),
        Items(tuple(f"{action} “{subject}”" for action, subject in did)),
        Paragraph(
            _(
                "What was sent cannot be taken back. An “undo” cannot be undone; another one takes back the change before."
            )
        ),
    )


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
