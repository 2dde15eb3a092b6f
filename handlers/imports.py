"""Contacts and groups of another system, merged into ours: CloudMonitor's, or those of DAS.

Three versions of everything are compared: what the system says now, what it said when it was read last, and what we have.
What it changed is taken over; what was changed here wins; what it lost is flagged and stays. The name is the key; a
contact that was renamed here is still the same. Everything happens in the caller's transaction, a preview as well: it is
rolled back, so that it cannot say anything else than the import would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from handlers import addresses, audit_log, names, webhooks
from handlers.addresses import WEBHOOKS, Address, channel_name
from handlers.audit_log import Key
from handlers.contacts import MOST_METHODS, joined
from handlers.context import Rules
from handlers.errors import CommandError
from handlers.import_wishes import Wish
from handlers.texts import Say, Text, _, to_json
from storage import contacts, groups, imports
from storage.database import Tx
from storage.imports import ImportedRow, KnownMethod

ACCEPTED = "OK"
"""CloudMonitor's word for an address whose owner has followed the link that was sent there."""

MASK = "*"
NOTE_MAX_CHARS = 500

Result = Literal["added", "changed", "gone", "skipped", "unchanged"]
RESULTS: tuple[Result, ...] = ("added", "changed", "gone", "skipped", "unchanged")
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Value:
    """One address as the other system has it.

    slot    what it is called there: `Mail`, `SMS`, `DingWebHook`; a contact has at most one of each
    kind    what it is to us; "" for what nothing can be sent to from here
    state   `OK`, `PENDING`, or "" where the system does not say
    secret  what messages to a robot have to be signed with
    """

    slot: str
    kind: Literal["phone", "email", "webhook", ""]
    text: str = field(repr=False)
    state: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A contact of the other system, with the names of its groups as far as the contact itself tells them."""

    name: str
    values: tuple[Value, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Team:
    """A contact group of the other system, with the names of its members."""

    name: str
    note: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Book:
    """All contacts and groups of the other system. `complete` False: there are more, and what is missing is not gone."""

    contacts: tuple[Entry, ...] = ()
    groups: tuple[Team, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one contact or group, or of one of its addresses."""

    name: Say
    result: Result
    what: Say = ""


@dataclass(frozen=True, slots=True)
class Came:
    """What an import came to. `news`: something is other than before."""

    lines: tuple[Line, ...]
    news: bool

    def count(self, result: Result) -> int:
        return sum(line.result == result for line in self.lines)


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


def teams(book: Book) -> list[Team]:
    """The groups with all their members, whichever of the two lists tells of them."""
    found: dict[str, Team] = {}
    for team in (*book.groups, *(Team(name, "", (one.name,)) for one in book.contacts for name in one.groups)):
        key = names.key(team.name)
        known = found.get(key)
        members = (*(known.members if known else ()), *team.members)
        found[key] = replace(known or team, members=tuple({names.key(one): one for one in members}.values()))
    return list(found.values())


@dataclass(slots=True)
class _Told:
    """What happened to one contact or group: for the answer, and masked for the audit log."""

    changes: list[Say] = field(default_factory=list)
    logged: list[Say] = field(default_factory=list)
    skipped: list[Say] = field(default_factory=list)

    def change(self, say: Say, logged: Say | None = None) -> None:
        self.changes.append(say)
        self.logged.append(say if logged is None else logged)


