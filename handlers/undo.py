"""Taking back what somebody changed: what is remembered of a change, and what stands in the way of taking it back.

A command says `touch` before it changes a contact, group or source, and `made` after it made one; what became of them is
remembered when the whole command is done (`remember`, called by the desk). What other people changed meanwhile is never
overwritten: then nothing is taken back, and the answer says what is in the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from handlers import outcomes, people_names
from handlers.context import Context
from handlers.document import Paragraph
from handlers.errors import CommandError
from handlers.texts import Say, _
from storage import audit, contacts, groups, undo
from storage.undo import LINKS, LIVELY, PARENTS, PARTS, Rows, Scope, Step, Values

LASTS = timedelta(minutes=10)

NO_CHANGES = ("test", "verify")
"""What the audit log has, and nobody would want to take back."""

HINT = Paragraph(_("“undo” within 10 minutes takes it back."))


@dataclass(frozen=True, slots=True)
class Change:
    """One row before and after; None: it was not there."""

    part: str
    key: str
    before: Values | None
    after: Values | None


def touch(ctx: Context, scope: Scope, *subjects: int | str) -> None:
    """Notes what these are like. To be called before the first change of a command."""
    for subject in subjects:
        if (scope, subject) not in ctx.touched:
            ctx.touched[scope, subject] = undo.image(ctx.tx, scope, subject)
            if scope == "contact":
                ctx.waiting |= undo.waiting(ctx.tx, int(subject))


def made(ctx: Context, scope: Scope, subject: int) -> None:
    """Notes that this was made by the command."""
    ctx.touched.setdefault((scope, subject), {})


def remember(ctx: Context) -> None:
    """Keeps what the command changed, if it changed anything that can be taken back."""
    if not ctx.touched:
        return
    before: Rows = {}
    after: Rows = {}
    for (scope, subject), rows in ctx.touched.items():
        before = {**rows, **before}
        after |= undo.image(ctx.tx, scope, subject)  # type: ignore[arg-type]  # scopes as `touch` took them
    ctx.touched.clear()
    changes = list(_differences(before, after))
    if not changes:
        return
    gone = {_method_of(one) for one in changes if one.part == "method" and one.after is None}
    body = {
        "did": list(dict.fromkeys(ctx.did)),
        "admin": ctx.admin,
        "logged": audit.newest(ctx.tx),
        "changes": [[one.part, one.key, one.before, one.after] for one in changes],
        "waiting": [[method_id, ids] for method_id, ids in ctx.waiting.items() if method_id in gone],
    }
    ctx.waiting.clear()
    undo.keep(ctx.tx, ctx.person.id, body, ctx.now)


def _differences(before: Rows, after: Rows) -> Iterator[Change]:
    for part, key in {**before, **after}:
        old, new = before.get((part, key)), after.get((part, key))
        if part in LINKS:
            # One that is not among the rows of its subject points to nothing, and an admin's role that is none is False.
            nothing = dict.fromkeys(PARTS[part].watched, False if part == "role" else None)
            old, new = old or nothing, new or nothing
            if part in LIVELY and not any(value is not None for value in old.values()):
                continue
        if old != new:
            yield Change(part, key, old, new)


def since_then(ctx: Context) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """What the person did after the change that can be taken back, and that change; None when it was the last.

    Both as action and subject. What was done later cannot be taken back: they may not know that it is not meant.
    """
    step = undo.latest(ctx.tx, ctx.identities, ctx.now - LASTS)
    if step is None or not step.body["did"]:
        return None
    later = audit.last_of(ctx.tx, ctx.identities, step.body["logged"], NO_CHANGES)
    did: list[list[str]] = step.body["did"]
    return (later, (did[-1][0], did[-1][1])) if later else None


def take_back(ctx: Context) -> tuple[Step, tuple[tuple[str, str], ...]]:
    """Takes back the last change of the person who speaks; what it was. Raises CommandError with what is in the way."""
    step = undo.latest(ctx.tx, ctx.identities, ctx.now - LASTS)
    if step is None:
        raise CommandError(
            _("There is nothing to undo: you changed no contact, group or source in the last 10 minutes.")
        )
    if step.body["admin"]:
        ctx.need_admin(_("take back what an admin did"))
    changes = [Change(*one) for one in step.body["changes"]]
    order = list(PARTS)
    changes.sort(key=lambda one: order.index(one.part))
    now = undo.current(ctx.tx, ((one.part, one.key) for one in changes))
    back = {(one.part, one.key) for one in changes if one.after is None}
    changes = [one for one in changes if not _pointless(ctx, one, now, back)]
    for one in changes:
        _check(ctx, step, one, changes, now)
    for one in reversed(changes):
        if one.before is None:
            undo.remove(ctx.tx, one.part, one.key)
    for one in changes:
        if one.before is not None:
            new = one.after is None
            wanted = one.before if new else {c: one.before[c] for c in _changed(one)}
            undo.write(ctx.tx, one.part, one.key, wanted, new=new)
    again = {_method_of(one) for one in changes if one.part == "method" and one.after is None}
    for method_id, ids in step.body["waiting"]:
        if method_id in again:
            ctx.wake |= undo.attach(ctx.tx, method_id, ids, ctx.now, asked=outcomes.ASK_AFTER)
    undo.drop(ctx.tx, step.id)
    did = tuple((action, subject) for action, subject in step.body["did"])
    ctx.log("undo", did[-1][1] if did else "", None, {"taken back": [f"{action} {subject}" for action, subject in did]})
    before = undo.latest(ctx.tx, ctx.identities, ctx.now - LASTS)
    if before is not None:  # what came after it was taken back: it is the last one now
        undo.mark(ctx.tx, before, logged=audit.newest(ctx.tx))
    return step, did


def _method_of(one: Change) -> int:
    return int(json.loads(one.key)[0])


def _changed(one: Change) -> list[str]:
    before, after = one.before or {}, one.after or {}
    return [column for column in before if before[column] != after.get(column)]


def _pointless(ctx: Context, one: Change, now: Rows, back: set[tuple[str, str]]) -> bool:
    """Whether there is nothing to bring back: the row has gone, or what it pointed to has."""
    if one.part in LINKS:
        return (one.part, one.key) not in now or not all(_there(ctx, one, back))
    return one.part == "member" and one.after is None and not all(_there(ctx, one, back))


def _there(ctx: Context, one: Change, back: set[tuple[str, str]]) -> Iterator[bool]:
    """Whether what the row before points to is there, or comes back as well."""
    for column, value in (one.before or {}).items():
        parent = PARENTS.get(column)
        if parent is not None and value is not None:
            yield (parent, json.dumps([value])) in back or undo.present(ctx.tx, parent, value)


def _check(ctx: Context, step: Step, one: Change, changes: list[Change], now: Rows) -> None:
    """Raises CommandError when taking this back would overwrite what was changed since."""
    row = now.get((one.part, one.key))
    if one.after is None:
        taken = undo.named_so(ctx.tx, one.part, one.before or {})
        free = taken is None or any((c.part, c.key) == (one.part, json.dumps([taken])) for c in changes)
        good = row is None and free and all(_there(ctx, one, {(c.part, c.key) for c in changes if c.after is None}))
    elif row is None:
        good = False
    elif one.before is None:
        passing = PARTS[one.part].passing
        good = all(row[column] == value for column, value in one.after.items() if column not in passing)
        good = good and not _grown(ctx, one, changes)
    else:
        taken = undo.named_so(ctx.tx, one.part, one.before)
        changed = _changed(one)
        good = all(row[column] == one.after[column] for column in changed)
        good = good and (taken is None or [taken] == json.loads(one.key))
        back = replace(one, before={column: one.before[column] for column in changed})
        good = good and all(_there(ctx, back, {(c.part, c.key) for c in changes if c.after is None}))
    if not good:
        raise _lost(ctx, step, one)


def _grown(ctx: Context, one: Change, changes: list[Change]) -> bool:
    """Whether something belongs to what was made that did not when it was made: it would go with it."""
    scopes: Mapping[str, Scope] = {"contact": "contact", "contact_group": "group", "source": "source"}
    if one.part not in scopes:
        return False
    own = {(c.part, c.key) for c in changes}
    rows = undo.image(ctx.tx, scopes[one.part], json.loads(one.key)[0])
    return any(part not in LIVELY and (part, key) not in own for part, key in rows)


def _lost(ctx: Context, step: Step, one: Change) -> CommandError:
    name = _name(ctx, one)
    who = audit.last_to_change(ctx.tx, name, step.at)
    if not who or who in ctx.identities:
        return CommandError(_("“{name}” was changed since; undo would lose that.", name=name))
    person: Say = people_names.shown(ctx.tx, who)
    return CommandError(_("“{name}” was changed by {person} since; undo would lose that.", name=name, person=person))


def _name(ctx: Context, one: Change) -> str:
    """What the row belongs to, by its name now."""
    values: dict[str, Any] = {**(one.before or {}), **(one.after or {})}
    contact_id, group_id = values.get("contact_id"), values.get("group_id")
    if one.part in ("contact", "contact_group"):
        contact_id, group_id = (
            (json.loads(one.key)[0], None) if one.part == "contact" else (None, json.loads(one.key)[0])
        )
    if group_id is not None and (group := groups.by_id(ctx.tx, group_id)):
        return group.name
    if contact_id is not None and (contact := contacts.by_id(ctx.tx, contact_id)):
        return contact.name
    return str(values.get("name") or json.loads(one.key)[0])
