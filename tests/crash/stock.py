"""The same job and the same kills on stock Faust, to be printed beside ours. What comes of it fails no run."""

import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import orjson

from streams.engine.drained import GroupLag
from tests.crash.entries import Result, batch_result
from tests.crash.fates import AT_ONCE, SIGNAL, Fate
from tests.crash.job import INPUTS, Run
from tests.crash.matrix import PARTITIONS, WORKERS, Commands, Matrix, Say, make_topics
from tests.crash.slot import Slot
from tests.crash.stock_worker import ASSIGNED
from tests.crash.verdict import Count, Verdict, committed, hold_outputs

QUIET_SECONDS = 30.0
"""How long nothing must have moved for the run to be over: what it does not take in by then, it never will."""

SECONDS_MAX = 240.0


class StockMatrix(Matrix):
    """A run with workers of stock Faust.

    One that ends by itself is started again, as a supervisor does, and without its tables: most of them end because a
    table is ahead of its changelog, and would for ever.
    """

    failures = 0

    def _ended_by_itself(self, slot: Slot) -> None:
        self.failures += 1
        shutil.rmtree(slot.folder, ignore_errors=True)
        slot.start(slot.fate)

    def _drain(self, seconds_max: float) -> None:
        names = [getattr(self._asked.topics, name) for name in (*INPUTS, "facts")]
        lag = GroupLag(self._asked.brokers, self._asked.name)
        until = time.monotonic() + seconds_max
        now, seen, since = lag.of(names), None, time.monotonic()
        while time.monotonic() < until and time.monotonic() - since < QUIET_SECONDS:
            for slot in self.slots:
                if not slot.runs:
                    self._ended_by_itself(slot)
            now = lag.of(names)
            if now != seen or self._feed.is_alive():
                seen, since = now, time.monotonic()
            time.sleep(1.0)
        lag.close()
        self._say(f"at rest or out of time: {now.open:,} of {now.written:,} offsets are not acknowledged")

    def _end(self) -> None:
        for slot in self.slots:
            slot.kill()  # what it would commit on its way out, it has had the time to commit before


def stock_verdict(run: Run, kills: int, say: Say) -> Verdict:
    """Run the job on stock Faust, kill its workers at moments of the seed's, and return what came of it."""
    run.out.mkdir()
    make_topics(run)
    random = Random(run.seed)
    plan: list[list[Fate]] = [[] for _ in WORKERS]
    for number in range(kills):
        plan[number % len(WORKERS)].append(Fate(SIGNAL, random.randint(4, 24), AT_ONCE))

    def command(folder: Path, _fate: Fate | None) -> list[str]:
        where = (run.name, run.brokers, str(folder), str(PARTITIONS))
        return [sys.executable, "-m", "tests.crash.stock_worker", *where]

    matrix = StockMatrix(run, Commands(command, command, ASSIGNED.encode()), say)
    matrix.run(plan, SECONDS_MAX)
    if matrix.failures:
        say(f"workers that ended by themselves, and were started again without their tables: {matrix.failures}")
    expected, count = batch_result(run.seed, run.records), Count()
    hold_outputs(count, run, expected)
    _hold_tables(count, run, expected)
    return count.verdict()


def _hold_tables(count: Count, run: Run, expected: Result) -> None:
    found: Counter[str] = Counter()
    totals = {}
    for message in committed(run.brokers, f"{run.name}-entries-changelog"):
        found[orjson.loads(message.key() or b"null")] = 1
    for message in committed(run.brokers, f"{run.name}-totals-changelog"):
        totals[orjson.loads(message.key() or b"null")] = orjson.loads(message.value() or b"null")
    count.hold("entry", found, (f"{c}|{n:09d}" for c, entries in expected.entries.items() for n in entries))
    for contract, hours in expected.hours.items():
        wanted = [hours, len(expected.entries[contract]), expected.portions(contract)]
        count.equal(f"total of {contract}", totals.get(contract), wanted)
