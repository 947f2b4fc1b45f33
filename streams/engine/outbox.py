"""The way out: outputs of steps as Kafka records, and the wait until the broker has them all."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.engine.metrics import Metrics
from streams.engine.wire import Wire
from streams.step import Output

RECORD_BYTES_MAX = 32 * 1024 * 1024
"""A dead letter carries its original whole, so the limit is above that of any source."""

ANY_PARTITION = -1
"""Leaves the partition to the key's hash."""

_SEND_MS_MAX = 120_000
_FLUSH_SECONDS_MAX = 150.0


class OutputsError(Exception):
    """The broker has not taken all outputs of a checkpoint; nothing of it may be acknowledged."""


class Outbox(Protocol):
    """Where a checkpoint writes its outputs: the seam between at-least-once and transactions."""

    def add(self, outputs: Iterable[Output]) -> None:
        """Hand over outputs; records of one key keep their order."""

    async def settle(self) -> None:
        """Wait until the broker has every output. Raises `OutputsError`."""


class ProducerOutbox:
    """An outbox over an idempotent producer: no output is lost or reordered; a crash before `settle` may leave some."""

    def __init__(self, brokers: str, wire: Wire, metrics: Metrics) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # Kafka's own, so that all writers agree where a key lives
                "message.max.bytes": RECORD_BYTES_MAX,
                "message.timeout.ms": _SEND_MS_MAX,
                "linger.ms": 2,
                "reconnect.backoff.ms": 500,
                "log_level": 4,
            },
            logger=logging.getLogger("throughline.producer"),
        )
        self._wire = wire
        self._metrics = metrics
        self._failures: list[str] = []

    def add(self, outputs: Iterable[Output]) -> None:
        """Encode outputs and queue them for sending."""
        for output in outputs:
            value = self._wire.write(output.topic, output.value)
            self._produce(output, value)
            self._metrics.written(output.topic, len(value) if value else 0)

    def _produce(self, output: Output, value: bytes | None) -> None:
        partition = ANY_PARTITION if output.partition is None else output.partition
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    value=value,
                    key=None if output.key is None else output.key.encode(errors="surrogateescape"),
                    timestamp=max(output.timestamp, 0),
                    headers=list(output.headers),
                    on_delivery=self._delivered,
                    partition=partition,
                )
                return
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: the only case in which a step waits for the broker
            except KafkaException as error:
                raise OutputsError(f"topic {output.topic}, key {output.key}: {error}") from error

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(f"topic {message.topic()}, key {message.key()!r}: {error.str()}")

    async def settle(self) -> None:
        """Wait until the broker has every output. Raises `OutputsError` naming the first that failed."""
        if len(self._producer):
            await asyncio.get_running_loop().run_in_executor(None, self._producer.flush, _FLUSH_SECONDS_MAX)
        left = len(self._producer)
        if self._failures or left:
            first = self._failures[0] if self._failures else f"{left} unanswered after {_FLUSH_SECONDS_MAX} s"
            raise OutputsError(
                f"{len(self._failures) + left} records were not written, first: {first}. Is the broker reachable?"
            )
