"""The workers of a storm: programs of one group that are killed, or stalled, in turn, and come back."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.storm.worker import SESSION_S

STALL_S = SESSION_S + 3
"""How long a stalled worker says nothing: long enough that the others have its partitions."""


class Worker:
    """One worker, with a folder of its own."""

    def __init__(self, out: Path, number: int, words: list[str]) -> None:
        folder = out / f"worker-{number}"
        folder.mkdir()
        self._command = [sys.executable, "-m", "tests.storm.worker", str(folder), *words]
        self._log = folder / "log"
        self._stalled_at: float | None = None
        self._may_end = False
        self.start()

    def start(self) -> None:
        """Start it."""
        with self._log.open("a") as log:
            self._program = subprocess.Popen(self._command, stderr=log, stdin=subprocess.DEVNULL)
        self._stalled_at, self._may_end = None, False

    def look(self) -> None:
        """Let it go on once it was stalled for long enough.

        One that was stalled may end, as others have its work, and is started again, as a supervisor does. Raises
        `AssertionError` if another one has ended.
        """
        if self._stalled_at is not None and time.monotonic() - self._stalled_at >= STALL_S:
            self._program.send_signal(signal.SIGCONT)
            self._stalled_at, self._may_end = None, True
        if self._program.poll() is not None:
            assert self._may_end, f"a worker has ended by itself; see {self._log}"
            self.start()

    @property
    def is_stalled(self) -> bool:
        """Whether it says nothing now."""
        return self._stalled_at is not None

    def stall(self) -> None:
        """Let it do nothing for a while, and know nothing of that."""
        self._program.send_signal(signal.SIGSTOP)
        self._stalled_at = time.monotonic()

    def kill(self) -> None:
        """Kill it: it has no time to put anything in order."""
        self._program.send_signal(signal.SIGKILL)
        self._program.wait()


class Workers:
    """All workers of a storm: every so often (s, 0: never) one is killed, and one is stalled."""

    def __init__(self, out: Path, count: int, words: list[str], kill_every_s: float, stall_every_s: float) -> None:
        self._workers = [Worker(out, number, words) for number in range(count)]
        self._every = {"kill": kill_every_s, "stall": stall_every_s}
        self._last = dict.fromkeys(self._every, time.monotonic())
        self.kills = self.stalls = 0

    def look(self) -> None:
        """See to all that is due. Raises `AssertionError` if one has ended by itself."""
        for worker in self._workers:
            worker.look()
        if self._is_due("kill"):
            worker = self._workers[self.kills % len(self._workers)]
            worker.kill()
            worker.start()
            self.kills += 1
        awake = [worker for worker in self._workers if not worker.is_stalled]
        if self._is_due("stall") and len(awake) == len(self._workers):
            awake[(self.stalls + 1) % len(awake)].stall()
            self.stalls += 1

    def end(self) -> None:
        """Kill all of them."""
        for worker in self._workers:
            worker.kill()

    def _is_due(self, what: str) -> bool:
        now, every_s = time.monotonic(), self._every[what]
        if not every_s or now - self._last[what] < every_s:
            return False
        self._last[what] = now
        return True
