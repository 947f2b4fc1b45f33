"""Topics read up to where they end now, by consumers that tell of ends (`enable.partition.eof`)."""

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from streams.engine.drained import Place

_POLL_SECONDS = 0.2


def read_to_the_end(
    consumer: Consumer, partitions: int, ends: dict[Place, int], silence_seconds_max: float
) -> Iterator[Message]:
    """Yield the records of as many partitions as are assigned until each is read to its end, which `ends` has then.

    Of one that is written to meanwhile, an end comes more than once; what lies behind the first is yielded, too.

    Raises:
        KafkaException: A partition cannot be read.
        TimeoutError: Brokers say nothing for so long.
    """
    came_at = time.monotonic()
    while len(ends) < partitions:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            if time.monotonic() - came_at > silence_seconds_max:
                raise TimeoutError(f"not read to the end within {silence_seconds_max:.0f} s")
            continue
        came_at, error = time.monotonic(), message.error()
        place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        if error is None:
            if place in ends:  # written after its end was seen, while others are still read
                ends[place] = offset + 1
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            ends[place] = offset
        elif not error.retriable():
            raise KafkaException(error)
