"""Verification: a code goes to an address, and comes back from the person who asked for it or whose contact it is.

Numbers (PRODUCT.md section 3): six digits, good for 10 minutes, 5 tries, one live code per method; again after 60 s, at
most 5 an hour and 10 a day per address, 20 a day per person; 20 wrong guesses a day stop a person until the next. All
joined identities are one person.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from handlers import cards, examples, outbox
from handlers.addresses import WEBHOOKS, channel_name
from handlers.budgets import Throttle, next_slot
from handlers.context import Context
from handlers.document import Document, Examples, Facts, Paragraph
from handlers.errors import VerificationError
from handlers.texts import Language, Say, _, n_
from handlers.times import lasting, local
from storage import codes, contacts, deliveries, people
from storage.contacts import MethodRow
from storage.schema import from_ms, to_ms

GOOD_FOR = timedelta(minutes=10)
TRIES = 5
PER_ADDRESS = (Throttle(1, 60), Throttle(5, 3600), Throttle(10, 86400))
PER_PERSON = (Throttle(20, 86400),)
WRONG_A_DAY = 20
DAY = timedelta(days=1)

_SIX_DIGITS = re.compile(r"(?<!\d)\d{6}(?!\d)")


def without_digits(text: str) -> str:
    """The text with every free-standing six-digit number hidden: in a message that carries a code it is the only one."""
    return _SIX_DIGITS.sub("……", text)


def next_code_at(ctx: Context, method: MethodRow) -> tuple[datetime, bool]:
    """When this person may have the next code sent to this address (`ctx.now`: at once), and whether that is because
    of how many this person had sent, whatever the address."""
    since = ctx.now - DAY
    now = to_ms(ctx.now)
    address = [to_ms(at) for at in codes.to_address(ctx.tx, method.address_key, since)]
    person = [to_ms(at) for at in codes.by_people(ctx.tx, ctx.identities, since)]
    by_address, by_person = next_slot(address, PER_ADDRESS, now), next_slot(person, PER_PERSON, now)
    return from_ms(max(by_address, by_person)), by_person > by_address


def start(ctx: Context, contact_name: str, method: MethodRow) -> Say:
    """Sends a code to the method; the sentence that says so. Raises VerificationError when none may be sent now."""
    shown = ctx.shown(method)
    _check_possible(ctx, method, shown)
    _issue(ctx, contact_name, method)
    if method.channel == "arms":
        return _("An event with a code is on its way to ARMS at {address}. Reply the code to me.", address=shown)
    if method.channel in WEBHOOKS:
        return _(
            "A card with a code is on its way to the group behind {address}. Reply the code to me, best in that same group.",
            address=shown,
        )
    return _(
        "A code is on its way to {address}. Reply its six digits to me within {wait}.",
        address=shown,
        wait=lasting(GOOD_FOR),
    )


def _check_possible(ctx: Context, method: MethodRow, shown: str) -> None:
    """Raises VerificationError when no code can be sent to this address, or none now."""
    missing = ctx.rules.missing.get(method.channel)
    if missing:
        raise VerificationError(
            _(
                "No code can be sent to {channel} {address}: this service has no {settings} yet (its operator sets that).",
                channel=channel_name(method.channel),
                address=shown,
                settings=", ".join(missing),
            )
        )
    possible, yours = next_code_at(ctx, method)
    if possible <= ctx.now:
        return
    wait, time = lasting(possible - ctx.now), local(possible, ctx.rules.zone)
    if yours:
        raise VerificationError(
            _(
                "No code to {address} now: you had {most} codes sent today, which is the most for one person."
                " The next one is possible in {wait}, at {time}; somebody else can ask for it before.",
                address=shown,
                most=PER_PERSON[0].count,
                wait=wait,
                time=time,
            )
        )
    raise VerificationError(
        _(
            "No further code to {address} now; the next one is possible in {wait}, at {time}.",
            address=shown,
            wait=wait,
            time=time,
        )
    )


def _issue(ctx: Context, contact_name: str, method: MethodRow) -> None:
    """Makes the code, in place of one that was on its way, and owes its message."""
    digits = ctx.rules.new_code()
    code_id = codes.issue(
        ctx.tx,
        method_id=method.id,
        address_key=method.address_key,
        person=ctx.person.id,
        conversation=ctx.place.id,
        digits=digits,
        tries=TRIES,
        now=ctx.now,
        expires_at=ctx.now + GOOD_FOR,
    )
    deliveries.cancel_for_method(ctx.tx, method.id, "code", ctx.now)
    owed = outbox.to_method(
        method,
        contact_name,
        "code",
        message(contact_name, method.channel, digits),
        cards.language_of(contacts.by_id(ctx.tx, method.contact_id), ctx.language),
        dedupe=f"code:{code_id}",
        priority=outbox.CODE,
        now=ctx.now,
        life=GOOD_FOR,
        code_id=code_id,
        payload={"code": digits},
    )
    ctx.wake |= outbox.owe(ctx.tx, [owed])


def message(contact_name: str, channel: str, digits: str) -> Document:
    """What carries the code. The code is its only free-standing six-digit number."""
    name = without_digits(contact_name)
    if channel in WEBHOOKS:
        return Document(
            title=_("Verification code"),
            blocks=(
                Facts(((_("Code"), digits),)),
                Paragraph(
                    _(
                        "Somebody wants to send alerts for “{name}” to this group. To allow it, reply the code to Callboard,"
                        " best here: mention the bot and type the six digits. It is good for {wait}.",
                        name=name,
                        wait=lasting(GOOD_FOR),
                    )
                ),
            ),
        )
    return Document(
        title=_("Verification code"),
        blocks=(
            Facts(((_("Code"), digits),)),
            Paragraph(
                _(
                    "To receive alerts as “{name}”, reply this code to Callboard in your chat. It is good for {wait}."
                    " If you did not expect it, ignore it: without the code nothing is sent to you.",
                    name=name,
                    wait=lasting(GOOD_FOR),
                )
            ),
        ),
    )


def confirm(ctx: Context, digits: str) -> Document | None:
    """What becomes of six digits somebody says; None when nothing waits for them and a group should not be bothered."""
    guesses = codes.wrong_guesses(ctx.tx, ctx.identities, ctx.now - DAY)
    own = _own_methods(ctx)
    waiting = codes.live(ctx.tx, ctx.identities, own, ctx.now)
    guess = bool(waiting) or ctx.addressed  # other numbers that people say to each other are none
    if guesses >= WRONG_A_DAY and guess:
        return Document(
            _("Too many wrong codes: {n} in a day. Your codes are refused until tomorrow.", n=guesses),
        )
    code = _matching(ctx, waiting, digits)
    if code is not None:
        return _confirmed(ctx, code)
    if guess:
        codes.guessed_wrong(ctx.tx, ctx.person.id, ctx.now)
    if not waiting:
        return _nothing_waits(ctx, own)
    code = waiting[0]
    method = contacts.method_by_id(ctx.tx, code.method_id or 0)
    contact = contacts.by_id(ctx.tx, method.contact_id) if method else None
    name = contact.name if contact else ""
    codes.lose_try(ctx.tx, code.id)
    left = code.tries_left - 1
    if left <= 0:
        codes.set_state(ctx.tx, code.id, "exhausted")
        return Document(
            _("That code is wrong, and it was the last try: the code is dead now."),
            (Paragraph(_("Ask for a new one:")), Examples((examples.verify(name),))),
        )
    return Document(n_("That code is wrong. {n} try left.", "That code is wrong. {n} tries left.", left))


def accepts(ctx: Context, digits: str) -> bool:
    """Whether `confirm` would take these digits; nothing is changed."""
    waiting = codes.live(ctx.tx, ctx.identities, _own_methods(ctx), ctx.now)
    guesses = codes.wrong_guesses(ctx.tx, ctx.identities, ctx.now - DAY)
    return guesses < WRONG_A_DAY and _matching(ctx, waiting, digits) is not None


def _own_methods(ctx: Context) -> list[int]:
    own = ctx.person.contact_id
    return [method.id for method in contacts.methods(ctx.tx, [own])] if own else []


def _matching(ctx: Context, waiting: Iterable[codes.CodeRow], digits: str) -> codes.CodeRow | None:
    for code in waiting:
        digests = ctx.tx.vault.digests(f"code:{code.method_id}", digits)
        if any(hmac.compare_digest(digest, code.digest) for digest in digests):
            return code
    return None


def _confirmed(ctx: Context, code: codes.CodeRow) -> Document:
    method = contacts.method_by_id(ctx.tx, code.method_id or 0)
    assert method is not None  # noqa: S101 (live codes have a method)
    contact = contacts.by_id(ctx.tx, method.contact_id)
    assert contact is not None  # noqa: S101 (methods have a contact)
    group = ctx.within or ("" if ctx.place.direct else ctx.place.id)
    proven_here = bool(group) and method.channel == ctx.place.platform
    conversation = group if proven_here else method.conversation
    if proven_here and ctx.within:
        people.heard(ctx.tx, ctx.within, ctx.place.platform, False, ctx.place.title, "", None, ctx.now)
    codes.set_state(ctx.tx, code.id, "confirmed")
    contacts.change_method(
        ctx.tx,
        method.id,
        state="active",
        reason=None,
        verified_at=ctx.now,
        verified_by=ctx.person.id,
        conversation=conversation,
    )
    ctx.log("verify", contact.name, {"state": method.state}, {"method": method.masked, "state": "active"})
    linked: Say = _("The robot's webhook is linked to this conversation.")
    if ctx.place.title:
        linked = _("The robot's webhook is linked to this conversation (“{title}”).", title=ctx.place.title)
    blocks = (Paragraph(linked),) if proven_here else ()
    return Document(
        _(
            "Confirmed: {channel} {address} of {name} is active and gets alerts from now on.",
            channel=channel_name(method.channel),
            address=ctx.shown(method),
            name=contact.name,
        ),
        blocks,
    )


def _nothing_waits(ctx: Context, own: list[int]) -> Document | None:
    last = codes.latest(ctx.tx, ctx.identities, own, ctx.now - timedelta(hours=1))
    if last is None or (not ctx.place.direct and last.conversation != ctx.place.id):
        return _not_from_you(ctx)
    method = contacts.method_by_id(ctx.tx, last.method_id or 0)
    contact = contacts.by_id(ctx.tx, method.contact_id) if method else None
    if contact is None or method is None or last.state == "confirmed":
        return _not_from_you(ctx)
    again = (Paragraph(_("Ask for a new one:")), Examples((examples.verify(contact.name),)))
    if last.state == "exhausted":
        return Document(_("That code is dead: {n} wrong tries.", n=TRIES), again)
    return Document(_("That code is no longer good: a code lives for {wait}.", wait=lasting(GOOD_FOR)), again)


def _not_from_you(ctx: Context) -> Document | None:
    """Whose digits count, whatever these are; None in a group where they can be meant for no code of anybody.

    Digits that were not said to the bot are meant for it only where a card asks for them.
    """
    group = ctx.within or ctx.place.id
    if not ctx.place.direct and not (
        codes.any_live(ctx.tx, ctx.now) if ctx.addressed else codes.asked_in(ctx.tx, group, ctx.place.platform, ctx.now)
    ):
        return None
    return Document(
        _("No code is expected from you right now."),
        (
            Paragraph(
                _(
                    "A code counts from whoever asked for it, or from the person whose contact it is. If you asked for it on"
                    " another platform, answer there, or join your identities first:"
                )
            ),
            Examples((examples.LINK,)),
        ),
    )


def refused(masked: str, contact_name: str, why: Say) -> Document:
    """What the person who asked for a code is told when the provider did not take it."""
    return Document(
        _("The code to {address} could not be sent.", address=masked),
        (
            Paragraph(why),
            Paragraph(_("When that is fixed, ask for a new code:")),
            Examples((examples.verify(contact_name),)),
        ),
    )


def known_language(person: people.PersonRow | None, default: Language) -> Language:
    """The language a person last used, for messages nobody asked for."""
    return "en" if person and person.language == "en" else "zh" if person and person.language == "zh" else default
