"""Steps as Faust agents."""

from typing import Any

import faust

from streams.engine.floor import Floor
from streams.step import Step


def enlist(app: faust.App, floor: Floor, step: Step) -> None:
    """Give a step its agent: it reads all topics of the step as bytes and lets their events wait on the floor.

    The stream acknowledges nothing by itself: the checkpoint does, once outputs and state are written.
    """
    topic = app.topic(*step.reads, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def agent(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                await floor.offer(step, event)
        except Exception as error:
            # Faust would restart the agent behind the event that failed, and so lose it.
            await floor.fail(error)

    app.agent(topic, name=f"step.{step.name}")(agent)
