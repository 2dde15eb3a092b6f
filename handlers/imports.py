"""Contacts and groups of another system, merged into ours: CloudMonitor's, or those of DAS.

Three versions of everything are compared: what the system says now, what it said when it was read last, and what we have.
What it changed is taken over; what was changed here wins; what it lost is flagged and stays. The name is the key; a
contact that was renamed here is still the same. Everything happens in the caller's transaction, a preview as well: it is
rolled back, so that it cannot say anything else than the import would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from handlers import audit_log, names
from handlers.addresses import channel_name
from handlers.audit_log import Key
from handlers.contacts import joined
from handlers.context import Rules
from handlers.errors import CommandError
from handlers.import_addresses import Addresses
from handlers.import_books import Book, Entry, Team, teams
from handlers.import_results import RESULTS, Came, Line, Told
from handlers.import_wishes import Wish
from handlers.texts import Say, _, to_json
from storage import contacts, groups, imports
from storage.database import Tx
from storage.imports import ImportedRow

NOTE_MAX_CHARS = 500


def carry_out(tx: Tx, book: Book, wish: Wish, rules: Rules, now: datetime) -> Came:
    """Merges the book, or with `preview` says what that would come to."""
    savepoint = tx.conn.begin_nested()
    merge = _Merge(tx, wish, rules, now)
    for entry in book.contacts:
        merge.contact(entry)
    for team in teams(book):
        merge.group(team)
    if book.complete:
        merge.gone()
    if wish.preview:
        savepoint.rollback()
    else:
        savepoint.commit()
    order = {result: number for number, result in enumerate(RESULTS)}
    return Came(tuple(sorted(merge.lines, key=lambda line: order[line.result])), merge.news)


class _Merge:
    def __init__(self, tx: Tx, wish: Wish, rules: Rules, now: datetime) -> None:
        self._tx = tx
        self._wish = wish
        self._now = now
        self._addresses = Addresses(tx, wish, rules, now)
        self._ours = imports.contact_ids(tx)
        self._our_groups = imports.group_notes(tx)
        self._members = imports.members(tx)
        self._contacts_before = imports.of_source(tx, wish.source, "contact")
        self._groups_before = imports.of_source(tx, wish.source, "group")
        self._seen: dict[str, int | None] = {}
        self._seen_groups: set[str] = set()
        self.lines: list[Line] = []
        self.news = False

    # ---- contacts

    def contact(self, entry: Entry) -> None:
        name = self._name(entry.name, self._seen)
        if name is None:
            return
        key = names.key(name)
        before = self._contacts_before.get(key)
        contact_id = before.contact_id if before and before.contact_id is not None else self._ours.get(key)
        self._seen[key] = contact_id
        if before is not None and contact_id is None:
            self._removed_here(before)
            return
        told = Told()
        added = contact_id is None
        if contact_id is None:
            contact_id = contacts.add(self._tx, name, key, self._wish.person or self._wish.source, self._now)
            self._ours[key] = self._seen[key] = contact_id
        known = before is not None and before.contact_id == contact_id
        base: Mapping[str, Any] = before.body if before is not None and known else {}
        body: dict[str, Any] = {}
        for value in entry.values:
            body[value.slot] = self._addresses.take(contact_id, value, base, body, told)
        for slot in base.keys() - body.keys():
            if base[slot].get("digest"):
                told.change(
                    _(
                        "{source} does not have {channel} {address} any more; it stays here",
                        source=self._wish.system,
                        channel=channel_name(base[slot]["channel"]),
                        address=base[slot]["masked"],
                    )
                )
        if known and before is not None and before.gone_at is not None:
            told.change(_("it is there again"))
        row = ImportedRow(self._wish.source, "contact", key, name, contact_id, None, body, None)
        if row != before:
            imports.keep(self._tx, row)
        self._tell(name, name, told, added)

    def _name(self, text: str, seen: Iterable[str]) -> str | None:
        """The name as we keep it; None for one that we cannot have, or had already."""
        try:
            name = names.checked(text)
        except CommandError as error:
            self.lines.append(Line(names.printable(text)[: names.LONGEST] or "–", "skipped", error.say))
            return None
        if names.key(name) in seen:
            self.lines.append(Line(name, "skipped", _("the name is there twice")))
            return None
        return name

    def _removed_here(self, before: ImportedRow) -> None:
        why = _("it was removed here; to have it again, add it yourself")
        name = _("group {name}", name=before.name) if before.kind == "group" else before.name
        self.lines.append(Line(name, "skipped", why))
        if before.gone_at is not None:
            imports.keep(self._tx, replace(before, gone_at=None))

    # ---- groups

    def group(self, team: Team) -> None:
        name = self._name(team.name, self._seen_groups)
        if name is None:
            return
        key = names.key(name)
        self._seen_groups.add(key)
        before = self._groups_before.get(key)
        notes = dict(self._our_groups.values())
        group_id = before.group_id if before and before.group_id is not None else self._our_groups.get(key, (None,))[0]
        if before is not None and group_id is None:
            self._removed_here(before)
            return
        told = Told()
        added = group_id is None
        note = team.note.strip()[:NOTE_MAX_CHARS]
        base = before.body if before is not None and before.group_id == group_id else {}
        if group_id is None:
            group_id = groups.add(self._tx, name, key, note, self._now)
        elif note != base.get("note", "") and notes[group_id] == base.get("note", ""):
            groups.change(self._tx, group_id, note=note)
            told.change(_("note: {note}", note=note or "–"))
        members = self._join(group_id, team, set(base.get("members", ())), told)
        if before is not None and before.gone_at is not None and base:
            told.change(_("it is there again"))
        body = {"members": sorted(members), "note": note}
        row = ImportedRow(self._wish.source, "group", key, name, None, group_id, body, None)
        if row != before:
            imports.keep(self._tx, row)
        self._tell(_("group {name}", name=name), name, told, added)

    def _join(self, group_id: int, team: Team, before: set[int], told: Told) -> set[int]:
        """Takes over who is in the group; ids of those who are in it there."""
        there: dict[int, str] = {}
        unknown: list[str] = []
        for name in team.members:
            contact_id = self._seen.get(names.key(name))
            if contact_id is None:
                unknown.append(names.printable(name)[: names.LONGEST])
            else:
                there[contact_id] = name
        here = self._members.get(group_id, {})
        fresh = [one for one in there if one not in here and one not in before]
        # Who is gone from there altogether is flagged, and stays in the groups as well.
        left = [one for one in before if one in here and one not in there and one in self._seen.values()]
        if fresh:
            groups.add_members(self._tx, group_id, fresh)
            told.change(_("with {names}", names=", ".join(there[one] for one in fresh)))
        if left:
            groups.remove_members(self._tx, group_id, left)
            told.change(_("without {names}", names=", ".join(here[one] for one in left)))
        out = [name for one, name in there.items() if one in before and one not in here]
        if out:
            told.skipped.append(_("taken out of the group here: {names}", names=", ".join(out)))
        if unknown:
            told.skipped.append(_("not imported as contacts: {names}", names=", ".join(unknown)))
        return set(there)

    # ---- the end

    def gone(self) -> None:
        """Flags what is not there any more."""
        for row in (*self._contacts_before.values(), *self._groups_before.values()):
            is_group = row.kind == "group"
            if row.name_key in (self._seen_groups if is_group else self._seen):
                continue
            if (row.group_id if is_group else row.contact_id) is None:
                continue
            since = row.gone_at
            if since is None:
                imports.keep(self._tx, replace(row, gone_at=self._now))
                self.news = True
                self._log(row.name, ["gone"])
            name: Say = _("group {name}", name=row.name) if is_group else row.name
            self.lines.append(
                Line(name, "gone", _("not in {source} any more; it stays here", source=self._wish.system))
            )

    def _tell(self, name: Say, subject: str, told: Told, added: bool) -> None:
        if added or told.changes:
            self.news = True
            self.lines.append(Line(name, "added" if added else "changed", joined(told.changes)))
            self._log(subject, ["added", *told.logged] if added else told.logged)
        elif not told.skipped:
            self.lines.append(Line(name, "unchanged"))
        self.lines += [Line(name, "skipped", why) for why in told.skipped]

    def _log(self, subject: str, did: list[Say]) -> None:
        wish = self._wish
        after: dict[Key, Any] = {"from": wish.source, "did": [to_json(one) for one in did]}
        audit_log.write(self._tx, self._now, wish.person, wish.conversation, "sync", subject, None, after)
