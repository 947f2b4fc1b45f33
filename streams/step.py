"""The one mechanism: a Step reads topics, remembers tables, writes topics.

A `Step` is a declaration; `begin` binds it to one partition and returns its behaviour: functions over records, timers
and commits that touch nothing but the `Context` they are given. A `Task` is a Step at work on one partition. The
simulator and the agents of the engine both run Tasks; neither knows what a Step does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from state import State, Table
from state.timers import Timers
from streams.behaviour import Behaviour
from streams.domain.made import made

Headers = tuple[tuple[str, bytes], ...]

REVISED: Final = "\x1frevised"
"""The timer that fires once after a start with another policy than the state was made under."""


class Record(NamedTuple):
    """What arrives: a value under a key, with its place in the log.

    `value` is a fact, a derived record or, on a source topic, whatever the feed delivered. `timestamp` is in
    milliseconds since 1970, UTC.
    """

    topic: str
    key: str | None
    value: Any
    timestamp: int
    partition: int = 0
    offset: int = -1
    headers: Headers = ()


class Output(NamedTuple):
    """What a step emits. `partition` None leaves the choice to the key's hash."""

    topic: str
    key: str | None
    value: Any
    timestamp: int
    partition: int | None = None
    headers: Headers = ()


class Context:
    """What a behaviour may touch: its tables, its timers, its outputs, and the time it is given."""

    def __init__(self, step: "Step", partition: int, partitions: int, state: State) -> None:
        self.partition = partition
        self.partitions = partitions
        self.now = 0
        self.waits = False
        """Whether records wait that cannot be taken in for now, for want of something outside such as a registry."""
        self.outputs: list[Output] = []
        self.counts: dict[str, int] = {}
        self.gauges: dict[str, int] = {}
        """What the step says of its state by name, such as how many rows are parked."""
        self.released = False
        """Set when the partition is given up: nothing more may be begun for it."""
        self.nudged = False
        """Set by any thread when something outside has ended that the step waits for; it then has its turn."""
        self.traces: dict[str | None, Headers] = {}
        """Trace context by key, of the records taken in since the last commit; empty where nobody traces."""
        self.timers = Timers(state)
        self._state = state
        self._remembers = step.remembers
        self._once_committed: list[Callable[[], None]] = []
        self._when_released: list[Callable[[], None]] = []

    def table(self, name: str) -> Table[Any]:
        """Return a table that the Step declares it remembers."""
        return self._state.table(name, self._remembers[name])

    def goes_by(self, fingerprint: str) -> None:
        """Say, when beginning, what the step goes by; `REVISED` fires if its state was made under something else.

        The timer is part of the state: a crash before it has fired leaves it to the next start.
        """
        known = self._state.table("step.goes_by", str)
        before = known.get("")
        if before != fingerprint:
            known.put("", fingerprint)
            if before is not None:
                self.timers.set(REVISED, 1)

    def emit(self, topic: str, key: str | None, value: Any, headers: Headers = ()) -> None:
        """Write a record to a topic, on the partition its key hashes to; one with headers of its own keeps to them."""
        if self.traces and not headers:
            headers = self._trace_of(key)
        self.outputs.append(made(Output, (topic, key, value, self.now, None, headers)))

    def emit_to_all(self, topic: str, key: str, value: Any) -> None:
        """Write a record to every partition of a topic: for small reference rows that each partition joins."""
        headers = self._trace_of(key) if self.traces else ()
        self.outputs.extend(
            Output(topic, key, value, self.now, partition, headers) for partition in range(self.partitions)
        )

    def _trace_of(self, key: str | None) -> Headers:
        """Return the trace context of the last record under a key, or of the only one that has any."""
        traces = self.traces
        return traces.get(key, next(iter(traces.values())) if len(traces) == 1 else ())

    def once_committed(self, call: Callable[[], None]) -> None:
        """Have something called once what is written now is committed; never if that is not."""
        self._once_committed.append(call)

    def take_promises(self) -> list[Callable[[], None]]:
        """Return what is to be called, once."""
        promises, self._once_committed = self._once_committed, []
        return promises

    def when_released(self, call: Callable[[], None]) -> None:
        """Have something called when the partition is given up, or its state is dropped, and nothing follows."""
        self._when_released.append(call)

    def release(self) -> None:
        """Let nothing more be begun: the partition is given up."""
        self.released = True
        calls, self._when_released = self._when_released, []
        for call in calls:
            call()

    def count(self, name: str, amount: int = 1) -> None:
        """Count something that is neither output nor state, such as a dropped duplicate."""
        self.counts[name] = self.counts.get(name, 0) + amount


@dataclass(frozen=True)
class Step:
    """The declaration of a step.

    `key` says in words what its input is keyed by; `remembers` gives the value type of each table.
    """

    name: str
    key: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    begin: Callable[[Context], Behaviour]
    remembers: Mapping[str, Any] = field(default_factory=dict)


class Task:
    """A Step at work on one partition: the unit that is run, committed and restarted."""

    def __init__(self, step: Step, partition: int, partitions: int, state: State) -> None:
        self.step = step
        self.partition = partition
        self.state = state
        self.context = Context(step, partition, partitions, state)
        self._behaviour = step.begin(self.context)
        self.touched = False
        self._promises: list[Callable[[], None]] = []
        self.next_due = self.context.timers.next_due
        """Returns when the earliest timer falls due, in milliseconds, or None."""

    def receive(self, records: Sequence[Record], now: int) -> None:
        """Let the step take in records at the given time."""
        self.context.now = now
        self.touched = True
        self._behaviour.on_records(records)

    def has_work(self, now: int) -> bool:
        """Tell whether there is something to fire, to emit or to take in that has ended outside."""
        due = self.next_due()
        return self.touched or self.context.nudged or bool(self.context.outputs) or (due is not None and due <= now)

    def fire(self, now: int) -> int:
        """Fire the timers due by the given time, in order; return how many."""
        self.context.now = now
        if self.context.nudged:
            self.context.nudged, self.touched = False, True
        fired = 0
        while (key := self.context.timers.take_due(now)) is not None:
            self.touched = True
            self._behaviour.on_timer(key)
            fired += 1
        return fired

    def before_commit(self, now: int) -> None:
        """Let the step emit what it emits once per commit."""
        self.context.now = now
        self.touched = False
        self._behaviour.before_commit()
        self._promises += self.context.take_promises()

    def take_outputs(self) -> list[Output]:
        """Return what was emitted since the last call, in order."""
        outputs, self.context.outputs = self.context.outputs, []
        return outputs

    def commit(self) -> None:
        """Write the state to its store; the outputs have been written before."""
        self.state.flush()
        self.committed()

    def release(self) -> None:
        """Let nothing more be begun: the partition is given up."""
        self.context.release()

    def committed(self) -> None:
        """Call what was to be called once all that `before_commit` has written is committed."""
        promises, self._promises = self._promises, []
        for promise in promises:
            promise()


def fan_in(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """Return for each topic the steps that read it."""
    readers: dict[str, list[Step]] = {}
    for step in steps:
        for topic in step.reads:
            readers.setdefault(topic, []).append(step)
    return readers
