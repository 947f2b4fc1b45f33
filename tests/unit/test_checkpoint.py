"""Checkpoints: what a round holds, what it is atomic against, and what each failure does."""

import asyncio
from typing import Any

import pytest
from faust.types import TP

from streams.engine.partition import Hold
from streams.engine.round import MembershipOver, WriteError
from streams.engine.transport.batch import Batch
from streams.engine.transport.producer import ANY_PARTITION, Encoded
from tests.broker.toys import ACCOUNT, REMINDER_MS
from tests.support.messages import message
from tests.unit.checkpoint_bench import BROKEN, GENERATION, MEMBER, ORDERS, POSTINGS, Bench, Play, play, turns

__all__ = ["play"]

PAYMENTS = TP("toy.payments", 0)


def test_a_round_holds_outputs_changes_and_offsets_and_then_the_store_knows_its_place(
    play: Play,
) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5, 7)
        assert await bench.checkpoints.run()

    bench = play(story)
    (written,) = bench.writer.rounds
    assert [(record.topic, record.key, record.partition) for record in written.outputs] == [
        ("toy.moves", b"c1", ANY_PARTITION)
    ] * 2
    assert bench.owed() == [5, 12]
    assert (written.offsets, written.member) == ({ORDERS: 2}, MEMBER)
    assert b"account/sums\x00c1" in dict(written.changes[0])
    assert (bench.store.position, bench.store.written_at) == (100, bench.now)
    assert bench.store.get("account/sums", "c1") is not None


def test_with_nothing_new_there_is_no_round_but_offsets_that_pass_no_record_are_committed_at_times(
    play: Play,
) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        assert await bench.checkpoints.run()
        assert not await bench.checkpoints.run()
        await bench.take(first=1, end=9)
        assert not await bench.checkpoints.run()
        bench.checkpoints._committed_at -= 1.0
        assert await bench.checkpoints.run()
        assert not await bench.checkpoints.run()

    bench = play(story)
    assert [(len(written.outputs), written.offsets) for written in bench.writer.rounds] == [
        (1, {ORDERS: 1}),
        (0, {ORDERS: 9}),
    ]


