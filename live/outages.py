"""A week of invented outages: `python -m live.outages`, which is `make outages`.

A firm is at work while, by chance and by seed, parts of the stack are killed (kill -9) or hang, alone or two at once,
for moments or for longer than their sessions last. Then all is back, and SQL over the source database says whether
anything is missing or there twice. The last line is `outages N, lost N, doubled N`; exit 0 only without losses.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple, Protocol

from connect.watch import RESTARTED
from firm.database import is_psa
from firm.history import History
from firm.moments import DAY_MS
from firm.size import FirmSize
from firm.topics import paced
from live.batch import Batch
from live.derived import trigger_ids
from live.errors import PipelineError
from live.firm import FirmAtWork
from live.pipeline import ANALYTICS, PSA, Pipeline
from live.program import Program
from stack.errors import StackError
from stack.ports import free_ports

DAYS, MONTHS = 7, 2
SECONDS = 120
SETTINGS = {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "1", "THROUGHLINE_SINKS__POLL_SECONDS": "0.2"}
_QUIET_SECONDS = (0.5, 3.0)
_AWAY_SECONDS = (0.1, 9.0)
_TWO_AT_ONCE = 0.25
_RESTARTED_SECONDS_MAX = 180.0
_LOOK_SECONDS = 1.0

Say = Callable[[str], None]


class Part(Protocol):
    """What can fail, and come back."""

    name: str

    def kill(self) -> None:
        """Kill it (kill -9)."""

    def start(self) -> None:
        """Start it again, and wait until it answers."""

    def suspend(self) -> None:
        """Let it hang."""

    def resume(self) -> None:
        """Let it go on."""


class Verdict(NamedTuple):
    """What outages came to: how many there were, what differs from the batch, and what is there twice."""

    outages: int
    lost: int
    doubled: int


class Outages:
    """Parts that fail one after another, in a thread of their own, until they are told to be well again."""

    def __init__(self, parts: Sequence[Part], seed: int, say: Say) -> None:
        self.count: Counter[str] = Counter()
        self._parts = tuple(parts)
        self._chance = random.Random(seed)
        self._say = say
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="outages")

    def begin(self) -> None:
        """Begin to fail."""
        self._thread.start()

    def end(self) -> None:
        """Be well again, all of them. Raises what went wrong in bringing one back."""
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._over.wait(self._chance.uniform(*_QUIET_SECONDS)):
                count = 2 if self._chance.random() < _TWO_AT_ONCE else 1
                self._fail(self._chance.sample(self._parts, count))
        except Exception as error:  # whatever it is, whoever waits for the end must hear of it
            self._failure = error

    def _fail(self, parts: Sequence[Part]) -> None:
        ways = [(part, self._chance.choice(("kill", "hang"))) for part in parts]
        away = self._chance.uniform(*_AWAY_SECONDS)
        self._say(f"{' and '.join(f'{way} {part.name}' for part, way in ways)}, back after {away:.1f} s")
        for part, way in ways:
            part.kill() if way == "kill" else part.suspend()
            self.count[f"{way} {part.name}"] += 1
        self._over.wait(away)
        for part, way in ways:
            part.start() if way == "kill" else part.resume()


def _until_connectors_run(pipeline: Pipeline, watch: Program, say: Say) -> None:
    """Wait for the watch to restart what met a part that was away, and failed; say what it has restarted.

    Raises:
        PipelineError: A connector still does not run.
    """
    deadline = time.monotonic() + _RESTARTED_SECONDS_MAX
    say("all is back; the watch restarts what has failed of connectors")
    while True:
        try:
            pipeline.run("connect", "status", PSA, ANALYTICS)
            break
        except PipelineError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_SECONDS)  # Connect tells nobody that a connector runs: it is asked
    restarts = [line for line in watch.log.read_text("utf-8").splitlines() if RESTARTED in line]
    for line in [*restarts, f"restarts by the watch: {len(restarts)}, by hand: none"]:
        say(line)


def run(folder: Path, seed: int, time_entries: int, seconds: int, say: Say) -> Verdict:
    """Let a firm work for a week, in so many seconds, while parts of its stack fail.

    Raises:
        StackError: A part cannot be started.
        PipelineError: The firm cannot work, or a worker has ended by itself.
    """
    changes = list(History(FirmSize(time_entries, seed, date(2025, 3, 3), months=MONTHS)).records())
    week_ms = changes[-1].timestamp - DAYS * DAY_MS
    before = [change for change in changes if change.timestamp < week_ms]
    week = changes[len(before) :]
    with Pipeline(folder, SETTINGS, say=say) as pipeline:
        workers = [pipeline.worker(f"worker-{number}") for number in (1, 2)]
        (port,) = free_ports(1)
        watch = pipeline.program("watch", "connect", "watch", "--port", str(port), "--every", "2")
        for program in (*workers, watch):
            program.start()
        parts: list[Part] = [*workers, pipeline.connect, pipeline.postgresql, pipeline.registry, pipeline.kafka]
        outages, firm = Outages(parts, seed, say), FirmAtWork(pipeline)
        say(f"{len(before):,} changes of the months before, in peace")
        firm.write(before)
        say(f"{len(week):,} changes of a week, in {seconds} s; parts fail by chance, seed {seed}")
        outages.begin()
        try:
            firm.write(paced(week, max(len(week) // seconds, 1), time.monotonic, time.sleep))
        finally:
            outages.end()
            firm.close()
        for part in parts:
            part.start()  # a worker gives up by itself when brokers are away for long: whoever runs it starts it anew
        _until_connectors_run(pipeline, watch, say)
        batch = Batch(pipeline, [change for change in changes if not is_psa(change)])
        batch.settle()
        lost, twice = [*batch.projects(), *batch.bookings()], _doubled(pipeline)
        for line in [*map(str, lost), *batch.erps.doubled, *batch.erps.complaints, *twice][:20]:
            say(line)
        doubled = len(batch.erps.doubled) + len(batch.erps.complaints) + len(twice)
        batch.close()
        say(", ".join(f"{what} {count}" for what, count in sorted(outages.count.items())))
        return Verdict(outages.count.total(), len(lost), doubled)


def _doubled(pipeline: Pipeline) -> list[str]:
    """The triggers that are in their topic twice."""
    ids = Counter(trigger_ids(pipeline))
    return [f"trigger {trigger} is there {count} times" for trigger, count in ids.items() if count > 1]


def main() -> int:
    """Run a week, and say what came of it."""
    options = argparse.ArgumentParser(prog="python -m live.outages", description=__doc__)
    options.add_argument("--seed", type=int, default=None, help="of the outages and the firm; else by the clock")
    options.add_argument("--time-entries", type=int, default=3_000, help="size of the firm")
    options.add_argument("--seconds", type=int, default=SECONDS, help="that the week takes")
    chosen = options.parse_args()
    seed = int(time.time()) if chosen.seed is None else chosen.seed
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="throughline-outages-") as folder:
            verdict = run(Path(folder), seed, chosen.time_entries, chosen.seconds, say)
    except (PipelineError, StackError) as error:
        print(f"seed {seed}: {error}", file=sys.stderr)
        return 1
    print(f"seed {seed}")
    print(f"outages {verdict.outages}, lost {verdict.lost}, doubled {verdict.doubled}")
    return 1 if verdict.lost or verdict.doubled else 0


if __name__ == "__main__":
    sys.exit(main())
