"""Records of topics beside the flow, such as notices of connectors: read to their end, from where they were left."""

import logging
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.codec import Codec, Undecodable
from schemas.registry import Registry
from streams.config import Settings
from streams.engine.clients import client_config, reader_config
from streams.engine.cluster import refused
from streams.engine.drained import Place
from streams.engine.to_the_end import read_to_the_end
from streams.engine.unknown_ids import of_notices

log = logging.getLogger("throughline.notices")

_ANSWER_SECONDS_MAX = 10.0


class Notices:
    """Reads topics of Avro records, each time what is new. One object may be used by one thread at a time."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._codec = Codec(registry, unknown=of_notices(settings.contracts))
        self._positions: dict[Place, int] = {}

    def new(self, topic: str) -> list[dict[str, Any]]:
        """Return what was written and committed since the last call, in order of time; nothing of a missing topic.

        Raises:
            TopicsError: Brokers do not answer.
            ForeignIds: A schema is not among those shipped, and no registry is set.
            schemas.registry.RegistryUnavailable: A schema is not known yet, and the registry does not answer.
        """
        messages, ends = self._read(topic)
        found, unreadable = list[dict[str, Any]](), list[str]()
        for message in messages:
            try:
                found.append(self._codec.decode(topic, message.value() or b""))
            except Undecodable as error:
                unreadable.append(f"partition {message.partition()}, offset {message.offset()}: {error}")
        self._positions.update(ends)  # what could not be decoded for want of a schema is read again
        if unreadable:
            log.warning("%s: %d of %d records passed over; %s", topic, len(unreadable), len(messages), unreadable[0])
        return found

    def _read(self, topic: str) -> tuple[list[Message], dict[Place, int]]:
        brokers = self._settings.brokers
        consumer = Consumer(reader_config(client_config(self._settings), f"{self._settings.group}-notices"))
        try:
            # All at once: to ask for a topic by name makes it, where brokers allow that.
            known = consumer.list_topics(timeout=_ANSWER_SECONDS_MAX).topics
            numbers = [*known[topic].partitions] if topic in known else []
            if not numbers:
                return [], {}
            places = [TopicPartition(topic, n, self._positions.get((topic, n), 0)) for n in numbers]
            consumer.assign(places)
            ends: dict[Place, int] = {}
            messages = list(read_to_the_end(consumer, places, ends, _ANSWER_SECONDS_MAX))
        except TimeoutError as error:
            raise refused(brokers, f"{topic} is {error}") from None
        except KafkaException as error:
            raise refused(brokers, error.args[0].str()) from error
        finally:
            consumer.close()
        return sorted(messages, key=lambda message: (message.timestamp()[1], message.offset() or 0)), ends
