"""Notices on the embedded broker: each time what is new, in order of time, and what cannot be read passed over."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Message, Producer, TopicPartition

from connect.freshness import Unknown
from schemas.codec import Codec
from schemas.pure_codec import HEAD
from schemas.registry import Manifest
from streams.config import Contracts, Settings
from streams.engine.asked import TopicsAsked
from streams.engine.cluster import TopicsError
from streams.engine.embedded import EmbeddedBroker
from streams.engine.notices import Notices
from streams.engine.to_the_end import read_to_the_end
from streams.engine.unknown_ids import ForeignIds
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


def foreign(schema_id: int) -> bytes:
    """A record under an id of some registry."""
    return HEAD.pack(0, schema_id) + b"\x00"


def test_records_of_a_registry_that_is_not_set_are_told_with_what_to_set_and_read_once_it_is(brokers: str) -> None:
    topic = "of-a-registry"
    write(brokers, topic, foreign(1), foreign(2), value(3))
    without = Notices(Settings(brokers=brokers), Manifest())
    for _ in range(2):
        with pytest.raises(ForeignIds, match=r"^of-a-registry: unknown schema id 1: .*set contracts\.registry_url"):
            without.new(topic)
    asked = TopicsAsked(Settings(brokers=brokers))
    with pytest.raises(Unknown, match=r"set contracts\.registry_url"):
        asked.notices(topic)


def test_records_that_a_registry_does_not_know_are_passed_over_and_told_in_one_line(
    brokers: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = "of-another-registry"
    write(brokers, topic, foreign(1), foreign(2), value(3))
    settings = Settings(brokers=brokers, contracts=Contracts(registry_url="http://registry"))
    assert Notices(settings, Manifest()).new(topic) == [{"ts_ms": 3}]
    (told,) = caplog.messages
    assert told.startswith(f"{topic}: 2 of 3 records passed over; partition 0, offset 0: unknown schema id 1: ")


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

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        return [TopicPartition(place.topic, place.partition, self.ends[place.partition]) for place in places]

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
