"""Room: how many records fetched wait to be taken in, and for which partitions to stop fetching."""

import threading

from faust.types import TP

HELD_RECORDS_MAX = 20_000
"""Records handed over and not yet taken in, of all partitions that are fetched: beyond it, some are paused."""


class Room:
    """Counts records held by partition. May be used by several threads.

    What is held of a paused partition takes no room: whoever is slow to take it in must not hold up the others.
    """

    def __init__(self, records_max: int = HELD_RECORDS_MAX) -> None:
        self._records_max = records_max
        self._held: dict[TP, int] = {}
        self._paused: set[TP] = set()
        self._total = 0  # of those that are not paused
        self._generation = 0
        self._changed = threading.Condition()
        self._woken = False

    def take(self, tp: TP, records: int) -> None:
        """Count records as held."""
        with self._changed:
            self._held[tp] = self._held.get(tp, 0) + records
            if tp not in self._paused:
                self._total += records

    def give_back(self, tp: TP, records: int, generation: int) -> None:
        """Count records as taken in, unless they are of a former assignment: those are forgotten already."""
        with self._changed:
            if generation == self._generation and tp in self._held:
                self._held[tp] -= records
                if tp not in self._paused:
                    self._total -= records
                self._changed.notify_all()

    def held(self) -> int:
        """Return how many records are held, also of paused partitions."""
        with self._changed:
            return sum(self._held.values())

    def held_of(self, tp: TP) -> int:
        """Return how many records are held of a partition."""
        with self._changed:
            return self._held.get(tp, 0)

    def paused(self) -> frozenset[TP]:
        """Return the partitions that are paused."""
        with self._changed:
            return frozenset(self._paused)

    def left(self) -> bool:
        """Return whether there is room."""
        return self._total < self._records_max

    def wait(self, seconds_max: float) -> bool:
        """Wait for room; return whether there is. `wake` ends the wait."""
        with self._changed:
            if not self.left():
                self._changed.wait_for(lambda: self._woken or self.left(), seconds_max)
            self._woken = False
            return self.left()

    def wake(self) -> None:
        """End a wait."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def pause_fullest(self) -> frozenset[TP]:
        """Pause the partitions that hold at least a fair share of all that is held, and return them."""
        with self._changed:
            holding = [tp for tp, records in self._held.items() if records > 0 and tp not in self._paused]
            fullest = frozenset(tp for tp in holding if self._held[tp] * len(holding) >= self._total)
            self._paused |= fullest
            self._total -= sum(self._held[tp] for tp in fullest)
            return fullest

    def resume_drained(self) -> frozenset[TP]:
        """Count those of the paused partitions again that hold little enough to be fetched, and return them."""
        with self._changed:
            little = self._records_max // (4 * max(len(self._held), 1))
            drained = frozenset(tp for tp in self._paused if self._held[tp] <= little)
            self._paused -= drained
            self._total += sum(self._held[tp] for tp in drained)
            return drained

    def begin(self, generation: int) -> None:
        """Forget all that is held, as it will not be taken in: what comes is of another assignment."""
        with self._changed:
            self._generation = generation
            self._held.clear()
            self._paused.clear()
            self._total = 0
            self._changed.notify_all()
