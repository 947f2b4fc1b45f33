"""Which schema ids the newest records of topics carry: what is written beside them is to have ids of the same kind."""

from collections.abc import Iterable, Iterator

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.pure_codec import HEAD
from streams.config import Settings
from streams.engine.clients import client_config, reader_config
from streams.engine.cluster import known_topics, refused
from streams.engine.to_the_end import ends_of, read_to_the_end, starts_of

_LOOKED_AT = 10
"""Offsets of each partition, from its end back: marks that end transactions are among them."""

_ANSWER_SECONDS_MAX = 10.0


def newest_ids(settings: Settings, topics: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield topic and schema id of the last few records of each partition, committed or not.

    Topics that are not there are left out, and so is what has no schema id.

    Raises:
        TopicsError: The brokers do not answer.
    """
    known = known_topics(settings.brokers)
    places = [TopicPartition(topic, number) for topic in topics for number in range(known.get(topic, 0))]
    config = reader_config(client_config(settings), f"{settings.group}-newest-ids", committed=False)
    consumer = Consumer(config)
    try:
        starts, ends = (ask(consumer, places, _ANSWER_SECONDS_MAX) for ask in (starts_of, ends_of))
        assigned = [
            TopicPartition(*place, max(starts[place], end - _LOOKED_AT))
            for place, end in ends.items()
            if starts[place] < end
        ]
        consumer.assign(assigned)
        for message in read_to_the_end(consumer, assigned, {}, _ANSWER_SECONDS_MAX):
            value = message.value() or b""
            if len(value) >= HEAD.size:
                magic, schema_id = HEAD.unpack_from(value)
                if not magic:
                    yield message.topic() or "", schema_id
    except TimeoutError as error:
        raise refused(settings.brokers, f"topics are {error}") from error
    except KafkaException as error:
        raise refused(settings.brokers, error.args[0].str()) from error
    finally:
        consumer.close()
