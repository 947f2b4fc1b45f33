"""Midstream: what steps have derived for each other and not taken in yet, and whether sources wait for it.

Records of sources come as fast as brokers give them; each leads to several that travel on to other steps. Where a
backlog of sources is worked off, these would pile up behind it: answers to questions late by minutes, state read back
that has long left memory. So with much under way, sources are not fetched until most of it is taken in.
"""

from collections.abc import Callable, Iterable

from faust.types import TP

UNDER_WAY_MAX = 20_000
"""Derived records not taken in, over all partitions of a worker: beyond it, sources wait."""

UNDER_WAY_FEW = UNDER_WAY_MAX // 4
"""So few let them come again: more than are taken in while the first of them are fetched."""


class Midstream:
    """Tells how much is under way on the derived topics of an assignment. `derived` names them."""

    def __init__(self, derived: Iterable[str]) -> None:
        self.sources_wait = False
        self._derived = frozenset(derived)
        self._assigned: frozenset[TP] = frozenset()
        self._reached: dict[TP, int] = {}

    def begin(self, assigned: Iterable[TP]) -> None:
        """Begin anew, with what is assigned."""
        self.sources_wait = False
        self._assigned = frozenset(tp for tp in assigned if tp.topic in self._derived)
        self._reached = {}

    def sources(self, tps: Iterable[TP]) -> frozenset[TP]:
        """Return those of some partitions that are of sources; none where nothing is derived from them."""
        return frozenset(tp for tp in tps if tp.topic not in self._derived) if self._assigned else frozenset()

    def fetched(self, tp: TP, end: int) -> None:
        """Note up to where a partition has been fetched."""
        if tp in self._assigned:
            self._reached[tp] = end

    def look(self, end_of: Callable[[TP], int], held_of: Callable[[TP], int]) -> bool:
        """Reckon anew, from the ends of partitions and what is held of them; return whether `sources_wait` changed."""
        under_way = sum(max(0, end_of(tp) - reached) + held_of(tp) for tp, reached in self._reached.items())
        before = self.sources_wait
        self.sources_wait = under_way > (UNDER_WAY_FEW if before else UNDER_WAY_MAX)
        return self.sources_wait != before