class _Merge:
    def __init__(self, tx: Tx, wish: Wish, rules: Rules, now: datetime) -> None:
        self._tx = tx
        self._wish = wish
        self._rules = rules
        self._now = now
        self._ours = imports.contact_ids(tx)
        self._methods = imports.methods(tx)
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
        told = _Told()
        added = contact_id is None
        if contact_id is None:
            contact_id = contacts.add(self._tx, name, key, self._wish.person or self._wish.source, self._now)
            self._ours[key] = self._seen[key] = contact_id
        known = before is not None and before.contact_id == contact_id
        base: Mapping[str, Any] = before.body if before is not None and known else {}
        body: dict[str, Any] = {}
        for value in entry.values:
            body[value.slot] = self._value(contact_id, value, base, body, told)
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

    def _value(
        self, contact_id: int, value: Value, base: Mapping[str, Any], body: Mapping[str, Any], told: _Told
    ) -> dict[str, Any]:
        """Takes over one address; what is to be kept of it for the next time."""
        last: Mapping[str, Any] = base.get(value.slot, {})
        kept = {**last, "state": value.state[:16]}
        if not value.kind:
            told.skipped.append(_("{slot}: nothing can be sent there from here", slot=value.slot[:40]))
            return kept
        if MASK in value.text:
            shown = names.printable(value.text)[:80]
            told.skipped.append(
                _("{address} is masked by {source}: it is shown and not used", address=shown, source=self._wish.system)
            )
            return {**kept, "hidden": shown, "kind": value.kind}
        kept.pop("hidden", None)
        try:
            address = self._checked(value)
        except CommandError as error:
            told.skipped.append(_without(error.say, value.text, masked(value)))
            return kept
        digest = contacts.address_key(self._tx, address.channel, address.value)
        ours = self._methods.setdefault(contact_id, [])
        same = next((m for m in ours if (m.channel, m.address_key) == (address.channel, digest)), None)
        if same is not None:
            if same.state == "pending" and self._accepts(value):
                self._activate(same.id)
                self._say(
                    told,
                    address,
                    lambda channel, shown: _("{channel} {address} is accepted", channel=channel, address=shown),
                )
        elif (why := self._wins_here(address, last, {**base, **body}, ours)) is not None:
            told.skipped.append(why)
        elif len(ours) >= MOST_METHODS:
            told.skipped.append(_("it has {n} addresses already; that is the most.", n=MOST_METHODS))
        else:
            self._take_over(contact_id, value, address, digest, last, told)
        return {
            "state": kept["state"],
            "channel": address.channel,
            "digest": digest,
            "masked": address.masked[: contacts.MASKED_MAX_CHARS],
        }

    def _checked(self, value: Value) -> Address:
        if value.kind == "phone":
            return addresses.phone(value.text, self._rules.region)
        if value.kind == "email":
            return addresses.email(value.text)
        return addresses.webhook(value.text, self._rules.webhook_hosts)

    def _accepts(self, value: Value) -> bool:
        return self._wish.trust and value.state == ACCEPTED

    def _activate(self, method_id: int) -> None:
        contacts.change_method(
            self._tx, method_id, state="active", verified_at=self._now, verified_by=self._wish.person or None
        )

    def _wins_here(
        self,
        address: Address,
        last: Mapping[str, Any],
        imported: Mapping[str, Any],
        ours: Iterable[KnownMethod],
    ) -> Say | None:
        """Why this address is not taken: somebody decided otherwise here. None: it is taken."""
        from_there = {slot.get("digest") for slot in imported.values()}
        of_kind = [m for m in ours if m.channel == address.channel]
        own = [m for m in of_kind if m.address_key not in from_there]
        replaces = any(m.address_key == last.get("digest") for m in of_kind)
        if replaces or (last.get("digest") is None and not own):
            return None
        channel = channel_name(address.channel)
        if own:
            return _(
                "{channel}: {address} is what was set here, and stays", channel=channel, address=joined_masked(own)
            )
        return _("{channel} {address} was removed here", channel=channel, address=self._shown(address))

    def _take_over(
        self, contact_id: int, value: Value, address: Address, digest: str, last: Mapping[str, Any], told: _Told
    ) -> None:
        ours = self._methods[contact_id]
        secret = value.secret if address.channel in ("dingtalk", "lark") else ""
        method_id = contacts.add_method(
            self._tx, contact_id, address.channel, address.value, address.masked, secret, self._now
        )
        accepted = self._accepts(value)
        if accepted:
            self._activate(method_id)
        state: Say = (
            _("accepted, as {source} says OK", source=self._wish.system)
            if accepted
            else _("not verified yet; {source} says {state}", source=self._wish.system, state=value.state[:16])
            if value.state
            else _("not verified yet")
        )
        self._say(
            told,
            address,
            lambda channel, shown: _("{channel} {address} ({state})", channel=channel, address=shown, state=state),
        )
        old = next((m for m in ours if last and (m.channel, m.address_key) == (last["channel"], last["digest"])), None)
        if old is not None and (accepted or old.state != "active"):
            contacts.remove_method(self._tx, old.id)
            ours.remove(old)
            told.change(_("instead of {address}", address=old.masked))
        elif old is not None:  # what reaches the contact today is not taken away for what may not
            told.change(_("{address} stays, as it is verified", address=old.masked))
        ours.append(
            KnownMethod(method_id, address.channel, digest, address.masked, "active" if accepted else "pending")
        )

    def _shown(self, address: Address) -> str:
        return address.value if self._wish.full and address.channel not in WEBHOOKS else address.masked

    def _say(self, told: _Told, address: Address, words: Callable[[Say, str], Say]) -> None:
        channel = channel_name(address.channel)
        told.change(words(channel, self._shown(address)), words(channel, address.masked))

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
        told = _Told()
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

    def _join(self, group_id: int, team: Team, before: set[int], told: _Told) -> set[int]:
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

    def _tell(self, name: Say, subject: str, told: _Told, added: bool) -> None:
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


def joined_masked(methods: Iterable[KnownMethod]) -> str:
    return ", ".join(method.masked for method in methods)


def masked(value: Value) -> str:
    """What may be shown of a value that is no valid address."""
    text = names.printable(value.text)[:80]
    if value.kind == "webhook":
        return webhooks.masked(value.text)
    if "@" in text:
        return addresses.mask_email(text)
    return f"{text[:3]}****{text[-2:]}" if len(text) > 6 else text


def _without(say: Say, text: str, shown: str) -> Say:
    """The sentence with the address in it masked."""
    if not isinstance(say, Text):
        return say
    return replace(say, values={name: shown if value == text else value for name, value in say.values.items()})
