"""The watch: how far behind each partition is, and whether it moves."""

import faulthandler
import logging
import os
import threading
import time
from typing import Any

from faust.types import TP
from mode import Service

from streams.engine.assignment import Assignment
from streams.engine.checkpoint import Checkpoints
from streams.engine.kit import Kit
from streams.engine.partition import Partition

log = logging.getLogger("throughline.worker")

_INTERVAL_SECONDS = 1.0


class StalledError(Exception):
    """A partition has records waiting and has not moved: whoever supervises the worker is to start it again."""


class Watch(Service):
    """Measures lag, and ends the worker when a partition stands still. A silent stall would be money not billed."""

    def __init__(self, app: Any, assignment: Assignment, checkpoints: Checkpoints, kit: Kit, **service: Any) -> None:
        super().__init__(**service)
        self.stall_s = kit.settings.stall_s
        self._app = app
        self._assignment = assignment
        self._checkpoints = checkpoints
        self._looked_at = time.monotonic()
        self._over = threading.Event()
        self._metrics = kit.metrics
        self._clock = kit.clock
        self._seen: dict[TP, tuple[int, float]] = {}
        self.waiting: dict[int, int] = {}
        """How many records wait on each partition that is restored, by its number."""
        self.stalled: dict[TP, float] = {}
        """Partitions with records waiting that have not moved, and for how many seconds."""

    def hangs_s(self) -> float:
        """Return for how many seconds the event loop has not come round. May be called by any thread."""
        return max(0.0, time.monotonic() - self._looked_at - _INTERVAL_SECONDS)

    async def on_start(self) -> None:
        """Watch the event loop from outside, too."""
        threading.Thread(target=self._watch_loop, name="watch", daemon=True).start()

    async def on_stop(self) -> None:
        """Let the outside watch end."""
        self._over.set()

    def _watch_loop(self) -> None:
        """End the process if the event loop hangs: nothing on it could."""
        while not self._over.wait(_INTERVAL_SECONDS):
            if self.hangs_s() >= self.stall_s:
                log.critical("a step has not come to its end for %.0f s; ending. Where it is:", self.hangs_s())
                faulthandler.dump_traceback()
                os._exit(1)

    @Service.task
    async def _watching(self) -> None:
        while not self.should_stop:
            self._looked_at = time.monotonic()
            self.look(self._looked_at)
            worst = max(self.stalled.items(), key=lambda item: item[1], default=None)
            if worst is not None and worst[1] >= self.stall_s:
                tp, seconds = worst
                told = f"{tp.topic}, partition {tp.partition}: records wait, and none was taken in for {seconds:.0f} s"
                await self._app.crash(StalledError(told))
            await self.sleep(_INTERVAL_SECONDS)

    def look(self, now_s: float) -> None:
        """Measure all partitions held, at a time of the monotonic clock."""
        self._metrics.ready(self._assignment.ready())
        self._metrics.memory(*self._assignment.memory())
        seen, stalled, waits = {}, {}, dict[int, int]()
        for number, partition in self._assignment.partitions.items():
            if not partition.ready:
                continue
            self._metrics.state(number, partition.store.size_bytes())
            self._tell_parked(number, partition)
            waits[number] = 0
            for step in self._assignment.steps:
                for topic in step.reads:
                    tp = TP(topic, number)
                    position, taken_at = partition.position(step.name, topic) or 0, partition.last_timestamp(tp)
                    waiting = max(0, self._app.consumer.highwater(tp) - position)
                    waits[number] += waiting
                    age_s = max(0.0, (self._clock() - taken_at) / 1000) if waiting and taken_at else 0.0
                    self._metrics.lag(topic, number, waiting, age_s)
                    before, since = self._seen.get(tp, (-1, now_s))
                    # Waiting for brokers has an end of its own: `patience_s`.
                    still = before == position and waiting and not self._checkpoints.writing_s()
                    seen[tp] = (position, since if still else now_s)
                    if waiting and seen[tp][1] < now_s:
                        stalled[tp] = now_s - seen[tp][1]
        self._seen, self.stalled, self.waiting = seen, stalled, waits
        self._metrics.still(max(stalled.values(), default=0.0))

    def _tell_parked(self, number: int, partition: Partition) -> None:
        gauges = partition.gauges()
        if "parked" in gauges:
            since = gauges["parked_since"]
            self._metrics.parked(number, gauges["parked"], max(0.0, (self._clock() - since) / 1000) if since else 0.0)
