"""The addresses of one contact in an import: which are taken over, and which are what was decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from handlers import addresses, names, webhooks
from handlers.addresses import WEBHOOKS, Address, channel_name
from handlers.contacts import MOST_METHODS
from handlers.context import Rules
from handlers.errors import CommandError
from handlers.import_books import ACCEPTED, Value
from handlers.import_results import Told
from handlers.import_wishes import Wish
from handlers.texts import Say, Text, _
from storage import contacts, imports
from storage.database import Tx
from storage.imports import KnownMethod

MASK = "*"
"""What the other system writes in place of what it does not show."""


class Addresses:
    """Those of all our contacts, as far as the import has come. What it does with one is told in `Told`."""

    def __init__(self, tx: Tx, wish: Wish, rules: Rules, now: datetime) -> None:
        self._tx = tx
        self._wish = wish
        self._rules = rules
        self._now = now
        self._methods = imports.methods(tx)

    def take(
        self, contact_id: int, value: Value, base: Mapping[str, Any], body: Mapping[str, Any], told: Told
    ) -> dict[str, Any]:
        """Takes over one address; what is to be kept of it for the next time.

        base  what was kept the last time, by slot
        body  what is kept this time, as far as it goes
        """
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
            told.skipped.append(_without(error.say, value.text, _masked(value)))
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
                "{channel}: {address} is what was set here, and stays",
                channel=channel,
                address=", ".join(method.masked for method in own),
            )
        return _("{channel} {address} was removed here", channel=channel, address=self._shown(address))

    def _take_over(
        self, contact_id: int, value: Value, address: Address, digest: str, last: Mapping[str, Any], told: Told
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

    def _say(self, told: Told, address: Address, words: Callable[[Say, str], Say]) -> None:
        channel = channel_name(address.channel)
        told.change(words(channel, self._shown(address)), words(channel, address.masked))


def _masked(value: Value) -> str:
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
