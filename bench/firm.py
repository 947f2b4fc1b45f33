"""The whole topology over a generated firm, exactly once, the worker on one core: input records a second."""

import os
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree, rmtree

from bench.broker import Say
from bench.running import ROOT, Child, Failed, Run
from bench.topics import Committed, end_sum
from bench.variants.firm import settings_of
from stack.kafka import Kafka
from streams.engine.worker import steps_of
from streams.topics import SOURCES, TOPICS

GROUP = "firm"
RUN_SECONDS_MAX = 900.0
_LOOK_SECONDS = 0.1
_SOURCE_NAMES = tuple(topic.name for topic in SOURCES)


class Firm:
    """A generated firm in the source topics of a Kafka, all of it before any worker starts.

    Every round has a copy of that Kafka: what a round derives must not be there for the next.
    """

    def __init__(self, folder: Path, time_entries: int, say: Say) -> None:
        self._folder = folder
        self._say = say
        say(f"generating a firm with {time_entries:,} time entries into its source topics")
        with Kafka(folder / "firm-kafka", say=say) as kafka:
            throughline(kafka.bootstrap, "topics", "apply")
            end_sum(kafka.bootstrap, TOPICS)
            size = ("--time-entries", str(time_entries))
            throughline(kafka.bootstrap, "generate", *size, "--brokers", kafka.bootstrap, "--quiet")
            self.records = end_sum(kafka.bootstrap, _SOURCE_NAMES)

    def run(self, number: int) -> Run:
        """Run a worker from the beginning to the end of the input, and until nothing is under way in it."""
        folder = self._folder / f"firm-{number}"
        copytree(self._folder / "firm-kafka", folder / "kafka")
        with Kafka(folder / "kafka", say=self._say) as kafka:
            steps, _ = steps_of(settings_of(kafka.bootstrap, GROUP, folder))
            committed = Committed(kafka.bootstrap, GROUP, sorted({topic for step in steps for topic in step.reads}))
            arguments = (kafka.bootstrap, GROUP, str(folder))
            cpus = [max(os.sched_getaffinity(0))]
            with Child(self._folder / f"firm-{number}.log", "bench.variants.firm", *arguments, cpus=cpus) as child:
                run = self._watch(child, committed)
                child.stop()
            committed.close()
        rmtree(folder)
        return run

    def _watch(self, child: Child, committed: Committed) -> Run:
        """Measure from the first commit until nothing is open, and count what was committed in between.

        The mark that ends a transaction takes an offset, and is committed a second later where no record follows: one
        offset a partition may be open at the end.
        """
        deadline, began = time.monotonic() + RUN_SECONDS_MAX, (0.0, 0.0, 0)
        while True:
            offsets = committed.offsets()
            now, cpu_s = time.monotonic(), child.cpu_s()
            taken = sum(offset for (topic, _), offset in offsets.items() if topic in _SOURCE_NAMES)
            if taken and not began[2]:
                began = now, cpu_s, taken
            if taken == self.records and all(open_ <= 1 for open_ in committed.open(offsets).values()):
                break
            child.alive()
            if now > deadline:
                raise Failed(f"firm: {sum(committed.open(offsets).values()):,} open after {RUN_SECONDS_MAX:.0f} s")
            time.sleep(_LOOK_SECONDS)
        return Run(self.records - began[2], now - began[0], cpu_s - began[1], child.rss_mb())


def throughline(brokers: str, *words: str) -> None:
    """Run a command of the product on a broker. Raises `Failed`."""
    settings = {"THROUGHLINE_BROKERS": brokers, "THROUGHLINE_GROUP": GROUP}
    done = subprocess.run(
        [sys.executable, "-c", "from streams.cli import main; main()", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Failed(f"throughline {' '.join(words)} ended with {done.returncode}: {done.stderr[-2_000:]}")
