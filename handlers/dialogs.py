"""Forms: drawn where the platform has them, asked for line by line where it has not.

A form belongs to one person; what was answered so far is kept, sealed, with the question that is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from handlers.commands.contract import Answers, Ask
from handlers.context import Answer, Context
from handlers.document import Block, Dialog, Document, Examples, Field, Items, Paragraph, localize
from handlers.errors import CommandError
from handlers.texts import Both, _
from storage import people

SLOT = "guide"
LIFE = timedelta(minutes=10)
SKIP = frozenset({"skip", "跳过", "略过", "-", "none", "无"})


def begin(ctx: Context, ask: Ask, subject: str = "", *example: Both) -> Answers:
    """The form, or its first question. `example`: how the same is said in one line."""
    dialog = ask.build(ctx, subject)
    if ctx.place.platform in ctx.rules.forms:
        return [Answer(document(dialog, *example))]
    question = _question(ctx, dialog, {}, 0)
    return [Answer(replace(question, blocks=(*question.blocks, *localize(_in_one_line(example), ctx.language).blocks)))]


def document(dialog: Dialog, *example: Both) -> Document:
    """The answer that carries a form; its words are for where it cannot be drawn at once."""
    return replace(_in_one_line(example), title=dialog.title, dialog=dialog)


def _in_one_line(example: tuple[Both, ...]) -> Document:
    return Document("", (Paragraph(_("Or in one line:")), Examples(example)) if example else ())


def answered(ctx: Context, ask: Ask, guide: Mapping[str, Any], text: str) -> Answers:
    """What follows the answer to one question: the next one, or what the whole form leads to.

    Raises CommandError when that value cannot be taken; the question stays open then.
    """
    subject, at = guide["subject"], guide["at"]
    dialog = ask.build(ctx, subject)
    values = dict(guide["values"])
    field = next((one for one in dialog.fields[at:] if one.name == guide["field"]), None)
    if field is None:  # the form has changed meanwhile
        return [Answer(_question(ctx, dialog, values, 0))]
    value = text.strip()
    if value.casefold() in SKIP and not field.required:
        value = field.value  # what was there stays
    else:
        ask.check(ctx, subject, field.name, value)
    values[field.name] = value
    following = dialog.fields.index(field) + 1
    if following < len(dialog.fields):
        return [Answer(_question(ctx, dialog, values, following))]
    people.close_question(ctx.tx, ctx.place.id, ctx.person.id, SLOT)
    return ask.submit(ctx, subject, values)


def asked_again(ctx: Context, ask: Ask, guide: Mapping[str, Any]) -> Answers:
    """The question that is open, once more."""
    dialog = ask.build(ctx, guide["subject"])
    at = next((at for at, one in enumerate(dialog.fields) if one.name == guide["field"]), 0)
    return [Answer(_question(ctx, dialog, guide["values"], at))]


def _question(ctx: Context, dialog: Dialog, values: Mapping[str, str], at: int) -> Document:
    field = dialog.fields[at]
    body = {
        "command": dialog.command,
        "subject": dialog.subject,
        "language": ctx.language,
        "values": dict(values),
        "field": field.name,
        "at": at,
    }
    ctx.ask(SLOT, body, lasting=LIFE)
    return localize(Document(field.question, (*_hints(field), *to_me(ctx))), ctx.language)


def to_me(ctx: Context) -> tuple[Block, ...]:
    """How a question of any words is answered in a group, where what people say to each other is no answer."""
    return () if ctx.place.direct else (Paragraph(_("Mention me in your answer.")),)


def _hints(field: Field) -> list[Block]:
    hints: list[Block] = []
    if field.options:
        hints.append(Items(tuple(label for _value, label in field.options)))
    if field.value:
        hints.append(Paragraph(_("Now: {value}", value=field.value)))
    if field.hint:
        hints.append(Paragraph(field.hint))
    if field.required:
        hints.append(Paragraph(_("“{cancel}” ends this.", cancel=_("cancel"))))
    elif not field.value:
        hints.append(Paragraph(_("“{skip}” leaves it out, “{cancel}” ends this.", skip=_("skip"), cancel=_("cancel"))))
    else:
        hints.append(
            Paragraph(_("“{skip}” leaves it as it is, “{cancel}” ends this.", skip=_("skip"), cancel=_("cancel")))
        )
    return hints


def checked(
    ask: Ask, ctx: Context, subject: str, fields: tuple[Field, ...], values: Mapping[str, str]
) -> dict[str, Any]:
    """What is wrong with the values, field by field: name -> sentence."""
    errors: dict[str, Any] = {}
    for field in fields:
        value = values.get(field.name, "").strip()
        if not value and field.required:
            errors[field.name] = _("Something is missing here.")
        elif value and value != field.value:
            try:
                ask.check(ctx, subject, field.name, value)
            except CommandError as error:
                errors[field.name] = error.say
    return errors
