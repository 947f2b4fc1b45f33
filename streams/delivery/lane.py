"""The lane to one target: the threads that call it, in order of priority, as its flow allows.

Owns threads, and what waits for them. Does not own what calls do, nor how fast they may be made (`flow`). Partitions of
one worker share a lane, so that limits hold for the target and not for each of them.
"""

import random
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple, Protocol

from streams.delivery.calls import Sending, Work
from streams.delivery.flow import Circuit, Flow, Pace
from streams.delivery.limits import LEASE_MS

_AHEAD_S: Final = 1.0
"""For how long there should be something to do, at the pace of late: a commit lies between two looks for more."""


class Priority(IntEnum):
    """What goes first: questions that others wait for, then money, then what is no hurry."""

    QUESTION = 0
    BILLING = 1
    REFERENCE = 2


class Standing(NamedTuple):
    """How a lane is: calls under way and waiting, how many may be under way, and whether calls go through."""

    under_way: int
    waiting: int
    limit: int
    circuit: Circuit


class Calls(Protocol):
    """Who makes calls."""

    def room(self, owner: object, /) -> int:
        """Return how many more calls an owner may bring."""

    def begin(self, owner: object, work: Work, priority: Priority, done: Callable[[Work], None], /) -> None:
        """Have a work run, and `done` called with it, on any thread. It may come back without having been run."""

    def leave(self, owner: object, /) -> None:
        """Forget an owner, which brings nothing more: what it has waiting comes back as it is."""


class _Waiting(NamedTuple):
    priority: Priority
    sequence: int
    owner: int
    work: Work
    done: Callable[[Work], None]


class Lane:
    """Calls one target from threads of its own; `partitions` is how many there are of it in all workers."""

    def __init__(
        self,
        system: str,
        pace: Pace,
        partitions: int = 1,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.system = system
        self._flow = Flow(pace, chance)
        self._clock = clock
        self._partitions = partitions
        self._threads_max = pace.calls_at_once
        self._threads: list[threading.Thread] = []
        self._owners: set[int] = set()
        self._share = 0
        self._waits: list[_Waiting] = []
        self._calls_waiting: dict[int, int] = {}
        self._under_way = 0
        self._sequence = 0
        self._changed = threading.Condition()

    def room(self, owner: object) -> int:
        """Return how many more calls an owner may bring: none while the target is left alone, one to try it."""
        with self._changed:
            self._owners.add(id(owner))
            self._divide()
            now = self._now()
            if self._flow.rest_ms(now):
                return 0
            if self._flow.circuit(now) is Circuit.HALF_OPEN:
                return 0 if self._waits or self._under_way else 1
            ahead = max(2 * self._flow.limit, int(self._flow.per_second * _AHEAD_S))
            return max(0, -(-ahead // len(self._owners)) - self._calls_waiting.get(id(owner), 0))

    def begin(self, owner: object, work: Work, priority: Priority, done: Callable[[Work], None]) -> None:
        """Have a work run, and `done` called with it on a thread of the lane.

        A sending that has not begun comes back as it is when the target turns out not to be there.
        """
        with self._changed:
            self._sequence += 1
            self._wait(_Waiting(priority, self._sequence, id(owner), work, done))
            if len(self._threads) < self._threads_max:
                name = f"{self.system}-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def leave(self, owner: object) -> None:
        """Forget an owner: the others have its part of what the target may be asked."""
        with self._changed:
            self._owners.discard(id(owner))
            self._divide()
            back = self._take_out(lambda waiting: waiting.owner == id(owner))
            self._calls_waiting.pop(id(owner), None)
        for waiting in back:
            waiting.done(waiting.work)

    def standing(self) -> Standing:
        """Return how it is now."""
        with self._changed:
            circuit = self._flow.circuit(self._now())
            return Standing(self._under_way, len(self._waits), self._flow.limit, circuit)

    def _divide(self) -> None:
        """Take the part of what the target may be asked that belongs to the partitions here."""
        if len(self._owners) != self._share:
            self._share = len(self._owners)
            self._flow.share(self._share / max(self._partitions, self._share))

    def _now(self) -> float:
        return self._clock() * 1000.0

    def _wait(self, waiting: _Waiting) -> None:
        heappush(self._waits, waiting)
        self._calls_waiting[waiting.owner] = self._calls_waiting.get(waiting.owner, 0) + waiting.work.calls

    def _serve(self) -> None:
        while True:
            self._serve_next()  # a call of its own: nothing of it is kept while there is nothing to do

    def _serve_next(self) -> None:
        waiting, began = self._next()
        ended = waiting.work.run()
        with self._changed:
            now = self._now()
            self._under_way -= 1
            if ended.made:
                self._flow.end(began, now, ended.trouble, ended.retry_after_ms)
            else:
                self._flow.cancel()
            if ended.more:
                self._wait(waiting)
            back = self._handed_back(now)
            self._changed.notify(2)
        if not ended.more:
            waiting.done(waiting.work)
        for other in back:
            other.done(other.work)

    def _next(self) -> tuple[_Waiting, float]:
        with self._changed:
            while True:
                now = self._now()
                wait_ms = self._flow.wait_ms(now) if self._waits else None
                if wait_ms == 0:
                    waiting = heappop(self._waits)
                    self._calls_waiting[waiting.owner] -= waiting.work.calls
                    self._flow.begin(now)
                    self._under_way += 1
                    return waiting, now
                self._changed.wait(None if wait_ms is None else wait_ms / 1000.0)

    def _handed_back(self, now: float) -> list[_Waiting]:
        """Take out what has not begun once the target is left alone, or wants to be for longer than a call may wait."""
        if self._flow.circuit(now) is not Circuit.OPEN and self._flow.rest_ms(now) < LEASE_MS:
            return []
        return self._take_out(lambda waiting: isinstance(waiting.work, Sending) and not waiting.work.begun)

    def _take_out(self, which: Callable[[_Waiting], bool]) -> list[_Waiting]:
        out, left = list[_Waiting](), list[_Waiting]()
        for waiting in self._waits:
            (out if which(waiting) else left).append(waiting)
        for waiting in out:
            self._calls_waiting[waiting.owner] -= waiting.work.calls
        self._waits = left
        heapify(self._waits)
        return out
