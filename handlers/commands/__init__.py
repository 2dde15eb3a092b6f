"""From the words of a person to an answer: the parser, and one module per family of commands.

`COMMANDS` is the table: a new command is one module (or a line in its family's), its tests, and it stands here. What is
not here does not exist: `help` and the parser are made from it.
"""

from handlers.commands import (
    alert,
    capacity,
    contact,
    delivery,
    forget,
    group,
    help,  # noqa: A004
    house,
    identity,
    me,
    silence,
    source,
    sync,
    template,
    transfer,
    undo,
    verify,
    who,
)
from handlers.commands.contract import Answers, Command
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.texts import _


def _help(ctx: Context, request: Request) -> Answers:
    return help.answer(ctx, request, tuple(COMMANDS.values()))


COMMANDS: dict[str, Command] = {
    command.form.name: command
    for command in (
        *contact.COMMANDS,
        *me.COMMANDS,
        *transfer.COMMANDS,
        *verify.COMMANDS,
        *group.COMMANDS,
        *sync.COMMANDS,
        *source.COMMANDS,
        *template.COMMANDS,
        *alert.COMMANDS,
        *silence.COMMANDS,
        *who.COMMANDS,
        *delivery.COMMANDS,
        *capacity.COMMANDS,
        *house.COMMANDS,
        *undo.COMMANDS,
        *forget.COMMANDS,
        *identity.COMMANDS,
        Command(help.FORM, _help, "admin", _("what can be said here"), ("help [topic]", "帮助 [主题]")),
    )
}

ANSWERS = (
    Form("yes", en=("y", "ok"), zh=("是", "好", "确认", "确定")),
    Form("no", en=("n", "cancel"), zh=("否", "不", "取消")),
    Form("more", zh=("更多", "下一页")),
)
"""Words that only mean something while a question is open."""

FORMS: tuple[Form, ...] = (*(command.form for command in COMMANDS.values()), *ANSWERS)
