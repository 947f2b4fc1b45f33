"""The watch: how far behind each partition is, and whether it moves."""

import logging
import time
from typing import Any

from faust.types import TP
from mode import Service

from streams.engine.assignment import Assignment
from streams.engine.kit import Kit

log = logging.getLogger("throughline.worker")

_INTERVAL_SECONDS = 1.0


class StalledError(Exception):
    """A partition has records waiting and has not moved: whoever supervises the worker is to start it again."""


class Watch(Service):
    """Measures lag, and ends the worker when a partition stands still. A silent stall would be money not billed."""

    def __init__(self, app: Any, assignment: Assignment, kit: Kit, **service: Any) -> None:
        super().__init__(**service)
        self.stall_s = kit.settings.stall_s
        self._app = app
        self._assignment = assignment
        self._metrics = kit.metrics
        self._clock = kit.clock
        self._seen: dict[TP, tuple[int, float]] = {}
        self.stalled: dict[TP, float] = {}
        """Partitions with records waiting that have not moved, and for how many seconds."""

    @Service.task
    async def _watching(self) -> None:
        while not self.should_stop:
            self.look(time.monotonic())
            worst = max(self.stalled.items(), key=lambda item: item[1], default=None)
            if worst is not None and worst[1] >= self.stall_s:
                tp, seconds = worst
                told = f"{tp.topic}, partition {tp.partition}: records wait, and none was taken in for {seconds:.0f} s"
                await self._app.crash(StalledError(told))
            await self.sleep(_INTERVAL_SECONDS)

    def look(self, now_s: float) -> None:
        """Measure all partitions held, at a time of the monotonic clock."""
        self._metrics.ready(self._assignment.ready())
        seen, stalled = {}, {}
        for number, partition in self._assignment.partitions.items():
            if not partition.ready:
                continue
            self._metrics.state(number, partition.store.size_bytes(), self._assignment.memory_bytes())
            for step in self._assignment.steps:
                for topic in step.reads:
                    tp = TP(topic, number)
                    position, taken_at = partition.position(step.name, topic) or 0, partition.last_timestamp(tp)
                    waiting = max(0, self._app.consumer.highwater(tp) - position)
                    age_s = max(0.0, (self._clock() - taken_at) / 1000) if waiting and taken_at else 0.0
                    self._metrics.lag(topic, number, waiting, age_s)
                    before, since = self._seen.get(tp, (-1, now_s))
                    seen[tp] = (position, since if before == position and waiting else now_s)
                    if waiting and seen[tp][1] < now_s:
                        stalled[tp] = now_s - seen[tp][1]
        self._seen, self.stalled = seen, stalled
