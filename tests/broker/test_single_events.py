"""Ordinary agents on our transport, one event at a time: order, acknowledgement without gaps, failures, slowness."""

from collections import defaultdict
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from streams.partitioning import partition_of
from tests.broker.bench import WorkerChild, await_committed, await_written, committed, drain, feed, read_all, worker
from tests.broker.single_worker import OUT, QUICK, RELEASED, SLOW

pytestmark = pytest.mark.broker

HERE, ELSEWHERE = "c1", "c2"
"""Two keys of different partitions."""

PARTITION = partition_of(HERE, 4)


def singles(brokers: str, folder: Path, *how: str) -> AbstractContextManager[WorkerChild]:
    return worker(brokers, folder, *how, program="tests.broker.single_worker")


def passed_on(brokers: str) -> dict[str, list[str]]:
    found = defaultdict(list)
    for _, key, value in read_all(brokers, OUT):
        found[key].append(value)
    return dict(found)


def records(topic: str, keys: int, each: int, first: int = 0) -> list[tuple[str, str, bytes]]:
    return [(topic, f"k{key}", b"%d" % number) for number in range(first, first + each) for key in range(keys)]


def test_the_keys_of_these_tests_live_apart() -> None:
    assert partition_of(HERE, 4) != partition_of(ELSEWHERE, 4)


def test_events_come_in_order_and_a_restart_repeats_none(brokers: str, tmp_path: Path) -> None:
    feed(brokers, records(QUICK, 10, 30))
    with singles(brokers, tmp_path) as child:
        drain(brokers, 300, child, [QUICK])
        assert child.stop() == 0
    feed(brokers, records(QUICK, 10, 5, first=30))
    with singles(brokers, tmp_path) as child:
        drain(brokers, 350, child, [QUICK])
        assert child.stop() == 0
    assert passed_on(brokers) == {f"k{key}": [str(number) for number in range(35)] for key in range(10)}


def test_beside_steps_each_has_its_own(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [*records(QUICK, 5, 20), ("toy.orders", "c1", b"7"), ("toy.orders", "c1", b"5")])
    with singles(brokers, tmp_path, "beside") as child:
        drain(brokers, 100 + 2 + 2, child, [QUICK, "toy.orders", "toy.moves"])
        assert child.stop() == 0
    assert passed_on(brokers) == {f"k{key}": [str(number) for number in range(20)] for key in range(5)}
    assert [value["owed"] for _, _, value in read_all(brokers, "toy.journal")] == [7, 12]


def test_what_is_done_out_of_order_is_not_committed_past_the_gap(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [(SLOW, HERE, value) for value in (b"first", b"hold", b"a", b"b")])
    with singles(brokers, tmp_path) as child:
        await_written(brokers, OUT, 3, child)
        feed(brokers, [(SLOW, ELSEWHERE, b"c")])
        await_written(brokers, OUT, 4, child)
        await_committed(brokers, SLOW, {partition_of(ELSEWHERE, 4): 1}, child)
        assert committed(brokers, SLOW).get(PARTITION, 0) <= 1
        child.kill()
    told = passed_on(brokers)
    assert (sorted(told[HERE]), told[ELSEWHERE]) == (["a", "b", "first"], ["c"])
    (tmp_path / RELEASED).touch()
    with singles(brokers, tmp_path) as child:
        drain(brokers, 5, child, [SLOW])
        assert child.stop() == 0
    assert committed(brokers, SLOW)[PARTITION] == 4
    assert sorted(set(passed_on(brokers)[HERE])) == ["a", "b", "first", "hold"]


def test_what_agents_send_waits_for_a_checkpoint_and_is_written_with_what_led_to_it(
    brokers: str, tmp_path: Path
) -> None:
    feed(brokers, [(QUICK, HERE, b"one"), (QUICK, HERE, b"two")])
    with singles(brokers, tmp_path, "interval=60000") as child:
        child.says("passed on two")
        assert (committed(brokers, QUICK), passed_on(brokers)) == ({}, {})
        assert child.stop() == 0  # the last checkpoint is on its way out
    assert committed(brokers, QUICK)[PARTITION] == 2
    assert passed_on(brokers) == {HERE: ["one", "two"]}


def test_an_error_in_an_agent_ends_the_worker_and_acknowledges_nothing_of_it(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [(QUICK, HERE, value) for value in (b"one", b"bad", b"three")])
    with singles(brokers, tmp_path, "fails") as child:
        assert child.ended() == 1
        assert "a bad value cannot be passed on" in child.messages
    assert committed(brokers, QUICK).get(PARTITION, 0) <= 1
    with singles(brokers, tmp_path) as child:
        drain(brokers, 3, child, [QUICK])
        assert child.stop() == 0
    assert passed_on(brokers)[HERE][-2:] == ["bad", "three"]


def test_a_slow_agent_holds_up_only_its_own_partitions(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [(SLOW, f"k{number}", b"hold") for number in range(60_000)])
    with singles(brokers, tmp_path, "beside") as child:
        child.says("assigned: partitions")
        for portion in range(3):
            feed(brokers, records(QUICK, 20, 50, first=50 * portion))
            feed(brokers, [("toy.orders", "c1", b"1")] * 200)
            drain(brokers, (portion + 1) * 1_400, child, [QUICK, "toy.orders", "toy.moves"])
        assert sum(committed(brokers, SLOW).values()) == 0
        assert child.stop() == 0
    assert passed_on(brokers) == {f"k{key}": [str(number) for number in range(150)] for key in range(20)}
