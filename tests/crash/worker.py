"""A worker of the crash job: `python -m tests.crash.worker RUN BROKERS FOLDER PARTITIONS`, and how it is to be.

It kills itself the COUNT-th time it passes POINT, which is a point of `streams.engine.probe`, or `batch`: in the middle
of the records of a batch, or `timer`: before one fires. Or it stops there until it is woken, or its thread waits there
while the others go on.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streams.behaviour import Behaviour
from streams.config import load
from streams.engine import app
from streams.engine.worker import run_steps
from streams.step import Context, Record, Step
from tests.crash import job
from tests.crash.careless import Careless
from tests.crash.job import JsonWire, steps_of, topics_of

SESSION_SECONDS = 3.0
TRANSACTION_SECONDS = 5.0
HELD_SECONDS_MAX = 60.0


class Fate:
    """When this worker dies, or with another signal stops where it is until it is woken."""

    def __init__(self, point: str | None = None, count: int = 0, by: signal.Signals = signal.SIGKILL) -> None:
        self._point = point
        self._left = count
        self._by = by

    def __call__(self, point: str) -> None:
        """Pass a point, or die there."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._by)


class Hold:
    """Holds up the thread that passes a point the COUNT-th time until another thread has passed another point."""

    def __init__(self, point: str, count: str, until: str) -> None:
        self._point = point
        self._left = int(count)
        self._until = until
        self._passed = threading.Event()

    def __call__(self, point: str) -> None:
        """Pass a point, or wait there."""
        if point == self._until:
            self._passed.set()
        elif point == self._point:
            self._left -= 1
            if self._left == 0:
                self._passed.wait(HELD_SECONDS_MAX)


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
        """Perhaps die, then do as it would."""
        self._fate("timer")
        self._behaviour.on_timer(key)

    def before_commit(self) -> None:
        """Do as it would."""
        self._behaviour.before_commit()


class Faulty(Mortal):
    """A behaviour with a defect: it cannot take in the entry of one number."""

    number = -1

    def on_records(self, records: Sequence[Record]) -> None:
        """Fail if the entry is there."""
        if any(record.value[0] == self.number for record in records):
            raise ZeroDivisionError(f"entry {self.number} cannot be reckoned with")
        super().on_records(records)


def mortal(step: Step, fate: Fate, skipped: Sequence[str] = ()) -> Step:
    """Return a step that may die in the middle of a batch, and does not read some topics."""

    def begin(context: Context) -> Behaviour:
        behaviour = step.begin(context)
        return Mortal(behaviour, fate) if Faulty.number < 0 else Faulty(behaviour, fate)

    return replace(step, begin=begin, reads=tuple(topic for topic in step.reads if topic not in skipped))


def main(words: Sequence[str]) -> int:
    """Run the worker."""
    parser = argparse.ArgumentParser(prog="tests.crash.worker")
    parser.add_argument("run", help="name of the group, and prefix of its topics")
    parser.add_argument("brokers")
    parser.add_argument("folder", type=Path)
    parser.add_argument("partitions", type=int)
    parser.add_argument("--dies", nargs=2, metavar=("POINT", "COUNT"), default=(None, "0"))
    parser.add_argument("--stops", nargs=2, metavar=("POINT", "COUNT"), help="until it is sent SIGCONT")
    parser.add_argument("--holds", nargs=3, metavar=("POINT", "COUNT", "UNTIL"), help="waits for the other point")
    parser.add_argument("--skips", metavar="INPUT", help="a field of `Topics` that nobody reads here")
    parser.add_argument("--fails", type=int, default=-1, metavar="NUMBER", help="at the entry of this number")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="a setting")
    parser.add_argument("--reminds-after", type=int, default=job.REMINDER_MS, metavar="MS")
    parser.add_argument("--guest", action="store_true", help="a member that leaves the group when it stops")
    parser.add_argument("--careless", action="store_true", help="writes its outputs outside of the transaction")
    asked = parser.parse_args(words)
    usual = {
        "brokers": asked.brokers,
        "group": asked.run,
        "partitions": asked.partitions,
        "state_folder": asked.folder,
        "session_timeout_s": SESSION_SECONDS,
        "transaction_timeout_ms": round(TRANSACTION_SECONDS * 1000),
        "static_membership": not asked.guest,
    }
    settings = load(None, **(usual | dict(asked.set)))
    if asked.careless:
        vars(app)["ExactlyOnce"] = Careless
    Faulty.number = asked.fails
    job.REMINDER_MS = asked.reminds_after
    point, count = asked.stops or asked.dies
    fate = Fate(point, int(count), signal.SIGSTOP if asked.stops else signal.SIGKILL)
    topics = topics_of(asked.run)
    skipped = [getattr(topics, asked.skips)] if asked.skips else []
    steps = tuple(mortal(step, fate, skipped) for step in steps_of(topics))
    return run_steps(settings, steps, JsonWire(), probe=Hold(*asked.holds) if asked.holds else fate)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
