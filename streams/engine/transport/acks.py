"""Acknowledgements of single events in contiguous order: what may be committed is what has no gap before it."""

from collections import deque
from collections.abc import Mapping

from faust.types import TP


class Acks:
    """Which events of each partition are under way, and up to where all have been acknowledged."""

    def __init__(self) -> None:
        self._under_way: dict[TP, deque[int]] = {}
        self._done: dict[TP, set[int]] = {}
        self._ends: dict[TP, int] = {}
        self._told: dict[TP, int] = {}

    def expect(self, tp: TP, offset: int) -> None:
        """Count an event as under way; offsets of a partition rise."""
        self._under_way.setdefault(tp, deque()).append(offset)

    def pass_over(self, tp: TP, end: int) -> None:
        """Note that nothing is to come before an offset: what takes it is no event."""
        waiting = self._under_way.get(tp)
        if end <= (waiting[-1] + 1 if waiting else self._ends.get(tp, 0)):
            return
        self.expect(tp, end - 1)
        self.done(tp, end - 1)

    def done(self, tp: TP, offset: int) -> None:
        """Count an event as acknowledged; one of a former assignment is ignored."""
        waiting = self._under_way.get(tp)
        if not waiting or offset < waiting[0]:
            return
        done = self._done.setdefault(tp, set())
        done.add(offset)
        while waiting and waiting[0] in done:
            first = waiting.popleft()
            done.remove(first)
            self._ends[tp] = first + 1

    def advanced(self) -> dict[TP, int]:
        """Return the offsets to commit, where they have moved since the last `committed`."""
        return {tp: end for tp, end in self._ends.items() if self._told.get(tp) != end}

    def committed(self, offsets: dict[TP, int]) -> None:
        """Note offsets as committed."""
        for tp, offset in offsets.items():
            if tp in self._ends:
                self._told[tp] = offset

    def under_way(self) -> int:
        """Return how many events have not been acknowledged in order."""
        return sum(map(len, self._under_way.values()))

    def reached(self) -> dict[TP, int]:
        """Return up to where everything is acknowledged, by partition of the assignment."""
        return dict(self._ends)

    def begin(self, starts: Mapping[TP, int]) -> None:
        """Forget everything of the former assignment, and go on from where each partition of this one is read."""
        for part in (self._under_way, self._done, self._ends, self._told):
            part.clear()
        self._ends.update(starts)
        self._told.update(starts)
