"""From a row of the outbox to a message, and to the channel or platform that sends it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot import imports
from bot.channels.contract import Channel, Kind, Message, Outside, Target
from bot.imports import Cloud
from bot.markup.plain import cut
from bot.platforms.contract import Place, Platform, Speaker
from bot.refusals import NO_ANSWER, Refusal
from handlers import cards, digests, examples, places
from handlers.addresses import PHONE
from handlers.budgets import Throttle
from handlers.buttons import as_links
from handlers.context import Rules
from handlers.document import Button, Document, Link, from_json, localize
from handlers.errors import DeliveryError
from handlers.mentions import Mention, of_contact, wanted
from handlers.outbox import CHAT, VOICE, key_of
from handlers.outcomes import OVER
from handlers.templates import Occasion, TemplateFailed, applied, part_of
from handlers.texts import LANGUAGES, Language, Say, _, render
from handlers.times import zone_named
from handlers.verification import known_language
from storage import alerts, contacts, crowds, identities, people, receipts, templates
from storage.contacts import MethodRow
from storage.crowds import Waiting
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import to_ms
from storage.templates import FAILURE_MAX_CHARS, TemplateRow

log = logging.getLogger(__name__)

WRITTEN: Mapping[str, Kind] = {"code": "code", "test": "test", "notice": "notice"}
"""Kinds whose words were written when they were owed."""

UNSPEAKABLE = frozenset({"content", "unsafe"})
"""Reasons of a refusal that the words of some title were to blame for; which one, no platform says."""

PERSONAL = ("sms", "email")
"""Channels whose codes have limits of their own (see `handlers.verification`) and no share in the alerts' budget."""

WITHOUT_LINKS = ("sms", "voice", "arms")
"""Channels that send facts and no text of ours."""

NOBODY_TO_CALL = Refusal(OVER, _("nobody has to be called any more"))
"""The alert is over, or somebody has it."""

ROOMY = ("email", "arms")
"""Channels in which long values bother nobody."""


class TakesTime(Exception):
    """It cannot be composed quickly."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A message and where it goes. `broken`: templates that could not be filled in, and why."""

    message: Message
    target: Target
    broken: tuple[tuple[TemplateRow, str], ...]


