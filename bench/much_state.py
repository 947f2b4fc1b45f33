"""A worker with a million items of state: the cost of one more record, memory, recovery, and the rate of restores."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from bench.broker import Broker, Say
from bench.running import Child, Failed
from bench.topics import COMPACTED, PARTITIONS, Committed, fill, make_topics, reader_from_now
from bench.variants.items import COUNTS, ITEMS, rows

GROUP = "items"
ITEMS_AT_END = 1_000_000
FACTORS = (1, 10, 100)
MEASURED_RECORDS = 50_000
DRAIN_SECONDS_MAX = 600.0
_LOOK_SECONDS = 0.05
_REST_SECONDS_MAX = 60
_REST_CPU_SECONDS = 0.1
_AFTER_CRASH_RECORDS = 100


class Growth(NamedTuple):
    """What one more record costs, in microseconds of CPU, over so many items of state."""

    items: int
    cpu_us_per_record: float


class MuchState:
    """One worker, its input and its state."""

    def __init__(self, broker: Broker, folder: Path, say: Say, items: int = ITEMS_AT_END) -> None:
        self._brokers = broker.bootstrap
        self._folder = folder
        self._state = folder / GROUP
        self._say = say
        self._items = items
        self._fed = 0
        self._log = folder / f"{GROUP}.log"
        make_topics(self._brokers, {ITEMS: {}, f"{GROUP}.{COUNTS}": {}, f"{GROUP}.changelog": COMPACTED})
        self._committed = Committed(self._brokers, GROUP, [ITEMS])

    def run(self) -> dict[str, Any]:
        """Return all figures, as they stand in `latest.json`."""
        with self._worker() as child:
            growth = [self._growth(child, self._items // FACTORS[-1] * factor) for factor in FACTORS]
            memory = {"items": self._fed, "rss_filling_mb": round(child.rss_mb())}
            child.kill()
        recovery = {}
        for name, empty in (("in_place", False), ("empty", True)):
            seconds, rss_mb = self._recover(empty)
            recovery[name], memory[f"rss_{name}_mb"] = round(seconds, 2), round(rss_mb)
            self._say(f"first output after kill -9, databases {name.replace('_', ' ')}: {recovery[name]:.1f} s")
        self._say(f"memory with {memory['items']:,} items: {memory}")
        restores = self._restores()
        self._committed.close()
        return {
            "growth_us_per_record": {str(point.items): round(point.cpu_us_per_record, 1) for point in growth},
            "state": memory,
            "recovery_s": recovery,
            "restore_records_per_s": round(statistics.median(restores)),
            "restore_runs": [round(rate) for rate in restores],
        }

    @contextmanager
    def _worker(self) -> Iterator[Child]:
        self._state.mkdir(exist_ok=True)
        with Child(self._log, "bench.variants.items", self._brokers, GROUP, str(self._state)) as child:
            yield child

    def _growth(self, child: Child, items: int) -> Growth:
        """Feed up to so many items, then measure more of them."""
        self._feed(items - self._fed)
        self._drain(child)
        _rest(child)
        began_s = child.cpu_s()
        self._feed(MEASURED_RECORDS)
        self._drain(child)
        cost = (child.cpu_s() - began_s) / MEASURED_RECORDS * 1e6
        self._say(f"one more record over {items:,} items: {cost:.1f} µs CPU")
        return Growth(items, cost)

    def _feed(self, count: int) -> None:
        self._fed += fill(self._brokers, rows(self._fed, max(count, 0)))

    def _drain(self, child: Child) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS_MAX
        while sum(self._committed.offsets().values()) < self._fed:
            child.alive()
            if time.monotonic() > deadline:
                raise Failed(f"items: not all of {self._fed:,} records are committed; see {self._log}")
            time.sleep(_LOOK_SECONDS)

    def _recover(self, empty: bool) -> tuple[float, float]:
        """Start the worker again after it was killed with records to do, and let it work on.

        Returns the seconds to the first output, and how much memory it held at most, in MiB.
        """
        if empty:
            for path in self._state.glob("partition-*"):
                rmtree(path)
        reader = reader_from_now(self._brokers, f"{GROUP}.{COUNTS}")
        self._feed(_AFTER_CRASH_RECORDS)
        began = time.monotonic()
        with self._worker() as child:
            while True:
                message = reader.poll(_LOOK_SECONDS)
                if message is not None and message.error() is None:
                    break
                child.alive()
                if time.monotonic() > began + DRAIN_SECONDS_MAX:
                    raise Failed(f"items: no output after a restart; see {self._log}")
            seconds = time.monotonic() - began
            self._feed(MEASURED_RECORDS)
            self._drain(child)
            rss_mb = child.rss_mb()
            child.kill()
        reader.close()
        return seconds, rss_mb

    def _restores(self, rounds: int = 5) -> list[float]:
        """Restore the state from its changelog into databases that are not there yet, some times."""
        found = []
        for number in range(1, rounds + 1):
            folder = self._folder / f"restored-{number}"
            arguments = (self._brokers, f"{GROUP}.changelog", str(folder), str(PARTITIONS))
            command = [sys.executable, "-m", "bench.variants.restoring", *arguments]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rmtree(folder)
            found.append(told["records"] / told["seconds"])
            self._say(f"restore {number} of {rounds}: {told['records']:,} records, {found[-1]:,.0f} a second")
        return found


def _rest(child: Child) -> None:
    """Wait until a worker has nothing to do any more: its databases go on sorting what was written for a while."""
    before = child.cpu_s()
    for _ in range(_REST_SECONDS_MAX):
        time.sleep(1.0)
        now = child.cpu_s()
        if now - before < _REST_CPU_SECONDS:
            return
        before = now
