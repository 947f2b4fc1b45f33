"""Progress of long work on standard error: records done, rate, time left."""

import sys
import time
from typing import TextIO


class Progress:
    """Counts records and bytes and says so every few seconds; a terminal line is rewritten, a log gets new lines."""

    def __init__(
        self, what: str, quiet: bool = False, every_s: float = 2.0, out: TextIO | None = None, unit: str = "records"
    ) -> None:
        self.records = 0
        self._what = what
        self._unit = unit
        self._note = ""
        self._quiet = quiet or (out is None and sys.stderr is None)
        self._every_s = every_s
        self._out = out or sys.stderr
        self._bytes = 0
        self._expected = 0
        self._began = time.monotonic()
        self._told = self._began

    def expect(self, size: int) -> None:
        """Add to the bytes expected in all."""
        self._expected += size

    def done(self, size: int) -> None:
        """Count one record of so many bytes."""
        self.records += 1
        self._bytes += size
        if not self.records & 0x3FF and not self._quiet:
            now = time.monotonic()
            if now - self._told >= self._every_s:
                self._told = now
                self._tell(now)

    def passed(self, records: int, size: int, note: str = "") -> None:
        """Count many records of so many bytes together; `note` is said behind the rest from now on."""
        self.records += records
        self._bytes += size
        self._note = note and f", {note}"
        now = time.monotonic()
        if not self._quiet and now - self._told >= self._every_s:
            self._told = now
            self._tell(now)

    def finish(self) -> None:
        """Say the whole."""
        if not self._quiet:
            took = time.monotonic() - self._began
            rate = self.records / took if took else 0
            said = f"{self._what}: {self.records:,} {self._unit} in {took:.1f} s, {rate:,.0f} a second{self._note}"
            self._write(said, last=True)

    def _tell(self, now: float) -> None:
        took = now - self._began
        rate = self.records / took
        left = ""
        if self._expected > self._bytes > 0:
            left = f", {(self._expected - self._bytes) / self._bytes * took:,.0f} s left"
        self._write(f"{self._what}: {self.records:,} {self._unit}, {rate:,.0f} a second{left}{self._note}", last=False)

    def _write(self, text: str, last: bool) -> None:
        if self._out.isatty():
            self._out.write(f"\r{text}\x1b[K" + ("\n" if last else ""))
        else:
            self._out.write(text + "\n")
        self._out.flush()
