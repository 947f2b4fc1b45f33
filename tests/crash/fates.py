"""How workers die: a plan over all points, drawn from a seed."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from streams.engine.probe import CHECKPOINT_POINTS, OTHER_POINTS

SIGNAL, ZOMBIE = "signal", "zombie"
"""Killed from outside at some moment; stopped until the group has given it up, then woken."""

REBALANCE_POINTS = ("revoking", "revoked")
"""Passed only when another member of the group comes or goes."""

POINTS = (*CHECKPOINT_POINTS, "batch", *OTHER_POINTS)

AT_ONCE, LATE, EMPTY = "at once", "after its partitions have moved", "with its databases gone"


class Fate(NamedTuple):
    """Where a worker dies, the how-manieth time it passes there, and how it comes back.

    For a signal from outside, `times` is the moment, in quarters of a second after it has its partitions.
    """

    point: str
    times: int
    comes_back: str

    @property
    def own_hand(self) -> bool:
        """Return whether the worker kills itself at its point."""
        return self.point not in (SIGNAL, ZOMBIE)

    def __str__(self) -> str:
        """Return the fate in words."""
        times = f" (time {self.times})" if self.times > 1 and self.own_hand else ""
        return f"{self.point}{times}, back {self.comes_back}"


def plan(seed: int, kills: int, workers: int) -> list[list[Fate]]:
    """Return the fates of each worker in their order: every point in turn, dealt out one by one."""
    drawn = _fates(seed)
    dealt: list[list[Fate]] = [[] for _ in range(workers)]
    for number in range(kills):
        dealt[number % workers].append(next(drawn))
    return dealt


def _fates(seed: int) -> Iterator[Fate]:
    random = Random(seed)
    while True:
        order = [*POINTS, SIGNAL, ZOMBIE]
        random.shuffle(order)
        for point in order:
            often = point in (*CHECKPOINT_POINTS, "batch", SIGNAL)
            yield Fate(point, random.randint(1, 8) if often else 1, random.choice((AT_ONCE, AT_ONCE, LATE, EMPTY)))
