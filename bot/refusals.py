"""What a platform refused, and what failed on the way, as DeliveryError with a sentence that tells what to do.

The tables of codes stand beside each channel; here is their form, and the three failures that are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.http import HttpReply, Unreachable
from handlers.errors import DeliveryError
from handlers.texts import Say, Text, _


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line of a table of codes; the fields are those of DeliveryError."""

    reason: str
    say: Say
    permanent: bool = True
    disables: bool = False
    retry_after: float | None = None

    def error(self, retry_after: float | None = None, **values: str) -> DeliveryError:
        """The error to raise; `retry_after` is what this very answer asked for, `values` belong into the sentence."""
        say = replace(self.say, values=values) if values and isinstance(self.say, Text) else self.say
        return DeliveryError(
            self.reason,
            say,
            permanent=self.permanent,
            disables=self.disables,
            retry_after=retry_after if retry_after is not None else self.retry_after,
        )


def code_of(value: object) -> int | None:
    """A code as a number: platforms write the same one as 0 or as "0". None when it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and value.isascii() and len(value) < 12:
        return int(value)
    return None


def temporary(reason: str, say: Say, retry_after: float | None = None) -> Refusal:
    """A refusal that may be gone at the next try."""
    return Refusal(reason, say, permanent=False, retry_after=retry_after)


def dead(reason: str, say: Say) -> Refusal:
    """A refusal that every message to this address will meet until a person acts."""
    return Refusal(reason, say, disables=True)


def unreachable(name: str, error: Unreachable) -> DeliveryError:
    """No answer came from the platform of that name."""
    if error.reason == "private address":
        return dead("private_address", _("The address leads into a private network, which is not allowed.")).error()
    if error.sent:
        return DeliveryError(
            "no_answer",
            _("{name} did not answer in time; the message may have arrived.", name=name),
            permanent=False,
            unknown=True,
        )
    return temporary("unreachable", _("{name} cannot be reached at the moment.", name=name)).error()


def page(name: str, reply: HttpReply) -> DeliveryError:
    """The answer is not one of the platform's: a proxy, a block page, an outage."""
    say = _("{name} gave an unexpected answer (HTTP {status}).", name=name, status=reply.status)
    return temporary("not_an_answer", say).error(reply.retry_after)


def unknown_code(name: str, code: object, *, permanent: bool = True, retry_after: float | None = None) -> DeliveryError:
    """A refusal with a code that no table has."""
    shown = str(code)[:40]
    say = _("{name} refused the message ({code}).", name=name, code=shown)
    return DeliveryError("refused", say, permanent=permanent, retry_after=retry_after)
