"""Batches: what goes at once of what may go, and when. Without batches, some calls of one order key go, at once.

Owns how many, and that young postings wait for others to go with. Does not own whose turn it is (`lineup`), nor what of
an order key may be sent. Times are milliseconds.
"""

from collections.abc import Callable
from typing import Generic

from streams.delivery.limits import CHAIN_MAX, Limits
from streams.delivery.lineup import Line, Lineup, Open
from streams.sinks.contract import P

Take = Callable[[Line[P], int, int], list[Open[P]]]
"""(line, how many at most, now): takes what of a line may be sent now, in order; the line is then held, or waits.

What is frozen is not taken.
"""

IsFrozen = Callable[[Line[P], int], bool]
"""(line, now): whether the first of a line must not be sent yet; the line then waits until it may."""


class Batches(Generic[P]):
    """Chooses what goes next. `postings_per_call` is what one call of the target carries at most."""

    def __init__(
        self, lineup: Lineup[P], limits: Limits, postings_per_call: int, is_frozen: IsFrozen[P], take: Take[P]
    ) -> None:
        self._lineup = lineup
        self._is_frozen = is_frozen
        self._take = take
        self._limits = limits
        self._full = min(postings_per_call, limits.postings_max)
        self._old_at: int | None = None

    def choose(self, now: int, room: int, flush: bool) -> list[Open[P]]:
        """Return what goes next, in order of intent; nothing if none is due.

        A batch is due when it is full or one in it is old, or with `flush`, and then all go that there is room for.
        """
        chosen = self._chain(now, min(CHAIN_MAX, room)) if self._full == 1 else self._batch(now, flush)
        return sorted(chosen, key=lambda entry: entry.sequence)

    def due(self, now: int) -> int | None:
        """Return when something may go if nothing ends before, None if nothing waits for a time."""
        turn_at, late_at = self._lineup.next_at(now)
        if turn_at is not None and self._old_at is not None:
            turn_at = max(now, self._old_at)
        times = [at for at in (turn_at, late_at) if at is not None]
        return min(times) if times else None

    def look_again(self) -> None:
        """Have what waits for others to go with looked at again: there was no room for it."""
        self._old_at = None

    def _chain(self, now: int, wanted: int) -> list[Open[P]]:
        for line in self._lineup.turns(now):
            if taken := self._take(line, wanted, now):
                return taken
        return []

    def _batch(self, now: int, flush: bool) -> list[Open[P]]:
        chosen: list[Open[P]] = []
        young: list[Line[P]] = []
        waiting = 0
        for line in self._lineup.turns(now):
            if flush or chosen or self._old_when(line) <= now:
                chosen += self._take(line, self._full - len(chosen), now)
            elif not self._is_frozen(line, now):
                young.append(line)
                waiting += len(line.queue)
            if len(chosen) >= self._full:
                break
        if chosen or waiting >= self._full:
            while young and len(chosen) < self._full:
                chosen += self._take(young.pop(0), self._full - len(chosen), now)
        for line in reversed(young):
            self._lineup.give_back(line)
        self._old_at = min((self._old_when(line) for line in young), default=None)
        return chosen

    def _old_when(self, line: Line[P]) -> int:
        return line.queue[0].intended_at + self._limits.age_ms_max
