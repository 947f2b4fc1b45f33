"""Topics and records on a real Kafka."""

from collections.abc import Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from streams.engine.to_the_end import ends_of

ANSWER_SECONDS_MAX = 30.0


def make_topic(bootstrap: str, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
    """Make a topic, wait until it is there, and return its name."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made = admin.create_topics([NewTopic(name, partitions, config=dict(config or {}))])
    made[name].result(ANSWER_SECONDS_MAX)
    return name


def alter(client: AdminClient, kind: ResourceType, name: str, settings: Mapping[str, str | None]) -> None:
    """Set settings of a topic or a broker; None takes one back."""
    entries = [
        ConfigEntry(
            key,
            value,
            incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
        )
        for key, value in settings.items()
    ]
    answers = client.incremental_alter_configs([ConfigResource(kind, name, incremental_configs=entries)])
    for answer in answers.values():
        answer.result(ANSWER_SECONDS_MAX)


def read_to_end(bootstrap: str, topic: str, isolation: str = "read_committed") -> list[Message]:
    """Every record of a topic up to its present end by partition, or a little further; with `read_committed`, up to the
    first open transaction.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "nobody",  # assigned by hand, nothing committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    try:
        partitions = consumer.list_topics(topic, ANSWER_SECONDS_MAX).topics[topic].partitions
        # Of a topic that is written to all the time the client never says that its end is reached.
        places = [TopicPartition(topic, number) for number in partitions]
        ends = {place.partition: _end(consumer, place) for place in places}
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        read: list[Message] = []
        open_partitions = set(partitions)
        while open_partitions:
            message = consumer.poll(ANSWER_SECONDS_MAX)
            assert message is not None, f"{topic}: partitions {open_partitions} say nothing of their end"
            error = message.error()
            if error is None:
                read.append(message)
                if (message.offset() or 0) + 1 >= ends[message.partition() or 0]:
                    open_partitions.discard(message.partition())
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                open_partitions.discard(message.partition())
        return sorted(read, key=lambda message: (message.partition(), message.offset()))
    finally:
        consumer.close()


def _end(consumer: Consumer, place: TopicPartition) -> int:
    (end,) = ends_of(consumer, [place], ANSWER_SECONDS_MAX).values()
    return end


def values_to_end(bootstrap: str, topic: str, isolation: str = "read_committed") -> list[bytes | None]:
    """The values of `read_to_end`."""
    return [message.value() for message in read_to_end(bootstrap, topic, isolation)]
