"""One program under measurement: started, watched until its group has committed all of its input, stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from bench.reference.stamp import Stamp, read_stamp
from bench.topics import Committed, Place

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.02
_STOP_SECONDS_MAX = 60.0


def rss_mb(pid: int, peak: bool = True) -> float:
    """Return the resident memory of a process in MiB: the most it ever was, or as it is now; 0 once it has ended."""
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0) / 1024


class Failed(Exception):
    """A program under measurement ended, hung, or wrote something else than it had to."""


class Run(NamedTuple):
    """What one run took, from its first record to its last commit."""

    records: int
    seconds: float
    cpu_s: float
    rss_mb: float

    @property
    def events_per_s(self) -> float:
        """Records taken in a second."""
        return self.records / self.seconds

    @property
    def cpu_us_per_event(self) -> float:
        """Microseconds of CPU a record, of all threads of the program, in user mode and in the system."""
        return self.cpu_s / self.records * 1e6


class Child:
    """A program with its log. In a `with` block it is killed at the end, if it still runs."""

    def __init__(
        self,
        log: Path,
        module: str,
        *arguments: str,
        python: Path | None = None,
        cpus: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._name = module
        self._stamp: Stamp | None = None
        with log.open("ab") as errors:
            self._child = subprocess.Popen(
                [python or sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        if cpus:
            os.sched_setaffinity(self._child.pid, cpus)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._stamp = self._stamp or read_stamp(line)

    @property
    def stamp(self) -> Stamp | None:
        """The moment of its first record, once it came."""
        return self._stamp

    def alive(self) -> None:
        """Raise `Failed` if it has ended."""
        code = self._child.poll()
        if code is not None:
            words = self.log.read_text(errors="replace").splitlines()[-8:]
            raise Failed(f"{self._name} ended with {code}:\n" + "\n".join(words))

    def has_ended(self) -> bool:
        """Return whether it has ended well. Raises `Failed` if it has ended otherwise."""
        if self._child.poll():
            self.alive()
        return self._child.returncode is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._child.send_signal(number)

    def cpu_s(self) -> float:
        """Return the CPU seconds it has used, all threads."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_mb(self, peak: bool = True) -> float:
        """Return its resident memory in MiB: the most it ever was, or as it is now."""
        return rss_mb(self._child.pid, peak)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        """Stop it in good order; one that does not stop is killed."""
        self._child.terminate()
        try:
            self._child.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.poll() is None:
            self.kill()
        self._reader.join()
        assert self._child.stdout is not None
        self._child.stdout.close()


def measure(child: Child, committed: Committed, ends: Mapping[Place, int], seconds_max: float) -> Run:
    """Watch a program until its group has committed up to the ends. Raises `Failed`."""
    deadline, records = time.monotonic() + seconds_max, sum(ends.values())
    while True:
        done = committed.offsets()
        now, cpu_s = time.monotonic(), child.cpu_s()
        if all(done[place] >= end for place, end in ends.items()):
            break
        child.alive()
        if now > deadline:
            raise Failed(f"{sum(done.values()):,} of {records:,} records committed after {seconds_max:.0f} s")
        time.sleep(_LOOK_SECONDS)
    stamp = child.stamp
    if stamp is None:
        raise Failed(f"all was committed, and no first record was told; see {child.log}")
    return Run(records, now - stamp.at_s, cpu_s - stamp.cpu_s, child.rss_mb())
