"""What a sink has still to take, on the embedded broker: counted from the first record that it has not taken."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streams.config import Settings
from streams.engine import sink_lag
from streams.engine.clients import admin_client
from streams.engine.cluster import TopicsError
from streams.engine.drained import Reached
from streams.engine.embedded import EmbeddedBroker
from streams.engine.sink_lag import Behind, _behind, _first, behind
from tests.support.messages import TIMESTAMP_MS, message, news

GROUP = "connect-analytics"


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


def write(brokers: str, topic: str, partition: int, *at_ms: int) -> None:
    producer = Producer({"bootstrap.servers": brokers})
    for each in at_ms:
        producer.produce(topic, b"fact", partition=partition, timestamp=each)
    assert producer.flush(30) == 0


def take(brokers: str, topic: str, partition: int, before: int) -> None:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": GROUP, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, partition, before)], asynchronous=False)
    consumer.close()


def test_records_that_wait_are_counted_and_the_oldest_tells_since_when(brokers: str) -> None:
    settings = Settings(brokers=brokers)
    write(brokers, "facts", 0, 5_000, 6_000, 7_000)
    write(brokers, "facts", 1, 5_500)
    write(brokers, "other", 0, 1_000)

    def asked() -> Behind:
        return behind(settings, GROUP, lambda topic: topic == "facts")

    assert asked() == Behind(4, 5_000)
    take(brokers, "facts", 0, 2)
    assert asked() == Behind(2, 5_500)
    take(brokers, "facts", 1, 1)
    assert asked() == Behind(1, 7_000)
    take(brokers, "facts", 0, 3)
    assert asked() == Behind(0, None)


def test_a_topic_that_is_not_there_has_none_and_is_not_made(brokers: str) -> None:
    assert behind(Settings(brokers=brokers), GROUP, lambda topic: topic == "nowhere") == Behind(0, None)
    assert "nowhere" not in admin_client(brokers).list_topics(timeout=10).topics


def test_brokers_that_do_not_answer_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_lag, "_ANSWER_SECONDS_MAX", 0.1)
    with pytest.raises(TopicsError, match=r"^brokers 127\.0\.0\.1:1: .*check the setting brokers"):
        behind(Settings(brokers="127.0.0.1:1"), GROUP, lambda _topic: True)


class Client:
    """A consumer that hands out what it is given."""

    def __init__(self, *messages: Message) -> None:
        self.messages = [*messages]
        self.assigned: list[TopicPartition] = []

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned = places

    def consume(self, _records: int, _seconds: float) -> list[Message]:
        return [self.messages.pop(0)]


def found(reached: dict[tuple[str, int], Reached], client: Client) -> Behind:
    return _behind(reached, _first(client, reached))  # type: ignore[arg-type]


def test_a_mark_behind_the_last_record_that_was_taken_is_not_behind() -> None:
    end = news(KafkaError(KafkaError._PARTITION_EOF), "facts", 0, 4)
    client = Client(end)
    assert found({("facts", 0): Reached(3, 4)}, client) == Behind(0, None)
    assert [(place.partition, place.offset) for place in client.assigned] == [(0, 3)]


def test_what_was_dropped_before_it_was_taken_is_not_counted_and_what_comes_meanwhile_is() -> None:
    kept, late = message("facts", 0, 90, None, b""), message("facts", 1, 7, None, b"")
    client = Client(kept, message("facts", 0, 91, None, b""), late)
    reached = {("facts", 0): Reached(0, 100), ("facts", 1): Reached(6, 7)}
    assert found(reached, client) == Behind(11, TIMESTAMP_MS + 7)


def test_a_partition_that_cannot_be_read_is_told() -> None:
    refused = news(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), "facts")
    with pytest.raises(KafkaException):
        found({("facts", 0): Reached(0, 1)}, Client(refused))
