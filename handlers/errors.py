"""What can go wrong, as one small tree; `say` is the sentence the person concerned may read.

    OnCallError
      CommandError        unknown command, bad argument, not allowed    -> a reply
        FormError         what is wrong in a form, field by field       -> shown at the fields
      VerificationError   code wrong, expired, too many tries           -> a reply
      PayloadError        an alert source sent what it does not document -> 400, naming `path`
      DeliveryError       a send that did not work                      -> retry or dead letter

Anything else is a bug and may crash the request loudly. No secret, token or full webhook URL may be put into `say`.
"""

from __future__ import annotations

from collections.abc import Mapping

from handlers.texts import Say


class OnCallError(Exception):
    """Something did not work."""

    def __init__(self, say: Say | None = None) -> None:
        self.say: Say = say if say is not None else (self.__doc__ or "").strip()
        super().__init__(str(self.say))


class CommandError(OnCallError):
    """This command could not be carried out."""


class FormError(CommandError):
    """These values cannot be taken. `errors`: name of the field -> what is wrong with it."""

    def __init__(self, errors: Mapping[str, Say]) -> None:
        self.errors = dict(errors)
        super().__init__(next(iter(self.errors.values()), None))


class VerificationError(OnCallError):
    """This code was not accepted."""


class PayloadError(OnCallError):
    """The body is not of the documented form. `path` is where, in JSONPath style (`$.alerts[0].title`)."""

    def __init__(self, path: str, say: Say) -> None:
        self.path = path
        super().__init__(say)


class DeliveryError(OnCallError):
    """A send that did not work.

    permanent   trying again will not help (a person has to act); False: it may
    reason      a short stable word for logs and metrics ("rate_limited", "keyword", "gone", "unreachable" ...)
    say         what a person reads: what happened and what to do
    retry_after seconds the platform asks us to stay away from this one robot or address, None when it does not say
    unknown     the request went out and no answer came: it may have arrived
    disables    the contact method itself is dead (robot removed, number does not exist), not only this message
    """

    def __init__(
        self,
        reason: str,
        say: Say,
        *,
        permanent: bool,
        retry_after: float | None = None,
        unknown: bool = False,
        disables: bool = False,
    ) -> None:
        self.reason = reason
        self.permanent = permanent
        self.retry_after = retry_after
        self.unknown = unknown
        self.disables = disables
        super().__init__(say)
