"""How far the generator is, on standard error: records done, rate, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from firm.wire import Record

_EVERY_S = 3.0
_EVERY_ON_TERMINAL_S = 0.2
_LOOK_EVERY_RECORDS = 1024


class Progress:
    """Counts records and, every few seconds, says how many and how long it will take; on a terminal in one line."""

    def __init__(
        self, quiet: bool = False, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._quiet = quiet
        self._out = out or sys.stderr
        self._clock = clock
        self._terminal = self._out.isatty()
        self._began = self._told = clock()
        self.records = 0

    def watched(self, records: Iterable[Record], share_done: Callable[[Record], float]) -> Iterator[Record]:
        """The records as they pass. `share_done` says how much of the whole lies behind one, from 0 to 1."""
        for record in records:
            yield record
            self.records += 1
            if self.records % _LOOK_EVERY_RECORDS == 0 and not self._quiet:
                self._look(share_done(record))

    def end(self, where: str) -> None:
        """The last word: all records, and where they went."""
        took = max(self._clock() - self._began, 0.001)
        self._write(f"{self.records:,} records {where} in {took:.1f} s, {self.records / took:,.0f} a second", last=True)

    def _look(self, share: float) -> None:
        now = self._clock()
        if now - self._told < (_EVERY_ON_TERMINAL_S if self._terminal else _EVERY_S):
            return
        self._told = now
        took = now - self._began
        left = f", {took * (1 - share) / share:.0f} s left" if share > 0 else ""
        self._write(f"{self.records:,} records, {self.records / took:,.0f} a second{left}", last=False)

    def _write(self, text: str, last: bool) -> None:
        if self._quiet:
            return
        start = "\r\x1b[K" if self._terminal else ""
        end = "" if self._terminal and not last else "\n"
        self._out.write(f"{start}{text}{end}")
        self._out.flush()
