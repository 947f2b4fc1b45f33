"""Checkpoints over one partition of one step, with a writer, agents, a registry and a clock in the test's hand."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from schemas.evolution import BrokenSchema
from schemas.registry import RegistryUnavailable
from state.rocks import RocksStore
from streams.config import Settings
from streams.engine import checkpoint
from streams.engine.checkpoint import Checkpoints
from streams.engine.kit import Kit
from streams.engine.metrics import Metrics
from streams.engine.partition import Partition
from streams.engine.probe import unwatched
from streams.engine.round import Commit
from streams.engine.transport.batch import Batch
from streams.engine.transport.producer import Encoded
from streams.step import Record
from tests.broker.toys import ACCOUNT, JsonWire
from tests.support.messages import message

ORDERS = TP("toy.orders", 0)
POSTINGS = TP("toy.postings", 0)
"""A topic that agents of single events read, and have acknowledged up to 3."""

GENERATION = 3
MEMBER = "group metadata"
"""What the client gives; nobody looks into it."""


class FakeWriter:
    """Keeps what it is told to write, and fails when told to."""

    def __init__(self) -> None:
        self.rounds: list[Commit] = []
        self.failures: list[Exception] = []
        self.may_write = threading.Event()
        self.may_write.set()
        self.writing = threading.Event()

    def open(self) -> None:
        pass

    def write(self, commit: Commit) -> None:
        commit.queued()
        self.writing.set()
        assert self.may_write.wait(30)
        self.writing.clear()
        if self.failures:
            raise self.failures.pop(0)
        self.rounds.append(commit)
        commit.ends.update({number: 100 * len(self.rounds) for number in commit.changes})

    def close(self) -> None:
        pass


class FakeAgents:
    """Agents of single events, which have sent and acknowledged what the test says."""

    def __init__(self) -> None:
        self.sent: list[tuple[Encoded, asyncio.Future[Any]]] = []
        self.acked: dict[TP, int] = {}
        self.told: list[dict[TP, int]] = []
        self.all_taken_in = False
        self.held: list[tuple[TP, int]] = []

    def hold(self, tp: TP, generation: int) -> None:
        self.held.append((tp, generation))

    def take_sent(self) -> Sequence[tuple[Encoded, asyncio.Future[Any]]]:
        sent, self.sent = self.sent, []
        return sent

    def advanced(self) -> dict[TP, int]:
        return dict(self.acked)

    def committed(self, offsets: dict[TP, int]) -> None:
        self.told.append(offsets)

    def fence(self) -> dict[TP, int]:
        return {POSTINGS: 3}

    def caught_up(self) -> bool:
        return self.all_taken_in


class FakeAssignment:
    """One partition, held until it is released."""

    def __init__(self, partition: Partition) -> None:
        self.generation = GENERATION
        self.member: Any = MEMBER
        self.partitions = {0: partition}
        self.released = 0

    async def release(self) -> None:
        self.generation, self.member, self.partitions = -1, None, {}
        self.released += 1


BROKEN = b"broken"
"""A value of a table that was altered."""


class Wire(JsonWire):
    """A wire whose registry may be away for some calls."""

    def read(self, record: Record) -> Any:
        if record.value == BROKEN:
            raise BrokenSchema(record.topic, 17, ("amount",), f"{record.topic}: table orders has no column amount")
        return super().read(record)

    def __init__(self) -> None:
        self.away_for_reads = 0
        self.away_for_writes = 0

    def records(self, topic: str, partition: int, messages: Any) -> list[Record]:
        if self.away_for_reads:
            self.away_for_reads -= 1
            raise RegistryUnavailable("schema registry: refused")
        return super().records(topic, partition, messages)

    def write(self, topic: str, value: Any) -> bytes | None:
        if self.away_for_writes:
            self.away_for_writes -= 1
            raise RegistryUnavailable("schema registry: refused")
        return super().write(topic, value)


class Bench:
    """Checkpoints over one partition of one step, with everything around them in the test's hand."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.now = 1_000_000
        self.wire, self.writer, self.agents, self.metrics = Wire(), FakeWriter(), FakeAgents(), Metrics()
        self.store = RocksStore(folder / "db")
        kit = Kit(Settings(**settings), self.wire, self.metrics, lambda: self.now, unwatched)
        self.partition = Partition(0, (ACCOUNT,), self.store, kit)
        self.partition.begin("cluster")
        self.assignment = FakeAssignment(self.partition)
        held: Any = self.assignment
        self.checkpoints = Checkpoints(held, self.writer, self.agents, kit)

    async def take(
        self, *amounts: int | bytes, first: int = 0, end: int | None = None, generation: int = GENERATION
    ) -> None:
        messages = [
            message("toy.orders", 0, offset, "c1", amount if isinstance(amount, bytes) else b"%d" % amount)
            for offset, amount in enumerate(amounts, first)
        ]
        end = first + len(amounts) if end is None else end
        await self.checkpoints.take(ACCOUNT, Batch(ORDERS, messages, end, generation))

    @asynccontextmanager
    async def while_written(self) -> AsyncIterator[asyncio.Task[bool]]:
        """A round that the writer holds, while the body runs, and then finishes as it will."""
        self.writer.may_write.clear()
        running = asyncio.create_task(self.checkpoints.run())
        await asyncio.to_thread(self.writer.writing.wait, 30)
        try:
            yield running
        finally:
            self.writer.may_write.set()
            await asyncio.wait([running])

    def owed(self) -> list[int]:
        """What each round has told of the customer's debt."""
        return [
            int(record.value.decode().split('"owed":')[1].split(",")[0])
            for written in self.writer.rounds
            for record in written.outputs
            if record.topic == "toy.moves" and record.value
        ]


Story = Callable[[Bench], Awaitable[None]]
Play = Callable[..., Bench]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs a story against a bench; who waits for a registry waits for milliseconds."""
    monkeypatch.setattr(checkpoint, "_WAIT_SECONDS_FIRST", 0.001)

    def run(story: Story, **settings: Any) -> Bench:
        async def told() -> Bench:
            bench = Bench(tmp_path, **settings)
            await asyncio.wait_for(story(bench), 30)
            return bench

        return asyncio.run(told())

    return run


async def turns(times: int = 5) -> None:
    """Let others on the event loop come as far as they can."""
    for _ in range(times):
        await asyncio.sleep(0)
