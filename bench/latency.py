"""Latency of the reference job at half the rate it can do: from the writing of a record to the reading of its trigger.

The reader reads what is committed, so transactions count in full.
"""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.broker import Broker, Say
from bench.reference.avro import INPUTS, MARGINS, TRIGGERS, Framed
from bench.running import Child, Failed
from bench.topics import COMPACTED, make_topics, reader_from_now
from bench.variants.codecs import FASTAVRO

GROUP = "latency"
SECONDS = 20
WARM_UP_SECONDS = 5.0
_QUIET_SECONDS = 5.0
_RECORDS_MAX = 5_000_000
_PERCENTILES = (50, 90, 99, 99.9)


def latencies(broker: Broker, folder: Path, per_second: int, say: Say, seconds: int = SECONDS) -> list[float]:
    """Return the latencies in milliseconds of what was written after the first seconds. Raises `Failed`."""
    prefix = f"{GROUP}.in."
    topics: dict[str, Any] = {f"{GROUP}.{kind}": {} for kind in (TRIGGERS, MARGINS)}
    topics |= {f"{prefix}{topic}": {} for topic in INPUTS}
    make_topics(broker.bootstrap, topics | {f"{GROUP}.changelog": COMPACTED})
    records = str(min(per_second * seconds, _RECORDS_MAX))
    say(f"latency at {per_second:,} records/s")
    arguments = (broker.bootstrap, GROUP, str(folder / GROUP), FASTAVRO, prefix)
    reader = reader_from_now(broker.bootstrap, f"{GROUP}.{TRIGGERS}")
    log = folder / f"{GROUP}.log"
    with (
        Child(log, "bench.variants.engine", *arguments) as worker,
        Child(log, "bench.pacing", broker.bootstrap, prefix, records, str(per_second)) as writer,
    ):
        found: list[tuple[int, float]] = []
        read, quiet_since = Framed(TRIGGERS).read, None
        while quiet_since is None or time.monotonic() - quiet_since < _QUIET_SECONDS:
            messages = reader.consume(10_000, 0.01)
            now = time.time_ns() // 1_000
            for message in messages:
                trigger = read(message.value() or b"")
                if trigger["kind"] == "milestone":
                    written = int(trigger["id"].rpartition(":")[2])
                    found.append((written, (now - written) / 1_000))
            worker.alive()
            if writer.has_ended():
                quiet_since = None if messages else quiet_since or time.monotonic()
        if not found:
            raise Failed(f"latency: no trigger came; see {log}")
    reader.close()
    from_on = min(written for written, _ in found) + WARM_UP_SECONDS * 1_000_000
    return sorted(latency for written, latency in found if written >= from_on)


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
