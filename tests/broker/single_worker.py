"""A worker with ordinary agents: `python -m tests.broker.single_worker BROKERS STATE_FOLDER [HOW...]`.

Each passes on what it reads. HOW may be:

- `beside`: the toy steps run beside them;
- `fails`: the value `bad` is an error;
- `interval=N`: so many milliseconds between two checkpoints.

The value `hold` is held until the file `released` is in the state folder.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from streams.config import load
from streams.engine.app import EngineApp, app
from streams.engine.cluster import check_topics
from streams.engine.state_folder import held
from streams.engine.worker import _execute, log_to_stderr
from tests.broker import toys

log = logging.getLogger("throughline.single")

RELEASED = "released"
HOLD = b"hold"
SLOW, QUICK, OUT = "single.slow", "single.quick", "single.out"


def enlist(engine: EngineApp, folder: Path, fails: bool) -> None:
    """Give the app its agents: one of four at a time on one topic, one by one on the other."""
    out = engine.topic(OUT, value_serializer="raw", key_serializer="raw")

    async def pass_on(stream: Any) -> None:
        async for event in stream.events():
            while event.value == HOLD and not (folder / RELEASED).exists():
                await asyncio.sleep(0.02)
            if event.value == b"bad" and fails:
                raise ValueError("a bad value cannot be passed on")
            await out.send(key=event.key, value=b'"%s"' % event.value)
            log.info("passed on %s", event.value.decode())

    slow = engine.topic(SLOW, value_serializer="raw", key_serializer="raw")
    quick = engine.topic(QUICK, value_serializer="raw", key_serializer="raw")
    engine.agent(slow, name="slow", concurrency=4)(pass_on)
    engine.agent(quick, name="quick")(pass_on)


def main(brokers: str, folder: Path, how: list[str]) -> int:
    """Run the worker."""
    log_to_stderr()
    interval = next((int(word.removeprefix("interval=")) for word in how if word.startswith("interval=")), 20)
    settings = load(
        None,
        brokers=brokers,
        state_folder=folder,
        checkpoint_interval_ms=interval,
        guarantee="at_least_once",
        static_membership=False,
    )
    steps = (toys.ACCOUNT, toys.JOURNAL) if "beside" in how else ()
    check_topics(settings, (SLOW, QUICK, OUT))
    with held(folder) as state:
        engine = app(settings, steps, toys.JsonWire(), state)
        enlist(engine, folder, "fails" in how)
        return _execute(engine, ends_with_input=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
