"""Alerts in chat: what is open, one alert with its deliveries, and who takes care of it; test cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from handlers import alerts as rules
from handlers import cards, examples, names, outbox, people_names
from handlers.addresses import channel_name
from handlers.buttons import drawn
from handlers.commands.contract import PAGE, Answers, Command, paged, said
from handlers.commands.request import Form, Request
from handlers.context import Answer, Context
from handlers.document import Block, Button, Document, Items, Paragraph, Table
from handlers.errors import CommandError
from handlers.outcomes import result
from handlers.routing import targets
from handlers.texts import Language, Say, _, n_
from handlers.times import local
from storage import alerts, contacts, deliveries, groups, people
from storage.alerts import AlertRow
from storage.contacts import ContactRow, MethodRow

SHOWN_FOR = timedelta(days=1)
MOST_SHOWN = 5
"""How long and in how many places the card of an alert is kept up to date."""

Run = Callable[[Context, Request], Answers]

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
        return said(_("No alert is open.") if only_open else _("There are no alerts."))
    rows = tuple(
        (
            f"#{row.id}",
            cards.badge(row.status, row.severity),
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
    return [_card(ctx, _find(ctx, request, examples.ALERT))]


def _card(ctx: Context, row: AlertRow, *first: Block) -> Answer:
    """The alert as an answer, with what can be done about it; drawn anew where it is shown when that changes."""
    document = _document(ctx, row)
    return Answer(replace(document, blocks=(*first, *document.blocks), buttons=_buttons(row)), alert=row.id)


def _buttons(row: AlertRow) -> tuple[Button, ...]:
    if row.status == "resolved":
        return ()
    mine = (
        Button(_("Give back"), examples.unack(row.id), anyone=True)
        if row.acked_by
        else Button(_("Acknowledge"), examples.ack(row.id), "primary", anyone=True)
    )
    return (mine, Button(_("Resolve"), examples.resolve(row.id), anyone=True))


def _changed(ctx: Context, number: int, sentence: Say) -> Answers:
    """What is said when somebody took care: the sentence; to a button the card itself, and cards elsewhere follow."""
    row = alerts.by_id(ctx.tx, number)
    assert row is not None  # noqa: S101 (just written)
    ctx.wake |= refresh(ctx, row)
    if ctx.pressed:
        return [_card(ctx, row, Paragraph(sentence))]
    return [Answer(Document(sentence, buttons=_buttons(row)))]


def refresh(ctx: Context, row: AlertRow) -> set[str]:
    """Owes the alert's card anew wherever it was shown in chat lately, in its place; the lanes to wake."""
    rows = []
    for shown in deliveries.shown_in_chat(ctx.tx, row.id, ctx.now - SHOWN_FOR, MOST_SHOWN):
        kind, _colon, where = shown.lane.partition(":")
        place = people.conversation_by_id(ctx.tx, where) if kind == "chat" else None
        if place is None or _message(shown.receipt) == _message(ctx.handle):
            continue
        language: Language = "en" if place.language == "en" else "zh" if place.language == "zh" else ctx.language
        there = replace(ctx, place=place, language=language)
        document = drawn(ctx.tx, ctx.rules, _card(there, row).document, language, place, "", ctx.now)
        rows.append(
            outbox.answer(
                document,
                language,
                replace(place, reply_url="", reply_until=None),
                ctx.person.id,
                private=False,
                dedupe=f"refresh:{shown.id}:{ctx.now.timestamp():.6f}",
                now=ctx.now,
                replaces=shown.receipt,
                alert_id=row.id,
                priority=outbox.NOTICE,  # whoever asked something is answered first
            )
        )
    return outbox.owe(ctx.tx, rows)


def _message(reference: str) -> str:
    """The part of a platform's reference that stays the same as long as it is the same message."""
    return reference.partition(" ")[0]


def _document(ctx: Context, row: AlertRow) -> Document:
    group = groups.by_id(ctx.tx, row.group_id) if row.group_id else None
    document = cards.alert_document(
        cards.reported(row),
        row.id,
        source=row.source_name,
        group=group.name if group else "",
        zone=ctx.rules.zone,
        acked_by=_who(ctx, row.acked_by) or None,
    )
    more: list[Block] = []
    if row.repeats:
        times = n_("{n} time", "{n} times", row.repeats)
        last = local(row.last_at, ctx.rules.zone)
        more.append(Paragraph(_("Reported again {times}, last at {time}.", times=times, time=last)))
    notes = alerts.notes(ctx.tx, row.id)
    if notes:
        more.append(Items(tuple(f"{local(n.at, ctx.rules.zone)} {_who(ctx, n.person)}: {n.text}" for n in notes)))
    owed = deliveries.of_alert(ctx.tx, row.id)
    if owed:
        header: tuple[Say, ...] = (_("No."), _("Contact"), _("Channel"), _("Result"))
        more.append(
            Table(
                header,
                tuple(
                    (
                        str(one.id),
                        one.contact_name,
                        _("{channel} {address}", channel=channel_name(one.channel), address=one.masked),
                        result(one),
                    )
                    for one in owed[-PAGE:]
                ),
            )
        )
    else:
        more.append(Paragraph(_("It reached nobody: its group has no active address.")))
    return replace(document, blocks=(*document.blocks, *more))


