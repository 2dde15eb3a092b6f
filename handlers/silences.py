"""Silences: which alerts they keep quiet, and what is told and sent when one ends.

An alert that a silence hides is stored, numbered and listed like any other; its cards, also that of its end, are not
owed. When the silence ends, what is still firing is told as if it came now (as a reminder, where somebody had a card of
it before), and the conversation in which the silence was made gets one message about all that it hid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from handlers import matchers
from handlers.cards import badge
from handlers.document import Document, Items, Paragraph
from handlers.matchers import Subject
from handlers.model import Alert
from handlers.texts import Language, Say, _, n_
from storage import alerts, groups, silences
from storage.alerts import AlertRow
from storage.database import Tx
from storage.silences import SilenceRow
from storage.sources import SourceRow

MOST_NAMED = 20
"""Alerts that the message about a silence's end names; the others are counted."""


def reported(alert: Alert, source: SourceRow, group_name: str) -> Subject:
    """What conditions are asked about a report."""
    return Subject(
        alert.severity,
        alert.labels,
        alert.title,
        alert.rule,
        source.name,
        group_name,
        matchers.condition(source.id, alert.fingerprint),
    )


def stored(row: AlertRow, group_name: str) -> Subject:
    """The same about an alert that is known."""
    condition = matchers.condition(row.source_id, row.fingerprint)
    return Subject(row.severity, row.labels, row.title, row.rule, row.source_name, group_name, condition)


def first_match(active: Iterable[SilenceRow], subject: Subject) -> SilenceRow | None:
    """The silence that hides such an alert."""
    return next((one for one in active if matchers.all_match(matchers.from_json(one.matchers), subject)), None)


def shown(row: SilenceRow) -> str:
    """Its conditions as they can be typed."""
    return matchers.shown(matchers.from_json(row.matchers))


@dataclass(frozen=True, slots=True)
class Change:
    """A report that changed something: the alert has this number and now this version."""

    number: int
    version: int
    alert: Alert


def hide(
    tx: Tx, active: Sequence[SilenceRow], source: SourceRow, group_name: str, changes: Sequence[Change]
) -> set[tuple[int, int]]:
    """Notes which alerts are hidden now; number and version of those of which no card is owed.

    `active` was read before the alerts were: whoever ends a silence waits for us, and then finds what we hid.
    """
    if not active:
        return set()
    known = alerts.by_ids(tx, [one.number for one in changes])
    before = {number: row.silence_id for number, row in known.items()}
    now_hidden = dict(before)
    ids = {one.id for one in active}
    quiet: set[tuple[int, int]] = set()
    for one in changes:
        by = now_hidden[one.number] if now_hidden[one.number] in ids else None
        # What is over stays as hidden as it was: many sources say less of it then, and it may not match any more.
        if one.alert.status == "firing" or one.version == 1:
            found = first_match(active, reported(one.alert, source, group_name))
            by = found.id if found else None
        now_hidden[one.number] = by
        if by is not None:
            quiet.add((one.number, one.version))
    for silence_id in set(now_hidden.values()):
        silences.hide(tx, silence_id, [n for n, by in now_hidden.items() if by == silence_id and by != before[n]])
    return quiet


# ---- made and ended by people and by time


def begun(tx: Tx, row: SilenceRow, now: datetime) -> list[AlertRow]:
    """The open alerts that a new silence hides; what waits to be sent of them is not sent any more."""
    names = _GroupNames(tx)
    conditions = matchers.from_json(row.matchers)
    found = [
        one for one in silences.candidates(tx) if matchers.all_match(conditions, stored(one, names.of(one.group_id)))
    ]
    numbers = [one.id for one in found]
    silences.hide(tx, row.id, numbers)
    silences.cancel_cards(tx, numbers, now)
    return found


def hidden_by_others(tx: Tx, row: SilenceRow) -> bool:
    """Whether an open alert that the silence is about is hidden by another one already."""
    names = _GroupNames(tx)
    conditions = matchers.from_json(row.matchers)
    return any(
        one.status == "firing" and matchers.all_match(conditions, stored(one, names.of(one.group_id)))
        for other in silences.active(tx)
        if other.id != row.id
        for one in silences.hidden(tx, other.id)
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """A silence that is over: what it hid, what of that is told now, and what another one goes on hiding."""

    silence: SilenceRow
    hidden: tuple[AlertRow, ...]
    told: frozenset[int]
    kept: dict[int, int]

    @property
    def still_firing(self) -> list[AlertRow]:
        return [row for row in self.hidden if row.id in self.told]


def ended(tx: Tx, silence_id: int, person: str | None, now: datetime) -> Ended | None:
    """Ends it and lets go of its alerts; None when somebody else did. Their cards are for the caller to owe."""
    row = silences.end(tx, silence_id, person, now)
    if row is None:
        return None
    names = _GroupNames(tx)
    others = silences.active(tx)
    hidden = silences.hidden(tx, silence_id)
    kept: dict[int, int] = {}
    told: list[int] = []
    for one in hidden:
        if one.status != "firing":
            continue
        other = first_match(others, stored(one, names.of(one.group_id)))
        if other is None:
            told.append(one.id)
        else:
            kept[one.id] = other.id
    for other_id in set(kept.values()):
        silences.hide(tx, other_id, [number for number, by in kept.items() if by == other_id])
    silences.release(tx, told, now)
    return Ended(row, tuple(hidden), frozenset(told), kept)


def document(over: Ended) -> Document:
    """What is told of a silence that is over."""
    title: Say = _("Silence {number} is over. It hid nothing.", number=over.silence.id)
    if over.hidden:
        title = n_(
            "Silence {number} is over. {n} alert was hidden.",
            "Silence {number} is over. {n} alerts were hidden.",
            len(over.hidden),
            number=over.silence.id,
        )
    # What is still firing first: somebody has to do something about it.
    line = sorted(over.hidden, key=lambda row: (row.status != "firing", row.id))
    items = tuple(_fate(row, over) for row in line[:MOST_NAMED])
    blocks: list[Paragraph | Items] = [Paragraph(shown(over.silence))]
    if items:
        blocks.append(Items(items))
    if len(line) > MOST_NAMED:
        blocks.append(Paragraph(_("and {n} more", n=len(line) - MOST_NAMED)))
    return Document(title, tuple(blocks), tone="warning" if over.told else "neutral")


def _fate(row: AlertRow, over: Ended) -> Say:
    name = f"#{row.id} {row.title}"
    if row.id in over.told:
        return _("{alert}: still firing, sent now", alert=name)
    if row.id in over.kept:
        return _("{alert}: still firing, and silence {number} hides it", alert=name, number=over.kept[row.id])
    return _("{alert}: a message that was not sent", alert=name) if row.post else _("{alert}: over", alert=name)


def language_of(row: SilenceRow) -> Language:
    return "en" if row.language == "en" else "zh"


def state(row: AlertRow) -> Say:
    """The word for an alert in a list."""
    word = badge(row.status, row.severity)
    return _("{state}, silenced", state=word) if row.silence_id is not None and row.status == "firing" else word


class _GroupNames:
    """Names of groups, each looked up once."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._names: dict[int, str] = {}

    def of(self, group_id: int | None) -> str:
        if group_id is None:
            return ""
        if group_id not in self._names:
            group = groups.by_id(self._tx, group_id)
            self._names[group_id] = group.name if group else ""
        return self._names[group_id]
