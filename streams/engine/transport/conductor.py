"""Faust's conductor, which brings batches to streams of batches and single events to the others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from faust.transport.conductor import Conductor as FaustConductor
from faust.types import TP

from streams.engine.transport.batch import Batch, BatchSchema
from streams.engine.transport.consumer import Consumer, message_of

_Handler = Callable[[Any], Awaitable[None]]


class Conductor(FaustConductor):
    """Delivers what the consumer has fetched. A stream of single events that is slow holds up only its partitions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._singles: dict[TP, _Handler] = {}
        self._feeders: dict[TP, asyncio.Queue[Batch]] = {}

    def _build_handler(self, tp: TP, channels: Any) -> Any:
        batched = [channel for channel in channels if isinstance(channel.schema, BatchSchema)]
        single = channels.difference(batched)
        if single:
            self._singles[tp] = super()._build_handler(tp, single)

        async def on_message(message: Any) -> None:
            for channel in batched:
                event = await channel.decode(message, propagate=True)
                channel.queue.force_put_nowait(event)  # the consumer bounds what is held
            if single:
                self._feeder(tp).put_nowait(message.value)

        return on_message

    def _feeder(self, tp: TP) -> asyncio.Queue[Batch]:
        feeder = self._feeders.get(tp)
        if feeder is None:
            feeder = self._feeders[tp] = asyncio.Queue()
            self.add_future(self._feed(tp, feeder))
        return feeder

    async def _feed(self, tp: TP, batches: asyncio.Queue[Batch]) -> None:
        consumer = self._consumer()
        while not self.should_stop:
            batch = await batches.get()
            for record in batch.messages:
                # Both may change while a full stream makes us wait.
                if batch.generation != self.app.consumer_generation_id:
                    break
                offset = record.offset()
                consumer.acks.expect(tp, offset if offset is not None else 0)
                await self._singles[tp](message_of(tp, record, batch.generation))
                consumer.taken(tp, 1, batch.generation)
            else:
                consumer.acks.pass_over(tp, batch.end)

    def _consumer(self) -> Consumer:
        consumer = self.app.consumer
        assert isinstance(consumer, Consumer)
        return consumer
