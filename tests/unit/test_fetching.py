"""What the fetching thread makes of what the client hands out: batches by partition, and errors it cannot get over."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from faust.types import TP

from streams.config import Settings
from streams.engine import app as engine_app
from streams.engine.state_folder import StateFolder
from streams.engine.transport.batch import Batch
from streams.engine.transport.fetching import FetchError, Fetching, _explained
from tests.support.messages import message, news

END = KafkaError(KafkaError._PARTITION_EOF)


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def fetched(self, batches: Sequence[Batch]) -> None:
        self.batches += batches

    def assigned(self, _committed: Any, _generation: int, _member: object) -> Future[None]:
        raise NotImplementedError

    def revoked(self) -> Future[None]:
        raise NotImplementedError

    def lost(self) -> Future[None]:
        raise NotImplementedError

    def failed(self, _error: Exception) -> Future[None]:
        raise NotImplementedError


class Watermarks:
    """A client that has fetched of two partitions up to now, which end at 90 both."""

    def get_watermark_offsets(self, place: TopicPartition, **_how: Any) -> tuple[int, int]:
        return 0, (90, 90, -1001)[place.partition]


@pytest.fixture
def fetching() -> Iterator[tuple[Fetching, Listener]]:
    listener = Listener()
    made = Fetching({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0}, ["orders"], listener)
    made.generation = 4
    made.room.begin(4)
    yield made, listener
    made._consumer.close()


def told(listener: Listener) -> list[tuple[TP, list[int | None], int, int]]:
    return [
        (batch.tp, [record.offset() for record in batch.messages], batch.end, batch.generation)
        for batch in listener.batches
    ]


def test_a_fetch_is_one_batch_a_partition_in_the_order_of_each(fetching: tuple[Fetching, Listener]) -> None:
    thread, listener = fetching
    places = [("orders", 0, 5), ("orders", 1, 9), ("orders", 0, 6), ("facts", 0, 1), ("orders", 0, 8)]
    thread._hand_over([message(topic, partition, offset, "k", b"v") for topic, partition, offset in places], 4)
    assert told(listener) == [
        (TP("orders", 0), [5, 6, 8], 9, 4),
        (TP("orders", 1), [9], 10, 4),
        (TP("facts", 0), [1], 2, 4),
    ]
    assert thread.room.left()
    thread.room.take(TP("orders", 0), 40_000 - 5)
    assert not thread.room.left()


def test_the_end_of_a_partition_is_told_with_its_records_or_alone(fetching: tuple[Fetching, Listener]) -> None:
    thread, listener = fetching
    thread._hand_over(
        [
            message("orders", 0, 5, "k", b"v"),
            news(END, "orders", 0, 8),  # 6 and 7 are marks of transactions
            news(END, "orders", 1, 3),
            message("orders", 2, 0, "k", b"v"),
            news(END, "orders", 2, 1),
        ],
        4,
    )
    assert told(listener) == [
        (TP("orders", 0), [5], 8, 4),
        (TP("orders", 1), [], 3, 4),
        (TP("orders", 2), [0], 1, 4),
    ]


def test_a_record_that_comes_after_the_end_of_its_partition_moves_it(fetching: tuple[Fetching, Listener]) -> None:
    thread, listener = fetching
    thread._hand_over([news(END, "orders", 0, 8), message("orders", 0, 8, "k", b"v")], 4)
    assert told(listener) == [(TP("orders", 0), [8], 9, 4)]


def test_it_is_caught_up_once_all_ends_were_seen_and_all_is_taken_in(fetching: tuple[Fetching, Listener]) -> None:
    thread, _ = fetching
    thread._begin_generation([TP("orders", 0), TP("orders", 1)])
    generation, said = thread.generation, []

    def fetch(*messages: Message) -> None:
        thread._hand_over(messages, generation)
        said.append(thread.caught_up())

    fetch(news(END, "orders", 0, 5))
    fetch(news(END, "orders", 1, 3))
    fetch(message("orders", 0, 5, "k", b"v"))
    fetch(news(END, "orders", 0, 6))
    thread.room.give_back(TP("orders", 0), 1, generation)
    said.append(thread.caught_up())
    fetch(message("orders", 0, 6, "k", b"v"), news(END, "orders", 0, 7))
    thread.room.give_back(TP("orders", 0), 1, generation)
    said.append(thread.caught_up())
    fetch(news(END, "orders", 0, 7), message("orders", 0, 7, "k", b"v"))
    thread.room.give_back(TP("orders", 0), 1, generation)
    said.append(thread.caught_up())
    assert said == [False, True, False, False, True, False, True, False, False]


def test_what_cannot_be_read_yet_is_behind_the_end(
    fetching: tuple[Fetching, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, _ = fetching
    thread._begin_generation([TP("orders", 0), TP("orders", 1), TP("orders", 2)])
    end = news(END, "orders", 1, 70)  # from there on, records are of a transaction that is open
    thread._hand_over([message("orders", 0, 50, "k", b"v"), end], thread.generation)
    with monkeypatch.context() as patched:
        patched.setattr(thread, "_consumer", Watermarks())
        thread._note_ends()
    assert thread.ends == {TP("orders", 0): 90, TP("orders", 1): 70}


class Watched:
    """A client that keeps what it is told, and answers where partitions end, or does not."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []
        self.ends = [70]
        self.asked = 0

    def pause(self, places: list[TopicPartition]) -> None:
        self.calls.append(("pause", sorted(place.partition for place in places)))

    def resume(self, places: list[TopicPartition]) -> None:
        self.calls.append(("resume", [place.partition for place in places]))

    def offsets_for_times(self, places: list[TopicPartition], **_how: Any) -> list[TopicPartition]:
        self.asked += 1
        if not self.ends:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return [TopicPartition(place.topic, place.partition, self.ends[0]) for place in places]

    def get_watermark_offsets(self, _place: TopicPartition, **_how: Any) -> tuple[int, int]:
        return 0, 90


