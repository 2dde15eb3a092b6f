"""How long a lost connection to a platform is left alone before it is opened again."""

from __future__ import annotations

import random

LONGEST_S = 60.0


def backoff_s(failures: int) -> float:
    """Seconds to wait after so many failures in a row: up to 1, 2, 4 ... 60, at least half of it, so that many replicas
    do not come back at once."""
    longest: float = min(LONGEST_S, 2.0 ** min(failures - 1, 10))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, guards nothing
