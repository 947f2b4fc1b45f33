"""Faust's producer: what agents send waits for the next checkpoint, and is written in its transaction."""

import asyncio
from collections.abc import Awaitable
from typing import Any, NamedTuple

from faust.streams import current_event
from faust.transport.producer import Producer as FaustProducer
from faust.types.tuples import TP, RecordMetadata

from streams.engine.transport.refusal import NotOffered
from streams.partitioning import partition_of

ANY_PARTITION = -1
"""Leaves the partition to the key's hash."""


class Encoded(NamedTuple):
    """A record as Kafka takes it. `timestamp` is in milliseconds since 1970, UTC."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    partition: int
    headers: Any


class Producer(FaustProducer):
    """Gathers what agents send; the checkpoint takes it from here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sent: list[tuple[Encoded, asyncio.Future[RecordMetadata]]] = []

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,  # noqa: ARG002
    ) -> Awaitable[RecordMetadata]:
        """Let a record wait for the next checkpoint; the future is done once it is committed."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or ())
        moment = round((timestamp or 0) * 1000)
        encoded = Encoded(topic, key, value, moment, ANY_PARTITION if partition is None else partition, pairs)
        future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        event = current_event()
        if event is None or event.message.generation_id == self.app.consumer_generation_id:
            self._sent.append((encoded, future))
        else:  # the partitions have moved since: the event comes again there, or here, and is answered then
            future.cancel()
        return future

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Send a record and wait until it is committed."""
        return await (await self.send(*args, **kwargs))

    def take_sent(self) -> list[tuple[Encoded, asyncio.Future[RecordMetadata]]]:
        """Return what was sent since the last call."""
        sent, self._sent = self._sent, []
        return sent

    async def flush(self) -> None:
        """Bring what waits in Faust's buffer here; a checkpoint writes it."""
        await self.buffer.flush()

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition of a key."""
        return TP(topic, partition_of(key.decode(errors="surrogateescape"), self.app.conf.topic_partitions))

    async def create_topic(self, topic: str, *_args: Any, **_kwargs: Any) -> None:
        """Refuse: topics are made by `throughline topics apply`."""
        raise NotOffered(f"topic {topic} must be made by `throughline topics apply`")

    def supports_headers(self) -> bool:
        """Return that headers are written."""
        return True
