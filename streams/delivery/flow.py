"""Flow control of one target: how many calls at once, how many a second, and when it is left alone.

Owns the numbers: the limit falls when the target says that it is asked too much and rises again call by call; after
failures in a row it is left alone, longer and longer, and then tried by one call. Does not own threads nor the clock:
times are given, in milliseconds of a clock that never goes back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streams.sinks.contract import Trouble

_CUT: Final = 0.85
"""What is left of the limit after a call that the target was too busy for."""

_DOUBLINGS_MAX: Final = 30  # outlast any limit, and keep the number small in a long outage
_RATE_WINDOW_MS: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What a target is asked at most. `calls_per_second` 0: any number.

    After `failures_max` failures in a row it is left alone for `rest_ms_first`, doubling up to `rest_ms_max`.
    """

    calls_at_once: int = 4
    calls_per_second: float = 0.0
    failures_max: int = 5
    rest_ms_first: int = 1_000
    rest_ms_max: int = 300_000

    def __post_init__(self) -> None:
        """Refuse what could never call or never rest. Raises ValueError."""
        if self.calls_at_once < 1 or self.calls_per_second < 0 or self.failures_max < 1:
            raise ValueError("pace: calls_at_once and failures_max must be at least 1, calls_per_second at least 0")
        if not 0 < self.rest_ms_first <= self.rest_ms_max:
            raise ValueError("pace: rest_ms_first must be above 0 and at most rest_ms_max")


class Circuit(StrEnum):
    """Whether calls go through: `closed` they do, `open` none, `half_open` one, to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Flow:
    """Says when the next call may begin, and learns from how calls end. Used by one thread at a time.

    `chance` gives a number from 0 to 1: many clients that a target has lost at one moment do not all come back at one.
    """

    def __init__(self, pace: Pace, chance: Callable[[], float]) -> None:
        self._pace = pace
        self._chance = chance
        self._ceiling = float(pace.calls_at_once)
        self._limit = self._ceiling
        self._under_way = 0
        self._next_at = 0.0
        self._not_before = 0.0
        self._cut_at = -1.0
        self._failures = 0
        self._rests = 0
        self._busy = 0
        self._window_began = 0.0
        self._window_ended = 0
        self._rate = 0.0
        self._part = 1.0

    @property
    def limit(self) -> int:
        """How many calls may be under way now."""
        return max(1, int(self._limit))

    @property
    def per_second(self) -> float:
        """How many calls ended in the last second, or of late."""
        return max(self._rate, self._window_ended * 1000.0 / _RATE_WINDOW_MS)

    def circuit(self, now: float) -> Circuit:
        """Return whether calls go through."""
        if self._failures < self._pace.failures_max:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self._not_before else Circuit.HALF_OPEN

    def rest_ms(self, now: float) -> float:
        """Return for how long nothing may be asked at all: it is left alone, or has said when to come again."""
        return max(0.0, self._not_before - now)

    def share(self, part: float) -> None:
        """Take only a part of what the target may be asked, from 0 to 1: other workers have the rest."""
        self._ceiling = max(1.0, float(int(self._pace.calls_at_once * part)))
        self._limit = min(self._limit, self._ceiling)
        self._part = part

    def wait_ms(self, now: float) -> float | None:
        """Return how long the next call must wait, 0 for not at all; None: until another one ends."""
        if rest_ms := self.rest_ms(now):
            return rest_ms
        allowed = 1 if self.circuit(now) is Circuit.HALF_OPEN else self.limit
        if self._under_way >= allowed:
            return None
        return max(0.0, self._next_at - now)

    def begin(self, now: float) -> None:
        """Note that a call begins."""
        self._under_way += 1
        per_second = self._pace.calls_per_second * self._part
        if per_second:
            self._next_at = max(now, self._next_at) + 1000.0 / per_second

    def end(self, began: float, now: float, trouble: Trouble | None, retry_after_ms: int | None = None) -> None:
        """Note how a call ended that began at a time; `trouble` None: well."""
        self._under_way -= 1
        self._count(now)
        if trouble is Trouble.BUSY:
            self._slow_down(began, now)
        elif trouble is Trouble.DOWN:
            self._failed(began, now)
        else:
            self._failures, self._rests, self._busy = 0, 0, 0
            self._limit = min(self._ceiling, self._limit + 1.0 / self._limit)
        if retry_after_ms is not None and trouble is not Trouble.RECORD:
            self._not_before = max(self._not_before, now + retry_after_ms)

    def cancel(self) -> None:
        """Note that a call that had begun was not made after all."""
        self._under_way -= 1

    def _count(self, now: float) -> None:
        span = now - self._window_began
        if span >= _RATE_WINDOW_MS:
            self._rate = self._window_ended * 1000.0 / span
            self._window_began, self._window_ended = now, 0
        self._window_ended += 1

    def _slow_down(self, began: float, now: float) -> None:
        # Of all calls that were under way together, the first to be refused says it for all.
        if began > self._cut_at:
            self._limit = max(1.0, self._limit * _CUT)
            self._cut_at = now
        if self.limit == 1:
            self._busy += 1
            self._not_before = max(self._not_before, now + self._rest_ms(self._busy))

    def _failed(self, began: float, now: float) -> None:
        self._failures += 1
        if self._failures >= self._pace.failures_max and began >= self._not_before:
            self._rests += 1
            self._not_before = now + self._rest_ms(self._rests)

    def _rest_ms(self, times: int) -> float:
        longest = min(self._pace.rest_ms_first << min(times - 1, _DOUBLINGS_MAX), self._pace.rest_ms_max)
        return longest * (1.0 + self._chance()) / 2.0
