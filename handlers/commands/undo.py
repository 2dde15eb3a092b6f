"""`undo`: my own last change is taken back."""

from __future__ import annotations

from handlers import undo
from handlers.commands.contract import Answers, Command, said
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Items, Paragraph
from handlers.texts import _
from handlers.times import local


def take_back(ctx: Context, request: Request) -> Answers:  # noqa: ARG001 (the shape of every command)
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
        take_back,
        "admin",
        _("take back my last change of a contact, group or source, for 10 minutes"),
        ("undo", "撤销"),
    ),
)
