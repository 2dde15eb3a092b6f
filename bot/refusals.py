"""What a platform refused, and what failed on the way, as DeliveryError with a sentence that tells what to do.

The tables of codes stand beside each channel; here is their form, and the three failures that are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.http import HttpReply, Unreachable
from handlers.errors import DeliveryError
from handlers.retries import UNKNOWN
from handlers.texts import Say, Text, _

NO_ANSWER = "no_answer"
"""Reason of a try whose answer was lost: it may have arrived."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line of a table of codes; the fields are those of DeliveryError."""

    reason: str
    say: Say
    permanent: bool = True
    disables: bool = False
    retry_after: float | None = None

    def error(self, retry_after: float | None = None, **values: str) -> DeliveryError:
        """The error to raise; `retry_after` is what this very answer asked for, `values` belong into the sentence.

        An answer can lengthen the documented time to stay away and never shorten it.
        """
        say = replace(self.say, values=values) if values and isinstance(self.say, Text) else self.say
        waits = [wait for wait in (retry_after, self.retry_after) if wait is not None]
        return DeliveryError(
            self.reason,
            say,
            permanent=self.permanent,
            disables=self.disables,
            retry_after=max(waits, default=None),
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
            NO_ANSWER,
            _("{name} did not answer in time; the message may have arrived.", name=name),
            permanent=False,
            unknown=True,
        )
    return temporary("unreachable", _("{name} cannot be reached at the moment.", name=name)).error()


def page(name: str, reply: HttpReply, wait_s: float | None = None) -> DeliveryError:
    """The answer is not one of the platform's: a proxy, a block page, an outage. `wait_s`: how long that one lasts."""
    say = _("{name} gave an unexpected answer (HTTP {status}).", name=name, status=reply.status)
    return temporary("not_an_answer", say, wait_s).error(reply.retry_after)


BAN_S = 300.0
"""How long DingTalk bans an address that called too often
(https://open.dingtalk.com/document/development/how-to-process-api-throttling-on-the-dingtalk-server)."""


def banned_s(reply: HttpReply) -> float | None:
    """How long to stay away when the guard in front of DingTalk answered instead of it, as JSON or as a page."""
    return BAN_S if "punish" in reply.text.lower() else None


def unknown_code(
    name: str, code: object, *, permanent: bool = False, retry_after: float | None = None
) -> DeliveryError:
    """A refusal with a code that no table has: tried a few times more, also in a simpler form (see `handlers.retries`).

    permanent  this platform's page says that its other codes are
    """
    shown = str(code)[:40]
    say = _("{name} refused the message ({code}).", name=name, code=shown)
    return DeliveryError(UNKNOWN, say, permanent=permanent, retry_after=retry_after)
