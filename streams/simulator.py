"""The topology without a broker: the same steps, over N partitions, with the clock in the caller's hand.

`Simulator` runs the flow as a service would, one piece at a time: any task that has input may be next, input may be
delayed, a task may crash and resume between any two steps. What a task emits is seen by others only when it commits,
together with its state and its place in the input: a crash undoes all three.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Final, NamedTuple

from state import MemoryStore, State, Store
from streams.domain.made import made
from streams.partitioning import partition_of
from streams.step import Output, Record, Step, Task
from streams.topics import TOPICS, Role

NEVER: Final = 1 << 62

Deliver = Callable[[Record], None]


@dataclass(slots=True)
class Seat:
    """A task with its input and what it has not committed yet."""

    step: Step
    partition: int
    index: int
    store: Store
    task: Task
    queue: list[Record] = field(default_factory=list)
    taken: list[Record] = field(default_factory=list)
    pending: list[Output] = field(default_factory=list)


class Route(NamedTuple):
    """Where records of a topic go: whether outside, to the seats of which steps by partition, and the next offsets."""

    public: bool
    readers: list[list[Seat]]
    offsets: list[int]


class Simulator:
    """Steps over N partitions. `deliver` is handed every record of a public topic once its writer has committed."""

    def __init__(
        self, steps: Sequence[Step], deliver: Deliver, partitions: int = 1, store: Callable[[], Store] = MemoryStore
    ) -> None:
        self.now = 0
        self.partitions = partitions
        self._deliver = deliver
        self.seats = [
            self._seat(step, partition, index * partitions + partition, store())
            for index, step in enumerate(steps)
            for partition in range(partitions)
        ]
        self._seats_of = {step.name: [s for s in self.seats if s.step is step] for step in steps}
        self._due = [_due_of(seat.task) for seat in self.seats]
        self._ready: deque[Seat] = deque()
        self._touched: list[int] = []  # indexes of seats to commit, most upstream first
        self._routes: dict[str, Route] = {}
        for topic in {*TOPICS, *[topic for step in steps for topic in step.reads]}:
            public = topic in TOPICS and TOPICS[topic].role is Role.PUBLIC
            rows = [self._seats_of[step.name] for step in steps if topic in step.reads]
            self._routes[topic] = Route(public, rows, [0] * partitions)

    def _seat(self, step: Step, partition: int, index: int, store: Store) -> Seat:
        return Seat(step, partition, index, store, Task(step, partition, self.partitions, State(store)))

    # -- input

    def feed(self, record: Record) -> None:
        """Put a record on its topic, on the partition its key hashes to."""
        self._append(record, partition_of(record.key, self.partitions))

    def feed_to(self, step: str, record: Record) -> None:
        """Put a record before one step, whatever its topic: intake takes records of topics that nobody declared."""
        self._put(self._seats_of[step][partition_of(record.key, self.partitions)], record)

    def _append(self, record: Record, partition: int) -> None:
        for row in self._routes[record.topic].readers:
            self._put(row[partition], record)

    def _put(self, seat: Seat, record: Record) -> None:
        if not seat.queue:
            self._ready.append(seat)
        seat.queue.append(record)

    def _publish(self, outputs: Sequence[Output]) -> None:
        """Make outputs visible to their readers."""
        routes, partitions, ready = self._routes, self.partitions, self._ready
        for topic, key, value, timestamp, chosen, headers in outputs:
            partition = 0 if partitions == 1 else partition_of(key, partitions) if chosen is None else chosen
            public, readers, offsets = routes[topic]
            offset = offsets[partition]
            offsets[partition] = offset + 1
            record = made(Record, (topic, key, value, timestamp, partition, offset, headers))
            for row in readers:
                seat = row[partition]
                queue = seat.queue
                if not queue:
                    ready.append(seat)
                queue.append(record)
            if public:
                self._deliver(record)

    # -- one piece at a time, as a service would run

    def busy(self) -> list[Seat]:
        """Return the seats that have input, something due or something to commit."""
        return [
            seat
            for seat in self.seats
            if seat.queue or seat.taken or seat.task.touched or _due_of(seat.task) <= self.now
        ]

    def take(self, seat: Seat, count: int) -> None:
        """Let a task take in up to so many records, without committing."""
        records, seat.queue = seat.queue[:count], seat.queue[count:]
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
        self._publish(outputs)

    def crash(self, seat: Seat) -> None:
        """Kill a task and start it again: what it had not committed is undone, its input comes again."""
        seat.queue[:0] = seat.taken
        seat.taken, seat.pending = [], []
        seat.task = Task(seat.step, seat.partition, self.partitions, State(seat.store))

    def restart(self) -> None:
        """Kill and start all tasks."""
        for seat in self.seats:
            self.crash(seat)

    def churn(self, random: Random, crash_rate: float = 0.0, batch_max: int = 4) -> None:
        """Run tasks in a random order, with random batches, commits and crashes, until nothing is left to do."""
        while busy := self.busy():
            self.piece(random.choice(busy), random, crash_rate, batch_max)

    def piece(self, seat: Seat, random: Random, crash_rate: float = 0.0, batch_max: int = 4) -> None:
        """Let one task do a piece of work, or crash."""
        if crash_rate and random.random() < crash_rate:
            self.crash(seat)
            return
        self._fire(seat)
        self.take(seat, random.randint(1, batch_max))
        if not seat.queue or random.random() < 0.5:
            self.commit(seat)

    def _fire(self, seat: Seat) -> None:
        if seat.task.fire(self.now):
            seat.pending.extend(seat.task.take_outputs())

    # -- whole, as a file run does

    def settle(self) -> None:
        """Take everything to quiescence, upstream first, then let every touched task commit."""
        touched = self._touched
        self._drain()
        while touched:
            seat = self.seats[heappop(touched)]
            task = seat.task
            if task.touched:
                task.before_commit(self.now)
                if task.context.outputs:
                    self._publish(task.take_outputs())
                    self._drain()
                due = task.next_due()
                self._due[seat.index] = NEVER if due is None else due

    def _drain(self) -> None:
        ready, now = self._ready, self.now
        while ready:
            seat = ready.popleft()
            task, records = seat.task, seat.queue
            if not records:
                continue
            seat.queue = []
            if not task.touched:
                heappush(self._touched, seat.index)
            task.receive(records, now)
            if task.context.outputs:
                self._publish(task.take_outputs())

    def flush(self, unflushed_max: int = 0) -> None:
        """Write states to their stores where more than so many keys wait."""
        for seat in self.seats:
            if seat.task.state.unflushed() > unflushed_max:
                seat.task.commit()

    def close(self) -> None:
        """Release the stores."""
        for seat in self.seats:
            seat.store.close()

    def advance(self, until: int) -> None:
        """Move the clock, never back; what falls due by then fires in its order, each at its own time."""
        while (due := min(self._due)) <= until:
            self.now = max(self.now, due)
            for seat in self.seats:
                next_due = seat.task.next_due()
                if next_due is not None and next_due <= self.now:
                    heappush(self._touched, seat.index)
                    seat.task.fire(self.now)
                    self._due[seat.index] = _due_of(seat.task)
                    self._publish(seat.task.take_outputs())
            self.settle()
        self.now = max(self.now, until)


def _due_of(task: Task) -> int:
    due = task.next_due()
    return NEVER if due is None else due
