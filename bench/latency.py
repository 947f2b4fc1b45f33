"""Latency of the reference job at half the rate it can do: from the writing of a record to the reading of its trigger.

The reader reads what is committed, so transactions count in full. Writer, reader, worker and broker share the machine,
so what it can do is measured with all of them at work.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bench.broker import Broker, Say
from bench.reference.avro import INPUTS, MARGINS, TRIGGERS, Framed
from bench.reference.feed import Feed
from bench.running import Child, Failed
from bench.topics import COMPACTED, Committed, make_topics, reader_from_now, remove_topics
from bench.variants.codecs import FASTAVRO

SECONDS = 20
WARM_UP_SECONDS = 5.0
CAPACITY_RECORDS = Feed(444_000).records
RUN_SECONDS_MAX = 300.0
UNBOUNDED = 1_000_000_000
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
        """Return how many records a second are committed while a writer and a reader are at work beside the worker."""
        with self._at_work("capacity", CAPACITY_RECORDS, UNBOUNDED) as (worker, writer, committed):
            for _ in self._read("capacity", worker, writer, committed, CAPACITY_RECORDS):
                pass
            stamp = worker.stamp
            assert stamp is not None  # something was committed
            rate = CAPACITY_RECORDS / (time.monotonic() - stamp.at_s)
        self._say(f"with a writer and a reader beside it: {rate:,.0f} records/s")
        return round(rate)

    def at(self, per_second: int) -> list[float]:
        """Return the latencies in milliseconds, sorted, of what was written after the first seconds."""
        self._say(f"latency at {per_second:,} records/s")
        records = Feed(per_second * SECONDS).records
        with self._at_work("latency", records, per_second) as (worker, writer, committed):
            found = list(self._read("latency", worker, writer, committed, records))
        from_on = min(seen.written_us for seen in found) + WARM_UP_SECONDS * 1_000_000
        return sorted(seen.latency_ms for seen in found if seen.written_us >= from_on)

    @contextmanager
    def _at_work(self, group: str, records: int, per_second: int) -> Iterator[tuple[Child, Child, Committed]]:
        prefix = f"{group}.in."
        topics: dict[str, Any] = {f"{group}.{kind}": {} for kind in (TRIGGERS, MARGINS)}
        topics |= {f"{prefix}{topic}": {} for topic in INPUTS}
        make_topics(self._brokers, topics | {f"{group}.changelog": COMPACTED})
        committed = Committed(self._brokers, group, [f"{prefix}{topic}" for topic in INPUTS])
        log = self._folder / f"{group}.log"
        arguments = (self._brokers, group, str(self._folder / group), FASTAVRO, prefix)
        pace = (self._brokers, prefix, str(records), str(per_second))
        with Child(log, "bench.variants.engine", *arguments) as worker, Child(log, "bench.pacing", *pace) as writer:
            yield worker, writer, committed
        committed.close()
        remove_topics(self._brokers, group)

    def _read(self, group: str, worker: Child, writer: Child, committed: Committed, records: int) -> Iterator[Seen]:
        """Yield triggers as they come, until all records are committed. Raises `Failed`."""
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
                raise Failed(f"{group}: not all is committed after {RUN_SECONDS_MAX:.0f} s; see {worker.log}")
            if writer.has_ended() and time.monotonic() - asked_at > 0.1:
                asked_at = time.monotonic()
                done = sum(committed.offsets().values()) >= records
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
