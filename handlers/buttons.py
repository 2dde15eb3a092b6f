"""What a button or a form carries, so that pressing it can be believed: bound by a MAC to one command, one person or
conversation, and a deadline.

A token is `<payload>.<mac>`, both base64url. It is no secret (whoever sees the button may read it), but nobody can
make or change one, and the person who presses is told by the platform, not by the token.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from handlers.context import Rules
from handlers.document import Button, Dialog, Document, Link, localize
from handlers.texts import Language
from storage.database import Tx
from storage.people import ConversationRow
from storage.vault import Vault

MAX_CHARS = 900
"""Of a token: WeCom takes 1,024 bytes as the key of a button, DingTalk 1 KB as the value of a card's variable."""

LIFE = timedelta(minutes=30)
"""How long buttons and forms work."""

LONG_LIFE = timedelta(days=7)
"""The same for buttons on an alert's card, and for those that change nothing by themselves: they open a form or a list."""

PAGE = "/confirm/"
"""Path of the page behind a link; the token follows."""

_BUTTON, _LINK = "button", "link"
"""A button is believed because the platform says who pressed it, a link because of who has it: one is never the other."""


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class ForgedButton(Exception):
    """The token is not one of ours."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a token says.

    says          the command of a button, in the language of the card; of a form the command it stands for
    subject       of a form: what the command is about
    form          it is a form's
    person        who may press; "" for everybody in the conversation
    conversation  where it was shown
    nonce         the same for buttons of which only one can be pressed ("yes" and "no"); "" when it works again and again
    """

    says: str
    person: str
    conversation: str
    until: datetime
    nonce: str
    subject: str = ""
    form: bool = False


def sealed(vault: Vault, bound: Bound, purpose: str = _BUTTON) -> str:
    """The token. Raises ValueError for one that would be too long for some platform."""
    values = [
        bound.says,
        bound.person,
        bound.conversation,
        int(bound.until.timestamp()),
        bound.nonce,
        bound.subject,
        int(bound.form),
    ]
    payload = _encoded(_JSON.encode(values).encode("utf-8", "surrogatepass"))
    token = f"{payload}.{_mac(vault.digest(purpose, payload))}"
    if len(token) > MAX_CHARS:
        raise ValueError("too long for a button")
    return token


def opened(vault: Vault, token: str, *, link: bool = False) -> Bound:
    """What the token of a button (or of a link) says; whether its time is over is for the caller to see.

    Raises ForgedButton.
    """
    payload, _dot, mac = token.partition(".")
    if not any(
        hmac.compare_digest(_mac(digest).encode(), mac.encode("utf-8", "surrogatepass"))
        for digest in vault.digests(_LINK if link else _BUTTON, payload)
    ):
        raise ForgedButton
    try:
        values = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        says, person, conversation, until, nonce, subject, form = values
    except (ValueError, TypeError, binascii.Error) as error:  # of another version, or a digest of something else
        raise ForgedButton from error
    return Bound(says, person, conversation, datetime.fromtimestamp(until, UTC), nonce, subject, bool(form))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _mac(digest: str) -> str:
    return _encoded(bytes.fromhex(digest)[:16])


def new_nonce() -> str:
    return secrets.token_urlsafe(9)


def drawn(
    tx: Tx,
    rules: Rules,
    document: Document,
    language: Language,
    place: ConversationRow,
    person: str,
    now: datetime,
) -> Document:
    """The document as it is owed to that place: localized, its buttons and form bound to person, place and deadline.

    Where the platform calls nobody back a button becomes a link to a page that asks again. Such a link says nothing of
    who follows it, so in a group only those stay that everybody may press. What would be too long is left out.
    """
    document = localize(document, language)
    way = rules.buttons.get(place.platform)
    if way == "press":
        dialog = document.dialog
        return replace(
            document,
            buttons=tuple(
                replace(button, token=token)
                for button, token in _with_tokens(tx.vault, document.buttons, person, place.id, now, _BUTTON)
            ),
            dialog=dialog and _form(tx.vault, dialog, person, place.id, now),
        )
    links: tuple[Link, ...] = ()
    if way == "link":
        allowed = [one for one in document.buttons if one.anyone or place.direct]
        links = as_links(tx.vault, rules, allowed, person, place.id, now)
    return replace(document, links=(*document.links, *links), buttons=(), dialog=None)


def as_links(
    vault: Vault, rules: Rules, buttons: Iterable[Button], person: str, conversation: str, now: datetime
) -> tuple[Link, ...]:
    """Localized buttons as links to the page that asks again and then presses; none without an address of ours."""
    if not rules.pages:
        return ()
    page = f"{rules.public_url.rstrip('/')}{PAGE}"
    return tuple(
        Link(one.label, page + token) for one, token in _with_tokens(vault, buttons, person, conversation, now, _LINK)
    )


def _with_tokens(
    vault: Vault, buttons: Iterable[Button], person: str, conversation: str, now: datetime, purpose: str
) -> Iterator[tuple[Button, str]]:
    """Each button with its token, but for those that would have none."""
    for button in buttons:
        if not button.once and purpose == _LINK:
            continue  # opens a form, which pages do not have
        nonce = (button.nonce or new_nonce()) if button.once else ""
        until = now + (LIFE if button.once and not button.anyone else LONG_LIFE)
        bound = Bound(str(button.says), "" if button.anyone else person, conversation, until, nonce)
        try:
            yield button, sealed(vault, bound, purpose)
        except ValueError:
            continue


def _form(vault: Vault, dialog: Dialog, person: str, conversation: str, now: datetime) -> Dialog | None:
    bound = Bound(dialog.command, person, conversation, now + LIFE, new_nonce(), subject=dialog.subject, form=True)
    try:
        return replace(dialog, token=sealed(vault, bound))
    except ValueError:
        return None
