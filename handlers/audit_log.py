"""The audit log: what is written into it, and how people read it.

An entry is stored under the ids below, which never change: what older versions wrote is read by them too. People read
words. A new action or key stands here with its words first; `mypy` refuses all others, and so does a test. What is not
known here, from another version, is shown as it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from handlers.import_wishes import system_name
from handlers.texts import Say, _, from_json
from handlers.times import lasting
from storage import audit
from storage.database import Tx

Action = Literal[
    "contact add",
    "contact edit",
    "contact remove",
    "contact import",
    "verify",
    "disable",
    "group create",
    "group edit",
    "group add",
    "group remove",
    "group rename",
    "group note",
    "group delete",
    "sync",
    "source add",
    "source rotate",
    "source move",
    "source map",
    "source remove",
    "template set",
    "template clear",
    "test",
    "ack",
    "unack",
    "resolve",
    "note",
    "silence",
    "silence end",
    "retry",
    "admin add",
    "admin remove",
    "language",
    "link",
    "unlink",
    "undo",
    "forget me",
]

ACTIONS: Mapping[str, Say] = {
    "contact add": _("contact added"),
    "contact edit": _("contact edited"),
    "contact remove": _("contact removed"),
    "contact import": _("contact imported"),
    "verify": _("address verified"),
    "disable": _("address disabled"),
    "group create": _("group created"),
    "group edit": _("group edited"),
    "group add": _("group members added"),
    "group remove": _("group members removed"),
    "group rename": _("group renamed"),
    "group note": _("group note changed"),
    "group delete": _("group deleted"),
    "sync": _("taken over by an import"),
    "source add": _("source added"),
    "source rotate": _("source given a new URL"),
    "source move": _("source moved to another group"),
    "source map": _("source mapping changed"),
    "source remove": _("source removed"),
    "template set": _("template set"),
    "template clear": _("template cleared"),
    "test": _("test sent"),
    "ack": _("alert acknowledged"),
    "unack": _("alert given back"),
    "resolve": _("alert resolved"),
    "note": _("note written on an alert"),
    "silence": _("silence begun"),
    "silence end": _("silence ended"),
    "retry": _("dead letter sent again"),
    "admin add": _("admin added"),
    "admin remove": _("admin role taken away"),
    "language": _("language of the conversation set"),
    "link": _("identities joined"),
    "unlink": _("identity separated"),
    "undo": _("change undone"),
    "forget me": _("person forgotten"),
}
"""Each action in words."""

Key = Literal[
    "acked_by",
    "added",
    "addresses",
    "admin",
    "because",
    "did",
    "for_s",
    "from",
    "group",
    "groups",
    "identities",
    "kind",
    "language",
    "mapping",
    "members",
    "mention",
    "method",
    "name",
    "note",
    "person",
    "removed",
    "secret of",
    "sources",
    "state",
    "taken back",
    "text",
    "timezone",
    "title",
]

KEYS: Mapping[str, Say] = {
    "acked_by": _("acknowledged by"),
    "added": _("addresses added"),
    "addresses": _("addresses"),
    "admin": _("is an admin"),
    "because": _("because"),
    "did": _("changes"),
    "for_s": _("lasts"),
    "from": _("from"),
    "group": _("group"),
    "groups": _("groups"),
    "identities": _("identities"),
    "kind": _("kind"),
    "language": _("language"),
    "mapping": _("mapping"),
    "members": _("members"),
    "mention": _("mentions"),
    "method": _("address"),
    "name": _("called"),
    "note": _("note"),
    "person": _("person"),
    "removed": _("address removed"),
    "secret of": _("secret changed of"),
    "sources": _("sources"),
    "state": _("state"),
    "taken back": _("taken back"),
    "text": _("text"),
    "timezone": _("time zone"),
    "title": _("title"),
}
"""What is told of a change, in words."""

PEOPLE = ("acked_by", "identities", "person")
"""Keys whose values are ids of people."""

VALUES: Mapping[tuple[str, str], Say] = {
    ("did", "added"): _("added"),
    ("did", "gone"): _("gone"),
    ("language", "en"): _("English"),
    ("language", "zh"): _("Chinese"),
    ("mention", "off"): _("in no card"),
    ("mention", "on"): _("in the cards of all alerts"),
    ("state", "active"): _("active"),
    ("state", "disabled"): _("disabled"),
    ("state", "pending"): _("not verified yet"),
}
"""Values that are words of ours, by key and value."""

NOTHING = "–"


def write(
    tx: Tx,
    now: datetime,
    person: str,
    conversation: str,
    action: Action,
    subject: str,
    before: Mapping[Key, Any] | None = None,
    after: Mapping[Key, Any] | None = None,
) -> None:
    """Writes an entry. Values must be masked already; texts among them as `texts.to_json` makes them."""
    old, new = ({str(key): value for key, value in one.items()} if one is not None else None for one in (before, after))
    audit.write(tx, now, person, conversation, action, subject, old, new)


def action_words(action: str) -> Say:
    """What was done, in words; as it is stored where it is not known."""
    return ACTIONS.get(action, action)


def told(values: Mapping[str, Any] | None, named: Callable[[str], str]) -> Say:
    """One side of an entry, in words. `named`: how a person is called, by id."""
    whole: Say = ""
    for key, value in (values or {}).items():
        fact = _("{key}: {value}", key=KEYS.get(key, key), value=_value(key, value, named))
        whole = _("{first}; {next}", first=whole, next=fact) if whole else fact
    return whole


def _value(key: str, value: Any, named: Callable[[str], str]) -> Say:
    if isinstance(value, list):
        return _listed([_value(key, one, named) for one in value])
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, dict) and isinstance(value.get("values"), dict) and "plural" in value:
        return from_json(value)
    if isinstance(value, dict):
        return _listed([f"{name}={one}" for name, one in value.items()])
    if key == "for_s" and isinstance(value, int):
        return lasting(timedelta(seconds=value))
    text = str(value)
    if key == "taken back":
        return _done(text)
    if key == "from":
        return system_name(text)
    return named(text) if key in PEOPLE else VALUES.get((key, text), text)


def _listed(words: Iterable[Say]) -> Say:
    whole: Say = ""
    for word in words:
        whole = _("{first}, {next}", first=whole, next=word) if whole else word
    return whole or NOTHING


def _done(text: str) -> Say:
    """`contact add Ann` as words; the longest action counts, as `silence end` begins with another one."""
    known = [action for action in ACTIONS if text.startswith(f"{action} ")]
    if not known:
        return text
    action = max(known, key=len)
    return _("{done} “{subject}”", done=ACTIONS[action], subject=text[len(action) + 1 :])
