"""From a row of the outbox to a message, and to the channel or platform that sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.channels.contract import Channel, Kind, Message, Outside, Target
from bot.platforms.contract import Place, Platform, Speaker
from handlers import cards
from handlers.budgets import Throttle
from handlers.context import Rules
from handlers.document import from_json, localize
from handlers.errors import DeliveryError
from handlers.model import Alert
from handlers.outbox import CHAT
from handlers.texts import LANGUAGES, Language, _
from handlers.verification import known_language
from storage import alerts, contacts, people
from storage.contacts import MethodRow
from storage.database import Database, Tx
from storage.deliveries import DeliveryRow
from storage.schema import to_ms

KINDS: Mapping[str, Kind] = {"alert": "alert", "code": "code", "test": "test", "notice": "notice"}

PERSONAL = ("sms", "email")
"""Channels whose codes have limits of their own (see `handlers.verification`) and no share in the alerts' budget."""


def key_of(row: DeliveryRow) -> str:
    """The same for every try of a delivery, and never that of another one, also after the database was made anew."""
    return f"cb-{row.id}-{to_ms(row.created_at):x}"


@dataclass(frozen=True, slots=True)
class Sender:
    """Knows every way out. `credentials` are what each platform needs to speak; those that are not set up are absent."""

    database: Database
    rules: Rules
    outside: Outside
    channels: Mapping[str, Channel]
    platforms: Mapping[str, Platform]
    credentials: Mapping[str, object]

    def budgets(self, row: DeliveryRow) -> tuple[Throttle, ...]:
        """What may be sent where this row goes."""
        if row.channel == CHAT:
            payload = row.payload or {}
            platform = self.platforms.get((payload.get("conversation") or payload.get("person", "")).partition(":")[0])
            return platform.budgets if platform else ()
        if row.kind == "code" and row.channel in PERSONAL:
            return ()
        return self.channels[row.channel].budgets

    def send(self, row: DeliveryRow, now: datetime) -> str:
        """The platform's reference of what it took. Raises DeliveryError."""
        return self._say(row, now) if row.channel == CHAT else self._deliver(row, now)

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

    def _deliver(self, row: DeliveryRow, now: datetime) -> str:
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
        with self.database.read() as tx:
            method = contacts.method_by_id(tx, row.method_id) if row.method_id is not None else None
            if method is None:
                raise DeliveryError("gone", _("The address was removed meanwhile."), permanent=True)
            if method.state == "disabled" and row.kind != "code":
                raise DeliveryError(
                    "disabled", _("The address is disabled; it has to be verified again."), permanent=True
                )
            message = self._message(tx, row, method, now)
        return channel.send(message, Target(method.address, method.secret), self.outside).reference

    def _language(self, tx: Tx, method: MethodRow) -> Language:
        """Of the conversation a robot was proven in, else the one last used by who verified the address."""
        place = people.conversation_by_id(tx, method.conversation) if method.conversation else None
        if place is not None and place.language in LANGUAGES:
            return "en" if place.language == "en" else "zh"
        person = people.by_id(tx, method.verified_by) if method.verified_by else None
        return known_language(person, self.rules.language)

    def _message(self, tx: Tx, row: DeliveryRow, method: MethodRow, now: datetime) -> Message:
        payload = row.payload or {}
        language: Language = self.rules.language
        alert: Alert | None = None
        thread = ""
        if row.kind == "alert":
            stored = alerts.by_id(tx, row.alert_id or 0)
            if stored is None:
                raise DeliveryError("gone", _("The alert was removed meanwhile."), permanent=True)
            alert = cards.reported(stored, row.alert_status, row.alert_severity)
            language = self._language(tx, method)
            acked_by = people.by_id(tx, stored.acked_by) if stored.acked_by else None
            document = localize(
                cards.alert_document(
                    alert,
                    stored.id,
                    source=stored.source_name,
                    group=row.group_name,
                    zone=self.rules.zone,
                    acked_by=(acked_by.name or acked_by.id) if acked_by else None,
                ),
                language,
            )
            thread = f"alert-{stored.id}-{to_ms(stored.first_at):x}"
        else:
            language = "en" if payload["language"] == "en" else "zh"
            document = from_json(payload["document"])
            if row.kind == "test":
                alert = cards.test_alert(document)
        if row.begun_at is not None and row.kind != "code":  # a crash lay in between
            document = localize(cards.maybe_repeated(document), language)
        return Message(
            document=document,
            language=language,
            kind=KINDS[row.kind],
            key=key_of(row),
            now=now,
            alert=alert,
            number=row.alert_id,
            group=row.group_name,
            code=str(payload.get("code", "")),
            thread=thread,
            plain=row.plain,
        )
