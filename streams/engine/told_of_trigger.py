"""What topics tell of one trigger: itself, the intent to book it, and what ERPs answered."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from schemas.codec import Codec
from streams.config import Settings
from streams.engine.clients import client_config, reader_config
from streams.engine.cluster import TopicsError, refused
from streams.engine.to_the_end import read_to_the_end
from streams.engine.unknown_ids import of_own_topics
from streams.engine.wire import registry_of
from streams.topics import POSTINGS, RECEIPTS, TRIGGERS

_ANSWER_SECONDS_MAX: Final = 10.0
_TOPICS: Final = (TRIGGERS, POSTINGS, RECEIPTS)


class ToldOfTrigger(NamedTuple):
    """Records in the order in which they were written; empty where there is none."""

    triggers: list[dict[str, Any]]
    intents: list[dict[str, Any]]
    receipts: list[dict[str, Any]]


def told_of_trigger(settings: Settings, trigger_id: str) -> ToldOfTrigger:
    """Read all of a trigger. It takes as long as reading three topics, but decodes only what names the trigger.

    Raises:
        TopicsError: Brokers do not answer, or a topic is not there.
        schemas.registry.RegistryUnavailable: A schema is not known yet, and the registry does not answer.
        ForeignIds: A schema is not among those shipped, and no registry is set.
        schemas.lined_yaml.UnusableFile: A file of schemas cannot be used.
    """
    contracts = settings.contracts
    codec = Codec(registry_of(contracts), unknown=of_own_topics(contracts))
    consumer = Consumer(reader_config(client_config(settings), f"{settings.group}-route"))
    try:
        return ToldOfTrigger(*(list(_naming(consumer, codec, topic, trigger_id)) for topic in _TOPICS))
    except TimeoutError as error:
        raise refused(settings.brokers, str(error)) from None
    except KafkaException as error:
        raise refused(settings.brokers, error.args[0].str()) from error
    finally:
        consumer.close()


def _naming(consumer: Consumer, codec: Codec, topic: str, trigger_id: str) -> Iterator[dict[str, Any]]:
    # All at once: to ask for a topic by name makes it, where brokers allow that.
    known = consumer.list_topics(timeout=_ANSWER_SECONDS_MAX).topics
    if topic not in known:
        raise TopicsError(f"topic {topic} is not there; make it with `throughline topics apply`")
    places = [TopicPartition(topic, number, 0) for number in known[topic].partitions]
    consumer.assign(places)
    text = trigger_id.encode()
    for message in read_to_the_end(consumer, places, {}, _ANSWER_SECONDS_MAX):
        value = _value(message)
        if text in value:  # as text stands in Avro; a tenth of the time of decoding all
            record = codec.decode(topic, value)
            if record["trigger_id"] == trigger_id:
                yield record


def _value(message: Message) -> bytes:
    value = message.value()
    return value if isinstance(value, bytes) else b""
