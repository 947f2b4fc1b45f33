"""A partition at work: the tasks of all steps on one partition number, their state, and how far they have come.

All topics have the same number of partitions, so the group gives a worker the same numbers of each: what is keyed alike
meets here. The state of all steps lies in one database, under one position of the changelog, and with it the offsets
that each step has taken in. A record that comes again is known by them and skipped.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from faust.types import TP

from state import State
from state.cache import CacheBudget
from state.rocks import RocksStore
from state.store import Entry, entries_of
from streams.engine.kit import Kit
from streams.engine.tracing import traces_of, tracing
from streams.engine.transport.batch import Batch
from streams.engine.wire import CutShort
from streams.step import Output, Step, Task

ENGINE = "engine"
"""The name under which the engine keeps its own tables beside those of the steps."""

_PLACE_SEPARATOR = "\x1f"

COUNTED_ROUNDS = 64
"""Hits of the cache are counted in one round of so many: counting every one would cost more than it tells."""


class ForeignStateError(Exception):
    """The state belongs to another Kafka cluster; its offsets mean nothing here."""


class Settled(NamedTuple):
    """What a partition brings to a checkpoint."""

    outputs: Sequence[Output]
    changes: Sequence[Entry]
    offsets: Mapping[TP, int]
    """From where the group reads on; one at least where there is something to write, as offsets are what is fenced."""


class Taken(NamedTuple):
    """What a step took in of a batch: how many records were new to it, their bytes, and when the first was written."""

    records: int
    size: int
    timestamp: int


class Hold(NamedTuple):
    """Why a step takes in nothing of a topic from an offset on, and of which columns, if it is one of columns."""

    offset: int
    columns: tuple[str, ...]
    why: str


class Partition:
    """All steps on one partition number, over one database. Not usable before what it lacks is restored."""

    def __init__(
        self, number: int, steps: Iterable[Step], store: RocksStore, kit: Kit, cache: CacheBudget | None = None
    ) -> None:
        self.number = number
        self.store = store
        self.ready = False
        self.held: dict[tuple[str, str], Hold] = {}
        """By step and topic. Nothing of it outlives the assignment: the next one tries again."""
        self._cache = CacheBudget() if cache is None else cache
        self._wire = kit.wire
        self._metrics = kit.metrics
        self._tracing = tracing()
        self._partitions = kit.settings.partitions
        self._steps = tuple(steps)
        self._states: list[State] = []
        self._tasks: dict[str, Task] = {}
        self._moved: set[TP] = set()
        self._last_timestamps: dict[tuple[str, TP], int] = {}
        self._rounds = 0

    def check(self, cluster: str) -> None:
        """Raise `ForeignStateError` if the state is of another cluster: its offsets mean nothing in this one."""
        known = State(self.store, ENGINE).table("cluster", str).get("")
        if known not in (None, cluster):
            raise ForeignStateError(
                f"state at {self.store.folder} was made on Kafka cluster {known}, but the brokers are cluster "
                f"{cluster}; give another state_folder, or remove this one"
            )

    def begin(self, cluster: str) -> None:
        """Start the tasks over the state as it is now, and note whose it is."""
        own = State(self.store, ENGINE, self._cache)
        self._states = [own]
        self._consumed = own.table("consumed", int)
        own.table("cluster", str).put("", cluster)
        for step in self._steps:
            state = State(self.store, step.name, self._cache)
            self._states.append(state)
            self._tasks[step.name] = Task(step, self.number, self._partitions, state)
        self.ready = True

    def reads_from(self, committed: Mapping[TP, int | None]) -> None:
        """Note from where the records of an assignment come: a step that has read nothing of a topic begins there."""
        for tp, offset in committed.items():
            if offset and tp.partition == self.number:
                for step in self.readers(tp.topic):
                    if self.position(step.name, tp.topic) is None:
                        self._consumed.put(f"{step.name}{_PLACE_SEPARATOR}{tp.topic}", offset)

    def position(self, step: str, topic: str) -> int | None:
        """Return the offset from which a step is to read on, or None where it has read nothing."""
        return self._consumed.get(f"{step}{_PLACE_SEPARATOR}{topic}")

    def take(self, step: str, batch: Batch, now: int) -> Taken:
        """Let a step take in a batch; what it has taken in before is skipped.

        From a record on whose schema is broken, the topic is held for the step: nothing more of it is taken in, and so
        nothing is acknowledged.

        Raises `schemas.registry.RegistryUnavailable` before anything is taken in, and what a step raises.
        """
        topic, end = batch.tp.topic, batch.end
        if (step, topic) in self.held:
            return Taken(0, 0, 0)
        position = self.position(step, topic) or 0
        messages, read = batch.messages, partial(self._wire.records, topic, self.number)
        if messages and (messages[0].offset() or 0) < position:
            fresh = [message for message in messages if (message.offset() or 0) >= position]
            self._metrics.redelivered(step, topic, len(messages) - len(fresh))
            messages = fresh
        taken, records = Taken(0, 0, 0), []
        if messages:
            try:
                records = batch.records(read) if messages is batch.messages else read(messages)
            except CutShort as cut:
                records, messages, end = cut.records, messages[: len(cut.records)], cut.offset
                self.held[step, topic] = Hold(cut.offset, cut.broken.columns, str(cut))
        if records:
            task = self._tasks[step]
            if traces := traces_of(step, records, self._tracing):
                task.context.traces.update(traces)
            task.receive(records, now)
            self._last_timestamps[step, batch.tp] = records[-1].timestamp
            taken = Taken(len(messages), sum(map(len, messages)), records[0].timestamp)
        if end > position:
            self._consumed.put(f"{step}{_PLACE_SEPARATOR}{topic}", end)
            self._moved.add(batch.tp)
        return taken

    def waits(self, step: str, waits: bool) -> None:
        """Tell a step whether records wait that cannot be taken in for now."""
        if self.ready:
            self._tasks[step].context.waits = waits

    def last_timestamp(self, step: str, tp: TP) -> int:
        """Return the timestamp of the record of a topic that a step took in last, or 0."""
        return self._last_timestamps.get((step, tp), 0)

    def busy(self, now: int) -> bool:
        """Return whether there is something to write: not counting offsets that moved past no record."""
        return any(task.has_work(now) for task in self._tasks.values())

    def moved(self) -> bool:
        """Return whether some step has come further than was committed."""
        return bool(self._moved)

    def settle(self, now: int) -> Settled:
        """Fire what is due, emit what is emitted once a commit, and return all that is to be written."""
        outputs: list[Output] = []
        for task in self._tasks.values():
            task.fire(now)
            if task.touched:
                task.before_commit(now)
            outputs += task.take_outputs()
            task.context.traces.clear()
            self._metrics.counted(task.step.name, task.context.counts)
            task.context.counts.clear()
        changes = [entry for state in self._states for entry in entries_of(state.take_writes())]
        moved, self._moved = self._moved, set()
        if not moved and (outputs or changes):
            moved = self._fence()
        self._sample_hits()
        return Settled(outputs, changes, {tp: self._acknowledged(tp) for tp in moved})

    def store_changes(self, settled: Settled, position: int, now: int) -> None:
        """Write what was settled to the database; `position` is the end of its changelog entries.

        Raises `state.rocks.StoreUnavailable`.
        """
        self.store.apply_entries(settled.changes, position, now)
        for state in self._states:
            state.stored()

    def committed(self) -> None:
        """Let steps begin what they have only promised until what was settled is committed."""
        for task in self._tasks.values():
            task.committed()

    def _sample_hits(self) -> None:
        self._rounds += 1
        turn = self._rounds % COUNTED_ROUNDS
        if turn < 2:  # a counted round begins, or is over
            for task in self._tasks.values():
                task.state.count_hits(turn == 0)

    def gauges(self) -> dict[str, int]:
        """Return what its steps say of their state, by name: in all, and since when the first of them; 0 is never."""
        told: dict[str, int] = {}
        for task in self._tasks.values():
            for name, value in task.context.gauges.items():
                other = told.get(name, 0)
                told[name] = min(other or value, value or other) if name.endswith("_since") else other + value
        return told

    def _fence(self) -> set[TP]:
        """Return a topic that was read: by its offset, brokers know a worker that is given up, and refuse its round.

        A round in which only timers fire takes nothing in, and nothing else in it tells them whose it is.
        """
        for step in self._steps:
            for topic in step.reads:
                if self._acknowledged(tp := TP(topic, self.number)):
                    return {tp}
        return set()

    def fence(self) -> dict[TP, int]:
        """Return an offset for a round that has none, as nothing of what it is of was ever read.

        It may be 0, which means to a group what none does: that it reads from the beginning.
        """
        place = TP(self._steps[0].reads[0], self.number)
        return {place: self._acknowledged(place)}

    def readers(self, topic: str) -> list[Step]:
        """Return the steps that read a topic."""
        return [step for step in self._steps if topic in step.reads]

    def _acknowledged(self, tp: TP) -> int:
        """Return up to where all steps that read a topic have taken it in."""
        return min(self.position(step.name, tp.topic) or 0 for step in self.readers(tp.topic))

    def close(self) -> None:
        """Release the database. What was not committed is dropped, and will be delivered again."""
        self.ready = False
        for task in self._tasks.values():
            task.release()
        for state in self._states:
            state.release()
        self.store.close()
