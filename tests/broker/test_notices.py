"""Notices on the embedded broker: each time what is new, in order of time, and what cannot be read passed over."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Message, Producer, TopicPartition

from schemas.codec import Codec
from schemas.registry import Manifest
from streams.config import Settings
from streams.engine.cluster import TopicsError
from streams.engine.embedded import EmbeddedBroker
from streams.engine.notices import Notices
from streams.engine.to_the_end import read_to_the_end
from tests.support.messages import message, news


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


def value(number: int) -> bytes:
    return Codec(Manifest()).encode("debezium.heartbeat", {"ts_ms": number})


def write(brokers: str, topic: str, *values: bytes, partition: int = 0, at: int = 1_000) -> None:
    producer = Producer({"bootstrap.servers": brokers})
    for number, each in enumerate(values):
        producer.produce(topic, each, partition=partition, timestamp=at + number)
    assert producer.flush(30) == 0


def test_each_time_what_is_new_comes_in_order_of_time(brokers: str) -> None:
    topic = "told"
    notices = Notices(Settings(brokers=brokers), Manifest())
    assert notices.new(topic) == []
    write(brokers, topic, value(1), value(3), partition=0, at=1_000)
    write(brokers, topic, value(2), partition=1, at=1_000)
    write(brokers, topic, b"no Avro", partition=1, at=1_001)
    told = [notice["ts_ms"] for notice in notices.new(topic)]
    assert (sorted(told), told[-1]) == ([1, 2, 3], 3)
    assert notices.new(topic) == []
    write(brokers, topic, value(4), partition=1, at=900)
    assert notices.new(topic) == [{"ts_ms": 4}]
    assert Notices(Settings(brokers=brokers), Manifest()).new(topic)[0] == {"ts_ms": 4}


def test_a_topic_that_is_not_there_has_none_and_is_not_made(brokers: str) -> None:
    notices = Notices(Settings(brokers=brokers), Manifest())
    assert notices.new("nowhere") == []
    assert notices.new("nowhere") == []


def test_brokers_that_do_not_answer_are_named() -> None:
    notices = Notices(Settings(brokers="127.0.0.1:1"), Manifest())
    with pytest.raises(TopicsError, match=r"^brokers 127\.0\.0\.1:1: .*check the setting brokers"):
        notices.new("told")


class Client:
    """A consumer that hands out what it is given, of partitions that end where it is told."""

    def __init__(self, ends: dict[int, int], *messages: Message) -> None:
        self.ends = ends
        self.places = [TopicPartition("told", number) for number in ends]
        self.messages = [*messages]

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return 0, self.ends[place.partition]

    def read(self, ends: dict[tuple[str, int], int]) -> list[Message]:
        return list(read_to_the_end(self, self.places, ends, 10.0))  # type: ignore[arg-type]

    def poll(self, _seconds: float) -> Message:
        return self.messages.pop(0)


def test_what_is_written_behind_an_end_that_was_seen_is_not_read_twice() -> None:
    end = KafkaError(KafkaError._PARTITION_EOF)
    late = message("told", 0, 1, None, b"")
    client = Client({0: 1, 1: 0}, news(end, "told", 0, 1), late, news(end, "told", 1, 0))
    ends: dict[tuple[str, int], int] = {}
    assert client.read(ends) == [late]
    assert ends == {("told", 0): 2, ("told", 1): 0}


def test_a_topic_that_is_written_to_all_the_while_is_read_to_where_it_ended_at_first() -> None:
    written = [message("told", 0, offset, None, b"") for offset in range(5)]
    client = Client({0: 2}, *written)
    ends: dict[tuple[str, int], int] = {}
    assert client.read(ends) == written[:2]
    assert ends == {("told", 0): 2}
    assert client.messages == written[2:]


def test_a_record_behind_an_end_tells_that_it_was_reached_where_what_is_before_it_is_no_record() -> None:
    mark, behind = 1, message("told", 0, 2, None, b"")
    ends: dict[tuple[str, int], int] = {}
    assert Client({0: mark + 1}, behind, behind).read(ends) == [behind]
    assert ends == {("told", 0): 3}
