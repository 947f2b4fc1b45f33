"""A partition at work: what comes again is skipped, offsets are those of the step that is furthest behind."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from faust.types import TP

from schemas.evolution import BrokenSchema
from schemas.registry import RegistryUnavailable
from state.rocks import RocksStore
from streams.behaviour import Behaviour
from streams.engine.partition import ForeignStateError, Hold, Partition, Taken
from streams.engine.transport.batch import Batch
from streams.step import Context, Record, Step
from tests.broker.toys import REMINDER_MS, JsonWire
from tests.support.kit import kit
from tests.support.messages import TIMESTAMP_MS, message

ORDERS, NOTES = TP("orders", 3), TP("notes", 3)
NOW = 5_000
BROKEN = b"broken"


class Sees(Behaviour):
    """Passes on what it sees, tells once a commit how many records that was, and sets a timer when told to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen = context.table("seen")
        self._fresh = 0

    def on_records(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.value == "fail":
                raise ValueError("no such order")
            if record.value == "later":
                self._context.timers.set(record.key or "", self._context.now + REMINDER_MS)
            self._seen.put(str(record.offset), 1)
            self._context.emit("out", record.key, [record.topic, record.offset])
        self._context.count("seen", len(records))
        self._fresh += len(records)

    def on_timer(self, key: str) -> None:
        self._context.emit("due", key, [])

    def before_commit(self) -> None:
        self._context.emit("told", None, self._fresh)
        self._fresh = 0


FIRST = Step("first", "customer", ("orders", "notes"), ("out", "due", "told"), Sees, {"seen": int})
SECOND = Step("second", "customer", ("orders",), ("out", "due", "told"), Sees, {"seen": int})


class Wire(JsonWire):
    """A wire whose registry is away for one call, and which counts what it has read."""

    away = False
    reads = 0

    def read(self, record: Record) -> Any:
        if record.value == BROKEN:
            raise BrokenSchema(record.topic, 17, ("amount",), f"{record.topic}: no column amount")
        return super().read(record)

    def records(self, topic: str, partition: int, messages: Sequence[Message]) -> list[Record]:
        if self.away:
            self.away = False
            raise RegistryUnavailable("refused")
        self.reads += len(messages)
        return super().records(topic, partition, messages)


Open = Callable[..., Partition]


@pytest.fixture
def open_partition(tmp_path: Path) -> Iterator[Open]:
    """Opens the same partition again and again, as each start of a worker does."""
    opened: list[Partition] = []

    def opens(cluster: str = "cluster", wire: Wire | None = None) -> Partition:
        if opened:
            opened[-1].close()
        store = RocksStore(tmp_path / "partition-3")
        partition = Partition(3, (FIRST, SECOND), store, kit(wire or Wire(), partitions=8))
        opened.append(partition)
        partition.check(cluster)
        partition.begin(cluster)
        return partition

    yield opens
    opened[-1].close()


def batch(tp: TP, *offsets: int, end: int | None = None, value: bytes = b"1") -> Batch:
    messages = [message(tp.topic, tp.partition, offset, f"c{offset}", value) for offset in offsets]
    return Batch(tp, messages, max(offsets) + 1 if end is None else end, 1)


def commit(partition: Partition, now: int = NOW, position: int = 1) -> tuple[list[object], dict[TP, int]]:
    """Settle a partition as a checkpoint does; return outputs to `out` and offsets."""
    settled = partition.settle(now)
    partition.store_changes(settled, position, now)
    return [output.value for output in settled.outputs if output.topic == "out"], dict(settled.offsets)


def test_a_batch_is_taken_in_and_its_position_is_part_of_the_state(open_partition: Open) -> None:
    partition = open_partition()
    assert partition.position("first", "orders") is None
    assert partition.take("first", batch(ORDERS, 4, 6), NOW) == Taken(2, 2, TIMESTAMP_MS + 4)
    assert partition.last_timestamp("first", ORDERS) == TIMESTAMP_MS + 6
    assert partition.position("first", "orders") == 7
    commit(partition)
    partition = open_partition()
    assert (partition.position("first", "orders"), partition.position("second", "orders")) == (7, None)


def test_each_step_is_held_where_it_comes_to_what_is_broken_and_the_next_assignment_tries_again(
    open_partition: Open,
) -> None:
    partition = open_partition(wire=Wire())
    broken = batch(ORDERS, 3, 4, value=BROKEN)
    assert partition.take("second", broken, NOW) == Taken(0, 0, 0)
    assert partition.take("first", batch(ORDERS, 0, 1), NOW).records == 2
    assert partition.take("first", broken, NOW) == Taken(0, 0, 0)
    hold = Hold(3, ("amount",), "orders: no column amount")
    assert partition.held == {("first", "orders"): hold, ("second", "orders"): hold}
    # Nothing lies before what the second one met first.
    assert (partition.position("first", "orders"), partition.position("second", "orders")) == (3, 3)
    assert partition.take("first", batch(NOTES, 0), NOW).records == 1
    assert partition.take("first", batch(ORDERS, 5), NOW) == Taken(0, 0, 0)
    assert commit(partition) == ([["orders", 0], ["orders", 1], ["notes", 0]], {ORDERS: 3, NOTES: 1})

    partition = open_partition()
    assert partition.held == {}
    assert partition.take("first", batch(ORDERS, 3, 4), NOW).records == 2


def test_what_was_not_committed_is_forgotten(open_partition: Open) -> None:
    partition = open_partition()
    partition.take("first", batch(ORDERS, 0, 1), NOW)
    partition = open_partition()
    assert partition.position("first", "orders") is None
    partition.take("first", batch(ORDERS, 0, 1), NOW)
    assert commit(partition)[0] == [["orders", 0], ["orders", 1]]


@pytest.mark.parametrize(
    ("again", "fresh"),
    [
        ((0, 1, 2), ()),
        ((1, 2, 3, 5), (3, 5)),
        ((3, 5), (3, 5)),
        ((5,), (5,)),
        ((0,), ()),
    ],
)
def test_records_that_come_again_are_skipped(
    open_partition: Open, again: tuple[int, ...], fresh: tuple[int, ...]
) -> None:
    partition = open_partition()
    partition.take("first", batch(ORDERS, 0, 1, 2), NOW)
    commit(partition)
    partition = open_partition()
    assert partition.take("first", batch(ORDERS, *again), NOW).records == len(fresh)
    assert commit(partition)[0] == [["orders", offset] for offset in fresh]
    assert partition.position("first", "orders") == max(3, again[-1] + 1)


def test_a_batch_is_read_once_for_all_steps_and_each_skips_what_comes_again_to_it(open_partition: Open) -> None:
    wire = Wire()
    partition = open_partition(wire=wire)
    both = batch(ORDERS, 0, 1, 2)
    assert [partition.take(step, both, NOW).records for step in ("first", "second")] == [3, 3]
    assert wire.reads == 3
    partition.take("first", batch(ORDERS, 3), NOW)
    both = batch(ORDERS, 3, 4)
    assert [partition.take(step, both, NOW).records for step in ("first", "second")] == [1, 2]
    assert sorted(map(str, commit(partition)[0])) == sorted(
        f"['orders', {offset}]" for offset in range(5) for _ in range(2)
    )


def test_offsets_are_those_of_the_step_that_is_furthest_behind(open_partition: Open) -> None:
    partition = open_partition()
    partition.take("first", batch(ORDERS, 0, 1, 2), NOW)
    partition.take("first", batch(NOTES, 0), NOW)
    assert commit(partition)[1] == {ORDERS: 0, NOTES: 1}
    partition.take("second", batch(ORDERS, 0, 1), NOW)
    assert commit(partition)[1] == {ORDERS: 2}
    partition.take("second", batch(ORDERS, 2), NOW)
    assert commit(partition)[1] == {ORDERS: 3}
    assert commit(partition)[1] == {}


def test_a_batch_without_records_moves_the_position_past_marks_and_is_no_reason_to_write(open_partition: Open) -> None:
    partition = open_partition()
    assert partition.take("second", Batch(ORDERS, (), 9, 1), NOW) == Taken(0, 0, 0)
    assert (partition.position("second", "orders"), partition.moved(), partition.busy(NOW)) == (9, True, False)
    partition.take("first", Batch(ORDERS, (), 9, 1), NOW)
    settled = partition.settle(NOW)
    assert (settled.outputs, settled.offsets) == ([], {ORDERS: 9})
    assert len(settled.changes) > 0
    assert not partition.moved()
    partition.take("second", Batch(ORDERS, (), 9, 1), NOW)
    assert not partition.moved()


def test_an_end_behind_the_last_record_is_the_position(open_partition: Open) -> None:
    partition = open_partition()
    partition.take("first", batch(ORDERS, 0, 1, end=5), NOW)
    assert partition.position("first", "orders") == 5
    assert partition.take("first", batch(ORDERS, 2, 3, 4, end=5), NOW).records == 0


def test_while_the_registry_is_away_nothing_is_taken_in(open_partition: Open) -> None:
    wire = Wire()
    partition = open_partition(wire=wire)
    wire.away = True
    with pytest.raises(RegistryUnavailable):
        partition.take("first", batch(ORDERS, 0, 1), NOW)
    assert (partition.position("first", "orders"), partition.busy(NOW), partition.moved()) == (None, False, False)
    partition.take("first", batch(ORDERS, 0, 1), NOW)
    assert commit(partition)[0] == [["orders", 0], ["orders", 1]]


def test_a_step_that_fails_does_not_come_any_further(open_partition: Open) -> None:
    partition = open_partition()
    with pytest.raises(ValueError, match="no such order"):
        partition.take("first", batch(ORDERS, 0, value=b'"fail"'), NOW)
    assert (partition.position("first", "orders"), partition.moved()) == (None, False)


def test_timers_outlive_a_restart_and_make_it_busy_when_they_fall_due(open_partition: Open) -> None:
    partition = open_partition()
    partition.take("first", batch(ORDERS, 0, value=b'"later"'), NOW)
    assert partition.busy(NOW)
    commit(partition)
    partition = open_partition()
    assert not partition.busy(NOW + REMINDER_MS - 1)
    assert partition.busy(NOW + REMINDER_MS)
    outputs = partition.settle(NOW + REMINDER_MS).outputs
    assert [(output.topic, output.key) for output in outputs] == [("due", "c0"), ("told", None)]


def test_what_is_told_once_a_commit_is_told_by_those_who_took_something_in(open_partition: Open) -> None:
    partition = open_partition()
    partition.take("first", batch(ORDERS, 0, 1), NOW)
    partition.take("first", batch(NOTES, 0), NOW)
    told = [output.value for output in partition.settle(NOW).outputs if output.topic == "told"]
    assert told == [3]


def test_state_of_another_cluster_is_refused_before_anything_is_touched(open_partition: Open) -> None:
    commit(open_partition("cluster A"))
    with pytest.raises(ForeignStateError, match="was made on Kafka cluster cluster A, but the brokers are cluster B"):
        open_partition("B")
    assert open_partition("cluster A").ready


def test_it_is_ready_from_its_beginning_until_it_is_closed(open_partition: Open) -> None:
    partition = open_partition()
    assert partition.ready
    partition.close()
    assert not partition.ready


class Parks(Sees):
    """Says how many of its rows are parked, and since when."""

    def __init__(self, context: Context, parked: int, since: int) -> None:
        super().__init__(context)
        context.gauges.update(parked=parked, parked_since=since)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([(2, 50), (3, 40)], (5, 40)),
        ([(2, 50), (0, 0)], (2, 50)),
        ([(0, 0), (3, 40)], (3, 40)),
        ([(0, 0), (0, 0)], (0, 0)),
    ],
)
def test_what_is_parked_is_counted_over_all_steps(
    tmp_path: Path, steps: list[tuple[int, int]], told: tuple[int, int]
) -> None:
    declared = tuple(
        Step(
            f"step{number}",
            "customer",
            ("orders",),
            ("out",),
            partial(Parks, parked=parked, since=since),
            {"seen": int},
        )
        for number, (parked, since) in enumerate(steps)
    )
    partition = Partition(3, declared, RocksStore(tmp_path / "partition-3"), kit(Wire(), partitions=8))
    partition.check("cluster")
    partition.begin("cluster")
    gauges = partition.gauges()
    partition.close()
    assert (gauges["parked"], gauges["parked_since"]) == told
