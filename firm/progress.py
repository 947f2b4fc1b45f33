"""How far the generator is, on standard error: records done, rate, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_EVERY_S = 3.0
_LOOK_EVERY = 4096


class Progress:
    """Counts records and, every few seconds, says how many and how long it will take; on a terminal in one line."""

    def __init__(self, out: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._terminal = out.isatty()
        self._started = self._said = clock()
        self.records = 0

    def count(self, share_done: Callable[[], float]) -> None:
        """One record more. `share_done` says how much of the whole is done, from 0 to 1."""
        self.records += 1
        if self.records % _LOOK_EVERY:
            return
        now = self._clock()
        if now - self._said >= (0.2 if self._terminal else _EVERY_S):
            self._said = now
            self._say(now, share_done())

    def end(self, sent: str) -> None:
        """The last word: all records, and where they went."""
        took = max(self._clock() - self._started, 0.001)
        start = "\r\x1b[K" if self._terminal else ""
        self._out.write(f"{start}{self.records:,} records {sent} in {took:.1f} s ({self.records / took:,.0f}/s)\n")
        self._out.flush()

    def _say(self, now: float, share: float) -> None:
        took = now - self._started
        left = f", {took * (1 - share) / share:.0f} s left" if share > 0 else ""
        start, end = ("\r\x1b[K", "") if self._terminal else ("", "\n")
        self._out.write(f"{start}{self.records:,} records, {self.records / took:,.0f}/s{left}{end}")
        self._out.flush()
