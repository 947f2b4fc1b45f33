"""A worker of the crash job: `python -m tests.crash.worker BROKERS FOLDER PARTITIONS [POINT COUNT]`.

It kills itself the COUNT-th time it passes POINT, which is a point of `streams.engine.probe` or `batch`: in the middle
of the records of a batch.
"""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streams.config import load
from streams.engine.worker import run_steps
from streams.step import Behaviour, Context, Record, Step
from tests.crash.job import STEPS, JsonWire

GROUP = "crash"
SESSION_SECONDS = 6.0


class Fate:
    """When this worker dies."""

    def __init__(self, point: str | None = None, count: int = 0) -> None:
        self._point = point
        self._left = count

    def __call__(self, point: str) -> None:
        """Pass a point, or die there."""
        if point == self._point:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Mortal(Behaviour):
    """A behaviour whose worker may die in the middle of a batch."""

    def __init__(self, behaviour: Behaviour, fate: Fate) -> None:
        self._behaviour = behaviour
        self._fate = fate

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in half, perhaps die, take in the rest."""
        middle = len(records) // 2
        self._behaviour.on_records(records[:middle])
        self._fate("batch")
        self._behaviour.on_records(records[middle:])

    def on_timer(self, key: str) -> None:
        """Do as it would."""
        self._behaviour.on_timer(key)

    def before_commit(self) -> None:
        """Do as it would."""
        self._behaviour.before_commit()


def mortal(step: Step, fate: Fate) -> Step:
    """Return a step that may die in the middle of a batch."""

    def begin(context: Context) -> Behaviour:
        return Mortal(step.begin(context), fate)

    return replace(step, begin=begin)


def main(brokers: str, folder: str, partitions: str, point: str | None = None, count: str = "0") -> int:
    """Run the worker."""
    settings = load(
        None,
        brokers=brokers,
        group=GROUP,
        partitions=int(partitions),
        state_folder=Path(folder),
        session_timeout_s=SESSION_SECONDS,
        transaction_timeout_ms=5_000,
    )
    fate = Fate(point, int(count))
    return run_steps(settings, tuple(mortal(step, fate) for step in STEPS), JsonWire(), probe=fate)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
