"""How much a worker can do while it is written to: the rate at which it begins to fall behind."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from bench.topics import Place

BEHIND_SECONDS = 1.0
"""A worker does not keep up while what it has still to do takes longer than that."""

PATIENCE_SECONDS = 2.0
"""If it has not kept up for so long, it has fallen behind, and not just been held up."""

WINDOW_SECONDS = 5.0
"""Over how long its rate is reckoned."""


class Progress(Protocol):
    """What a group has committed, and what it has not: as of `bench.topics.Committed`."""

    def offsets(self) -> dict[Place, int]:
        """Return what is committed by partition."""

    def open(self, offsets: Mapping[Place, int]) -> dict[Place, int]:
        """Return what is not."""


class KeepingUp:
    """Watches a group, from the first it commits on. Ask it some times a second."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = 0.0
        """Records committed a second, over the window that was looked at last."""
        self._progress = progress
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._kept_up_at = clock()

    def is_behind(self) -> bool:
        """Look how far the group is; return whether it has fallen behind."""
        offsets, now = self._progress.offsets(), self._clock()
        done = sum(offsets.values())
        if not done:
            self._kept_up_at = now
            return False
        self._seen.append((now, done))
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        self.per_second = (done - before) / (now - since) if now > since else 0.0
        if sum(self._progress.open(offsets).values()) <= self.per_second * BEHIND_SECONDS:
            self._kept_up_at = now
        return now - since >= WINDOW_SECONDS and now - self._kept_up_at >= PATIENCE_SECONDS
