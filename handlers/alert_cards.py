"""The card of an alert in chat: drawn when somebody asks for it or presses its buttons, and anew wherever it is shown when
the alert changes.

What people do is shown at once. What a source reports, and what a silence does to many alerts, is shown by the worker
(`redraw_stale`): taking in alerts must not wait for cards that hardly any alert has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from handlers import cards, examples, outbox, people_names
from handlers.addresses import channel_name
from handlers.buttons import drawn
from handlers.context import Answer, Context, Rules
from handlers.document import Block, Button, Document, Items, Paragraph, Table
from handlers.outcomes import result
from handlers.texts import Language, Say, _, n_
from handlers.times import local
from storage import alerts, deliveries, groups, people, silences, views
from storage.alerts import AlertRow
from storage.database import Tx

SHOWN_FOR = timedelta(days=1)
MOST_SHOWN = 5
"""How long and in how many places the card of an alert is kept up to date."""

MOST_REDRAWN = 50
"""Alerts whose cards are drawn anew in one transaction."""

MOST_DELIVERIES = 20


def answer(ctx: Context, row: AlertRow, *first: Block) -> Answer:
    """The alert as an answer, with what can be done about it; drawn anew where it is shown when that changes."""
    views.showed(ctx.tx, row, ctx.place.id, ctx.person.id, ctx.language)
    return Answer(_card(ctx.tx, ctx.rules, row, *first), alert=row.id)


def changed(ctx: Context, number: int, sentence: Say, *more: Block) -> list[Answer]:
    """What is said when somebody took care: the sentence; to a button the card itself, and cards elsewhere follow."""
    row = follow(ctx, number)
    if ctx.pressed:
        return [answer(ctx, row, Paragraph(sentence), *more)]
    return [Answer(Document(sentence, more, buttons=buttons(row)))]


def follow(ctx: Context, number: int) -> AlertRow:
    """Owes the card of an alert that somebody changed just now anew wherever else it is shown; the alert as it is now."""
    views.redraw(ctx.tx, number)
    row = alerts.by_id(ctx.tx, number)
    assert row is not None  # noqa: S101 (just written)
    ctx.wake |= refresh(
        ctx.tx, ctx.rules, row, ctx.now, besides=ctx.handle, person=ctx.person.id, language=ctx.language
    )
    return row


def refresh(
    tx: Tx,
    rules: Rules,
    row: AlertRow,
    now: datetime,
    *,
    besides: str = "",
    person: str = "",
    language: Language = "zh",
) -> set[str]:
    """Owes the alert's card anew wherever it was shown in chat lately, in its place; the lanes to wake.

    besides           handle of a message that is changed already
    person, language  who made the change, where it is not known who asked for the card
    """
    rows = []
    seen = views.of_alert(tx, row.id)
    for shown in deliveries.shown_in_chat(tx, row.id, now - SHOWN_FOR, MOST_SHOWN):
        kind, _colon, where = shown.lane.partition(":")
        place = people.conversation_by_id(tx, where) if kind == "chat" else None
        if place is None or _message(shown.receipt) == _message(besides):
            continue
        view = seen.get(where)
        spoken = place.language or (view.language if view else language)
        there: Language = "en" if spoken == "en" else "zh"
        rows.append(
            outbox.answer(
                drawn(tx, rules, _card(tx, rules, row), there, place, "", now),
                there,
                replace(place, reply_url="", reply_until=None),
                person or (view.person if view else ""),
                private=False,
                dedupe=f"refresh:{shown.id}:{now.timestamp():.6f}",
                now=now,
                replaces=shown.receipt,
                alert_id=row.id,
                priority=outbox.NOTICE,  # whoever asked something is answered first
            )
        )
    return outbox.owe(tx, rows)


def redraw_stale(tx: Tx, rules: Rules, now: datetime) -> set[str]:
    """Draws anew the cards of alerts that changed since; the lanes to wake."""
    wake: set[str] = set()
    for number in views.stale(tx, MOST_REDRAWN):
        row = views.redraw(tx, number)
        if row is not None:  # else another process does it
            wake |= refresh(tx, rules, row, now, language=rules.language)
    return wake


def _message(reference: str) -> str:
    """The part of a platform's reference that stays the same as long as it is the same message."""
    return reference.partition(" ")[0]


def buttons(row: AlertRow) -> tuple[Button, ...]:
    """What can be done about it."""
    if row.status == "resolved":
        return ()
    mine = (
        Button(_("Give back"), examples.unack(row.id), anyone=True)
        if row.acked_by
        else Button(_("Acknowledge"), examples.ack(row.id), "primary", anyone=True)
    )
    quiet = (
        Button(_("End silence"), examples.end_silence(row.silence_id), anyone=True)
        if row.silence_id is not None
        else Button(_("Silence 2 h"), examples.silence(row.id), anyone=True)
    )
    return (mine, Button(_("Resolve"), examples.resolve(row.id), anyone=True), quiet)


def _card(tx: Tx, rules: Rules, row: AlertRow, *first: Block) -> Document:
    group = groups.by_id(tx, row.group_id) if row.group_id else None
    document = cards.alert_document(
        cards.reported(row),
        row.id,
        source=row.source_name,
        group=group.name if group else "",
        zone=rules.zone,
        history=cards.history_of(tx, row),
    )
    more: list[Block] = []
    if row.repeats:
        times = n_("{n} time", "{n} times", row.repeats)
        last = local(row.last_at, rules.zone)
        more.append(Paragraph(_("Reported again {times}, last at {time}.", times=times, time=last)))
    silence = _silence(tx, rules, row)
    if silence:
        more.append(Paragraph(silence))
    notes = alerts.notes(tx, row.id)
    if notes:
        more.append(
            Items(tuple(f"{local(n.at, rules.zone)} {people_names.shown(tx, n.person)}: {n.text}" for n in notes))
        )
    more += _told(tx, rules, row, quiet=bool(silence))
    return replace(document, blocks=(*first, *document.blocks, *more), buttons=buttons(row))


def _silence(tx: Tx, rules: Rules, row: AlertRow) -> Say:
    """That a silence hides the alert, or hid its end; "" where none does."""
    found = silences.by_id(tx, row.silence_id) if row.silence_id is not None else None
    if found is None:
        return ""
    who = people_names.shown(tx, found.person)
    why: Say = _(" ({why})", why=found.because) if found.because else ""
    if row.status == "resolved":
        return _("Silence {number} of {who} hid that it is over{why}.", number=found.id, who=who, why=why)
    until = local(found.ends_at, rules.zone)
    return _("Silence {number} of {who} hides it until {time}{why}.", number=found.id, who=who, time=until, why=why)


def _told(tx: Tx, rules: Rules, row: AlertRow, *, quiet: bool) -> Sequence[Block]:
    """Who got a card of it."""
    owed = deliveries.of_alert(tx, row.id)
    if not owed:
        return () if quiet else (Paragraph(_("It reached nobody: its group has no active address.")),)
    header: tuple[Say, ...] = (_("No."), _("Contact"), _("Channel"), _("Result"))
    return (
        Table(
            header,
            tuple(
                (
                    str(one.id),
                    one.contact_name,
                    _("{channel} {address}", channel=channel_name(one.channel), address=one.masked),
                    result(one, rules.zone),
                )
                for one in owed[-MOST_DELIVERIES:]
            ),
        ),
    )
