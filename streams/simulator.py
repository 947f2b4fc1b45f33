"""The topology without a broker: the same steps, over N partitions, with the clock in the caller's hand.

`Simulator` runs the flow as a service would, one piece at a time: any task that has input may be next, input may be
delayed, a task may crash and resume between any two steps. What a task emits is seen by others only when it commits,
together with its state and its place in the input: a crash undoes all three.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from state import MemoryStore, State, Store
from streams.partitioning import partition_of
from streams.step import Output, Record, Step, Task
from streams.topics import TOPICS, Role

Deliver = Callable[[Record], None]


@dataclass
class Seat:
    """A task with its input and what it has not committed yet."""

    step: Step
    partition: int
    store: Store
    task: Task
    queue: deque[Record] = field(default_factory=deque)
    taken: list[Record] = field(default_factory=list)
    pending: list[Output] = field(default_factory=list)


class Simulator:
    """Steps over N partitions. `deliver` is handed every record of a public topic once its writer has committed."""

    def __init__(
        self, steps: Sequence[Step], deliver: Deliver, partitions: int = 1, store: Callable[[], Store] = MemoryStore
    ) -> None:
        self.now = 0
        self.partitions = partitions
        self._deliver = deliver
        self._offsets: dict[tuple[str, int], int] = {}
        self.seats = [
            self._seat(step, partition, store()) for step in steps for partition in range(partitions)
        ]
        self._readers: dict[str, list[list[Seat]]] = {}
        for step in steps:
            row = [seat for seat in self.seats if seat.step is step]
            for topic in step.reads:
                self._readers.setdefault(topic, []).append(row)

    def _seat(self, step: Step, partition: int, store: Store) -> Seat:
        return Seat(step, partition, store, Task(step, partition, self.partitions, State(store)))

    # -- input

    def feed(self, record: Record) -> None:
        """Put a record on its topic, on the partition its key hashes to."""
        self._append(record, partition_of(record.key, self.partitions))

    def feed_to(self, step: str, record: Record) -> None:
        """Put a record before one step, whatever its topic: intake takes records of topics that nobody declared."""
        for seat in self.seats:
            if seat.step.name == step and seat.partition == partition_of(record.key, self.partitions):
                seat.queue.append(record)

    def _append(self, record: Record, partition: int) -> None:
        for row in self._readers.get(record.topic, ()):
            row[partition].queue.append(record)

    def _publish(self, output: Output) -> None:
        topic = output.topic
        partition = output.partition
        if partition is None:
            partition = partition_of(output.key, self.partitions)
        place = (topic, partition)
        offset = self._offsets[place] = self._offsets.get(place, -1) + 1
        record = Record(topic, output.key, output.value, output.timestamp, partition, offset, output.headers)
        self._append(record, partition)
        if TOPICS[topic].role is Role.PUBLIC:
            self._deliver(record)

    # -- one piece at a time, as a service would run

    def busy(self) -> list[Seat]:
        """Return the seats that have input or something to commit."""
        return [seat for seat in self.seats if seat.queue or seat.taken or seat.task.touched]

    def take(self, seat: Seat, count: int) -> None:
        """Let a task take in up to so many records, without committing."""
        records = [seat.queue.popleft() for _ in range(min(count, len(seat.queue)))]
        if records:
            seat.taken.extend(records)
            seat.task.receive(records, self.now)
            seat.pending.extend(seat.task.take_outputs())

    def commit(self, seat: Seat) -> None:
        """Let a task commit: its outputs become visible, its state lasts, its input is done with."""
        seat.task.before_commit(self.now)
        seat.pending.extend(seat.task.take_outputs())
        outputs, seat.pending, seat.taken = seat.pending, [], []
        seat.task.commit()
        for output in outputs:
            self._publish(output)

    def crash(self, seat: Seat) -> None:
        """Kill a task and start it again: what it had not committed is undone, its input comes again."""
        seat.queue.extendleft(reversed(seat.taken))
        seat.taken, seat.pending = [], []
        seat.task = Task(seat.step, seat.partition, self.partitions, State(seat.store))

    def restart(self) -> None:
        """Kill and start all tasks."""
        for seat in self.seats:
            self.crash(seat)

    def churn(self, random: Random, crash_rate: float = 0.0, batch_max: int = 4) -> None:
        """Run tasks in a random order, with random batches, commits and crashes, until nothing is left to do."""
        while busy := self.busy():
            seat = random.choice(busy)
            if crash_rate and random.random() < crash_rate:
                self.crash(seat)
                continue
            self.take(seat, random.randint(1, batch_max))
            if not seat.queue or random.random() < 0.5:
                self.commit(seat)

    # -- whole, as a file run does

    def settle(self) -> None:
        """Take everything to quiescence, upstream first, then let every touched task commit."""
        working = True
        while working:
            self._drain()
            working = False
            for seat in self.seats:
                if seat.task.touched:
                    seat.task.before_commit(self.now)
                    outputs = seat.task.take_outputs()
                    if outputs:
                        working = True
                        for output in outputs:
                            self._publish(output)
                        self._drain()

    def _drain(self) -> None:
        moved = True
        while moved:
            moved = False
            for seat in self.seats:
                queue = seat.queue
                if queue:
                    moved = True
                    records = list(queue)
                    queue.clear()
                    seat.task.receive(records, self.now)
                    for output in seat.task.take_outputs():
                        self._publish(output)

    def flush(self, unflushed_max: int = 0) -> None:
        """Write states to their stores where more than so many keys wait."""
        for seat in self.seats:
            if seat.task.state.unflushed() > unflushed_max:
                seat.task.commit()

    def advance(self, until: int) -> None:
        """Move the clock, never back; what falls due by then fires in its order, each at its own time."""
        while True:
            due = min((d for seat in self.seats if (d := seat.task.next_due()) is not None), default=None)
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            for seat in self.seats:
                next_due = seat.task.next_due()
                if next_due is not None and next_due <= self.now:
                    seat.task.fire(self.now)
                    for output in seat.task.take_outputs():
                        self._publish(output)
            self.settle()
        self.now = max(self.now, until)
