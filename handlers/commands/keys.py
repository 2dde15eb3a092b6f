"""The keys of a command in words, and what is said when nothing follows one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handlers.commands.request import Request
from handlers.errors import CommandError
from handlers.texts import Say, _

WORDS: Mapping[str, Say] = {
    "name": _("name"),
    "phone": _("phone"),
    "email": _("email"),
    "webhook": _("webhook"),
    "secret": _("secret"),
    "language": _("language"),
    "timezone": _("time zone"),
    "mention": _("mentions"),
    "note": _("note"),
    "members": _("members"),
    "to": _("“to”"),
}


def no_value(key: str, example: Say) -> CommandError:
    """What to raise when the key is there and nothing follows."""
    return CommandError(_("A value for {field} is missing. Example: {example}", field=WORDS[key], example=example))


def need_values(request: Request, example: Callable[[str], Say]) -> None:
    """Raises CommandError for a key that nothing follows: to go on without it would do half of what was said.

    `example` gives a command that has a value for the key.
    """
    for key, value in request.keys.items():
        if not value.strip():
            raise no_value(key, example(key))
