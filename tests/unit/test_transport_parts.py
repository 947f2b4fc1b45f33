"""Parts of the transport by themselves: contiguous acknowledgements, room for what is held, batches as events."""

import asyncio
import threading
import time
import weakref
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from faust.streams import _current_event
from faust.types import TP

from streams.engine.transport.acks import Acks
from streams.engine.transport.batch import Batch, BatchSchema
from streams.engine.transport.producer import ANY_PARTITION, Encoded, Producer
from streams.engine.transport.room import Room

A, B, C = TP("entries", 0), TP("entries", 1), TP("facts", 0)


def expecting(*offsets: int) -> Acks:
    acks = Acks()
    for offset in offsets:
        acks.expect(A, offset)
    return acks


@pytest.mark.parametrize(
    ("done", "end"),
    [
        ([], None),
        ([5], 6),
        ([6], None),
        ([6, 7], None),
        ([6, 5], 7),
        ([7, 5, 6], 8),
        ([5, 5, 5], 6),
        ([4], None),
        ([5, 6, 7, 9], 10),
        ([9, 7, 6], None),
    ],
)
def test_what_may_be_committed_has_no_gap_before_it(done: list[int], end: int | None) -> None:
    acks = expecting(5, 6, 7, 9)  # 8 is the mark of a transaction
    for offset in done:
        acks.done(A, offset)
    assert acks.advanced() == ({} if end is None else {A: end})
    assert acks.under_way() == 4 - (0 if end is None else sum(offset < end for offset in (5, 6, 7, 9)))


def test_what_was_committed_is_not_told_again_until_it_moves() -> None:
    acks = expecting(0, 1)
    acks.expect(B, 3)
    acks.done(A, 0)
    acks.done(B, 3)
    assert acks.advanced() == {A: 1, B: 4}
    acks.committed({A: 1, B: 4})
    assert acks.advanced() == {}
    acks.done(A, 1)
    assert acks.advanced() == {A: 2}


def test_an_acknowledgement_that_comes_while_the_round_is_written_is_told_in_the_next() -> None:
    acks = expecting(0, 1)
    acks.done(A, 0)
    round_of = acks.advanced()
    acks.done(A, 1)
    acks.committed(round_of)
    assert acks.advanced() == {A: 2}


def test_marks_and_the_end_of_a_partition_are_passed_over_once_all_before_them_is_done() -> None:
    acks = expecting(0, 1)
    acks.pass_over(A, 4)
    acks.done(A, 0)
    assert acks.advanced() == {A: 1}
    acks.done(A, 1)
    assert acks.advanced() == {A: 4}
    acks.pass_over(A, 4)
    acks.pass_over(A, 2)
    assert acks.advanced() == {A: 4}
    assert acks.under_way() == 0


def test_a_partition_without_records_is_passed_over_at_once() -> None:
    acks = Acks()
    acks.pass_over(A, 0)
    acks.pass_over(B, 7)
    assert acks.advanced() == {B: 7}


def test_an_acknowledgement_of_a_former_assignment_is_ignored() -> None:
    acks = expecting(0, 1)
    acks.begin({B: 4})
    acks.done(A, 0)
    acks.committed({A: 1})
    assert (acks.advanced(), acks.under_way(), acks.reached()) == ({}, 0, {B: 4})
    acks.expect(B, 5)
    acks.done(B, 0)
    assert acks.advanced() == {}
    acks.done(B, 5)
    assert acks.advanced() == acks.reached() == {B: 6}


def holding(records_max: int, held: dict[TP, int]) -> Room:
    room = Room(records_max)
    for tp, records in held.items():
        room.take(tp, records)
    return room


@pytest.mark.parametrize(
    ("held", "left", "fullest"),
    [
        ({}, True, set()),
        ({A: 99}, True, {A}),
        ({A: 100}, False, {A}),
        ({A: 60, B: 40}, False, {A}),
        ({A: 50, B: 50}, False, {A, B}),
        ({A: 80, B: 20, C: 0}, False, {A}),
        ({A: 34, B: 34, C: 33}, False, {A, B}),
    ],
)
def test_who_holds_a_fair_share_or_more_is_paused(held: dict[TP, int], left: bool, fullest: set[TP]) -> None:
    room = holding(100, held)
    assert room.left() is left
    assert room.pause_fullest() == fullest


