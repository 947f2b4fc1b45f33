"""Records of topics beside the flow, such as notices of connectors: read to their end, from where they were left."""

import logging
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.codec import Codec, Undecodable
from schemas.registry import Registry
from streams.config import Settings
from streams.engine.clients import client_config
from streams.engine.cluster import TopicsError
from streams.engine.drained import Place
from streams.engine.to_the_end import read_to_the_end

log = logging.getLogger("throughline.notices")

_ANSWER_SECONDS_MAX = 10.0


class Notices:
    """Reads topics of Avro records, each time what is new. One object may be used by one thread at a time."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._codec = Codec(registry)
        self._positions: dict[Place, int] = {}

    def new(self, topic: str) -> list[dict[str, Any]]:
        """Return what was written and committed since the last call, in order of time; nothing of a missing topic.

        Raises:
            TopicsError: Brokers do not answer.
            schemas.registry.RegistryUnavailable: A schema is not known yet, and the registry does not answer.
        """
        messages, ends = self._read(topic)
        found = [fields for message in messages if (fields := self._decoded(topic, message)) is not None]
        self._positions.update(ends)  # what could not be decoded for want of a schema is read again
        return found

    def _decoded(self, topic: str, message: Message) -> dict[str, Any] | None:
        try:
            fields: dict[str, Any] = self._codec.decode(topic, message.value() or b"")
        except Undecodable as error:
            log.warning("%s, partition %s, offset %s: %s", topic, message.partition(), message.offset(), error)
            return None
        return fields

    def _read(self, topic: str) -> tuple[list[Message], dict[Place, int]]:
        consumer = Consumer(
            client_config(self._settings)
            | {
                "group.id": f"{self._settings.group}-notices",  # asked for by the client; it is never joined
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "log_level": 2,
            }
        )
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
            raise self._refused(f"{topic} is {error}") from None
        except KafkaException as error:
            raise self._refused(error.args[0].str()) from error
        finally:
            consumer.close()
        return sorted(messages, key=lambda message: (message.timestamp()[1], message.offset() or 0)), ends

    def _refused(self, said: str) -> TopicsError:
        return TopicsError(f"brokers {self._settings.brokers}: {said}; check the setting brokers, and that Kafka runs")
