"""When the partitions of an assignment are there."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from state.rocks import RocksStore
from streams.behaviour import Behaviour
from streams.engine import assignment as module
from streams.engine.assignment import Assignment, AssignmentError
from streams.engine.changelog import Extent
from streams.engine.state_folder import StateFolder, held
from streams.step import Context, Record, Step
from tests.support.kit import kit


class Idle(Behaviour):
    """Does nothing."""

    def __init__(self, _context: Context) -> None:
        super().__init__()

    def on_records(self, records: Sequence[Record]) -> None:
        """Nothing."""

    def on_timer(self, key: str) -> None:
        """Nothing."""

    def before_commit(self) -> None:
        """Nothing."""


def test_an_assignment_is_not_ready_before_its_databases_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who restarts workers one by one goes on when one is ready: it must not say so for a moment in between."""
    unused: Any = None
    ready = []

    class Opening(RocksStore):
        def __init__(self, *where: Any) -> None:
            ready.append(assignment.ready())
            super().__init__(*where)

    async def begins_and_ends() -> None:
        await assignment.take_over({TP("in", 0): None, TP("in", 1): 5}, 1, "member")
        ready.append(assignment.ready())
        for partition in assignment.partitions.values():
            partition.begin("cluster")
        ready.append(assignment.ready())
        await assignment.release()
        ready.append(assignment.ready())

    monkeypatch.setattr(module, "RocksStore", Opening)
    with held(tmp_path) as folder:
        assignment = Assignment((Step("step", "key", ("in",), (), Idle, {}),), kit(), unused, folder)
        asyncio.run(begins_and_ends())
    assert ready == [False, False, False, True, False]


UNUSED: Any = None
READS = ("in", "more")
MIXED = {TP("in", 0): 7, TP("more", 0): None, TP("in", 1): 5, TP("more", 2): 3, TP("single", 2): 9}
"""Of partition 0 all, of 1 and 2 not all; `single` is read by no step."""


def two_topics(folder: StateFolder) -> Assignment:
    return Assignment((Step("step", "key", READS, (), Idle, {}),), kit(partitions=4), UNUSED, folder)


def test_of_a_partition_of_which_others_have_some_topics_nothing_is_opened_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with held(tmp_path) as folder:
        assignment = two_topics(folder)
        asyncio.run(assignment.take_over(MIXED, 1, "member"))
        assert list(assignment.partitions) == [0]
        assert assignment.apart == {TP("in", 1): 5, TP("more", 2): 3}
        why = (
            "the others of its topics are with workers of the group that read other topics; it goes on when all of "
            "them are restarted with the same topics"
        )
        assert assignment.held() == {"in/1": why, "more/2": why}
        assert caplog.messages == [
            f"partition 1 waits: it was assigned without more; {why}",
            f"partition 2 waits: it was assigned without in; {why}",
        ]
        asyncio.run(assignment.release())
        assert assignment.held() == {}


def test_of_many_missing_topics_some_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    step = Step("step", "key", tuple("fedcba"), (), Idle, {})
    with held(tmp_path) as folder:
        assignment = Assignment((step,), kit(partitions=4), UNUSED, folder)
        asyncio.run(assignment.take_over({TP("f", 1): None}, 1, "member"))
    (line,) = caplog.messages
    assert line.startswith("partition 1 waits: it was assigned without a, b, c and 2 others; ")


def test_records_come_of_what_is_open_and_of_single_events_alone(tmp_path: Path) -> None:
    resumed: list[TP] = []

    class Changelog:
        cluster = "cluster"

        def restore(self) -> None:
            """Nothing is restored."""

        def extents(self, numbers: list[int]) -> dict[int, Extent]:
            return {number: Extent(0, 0) for number in numbers}

        def start_of(self, *_: Any) -> int:
            return 0

    nothing_missing: Any = Changelog()

    async def begins() -> None:
        await assignment.take_over(MIXED | {TP("in", 0): None}, 1, "member")
        await assignment.restore(MIXED | {TP("in", 0): None}, lambda tps, _: resumed.extend(tps))
        await assignment.release()

    with held(tmp_path) as folder:
        assignment = Assignment((Step("step", "key", READS, (), Idle, {}),), kit(partitions=4), nothing_missing, folder)
        asyncio.run(begins())
    assert sorted(resumed) == [TP("in", 0), TP("more", 0), TP("single", 2)]


def test_a_topic_that_has_grown_is_refused(tmp_path: Path) -> None:
    with held(tmp_path) as folder, pytest.raises(AssignmentError) as refused:
        asyncio.run(two_topics(folder).take_over({TP("in", 4): 0, TP("more", 4): 0}, 1, "member"))
    assert str(refused.value) == (
        "topic in has a partition 4, but every topic must have 4 partitions (setting partitions), or what is keyed "
        "alike does not meet; see docs/operating.md#changing-the-number-of-partitions"
    )
