"""Alerts in chat: what is open, one alert with its deliveries, and who takes care of it; test cards."""

from __future__ import annotations

from handlers import alert_cards, cards, examples, names, outbox, people_names, silences
from handlers import alerts as rules
from handlers.addresses import channel_name
from handlers.commands import several
from handlers.commands.contract import PAGE, Answers, Command, paged, said, whole
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Document, Items, Table
from handlers.errors import CommandError
from handlers.routing import targets
from handlers.texts import Say, _, n_, to_json
from handlers.times import local
from storage import alerts, batches, contacts, groups
from storage.alerts import AlertRow
from storage.contacts import ContactRow, MethodRow

ALL = frozenset({"all", "全部", "所有"})
OPEN = frozenset({"open", "未恢复", "打开"})


def _find(ctx: Context, request: Request, example: Say, *, lock: bool = False) -> AlertRow:
    if not request.numbers and request.words:
        word = names.printable(request.words[0])[:40]
        raise CommandError(_("“{word}” is no number of an alert. Example: {example}", word=word, example=example))
    if not request.numbers:
        raise CommandError(_("The number of an alert is missing. Example: {example}", example=example))
    row = alerts.by_id(ctx.tx, request.numbers[0], lock=lock)
    if row is None:
        raise CommandError(
            _("There is no alert {number}. “alerts” shows what is open.", number=f"#{request.numbers[0]}")
        )
    return row


def _who(ctx: Context, person_id: str | None) -> str:
    return people_names.shown(ctx.tx, person_id) if person_id else ""


def list_(ctx: Context, request: Request) -> Answers:
    words = [word for word in request.words if word.casefold() not in ALL | OPEN]
    only_open = not any(word.casefold() in ALL for word in request.words)
    group = None
    if words:
        group = groups.by_key(ctx.tx, names.key(" ".join(words)))
        if group is None:
            raise names.unknown("group", " ".join(words), groups.names(ctx.tx))
    count, page = alerts.page(
        ctx.tx, group_id=group.id if group else None, only_open=only_open, limit=PAGE, offset=ctx.offset
    )
    if not count:
        return whole(ctx, _("No alert is open.") if only_open else _("There are no alerts."))
    rows = tuple(
        (
            f"#{row.id}",
            silences.state(row),
            row.title,
            group_name or _("no group"),
            local(row.starts_at or row.first_at, ctx.rules.zone),
            _who(ctx, row.acked_by) or "–",
        )
        for row, group_name in page
    )
    title = n_("{n} open alert", "{n} open alerts", count) if only_open else n_("{n} alert", "{n} alerts", count)
    header: tuple[Say, ...] = (_("No."), _("State"), _("Title"), _("Group"), _("Since"), _("Acknowledged"))
    return paged(ctx, request, count, title, Table(header, rows))


def show(ctx: Context, request: Request) -> Answers:
    if len(request.numbers) > 1:
        raise CommandError(_("One alert at a time. Example: {example}", example=examples.ALERT))
    return [alert_cards.answer(ctx, _find(ctx, request, examples.ALERT))]


def each(one: several.Run) -> several.Run:
    return several.each_number(one, lambda count: n_("{n} alert", "{n} alerts", count))


def ack(ctx: Context, request: Request) -> Answers:
    row = _find(ctx, request, examples.ACK, lock=True)
    if row.status == "resolved":
        raise CommandError(_("Alert {number} is over already.", number=f"#{row.id}"))
    if row.acked_by:
        return said(
            _(
                "Alert {number} was acknowledged by {who} at {time}.",
                number=f"#{row.id}",
                who=_who(ctx, row.acked_by),
                time=local(row.acked_at or ctx.now, ctx.rules.zone),
            )
        )
    alerts.change(ctx.tx, row.id, acked_by=ctx.person.id, acked_at=ctx.now)
    ctx.log("ack", f"#{row.id} {row.title}")
    who = people_names.shown(ctx.tx, ctx.person.id)
    return alert_cards.changed(
        ctx, row.id, _("{who} has alert {number}: {title}", who=who, number=f"#{row.id}", title=row.title)
    )


def unack(ctx: Context, request: Request) -> Answers:
    row = _find(ctx, request, examples.UNACK, lock=True)
    if row.status == "resolved":
        raise CommandError(_("Alert {number} is over already.", number=f"#{row.id}"))
    if not row.acked_by:
        raise CommandError(_("Nobody has acknowledged alert {number}.", number=f"#{row.id}"))
    alerts.change(ctx.tx, row.id, acked_by=None, acked_at=None)
    ctx.log("unack", f"#{row.id} {row.title}", {"acked_by": row.acked_by}, None)
    return alert_cards.changed(
        ctx, row.id, _("Nobody has alert {number} now: {title}", number=f"#{row.id}", title=row.title)
    )


def resolve(ctx: Context, request: Request) -> Answers:
    row = _find(ctx, request, examples.RESOLVE, lock=True)
    if row.status == "resolved":
        raise CommandError(_("Alert {number} is over already.", number=f"#{row.id}"))
    version = row.version + 1
    alerts.change(
        ctx.tx,
        row.id,
        status="resolved",
        ends_at=ctx.now,
        resolved_by=ctx.person.id,
        version=version,
        last_at=ctx.now,
        sent_at=ctx.now,
    )
    if row.silence_id is None:  # else nobody is told: its alarm is quiet, and so is its end
        group = groups.by_id(ctx.tx, row.group_id) if row.group_id else None
        to = targets(ctx.tx, row.group_id)
        group_name = group.name if group else ""
        owed = rules.cards(row.id, version, "resolved", row.severity, to, group_name, ctx.now, outbox.RECOVERY)
        ctx.wake |= rules.owe(ctx.tx, owed, ctx.now)
    ctx.log("resolve", f"#{row.id} {row.title}")
    return alert_cards.changed(
        ctx, row.id, _("Alert {number} is resolved: {title}", number=f"#{row.id}", title=row.title)
    )