def test_what_is_held_is_fetched_no_more_whatever_room_there_is_and_its_end_is_asked_for(
    fetching: tuple[Fetching, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    thread, _ = fetching
    held, other = TP("orders", 0), TP("orders", 1)
    thread._begin_generation([held, other])
    client, now = Watched(), 1_000.0
    monkeypatch.setattr("streams.engine.transport.fetching.time.monotonic", lambda: now)
    with monkeypatch.context() as patched:
        patched.setattr(thread, "_consumer", client)
        thread.hold(held, thread.generation - 1)  # of an assignment that is over
        thread.hold(held, thread.generation)
        while not thread._commands.empty():
            thread._commands.get_nowait()()
        assert client.calls == [("pause", [0])]

        thread.room.take(held, 15_000)
        thread.room.take(other, 15_000)
        thread._pause_where_full()
        for tp in (held, other):
            thread.room.give_back(tp, 15_000, thread.generation)
        thread._resume_where_drained()
        assert client.calls[1:] == [("pause", [0, 1]), ("resume", [1])]

        thread._hand_over([news(END, "orders", 1, 3)], thread.generation)
        assert thread.caught_up()  # the end of what is held is not waited for

        thread._note_ends()
        assert thread.ends == {held: 70, other: 3}
        now, client.ends = now + 1.0, [80]
        thread._note_ends()
        assert (thread.ends[held], client.asked) == (70, 1)
        now += 5.0
        thread._note_ends()
        assert (thread.ends[held], client.asked) == (80, 2)
        now, client.ends = now + 5.0, []  # brokers are away
        thread._note_ends()
        assert (thread.ends[held], client.asked) == (80, 3)

        thread._begin_generation([held])
        now += 1.0
        thread._note_ends()
        assert (thread.ends, client.asked) == ({held: 90}, 3)


@pytest.mark.parametrize("fetching_says", [True, False, None])
def test_the_worker_is_caught_up_if_its_fetching_says_so(tmp_path: Path, fetching_says: bool | None) -> None:
    async def told() -> bool:
        app = engine_app._faust_app(Settings(brokers="127.0.0.1:1"), StateFolder(tmp_path, "nobody"))
        consumer: Any = app.consumer
        if fetching_says is not None:
            consumer._fetching = SimpleNamespace(caught_up=lambda: fetching_says)
        return app.caught_up()

    assert asyncio.run(told()) == bool(fetching_says)


@pytest.mark.parametrize(
    "code", [KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._MAX_POLL_EXCEEDED]
)
def test_what_the_client_gets_over_by_itself_is_no_failure(fetching: tuple[Fetching, Listener], code: int) -> None:
    thread, listener = fetching
    thread._hand_over([news(KafkaError(code)), message("orders", 0, 5, "k", b"v")], 4)
    assert told(listener) == [(TP("orders", 0), [5], 6, 4)]


@pytest.mark.parametrize(
    ("error", "topic", "said"),
    [
        (
            KafkaError(KafkaError._AUTO_OFFSET_RESET),
            "orders",
            r"^orders, partition 3: records that were still to be read, from offset 70 on, are not there any more",
        ),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "orders", "^orders: Broker: Topic authorization failed$"),
        (KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), None, "^consumer: Broker: Group authorization failed$"),
        (
            KafkaError(KafkaError._FATAL, "Fatal error: Broker: Static consumer fenced by other consumer"),
            None,
            "^consumer: Fatal error: .*fenced.*; another worker goes by the identity of this one's state folder$",
        ),
        (KafkaError(KafkaError.UNKNOWN_TOPIC_ID, "lost", True), None, "^consumer: lost$"),
    ],
)
def test_what_it_cannot_get_over_ends_the_worker_and_says_why(
    fetching: tuple[Fetching, Listener], error: KafkaError, topic: str | None, said: str
) -> None:
    thread, listener = fetching
    with pytest.raises(FetchError, match=said):
        thread._hand_over([message("orders", 0, 5, "k", b"v"), news(error, topic, 3, 70)], 4)
    assert listener.batches == []


