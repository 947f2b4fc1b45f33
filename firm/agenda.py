"""What will happen and when: acts are put down for a moment and carried out in order of time, day by day."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

from firm.moments import DAY_MS

Act = Callable[..., None]
_Entry = tuple[int, int, Act, tuple[Any, ...]]


class Agenda:
    """Acts by moment. Acts of one moment are carried out in the order they were put down."""

    def __init__(self) -> None:
        self._days: dict[int, list[_Entry]] = {}
        self._today: list[_Entry] = []
        self._day = -1
        self._now_ms = 0
        self._count = 0

    def put(self, at_ms: int, act: Act, *details: Any) -> None:
        """Call `act(at_ms, *details)` at `at_ms`, or at once if that moment is past."""
        self._count += 1
        at_ms = max(at_ms, self._now_ms)
        entry = (at_ms, self._count, act, details)
        day = at_ms // DAY_MS
        if day <= self._day:
            heappush(self._today, entry)
        elif day in self._days:
            self._days[day].append(entry)
        else:
            self._days[day] = [entry]

    def live(self, day: int) -> None:
        """Carry out everything put down for `day` (and for days before it that were skipped)."""
        for past in sorted(number for number in self._days if number <= day):
            self._today.extend(self._days.pop(past))
        self._day = day
        heapify(self._today)
        today = self._today
        while today:
            at_ms, _, act, details = heappop(today)
            self._now_ms = at_ms
            act(at_ms, *details)
