"""Faust's own Kafka transport, reading on from where the state stands instead of from the group's offsets."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from faust.transport.drivers import TRANSPORTS, aiokafka
from faust.types import TP

SCHEME = "throughline"
"""Scheme of the broker URL that selects this transport."""


class Consumer(aiokafka.Consumer):
    """A consumer whose positions are corrected by the state of the seats.

    Stock Faust acknowledges the records it discards in a rebalance, so the committed offset may run ahead of what was
    applied. The state knows what was applied: it decides, and the committed offset serves monitoring.
    """

    async def seek_to_committed(self) -> Mapping[Any, Any]:
        """Seek every partition to its position and return the positions."""
        committed: dict[TP, int | None] = {
            TP(tp.topic, tp.partition): offset for tp, offset in (await super().seek_to_committed()).items()
        }
        positions = dict(committed)
        for tp, offset in cast(Any, self.app).positions(committed).items():
            if committed.get(tp) != offset:
                await self._seek(tp, offset)
                positions[tp] = offset
        return positions


class Transport(aiokafka.Transport):
    """Stock aiokafka transport with the consumer above."""

    Consumer: ClassVar[Any] = Consumer


def install() -> None:
    """Make the transport known to Faust under `SCHEME`."""
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
