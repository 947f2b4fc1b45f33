"""Records as confluent-kafka hands them out, without a broker."""

from confluent_kafka import KafkaError, Message

TIMESTAMP_MS = 1_700_000_000_000
_CREATE_TIME = 1


def message(topic: str, partition: int, offset: int, key: str | None, value: bytes | None) -> Message:
    """Return a record as the client would."""
    when = _CREATE_TIME, TIMESTAMP_MS + offset
    raw = None if key is None else key.encode()
    return Message(topic=topic, partition=partition, offset=offset, key=raw, value=value, timestamp=when)


def news(error: KafkaError, topic: str | None = None, partition: int = 0, offset: int = 0) -> Message:
    """Return the news of an error, or of the end of a partition, as the client would."""
    return Message(topic=topic, partition=partition, offset=offset, error=error)
