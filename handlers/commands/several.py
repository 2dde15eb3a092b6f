"""Commands that are given several values: each is done, or a sentence says that it is one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from handlers import names
from handlers.commands.contract import PAGE, Answers, said
from handlers.commands.request import Request
from handlers.context import Context
from handlers.document import Block, Items, Paragraph
from handlers.errors import CommandError
from handlers.texts import Say, _

Run = Callable[[Context, Request], Answers]
What = Literal["contact", "group", "source", "target"]

SEPARATORS = frozenset(',，、;；\n"“”「」')


def one_name(request: Request, what: What, example: Say, missing: Say) -> str:
    """The name that was given. Raises CommandError where there are several, and `missing` where there is none."""
    if len(request.names) > 1 and not SEPARATORS & set(request.rest):
        return " ".join(request.names)  # an address stood in the middle of the name
    if len(request.names) > 1:
        raise CommandError(_too_many(what, names.printable(", ".join(request.names)), example))
    if not request.names:
        raise CommandError(missing)
    return request.names[0]


def one_person(request: Request, example: Say) -> str:
    """The person who is mentioned. Raises CommandError where there are several."""
    if len(request.mentions) > 1:
        raise CommandError(_("One person at a time, please. Example: {example}", example=example))
    return request.mentions[0]


def _too_many(what: What, given: str, example: Say) -> Say:
    match what:
        case "contact":
            return _("One contact at a time: “{names}” are several. Example: {example}", names=given, example=example)
        case "group":
            return _("One group at a time: “{names}” are several. Example: {example}", names=given, example=example)
        case "source":
            return _(
                "One alert source at a time: “{names}” are several. Example: {example}", names=given, example=example
            )
        case "target":
            return _(
                "One contact or group at a time: “{names}” are several. Example: {example}",
                names=given,
                example=example,
            )


def each_number(one: Run, counted: Callable[[int], Say], *, whole: bool = False) -> Run:
    """The same for every number that was given; when one of them cannot be, nothing is done.

    counted  how many they are, in words
    whole    of each answer all is said, and not only its first line
    """

    def run(ctx: Context, request: Request) -> Answers:
        numbers = tuple(dict.fromkeys(request.numbers))
        if len(numbers) > PAGE:
            raise CommandError(_("At most {most} numbers at once.", most=PAGE))
        if len(numbers) <= 1:
            return one(ctx, request)
        documents = [one(ctx, replace(request, numbers=(number,)))[0].document for number in numbers]
        if not whole:
            return said(counted(len(numbers)), Items(tuple(document.title for document in documents)))
        blocks: list[Block] = []
        for document in documents:
            blocks += [Paragraph(document.title), *document.blocks]
        return said(counted(len(numbers)), *blocks)

    return run
