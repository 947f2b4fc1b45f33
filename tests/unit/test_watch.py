"""The watch finds who stands still, with the clock in the test's hand, and no one who only waits or was suspended."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.config import Settings
from streams.engine.watch import Watch
from streams.step import Step

STALL_SECONDS = 60.0
ORDERS, MOVES = TP("orders", 0), TP("moves", 0)


class Store:
    def size_bytes(self) -> int:
        return 1


class Partition:
    """A partition whose positions are in the test's hand."""

    def __init__(self) -> None:
        self.ready = True
        self.store = Store()
        self.positions: dict[tuple[str, str], int] = {}
        self.gauged: dict[str, int] = {}
        self.held: set[tuple[str, str]] = set()

    def position(self, step: str, topic: str) -> int | None:
        return self.positions.get((step, topic))

    def gauges(self) -> dict[str, int]:
        return self.gauged

    def last_timestamp(self, step: str, _tp: TP) -> int:
        return {"account": 1_000, "journal": 2_000}[step]


class Metrics:
    """Keeps what was told last."""

    def __init__(self) -> None:
        self.is_ready = False
        self.still_s = 0.0
        self.lags: dict[str, tuple[int, float]] = {}
        self.ages: dict[str, float] = {}

    def ready(self, ready: bool) -> None:
        self.is_ready = ready

    def state(self, number: int, size: int) -> None:
        pass

    def memory(self, *_held: int) -> None:
        pass

    def still(self, seconds: float) -> None:
        self.still_s = seconds

    def feed_age(self, feed: str, seconds: float) -> None:
        self.ages[feed] = seconds

    def parked(self, number: int, records: int, oldest_age_s: float) -> None:
        pass

    def lag(self, topic: str, _partition: int, waiting: int, age_s: float) -> None:
        self.lags[topic] = (waiting, age_s)


class Worker:
    """A worker of two steps, both of which read orders, and what a watch sees of it."""

    def __init__(self) -> None:
        self.ends = {ORDERS: 10, MOVES: 10}
        self.waits: str | None = None
        self.behind: frozenset[TP] = frozenset()
        self.partition = Partition()
        self.metrics = Metrics()
        begin: Any = None
        steps = [Step("account", "", ("orders",), (), begin), Step("journal", "", ("moves", "orders"), (), begin)]
        self.assignment = SimpleNamespace(
            steps=steps, partitions={0: self.partition}, ready=lambda: True, memory=tuple, generation=1, apart={}
        )
        self.come_to(account=10, journal=10, moves=10)
        self.now_s = 100.0
        self.acked = {TP("postings", 1): 3}
        self.ends[TP("postings", 1)] = 3
        app: Any = SimpleNamespace(
            acks=SimpleNamespace(reached=lambda: {ORDERS: 0, **self.acked}),
            consumer=SimpleNamespace(
                highwater=self.ends.__getitem__, assignment=lambda: {ORDERS, MOVES}, waiting=lambda: self.behind
            ),
            checkpoints=SimpleNamespace(waits_for=lambda: self.waits),
        )
        assignment: Any = self.assignment
        settings = Settings(stall_s=STALL_SECONDS)
        kit: Any = SimpleNamespace(settings=settings, metrics=self.metrics, clock=lambda: 4_500)
        self.watch = Watch(app, assignment, kit)

    def come_to(self, account: int | None = None, journal: int | None = None, moves: int | None = None) -> None:
        told = {("account", "orders"): account, ("journal", "orders"): journal, ("journal", "moves"): moves}
        self.partition.positions |= {place: position for place, position in told.items() if position is not None}

    def pass_seconds(self, seconds: float, step: float = 1.0) -> dict[TP, float]:
        """Let time pass, with a look every `step` seconds, and return what stands still."""
        until = self.now_s + seconds
        while self.now_s < until:
            self.now_s += step
            self.watch.look(self.now_s)
        return self.watch.stalled


@pytest.fixture
def worker() -> Worker:
    made = Worker()
    made.watch.look(made.now_s)
    return made


def test_who_has_nothing_to_do_does_not_stand_still(worker: Worker) -> None:
    assert worker.pass_seconds(1_000) == {}
    assert worker.metrics.lags == {"orders": (0, 0.0), "moves": (0, 0.0), "postings": (0, 0.0)}
    assert worker.metrics.is_ready


def test_who_has_records_waiting_and_does_not_move_stands_still_as_long(worker: Worker) -> None:
    worker.ends[MOVES] = 12
    assert worker.pass_seconds(1) == {MOVES: 1.0}
    assert worker.pass_seconds(30) == {MOVES: 31.0}
    assert worker.metrics.lags["moves"] == (2, 2.5)
    worker.come_to(moves=11)
    assert worker.pass_seconds(1) == {}
    assert worker.pass_seconds(5) == {MOVES: 5.0}
    worker.come_to(moves=12)
    assert worker.pass_seconds(1) == {}


def test_a_feed_is_as_old_as_on_the_partition_where_it_was_heard_last(worker: Worker) -> None:
    worker.partition.gauged = {"silent_since/psa": 1_000, "silent_since/hr": 9_000, "parked": 3, "parked_since": 0}
    other, restoring = Partition(), Partition()
    other.positions = worker.partition.positions
    other.gauged = {"silent_since/psa": 3_500, "silent_since/hr": 2_000}
    restoring.ready, restoring.gauged = False, {"silent_since/psa": 4_000}
    worker.assignment.partitions |= {1: other, 2: restoring}
    worker.ends |= {TP(topic, 1): 10 for topic in ("orders", "moves")}
    worker.pass_seconds(1)
    assert worker.metrics.ages == {"psa": 1.0, "hr": 0.0}