@dataclass(frozen=True, slots=True)
class Sender:
    """Knows every way out. `credentials` are what each platform needs to speak; those that are not set up are absent.

    `cloud` is where imports are read from.
    """

    database: Database
    rules: Rules
    outside: Outside
    channels: Mapping[str, Channel]
    platforms: Mapping[str, Platform]
    credentials: Mapping[str, object]
    cloud: Cloud | None = None

    def budgets(self, row: DeliveryRow) -> tuple[Throttle, ...]:
        """What may be sent where this row goes."""
        if row.channel == CHAT:
            payload = row.payload or {}
            platform = self.platforms.get((payload.get("conversation") or payload.get("person", "")).partition(":")[0])
            return platform.budgets if platform else ()
        if row.kind == "import" or (row.kind == "code" and row.channel in PERSONAL):
            return ()
        return self.channels[row.channel].budgets

    def needless(self, tx: Tx, row: DeliveryRow) -> DeliveryError | None:
        """Why the message does not have to be sent any more, for those that would use up a scarce slot."""
        return NOBODY_TO_CALL.error() if row.channel == VOICE and not self._still_calls(tx, row) else None

    def _still_calls(self, tx: Tx, row: DeliveryRow) -> bool:
        """Whether an alert that somebody is to be called for is still open and nobody's; True for a call about no alert."""
        if row.kind == "digest":
            return receipts.calls_wanted(tx, row.id)
        stored = alerts.by_id(tx, row.alert_id or 0) if row.kind == "alert" else None
        return stored is None or (stored.status == "firing" and stored.acked_by is None)

    def merges(self, row: DeliveryRow) -> bool:
        """Whether this is one that a digest could name instead."""
        return row.kind == "alert" and self.channels[row.channel].fill is not None

    def brief(self, row: DeliveryRow) -> bool:
        """Whether a digest has room for a few words only where this row goes."""
        return self.channels[row.channel].brief

    def gathered(
        self, waiting: Sequence[Waiting], like: DeliveryRow, more: int, least: int, now: datetime
    ) -> list[Waiting]:
        """As many of the cards as one digest to the address of `like` names, the worst first.

        more   how many wait besides
        least  a digest should name so many, if it can be written tight enough
        """
        entries = digests.entries(waiting)
        with self.database.read() as tx:
            method = contacts.method_by_id(tx, like.method_id or 0)
            language = self._language(tx, method) if method else self.rules.language
        named = len(entries)
        if not self.brief(like):
            for tightness in digests.TIGHTER:

                def fill(count: int, tightness: digests.Tightness = tightness) -> float:
                    document = self._digest(entries[:count], waiting, tightness, len(entries) + more)
                    return self._fill(like, document, language, now)

                named = digests.most(len(entries), fill)
                if named >= min(least, len(entries)):
                    break
        chosen = {card for entry in entries[:named] for card in entry.cards}
        return [one for one in waiting if one.id in chosen]

    def _digest(
        self, entries: Sequence[digests.Entry], waiting: Sequence[Waiting], tightness: digests.Tightness, more: int
    ) -> Document:
        if any(one.reason in UNSPEAKABLE for one in waiting):
            tightness = digests.NUMBERS
        groups = {one.group_name for one in waiting if one.group_name}
        return digests.document(entries, tightness, shorten=cut, groups=groups, more=more)

    def _fill(self, row: DeliveryRow, document: Document, language: Language, now: datetime) -> float:
        """The part of a message that the document takes, with room for the mark of a repeat."""
        fill = self.channels[row.channel].fill
        whole = localize(cards.maybe_repeated(document), language)
        message = Message(whole, language, "digest", key_of(row), now, plain=row.plain)
        return fill(message, self.outside) if fill else 0.0

    def _named(self, tx: Tx, row: DeliveryRow, language: Language, now: datetime) -> Document:
        """The digest of what was merged into this delivery, as loose as it fits."""
        waiting = crowds.merged(tx, row.id)
        if not waiting:
            raise DeliveryError("gone", _("The alert was removed meanwhile."), permanent=True)
        entries = digests.entries(waiting)
        if self.brief(row):
            return digests.number_of_alerts(entries)
        more, _fresh = crowds.size(tx, row.lane, now)
        documents = (self._digest(entries, waiting, tightness, more) for tightness in digests.TIGHTER)
        document = next(documents)
        while self._fill(row, document, language, now) > 1:
            tighter = next(documents, None)
            if tighter is None:
                break
            document = tighter
        return document

    def send(self, row: DeliveryRow, now: datetime, composed: Composed | None = None) -> str:
        """The platform's reference of what it took. Raises DeliveryError.

        composed  what `composed` has made of the row a moment ago
        """
        if row.kind == "import" and self.cloud is not None:
            return imports.carry_out(row, self.cloud, self.database, self.rules, now)
        return self._say(row, now) if row.channel == CHAT else self._deliver(row, now, composed)

    def _say(self, row: DeliveryRow, now: datetime) -> str:
        payload = row.payload or {}
        person, conversation_id = payload["person"], payload["conversation"]
        language: Language = "en" if payload["language"] == "en" else "zh"
        name = (conversation_id or person).partition(":")[0]
        platform = self.platforms.get(name)
        if platform is None or name not in self.credentials:
            raise DeliveryError("not_set_up", _("{platform} is not connected.", platform=name), permanent=True)
        place = Place(conversation="", person=person, direct=True)
        if conversation_id:
            with self.database.read() as tx:
                conversation = people.conversation_by_id(tx, conversation_id)
            if conversation is None:
                raise DeliveryError("gone", _("The conversation does not exist any more."), permanent=True)
            until = payload.get("reply_until")
            place = Place(
                conversation_id,
                person,
                conversation.direct,
                payload.get("reply_url", ""),
                datetime.fromisoformat(until) if until else None,
                payload.get("replaces", ""),
                payload.get("trigger", ""),
            )
        speaker = Speaker(self.outside.http, now, key_of(row), self.credentials[name])
        return platform.say(from_json(payload["document"]), language, place, speaker).reference

    def _deliver(self, row: DeliveryRow, now: datetime, composed: Composed | None) -> str:
        channel = self.channels[row.channel]
        missing = channel.missing(self.outside)
        if missing:
            raise DeliveryError(
                "not_set_up",
                _(
                    "{channel} is not set up here: {settings} missing.",
                    channel=row.channel,
                    settings=", ".join(missing),
                ),
                permanent=True,
            )
        if composed is None:
            with self.database.look() as tx:
                composed = self.composed(tx, row, now)
        self._note(composed.broken, now)
        return channel.send(composed.message, composed.target, self.outside).reference

    def goes_to_an_address(self, row: DeliveryRow) -> bool:
        return row.channel != CHAT and row.kind != "import"

    def composed(self, tx: Tx, row: DeliveryRow, now: datetime, *, quickly: bool = False) -> Composed:
        """What is to be sent, and where to; of all that goes to an address. Raises DeliveryError.

        quickly  raises TakesTime where templates have to be filled in
        """
        method = contacts.method_by_id(tx, row.method_id) if row.method_id is not None else None
        if method is None:
            raise DeliveryError("gone", _("The address was removed meanwhile."), permanent=True)
        if method.state == "disabled" and row.kind != "code":
            raise DeliveryError("disabled", _("The address is disabled; it has to be verified again."), permanent=True)
        needless = self.needless(tx, row)
        if needless is not None:
            raise needless
        broken: list[tuple[TemplateRow, str]] = []
        if row.kind == "alert":
            message = self._alert_message(tx, row, method, now, None if quickly else broken)
        elif row.kind == "digest":
            message = self._digest_message(tx, row, method, now)
        else:
            message = self._written_message(row, now)
        if row.begun_at is not None:  # a crash lay in between
            message = _maybe_repeated(message)
        return Composed(message, Target(method.address, method.secret), tuple(broken))

    def _note(self, broken: Sequence[tuple[TemplateRow, str]], now: datetime) -> None:
        """Tells the log, and who looks at a template, why the standard card went out instead; once for each reason."""
        for template, why in broken:
            if template.failure != why[:FAILURE_MAX_CHARS]:
                log.warning(
                    "the %s template of source %d cannot be filled in: %s", template.part, template.source_id, why
                )
                with self.database.write() as tx:
                    templates.failed(tx, template, why, now)

    def _language(self, tx: Tx, method: MethodRow) -> Language:
        """The contact's wish, else that of the conversation a robot was proven in, else of who verified the address."""
        contact = contacts.by_id(tx, method.contact_id)
        return cards.language_of(contact, self._language_heard(tx, method))

    def _language_heard(self, tx: Tx, method: MethodRow) -> Language:
        place = people.conversation_by_id(tx, method.conversation) if method.conversation else None
        if place is not None and place.language in LANGUAGES:
            return "en" if place.language == "en" else "zh"
        person = people.by_id(tx, method.verified_by) if method.verified_by else None
        return known_language(person, self.rules.language)

    def _alert_message(
        self, tx: Tx, row: DeliveryRow, method: MethodRow, now: datetime, broken: list[tuple[TemplateRow, str]] | None
    ) -> Message:
        """The alert's card for this address, as the alert is now; `broken`: see `_card`."""
        stored = alerts.by_id(tx, row.alert_id or 0)
        if stored is None:
            raise DeliveryError("gone", _("The alert was removed meanwhile."), permanent=True)
        alert = cards.reported(stored, row.alert_status, row.alert_severity)
        contact = contacts.by_id(tx, method.contact_id)
        language = cards.language_of(contact, self._language_heard(tx, method))
        acked = stored.acked_by is not None
        about = Occasion(
            alert,
            stored.id,
            source=stored.source_name,
            group=row.group_name,
            zone=zone_named(contact.timezone if contact else None, self.rules.zone),
            language=language,
            history=cards.history_of(tx, stored),
        )
        document = self._card(tx, row, stored.source_id, about, broken)
        mention: Mention | None = None
        if contact is not None and wanted(contact.mention, alert, acknowledged=acked):
            mention = self._mention(tx, method)
        if row.channel not in WITHOUT_LINKS and alert.status == "firing" and not alert.post:
            actions = self._actions(tx, row, method, stored.id, acked=acked, language=language)
            document = replace(document, links=(*actions, *document.links))
        return Message(
            document,
            language,
            "alert",
            key_of(row),
            now,
            alert=alert,
            number=row.alert_id,
            group=row.group_name,
            thread=f"alert-{stored.id}-{to_ms(stored.first_at):x}",
            plain=row.plain,
            again=row.reason == NO_ANSWER,
            post=alert.post.body if alert.post and alert.post.platform == row.channel else None,
            mention=mention,
        )

    def _digest_message(self, tx: Tx, row: DeliveryRow, method: MethodRow, now: datetime) -> Message:
        language = self._language(tx, method)
        document = localize(self._named(tx, row, language, now), language)
        return Message(
            document,
            language,
            "digest",
            key_of(row),
            now,
            number=document.number,
            group=row.group_name,
            plain=row.plain,
            again=row.reason == NO_ANSWER,
        )

    def _written_message(self, row: DeliveryRow, now: datetime) -> Message:
        payload = row.payload or {}
        document = from_json(payload["document"])
        return Message(
            document,
            "en" if payload["language"] == "en" else "zh",
            WRITTEN[row.kind],
            key_of(row),
            now,
            alert=cards.test_alert(document) if row.kind == "test" else None,
            number=row.alert_id,
            group=row.group_name,
            code=str(payload.get("code", "")),
            plain=row.plain,
            again=row.reason == NO_ANSWER,
        )

    def _card(
        self,
        tx: Tx,
        row: DeliveryRow,
        source_id: int | None,
        about: Occasion,
        broken: list[tuple[TemplateRow, str]] | None,
    ) -> Document:
        """The alert's card in the reader's language, with what the templates of its source say instead.

        Templates that cannot be filled in are added to `broken`; None: raises TakesTime where there are templates.
        """
        document = cards.alert_document(
            about.alert,
            about.number,
            source=about.source,
            group=about.group,
            zone=about.zone,
            history=about.history,
            shorten=None if row.channel in ROOMY else cut,
        )
        for template in templates.of_source(tx, source_id) if source_id is not None else ():
            if broken is None:
                raise TakesTime
            try:
                document = applied(document, part_of(template.part), template.body, about)
            except TemplateFailed as error:
                broken.append((template, str(error)))
        return localize(document, about.language)

    def _mention(self, tx: Tx, method: MethodRow) -> Mention | None:
        """How the platform of this address calls its contact."""
        people_of = contacts.owner(tx, method.contact_id)
        everywhere = [one for person in people_of for one in identities.of(tx, person)]
        own = contacts.methods(tx, [method.contact_id])
        phones = [one.address for one in own if one.channel == PHONE and one.state == "active"]
        return of_contact(method.channel, method.address, list(dict.fromkeys(everywhere)), phones)

    def _actions(
        self, tx: Tx, row: DeliveryRow, method: MethodRow, number: int, *, acked: bool, language: Language
    ) -> tuple[Link, ...]:
        """What can be done about the alert, as links to our page: whoever sees the card may, in the contact's name.

        They are the same in every try of the delivery.
        """
        if not self.rules.pages:
            return ()

        key = key_of(row)

        def button(label: Say, says: Say, mark: str) -> Button:
            return Button(render(label, language), render(says, language), anyone=True, nonce=f"{key}-{mark}")

        take = () if acked else (button(_("Acknowledge"), examples.ack(number), "a"),)
        over = button(_("Resolve"), examples.resolve(number), "r")
        buttons = (*take, over, button(_("Silence 2 h"), examples.silence(number), "s"))
        return as_links(tx.vault, self.rules, buttons, "", places.of_cards(method.id), row.created_at)


def _maybe_repeated(message: Message) -> Message:
    """The message, when its last try was cut short. A code does not say so: it is the same code."""
    if message.kind == "code":
        return replace(message, again=True)
    document = localize(cards.maybe_repeated(message.document), message.language)
    return replace(message, document=document, again=True)
