"""Housekeeping in chat: admins, the audit log, the language, and how the service is."""

from __future__ import annotations

from functools import partial

from handlers import audit_log, examples, people_names, places, receipts, undo
from handlers.addresses import channel_name
from handlers.commands import several
from handlers.commands.contract import PAGE, Answers, Command, paged, said, whole
from handlers.commands.request import Form, Request
from handlers.commands.words import LANGUAGES
from handlers.context import Context
from handlers.document import Facts, Items, Paragraph, Table
from handlers.errors import CommandError
from handlers.texts import Say, _, n_
from handlers.times import local
from storage import alerts, audit, contacts, deliveries, people


def _mentioned(request: Request, example: Say) -> str:
    if not request.mentions:
        raise CommandError(
            _(
                "Mention the person, or give the id that “status” shows them. Example: {example}",
                example=example,
            )
        )
    return several.one_person(request, example)


def admin_add(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(_("make others admin"))
    who = _mentioned(request, examples.ADD_ADMIN)
    undo.touch(ctx, "person", who)
    people.set_admin(ctx.tx, who, True, ctx.now)
    ctx.log("admin add", who, None, {"admin": True})
    return said(_("{person} is an admin now.", person=_named(ctx, who)))


def admin_remove(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(_("take the role of an admin"))
    who = _mentioned(request, examples.REMOVE_ADMIN)
    if who in ctx.rules.admins:
        raise CommandError(
            _("{person} is an admin by the setting ADMINS; only the operator can change that.", person=who)
        )
    undo.touch(ctx, "person", who)
    people.set_admin(ctx.tx, who, False, ctx.now)
    ctx.log("admin remove", who, {"admin": True}, {"admin": False})
    return said(_("{person} is no admin any more.", person=_named(ctx, who)))


def _named(ctx: Context, person_id: str) -> str:
    person = people.by_id(ctx.tx, person_id)
    return f"{person.name} ({person_id})" if person and person.name else person_id


def admin_list(ctx: Context, request: Request) -> Answers:  # noqa: ARG001
    granted = [admin.id for admin in people.admins(ctx.tx)]
    rows: list[Say] = [_("{person} (by setting)", person=_named(ctx, one)) for one in sorted(ctx.rules.admins)]
    rows += [_named(ctx, one) for one in granted if one not in ctx.rules.admins]
    if not rows:
        return said(
            _("There is no admin yet."),
            Paragraph(
                _("The operator names the first one in the setting ADMINS; your id is {person}.", person=ctx.person.id)
            ),
        )
    return whole(ctx, n_("{n} admin", "{n} admins", len(rows)), Items(tuple(rows)))


def audit_(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(_("read the audit log"))
    count, page = audit.page(ctx.tx, PAGE, ctx.offset)
    if not count:
        return whole(ctx, _("Nothing was changed yet."))
    named = partial(people_names.with_id, ctx.tx)
    rows: tuple[tuple[Say, ...], ...] = tuple(
        (
            local(row.at, ctx.rules.zone),
            named(row.person) if row.person else _("by itself"),
            places.shown(ctx.tx, row.conversation) if row.conversation else "",
            audit_log.action_words(row.action),
            row.subject,
            audit_log.told(row.before, named),
            audit_log.told(row.after, named),
        )
        for row in page
    )
    header: tuple[Say, ...] = (_("When"), _("Who"), _("Conversation"), _("What"), _("On"), _("Before"), _("After"))
    return paged(ctx, request, count, n_("{n} change", "{n} changes", count), Table(header, rows))


def language(ctx: Context, request: Request) -> Answers:
    wanted = next((LANGUAGES[word.casefold()] for word in request.words if word.casefold() in LANGUAGES), None)
    if wanted is None:
        raise CommandError(_("Say zh for Chinese or en for English. Example: {example}", example=examples.LANGUAGE))
    people.set_language(ctx.tx, ctx.place.id, wanted)
    ctx.log("language", ctx.place.title or ctx.place.id, {"language": ctx.place.language}, {"language": wanted})
    ctx.language = "en" if wanted == "en" else "zh"
    return said(_("From now on I answer in English here, unless a command is Chinese."))


def status(ctx: Context, request: Request) -> Answers:  # noqa: ARG001
    own = contacts.by_id(ctx.tx, ctx.person.contact_id) if ctx.person.contact_id else None
    role: Say = _("admin") if ctx.admin else _("member")
    pairs: list[tuple[Say, Say]] = [
        (_("You are"), f"{ctx.person.id}"),
        (_("Role"), role),
        (_("Your contact"), own.name if own else _("none")),
        (_("Open alerts"), str(alerts.open_count(ctx.tx))),
        (_("Messages waiting"), str(deliveries.waiting(ctx.tx))),
        (_("Dead letters"), str(deliveries.dead(ctx.tx))),
        (_("Version"), ctx.rules.version),
    ]
    if ctx.admin and ctx.place.direct:
        pairs += [
            (_("Receipts of {channel}", channel=channel_name(channel)), receipts.url(ctx.tx, channel, ctx.rules))
            for channel in receipts.PARSERS
            if channel in ctx.rules.budgets
        ]
    lacking: list[Say] = []
    if ctx.admin:
        lacking = [
            _("{channel}: not set up ({settings})", channel=channel_name(channel), settings=", ".join(settings))
            for channel, settings in sorted(ctx.rules.missing.items())
        ]
    return said(_("Callboard is at work"), Facts(tuple(pairs)), *((Items(tuple(lacking)),) if lacking else ()))


COMMANDS = (
    Command(
        Form("admin add", zh=("管理员添加", "添加管理员")),
        admin_add,
        "admin",
        _("make a person admin"),
        ("admin add <mention>", "管理员添加 <@某人>"),
    ),
    Command(
        Form("admin remove", zh=("管理员移除", "移除管理员", "删除管理员")),
        admin_remove,
        "admin",
        _("take the admin role away"),
        ("admin remove <mention>", "管理员移除 <@某人>"),
    ),
    Command(
        Form("admin list", en=("admins",), zh=("管理员列表", "管理员")),
        admin_list,
        "admin",
        _("who is admin"),
        ("admin list", "管理员列表"),
    ),
    Command(Form("audit", zh=("审计",)), audit_, "admin", _("who changed what"), ("audit", "审计")),
    Command(
        Form("language", zh=("语言",)),
        language,
        "admin",
        _("the language of this conversation"),
        ("language zh or en", "语言 中文 或 英文"),
    ),
    Command(
        Form("status", zh=("状态",)), status, "admin", _("how the service is, and who I am to it"), ("status", "状态")
    ),
)
