"""Seeded chance: each part of the firm draws from a stream of its own, so that changing one leaves others alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Thing = TypeVar("Thing")


class Chance(Random):
    """A stream of chance named `part` in the firm of `seed`. Draws are integers or picks: no floats reach money."""

    def __init__(self, seed: int, part: str) -> None:
        super().__init__(f"{seed}/{part}")

    def below(self, limit: int) -> int:
        """0 to `limit` - 1, evenly; quicker than randrange, which is what millions of draws need."""
        return int(self.random() * limit)

    def between(self, first: int, last: int) -> int:
        """`first` to `last`, both included."""
        return first + int(self.random() * (last - first + 1))

    def percent(self, share: int) -> bool:
        """True in `share` of 100 cases."""
        return self.random() * 100 < share

    def of(self, things: Sequence[Thing]) -> Thing:
        """One of them, evenly."""
        return things[int(self.random() * len(things))]

    def weighted(self, things: Sequence[tuple[Thing, int]]) -> Thing:
        """One of them, by weight."""
        mark = self.below(sum(weight for _, weight in things))
        for thing, weight in things:
            mark -= weight
            if mark < 0:
                return thing
        raise ValueError("weights must be positive")
