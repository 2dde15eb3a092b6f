"""Owing an import, and telling whoever waits for it that it is read, why it takes longer, or that it did not work.

Each of these, and what the import came to, takes the place of the one before where the platform can change what it said;
elsewhere it is a further message. The one before is found by the batch that the import and they have in common.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from handlers import notices, outbox
from handlers.buttons import drawn, new_nonce
from handlers.context import Answer, Context, Rules
from handlers.document import Document, Paragraph
from handlers.errors import DeliveryError
from handlers.import_wishes import Wish, system_name
from handlers.texts import Language, _
from storage import batches, people
from storage.database import Tx
from storage.deliveries import DeliveryRow

PATIENCE = timedelta(minutes=2)
"""How long a person waits for an import that meets trouble that may pass."""

UNASKED_PATIENCE = timedelta(hours=1)


def begin(ctx: Context, source: str, *, preview: bool, trust: bool) -> Answer:
    """Owes the import, whose answer follows when everything was read; says so."""
    batch = batches.start(ctx.tx, "import", {}, ctx.now)
    batches.close(ctx.tx, batch, ctx.now)  # it only holds together what belongs together: there is nothing to report
    payload = {
        "source": source,
        "preview": preview,
        "trust": trust,
        "person": ctx.person.id,
        "conversation": ctx.place.id,
        "language": ctx.language,
        "batch": batch,
        **outbox.way(ctx.place),
    }
    ctx.wake |= outbox.owe(ctx.tx, [_owed(source, payload, new_nonce(), PATIENCE, ctx.now)])
    reading = Document(_("I am reading {source}; the result follows here.", source=system_name(source)))
    return Answer(reading, interim=True, batch=batch)


def begin_unasked(tx: Tx, source: str, now: datetime) -> set[str]:
    """Owes an import that nobody waits for; the lanes to wake."""
    return outbox.owe(tx, [_owed(source, {"source": source}, now.isoformat(), UNASKED_PATIENCE, now)])


def _owed(source: str, payload: dict[str, Any], key: str, life: timedelta, now: datetime) -> dict[str, Any]:
    way, _colon, instance = source.partition(":")
    return outbox.row(
        lane=f"{way}:{instance}",
        kind="import",
        channel=way,
        priority=outbox.ANSWER,
        dedupe=f"import:{source}:{key}"[:200],
        payload=payload,
        due_at=now,
        expires_at=now + life,
        created_at=now,
    )


def wish_of(tx: Tx, delivery: DeliveryRow) -> Wish:
    """What the delivery was owed for. Whole addresses are for an admin one-to-one."""
    asked = delivery.payload or {}
    place = people.conversation_by_id(tx, asked.get("conversation", ""))
    return Wish(
        asked["source"],
        preview=asked.get("preview", False),
        trust=asked.get("trust", False),
        full=place is not None and place.direct,
        person=asked.get("person", ""),
        conversation=asked.get("conversation", ""),
    )


def failed(tx: Tx, delivery: DeliveryRow, error: DeliveryError, rules: Rules, now: datetime) -> set[str]:
    """Tells why nothing was imported: who asked, else the admins, once a day for the same reason; the lanes to wake."""
    asked = delivery.payload or {}
    system = system_name(asked["source"])
    document = Document(
        _("{source} could not be read; nothing is changed.", source=system), (Paragraph(error.say),), tone="warning"
    )
    ctx = asked_by(tx, delivery, rules, now)
    if ctx is not None:
        return owe(ctx, delivery, [Answer(document)], f"not-imported:{delivery.id}")
    if asked.get("person"):
        return set()
    dedupe = f"sync:{asked['source']}:{error.reason}:{now.astimezone(rules.zone):%Y-%m-%d}"
    return notices.tell(tx, notices.admins(tx, rules), document, rules, dedupe=dedupe, now=now)


def slow(tx: Tx, delivery: DeliveryRow, error: DeliveryError, rules: Rules, now: datetime) -> set[str]:
    """Tells who waits that it takes longer, and why; the lanes to wake."""
    ctx = asked_by(tx, delivery, rules, now)
    if ctx is None or (ctx.place.reply_url and ctx.place.platform in rules.once):
        return set()  # the one answer that there is room for is the last one
    system = system_name((delivery.payload or {})["source"])
    document = Document(
        _("{source} could not be read yet; I try again for two minutes.", source=system), (Paragraph(error.say),)
    )
    return owe(ctx, delivery, [Answer(document)], f"import-slow:{delivery.id}")


def asked_by(tx: Tx, delivery: DeliveryRow, rules: Rules, now: datetime) -> Context | None:
    """Who asked, and where; None when nobody did, or there is nowhere to answer any more."""
    asked = delivery.payload or {}
    place = people.conversation_by_id(tx, asked.get("conversation", ""))
    person = people.by_id(tx, asked.get("person", ""))
    if place is None or person is None:
        return None
    language: Language = "en" if asked.get("language") == "en" else "zh"
    return Context(tx, now, rules, person, outbox.by_way(place, asked), language)


def owe(ctx: Context, delivery: DeliveryRow, answers: Iterable[Answer], key: str) -> set[str]:
    """Owes what there is to say of an import now, in place of what was said of it before; the lanes to wake."""
    batch = (delivery.payload or {}).get("batch")
    before = _shown(ctx.tx, batch) if batch else ""
    return outbox.owe(
        ctx.tx,
        [
            outbox.answer(
                drawn(ctx.tx, ctx.rules, answer.document, ctx.language, ctx.place, ctx.person.id, ctx.now),
                ctx.language,
                ctx.place,
                ctx.person.id,
                private=False,
                dedupe=key,
                now=ctx.now,
                replaces=before,
                batch_id=batch,
            )
            for answer in answers
        ],
    )


def _shown(tx: Tx, batch: int) -> str:
    """Handle of the newest message about an import; "" where none can be changed, or none was sent yet."""
    return next((row.receipt for row in reversed(batches.deliveries_of(tx, batch)) if row.receipt), "")
