"""What can be said here, with examples to copy. Made from the table of commands, so it cannot lie."""

from __future__ import annotations

from collections.abc import Sequence

from handlers.commands.contract import Answers, Command, said
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Block, Examples, Facts, Paragraph
from handlers.texts import Say, _

TOPICS: dict[str, tuple[Say, tuple[str, ...], tuple[str, str]]] = {
    "contacts": (
        _("Contacts"),
        ("contact", "联系人"),
        ("contact add Zhang Wei 13800138000 zhang.wei@example.com", "添加联系人 张伟 13800138000"),
    ),
    "verify": (_("Verification"), ("verification", "code", "验证", "验证码"), ("verify Zhang Wei", "验证 张伟")),
    "groups": (
        _("Groups"),
        ("group", "组", "联系组"),
        ("group create dba members Zhang Wei", "创建组 数据库 成员 张伟"),
    ),
    "sources": (
        _("Alert sources"),
        ("source", "告警源"),
        ("source add prometheus alertmanager to dba", "告警源添加 prometheus alertmanager 到 数据库"),
    ),
    "alerts": (_("Alerts"), ("alert", "告警"), ("ack 42", "认领 42")),
    "admin": (_("Housekeeping"), ("status", "管理", "管理员"), ("status", "状态")),
}
"""Topic -> title, other words for it, an example in English and Chinese."""


def topic_of(text: str, commands: Sequence[Command]) -> str | None:
    """The topic somebody means by a word."""
    word = text.strip().casefold()
    for topic, (_title, others, _example) in TOPICS.items():
        if word and (word == topic or word in others):
            return topic
    for command in commands:
        if word and word in (command.form.name, *command.form.en, *command.form.zh):
            return command.topic
    return None


def answer(ctx: Context, request: Request, commands: Sequence[Command]) -> Answers:
    """All topics in short; or every command of one topic."""
    language = 0 if ctx.language == "en" else 1
    topic = topic_of(request.text or request.rest, commands)
    if topic:
        blocks: list[Block] = [
            Facts(tuple((command.usage[language], command.summary) for command in commands if command.topic == topic)),
            Paragraph(_("For example:")),
            Examples((TOPICS[topic][2][language],)),
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
        Examples(
            (
                "help contacts",
                "me 13800138000",
                "contact add Zhang Wei 13800138000",
                "group create dba members Zhang Wei",
            )
            if language == 0
            else ("帮助 联系人", "我 13800138000", "添加联系人 张伟 13800138000", "创建组 数据库 成员 张伟")
        ),
    )


FORM = Form("help", en=("?", "h"), zh=("帮助",), text=True)
