"""Steps as Faust agents."""

from typing import Any

import faust

from streams.engine.checkpoint import Checkpoints
from streams.engine.transport.batch import BatchSchema
from streams.step import Step


def enlist(app: faust.App, checkpoints: Checkpoints, step: Step) -> None:
    """Give a step its agent: it reads all topics of the step in batches, and lets the step take them in.

    The stream acknowledges nothing: the checkpoint does, with outputs and state.
    """
    topic = app.topic(*step.reads, schema=BatchSchema())

    async def agent(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                await checkpoints.take(step, event.value)
        except Exception as error:
            # Faust would restart the agent behind the event that failed, and so lose it.
            checkpoints.stop_all()
            await app.crash(error)

    app.agent(topic, name=f"step.{step.name}")(agent)
