"""What a pipeline has derived: the records of its public topics, read to where they end now."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

from live.pipeline import Pipeline
from schemas.codec import Codec
from schemas.registry import Confluent
from streams.engine.to_the_end import read_to_the_end
from streams.topics import DEAD_LETTERS, PUBLIC, TRIGGERS

READABLE: Final = tuple(topic.name for topic in PUBLIC if topic.name != DEAD_LETTERS)
"""Public topics whose values are Avro."""

_READ_SECONDS = 10.0


def derived(pipeline: Pipeline, topics: Sequence[str] = READABLE) -> Iterator[dict[str, Any]]:
    """Yield what topics hold now, decoded, each key's records in order."""
    consumer = Consumer(
        {"bootstrap.servers": pipeline.kafka.bootstrap, "group.id": "throughline-demo", "enable.partition.eof": True,
         "isolation.level": "read_committed", "enable.auto.commit": False, "log_level": 2}
    )  # fmt: skip
    with SchemaRegistryClient({"url": pipeline.registry.confluent_url}) as client, closing(consumer):
        codec = Codec(Confluent(client))
        known = consumer.list_topics(timeout=_READ_SECONDS).topics
        places = [TopicPartition(name, number, 0) for name in topics for number in known[name].partitions]
        consumer.assign(places)
        for message in read_to_the_end(consumer, places, {}, _READ_SECONDS):
            topic, key, value = message.topic() or "", message.key(), message.value()
            yield {
                "topic": topic,
                "key": None if key is None else key.decode(),
                "value": None if value is None else codec.decode(topic, value),
                "timestamp": message.timestamp()[1],
                "headers": (),
            }


def trigger_ids(pipeline: Pipeline) -> list[str]:
    """Return the id of each trigger in the topic, as often as it is there."""
    return [record["value"]["trigger_id"] for record in derived(pipeline, [TRIGGERS])]
