"""What Faust loads for broker URLs of `SCHEME`."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar, cast

from faust.streams import Stream as FaustStream
from faust.tables.manager import TableManager
from faust.transport.base import Transport as FaustTransport
from faust.transport.drivers import TRANSPORTS
from mode import Service

from streams.engine.transport.conductor import Conductor
from streams.engine.transport.consumer import Consumer
from streams.engine.transport.producer import Producer
from streams.engine.transport.refusal import NotOffered

SCHEME = "throughline"
"""Scheme of the broker URL that selects this transport."""


class Fetcher(Service):
    """Brings what the consumer has fetched to the conductor, until it is stopped."""

    def __init__(self, app: Any, **service: Any) -> None:
        super().__init__(**service)
        self.app = app

    @Service.task
    async def _fetching(self) -> None:
        await self.app.consumer._drain_messages(self)


class Transport(FaustTransport):
    """The transport of a worker."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer
    Conductor: ClassVar[Any] = Conductor
    Fetcher: ClassVar[Any] = Fetcher
    driver_version = "throughline"


class Stream(FaustStream[Any]):
    """A stream in plain Python: Faust's compiled one keeps acknowledgements to itself, and the consumer has none."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """Return the events, one by one."""
        events: Any = self._py_aiter()
        self._active_agens.add(events)
        return cast(AsyncIterator[Any], events)


class NoTables(TableManager):
    """In place of Faust's tables: state is remembered by steps, committed with what they emit."""

    def add(self, table: Any) -> Any:
        """Refuse a table: its changelog would not be part of the checkpoint."""
        raise NotOffered(f"table {table.name}: agents have no tables here; let a Step remember it")

    async def on_start(self) -> None:
        """Let the conductor subscribe: there are no tables to wait for."""
        self._tables_finalized.set()
        self._tables_registered.set()

    async def on_rebalance(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing is to be recovered."""

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing is to be flushed."""

    async def wait_until_recovery_completed(self) -> bool:
        """Return at once."""
        return False


def install() -> None:
    """Make the transport known to Faust under `SCHEME`."""
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