def test_what_is_held_of_a_paused_partition_takes_no_room_from_the_others() -> None:
    room = holding(100, {A: 90, B: 20})
    assert not room.left()
    assert room.pause_fullest() == {A}
    assert room.left()
    room.take(A, 5)  # was on its way
    room.take(B, 79)
    assert room.left()
    room.take(B, 1)
    assert not room.left()
    room.give_back(A, 50, 0)
    assert not room.left()
    assert room.pause_fullest() == {B}
    assert room.left()
    assert room.pause_fullest() == set()


def test_a_partition_is_fetched_again_once_it_holds_a_quarter_of_its_share() -> None:
    room = holding(100, {A: 90, B: 10})
    assert room.pause_fullest() == {A}
    room.give_back(A, 77, 0)
    assert room.resume_drained() == set()
    room.give_back(A, 1, 0)
    assert room.resume_drained() == {A}
    assert room.resume_drained() == set()
    room.take(B, 77)
    assert room.left()
    room.take(A, 1)
    assert not room.left()


def test_what_is_given_back_of_a_former_assignment_makes_no_room() -> None:
    room = holding(100, {A: 90})
    room.begin(2)
    assert room.left()
    room.take(A, 100)
    room.give_back(A, 90, 1)
    room.give_back(B, 50, 2)
    assert not room.left()
    room.give_back(A, 1, 2)
    assert room.left()


def test_a_wait_for_room_ends_with_room_when_woken_or_in_time() -> None:
    room = holding(10, {A: 10})
    assert room.wait(0.001) is False
    room.wake()
    began = time.monotonic()
    assert room.wait(30) is False
    assert time.monotonic() - began < 10
    giver = threading.Thread(target=room.give_back, args=(A, 1, 0))
    giver.start()
    assert room.wait(30) is True
    giver.join()


def test_a_batch_is_the_value_of_one_event_and_is_not_decoded() -> None:
    batch = Batch(A, (), 7, 3)
    made: list[Any] = []

    def create_event(key: Any, value: Any, headers: Any, message: Any) -> str:
        made.append((key, value, headers, message))
        return "event"

    message = SimpleNamespace(value=batch)
    decode = BatchSchema().compile(SimpleNamespace(create_event=create_event))
    assert asyncio.run(decode(message, propagate=True)) == "event"
    assert made == [(None, batch, None, message)]


def a_producer(generation: int = 4) -> Producer:
    producer = object.__new__(Producer)
    producer._sent = []
    producer.app = cast(Any, SimpleNamespace(consumer_generation_id=generation))
    return producer


@pytest.mark.parametrize(("generation", "kept"), [(3, False), (4, True)])
def test_what_an_agent_sends_for_an_event_of_a_former_assignment_is_dropped(generation: int, kept: bool) -> None:
    """The event comes again to whoever has its partition now, and would be answered twice."""
    event = Mock(message=Mock(generation_id=generation))

    async def sent() -> tuple[int, bool]:
        producer = a_producer()
        token = _current_event.set(weakref.ref(event))
        future = cast("asyncio.Future[Any]", await producer.send("triggers", b"C1", b"one", None, 1.5, None))
        _current_event.reset(token)
        return len(producer.take_sent()), future.cancelled()

    assert asyncio.run(sent()) == (int(kept), not kept)


def test_what_agents_send_waits_for_a_checkpoint_to_take_it() -> None:
    async def sent() -> tuple[list[Encoded], list[Encoded], bool]:
        producer = a_producer()
        await producer.send("triggers", b"C1", b"one", None, 1.5, {"trace": b"t"})
        later = await producer.send("triggers", None, None, 3, None, None)
        taken = producer.take_sent()
        return [record for record, _ in taken], [record for record, _ in producer.take_sent()], later.done()  # type: ignore[attr-defined]

    taken, again, done = asyncio.run(sent())
    assert taken == [
        Encoded("triggers", b"C1", b"one", 1500, ANY_PARTITION, [("trace", b"t")]),
        Encoded("triggers", None, None, 0, 3, []),
    ]
    assert (again, done) == ([], False)
