"""The watch: how far behind each partition is, and whether it moves."""

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Container, Iterator
from typing import Any

from faust.types import TP
from mode import Service

from streams.engine.assignment import Assignment
from streams.engine.kit import Kit
from streams.engine.partition import Partition
from streams.intake.hearing import SILENT_SINCE

log = logging.getLogger("throughline.worker")

_INTERVAL_SECONDS = 1.0
_LOOK_SECONDS_MAX = 5.0
"""Time between two looks counts up to here: what is longer, the worker was suspended, and nothing could have moved."""


_AGENTS = ""
"""Who reads, where it is no step: agents of single events."""

_APART = "apart"
"""Who reads what stands apart: nobody."""


class StalledError(Exception):
    """A partition has records waiting and has not moved: whoever supervises the worker is to start it again."""


class Watch(Service):
    """Measures lag, and ends the worker when a partition stands still. A silent stall would be money not billed."""

    def __init__(self, app: Any, assignment: Assignment, kit: Kit, **service: Any) -> None:
        super().__init__(**service)
        self.stall_s = kit.settings.stall_s
        self.stalled: dict[TP, float] = {}
        """Partitions with records waiting that have not moved, and for how many seconds."""
        self.waiting: dict[int, int] = {}
        """How many records wait, by partition held and restored."""
        self.forgotten_s = 0.0
        """For how many seconds records have come of partitions that are given up here."""
        self._app = app
        self._assignment = assignment
        self._metrics = kit.metrics
        self._clock = kit.clock
        self._seen: dict[tuple[str, TP], tuple[int, float]] = {}
        self._looked_at: float | None = None
        self._ended = threading.Event()

    async def on_start(self) -> None:
        """Watch over the event loop, too, from a thread: a step that does not return holds up the looks as well."""
        threading.Thread(target=self._watch_loop, name="watch", daemon=True).start()

    async def on_stop(self) -> None:
        """End the thread."""
        self._ended.set()

    def blocked_s(self, now_s: float) -> float:
        """Return for how long the event loop has not let the watch look."""
        return 0.0 if self._looked_at is None else max(0.0, now_s - self._looked_at - _INTERVAL_SECONDS)

    def _watch_loop(self) -> None:
        seen, blocked_s = self._looked_at, 0.0
        while not self._ended.wait(_INTERVAL_SECONDS):  # a thread that was suspended has not waited
            blocked_s = 0.0 if self._looked_at != seen else blocked_s + _INTERVAL_SECONDS
            seen = self._looked_at
            if blocked_s > self.stall_s + _INTERVAL_SECONDS:  # the two take turns looking
                log.error("stopping: a step has not returned for %.0f s; it is at", blocked_s)
                faulthandler.dump_traceback()
                os._exit(1)  # nothing that the event loop has to do can be waited for

    @Service.task
    async def _watching(self) -> None:
        while not self.should_stop:
            self.look(time.monotonic())
            worst = max(self.stalled.items(), key=lambda item: item[1], default=None)
            if worst is not None and worst[1] >= self.stall_s:
                tp, seconds = worst
                told = f"{tp.topic}, partition {tp.partition}: records wait, and none was taken in for {seconds:.0f} s"
                await self._app.crash(StalledError(told))
            elif self.forgotten_s >= self.stall_s:
                told = f"the group and this worker have disagreed on its partitions for {self.forgotten_s:.0f} s"
                await self._app.crash(StalledError(told))
            await self.sleep(_INTERVAL_SECONDS)

    def look(self, now_s: float) -> None:
        """Measure all partitions held, at a time of the monotonic clock.

        While something outside is waited for, nothing is counted as standing still: whoever waits has a patience of its
        own.
        """
        passed_s = 0.0 if self._looked_at is None else min(now_s - self._looked_at, _LOOK_SECONDS_MAX)
        self._looked_at = now_s
        if self._app.checkpoints.waits_for() is not None:
            passed_s = 0.0
        self._metrics.ready(self._assignment.ready())
        self._metrics.memory(*self._assignment.memory())
        # What the consumer still fetches of partitions that were given up would be lost on the way, for ever.
        forgotten = self._assignment.generation < 0 and self._app.consumer.assignment()
        self.forgotten_s = self.forgotten_s + passed_s if forgotten else 0.0
        self._look_at_partitions(passed_s)

    def _look_at_partitions(self, passed_s: float) -> None:
        seen: dict[tuple[str, TP], tuple[int, float]] = {}
        stalled: dict[TP, float] = {}
        apart_s = 0.0
        lags: dict[TP, tuple[int, float]] = {}
        waits: dict[int, int] = {}
        behind = self._app.consumer.waiting()
        for number, partition in self._assignment.partitions.items():
            if partition.ready:
                self._metrics.state(number, partition.store.size_bytes())
                self._tell_parked(number, partition)
                waits[number] = 0
        for reader, tp, position, taken_at in self._places():
            waiting = max(0, self._app.consumer.highwater(tp) - position)
            age_s = max(0.0, (self._clock() - taken_at) / 1000) if waiting and taken_at else 0.0
            lags[tp] = max(lags.get(tp, (0, 0.0)), (waiting, age_s))  # of several readers, who is furthest behind
            before, stood_s = self._seen.get((reader, tp), (-1, 0.0))
            held = tp in behind or (reader, tp.topic) in self._held(tp)
            stood_s = stood_s + passed_s if before == position and waiting and not held else 0.0
            seen[reader, tp] = position, stood_s
            if tp in self._assignment.apart:  # a restart of this worker would not help, so it is well; yet it is told
                apart_s = max(apart_s, stood_s)
            elif stood_s:
                stalled[tp] = max(stood_s, stalled.get(tp, 0.0))
        for tp, (waiting, age_s) in lags.items():
            waits[tp.partition] = waits.get(tp.partition, 0) + waiting
            self._metrics.lag(tp.topic, tp.partition, waiting, age_s)
        self._tell_silences()
        self._seen, self.stalled, self.waiting = seen, stalled, waits
        self._metrics.still(max((apart_s, *stalled.values())))

    def _held(self, tp: TP) -> Container[tuple[str, str]]:
        """Return what is held of a partition: it waits for somebody, and does not stand still by itself."""
        partition = self._assignment.partitions.get(tp.partition)
        return () if partition is None else partition.held

    def _places(self) -> Iterator[tuple[str, TP, int, int]]:
        """Yield who reads what, up to where it was taken in, and the timestamp of the last record, or 0."""
        topics: set[str] = set()
        for step in self._assignment.steps:
            topics.update(step.reads)
            for number, partition in self._assignment.partitions.items():
                for topic in step.reads if partition.ready else ():
                    tp = TP(topic, number)
                    yield (
                        step.name,
                        tp,
                        partition.position(step.name, topic) or 0,
                        partition.last_timestamp(step.name, tp),
                    )
        for tp, position in self._assignment.apart.items():
            yield _APART, tp, position, 0
        for tp, position in self._app.acks.reached().items():
            if tp.topic not in topics:
                yield _AGENTS, tp, position, 0

    def _tell_parked(self, number: int, partition: Partition) -> None:
        gauges = partition.gauges()
        if "parked" in gauges:
            since = gauges["parked_since"]
            self._metrics.parked(number, gauges["parked"], max(0.0, (self._clock() - since) / 1000) if since else 0.0)

    def _tell_silences(self) -> None:
        """Tell how old is what was heard last of each feed, on whichever partition it came."""
        newest: dict[str, int] = {}
        for partition in self._assignment.partitions.values():
            for name, since in partition.gauges().items() if partition.ready else ():
                if name.startswith(SILENT_SINCE):
                    feed = name.removeprefix(SILENT_SINCE)
                    newest[feed] = max(newest.get(feed, 0), since)
        now = self._clock()
        for feed, since in newest.items():
            self._metrics.feed_age(feed, max(0, now - since) / 1000)
