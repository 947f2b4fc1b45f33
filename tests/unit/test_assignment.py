"""An assignment while it begins."""

import asyncio
from pathlib import Path

from faust.types import TP

from streams.engine.assignment import Assignment
from streams.engine.changelog import Changelog
from streams.engine.state_folder import StateFolder
from tests.broker.toys import ACCOUNT, JsonWire
from tests.support.kit import kit


def test_a_worker_is_not_ready_while_its_databases_are_opened_and_restored(tmp_path: Path) -> None:
    ready: list[bool] = []

    class Folder(StateFolder):
        def database(self, partition: int) -> Path:
            ready.append(assignment.ready())
            return super().database(partition)

    parts = kit(JsonWire(), brokers="127.0.0.1:1")
    changelog = Changelog(parts, "toy.changelog", "cluster", tombstones_ms=0)
    assignment = Assignment((ACCOUNT,), parts, changelog, Folder(tmp_path, "a"))

    async def begin() -> None:
        await assignment.take_over({TP(topic, number): None for topic in ACCOUNT.reads for number in (0, 1)}, 3, None)
        ready.append(assignment.ready())
        for partition in assignment.partitions.values():
            partition.begin("cluster")
        ready.append(assignment.ready())
        await assignment.release()
        ready.append(assignment.ready())

    asyncio.run(begin())
    assert ready == [False, False, False, True, False]
