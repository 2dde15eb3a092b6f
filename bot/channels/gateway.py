"""What SMS and calls have in common: the gateway of Alibaba Cloud before them, and its limits for one number.

https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature
"""

from __future__ import annotations

TEMPORARY = ("Throttling", "ServiceUnavailable", "InternalError")
"""How the codes of refusals begin that may be gone at the next try."""

OPERATORS = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "SignatureNonceUsed",
    "IncompleteSignature",
    "InvalidTimeStamp",
    "InvalidSecurity",
    "InvalidVersion",
    "InvalidAction",
    "Forbidden",
    "NoPermission",
    "Missing",
)
"""How the codes begin that every call meets until the operator sets something right: key, clock, permission, settings."""

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0

_WINDOWS = (("分钟", "minute", MINUTE_S), ("小时", "hour", HOUR_S), ("天", "day", DAY_S))


def window_s(said: str) -> float | None:
    """Seconds of the window whose limit was reached, as the message of isv.BUSINESS_LIMIT_CONTROL names it; else None."""
    for chinese, english, seconds in _WINDOWS:
        if chinese in said or english in said.lower():
            return seconds
    return None
