"""Limits of a delivery: when a batch goes, and how long what has failed is left alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streams.sinks.contract import P

CHAIN_MAX: Final = 10
"""How many calls are made for one order key before others have their turn."""

SKEW_MS_MAX: Final = 60_000
"""How far the clocks of two workers are apart, at most."""

LEASE_MS: Final = 2_000
"""For how long after it was promised a call may begin. Whoever takes over asks what became of it only afterwards."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full (postings), when it is old (ms), and how long to wait after failures (ms, doubling)."""

    postings_max: int = 500
    age_ms_max: int = 60_000
    backoff_ms_first: int = 1_000
    backoff_ms_max: int = 300_000

    def __post_init__(self) -> None:
        """Refuse limits that could never send or never wait. Raises ValueError."""
        if self.postings_max < 1 or self.age_ms_max < 0:
            raise ValueError("limits: postings_max must be at least 1 and age_ms_max at least 0")
        if not 0 < self.backoff_ms_first <= self.backoff_ms_max:
            raise ValueError("limits: backoff_ms_first must be above 0 and at most backoff_ms_max")

    def wait_ms(self, failures: int) -> int:
        """Return how long to wait after so many failures in a row."""
        # 30 doublings outlast any maximum; the cap keeps the power small in a long outage.
        return min(self.backoff_ms_first << min(failures - 1, 30), self.backoff_ms_max)


Frozen = Callable[[P, int], int | None]
"""Until when (ms) a posting must not be sent, or None."""


def never_frozen(posting: P, now: int) -> int | None:  # noqa: ARG001
    """Hold nothing."""
    return None
