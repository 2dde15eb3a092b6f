"""What a command is: how it is written, what it does, and how it is explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from handlers import examples
from handlers.buttons import new_nonce
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Block, Button, Dialog, Document, Paragraph
from handlers.texts import Say, _, n_, to_json
from storage import people

QUESTION_LIFE = timedelta(minutes=2)
MORE_LIFE = timedelta(minutes=10)
PAGE = 20

Answers = list[Answer]


@dataclass(frozen=True, slots=True)
class Ask:
    """A command's form.

    build   the form; `subject` is the contact or group to edit, "" for a new one. Raises CommandError
    check   raises CommandError when that value of that field cannot be taken
    submit  does it with all values; raises FormError, or CommandError for what concerns the whole
    """

    build: Callable[[Context, str], Dialog]
    check: Callable[[Context, str, str, str], None]
    submit: Callable[[Context, str, Mapping[str, str]], Answers]


@dataclass(frozen=True, slots=True)
class Command:
    """One line of the table COMMANDS.

    run        carries it out; raises CommandError, and then nothing of it stays
    confirmed  for those that ask yes/no first: what happens on yes, with what was remembered
    topic      under which `help` lists it: contacts, groups, verify, alerts, sources, admin
    usage      English and Chinese, to copy
    ask        its form, for when it is given without values
    """

    form: Form
    run: Callable[[Context, Request], Answers]
    topic: str
    summary: Say
    usage: tuple[str, str]
    confirmed: Callable[[Context, Mapping[str, Any]], Answers] | None = None
    ask: Ask | None = None


def said(title: Say, *blocks: Block, buttons: tuple[Button, ...] = ()) -> Answers:
    """One answer, where the command came from."""
    return [Answer(Document(title, blocks, buttons=buttons))]


def confirm_first(
    ctx: Context, command: str, question: Say, body: Mapping[str, Any], *blocks: Block, danger: bool = False
) -> Answers:
    """Asks yes or no, and remembers what to do on yes. `danger`: what is done cannot be undone."""
    nonce = new_nonce()
    ctx.ask(
        "confirm",
        {"command": command, "body": dict(body), "nonce": nonce, "about": to_json(question)},
        lasting=QUESTION_LIFE,
    )
    buttons = (
        Button(_("Yes"), examples.YES, "danger" if danger else "primary", nonce=nonce),
        Button(_("No"), examples.NO, nonce=nonce),
    )
    return said(question, *blocks, Paragraph(_("Reply yes or no within 2 minutes.")), buttons=buttons)


def paged(ctx: Context, request: Request, count: int, title: Say, *page: Block, size: int = PAGE) -> Answers:
    """A page of a list, with `size` of its lines; where more follows, `more` continues it, and else no list."""
    end = min(ctx.offset + size, count)
    if end >= count:
        return whole(ctx, title, *page)
    nonce = new_nonce()
    ctx.ask("more", {"request": as_json(request), "offset": end, "nonce": nonce}, lasting=MORE_LIFE)
    rest = n_("{n} more follows: say more.", "{n} more follow: say more.", count - end)
    return said(title, *page, Paragraph(rest), buttons=(Button(_("More"), examples.MORE, nonce=nonce),))


def whole(ctx: Context, title: Say, *blocks: Block) -> Answers:
    """A list of which nothing follows, which may be empty: `more` continues none before it either."""
    people.close_question(ctx.tx, ctx.place.id, ctx.person.id, "more")
    return said(title, *blocks)


def as_json(request: Request) -> dict[str, Any]:
    """A request as JSON; `as_request` is its inverse."""
    return asdict(request) | {"keys": dict(request.keys)}


def as_request(stored: Mapping[str, Any]) -> Request:
    values = dict(stored)
    for name in ("names", "words", "phones", "emails", "urls", "codes", "numbers", "mentions"):
        values[name] = tuple(values[name])
    return Request(**values)
