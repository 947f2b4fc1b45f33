"""How workers die: a plan over all points, drawn from a seed."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from streams.engine.probe import CHECKPOINT_POINTS, OTHER_POINTS

SIGNAL, ZOMBIE = "signal", "zombie"
"""Killed from outside at some moment; stopped until the group has given it up, then woken."""

POINTS = (*CHECKPOINT_POINTS, "batch", *OTHER_POINTS)

AT_ONCE, LATE, EMPTY = "at once", "after its partitions have moved", "with its databases gone"


class Fate(NamedTuple):
    """Where a worker dies, the how-manieth time it passes there, and how it comes back."""

    point: str
    times: int
    comes_back: str

    def __str__(self) -> str:
        """Return the fate in words."""
        times = f" (time {self.times})" if self.times > 1 else ""
        return f"{self.point}{times}, back {self.comes_back}"


def fates(seed: int) -> Iterator[Fate]:
    """Yield fates without end: every point in turn, in an order and with moments of the seed's."""
    random = Random(seed)
    while True:
        order = [*POINTS, SIGNAL, ZOMBIE]
        random.shuffle(order)
        for point in order:
            often = point in CHECKPOINT_POINTS or point == "batch"
            yield Fate(point, random.randint(1, 8) if often else 1, random.choice((AT_ONCE, AT_ONCE, LATE, EMPTY)))
