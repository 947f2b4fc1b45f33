"""A program of Throughline's that runs beside us, with its log."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from live.errors import PipelineError

_STOP_SECONDS_MAX = 60.0
_WORDS_SHOWN = 8


def command(*words: str) -> list[str]:
    """The command line that runs `throughline` as we run."""
    return [sys.executable, "-c", "from streams.cli import main; main()", *words]


class Program:
    """One `throughline …` that runs on, such as a worker. It ends with `stop` or `kill`, and can be started again."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], *words: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._environment = dict(environment)
        self._words = words
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its pid, while it runs."""
        return None if self._child is None or self._child.poll() is not None else self._child.pid

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.pid is None:
            with self.log.open("ab") as log:
                self._child = subprocess.Popen(
                    command(*self._words),
                    cwd=self._folder,
                    env={**os.environ, **self._environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def lives(self) -> None:
        """Raise `PipelineError` with its last words if it has ended by itself."""
        if self._child is not None and self._child.poll() is not None:
            words = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_WORDS_SHOWN:]
            raise PipelineError(
                f"{self.name} ended with {self._child.returncode}; the last words of {self.log}:\n" + "\n".join(words)
            )

    def kill(self) -> None:
        """Kill it (kill -9) and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it in good order and wait until it is gone."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.send_signal(number)
        try:
            child.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
