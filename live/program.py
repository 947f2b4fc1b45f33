"""A program of Throughline's that runs beside us, with a folder and a log. It ends with us, however we end."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from live.errors import PipelineError
from stack.daemon import Daemon, tail_of

_STOP_SECONDS_MAX = 60.0
_WORDS_SHOWN = 8
_VERSION = "of this tree"


def command(*words: str) -> list[str]:
    """The command line that runs `throughline` as we run.

    Nothing is imported from the folder in which it runs (`-P`): one of its state would be taken for our package.
    """
    return [sys.executable, "-P", "-c", "from streams.cli import main; main()", *words]


class Program:
    """One `throughline …` that runs on, such as a worker: started, killed, stopped, and started again."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], *words: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._daemon = Daemon(name, _VERSION, folder, bound=True)
        self._environment = dict(environment)
        self._words = words
        self._started = False

    @property
    def log(self) -> Path:
        """Its log."""
        return self._daemon.log

    @property
    def pid(self) -> int | None:
        """Its pid, while it runs."""
        return self._daemon.pid

    def start(self) -> None:
        """Start it, unless it runs."""
        self._daemon.start(command(*self._words), self._environment)
        self._started = True

    def lives(self) -> None:
        """Raise `PipelineError` with its last words if it has ended by itself."""
        if self._started and self.pid is None:
            words = tail_of(self.log, _WORDS_SHOWN)
            raise PipelineError(f"{self.name} has ended; the last words of {self.log}:\n{words}")

    def kill(self) -> None:
        """Kill it (kill -9) and wait until it is gone."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Let it hang (SIGSTOP)."""
        self._daemon.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        self._daemon.send(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it in good order and wait until it is gone."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        self._started = False
        self._daemon.end(number, _STOP_SECONDS_MAX)
