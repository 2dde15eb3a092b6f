"""The delivery log in chat, dead letters first, and sending one again."""

from __future__ import annotations

from handlers import examples, names, outbox
from handlers.addresses import channel_name
from handlers.commands import several
from handlers.commands.contract import PAGE, Answers, Command, paged, said, whole
from handlers.commands.request import Form, Request
from handlers.context import Context
from handlers.document import Table
from handlers.errors import CommandError
from handlers.outcomes import result
from handlers.texts import Say, _, n_
from handlers.times import local
from storage import contacts, deliveries, groups
from storage.deliveries import DeliveryRow

FAILED = frozenset({"failed", "dead", "失败"})


def about(row: DeliveryRow) -> Say:
    """What a delivery carried."""
    if row.kind == "alert":
        return _("recovery of #{id}", id=row.alert_id) if row.alert_status == "resolved" else f"#{row.alert_id}"
    words: dict[str, Say] = {"code": _("code"), "test": _("test"), "notice": _("notice")}
    return words.get(row.kind, row.kind)


def list_(ctx: Context, request: Request) -> Answers:
    words = [word for word in request.words if word.casefold() not in FAILED]
    only_failed = len(words) < len(request.words)
    contact_name = group_name = None
    if words:
        name = " ".join(words)
        contact = contacts.by_key(ctx.tx, names.key(name))
        group = groups.by_key(ctx.tx, names.key(name))
        if contact is None and group is None:
            raise names.unknown("target", name, [*contacts.names(ctx.tx), *groups.names(ctx.tx)])
        contact_name = contact.name if contact else None
        group_name = group.name if group and not contact else None
    count, page = deliveries.page(
        ctx.tx,
        only_failed=only_failed,
        contact_name=contact_name,
        group_name=group_name,
        limit=PAGE,
        offset=ctx.offset,
    )
    if not count:
        return whole(ctx, _("Nothing failed.") if only_failed else _("Nothing was delivered yet."))
    rows = tuple(
        (
            str(row.id),
            local(row.created_at, ctx.rules.zone),
            about(row),
            row.contact_name,
            _("{channel} {address}", channel=channel_name(row.channel), address=row.masked),
            result(row, ctx.rules.zone),
        )
        for row in page
    )
    title = (
        n_("{n} dead letter", "{n} dead letters", count) if only_failed else n_("{n} delivery", "{n} deliveries", count)
    )
    header: tuple[Say, ...] = (_("No."), _("When"), _("What"), _("Contact"), _("Channel"), _("Result"))
    return paged(ctx, request, count, title, Table(header, rows))


def retry(ctx: Context, request: Request) -> Answers:
    ctx.need_admin(_("send dead letters again"))
    if not request.numbers:
        raise CommandError(
            _(
                "The number of a delivery is missing (“deliveries failed” shows them). Example: {example}",
                example=examples.RETRY,
            )
        )
    number = request.numbers[0]
    row = deliveries.by_id(ctx.tx, number)
    if row is None or row.kind not in deliveries.LOGGED:
        raise CommandError(
            _("There is no delivery {number}. “deliveries failed” shows what can be sent again.", number=number)
        )
    if row.kind == "code":
        raise CommandError(
            _("A code is not sent again; ask for a new one: {example}", example=examples.verify(row.contact_name))
        )
    if row.state != "dead":
        raise CommandError(_("Delivery {number} is no dead letter: {state}.", number=number, state=result(row)))
    if row.kind != "alert" and row.payload is None:
        raise CommandError(
            _(
                "The words of delivery {number} are no longer kept; test again: {example}",
                number=number,
                example=examples.TEST,
            )
        )
    method = contacts.method_by_id(ctx.tx, row.method_id) if row.method_id else None
    if method is None:
        raise CommandError(_("The address of delivery {number} no longer exists.", number=number))
    if method.state != "active":
        raise CommandError(
            _(
                "{address} has to be verified first: {example}",
                address=method.masked,
                example=examples.verify(row.contact_name),
            )
        )
    deliveries.revive(ctx.tx, row.id, ctx.now, ctx.now + outbox.LIFE)
    ctx.wake.add(row.lane)
    ctx.log("retry", f"{row.id} {row.contact_name}")
    return said(_("Delivery {number} to {name} is sent again.", number=number, name=row.contact_name))


COMMANDS = (
    Command(
        Form("deliveries", en=("delivery list",), zh=("投递",)),
        list_,
        "alerts",
        _("what was sent to whom, dead letters first"),
        ("deliveries [failed] [contact or group]", "投递 [失败] [联系人或组]"),
    ),
    Command(
        Form("retry", zh=("重试",)),
        several.each_number(retry, lambda count: n_("{n} delivery", "{n} deliveries", count)),
        "alerts",
        _("send a dead letter again"),
        ("retry <id>", "重试 <编号>"),
    ),
)