def test_a_timer_that_falls_due_is_a_round_of_its_own(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        await bench.checkpoints.run()
        bench.now += REMINDER_MS - 1
        assert not await bench.checkpoints.run()
        bench.now += 1
        assert await bench.checkpoints.run()

    bench = play(story)
    assert [record.topic for record in bench.writer.rounds[-1].outputs] == ["toy.reminders"]
    assert bench.writer.rounds[-1].offsets == {ORDERS: 1}  # by which brokers know whose round it is


async def sent(bench: Bench) -> None:
    """Let an agent send one record."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    bench.agents.sent = [(Encoded("receipts", b"k", b"v", 1, ANY_PARTITION, []), future)]


def test_what_agents_send_before_they_acknowledge_anything_goes_with_an_offset_too(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await sent(bench)
        assert await bench.checkpoints.run()

    (written,) = play(story).writer.rounds
    assert ([record.topic for record in written.outputs], written.offsets) == (["receipts"], {POSTINGS: 3})


def test_without_an_assignment_there_is_no_round(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        bench.writer.failures = [MembershipOver("commit: unknown member")]
        assert not await bench.checkpoints.run()
        await sent(bench)
        bench.agents.acked = {POSTINGS: 7}
        assert not await bench.checkpoints.run()

    assert play(story).writer.rounds == []


def test_what_is_taken_in_while_a_round_is_written_is_of_the_next_and_sees_what_that_one_changed(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        async with bench.while_written() as first:
            await bench.take(7, first=1)
            positions = [bench.store.position]
        assert await first
        assert [*positions, bench.store.position] == [None, 100]
        assert await bench.checkpoints.run()

    bench = play(story)
    assert [written.offsets for written in bench.writer.rounds] == [{ORDERS: 1}, {ORDERS: 2}]
    assert bench.owed() == [5, 12]
    assert bench.store.position == 200


def test_one_round_is_written_at_a_time(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        async with bench.while_written() as first:
            await bench.take(7, first=1)
            second = asyncio.create_task(bench.checkpoints.run())
            await turns()
            assert bench.writer.rounds == []
        assert (await first, await second) == (True, True)

    assert [written.offsets for written in play(story).writer.rounds] == [{ORDERS: 1}, {ORDERS: 2}]


def test_who_changes_the_assignment_waits_for_the_round_and_has_nothing_taken_in_meanwhile(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        seen: list[int | None] = []

        async def change() -> None:
            async with bench.checkpoints.apart():
                seen.append(len(bench.writer.rounds))
                await turns()
                seen.append(bench.partition.position("account", "toy.orders"))

        async with bench.while_written():
            changing = asyncio.create_task(change())
            await turns()
            assert seen == []
        late = asyncio.create_task(bench.take(7, first=1))
        await changing
        assert seen == [1, 1]
        await late

    assert play(story).partition.position("account", "toy.orders") == 2


@pytest.mark.parametrize("error", [MembershipOver("commit: unknown member"), WriteError("not written")])
def test_what_was_taken_in_while_a_round_failed_is_dropped_with_it(play: Play, error: Exception) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        bench.writer.failures = [error]
        async with bench.while_written() as first:
            await bench.take(7, 8, first=1)
            late = asyncio.create_task(bench.take(9, first=3))
            await turns()
            assert not late.done()  # there is no room for more
        assert first.exception() is error if isinstance(error, WriteError) else not await first
        await late
        assert not await bench.checkpoints.run()

    bench = play(story, checkpoint_records_max=2)
    assert (bench.writer.rounds, bench.agents.told, bench.store.position) == ([], [], None)


def test_after_so_many_records_a_batch_waits_for_a_round(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(1, 2)
        assert not bench.checkpoints._full.is_set()
        await bench.take(3, first=2)
        assert bench.checkpoints._full.is_set()
        late = asyncio.create_task(bench.take(4, first=3))
        await turns()
        assert not late.done()
        await bench.checkpoints.run()
        await late

    bench = play(story, checkpoint_records_max=3)
    assert bench.owed() == [1, 3, 6]
    assert bench.partition.position("account", "toy.orders") == 4


@pytest.mark.parametrize(("generation", "ready"), [(GENERATION - 1, True), (GENERATION + 1, True), (GENERATION, False)])
def test_a_batch_of_another_assignment_or_of_a_partition_not_ready_is_left(
    play: Play, generation: int, ready: bool
) -> None:
    async def story(bench: Bench) -> None:
        bench.partition.ready = ready
        await bench.take(5, generation=generation)

    assert play(story).partition.position("account", "toy.orders") is None


def test_a_timer_that_fires_before_anything_was_read_is_written_under_an_offset_that_says_so(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.partition._tasks["account"].context.timers.set("c1", 1)
        assert await bench.checkpoints.run()
        assert not await bench.checkpoints.run()

    (written,) = play(story).writer.rounds
    assert (len(written.outputs), written.offsets) == (1, {ORDERS: 0})


def test_what_agents_sent_and_acknowledged_is_in_the_round_and_told_once_it_is_written(
    play: Play,
) -> None:
    sent = Encoded("receipts", b"k", b"v", 1, ANY_PARTITION, [])
    acked = {TP("postings", 2): 7}

    async def story(bench: Bench) -> None:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        bench.agents.sent, bench.agents.acked = [(sent, future)], acked
        assert await bench.checkpoints.run()
        assert future.done()

    bench = play(story)
    (written,) = bench.writer.rounds
    assert (written.outputs, written.offsets, bench.agents.told) == ([sent], acked, [acked])


def test_when_the_group_has_given_the_partitions_to_others_all_is_dropped(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        bench.agents.sent = [(Encoded("receipts", b"k", b"v", 1, ANY_PARTITION, []), future)]
        bench.writer.failures = [MembershipOver("commit: unknown member")]
        assert not await bench.checkpoints.run()
        assert future.cancelled()  # whoever waits for it must not wait for ever
        await bench.take(6, first=1)
        assert not await bench.checkpoints.run()

    bench = play(story)
    assert (bench.writer.rounds, bench.agents.told, bench.assignment.released) == ([], [], 1)
    assert (bench.store.position, bench.store.get("account/sums", "c1")) == (None, None)


def test_after_an_error_nothing_is_written_or_acknowledged_any_more(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        bench.writer.failures = [WriteError("3 records were not written")]
        with pytest.raises(WriteError, match="3 records were not written"):
            await bench.checkpoints.run()
        await bench.take(6, first=1)
        assert not await bench.checkpoints.run()

    bench = play(story)
    assert (bench.writer.rounds, bench.agents.told, bench.store.position) == ([], [], None)
    assert bench.partition.position("account", "toy.orders") == 1


def test_a_rule_that_fails_at_a_timer_breaks_the_round_for_good(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        await bench.checkpoints.run()

        def fail(key: str) -> None:
            raise ZeroDivisionError(f"a rate of nothing for {key}")

        bench.partition._tasks["account"]._behaviour.on_timer = fail  # type: ignore[method-assign]
        bench.now += REMINDER_MS
        with pytest.raises(ZeroDivisionError):
            await bench.checkpoints.run()
        bench.now += REMINDER_MS
        assert not await bench.checkpoints.run()

    assert len(play(story).writer.rounds) == 1


def test_from_a_broken_record_on_a_topic_is_held_and_what_came_before_is_committed(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5, 7, BROKEN, 9)
        await bench.take(11, first=4)  # was fetched before fetching ended
        assert await bench.checkpoints.run()
        assert not await bench.checkpoints.run()

    bench = play(story)
    assert [written.offsets for written in bench.writer.rounds] == [{ORDERS: 2}]
    assert (bench.owed(), bench.agents.held) == ([5, 12], [(ORDERS, GENERATION)])
    assert bench.partition.held == {
        ("account", "toy.orders"): Hold(2, ("amount",), "toy.orders: table orders has no column amount")
    }
    said = "held: toy.orders: table orders has no column amount (partition 0, offset 2)"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [said]
    sample = bench.metrics.registry.get_sample_value
    assert sample("throughline_held_partitions", {"topic": "toy.orders", "column": "amount"}) == 1.0


def test_a_topic_that_is_broken_from_the_first_record_is_not_acknowledged_at_all(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(BROKEN, 9)
        assert not await bench.checkpoints.run()
        payment = message("toy.payments", 0, 0, "c1", b"3")
        await bench.checkpoints.take(ACCOUNT, Batch(PAYMENTS, [payment], 1, GENERATION))
        assert await bench.checkpoints.run()

    bench = play(story)
    (written,) = bench.writer.rounds
    assert (written.offsets, bench.owed()) == ({PAYMENTS: 1}, [-3])
    assert bench.partition.position("account", "toy.orders") is None


def test_who_was_told_to_stop_all_writes_nothing(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.take(5)
        bench.checkpoints.stop_all()
        assert not await bench.checkpoints.run()

    assert play(story).writer.rounds == []