def test_what_comes_with_a_rebalance_is_left_but_for_the_word_that_nothing_comes_any_more(
    fetching: tuple[Fetching, Listener],
) -> None:
    thread, listener = fetching
    gone = news(KafkaError(KafkaError._AUTO_OFFSET_RESET), "orders", 0, 5)
    thread._hand_over([message("orders", 0, 5, "k", b"v"), news(END, "orders", 1, 3), gone], 3)
    assert told(listener) == []
    fenced = news(KafkaError(KafkaError._FATAL, "Fatal error: Broker: Static consumer fenced by other consumer"))
    with pytest.raises(FetchError, match="another worker goes by the identity"):
        thread._hand_over([message("orders", 0, 6, "k", b"v"), fenced], 3)


def test_an_error_of_the_client_is_told_in_words() -> None:
    failed = _explained(KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer")))
    assert (type(failed), str(failed)) == (FetchError, "fetching failed: no answer")
    defect = ValueError("a defect")
    assert _explained(defect) is defect


class Paused:
    """A client whose partitions end where they are said to, and that notes which of them are paused."""

    def __init__(self) -> None:
        self.ends: dict[TP, int] = {}
        self.paused: set[TP] = set()

    def get_watermark_offsets(self, place: TopicPartition, **_how: Any) -> tuple[int, int]:
        return 0, self.ends.get(TP(place.topic, place.partition), -1001)

    def pause(self, places: list[TopicPartition]) -> None:
        self.paused |= {TP(place.topic, place.partition) for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self.paused -= {TP(place.topic, place.partition) for place in places}

    def close(self) -> None:
        """Nothing is open."""


ORDERS, MORE_ORDERS, FACTS = TP("orders", 0), TP("orders", 1), TP("facts", 0)


@pytest.fixture
def worker() -> tuple[Fetching, Paused]:
    """Give a thread that fetches orders, and facts that are derived of them, in its first generation."""
    config = {"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0}
    made, client = Fetching(config, ["orders", "facts"], Listener(), derived=["facts"]), Paused()
    made._consumer.close()
    made._consumer = client  # type: ignore[assignment]
    made._begin_generation([ORDERS, MORE_ORDERS, FACTS])
    client.pause([TopicPartition(*tp) for tp in made.assigned])
    return made, client


def look(thread: Fetching) -> None:
    """Let it do what it does between two fetches, long after it did so last."""
    while not thread._resumes.empty():
        thread._resumes.get_nowait()()
    thread._looked_at = 0.0
    thread._let_sources_wait()
    thread._resume_where_drained()


def fetch_fact(thread: Fetching, client: Paused, offset: int, end: int) -> None:
    client.ends[FACTS] = end
    thread._hand_over([message("facts", 0, offset, "k", b"v")], thread.generation)


def test_sources_are_not_fetched_while_much_of_what_they_led_to_is_under_way(worker: tuple[Fetching, Paused]) -> None:
    thread, client = worker
    thread.resume([ORDERS, MORE_ORDERS, FACTS], thread.generation)
    fetch_fact(thread, client, 0, 20_000)
    look(thread)
    assert (client.paused, thread.waiting()) == (set(), frozenset())  # 19,999 to come, and the one that is held
    fetch_fact(thread, client, 1, 20_002)
    look(thread)
    assert client.paused == thread.waiting() == {ORDERS, MORE_ORDERS}
    thread.room.give_back(FACTS, 2, thread.generation)
    fetch_fact(thread, client, 14_999, 20_001)
    look(thread)
    assert client.paused == {ORDERS, MORE_ORDERS}  # 5,001 to come, and one that is held
    thread.room.give_back(FACTS, 1, thread.generation)
    client.ends[FACTS] = 20_000
    look(thread)
    assert (client.paused, thread.waiting()) == (set(), frozenset())


def test_sources_that_wait_are_fetched_only_once_they_are_ready(worker: tuple[Fetching, Paused]) -> None:
    thread, client = worker
    thread.resume([ORDERS, FACTS], thread.generation)
    fetch_fact(thread, client, 0, 30_000)
    look(thread)
    thread.resume([MORE_ORDERS], thread.generation)  # restored by now
    look(thread)
    assert client.paused == {ORDERS, MORE_ORDERS}
    fetch_fact(thread, client, 29_998, 30_000)
    look(thread)
    assert client.paused == set()


def test_what_is_paused_for_want_of_room_stays_so_when_sources_wait_no_more(worker: tuple[Fetching, Paused]) -> None:
    thread, client = worker
    thread.resume([ORDERS, MORE_ORDERS, FACTS], thread.generation)
    thread.room.take(ORDERS, 20_000)
    thread._pause_where_full()
    fetch_fact(thread, client, 0, 30_000)
    look(thread)
    fetch_fact(thread, client, 29_998, 30_000)
    look(thread)
    assert client.paused == {ORDERS}
    thread.room.give_back(ORDERS, 20_000, thread.generation)
    look(thread)
    assert client.paused == set()


def test_a_new_assignment_waits_for_nothing_of_the_last(worker: tuple[Fetching, Paused]) -> None:
    thread, client = worker
    thread.resume([ORDERS, FACTS], thread.generation)
    fetch_fact(thread, client, 0, 30_000)
    look(thread)
    thread._begin_generation([ORDERS, FACTS])
    thread.resume([ORDERS, FACTS], thread.generation)
    look(thread)
    assert (client.paused & {ORDERS, FACTS}, thread.waiting()) == (set(), frozenset())
