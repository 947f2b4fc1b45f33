"""`throughline load`: files of history landed beside live feeds, with progress, and no faster than these allow."""

import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

from confluent_kafka import KafkaException

from connect.csv_records import UnreadableFile
from connect.feeds.contract import Batch, Fatal, Memory
from connect.feeds.load import CONNECTOR, LoadSource, Surroundings as OfFiles
from connect.feeds.runner import Landed, Runner, Surroundings
from connect.row_files import Reached
from connect.settings import Pace
from connect.sheets import Terms
from streams.collecting import spare_what_is_loaded
from streams.config import Settings
from streams.engine.clock import system_clock
from streams.engine.cluster import TopicsError, known_topics
from streams.engine.drained import GroupLag
from streams.engine.feed_bytes import Feed
from streams.engine.landing import KafkaLanding
from streams.engine.wire import registry_of
from streams.engine.worker import log_to_stderr
from streams.progress import Progress
from streams.topics import INTERNAL, SOURCES

BATCH_ROWS: Final = 5_000
"""Rows of one transaction. A quarter of a second's at the rate that one worker keeps up with."""

ALL_LANDED, WITH_REJECTS, UNUSABLE, STOPPED = 0, 1, 2, 130
"""Exit codes."""

_PACE: Final = Pace(poll_ms=1_000, heartbeat_ms=1_000, backoff_first_ms=1_000, backoff_max_ms=30_000)
_FIRST_FAILURES_MAX: Final = 3
_LOOK_SECONDS: Final = 0.2
_WATCHED: Final = tuple(topic.name for topic in (*SOURCES, *INTERNAL))


class Load(NamedTuple):
    """What is to be loaded: files, the name of the load, and the topic of CSV files that do not say their own.

    `rate`: rows a second at most, None for any. `lag_max`: records that the group may have open, None for any number.
    `delimiter`: what stands between two fields of a CSV file.
    """

    paths: Sequence[Path]
    name: str
    topic: str = ""
    rate: int | None = None
    lag_max: int | None = None
    quiet: bool = False
    delimiter: str = ","


def run_load(settings: Settings, load: Load) -> int:
    """Load files until all are landed, or a signal stops it. Returns an exit code, and says on standard error why.

    Raises `schemas.lined_yaml.UnusableFile` as `registry_of` does.
    """
    log_to_stderr()
    try:
        known_topics(settings.brokers)  # said at once: later, whoever lands would wait for brokers to come
    except TopicsError as error:
        return _said(UNUSABLE, str(error))
    spare_what_is_loaded()
    stop = Event()
    told = _Told(load.quiet)
    throttle = _Throttle(settings, load, stop, told)
    rows = BATCH_ROWS if load.rate is None else max(1, min(BATCH_ROWS, load.rate))
    try:
        terms = Terms(topic=load.topic, delimiter=load.delimiter, batch_rows=rows, whole=True)
        source = LoadSource(load.paths, terms, OfFiles(system_clock, told, throttle.may))
        landing = KafkaLanding(settings, Feed(load.name, CONNECTOR, "load"), registry_of(settings.contracts))
        outside = Surroundings(system_clock, random.random, lambda seconds: told.wait(stop, seconds))
        runner = Runner(load.name, source, _Unheard(landing, told), told, _PACE, outside, stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        runner.run(once=True)
    except (UnreadableFile, Fatal) as error:
        return _said(UNUSABLE, str(error))
    finally:
        throttle.close()
    told.finish()
    if stop.is_set() and not told.is_all:
        return _said(STOPPED, "stopped; the same command goes on from here")
    if told.rejects:
        return _said(
            WITH_REJECTS,
            f"rejects: {told.rejects:,}; they are in dead.letters, and in FILE.rejects.csv beside each file",
        )
    return ALL_LANDED


def _said(code: int, text: str) -> int:
    print(f"throughline: {text}", file=sys.stderr)
    return code


class _Unheard:
    """The landing of a load, which is no feed that anybody waits to hear of: it lands no heartbeats."""

    def __init__(self, landing: KafkaLanding, told: "_Told") -> None:
        self._landing = landing
        self._told = told

    def open(self) -> Memory:
        return self._landing.open()

    def land(self, batch: Batch, now: int, beat: bool) -> Landed:  # noqa: ARG002
        landed = self._landing.land(batch, now, beat=False)
        self._told.is_all = batch.alive
        return landed

    def close(self) -> None:
        self._landing.close()


class _Told:
    """Counts and shows what is landed."""

    def __init__(self, quiet: bool) -> None:
        self.rejects = 0
        self.is_all = False
        self._progress = Progress("load", quiet, unit="rows")
        self._before = Reached("", "", 0, 0)
        self._has_landed = False
        self._failures = 0

    # -- of files

    def begin(self, path: Path, size: int, reached: Reached) -> None:  # noqa: ARG002, of its name
        if not self._has_landed or reached.checksum != self._before.checksum:
            self._progress.expect(size - reached.offset)
            self.rejects += reached.rejects
        self._before = reached

    def tell(self, reached: Reached) -> None:
        before, self._before = self._before, reached
        note = f"{self.rejects:,} rejects" if self.rejects else ""
        self._progress.passed(reached.rows - before.rows, reached.offset - before.offset, note)

    def end(self, reached: Reached) -> None:
        self.tell(reached)

    def waits(self, note: str) -> None:
        """Say why nothing is landed just now."""
        self._progress.passed(0, 0, note)

    def finish(self) -> None:
        """Say the whole."""
        self._progress.finish()

    # -- of the runner

    def landed(self, landed: Landed) -> None:
        self.rejects += sum(landed.rejects.values())
        self._has_landed = True
        self._failures = 0

    def answered(self, at_ms: int) -> None:
        """Files answer at once."""

    def gap(self) -> None:
        """Files have none."""

    def failed(self, how: str) -> None:  # noqa: ARG002
        self._failures += 1

    def waited(self, why: str, seconds: float) -> None:
        """The wait follows."""

    def wait(self, stop: Event, seconds: float) -> bool:
        """Wait before another try. Raises `Fatal` if nothing was ever landed: it may never be."""
        if not self._has_landed and self._failures >= _FIRST_FAILURES_MAX:
            raise Fatal(f"nothing could be landed in {self._failures} tries; see above")
        return stop.wait(seconds)


class _Throttle:
    """Holds a load back: to so many rows a second, and while a group has too much to do."""

    def __init__(self, settings: Settings, load: Load, stop: Event, told: _Told) -> None:
        self._rate = load.rate
        self._lag_max = load.lag_max
        self._lag = None if load.lag_max is None else GroupLag(settings.brokers, settings.group)
        self._stop = stop
        self._told = told
        self._free_at_s = 0.0

    def may(self, rows: int) -> bool:
        """Wait until so many rows may land; return False if the load is to stop instead."""
        if self._rate is not None:
            now = time.monotonic()
            self._free_at_s = max(self._free_at_s, now)
            self._stop.wait(self._free_at_s - now)
            self._free_at_s += rows / self._rate
        if self._lag is not None:
            self._wait_for_group(self._lag)
        return not self._stop.is_set()

    def _wait_for_group(self, lag: GroupLag) -> None:
        while not self._stop.is_set():
            try:
                records = lag.of(_WATCHED).open
                if self._lag_max is None or records <= self._lag_max:
                    return
                self._told.waits(f"waits for group: {records:,} records open")
            except KafkaException as error:
                self._told.waits(f"waits for brokers to say how far the group is: {error.args[0].str()}")
            self._stop.wait(_LOOK_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        if self._lag is not None:
            self._lag.close()
