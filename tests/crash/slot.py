"""A place for a worker: its folder, and the program that works in it now."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.crash.fates import Fate

Command = Callable[[Path, Fate | None], Sequence[str]]
"""Gives the command of a worker that works in a folder and meets a fate, or lives."""


class Slot:
    """A worker's folder and log, and the program that runs there."""

    def __init__(self, name: str, out: Path, command: Command, assigned: bytes) -> None:
        self.name = name
        self.folder = out / f"state-{name}"
        self.fates: list[Fate] = []
        self.fate: Fate | None = None
        self.back_at = 0.0
        self.started_at = 0.0
        self.log = out / f"worker-{name}.log"
        self._command = command
        self._assigned = assigned
        self._assigned_at = 0.0
        self.log_begins = 0
        self._stopped = False
        self._out = self.log.open("ab")
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, fate: Fate | None) -> None:
        """Start a worker that meets a fate, or one that lives."""
        self.log_begins = self.log.stat().st_size
        self._child = subprocess.Popen(
            self._command(self.folder, fate), stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._out
        )
        self.fate, self.started_at, self.back_at = fate, time.monotonic(), 0.0
        self._assigned_at, self._stopped = 0.0, False

    @property
    def child(self) -> subprocess.Popen[bytes]:
        """Return the program that runs, or ran last."""
        assert self._child is not None
        return self._child

    @property
    def runs(self) -> bool:
        """Return whether a worker runs."""
        return self._child is not None and self._child.poll() is None

    def worked_s(self) -> float:
        """Return for how many seconds it has had partitions since its start; 0 before it was told of any."""
        if not self._assigned_at:
            with self.log.open("rb") as log:
                log.seek(self.log_begins)
                if self._assigned not in log.read():
                    return 0.0
            self._assigned_at = time.monotonic()
        return time.monotonic() - self._assigned_at

    def hold(self, stopped: bool) -> None:
        """Stop it where it is, or let it go on."""
        if stopped != self._stopped:
            self._stopped = stopped
            self.child.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    def kill(self) -> None:
        """Kill it."""
        self.child.kill()
        self.child.wait()

    def stop(self) -> None:
        """Stop it in good order."""
        self.child.terminate()
        code = self.child.wait(60)
        if code:
            raise AssertionError(f"worker {self.name} ended with {code}; see {self.log}")

    def empty(self, *partitions: int) -> None:
        """Remove its databases of some partitions, or of all."""
        for path in [self.folder / f"partition-{number}" for number in partitions] or self.folder.glob("partition-*"):
            shutil.rmtree(path)

    def close(self) -> None:
        """Kill what still runs."""
        if self.runs:
            self.kill()
        self._out.close()
