"""Calls of doers as a lane makes them: each says exactly what became of it. And how doers are reached.

Owns how an error of a doer is read. Does not own when a call may begin, nor what follows from how it ended.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from outside import errors
from streams.config import Settings
from streams.delivery.calls import Clock, Ended
from streams.delivery.flow import Pace
from streams.delivery.lane import Calls, Lane
from streams.delivery.limits import LEASE_MS
from streams.doers.contract import Doer, Made, NotYet, Undone
from streams.doers.opening import Openings
from streams.doers.plan import Plan
from streams.domain.undertaking import Order
from streams.engine.clock import system_clock
from streams.sinks.contract import Fatal, Retriable, Trouble

log = logging.getLogger("throughline.doers")

_BUSY = 429


class Reached(NamedTuple):
    """A doer, and who makes its calls."""

    doer: Doer
    calls: Calls


class Doers(NamedTuple):
    """All that activation needs of the world.

    `open` opens a doer by its name and raises errors of `outside`. `lease_s` is for how long after it was promised a
    call may begin, at most `LEASE_MS`. `chance` gives a number from 0 to 1, `clock` milliseconds since 1970.
    """

    plan: Plan
    open: Callable[[str], Reached]
    lease_s: float
    chance: Callable[[], float]
    clock: Clock


@dataclass
class Doing:
    """One call: an order is done, or undone. Exactly one of the results is set once it has run.

    None of them is while it has not, as when it might not begin any more.
    """

    doer: Doer
    order: Order
    undo: bool
    in_doubt: bool
    may: Callable[[], bool] = lambda: True
    made: Made | None = field(default=None, init=False)
    undone: Undone | None = field(default=None, init=False)
    refused: str | None = field(default=None, init=False)
    failure: Retriable | None = field(default=None, init=False)
    fatal: Fatal | None = field(default=None, init=False)

    @property
    def calls(self) -> int:
        """How many calls it takes."""
        return 1

    def run(self) -> Ended:
        """Make the call, or none if it may not be made any more."""
        if not self.may():
            return Ended(made=False)
        try:
            if self.undo:
                self.undone = self.doer.undo(self.order)
            else:
                self.made = self.doer.make(self.order, self.in_doubt)
        except errors.Skippable as refused:
            self.refused = str(refused)
        except errors.Retriable as failure:
            trouble = _trouble_of(failure)
            self.failure = Retriable(
                str(failure),
                nothing_sent=failure.nothing_sent,
                retry_after_ms=failure.retry_after_ms,
                trouble=trouble,
            )
            return Ended(trouble, failure.retry_after_ms)
        except errors.Fatal as fatal:
            self.fatal = Fatal(str(fatal))
            return Ended(Trouble.RECORD)
        except Exception as defect:  # whatever it is, the order is told of, and the thread has others to do
            log.error("%s: a defect of its doer", self.doer.name, exc_info=defect)
            self.fatal = Fatal(f"{self.doer.name}: a defect: {defect!r}; the log of the worker has more")
            return Ended(Trouble.RECORD)
        return Ended()


def _trouble_of(failure: errors.Retriable) -> Trouble:
    if isinstance(failure, NotYet):
        return Trouble.RECORD
    return Trouble.BUSY if failure.status == _BUSY else Trouble.DOWN


class DoerLanes:
    """Opens doers: all partitions of a worker share them, and a lane for each."""

    def __init__(self, plan: Plan, partitions: int) -> None:
        self._plan = plan
        self._partitions = partitions
        self._openings = Openings(plan, system_clock, time.sleep)
        self._reached: dict[str, Reached] = {}
        self._one_by_one = Lock()

    def open(self, name: str) -> Reached:
        """Return a doer as it is reached. Raises errors of `outside`."""
        with self._one_by_one:
            reached = self._reached.get(name)
            if reached is None:
                doer = self._openings.open(name)
                pace = Pace(self._plan.doers[name].calls_at_once)
                reached = self._reached[name] = Reached(doer, Lane(name, pace, self._partitions))
            return reached


def doers_of(settings: Settings, plan: Plan, chance: Callable[[], float]) -> Doers:
    """Return the doers of a worker as its settings have them."""
    return Doers(plan, DoerLanes(plan, settings.partitions).open, LEASE_MS / 1000, chance, system_clock)
