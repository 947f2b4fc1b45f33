"""Records as confluent-kafka hands them out, without a broker."""

from typing import Any, cast

from confluent_kafka import KafkaError, Message

TIMESTAMP_MS = 1_700_000_000_000


class FakeMessage:
    """A record, or with an error the news of one."""

    def __init__(self, topic: str | None, partition: int, offset: int, key: str | None, value: bytes | None) -> None:
        self._topic, self._partition, self._offset = topic, partition, offset
        self._key = None if key is None else key.encode()
        self._value = value
        self.failed: KafkaError | None = None

    def topic(self) -> str | None:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, TIMESTAMP_MS + self._offset

    def error(self) -> KafkaError | None:
        return self.failed

    def __len__(self) -> int:
        return len(self._key or b"") + len(self._value or b"")


def message(topic: str, partition: int, offset: int, key: str | None, value: Any) -> Message:
    """Return a record as the client would."""
    return cast(Message, FakeMessage(topic, partition, offset, key, value))


def news(error: KafkaError, topic: str | None = None, partition: int = 0, offset: int = 0) -> Message:
    """Return the news of an error, or of the end of a partition, as the client would."""
    told = FakeMessage(topic, partition, offset, None, None)
    told.failed = error
    return cast(Message, told)
