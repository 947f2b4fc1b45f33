"""Checkpoints that wait: for a registry when they read or write, and for brokers."""

import asyncio
import time

import pytest

from streams.engine import checkpoint
from tests.broker.toys import ACCOUNT
from tests.unit.checkpoint_bench import ORDERS, Bench, Play, play, turns

__all__ = ["play"]


def waiting(bench: Bench) -> bool:
    """Whether the step is told that records wait which cannot be taken in."""
    return bench.assignment.partitions[0]._tasks[ACCOUNT.name].context.waits


def test_a_batch_waits_for_the_registry_and_is_taken_in_whole_then(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.wire.away_for_reads = 3
        batch = asyncio.create_task(bench.take(5, 7))
        while bench.wire.away_for_reads > 1:
            await asyncio.sleep(0)
        assert bench.checkpoints.waits_for() == "schema registry: refused"
        assert waiting(bench)
        await batch
        assert bench.checkpoints.waits_for() is None
        assert not waiting(bench)
        await bench.checkpoints.run()

    bench = play(story)
    assert bench.owed() == [5, 12]
    assert bench.writer.rounds[0].offsets == {ORDERS: 2}


def test_rounds_go_on_while_a_batch_waits_for_the_registry(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        bench.wire.away_for_reads = 1_000_000
        batch = asyncio.create_task(bench.take(7, first=1))
        await turns()
        assert await bench.checkpoints.run()
        bench.wire.away_for_reads = 0
        await batch

    assert play(story).owed() == [5]


def test_a_round_waits_for_the_registry_and_is_written_whole_then(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5, 7)
        bench.wire.away_for_writes = 3
        assert await bench.checkpoints.run()
        assert bench.checkpoints.waits_for() is None

    bench = play(story)
    assert bench.owed() == [5, 12]
    assert bench.writer.rounds[0].offsets == {ORDERS: 2}


@pytest.mark.parametrize("waits_already", [True, False])
def test_a_round_that_waits_for_the_registry_is_dropped_when_the_partitions_are_to_go(
    play: Play, waits_already: bool
) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        bench.wire.away_for_writes = 1_000_000
        if not waits_already:
            bench.checkpoints.hurry(True)
        running = asyncio.create_task(bench.checkpoints.run())
        if waits_already:
            while bench.checkpoints.waits_for() is None:
                await asyncio.sleep(0)
            bench.checkpoints.hurry(True)
        assert not await running

    bench = play(story)
    assert (bench.writer.rounds, bench.assignment.released, bench.store.position) == ([], 1, None)


def test_a_round_that_takes_long_to_be_written_waits_for_brokers(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_WRITE_SECONDS_USUAL", 0.0)

    async def story(bench: Bench) -> None:
        await bench.take(5)
        async with bench.while_written() as running:
            assert bench.checkpoints.waits_for() == "brokers: a round has been under way for 0 s"
        assert await running
        assert bench.checkpoints.waits_for() is None

    play(story)


@pytest.mark.parametrize(
    ("all_taken_in", "began_s_ago", "ended_s_ago", "due"),
    [(True, 60, 0, True), (True, 59, 0, False), (False, 60, 0, False), (False, 120, 59, False), (False, 120, 60, True)],
)
def test_a_round_is_due_an_interval_after_the_last_began_if_all_is_taken_in_else_after_it_ended(
    play: Play, all_taken_in: bool, began_s_ago: int, ended_s_ago: int, due: bool
) -> None:
    async def story(bench: Bench) -> None:
        bench.agents.all_taken_in = all_taken_in
        now = time.monotonic()
        waiting = asyncio.create_task(bench.checkpoints._until_due(now - began_s_ago, now - ended_s_ago))
        await turns(20)
        assert waiting.done() == due
        await bench.take(5, 7)  # fills the round
        await asyncio.wait_for(waiting, 30)

    play(story, checkpoint_interval_ms=60_000, checkpoint_records_max=2)


def test_waits_get_longer_up_to_five_seconds() -> None:
    waits = checkpoint._backoff()
    assert [next(waits) for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
