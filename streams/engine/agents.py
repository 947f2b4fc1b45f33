"""Steps as Faust agents."""

from collections.abc import Sequence, Set
from typing import Any

from streams.engine.checkpoint import Checkpoints
from streams.engine.transport.batch import Batch, BatchSchema
from streams.step import Step


def enlist(app: Any, checkpoints: Checkpoints, topology: Sequence[Step]) -> None:
    """Give each step its agent: it reads all topics of the step in batches, and lets the step take them in.

    The streams acknowledge nothing: the checkpoint does, with outputs and state.
    """
    last_readers = {topic: step for step in topology for topic in step.reads}
    for step in topology:
        _enlist(app, checkpoints, step, {topic for topic, last in last_readers.items() if last is step})


def _enlist(app: Any, checkpoints: Checkpoints, step: Step, last_of: Set[str]) -> None:
    topic = app.topic(*step.reads, schema=BatchSchema())

    async def agent(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                batch: Batch = event.value
                await checkpoints.take(step, batch)
                if batch.tp.topic in last_of:
                    app.consumer.taken(batch.tp, len(batch.messages), batch.generation)
        except Exception as error:
            # Faust would restart the agent behind the event that failed, and so lose it.
            checkpoints.stop_all()
            await app.crash(error)

    app.agent(topic, name=f"step.{step.name}")(agent)
