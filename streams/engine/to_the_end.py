"""Topics read up to where they end when reading begins, by consumers that tell of ends (`enable.partition.eof`).

That a partition is at its end is told only when brokers have nothing for a while (`fetch.wait.max.ms`, half a second):
of one that is written to more often, never. So where it ends is asked first, and a record from there on tells as much.
"""

import time
from collections.abc import Iterator, Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.engine.drained import Place

_POLL_SECONDS = 0.2


def read_to_the_end(
    consumer: Consumer, places: Sequence[TopicPartition], ends: dict[Place, int], silence_seconds_max: float
) -> Iterator[Message]:
    """Yield the records of places, which are assigned, until each is read to its end; `ends` then has the offsets.

    What is written to one behind its end, while others are still read, is yielded, too.

    Raises:
        KafkaException: A partition cannot be read, or where it ends cannot be learnt.
        TimeoutError: Brokers say nothing for so long.
    """
    wanted = ends_of(consumer, places, silence_seconds_max)
    came_at = time.monotonic()
    while len(ends) < len(wanted):
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            if time.monotonic() - came_at > silence_seconds_max:
                raise TimeoutError(f"not read to the end within {silence_seconds_max:.0f} s")
            continue
        came_at, error = time.monotonic(), message.error()
        at, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        if error is None:
            if at in ends or offset + 1 >= wanted[at]:
                ends[at] = offset + 1
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            ends[at] = offset
        elif not error.retriable():
            raise KafkaException(error)


def ends_of(consumer: Consumer, places: Sequence[TopicPartition], seconds_max: float) -> dict[Place, int]:
    """Return where partitions end now; for a reader of what is committed, before what is not.

    Raises:
        KafkaException: A partition cannot be asked about, or brokers do not answer in time.
    """
    return _offsets(consumer, places, OFFSET_END, seconds_max)


def starts_of(consumer: Consumer, places: Sequence[TopicPartition], seconds_max: float) -> dict[Place, int]:
    """Return where partitions begin now. Raises `KafkaException`, as `ends_of` does."""
    return _offsets(consumer, places, OFFSET_BEGINNING, seconds_max)


def _offsets(consumer: Consumer, places: Sequence[TopicPartition], which: int, seconds_max: float) -> dict[Place, int]:
    # Not `get_watermark_offsets`: asked about a topic that was made just now, it sometimes never comes back, whatever
    # the time it is given.
    asked = [TopicPartition(place.topic, place.partition, which) for place in places]
    found = consumer.offsets_for_times(asked, timeout=seconds_max) if asked else []
    for place in found:
        if place.error is not None:
            raise KafkaException(place.error)
    return {(place.topic, place.partition): place.offset for place in found}
