"""When the partitions of an assignment are there."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from state.rocks import RocksStore
from streams.behaviour import Behaviour
from streams.engine import assignment as module
from streams.engine.assignment import Assignment
from streams.engine.state_folder import held
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
