"""Replay: records a second and peak memory of `throughline replay` over a generated firm, as a whole process."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.replay_growth import FLAT_WITHIN, run
from bench.running import rss_mb

THROUGHLINE = Path(sys.executable).with_name("throughline")
_LOOK_SECONDS = 0.02
RESULT = Path(__file__).parent / "results" / "replay.json"


class Replayed(NamedTuple):
    """One run: wall and CPU seconds of the whole process, start included, and its peak memory."""

    records: int
    wall_s: float
    cpu_s: float
    rss_mb: float

    @property
    def records_per_s(self) -> float:
        """Input records a second of wall time."""
        return self.records / self.wall_s


def generate(folder: Path, time_entries: int, seed: int) -> tuple[Path, int]:
    """Write a firm's history; return its file and how many records that is."""
    path = folder / f"firm-{time_entries}-{seed}.jsonl"
    subprocess.run(
        [THROUGHLINE, "generate", "--time-entries", str(time_entries), "--seed", str(seed), "--out", path],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    with path.open("rb") as lines:
        return path, sum(1 for _ in lines)


def replay(path: Path, records: int, out: Path) -> Replayed:
    """Run one replay on one processor and measure it from outside."""
    began = time.perf_counter()
    child = subprocess.Popen([THROUGHLINE, "replay", path, "--out", out, "--quiet"])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(child.pid, {max(os.sched_getaffinity(0))})
    memory = 0.0
    while True:
        memory = max(memory, rss_mb(child.pid))
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        if ended:
            break
        time.sleep(_LOOK_SECONDS)  # its own peak is told only while it runs: at its end, it is no less than our memory
    wall = time.perf_counter() - began
    if status:
        raise RuntimeError(f"replay of {path} ended with status {status}")
    return Replayed(records, wall, usage.ru_utime + usage.ru_stime, memory)


def replays(folder: Path, time_entries: int, rounds: int, say: Callable[[str], None]) -> None:
    """Measure replays, and growth of their cost with history; write `bench/results/replay.json`."""
    path, records = generate(folder, time_entries, seed=1)
    say(f"replay of {records:,} records ({time_entries:,} entries), {rounds} runs on one processor")
    runs = []
    for _ in range(rounds):
        runs.append(replay(path, records, folder / "derived.jsonl"))
        r = runs[-1]
        say(f"  {r.records_per_s:>8,.0f} records/s  {r.wall_s:6.1f} s wall  {r.cpu_s:6.1f} s CPU  {r.rss_mb:5.0f} MB")
    rate = statistics.median(r.records_per_s for r in runs)
    memory = max(r.rss_mb for r in runs)
    say(f"  median {rate:,.0f} records/s, peak {memory:.0f} MB")
    growth = run(rounds, say)
    say("one more record on a contract with so many time entries")
    base = {g.kind: g.us_per_record for g in reversed(growth)}  # that of the smallest
    for g in growth:
        times = g.us_per_record / base[g.kind]
        say(f"  {g.kind:<28} {g.entries:>9,} entries: {g.us_per_record:6.1f} µs  {times:5.2f} x")
    flat = all(g.us_per_record / base[g.kind] - 1 <= FLAT_WITHIN for g in growth)
    say(f"  {'flat' if flat else 'not flat'} within {FLAT_WITHIN:.0%}")
    figures = {
        "replay": {
            "records": records,
            "time_entries": time_entries,
            "records_per_s": round(rate),
            "rss_mb": round(memory),
            "runs": [round(r.records_per_s) for r in runs],
        },
        "growth": {
            kind: {str(g.entries): round(g.us_per_record, 1) for g in growth if g.kind == kind} for kind in base
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
