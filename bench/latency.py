"""Latency of the reference job at half the rate it can do: from the writing of a record to the reading of its trigger.

The reader reads what is committed, so transactions count in full. Writer, reader, worker and broker share the machine,
so what it can do is measured with all of them at work: more and more is written, until the worker falls behind.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bench.broker import Broker, Say
from bench.keeping_up import KeepingUp
from bench.reference.avro import INPUTS, MARGINS, TRIGGERS, Framed
from bench.running import Child, Failed
from bench.topics import COMPACTED, Committed, make_topics, reader_from_now, remove_topics
from bench.variants.codecs import FASTAVRO

SECONDS = 20
WARM_UP_SECONDS = 5.0
FASTEST = 120_000
"""Records a second at which the rate ends to rise, where a worker keeps up for so long."""
RISING_SECONDS = 60.0
RUN_SECONDS_MAX = 300.0
_LOOK_SECONDS = 0.25
_PERCENTILES = (50, 90, 99, 99.9)


class Seen(NamedTuple):
    """A trigger of a milestone: when that was written, in microseconds since 1970, and its latency in milliseconds."""

    written_us: int
    latency_ms: float


class Latency:
    """Writes at a rate, and reads along."""

    def __init__(self, broker: Broker, folder: Path, say: Say) -> None:
        self._brokers = broker.bootstrap
        self._folder = folder
        self._say = say

    def capacity(self) -> int:
        """Return the rate, in records a second, at which the worker begins to fall behind a writer that gets faster."""
        records = round(FASTEST * RISING_SECONDS / 2)
        with self._at_work("capacity", records, FASTEST, RISING_SECONDS) as (worker, writer, committed):
            keeping_up = KeepingUp(committed)

            def is_done() -> bool:
                if keeping_up.is_behind():
                    writer.stop()
                    return True
                return writer.has_ended()

            for _ in self._read("capacity", worker, is_done):
                pass
        self._say(f"with a writer and a reader beside it: {keeping_up.per_second:,.0f} records/s")
        return round(keeping_up.per_second)

    def at(self, per_second: int) -> list[float]:
        """Return the latencies in milliseconds, sorted, of what was written after the first seconds."""
        self._say(f"latency at {per_second:,} records/s")
        records = per_second * SECONDS
        with self._at_work("latency", records, per_second) as (worker, writer, committed):

            def is_done() -> bool:
                return writer.has_ended() and sum(committed.offsets().values()) >= records

            found = list(self._read("latency", worker, is_done))
        from_on = min(seen.written_us for seen in found) + WARM_UP_SECONDS * 1_000_000
        return sorted(seen.latency_ms for seen in found if seen.written_us >= from_on)

    @contextmanager
    def _at_work(
        self, group: str, records: int, per_second: int, rising_s: float = 0.0
    ) -> Iterator[tuple[Child, Child, Committed]]:
        prefix = f"{group}.in."
        topics: dict[str, Any] = {f"{group}.{kind}": {} for kind in (TRIGGERS, MARGINS)}
        topics |= {f"{prefix}{topic}": {} for topic in INPUTS}
        make_topics(self._brokers, topics | {f"{group}.changelog": COMPACTED})
        committed = Committed(self._brokers, group, [f"{prefix}{topic}" for topic in INPUTS])
        log = self._folder / f"{group}.log"
        arguments = (self._brokers, group, str(self._folder / group), FASTAVRO, prefix)
        pace = (self._brokers, prefix, str(records), str(per_second), str(rising_s))
        with Child(log, "bench.variants.engine", *arguments) as worker, Child(log, "bench.pacing", *pace) as writer:
            yield worker, writer, committed
        committed.close()
        remove_topics(self._brokers, group)

    def _read(self, group: str, worker: Child, is_done: Callable[[], bool]) -> Iterator[Seen]:
        """Yield triggers as they come, until it is done. Raises `Failed`."""
        reader, read = reader_from_now(self._brokers, f"{group}.{TRIGGERS}"), Framed(TRIGGERS).read
        deadline, asked_at, done = time.monotonic() + RUN_SECONDS_MAX, 0.0, False
        while True:
            messages = reader.consume(10_000, 0.01)
            now_us = time.time_ns() // 1_000
            for message in messages:
                trigger = read(message.value() or b"")
                if trigger["kind"] == "milestone":
                    written_us = int(trigger["id"].rpartition(":")[2])
                    yield Seen(written_us, (now_us - written_us) / 1_000)
            if done and not messages:
                break
            worker.alive()
            if time.monotonic() > deadline:
                raise Failed(f"{group}: not done after {RUN_SECONDS_MAX:.0f} s; see {worker.log}")
            if not done and time.monotonic() - asked_at > _LOOK_SECONDS:
                asked_at = time.monotonic()
                done = is_done()
        reader.close()


def percentiles(sorted_ms: list[float]) -> dict[str, float]:
    """Return percentiles of sorted values by name, such as `p99`."""
    last = len(sorted_ms) - 1
    return {f"p{share:g}": round(sorted_ms[round(last * share / 100)], 1) for share in _PERCENTILES}


def histogram(sorted_ms: list[float], bins: int = 60) -> list[tuple[float, int]]:
    """Return upper bounds in milliseconds and counts of so many equal bins, up to the 99.9th percentile."""
    top = sorted_ms[round((len(sorted_ms) - 1) * 0.999)]
    edges = [top * number / bins for number in range(bins + 1)]
    counts, at = [], 0
    for _, upper in pairwise(edges):
        before = at
        while at < len(sorted_ms) and sorted_ms[at] <= upper:
            at += 1
        counts.append((round(upper, 2), at - before))
    return counts
