"""Topics of our own, read whole: for commands that tell what stands in them.

Owns that each is read from its beginning to where it ends now, and what is said where that cannot be. Does not own what
is looked for in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from schemas.codec import Codec
from streams.config import Settings
from streams.engine.clients import client_config, reader_config
from streams.engine.cluster import TopicsError, refused
from streams.engine.to_the_end import read_to_the_end
from streams.engine.unknown_ids import of_own_topics
from streams.engine.wire import registry_of

_ANSWER_SECONDS_MAX: Final = 10.0


class WholeTopics:
    """Reads topics, one after the other. `codec` decodes what is in them."""

    def __init__(self, consumer: Consumer, codec: Codec) -> None:
        self._consumer = consumer
        self.codec = codec

    def values(self, topic: str) -> Iterator[bytes]:
        """Yield the value of each record that has one; those of one key in their order.

        Raises:
            TopicsError: The topic is not there.
            KafkaException, TimeoutError: Brokers do not answer; `whole_topics` says so.
        """
        # All at once: to ask for a topic by name makes it, where brokers allow that.
        known = self._consumer.list_topics(timeout=_ANSWER_SECONDS_MAX).topics
        if topic not in known:
            raise TopicsError(f"topic {topic} is not there; make it with `throughline topics apply`")
        places = [TopicPartition(topic, number, 0) for number in known[topic].partitions]
        self._consumer.assign(places)
        for message in read_to_the_end(self._consumer, places, {}, _ANSWER_SECONDS_MAX):
            value = message.value()
            if isinstance(value, bytes):
                yield value


@contextmanager
def whole_topics(settings: Settings, name: str) -> Iterator[WholeTopics]:
    """Open what reads topics; `name` tells brokers what for.

    Raises:
        TopicsError: Brokers do not answer, or a topic is not there.
        schemas.registry.RegistryUnavailable: A schema is not known yet, and the registry does not answer.
        ForeignIds: A schema is not among those shipped, and no registry is set.
        schemas.lined_yaml.UnusableFile: A file of schemas cannot be used.
    """
    contracts = settings.contracts
    codec = Codec(registry_of(contracts), unknown=of_own_topics(contracts))
    consumer = Consumer(reader_config(client_config(settings), f"{settings.group}-{name}"))
    try:
        yield WholeTopics(consumer, codec)
    except TimeoutError as error:
        raise refused(settings.brokers, str(error)) from None
    except KafkaException as error:
        raise refused(settings.brokers, error.args[0].str()) from error
    finally:
        consumer.close()