def test_of_two_readers_of_a_topic_the_one_that_stands_still_is_seen(worker: Worker) -> None:
    worker.ends[ORDERS] = 1_000
    for position in range(10, 40):
        worker.come_to(journal=position)
        worker.pass_seconds(1)
    assert worker.watch.stalled == {ORDERS: 30.0}
    assert worker.metrics.lags["orders"] == (990, 3.5)
    assert worker.watch.waiting[0] == 990
    worker.come_to(journal=1_000)
    assert worker.pass_seconds(10) == {ORDERS: 40.0}


def test_who_is_held_does_not_stand_still_and_its_lag_is_told(worker: Worker) -> None:
    worker.ends[ORDERS] = 15
    worker.come_to(journal=15)
    worker.partition.held.add(("account", "orders"))
    assert worker.pass_seconds(1_000) == {}
    assert worker.metrics.lags["orders"] == (5, 3.5)
    assert worker.watch.waiting[0] == 5
    worker.ends[MOVES] = 12  # others of the same partition are watched as before
    assert worker.pass_seconds(30) == {MOVES: 30.0}


def test_what_stands_apart_is_told_though_no_restart_of_this_worker_helps(worker: Worker) -> None:
    """Its other topics are with workers that read other topics, until they are restarted."""
    worker.assignment.apart = {TP("orders", 3): 4}
    worker.ends[TP("orders", 3)] = 4
    assert worker.pass_seconds(100) == {}
    assert worker.metrics.still_s == 0.0
    worker.ends[TP("orders", 3)] = 6
    assert worker.pass_seconds(100) == {}
    assert worker.metrics.still_s == 100.0
    assert worker.metrics.lags["orders"] == (2, 0.0)
    worker.assignment.apart = {}
    assert worker.pass_seconds(1) == {}
    assert worker.metrics.still_s == 0.0


def test_a_source_that_waits_for_what_is_under_way_does_not_stand_still_and_that_does(worker: Worker) -> None:
    worker.ends |= {ORDERS: 500, MOVES: 12}
    worker.behind = frozenset({ORDERS})
    assert worker.pass_seconds(30) == {MOVES: 30.0}
    assert worker.metrics.lags["orders"] == (490, 3.5)
    worker.behind = frozenset()
    worker.come_to(moves=12)
    assert worker.pass_seconds(1) == {ORDERS: 1.0}


def test_an_agent_of_single_events_that_stands_still_is_seen(worker: Worker) -> None:
    postings = TP("postings", 1)
    worker.ends[postings] = 5
    assert worker.pass_seconds(30) == {postings: 30.0}
    worker.acked[postings] = 4
    assert worker.pass_seconds(1) == {}


def test_a_partition_that_is_being_restored_does_not_stand_still(worker: Worker) -> None:
    worker.ends[MOVES] = 12
    worker.partition.ready = False
    assert worker.pass_seconds(100) == {}


def test_the_time_for_which_brokers_or_registry_are_waited_for_is_not_counted(worker: Worker) -> None:
    worker.ends[MOVES] = 12
    assert worker.pass_seconds(30) == {MOVES: 30.0}
    worker.waits = "schema registry: refused"
    assert worker.pass_seconds(300) == {MOVES: 30.0}
    worker.waits = None
    assert worker.pass_seconds(20) == {MOVES: 50.0}


def test_a_wait_now_and_then_does_not_hide_who_stands_still(worker: Worker) -> None:
    worker.ends[MOVES] = 12
    for _ in range(10):
        worker.pass_seconds(8)
        worker.waits = "brokers: a round has been under way for 3 s"
        worker.pass_seconds(1)
        worker.waits = None
    assert worker.watch.stalled == {MOVES: 80.0}


def test_a_worker_that_was_suspended_is_not_taken_for_one_that_stands_still(worker: Worker) -> None:
    worker.ends[MOVES] = 12
    assert worker.pass_seconds(600, step=600) == {MOVES: 5.0}


def test_partitions_given_up_here_of_which_records_still_come_are_noticed(worker: Worker) -> None:
    worker.assignment.generation = -1
    worker.pass_seconds(30)
    assert worker.watch.forgotten_s == 30.0
    worker.assignment.generation = 2
    worker.pass_seconds(1)
    assert worker.watch.forgotten_s == 0.0


def test_how_long_the_event_loop_is_held_up_is_counted_from_the_last_look(worker: Worker) -> None:
    assert worker.watch.blocked_s(worker.now_s + 0.9) == 0.0
    assert worker.watch.blocked_s(worker.now_s + 31) == 30.0


BLOCKED = """
import asyncio, time
from types import SimpleNamespace
from streams.engine.watch import Watch

async def main():
    assignment = SimpleNamespace(ready=lambda: True, partitions={}, steps=(), memory=tuple, generation=1)
    app = SimpleNamespace(checkpoints=SimpleNamespace(waits_for=lambda: None), acks=SimpleNamespace(reached=dict))
    nothing = lambda *_: None
    metrics = SimpleNamespace(ready=nothing, memory=nothing, still=nothing)
    kit = SimpleNamespace(settings=SimpleNamespace(stall_s=1.0), metrics=metrics, clock=lambda: 0)
    async with Watch(app, assignment, kit):
        await asyncio.sleep(1.5)
        print("still here", flush=True)
        a_rule_that_does_not_return()

def a_rule_that_does_not_return():
    while True:
        time.sleep(1.0)

asyncio.run(main())
"""


def test_a_step_that_does_not_return_ends_the_worker_and_is_named() -> None:
    ran = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (1, "still here\n")
    assert "a step has not returned for 3 s" in ran.stderr
    assert "in a_rule_that_does_not_return" in ran.stderr
