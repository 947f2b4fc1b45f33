"""The reference job on one worker and on two: records a second of the group as a whole.

All input is written while the workers are stopped (SIGSTOP) with their partitions assigned: they begin at one moment.
"""

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.broker import Broker, Say
from bench.members import share_out
from bench.reference.avro import INPUTS, MARGINS, TRIGGERS
from bench.running import Child, Failed, Run
from bench.side_by_side import Input, check
from bench.topics import COMPACTED, Committed, make_topics, remove_topics
from bench.variants.codecs import FASTAVRO

RUN_SECONDS_MAX = 300.0
_LOOK_SECONDS = 0.02
_SESSION_SECONDS = 30


class Workers:
    """Runs groups of some workers over the same input."""

    def __init__(self, broker: Broker, folder: Path, input_: Input, say: Say) -> None:
        self._brokers = broker.bootstrap
        self._folder = folder
        self._input = input_
        self._say = say

    def run(self, count: int, number: int) -> Run:
        """Run so many workers as one group."""
        group = f"workers-{count}-{number}"
        prefix = f"{group}.in."
        topics: dict[str, Any] = {f"{group}.{kind}": {} for kind in (TRIGGERS, MARGINS)}
        topics |= {f"{prefix}{topic}": {} for topic in INPUTS}
        make_topics(self._brokers, topics | {f"{group}.changelog": COMPACTED})
        read = [f"{prefix}{topic}" for topic in INPUTS]
        committed = Committed(self._brokers, group, read)
        with ExitStack() as stack:
            workers = [stack.enter_context(self._start(group, prefix, slot)) for slot in range(count)]
            share_out(self._brokers, group, workers)
            for worker in workers:
                worker.send(signal.SIGSTOP)
            self._input.write(prefix)
            ends, before = committed.ends(), [worker.cpu_s() for worker in workers]
            began = time.monotonic()
            for worker in workers:
                worker.send(signal.SIGCONT)
            self._drain(committed, ends, workers)
            seconds = time.monotonic() - began
            cpu_s = sum(worker.cpu_s() - used for worker, used in zip(workers, before, strict=True))
            run = Run(sum(ends.values()), seconds, cpu_s, max(worker.rss_mb() for worker in workers))
        committed.close()
        check(self._brokers, group, self._input.expected)
        remove_topics(self._brokers, group)
        return run

    def _start(self, group: str, prefix: str, slot: int) -> Child:
        folder = self._folder / f"{group}-{slot}"
        options = (f"session_timeout_s={_SESSION_SECONDS}",)
        arguments = (self._brokers, group, str(folder), FASTAVRO, prefix, *options)
        return Child(self._folder / f"{group}-{slot}.log", "bench.variants.engine", *arguments)

    def _drain(self, committed: Committed, ends: dict[tuple[str, int], int], workers: Sequence[Child]) -> None:
        deadline = time.monotonic() + RUN_SECONDS_MAX
        while any(committed.offsets()[place] < end for place, end in ends.items()):
            for worker in workers:
                worker.alive()
            if time.monotonic() > deadline:
                raise Failed(f"not all was committed within {RUN_SECONDS_MAX:.0f} s")
            time.sleep(_LOOK_SECONDS)
