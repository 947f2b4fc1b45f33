"""A program that runs on beside us: started, found again by a later command, signalled, stopped. Linux only.

What was started is written down in its folder: pid, start in clock ticks since boot, and boot. A pid alone is not
believed, since the system gives it to another program some day; signals go through a pidfd, which keeps it from that.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stack.errors import StackError

_RECORD = "running.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
# Ends the program with whoever started it, however that ends: a pipe that only the starter holds closes then. The pid
# is still that of the program: nobody but the starter can collect its exit.
_WATCH = 'read -r _; kill -9 "$0"'
# Children that are meant to outlive us: nobody waits for them, and Python shall not complain about it.
_left_running: list[subprocess.Popen[bytes]] = []


class Running(NamedTuple):
    """What was started, so that it is known again."""

    version: str
    pid: int
    started_ticks: int
    boot: str


class Stat(NamedTuple):
    """What the system says of a program."""

    state: str
    started_ticks: int


def stat(pid: int) -> Stat | None:
    """The state and start of a program; None if there is none by this pid."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # a name may hold spaces and brackets
    return Stat(fields[0], int(fields[19]))


def is_running(record: Running) -> bool:
    """Whether it is still the program that was started: not another by its pid, and not a dead one nobody collected."""
    now = stat(record.pid)
    return (
        now is not None
        and now.state not in "ZX"
        and now.started_ticks == record.started_ticks
        and record.boot == _BOOT.read_text(encoding="utf-8").strip()
    )


def tail_of(log: Path, lines: int) -> str:
    """The last lines of a log; nothing of one that is not there."""
    try:
        with log.open(encoding="utf-8", errors="replace") as content:
            return "".join(deque(content, lines)).rstrip("\n")
    except OSError:
        return ""


class Daemon:
    """One program with a folder and a log.

    `bound`: it ends with the program that started it, even when that is killed; otherwise it runs until it is stopped.
    """

    def __init__(self, name: str, version: str, folder: Path, *, bound: bool) -> None:
        self.name = name
        self._version = version
        self.folder = folder
        self.log = folder / "log.txt"
        self._bound = bound
        self._child: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid, while it runs."""
        record = self._record()
        return record.pid if record is not None and is_running(record) else None

    @property
    def version(self) -> str:
        """The version that runs, which may be one before the pins were raised; else the one that would be started."""
        record = self._record()
        return record.version if record is not None and is_running(record) else self._version

    def rss_mib(self) -> int | None:
        """Resident memory in MiB, while it runs."""
        pid = self.pid
        if pid is None:
            return None
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
        except (OSError, IndexError):
            return None
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

    def variables(self) -> Mapping[str, str]:
        """What it found in its environment when it was started, while it runs."""
        pid = self.pid
        try:
            text = b"" if pid is None else Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return {}
        pairs = [os.fsdecode(entry).partition("=") for entry in text.split(b"\0") if entry]
        return {name: value for name, _, value in pairs}

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start it, unless it runs already. Its output goes to the end of the log.

        `environment` is what it finds beside what is in ours.

        Raises:
            StackError: The program cannot be started.
        """
        if sys.platform != "linux":
            raise StackError(f"{self.name}: the local stack runs on Linux, and this is {sys.platform}")
        if self.pid is not None:
            return
        self._collect()
        try:
            with self.log.open("ab") as log:
                child = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env={**os.environ, **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C on the terminal is for the command, not for what it started
                )
        except OSError as error:
            raise StackError(f"{self.name}: {command[0]} cannot be started: {error.strerror}") from None
        if self._bound:
            self._child = child
            self._watch = subprocess.Popen(
                ["/bin/sh", "-c", _WATCH, str(child.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        else:
            _left_running.append(child)
        now = stat(child.pid)
        assert now is not None, "a child that nobody waited for is there, dead or alive"
        record = Running(self._version, child.pid, now.started_ticks, _BOOT.read_text(encoding="utf-8").strip())
        (self.folder / _RECORD).write_text(json.dumps(record._asdict()), encoding="utf-8")

    def send(self, number: signal.Signals) -> bool:
        """Send a signal, if it runs; return whether it did."""
        with self._pidfd() as pidfd:
            if pidfd is not None:
                signal.pidfd_send_signal(pidfd, number)
            return pidfd is not None

    def end(self, number: signal.Signals, wait_seconds_max: float) -> None:
        """Send a signal that ends it, and wait until it is gone; after `wait_seconds_max` it is killed."""
        with self._pidfd() as pidfd:
            if pidfd is not None:
                signal.pidfd_send_signal(pidfd, number)
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)  # suspended, it would not hear the first one
                if not _gone(pidfd, wait_seconds_max):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    _gone(pidfd, None)
        self._collect()
        (self.folder / _RECORD).unlink(missing_ok=True)

    def _record(self) -> Running | None:
        try:
            return Running(**json.loads((self.folder / _RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # nothing started, or the machine fell while it was written down
            return None

    @contextmanager
    def _pidfd(self) -> Iterator[int | None]:
        record = self._record()
        try:
            pidfd = None if record is None else os.pidfd_open(record.pid)
        except ProcessLookupError:
            pidfd = None
        if pidfd is None or record is None:
            yield None
            return
        try:
            yield pidfd if is_running(record) else None
        finally:
            os.close(pidfd)

    def _collect(self) -> None:
        """Collect the exits of what we started; the watch goes first, so that it cannot hit a stranger."""
        for child in (self._watch, self._child):
            if child is not None:
                child.kill()
                child.wait()
                if child.stdin is not None:
                    child.stdin.close()
        self._watch = self._child = None


def _gone(pidfd: int, wait_seconds_max: float | None) -> bool:
    """Wait until a program ended: its pidfd can be read then."""
    ready, _, _ = select.select([pidfd], [], [], wait_seconds_max)
    return bool(ready)
