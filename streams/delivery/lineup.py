"""The line-up: what is not sent yet of one target, by order key, and which keys may go now.

Owns order and turns: within a key postings go in the order of their intents, and keys take turns, so that one with
years of work does not hold up the others. Does not own what a posting's outcome means. Times are milliseconds.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic

from streams.sinks.contract import P, Receipt


@dataclass(slots=True, eq=False)
class Open(Generic[P]):
    """A posting without a final answer. `sequence` is its place among the open ones.

    `first_sent_at` is when it was first sent for certain, None if it never was.
    """

    sequence: int
    posting: P
    intended_at: int
    receipt: Receipt
    first_sent_at: int | None = None
    queued: bool = False


@dataclass(slots=True, eq=False)
class Line(Generic[P]):
    """The postings of one order key: `queue` is not sent yet, in order; `holds` are ids that the rest waits for.

    `failures` counts those in a row, `not_before` is when the next try may be.
    """

    key: str
    queue: deque[Open[P]] = field(default_factory=deque)
    holds: set[str] = field(default_factory=set)
    failures: int = 0
    not_before: int = 0
    listed: bool = False
    delayed: bool = False

    def put(self, entry: Open[P]) -> None:
        """Queue an entry in order of intent: at the end, or, if it was not sent after all, where it was."""
        entry.queued = True
        if not self.queue or self.queue[-1].sequence < entry.sequence:
            self.queue.append(entry)
            return
        place = next(at for at, other in enumerate(self.queue) if other.sequence > entry.sequence)
        self.queue.insert(place, entry)

    def unqueue(self, entry: Open[P]) -> None:
        """Take an entry out of the queue, if it is there."""
        if not entry.queued:
            return
        entry.queued = False
        if self.queue[0] is entry:
            self.queue.popleft()
        else:
            self.queue.remove(entry)


class Lineup(Generic[P]):
    """All lines of a target, and whose turn it is."""

    def __init__(self) -> None:
        self._lines: dict[str, Line[P]] = {}
        self._turns: deque[Line[P]] = deque()
        self._delayed: list[tuple[int, str]] = []

    def line(self, key: str) -> Line[P]:
        """Return the line of a key."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key)
        return line

    def release(self, line: Line[P], now: int) -> None:
        """Give a line its turn once it may go; one that is empty and waits for nothing is forgotten."""
        if line.listed or line.holds:
            return
        if not line.queue:
            if not line.failures and not line.delayed:
                self._lines.pop(line.key, None)
        elif line.not_before > now:
            self._delay(line)
        else:
            line.listed = True
            self._turns.append(line)

    def _delay(self, line: Line[P]) -> None:
        if not line.delayed:
            line.delayed = True
            heappush(self._delayed, (line.not_before, line.key))

    def turns(self, now: int) -> Iterator[Line[P]]:
        """Yield each line whose turn it is, once; whoever takes it says `release` when it may go again."""
        while self._delayed and self._delayed[0][0] <= now:
            line = self._lines.get(heappop(self._delayed)[1])
            if line is not None:
                line.delayed = False
                self.release(line, now)
        for _ in range(len(self._turns)):
            if not self._turns:
                return
            line = self._turns.popleft()
            line.listed = False
            if line.not_before <= now and line.queue and not line.holds:
                yield line
            else:
                self.release(line, now)

    def give_back(self, line: Line[P]) -> None:
        """Let a line that was not taken have its turn first."""
        if not line.listed:
            line.listed = True
            self._turns.appendleft(line)

    def next_at(self, now: int) -> tuple[int | None, int | None]:
        """Return when one may go that has its turn, now, and when the first of those that wait for a time; or None."""
        while self._turns and not self._turns[0].queue:  # it had its turn, and then all of it was needless
            line = self._turns.popleft()
            line.listed = False
            self.release(line, now)
        return now if self._turns else None, self._delayed[0][0] if self._delayed else None
