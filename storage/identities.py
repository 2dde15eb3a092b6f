"""Which chat identities are one human, and the one-time codes that join them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select, update

from storage.database import Tx
from storage.rows import upsert
from storage.schema import link_code, person


def of(tx: Tx, person_id: str) -> tuple[str, ...]:
    """All identities of the human behind this one, itself included, in order."""
    human = tx.conn.execute(select(person.c.human).where(person.c.id == person_id)).scalar()
    if human is None:
        return (person_id,)
    return tuple(tx.conn.execute(select(person.c.id).where(person.c.human == human).order_by(person.c.id)).scalars())


def join(tx: Tx, one: str, other: str) -> None:
    """From now on both, and everybody already joined to either, are one human. Both have been seen."""
    everybody = {*of(tx, one), *of(tx, other)}
    tx.conn.execute(update(person).where(person.c.id.in_(everybody)).values(human=min(everybody)))


def leave(tx: Tx, person_id: str) -> None:
    """This identity is a human of its own again; one that is left alone is too."""
    rest = [one for one in of(tx, person_id) if one != person_id]
    human = rest[0] if len(rest) > 1 else None
    tx.conn.execute(update(person).where(person.c.id.in_(rest)).values(human=human))
    tx.conn.execute(update(person).where(person.c.id == person_id).values(human=None))


def issue(tx: Tx, person_id: str, code: str, expires_at: datetime) -> None:
    """Remembers a one-time code, as a digest; an older one of the same person ends."""
    tx.conn.execute(delete(link_code).where(link_code.c.person == person_id))
    upsert(
        tx,
        link_code,
        ("digest",),
        {"digest": tx.vault.digest("link", code), "person": person_id, "expires_at": expires_at},
    )


def issued_by(tx: Tx, code: str, now: datetime) -> str | None:
    """Who was given the code, None when it is unknown, used or too old."""
    return tx.conn.execute(
        select(link_code.c.person).where(
            link_code.c.digest.in_(tx.vault.digests("link", code)), link_code.c.expires_at > now
        )
    ).scalar()


def end(tx: Tx, person_id: str) -> None:
    """The person's code no longer works."""
    tx.conn.execute(delete(link_code).where(link_code.c.person == person_id))


def forget(tx: Tx, before: datetime) -> None:
    tx.conn.execute(delete(link_code).where(link_code.c.expires_at < before))
