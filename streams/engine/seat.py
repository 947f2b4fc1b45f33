"""A seat: one step on one partition, with what waits for it and how far it has come."""

from collections.abc import Sequence
from typing import Any

from faust.types import EventT

from state import State
from state.rocks import RocksStore
from streams.config import Settings
from streams.engine.metrics import Metrics
from streams.engine.wire import Wire
from streams.step import Output, Record, Step, Task

Event = EventT[Any]

_CONSUMED = "engine.consumed"
_CLUSTER = "engine.cluster"


class ForeignStateError(Exception):
    """The state on disk belongs to another Kafka cluster; its offsets mean nothing here."""


class Seat:
    """The task of one step on one partition.

    Events wait here until a checkpoint takes them in. The offsets taken in are part of the state and written with it,
    so that a record delivered again after a restart is known and skipped.
    """

    def __init__(self, step: Step, partition: int, settings: Settings, wire: Wire, metrics: Metrics) -> None:
        self.step = step
        self.partition = partition
        self._wire = wire
        self._metrics = metrics
        folder = settings.state_folder / step.name / str(partition)
        self._state = State(RocksStore(folder))
        self.task = Task(step, partition, settings.partitions, self._state)
        self._consumed = self._state.table(_CONSUMED, int)
        self._waiting: list[Event] = []
        self._taken: list[Event] = []

    def bind(self, cluster: str) -> None:
        """Note the cluster this state belongs to, or check it. Raises `ForeignStateError`."""
        table = self._state.table(_CLUSTER, str)
        known = table.get("id")
        if known is None:
            table.put("id", cluster)
        elif known != cluster:
            raise ForeignStateError(
                f"the state of step {self.step.name}, partition {self.partition} was made on Kafka cluster {known}, "
                f"but the brokers are cluster {cluster}; give another state_folder, or remove this one"
            )

    def position(self, topic: str) -> int | None:
        """Return the offset of the next record to take in from a topic, or None if none was taken in yet."""
        return self._consumed.get(topic)

    def offer(self, event: Event) -> bool:
        """Let an event wait for the next checkpoint; return False if it was applied before."""
        message = event.message
        position = self._consumed.get(message.topic)
        if position is not None and message.offset < position:
            self._metrics.redelivered(self.step.name, message.topic)
            return False
        self._waiting.append(event)
        return True

    def waiting(self) -> int:
        """Return how many events wait."""
        return len(self._waiting)

    def run(self, now: int) -> Sequence[Output]:
        """Fire what is due, take in what waits, and return what is to be written, before any of it is acknowledged."""
        task = self.task
        task.fire(now)
        if self._waiting:
            events, self._waiting = self._waiting, []
            self._taken.extend(events)
            task.receive([self._record(event) for event in events], now)
            for event in events:
                self._consumed.put(event.message.topic, event.message.offset + 1)
        if task.touched:
            task.before_commit(now)
        return task.take_outputs()

    def commit(self) -> list[Event]:
        """Write the state and the offsets; return the events that may now be acknowledged."""
        if self._state.unflushed():
            self.task.commit()
        counts = self.task.context.counts
        self._metrics.counted(self.step.name, counts)
        counts.clear()
        taken, self._taken = self._taken, []
        for event in taken:
            self._metrics.taken_in(self.step.name, event.message.topic, 1)
        return taken

    def close(self) -> None:
        """Release the database. What was not committed is dropped, and will be delivered again."""
        self._state.close()

    def _record(self, event: Event) -> Record:
        message = event.message
        key = message.key
        record = Record(
            message.topic,
            None if key is None else key.decode(errors="surrogateescape"),
            message.value,
            round(message.timestamp * 1000) if message.timestamp else 0,
            message.partition,
            message.offset,
            _headers(message.headers),
        )
        return record._replace(value=self._wire.read(record))


def _headers(headers: object) -> tuple[tuple[str, bytes], ...]:
    if not headers:
        return ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return tuple((str(name), value) for name, value in pairs)  # type: ignore[attr-defined]
