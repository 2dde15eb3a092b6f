"""Importing contacts and groups in chat: says at once that they are read, which the delivery worker does; then what came
of it follows.
"""

from __future__ import annotations

import re

from handlers import examples, import_orders, import_reports, names
from handlers.commands.contract import Answers, Command
from handlers.commands.request import Form, Request
from handlers.commands.words import folded
from handlers.context import Context
from handlers.errors import CommandError
from handlers.texts import _

ADMIN = _("import contacts")

_PREVIEW = re.compile(r"(?<![a-z0-9-])(?:preview|dry-run)(?![a-z0-9-])|预览|试运行")
_TRUST = re.compile(r"(?<![a-z0-9-])trust(?![a-z0-9-])|信任")
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def options(rest: str) -> tuple[bool, bool, str]:
    """Whether preview and trust were said, and what else."""
    fold = folded(rest)
    left = list(rest)
    said = []
    for word in (_PREVIEW, _TRUST):
        found = list(word.finditer(fold))
        said.append(bool(found))
        for one in found:
            left[one.start() : one.end()] = " " * (one.end() - one.start())
    return said[0], said[1], " ".join("".join(left).replace(",", " ").split())


def cloudmonitor(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    if ctx.offset:
        return import_reports.continued(ctx, request)
    preview, trust, more = options(request.rest)
    if more:
        raise CommandError(
            _("“{text}” is not known here. Example: {example}", text=names.printable(more)[:80], example=examples.SYNC)
        )
    return [import_orders.begin(ctx, "cloudmonitor", preview=preview, trust=trust)]


def das(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(ADMIN)
    if ctx.offset:
        return import_reports.continued(ctx, request)
    preview, trust, instance = options(request.rest)
    if trust:
        raise CommandError(
            _("DAS does not say whose addresses are verified, so there is nothing to trust. Leave out that word.")
        )
    if not _INSTANCE.fullmatch(instance):
        raise CommandError(
            _("Say the id of one instance that DAS knows. Example: {example}", example=examples.SYNC_DAS)
        )
    return [import_orders.begin(ctx, f"das:{instance}", preview=preview, trust=False)]


COMMANDS = (
    Command(
        Form("sync cloudmonitor", zh=("同步云监控",)),
        cloudmonitor,
        "contacts",
        _("import contacts and groups from CloudMonitor; trust: what is activated there needs no code"),
        ("sync cloudmonitor [preview] [trust]", "同步云监控 [预览] [信任]"),
    ),
    Command(
        Form("sync das", zh=("同步DAS",)),
        das,
        "contacts",
        _("import the contacts and groups that DAS notifies about an instance"),
        ("sync das <instance> [preview]", "同步DAS <实例> [预览]"),
    ),
)
