"""Verification codes (as keyed digests only) and wrong guesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update

from storage.database import Tx
from storage.people import stand_in
from storage.rows import record
from storage.schema import code, method, wrong_code


@dataclass(frozen=True, slots=True)
class CodeRow:
    id: int
    method_id: int | None
    person: str
    conversation: str
    digest: str
    state: str
    tries_left: int
    issued_at: datetime
    expires_at: datetime


def issue(
    tx: Tx,
    *,
    method_id: int,
    address_key: str,
    person: str,
    conversation: str,
    digits: str,
    tries: int,
    now: datetime,
    expires_at: datetime,
) -> int:
    """The id of the new code; the method's other codes end."""
    end(tx, method_id, "replaced")
    return int(
        tx.conn.execute(
            code.insert()
            .values(
                method_id=method_id,
                address_key=address_key,
                person=person,
                conversation=conversation,
                digest=tx.vault.digest(f"code:{method_id}", digits),
                state="issued",
                tries_left=tries,
                issued_at=now,
                expires_at=expires_at,
            )
            .returning(code.c.id)
        ).scalar_one()
    )


def end(tx: Tx, method_id: int, state: str) -> None:
    """Ends the method's live codes."""
    tx.conn.execute(update(code).where(code.c.method_id == method_id, code.c.state == "issued").values(state=state))


def set_state(tx: Tx, code_id: int, state: str) -> None:
    tx.conn.execute(update(code).where(code.c.id == code_id).values(state=state))


def lose_try(tx: Tx, code_id: int) -> None:
    tx.conn.execute(update(code).where(code.c.id == code_id).values(tries_left=code.c.tries_left - 1))


def by_id(tx: Tx, code_id: int) -> CodeRow | None:
    row = tx.conn.execute(select(code).where(code.c.id == code_id)).first()
    return record(CodeRow, row) if row else None


def live(tx: Tx, person_ids: Sequence[str], method_ids: Sequence[int], now: datetime) -> list[CodeRow]:
    """Codes that can still be confirmed, newest first: asked for by these people or sent to these methods."""
    query = select(code).where(
        code.c.state == "issued",
        code.c.expires_at > now,
        code.c.method_id.is_not(None),
        code.c.person.in_(person_ids) | code.c.method_id.in_(method_ids),
    )
    return [record(CodeRow, row) for row in tx.conn.execute(query.order_by(code.c.issued_at.desc(), code.c.id.desc()))]


def latest(tx: Tx, person_ids: Sequence[str], method_ids: Sequence[int], since: datetime) -> CodeRow | None:
    """Their most recent code whatever became of it, for saying why digits do not count."""
    query = select(code).where(
        code.c.person.in_(person_ids) | code.c.method_id.in_(method_ids), code.c.issued_at > since
    )
    row = tx.conn.execute(query.order_by(code.c.issued_at.desc(), code.c.id.desc()).limit(1)).first()
    return record(CodeRow, row) if row else None


def any_live(tx: Tx, now: datetime) -> bool:
    """Whether a code of anybody can still be confirmed."""
    waiting = code.c.state == "issued", code.c.expires_at > now, code.c.method_id.is_not(None)
    return tx.conn.scalar(select(code.c.id).where(*waiting).limit(1)) is not None


def asked_in(tx: Tx, conversation: str, platform: str, now: datetime) -> bool:
    """Whether a card with a live code stands there: of a robot that is linked to the conversation, or, when it is linked to
    none, for which the code was asked for there."""
    where = (method.c.conversation == conversation) | (
        (func.coalesce(method.c.conversation, "") == "") & (code.c.conversation == conversation)
    )
    query = select(code.c.id).join(method, method.c.id == code.c.method_id)
    live = code.c.state == "issued", code.c.expires_at > now, method.c.channel == platform
    return tx.conn.scalar(query.where(*live, where).limit(1)) is not None


def to_address(tx: Tx, address_key: str, since: datetime) -> list[datetime]:
    """When codes went to this address, oldest first; those the provider refused do not count."""
    query = select(code.c.issued_at).where(
        code.c.address_key == address_key, code.c.issued_at > since, code.c.state != "refused"
    )
    return list(tx.conn.scalars(query.order_by(code.c.issued_at)))


def by_people(tx: Tx, person_ids: Sequence[str], since: datetime) -> list[datetime]:
    """When these identities of one human had codes sent, oldest first."""
    query = select(code.c.issued_at).where(
        code.c.person.in_(_limited(tx, person_ids)), code.c.issued_at > since, code.c.state != "refused"
    )
    return list(tx.conn.scalars(query.order_by(code.c.issued_at)))


def guessed_wrong(tx: Tx, person_id: str, now: datetime) -> None:
    tx.conn.execute(wrong_code.insert().values(person=person_id, at=now))


def wrong_guesses(tx: Tx, person_ids: Sequence[str], since: datetime) -> int:
    """How often these identities of one human guessed wrong."""
    query = select(func.count()).where(wrong_code.c.person.in_(_limited(tx, person_ids)), wrong_code.c.at > since)
    return int(tx.conn.execute(query).scalar_one())


def _limited(tx: Tx, person_ids: Sequence[str]) -> list[str]:
    """Under what the limits know them. To be forgotten is no way around these: what was before counts as well."""
    return [*person_ids, *(stand_in(tx, one) for one in person_ids)]


def forget(tx: Tx, before: datetime) -> None:
    """Removes what no limit looks at any more."""
    tx.conn.execute(delete(code).where(code.c.issued_at < before))
    tx.conn.execute(delete(wrong_code).where(wrong_code.c.at < before))
