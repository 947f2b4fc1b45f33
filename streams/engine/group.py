"""The group as the worker follows it: what happens when partitions come and go."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from faust.types import TP

from streams.engine.assignment import Assignment
from streams.engine.checkpoint import Checkpoints
from streams.engine.clients import consumer_config
from streams.engine.kit import Kit
from streams.engine.transport.consumer import Consumer

log = logging.getLogger("throughline.worker")


class GroupMember:
    """The owner of the partitions that the group gives this worker."""

    def __init__(self, kit: Kit, identity: str, assignment: Assignment, checkpoints: Checkpoints) -> None:
        self._kit = kit
        self._identity = identity
        self._assignment = assignment
        self._checkpoints = checkpoints
        self._restoring: asyncio.Task[None] | None = None
        self._app: Any = None
        self.derived = frozenset(topic for step in assignment.steps for topic in step.writes)

    def join(self, app: Any) -> None:
        """Belong to an app: its consumer brings the records, and it ends if partitions cannot be taken over."""
        self._app = app

    def client_config(self) -> Mapping[str, Any]:
        """Return the settings of the Kafka consumer."""
        return consumer_config(self._kit.settings, self._identity)

    async def assigned(self, committed: Mapping[TP, int | None], generation: int, member: object) -> None:
        """Open partitions, and restore them while the group goes on."""
        self._checkpoints.hurry(False)
        async with self._checkpoints.apart():
            await self._assignment.take_over(committed, generation, member)
            for tp in self._assignment.apart:
                self._app.consumer.hold(tp, generation)
        self._kit.probe("assigned")
        self._kit.metrics.rebalanced("assigned", len(self._assignment.partitions))
        self._restoring = asyncio.create_task(self._restore(committed))

    async def _restore(self, committed: Mapping[TP, int | None]) -> None:
        consumer: Consumer = self._app.consumer
        try:
            await self._assignment.restore(committed, consumer.resume)
        except Exception as error:
            self._checkpoints.stop_all()
            await self._app.crash(error)

    async def revoked(self) -> None:
        """Commit what was taken in, then let go."""
        self._kit.probe("revoking")
        self._checkpoints.hurry(True)
        try:
            await self._checkpoints.run()
        finally:
            await self._let_go("revoked")

    async def lost(self) -> None:
        """Let go; what was taken in since the last checkpoint comes again, here or elsewhere."""
        log.warning("the group has given this worker's partitions to others")
        self._checkpoints.hurry(True)
        await self._let_go("lost")

    async def _let_go(self, event: str) -> None:
        if self._assignment.generation < 0:
            return
        async with self._checkpoints.apart():
            await self._assignment.release()
            self._checkpoints.drop_sent()
        if self._restoring is not None:
            await self._restoring
            self._restoring = None
        self._kit.probe(event)
        self._kit.metrics.rebalanced(event, 0)
