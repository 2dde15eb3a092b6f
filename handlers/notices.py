"""Telling people one-to-one what nobody asked for and somebody has to know."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from handlers import outbox, verification
from handlers.context import Rules
from handlers.document import Document
from storage import people
from storage.database import Tx


def admins(tx: Tx, rules: Rules) -> set[str]:
    """Ids of all admins, by setting and made so in chat."""
    return set(rules.admins) | {admin.id for admin in people.admins(tx)}


def tell(
    tx: Tx, person_ids: Iterable[str], document: Document, rules: Rules, *, dedupe: str, now: datetime
) -> set[str]:
    """Owes it to each of them that can be reached alone, in their language; the lanes to wake.

    dedupe  what is told under the same one reaches nobody twice
    """
    wanted = sorted(one for one in person_ids if one.partition(":")[0] in rules.private)
    known = people.by_ids(tx, wanted)
    return outbox.owe(
        tx,
        [
            outbox.to_person(
                document,
                verification.known_language(known.get(one), rules.language),
                one,
                dedupe=f"{dedupe}:{one}"[:200],
                now=now,
            )
            for one in wanted
        ],
    )