def _each(one: Run) -> Run:
    """The same for every number that was given; when one of them cannot be, nothing is done."""

    def run(ctx: Context, request: Request) -> Answers:
        numbers = tuple(dict.fromkeys(request.numbers))
        if len(numbers) > PAGE:
            raise CommandError(_("At most {most} alerts at once.", most=PAGE))
        if len(numbers) <= 1:
            return one(ctx, request)
        told = [one(ctx, replace(request, numbers=(number,)))[0].document.title for number in numbers]
        return said(n_("{n} alert", "{n} alerts", len(numbers)), Items(tuple(told)))

    return run


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
    return _changed(ctx, row.id, _("{who} has alert {number}: {title}", who=who, number=f"#{row.id}", title=row.title))


def unack(ctx: Context, request: Request) -> Answers:
    row = _find(ctx, request, examples.UNACK, lock=True)
    if row.status == "resolved":
        raise CommandError(_("Alert {number} is over already.", number=f"#{row.id}"))
    if not row.acked_by:
        raise CommandError(_("Nobody has acknowledged alert {number}.", number=f"#{row.id}"))
    alerts.change(ctx.tx, row.id, acked_by=None, acked_at=None)
    ctx.log("unack", f"#{row.id} {row.title}", {"acked_by": row.acked_by}, None)
    return _changed(ctx, row.id, _("Nobody has alert {number} now: {title}", number=f"#{row.id}", title=row.title))


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
    group = groups.by_id(ctx.tx, row.group_id) if row.group_id else None
    to = targets(ctx.tx, row.group_id)
    ctx.wake |= outbox.owe(
        ctx.tx,
        rules.cards(
            row.id, version, "resolved", row.severity, to, group.name if group else "", ctx.now, outbox.RECOVERY
        ),
    )
    ctx.log("resolve", f"#{row.id} {row.title}")
    return _changed(ctx, row.id, _("Alert {number} is resolved: {title}", number=f"#{row.id}", title=row.title))


def note(ctx: Context, request: Request) -> Answers:
    row = _find(ctx, request, examples.NOTE)
    text = names.printable(request.text.strip())[:1000]
    if not text:
        raise CommandError(
            _("The text of the note is missing. Example: {example}", example=examples.note_alert(row.id))
        )
    alerts.add_note(ctx.tx, row.id, ctx.person.id, text, ctx.now)
    ctx.log("note", f"#{row.id} {row.title}", None, {"note": text})
    return said(_("Noted on alert {number}: {text}", number=f"#{row.id}", text=text))


def test(ctx: Context, request: Request) -> Answers:
    if not request.names:
        raise CommandError(_("Say which contact or group to test. Example: {example}", example=examples.TEST))
    name = request.names[0]
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
    more: tuple[Block, ...] = (Items(tuple(asleep[:PAGE])),) if asleep else ()
    if not active:
        return said(_("“{name}” has no active address: nothing to test.", name=shown), *more)
    body = {"conversation": ctx.place.id, "person": ctx.person.id, "language": ctx.language, "name": shown}
    batch = deliveries.open_batch(ctx.tx, "test", body, ctx.now)
    rows = []
    for method in active.values():
        contact_name = by_id[method.contact_id].name
        document = cards.test_document(contact_name, channel_name(method.channel), ctx.person.name or ctx.person.id)
        rows.append(
            outbox.to_method(
                method,
                contact_name,
                "test",
                document,
                ctx.language,
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
    return said(title, *more)


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
    Command(Form("ack", zh=("认领",)), _each(ack), "alerts", _("I take care of it"), ("ack <id>", "认领 <编号>")),
    Command(
        Form("unack", zh=("取消认领",)),
        _each(unack),
        "alerts",
        _("somebody else has to"),
        ("unack <id>", "取消认领 <编号>"),
    ),
    Command(Form("resolve", zh=("解决",)), _each(resolve), "alerts", _("it is over"), ("resolve <id>", "解决 <编号>")),
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
