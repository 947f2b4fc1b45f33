"""Runs one feed until it is stopped: asks its source, lands what it gives, says that it lives, and waits.

Owns when a source is asked, when it is asked again after it could not answer, and what is said of it. Does not own
how batches are landed (`Landing`), nor the clock, chance and waiting, which are given (`Surroundings`).
"""

import logging
from collections.abc import Callable, Mapping
from threading import Event
from typing import NamedTuple, Protocol

from connect.feeds.contract import Batch, Fatal, Memory, Retriable, Source
from connect.settings import Pace
from outside.backoff import longest_wait_ms

log = logging.getLogger("throughline.feed")


class NotLanded(Retriable):
    """Nobody knows what became of a batch: the landing is opened anew, which tells, and the source asked from there."""


class Landed(NamedTuple):
    """What of a batch stands in topics now: records and rejects by topic, and when the newest change happened."""

    records: Mapping[str, int]
    rejects: Mapping[str, int]
    newest_ms: int | None


class Landing(Protocol):
    """Where batches land, each whole or not at all, with what the feed remembers."""

    def open(self) -> Memory:
        """Shut out whoever landed under the same name before, and return what the feed remembers.

        Called first, and again after `NotLanded`. Raises `NotLanded` or `Fatal`.
        """

    def land(self, batch: Batch, now: int, beat: bool) -> Landed:
        """Land a batch, and with it a heartbeat if `beat`. Raises `NotLanded` or `Fatal`."""

    def close(self) -> None:
        """Let go of it."""


class Told(Protocol):
    """Who counts what a feed does."""

    def landed(self, landed: Landed) -> None:
        """A batch stands in topics."""

    def answered(self, at_ms: int) -> None:
        """The source has answered."""

    def gap(self) -> None:
        """Something is known to be missing."""

    def failed(self, how: str) -> None:
        """An error: `retriable`, `fatal` or `defect`."""

    def waited(self, why: str, seconds: float) -> None:
        """A wait begins: `poll`, `backoff`, or `asked` where the source said for how long."""


class Surroundings(NamedTuple):
    """What a runner takes from outside.

    `clock`: milliseconds since 1970. `chance`: a number from 0 to 1. `wait`: waits for so many seconds, or until the
    feed is to stop, and says whether it is.
    """

    clock: Callable[[], int]
    chance: Callable[[], float]
    wait: Callable[[float], bool]


class Runner:
    """One feed on its way. `stop` ends it: between two batches, and within a wait."""

    def __init__(
        self, name: str, source: Source, landing: Landing, told: Told, pace: Pace, outside: Surroundings, stop: Event
    ) -> None:
        self._name = name
        self._source = source
        self._landing = landing
        self._told = told
        self._pace = pace
        self._outside = outside
        self._stop = stop
        self._memory: dict[str, bytes] | None = None
        self._beaten_ms: int | None = None
        self._has_answered = False
        self._failures = 0

    def run(self, once: bool = False) -> None:
        """Run until stopped; with `once`, until the source is read to its end. Closes source and landing.

        Raises:
            Fatal: A person must act.
        """
        try:
            while not self._stop.is_set():
                pause = self._round(once)
                if pause is None:
                    return
                self._wait(*pause)
        except Fatal:
            self._told.failed("fatal")
            raise
        finally:
            self._source.close()
            self._landing.close()

    def _round(self, once: bool) -> tuple[str, float] | None:
        """Ask the source for all there is; return why to wait, and how many seconds, or None to end."""
        try:
            self._read(once)
        except NotLanded as error:
            self._memory = None
            return self._after(error)
        except Retriable as error:
            return self._after(error)
        return None if once else ("poll", self._pace.poll_ms / 1000)

    def _read(self, once: bool) -> None:
        if self._memory is None:
            self._memory = dict(self._landing.open())
        memory, self._has_answered = self._memory, False
        for batch in self._source.batches(memory, self._stop):
            self._land(batch, memory)
            self._failures = 0
            if self._stop.is_set() or (once and batch.alive):
                return

    def _land(self, batch: Batch, memory: dict[str, bytes]) -> None:
        now = self._outside.clock()
        for gap in batch.gaps:
            log.warning("%s: a gap: %s", self._name, gap)
            self._told.gap()
        has_answered = batch.alive or bool(batch.changes or batch.rejects or batch.memory)
        beat = has_answered and (self._beaten_ms is None or now - self._beaten_ms >= self._pace.heartbeat_ms)
        landed = self._landing.land(batch, now, beat)
        if beat:
            self._beaten_ms = now
        for key, value in batch.memory.items():
            if value is None:
                memory.pop(key, None)
            else:
                memory[key] = value
        self._told.landed(landed)
        if has_answered:
            self._has_answered = True
            self._told.answered(now)

    def _after(self, error: Retriable) -> tuple[str, float]:
        self._told.failed("retriable")
        self._failures += 1
        if error.retry_after_ms is not None:
            why, seconds = "asked", error.retry_after_ms / 1000
        else:
            # Full jitter: what many clients lost at one moment, they do not ask for again at one moment.
            most_ms = longest_wait_ms(self._pace.backoff_first_ms, self._pace.backoff_max_ms, self._failures - 1)
            why, seconds = "backoff", self._outside.chance() * most_ms / 1000
        log.warning("%s: %s; tried again in %.1f s", self._name, error, seconds)
        return why, seconds

    def _wait(self, why: str, seconds: float) -> None:
        self._told.waited(why, seconds)
        end_ms = self._outside.clock() + round(seconds * 1000)
        try:
            while why == "poll" and self._has_answered and self._beats_before(end_ms):
                pass
        except NotLanded as error:  # the next look opens the landing anew
            self._memory = None
            self._told.failed("retriable")
            log.warning("%s: a heartbeat: %s", self._name, error)
            return
        self._outside.wait(max(0, end_ms - self._outside.clock()) / 1000)

    def _beats_before(self, end_ms: int) -> bool:
        """Wait until the next heartbeat is due, and land it; return False if none is due before the next look.

        A source that is not to be asked yet is as alive as its last answer said.
        """
        now = self._outside.clock()
        due_ms = (now if self._beaten_ms is None else self._beaten_ms) + self._pace.heartbeat_ms
        if due_ms >= end_ms or self._outside.wait(max(0, due_ms - now) / 1000):
            return False
        self._beaten_ms = self._outside.clock()
        self._landing.land(Batch(), self._beaten_ms, True)
        return True
