"""Replay: records a second and peak memory of `throughline replay` over a generated firm, as a whole process."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

THROUGHLINE = Path(sys.executable).with_name("throughline")


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
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise RuntimeError(f"replay of {path} ended with status {status}")
    return Replayed(records, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