def note(ctx: Context, request: Request) -> Answers:
    row = _find(ctx, request, examples.NOTE)
    text = names.printable(request.text.strip())[:1000]
    if not text:
        raise CommandError(
            _("The text of the note is missing. Example: {example}", example=examples.note_alert(row.id))
        )
    alerts.add_note(ctx.tx, row.id, ctx.person.id, text, ctx.now)
    ctx.log("note", f"#{row.id} {row.title}", None, {"note": text})
    alert_cards.follow(ctx, row.id)
    return said(_("Noted on alert {number}: {text}", number=f"#{row.id}", text=text))


def test(ctx: Context, request: Request) -> Answers:
    which = _("Say which contact or group to test. Example: {example}", example=examples.TEST)
    name = several.one_name(request, "target", examples.TEST, which)
    group = groups.by_key(ctx.tx, names.key(name))
    contact = contacts.by_key(ctx.tx, names.key(name))
    if group is not None:
        ctx.need_admin(_("test groups and contacts of other people"))
        members = groups.members(ctx.tx, group.id)
    elif contact is not None:
        if ctx.person.contact_id != contact.id:
            ctx.need_admin(_("test groups and contacts of other people"))
        members = [contact]
    else:
        raise names.unknown("target", name, [*contacts.names(ctx.tx), *groups.names(ctx.tx)])
    shown = group.name if group else members[0].name
    return _send_tests(ctx, shown, members)


def _send_tests(ctx: Context, shown: str, members: list[ContactRow]) -> Answers:
    by_id = {member.id: member for member in members}
    active: dict[str, MethodRow] = {}
    asleep: list[Say] = []
    for method in contacts.methods(ctx.tx, list(by_id)):
        if method.state == "active":
            active.setdefault(outbox.lane_of(method), method)
        else:
            state = _("not verified yet") if method.state == "pending" else _("disabled")
            asleep.append(
                _(
                    "{name}: {channel} {address} gets nothing, it is {state}.",
                    name=by_id[method.contact_id].name,
                    channel=channel_name(method.channel),
                    address=method.masked,
                    state=state,
                )
            )
    asleep = asleep[:PAGE]
    if not active:
        more = (Items(tuple(asleep)),) if asleep else ()
        return said(_("“{name}” has no active address: nothing to test.", name=shown), *more)
    body = {
        "conversation": ctx.place.id,
        "person": ctx.person.id,
        "language": ctx.language,
        "name": shown,
        "asleep": [to_json(one) for one in asleep],
        **outbox.way(ctx.place),
    }
    batch = batches.start(ctx.tx, "test", body, ctx.now)
    rows = []
    for method in active.values():
        contact = by_id[method.contact_id]
        document = cards.test_document(contact.name, channel_name(method.channel), ctx.person.name or ctx.person.id)
        rows.append(
            outbox.to_method(
                method,
                contact.name,
                "test",
                document,
                cards.language_of(contact, ctx.language),
                dedupe=f"test:{batch}:{method.id}",
                priority=outbox.TEST,
                now=ctx.now,
                life=outbox.TEST_LIFE,
                batch_id=batch,
            )
        )
    ctx.wake |= outbox.owe(ctx.tx, rows)
    ctx.log("test", shown)
    title = n_(
        "Testing “{name}” through {n} channel; I report when it is done.",
        "Testing “{name}” through {n} channels; I report when they are done.",
        len(active),
        name=shown,
    )
    return [Answer(Document(title), interim=True)]


COMMANDS = (
    Command(
        Form("alerts", en=("alert list",), zh=("告警列表",)),
        list_,
        "alerts",
        _("open alerts; with “all” the past ones too"),
        ("alerts [group] [open or all]", "告警列表 [组] [未恢复或全部]"),
    ),
    Command(
        Form("alert", en=("alert show",), zh=("告警",)),
        show,
        "alerts",
        _("one alert and who was told"),
        ("alert <id>", "告警 <编号>"),
    ),
    Command(Form("ack", zh=("认领",)), each(ack), "alerts", _("I take care of it"), ("ack <id>", "认领 <编号>")),
    Command(
        Form("unack", zh=("取消认领",)),
        each(unack),
        "alerts",
        _("somebody else has to"),
        ("unack <id>", "取消认领 <编号>"),
    ),
    Command(Form("resolve", zh=("解决",)), each(resolve), "alerts", _("it is over"), ("resolve <id>", "解决 <编号>")),
    Command(
        Form("note", zh=("备注",), text=True, lead=1),
        note,
        "alerts",
        _("write down what was found"),
        ("note <id> <text>", "备注 <编号> <文字>"),
    ),
    Command(
        Form("test", zh=("测试",)),
        test,
        "alerts",
        _("send a test card through every channel and report"),
        ("test <contact or group>", "测试 <联系人或组>"),
    ),
)
