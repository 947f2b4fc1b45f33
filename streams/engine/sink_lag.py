"""What a sink has still to take: how many records, and since when the oldest waits. Its group is asked, never joined.

An offset that was acknowledged, and one where a partition ends, do not tell: Kafka Connect acknowledges the last record
it took, and behind that stands the mark that ends its transaction. So the first record that was not taken is looked up.
"""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition

from streams.config import Settings
from streams.engine.clients import client_config, reader_config
from streams.engine.cluster import refused
from streams.engine.drained import GroupLag, Place, Reached

_ANSWER_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.2
_RECORDS_AT_ONCE = 500
_FETCH_BYTES = 16 * 1024
"""One record of a partition is wanted; brokers hand out a whole batch at least."""


class Behind(NamedTuple):
    """Records not yet taken, and the time of the oldest in milliseconds since 1970; None where there is none."""

    records: int
    oldest_ms: int | None


def behind(settings: Settings, group: str, chosen: Callable[[str], bool]) -> Behind:
    """Return what a group has still to take of the topics that are chosen; of a missing one there is nothing.

    Marks that end transactions are counted, too, where they stand between records that wait.

    Raises:
        TopicsError: The brokers do not answer.
    """
    # Of what was dropped nothing can be taken any more: it reads from the earliest that is there.
    config = reader_config(client_config(settings), f"{settings.group}-sink-lag")
    consumer = Consumer(config | {"fetch.wait.max.ms": 50, "fetch.message.max.bytes": _FETCH_BYTES})
    try:
        # All at once: to ask for a topic by name makes it, where brokers allow that.
        topics = [*filter(chosen, consumer.list_topics(timeout=_ANSWER_SECONDS_MAX).topics)]
        reached = {place: of for place, of in _reached(settings, group, topics).items() if of.acknowledged < of.end}
        return _behind(reached, _first(consumer, reached))
    except TimeoutError as error:
        raise refused(settings.brokers, f"of group {group}, {error}") from None
    except KafkaException as error:
        raise refused(settings.brokers, error.args[0].str()) from error
    finally:
        consumer.close()


def _reached(settings: Settings, group: str, topics: list[str]) -> dict[Place, Reached]:
    lag = GroupLag(settings.brokers, group)
    try:
        return lag.reached(topics, IsolationLevel.READ_COMMITTED)
    finally:
        lag.close()


def _behind(reached: Mapping[Place, Reached], first: Mapping[Place, Message]) -> Behind:
    records = sum(max(1, reached[place].end - (message.offset() or 0)) for place, message in first.items())
    return Behind(records, min((message.timestamp()[1] for message in first.values()), default=None))


def _first(consumer: Consumer, reached: Mapping[Place, Reached]) -> dict[Place, Message]:
    """Return the first record that was not acknowledged of each partition that has one."""
    consumer.assign([TopicPartition(*place, of.acknowledged) for place, of in reached.items()])
    found, pending = dict[Place, Message](), set(reached)
    deadline = time.monotonic() + _ANSWER_SECONDS_MAX
    while pending:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the oldest record that waits was not read within {_ANSWER_SECONDS_MAX:.0f} s")
        for message in consumer.consume(_RECORDS_AT_ONCE, _POLL_SECONDS):
            at, error = (message.topic() or "", message.partition() or 0), message.error()
            if error is None and at in pending:
                found[at] = message
                pending.discard(at)
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                pending.discard(at)
            elif error is not None and not error.retriable():
                raise KafkaException(error)
    return found
