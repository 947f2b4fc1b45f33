"""The floor: the seats of the partitions this worker has been assigned, and the rounds that keep them going."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from faust.types import TP, EventT
from mode import Service

from streams.config import Settings
from streams.engine.checkpoint import Checkpoint
from streams.engine.metrics import Metrics
from streams.engine.seat import Seat
from streams.engine.wire import Wire
from streams.step import Step

log = logging.getLogger("throughline.worker")

_LAG_SECONDS = 1.0


class AssignmentError(Exception):
    """A step was assigned a partition of some of its topics, not of all: its joins would miss records."""


class MissingStateError(Exception):
    """The group has read on from records whose state is not in this worker's state folder."""


class Floor(Service):
    """All seats of a worker. Rounds run one at a time; a rebalance waits for the round under way."""

    def __init__(
        self,
        steps: tuple[Step, ...],
        settings: Settings,
        wire: Wire,
        checkpoint: Checkpoint,
        metrics: Metrics,
        cluster: str,
        end_offset: Callable[[TP], int | None],
        **service: Any,
    ) -> None:
        super().__init__(**service)
        self.steps = steps
        self._settings = settings
        self._wire = wire
        self._checkpoint = checkpoint
        self._metrics = metrics
        self._cluster = cluster
        self._end_offset = end_offset
        self._seats: dict[tuple[str, int], Seat] = {}
        self._round = asyncio.Lock()
        self._full = asyncio.Event()
        self._emptied = asyncio.Condition()
        self._broken = False

    def seat(self, step: Step, partition: int) -> Seat | None:
        """Return the seat of a step on a partition, or None while it is not assigned."""
        return self._seats.get((step.name, partition))

    async def offer(self, step: Step, event: EventT[Any]) -> None:
        """Let an event wait at its seat; returns when there is room for the next.

        An event without a seat comes from an assignment that is over: it is left unacknowledged and comes again.
        """
        seat = self.seat(step, event.message.partition)
        if seat is None:
            return
        if not seat.offer(event):
            event.ack()
            return
        if seat.waiting() >= self._settings.checkpoint_records_max:
            self._full.set()
            async with self._emptied:
                await self._emptied.wait_for(lambda: seat.waiting() < self._settings.checkpoint_records_max)

    async def assigned(self, partitions: Iterable[TP]) -> None:
        """Open the seats of newly assigned partitions.

        Raises `AssignmentError`, `StoreUnavailable`, `ForeignStateError`.
        """
        owned = frozenset(partitions)
        async with self._round:
            for step in self.steps:
                for partition in sorted({tp.partition for tp in owned if tp.topic in step.reads}):
                    missing = [topic for topic in step.reads if TP(topic, partition) not in owned]
                    if missing:
                        raise AssignmentError(
                            f"step {step.name} was assigned partition {partition} of some topics, but not of "
                            f"{', '.join(missing)}; all topics need the same number of partitions"
                        )
                    if (step.name, partition) not in self._seats:
                        self._open(step, partition)
        places = sorted({partition for _, partition in self._seats})
        log.info("assigned: %d steps on partitions %s", len(self.steps), ", ".join(map(str, places)) or "none")

    def _open(self, step: Step, partition: int) -> None:
        seat = Seat(step, partition, self._settings, self._wire, self._metrics)
        try:
            seat.bind(self._cluster)
        except Exception:
            seat.close()
            raise
        self._seats[step.name, partition] = seat

    async def revoked(self) -> None:
        """Run a last round, then close every seat, so that another worker may open their databases."""
        async with self._round:
            seats, self._seats = self._seats, {}
            try:
                await self._run_round(seats.values())
            finally:
                for seat in seats.values():
                    seat.close()
        await self._wake()

    def positions(self, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Return from which offset to read each partition: the first that some seat has not applied.

        Raises `MissingStateError` if the group has read a partition of which this state folder knows nothing.
        """
        positions: dict[TP, int] = {}
        for tp, offset in committed.items():
            seats = [seat for step in self.steps if tp.topic in step.reads and (seat := self.seat(step, tp.partition))]
            known = [position for seat in seats if (position := seat.position(tp.topic)) is not None]
            if known:
                positions[tp] = min(known)
            elif seats and offset is not None and offset > 0:
                raise MissingStateError(
                    f"group {self._settings.group} has read {tp.topic}, partition {tp.partition} up to {offset}, but "
                    f" {self._settings.state_folder} holds no state of it; use the folder the group worked with, "
                    "or another group to begin from the start"
                )
        return positions

    @Service.task
    async def _rounds(self) -> None:
        pause = self._settings.checkpoint_interval_ms / 1000
        while not self.should_stop:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), pause)
            self._full.clear()
            async with self._round:
                await self._run_round(self._seats.values())
            await self._wake()

    @Service.task
    async def _lags(self) -> None:
        while not self.should_stop:
            for seat in tuple(self._seats.values()):
                for topic in seat.step.reads:
                    end = self._end_offset(TP(topic, seat.partition))
                    if end is not None:
                        self._metrics.lag(topic, seat.partition, max(0, end - (seat.position(topic) or 0)))
            await self.sleep(_LAG_SECONDS)

    async def _run_round(self, seats: Iterable[Seat]) -> None:
        if self._broken:
            return
        try:
            await self._checkpoint.run(seats)
        except BaseException:
            self._broken = True  # what the seats hold now is half a round: nothing may be written or acknowledged again
            raise

    async def fail(self, error: Exception) -> None:
        """Stop the worker because of an error outside a round; nothing is acknowledged from now on."""
        self._broken = True
        await self.crash(error)

    async def _wake(self) -> None:
        async with self._emptied:
            self._emptied.notify_all()
