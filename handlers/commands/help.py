"""What can be said here, with examples to copy. Made from the table of commands, so it cannot lie."""

from __future__ import annotations

from collections.abc import Sequence

from handlers import examples
from handlers.commands.contract import Answers, Command, said
from handlers.commands.request import Form, Request
from handlers.commands.spellings import lexicon
from handlers.commands.words import NOUNS, folded
from handlers.context import Context
from handlers.document import Block, Examples, Facts, Paragraph
from handlers.texts import Say, _

TOPICS: dict[str, tuple[Say, tuple[str, ...], Say]] = {
    "contacts": (
        _("Contacts"),
        ("contact", "联系人"),
        examples.ADD_CONTACT_TO,
    ),
    "verify": (_("Verification"), ("verification", "code", "验证", "验证码"), examples.VERIFY),
    "groups": (
        _("Groups"),
        ("group", "组", "联系组"),
        examples.CREATE_GROUP_OF,
    ),
    "sources": (
        _("Alert sources"),
        ("source", "告警源"),
        examples.ADD_SOURCE,
    ),
    "alerts": (_("Alerts"), ("alert", "告警"), examples.ACK),
    "admin": (_("Housekeeping"), ("status", "管理", "管理员"), examples.STATUS),
}
"""Topic -> title, other words for it, an example."""


def topic_of(text: str, commands: Sequence[Command]) -> str | None:
    """The topic somebody means by a word."""
    word = text.strip().casefold()
    for topic, (_title, others, _example) in TOPICS.items():
        if word and (word == topic or word in others):
            return topic
    nouns = {noun for noun, spelled in NOUNS.items() if word in {one for some in spelled for one in some}}
    for command in commands:
        if word and (
            any(one.startswith(word) for one in command.form.zh) or command.form.name.split()[0] in {word, *nouns}
        ):
            return command.topic
    head = lexicon(tuple(command.form for command in commands)).head(folded(word), 0)
    return next((command.topic for command in commands if head and command.form is head.form), None)


def answer(ctx: Context, request: Request, commands: Sequence[Command]) -> Answers:
    """All topics in short; or every command of one topic."""
    language = 0 if ctx.language == "en" else 1
    topic = topic_of(request.text or request.rest, commands)
    if topic:
        blocks: list[Block] = [
            Facts(tuple((command.usage[language], command.summary) for command in commands if command.topic == topic)),
            Paragraph(_("For example:")),
            Examples((TOPICS[topic][2],)),
        ]
        return said(TOPICS[topic][0], *blocks)
    lines = tuple(
        (
            title,
            " · ".join(
                (command.form.name, command.form.zh[0])[language] for command in commands if command.topic == topic
            ),
        )
        for topic, (title, _others, _example) in TOPICS.items()
    )
    return said(
        _("What you can say to me"),
        Paragraph(_("In a group mention me first; in a one-to-one chat just type.")),
        Facts(lines),
        Paragraph(_("More about one of them, or something to try:")),
        Examples((examples.HELP_CONTACTS, examples.ME, examples.ADD_CONTACT, examples.CREATE_GROUP_OF)),
    )


FORM = Form("help", en=("?", "h"), zh=("帮助",), text=True)
