"""What an import came to, as people read it, and what is said of a contact that was imported."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from handlers import examples, notices
from handlers.addresses import channel_name
from handlers.commands.contract import PAGE, Answers, paged, said
from handlers.commands.request import Request
from handlers.contacts import joined
from handlers.context import Context, Rules
from handlers.document import Block, Document, Examples, Paragraph, Table
from handlers.import_books import ACCEPTED, Book
from handlers.import_orders import asked_by, owe, wish_of
from handlers.import_results import Came, Line
from handlers.import_wishes import Wish, system_name
from handlers.imports import carry_out
from handlers.texts import Say, _, from_json, to_json
from storage import imports
from storage.database import Tx
from storage.deliveries import DeliveryRow

KEPT = timedelta(days=1)
"""How long a long answer can be continued."""

KINDS: dict[str, Say] = {"phone": channel_name("sms"), "email": channel_name("email"), "webhook": _("webhook")}


def done(tx: Tx, delivery: DeliveryRow) -> bool:
    """Whether its import was written before: what came after it was cut off by a crash."""
    asked = delivery.payload or {}
    return imports.hold(tx, asked["source"]).run == delivery.id


def apply(tx: Tx, delivery: DeliveryRow, book: Book, rules: Rules, now: datetime) -> set[str]:
    """Merges what was read and owes the answer, once for a delivery; the lanes to wake."""
    if done(tx, delivery):
        return set()
    wish = wish_of(tx, delivery)
    came = carry_out(tx, book, wish, rules, now)
    imports.applied(tx, wish.source, delivery.id)
    ctx = asked_by(tx, delivery, rules, now)
    if ctx is None:
        if wish.person or not came.news:
            return set()
        document = Document(_title(came, wish), (_table(came.lines[:PAGE]),))
        return notices.tell(tx, notices.admins(tx, rules), document, rules, dedupe=f"sync:{delivery.id}", now=now)
    imports.save_report(tx, delivery.id, _to_json(came, wish), now, KEPT)
    return owe(ctx, delivery, _page(ctx, delivery.id, came, wish), f"imported:{delivery.id}")


def continued(ctx: Context, request: Request) -> Answers:
    """The next page of an answer."""
    number = request.numbers[0] if request.numbers else 0
    stored = imports.report(ctx.tx, number)
    if stored is None:
        return said(_("There is no list to continue. Please ask for it again."))
    came, wish = _from_json(stored)
    return _page(ctx, number, came, wish)


def _page(ctx: Context, number: int, came: Came, wish: Wish) -> Answers:
    if not came.lines:
        return said(_("{source} has no contacts.", source=wish.system))
    way = wish.source.partition(":")[0]
    form = "sync cloudmonitor" if way == "cloudmonitor" else "sync das"
    request = Request(form=form, language=ctx.language, numbers=(number,))
    table = _table(came.lines[ctx.offset : ctx.offset + PAGE])
    answers = paged(ctx, request, len(came.lines), _title(came, wish), table)
    more = _hints(came, wish) if ctx.offset == 0 else ()
    document = answers[0].document
    return said(document.title, *document.blocks, *more, buttons=document.buttons)


def _hints(came: Came, wish: Wish) -> tuple[Block, ...]:
    if wish.preview and came.news:
        way, _colon, instance = wish.source.partition(":")
        again = examples.SYNC if way == "cloudmonitor" else examples.sync_das(instance)
        return (Paragraph(_("Nothing is changed yet. To do it:")), Examples((again,)))
    # The names of contacts are as they were given, those of groups are in a sentence.
    new = next((line.name for line in came.lines if line.result == "added" and isinstance(line.name, str)), None)
    if new is not None and not wish.trust:
        return (
            Paragraph(_("No alert goes to an address before it is verified. One after the other:")),
            Examples((examples.verify(new),)),
        )
    return ()


def _title(came: Came, wish: Wish) -> Say:
    added, changed = came.count("added"), came.count("changed")
    unchanged, skipped = came.count("unchanged"), came.count("skipped")
    if wish.preview:
        return _(
            "Preview of {source}: {added} added, {changed} changed, {unchanged} unchanged, {skipped} skipped",
            source=wish.system,
            added=added,
            changed=changed,
            unchanged=unchanged,
            skipped=skipped,
        )
    return _(
        "{source}: {added} added, {changed} changed, {unchanged} unchanged, {skipped} skipped",
        source=wish.system,
        added=added,
        changed=changed,
        unchanged=unchanged,
        skipped=skipped,
    )


def _table(lines: tuple[Line, ...]) -> Table:
    words: dict[str, Say] = {
        "added": _("added"),
        "changed": _("changed"),
        "gone": _("gone"),
        "skipped": _("skipped"),
        "unchanged": _("unchanged"),
    }
    rows = tuple((line.name, words[line.result], line.what) for line in lines)
    return Table((_("Name"), _("Result"), _("What")), rows)


def _to_json(came: Came, wish: Wish) -> dict[str, Any]:
    return {
        "lines": [[to_json(line.name), line.result, to_json(line.what)] for line in came.lines],
        "news": came.news,
        "source": wish.source,
        "preview": wish.preview,
        "trust": wish.trust,
    }


def _from_json(stored: dict[str, Any]) -> tuple[Came, Wish]:
    lines = tuple(Line(from_json(name), result, from_json(what)) for name, result, what in stored["lines"])
    return Came(lines, stored["news"]), Wish(stored["source"], preview=stored["preview"], trust=stored["trust"])


def facts(tx: Tx, contact_id: int) -> tuple[tuple[Say, Say], ...]:
    """What each system that the contact was imported from says of it, for showing."""
    pairs: list[tuple[Say, Say]] = []
    for row in imports.of_contact(tx, contact_id):
        system = system_name(row.source)
        if row.gone_at is not None:
            pairs.append((system, _("not there any more")))
            continue
        told = [_of_slot(slot) for slot in row.body.values() if "channel" in slot or "hidden" in slot]
        pairs.append((system, joined(told) if told else _("no address")))
    return tuple(pairs)


def _of_slot(slot: dict[str, Any]) -> Say:
    state = {ACCEPTED: _("activated there"), "PENDING": _("not activated there")}.get(
        slot["state"], slot["state"] or _("state unknown")
    )
    if "hidden" in slot:
        return _(
            "{channel} {address} ({state}; masked, so not used)",
            channel=KINDS[slot["kind"]],
            address=slot["hidden"],
            state=state,
        )
    return _(
        "{channel} {address} ({state})", channel=channel_name(slot["channel"]), address=slot["masked"], state=state
    )
